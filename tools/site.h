/* SPDX-License-Identifier: GPL-2.0-only */
/* The `sites` file of a VM: instructions replaced, or about to be. */
#ifndef DMP_TOOL_SITE_H
#define DMP_TOOL_SITE_H

#include "vm.h"

#define SITE_BYTES_MAX	32

struct site {
	u64 rip;
	char state[16];		/* words, so that new ones need no new tool */
	char tactic[24];
	char form[16];		/* "-": not known */
	char reason[32];	/* of a refusal; "-": none */
	u64 traps;		/* before it was replaced */
	u64 since;		/* since then */
	u64 finished;		/* hypercalls of its stub */
	u64 undos;
	u64 stub, size, insns;	/* of the stub; 0: there is none */
	size_t nr_bytes;	/* 0: not known */
	u8 bytes[SITE_BYTES_MAX];	/* the guest's, all that are replaced */
};

struct site_list {
	struct site *v;		/* sorted by address */
	size_t n;
	struct bad_lines bad;
};

/*
 * Parse the text of `sites`; bad lines are noted, the others kept. Returns 0,
 * or -1 when out of memory.
 */
int sites_parse(const char *text, size_t len, struct site_list *list);

/*
 * Read a VM's. A kernel without that file has none. Returns 0, or -1 with
 * ctx->err set; sites_check() then says what lines were bad.
 */
int sites_read(struct dmp_ctx *ctx, const struct vm *vm, struct site_list *list);
int sites_check(struct dmp_ctx *ctx, const struct vm *vm,
		const struct site_list *list);
void sites_free(struct site_list *list);

/* The one at @rip, or NULL. */
const struct site *sites_find(const struct site_list *list, u64 rip);

bool site_is_spliced(const struct site *site);
/* "spliced", "refused: no-room" */
void site_state(const struct site *site, char *buf, size_t size);

#endif /* DMP_TOOL_SITE_H */
