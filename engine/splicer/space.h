/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The implant's part of the guest's address space: one tree of page tables, the engine's
 * own, holds everything the implant maps. overlay.h has how the guest's tables show it.
 *
 * All calls as in mmu/machine.h: vCPUs outside of the guest, one lock.
 */
#ifndef DMP_SPACE_H
#define DMP_SPACE_H

#include "splicer/state.h"

/* What a page of the implant may be used for. */
#define DMP_SPACE_RW	1u
#define DMP_SPACE_X	2u
#define DMP_SPACE_OWNED	4u	/* the page is freed with the tree */

/* Begin with an empty tree. False, and broken, without memory. */
bool dmp_space_start(struct dmp_mmu *mmu);

/* Give the tree and the pages it owns back; the overlays must be gone. */
void dmp_space_destroy(struct dmp_mmu *mmu);

/*
 * Map the page @hfn at @gva, page-aligned and not yet mapped; @flags:
 * DMP_SPACE_*. False, and broken, without memory.
 */
bool dmp_space_map(struct dmp_mmu *mmu, u64 gva, u64 hfn, u32 flags);

/* Nothing is mapped at @gva any more. The caller flushes. */
void dmp_space_unmap(struct dmp_mmu *mmu, u64 gva);

/*
 * Map the 2 MiB of host memory at the aligned @hfn with one entry at the
 * aligned @gva, writable. False when something of it is mapped, or broken.
 */
bool dmp_space_map_large(struct dmp_mmu *mmu, u64 gva, u64 hfn);

/* Whether @gva is mapped; its hfn in *@hfn. */
bool dmp_space_lookup(const struct dmp_mmu *mmu, u64 gva, u64 *hfn);

/* Map zeroes, read-only, wherever nothing is mapped in [gva, end). */
bool dmp_space_fill(struct dmp_mmu *mmu, u64 gva, u64 end);

/* The table or page that @entry of the tree points to; the tree's top, NULL without one. */
static inline u64 *dmp_space_page(const struct dmp_mmu *mmu, u64 entry)
{
	return dmp_hfn_va(mmu, dmp_pte_gfn(entry));
}

static inline u64 *dmp_space_top(const struct dmp_mmu *mmu)
{
	return mmu->splicer->space.root_hfn ?
	       dmp_hfn_va(mmu, mmu->splicer->space.root_hfn) : NULL;
}

#endif /* DMP_SPACE_H */
