// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the implant says of the root that it runs on.
 */
#include "splicer/cache.h"
#include "splicer/gate.h"
#include "splicer/hidden.h"
#include "splicer/pool.h"
#include "splicer/target.h"
#include "splicer/view.h"

void dmp_view_show(struct dmp_mmu *mmu, struct dmp_root *root, const struct dmp_table *table)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_implant *implant = splicer->implant;

	implant->root = implant->window + (table->hfn << DMP_PAGE_SHIFT);
	implant->guest_root = implant->window +
			      (u64)((char *)table->guest - mmu->va_base);
	implant->private = dmp_space_hides(mmu, table) ? DMP_PRIVATE_NOWHERE : 0;
	/* The filter may have raised it, for the root that was loaded then. */
	if (splicer->filter_root && implant->state & DMP_IMPLANT_LAZY_D) {
		splicer->filter_root->lazy_d = true;
		dmp_target_raised(mmu);
	}
	splicer->filter_root = root;
	implant->state = (root->lazy_d ? DMP_IMPLANT_LAZY_D : 0) |
			 (mmu->waiting ? DMP_IMPLANT_WAITING : 0) |
			 (mmu->paging.flags & DMP_PAGING_PCIDS ? DMP_IMPLANT_PCIDS : 0) |
			 (splicer->guarded ? DMP_IMPLANT_GUARDED : 0) |
			 (mmu->paging.flags & (DMP_PAGING_NX | DMP_PAGING_SMEP) ?
			  0 : DMP_IMPLANT_NO_FETCH);
}

bool dmp_view_try_root(struct dmp_mmu *mmu, struct dmp_root *root,
		       const struct dmp_table *table)
{
	struct dmp_splicer *splicer = mmu->splicer;

	if (!splicer->active || splicer->unsettled ||
	    splicer->space.grown || root->version != splicer->space.version ||
	    !dmp_cache_suits(mmu, table) || dmp_pool_is_due(mmu) ||
	    !dmp_gate_suits(mmu, table))
		return false;
	dmp_filter_forget(splicer->implant);
	dmp_view_show(mmu, root, table);
	return true;
}
