/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spliced code. The guest's memory is not changed: where it executes a page
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

#include "splicer/state.h"

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

/* Whether the gate that leads to the guest's #PF handler is in the frame @gfn. */
static inline bool dmp_gate_is_in(const struct dmp_splicer *splicer, u64 gfn)
{
	return splicer->gate_table && splicer->gate_gfn == gfn;
}

/* One reason less for the frame @gfn to be held for code: it is if no other is left. */
void dmp_code_release(struct dmp_mmu *mmu, u64 gfn);

/* For the audit: code pages of @gfn. */
unsigned int dmp_code_pages_of(const struct dmp_mmu *mmu, u64 gfn);

#endif /* DMP_CODE_PAGE_H */
