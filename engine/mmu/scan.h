/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking through tables: what it may cost, and what is worth a look.
 */
#ifndef DMP_SCAN_H
#define DMP_SCAN_H

#include "mmu/state.h"

/*
 * @n entries of tables are about to be looked at, one after the other: whatever may
 * be long says so. What a guest arranges in its memory decides how often that is
 * (each frame that becomes a table may cost a search through all others), so there
 * is an end to it. False: this is the end, and the engine is broken.
 */
bool dmp_work(struct dmp_mmu *mmu, u32 n);

/*
 * The first entry of @entries, from @i on, that is not zero; DMP_ENTRIES when
 * all are. Most tables are mostly empty.
 */
unsigned int dmp_entries_next(const u64 *entries, unsigned int i);

/* The first entry, from @i on, in which @a and @b differ; DMP_ENTRIES: there is none. */
unsigned int dmp_change_next(const u64 *a, const u64 *b, unsigned int i);

/* The next table in use after *@id, which becomes its id; NULL after the last. */
static inline struct dmp_table *dmp_table_next(const struct dmp_mmu *mmu, u32 *id)
{
	struct dmp_table *table;

	while (++*id < mmu->chunks << DMP_CHUNK_SHIFT) {
		table = dmp_table_of(mmu, *id);
		if (table->id && !(table->flags & DMP_TABLE_POOL))
			return table;
	}
	return NULL;
}

#endif /* DMP_SCAN_H */
