/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spliced code. The guest's memory is never changed: where it executes a page
 * with splices its machine leaf shows a copy, keyed by that leaf; every other
 * mapping shows what the guest wrote. All are read-only, and a guest write to
 * the frame traps: it lands in the guest's page, the splices it touches are
 * undone, and the copy follows.
 *
 * INV: the copy differs from the guest's page at spliced sites only, and with
 * the last splice the copy is gone.
 */
#ifndef DMP_CODE_PAGE_H
#define DMP_CODE_PAGE_H

#include "mmu/machine.h"

#define DMP_CODES_MAX	96
#define DMP_GATE_BYTES	16	/* of an IDT entry; SDM vol. 3, 6.14.1 */

/* A level-1 machine entry. */
struct dmp_leaf {
	u32 table;		/* 0: none */
	u16 index;
};

/*
 * Other leaves by which roots map the same page at the same address: with KPTI
 * the user half of an address space has tables of its own for the entry code.
 */
#define DMP_CODE_ALIASES	3

struct dmp_code_page {
	u64 gva;		/* of the page */
	u64 gfn;
	u64 hfn;		/* of the copy; 0: free place */
	u8 *copy;
	u8 *pristine;		/* the guest's page */
	u32 table;		/* the leaf's; 0: the guest maps it no more */
	u16 index;
	u16 id;			/* its place in splicer->code */
	u16 sites;		/* whose splices it shows, or has shown */
	struct dmp_leaf alias[DMP_CODE_ALIASES];
};

/*
 * The code page at @gva, made if there is none, with one site more. NULL:
 * not mapped by the loaded root as the kernel's executable RAM, or not at one
 * address only, or no place; broken without memory.
 */
struct dmp_code_page *dmp_code_get(struct dmp_mmu *mmu, u64 gva);

/* One site less; its bytes are the guest's already. */
void dmp_code_put(struct dmp_mmu *mmu, struct dmp_code_page *code);

/*
 * The loaded root is brought up to date: where it maps code pages by leaves not
 * known yet, these show the copies, too. Broken when there are too many.
 */
void dmp_code_sync(struct dmp_mmu *mmu);

/* For tenant.c: see mmu/tenant.h. */
u64 dmp_code_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		  unsigned int index, u64 machine);
bool dmp_code_is_copy(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
		      u64 machine);
void dmp_code_leaf_gone(struct dmp_mmu *mmu, const struct dmp_table *table,
			unsigned int index);
void dmp_code_written(struct dmp_mmu *mmu, const struct dmp_write *write);

/* One reason less for the frame @gfn to be held for code: it is if no other is left. */
void dmp_code_release(struct dmp_mmu *mmu, u64 gfn);

/* For the audit: code pages of @gfn. */
unsigned int dmp_code_pages_of(const struct dmp_mmu *mmu, u64 gfn);

#endif /* DMP_CODE_PAGE_H */
