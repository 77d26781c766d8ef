/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine tables: made, linked, followed, unlinked.
 */
#ifndef DMP_TABLE_H
#define DMP_TABLE_H

#include "mmu/state.h"

/*
 * The machine table of the guest table @gfn at @level, made from it when it
 * is new, with one link more. NULL when broken. @reach: as of follow().
 */
struct dmp_table *dmp_table_get(struct dmp_mmu *mmu, u64 gfn,
				unsigned int level, u32 flags, enum dmp_reach reach);

/* One link less; with the last, it and what only it links are given back. */
void dmp_table_put(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * The guest's entry @index of @table has changed from @old to @new: make the
 * machine entry follow. The one place where machine entries change for a
 * change of the guest's. @reach: of @table, which decides whether A and D may be set in
 * it at once; of no use when @new is 0.
 */
void dmp_table_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		      unsigned int index, u64 old, u64 new, enum dmp_reach reach);

/*
 * As follow(), for each held machine table of the guest table @gfn, where
 * @count entries from @first were @old and may have changed. @walked: the
 * level at which the CPU's walk has just come by, 0 when none has.
 */
void dmp_frame_follow(struct dmp_mmu *mmu, u64 gfn, unsigned int first,
		      unsigned int count, const u64 *old, unsigned int walked);

#endif /* DMP_TABLE_H */
