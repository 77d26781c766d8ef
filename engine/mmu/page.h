/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's pages of host memory: taken and given back here and nowhere else, so that
 * dmp_mmu.pages counts them.
 *
 * Inline wherever it is called: the host knows a place that takes pages by the address
 * that it is called from, and tests make each of them fail in turn
 * (tests/lab/trigger-load).
 */
#ifndef DMP_PAGE_H
#define DMP_PAGE_H

#include "mmu/state.h"

/* A zeroed page, its hfn; 0, and broken, when the host has none. */
static inline __attribute__((always_inline)) u64 dmp_page_alloc(struct dmp_mmu *mmu)
{
	u64 hfn = mmu->ops->alloc_page(mmu->host);

	if (hfn)
		mmu->pages++;
	else
		dmp_break(mmu, DMP_BROKEN_NO_MEMORY);
	return hfn;
}

/* No CPU may use it any more. */
static inline void dmp_page_free(struct dmp_mmu *mmu, u64 hfn)
{
	mmu->ops->free_page(mmu->host, hfn);
	mmu->pages--;
}

#endif /* DMP_PAGE_H */
