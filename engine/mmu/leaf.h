/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries that map memory, and what is known of those that do not come through a guest's
 * entry of their own.
 */
#ifndef DMP_LEAF_H
#define DMP_LEAF_H

#include "mmu/state.h"

/* The guest entry that stands for @index of @table. */
static inline u64 dmp_guest_entry(const struct dmp_table *table, unsigned int index)
{
	return table->guest ? DMP_READ_ONCE(table->guest[index]) : table->attr;
}

/* The gfn that entry @index maps when the guest's entry is @guest. */
static inline u64 dmp_leaf_gfn(const struct dmp_table *table, unsigned int index, u64 guest)
{
	return table->guest ? dmp_pte_gfn(guest) :
			      table->gfn + index * dmp_level_pages(table->level);
}

/*
 * What one entry should be. The entry is index @index of @table; @guest is
 * the guest's entry (for a SPLIT table that of the large leaf). Only for
 * entries that are not links. *@frame: what a leaf maps, else NULL.
 */
u64 dmp_table_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		   unsigned int index, u64 guest, struct dmp_frame **frame);

/* As dmp_table_follow(), of a level-1 table. */
void dmp_leaf_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		     unsigned int index, u64 old, u64 new, enum dmp_reach reach);

/*
 * Translate the leaf @index of the level-1 @table again, after what it depends
 * on but the guest's entry has changed.
 */
void dmp_table_refresh_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
			    unsigned int index);

/*
 * Refresh every leaf that maps @frame, wherever it is. Of a frame that has lost
 * its direct mapping and is mapped by the kernel still, that mapping becomes it:
 * or each promotion would search.
 */
void dmp_leaf_refresh_all(struct dmp_mmu *mmu, struct dmp_frame *frame);

/*
 * The table that maps @frame as its direct mapping's does, at the same index;
 * NULL: none is known.
 */
struct dmp_table *dmp_table_pair(const struct dmp_mmu *mmu,
				 const struct dmp_frame *frame);

/* Fill a new level-1 table: from its large leaf; from the guest's table. */
void dmp_split_fill(struct dmp_mmu *mmu, struct dmp_table *table, enum dmp_reach reach);
void dmp_leaves_fill(struct dmp_mmu *mmu, struct dmp_table *table, enum dmp_reach reach);

#endif /* DMP_LEAF_H */
