/* SPDX-License-Identifier: GPL-2.0-only */
/* Names for the guest kernel's addresses, and its KASLR slide. */
#ifndef DMP_TOOL_SYMBOLS_H
#define DMP_TOOL_SYMBOLS_H

#include "util.h"

struct symbol {
	u64 addr;
	u32 name;		/* offset in the pool */
	u32 module;		/* the same; 0: the kernel itself */
	char type;		/* as nm(1) has it */
	u32 order;		/* place in the file */
};

struct symbols {
	struct symbol *v;	/* sorted by address */
	size_t n;
	char *pool;		/* NUL-terminated names; begins with "" */
	size_t pool_len;
	u64 slide;		/* already added to the addresses */
};

/*
 * Parse System.map or /proc/kallsyms text; @path is for messages. A bad line
 * refuses the file, for it is then not such a file. Returns 0, or -1 with
 * @err set.
 */
int symbols_parse(const char *text, size_t len, const char *path,
		  struct symbols *sy, struct dmp_err *err);
int symbols_read(const char *path, struct symbols *sy, struct dmp_err *err);
void symbols_free(struct symbols *sy);

/*
 * The KASLR slide of a guest whose MSR_LSTAR is @lstar: what brings one of
 * Linux's system call entries there. A slide is a multiple of 2 MiB (the
 * least CONFIG_PHYSICAL_ALIGN of x86-64) below 1 GiB. Returns 0 (also with
 * *@slide 0 when @lstar is 0 or the file names no entry), or -1 if none fits:
 * the file is not this guest's.
 */
int symbols_find_slide(const struct symbols *sy, u64 lstar, u64 *slide);

/* Add @slide to the kernel's own symbols; modules and absolutes stay. */
void symbols_slide(struct symbols *sy, u64 slide);

struct symbol_hit {
	const char *name;
	const char *module;	/* or NULL */
	u64 off;
};

/* The function @addr is in, as far as the file tells. */
bool symbols_find(const struct symbols *sy, u64 addr, struct symbol_hit *hit);

#endif /* DMP_TOOL_SYMBOLS_H */
