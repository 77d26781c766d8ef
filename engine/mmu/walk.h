/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walking machine tables by an address, as the CPU does, but by their records.
 *
 *	struct dmp_walk w;
 *
 *	dmp_for_each_level(&w, mmu, root, gva)
 *		look at w.entry, which is entry w.index of w.table, of w.level;
 *	w.end says why there was no table below; w.entry and w.level stay.
 */
#ifndef DMP_WALK_H
#define DMP_WALK_H

#include "mmu/record.h"

enum dmp_walk_end {
	DMP_WALK_LEAF,		/* a level-1 entry that maps a page */
	DMP_WALK_ABSENT,	/* an entry without P */
	DMP_WALK_TRAP,		/* one that faults for the VMM's sake */
	DMP_WALK_FOREIGN	/* what it links is no table of the VM's: the implant's */
};

struct dmp_walk {
	const struct dmp_mmu *mmu;
	u64 gva;
	struct dmp_table *table;	/* NULL: behind the last one */
	u64 entry;
	unsigned int level, index;
	enum dmp_walk_end end;
};

static inline void dmp_walk_at(struct dmp_walk *w, struct dmp_table *table)
{
	w->table = table;
	w->level = table->level;
	w->index = dmp_index(w->gva, table->level);
	w->entry = table->entries[w->index];
}

/* @top, the first table, is often the loaded root's, but need not be one. */
static inline void dmp_walk_start(struct dmp_walk *w, const struct dmp_mmu *mmu,
				  const struct dmp_table *top, u64 gva)
{
	w->mmu = mmu;
	w->gva = gva;
	dmp_walk_at(w, dmp_table_of(mmu, top->id));
}

static inline void dmp_walk_down(struct dmp_walk *w)
{
	struct dmp_table *below = NULL;

	if (!(w->entry & DMP_PTE_P)) {
		w->end = DMP_WALK_ABSENT;
	} else if (dmp_is_trap(&w->mmu->paging, w->entry)) {
		w->end = DMP_WALK_TRAP;
	} else if (w->level == 1) {
		w->end = DMP_WALK_LEAF;
	} else {
		w->end = DMP_WALK_FOREIGN;
		below = dmp_table_by_hfn(w->mmu, dmp_pte_gfn(w->entry));
	}
	if (below)
		dmp_walk_at(w, below);
	else
		w->table = NULL;
}

#define dmp_for_each_level(w, mmu, top, gva) \
	for (dmp_walk_start(w, mmu, top, gva); (w)->table; dmp_walk_down(w))

/*
 * The level-1 table and index through which the loaded root maps @gva; NULL
 * when nothing of the guest's is mapped there.
 */
static inline struct dmp_table *dmp_table_walk(const struct dmp_mmu *mmu,
					       u64 gva, unsigned int *index)
{
	struct dmp_walk w;

	*index = dmp_index(gva, 1);
	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva)
		if (w.level == 1)
			return w.table;
	return NULL;
}

#endif /* DMP_WALK_H */
