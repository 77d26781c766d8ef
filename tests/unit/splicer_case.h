/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of splicing have in common: a guest with an implant, and stores
 * of its kernel's that trap.
 */
#ifndef SPLICER_CASE_H
#define SPLICER_CASE_H

#include "guest_text.h"

extern struct guest *volatile guest;	/* global for the leak check, on failure */

/* A guest, engaged and spliced; and its end. */
void c_begin(struct text *t, u64 seed, unsigned int levels);
void c_engage(struct text *t);	/* again, after m_disengage() */
void c_end(void);
void c_check(struct machine *m);
struct dmp_site *c_site_of(struct machine *m, u64 rip);
/* Trap at @rip @n times, by storing what is there; the site. */
struct dmp_site *c_trap(struct text *t, u64 rip, unsigned int n);
/* The instruction at @rip reads or writes CR3, and exits @n times; the site. */
struct dmp_site *c_trap_cr3(u64 rip, unsigned int n);
void c_expect_broken(enum dmp_broken why);
/* The gfn of a root of its own for the kernel's half of the one there is. */
u64 c_another_root(void);
/* Two such, of an even frame and the next. */
void c_roots_side_by_side(u64 gfn[2]);
/* Through the alias of the text. */
void c_write_code(struct text *t, unsigned int page, unsigned int offset,
		  const void *data, unsigned int bytes);

/* A page of the text as it is in the guest's memory. */
u8 *c_text(struct machine *m, const struct text *t, unsigned int page);
/* What the guest reads where it executes. */
void c_read_code(u64 gva, u8 *bytes, unsigned int count);
/* Write @bytes at @gva of the text, by the alias; @want is to be there then. */
void c_put_code(struct text *t, u64 gva, const void *bytes, const void *want,
		unsigned int count);
/* The second half of that, after a write by other means. */
void c_want_code(struct text *t, u64 gva, const void *bytes, const void *want,
		 unsigned int count);
/* Trap at @rip until it is spliced. */
struct dmp_site *c_splice(struct text *t, u64 rip);

#endif /* SPLICER_CASE_H */
