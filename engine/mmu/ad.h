/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Setting A and D in the guest's own entries, as the CPU does when it walks them (SDM
 * vol. 3, 4.8): all that the VMM writes into guest tables by itself. A device may write
 * the entry meanwhile, so they are set only where it still is what it was taken for.
 */
#ifndef DMP_AD_H
#define DMP_AD_H

#include "mmu/state.h"

/* Set @bits in @entry, which has been @value; false: it is not any more. */
static inline bool dmp_ad_set(u64 *entry, u64 value, u64 bits)
{
	return __atomic_compare_exchange_n(entry, &value, value | bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A and D that the entry @guest of @table, if a supervisor's, should have. */
static inline u64 dmp_ad_lacks(const struct dmp_mmu *mmu,
			       const struct dmp_table *table, u64 guest)
{
	if (!table->guest || !(guest & DMP_PTE_P) ||
	    dmp_pte_has_rsvd(&mmu->paging, guest, table->level))
		return 0;
	return dmp_pte_wants_ad(guest, dmp_pte_is_leaf(guest, table->level));
}

/*
 * Set the A and D that supervisor entries have set at once. Only in tables
 * that the loaded root reaches: others may be memory that the guest has
 * freed and uses for data by now, where no bit may be touched.
 */
static inline u64 dmp_ad_set_supervisor(struct dmp_mmu *mmu, struct dmp_table *table,
					unsigned int index, u64 guest,
					enum dmp_reach reach)
{
	u64 want = dmp_ad_lacks(mmu, table, guest);

	if (!want)
		return guest;
	if (reach != DMP_REACH_LOADED) {
		mmu->waiting = true;
		mmu->owed.look = true;
		return guest;
	}
	if (!dmp_ad_set(&table->guest[index], guest, want))
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
	return guest | want;
}

#endif /* DMP_AD_H */
