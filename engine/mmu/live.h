/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which tables an address space still links.
 */
#ifndef DMP_LIVE_H
#define DMP_LIVE_H

#include "mmu/state.h"

enum dmp_life { DMP_DEAD, DMP_LIVE, DMP_LIVE_LOADED, DMP_LIFE_UNKNOWN };

/*
 * Climbing: the table that linked @table last, which need not link it any more; NULL: it is
 * no more, or another. And whether entry @index of @parent links @table.
 */
static inline struct dmp_table *dmp_table_parent(const struct dmp_mmu *mmu,
						 const struct dmp_table *table)
{
	struct dmp_table *parent = dmp_table_of(mmu, table->parent);

	return parent->id && parent->level == table->level + 1u ? parent : NULL;
}

static inline bool dmp_table_links(const struct dmp_mmu *mmu, const struct dmp_table *parent,
				   unsigned int index, const struct dmp_table *table)
{
	u64 machine = parent->entries[index];

	return machine & DMP_PTE_P && !dmp_is_trap(&mmu->paging, machine) &&
	       dmp_pte_gfn(machine) == table->hfn;
}

/*
 * Of the tables that the frame @gfn is: whether the loaded root reaches one, whether
 * another root does, or none. UNKNOWN: one may be reached, or not.
 */
enum dmp_life dmp_frame_life(struct dmp_mmu *mmu, u64 gfn);

/* Whether the loaded root surely reaches @table. */
bool dmp_table_is_loaded(struct dmp_mmu *mmu, struct dmp_table *table);

#endif /* DMP_LIVE_H */
