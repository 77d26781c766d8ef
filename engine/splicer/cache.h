/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tagged cache by which stubs know guest tables: from the page of the
 * guest's by which a table is written to the table and its machine table.
 * What the VMM does with it; stubs read it, and copy its entries to
 * dmp_implant.last.
 *
 * An entry stands as long as the machine table does, its frame is a table of
 * level 1 and no other, and the kernel's mapping of the page is unchanged.
 */
#ifndef DMP_CACHE_H
#define DMP_CACHE_H

#include "splicer/state.h"

/* Forget everything. */
void dmp_cache_flush(struct dmp_mmu *mmu);

/* Forget @table; what is a table at @frame. */
void dmp_cache_drop_table(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_cache_drop_frame(struct dmp_mmu *mmu, const struct dmp_frame *frame);

/*
 * The loaded root's mapping of @gva, in the kernel's half, has led a write to
 * the table at @gfn: let stubs know. Those of level 1, and no other, they serve
 * themselves; of others they write the entry and leave the rest to the VMM.
 */
void dmp_cache_fill(struct dmp_mmu *mmu, u64 gva, u64 gfn);

/*
 * @table is new, and held: the guest's kernel will write it next, by its direct
 * mapping most likely. Saves the trap by which the cache would find out.
 */
void dmp_cache_learn(struct dmp_mmu *mmu, struct dmp_table *table);

/* The link @index of @table, of a path to what stubs know, has changed. */
void dmp_cache_path_changed(struct dmp_mmu *mmu, const struct dmp_table *table,
			    unsigned int index);

/* Whether what stubs know holds with @table's root loaded, too. */
bool dmp_cache_suits(const struct dmp_mmu *mmu, const struct dmp_table *table);

/* Another root has been loaded: it may map the pages to other tables. */
void dmp_cache_switch_root(struct dmp_mmu *mmu);

#endif /* DMP_CACHE_H */
