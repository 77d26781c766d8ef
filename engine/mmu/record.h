/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records of slots, frames, tables and roots: made, given back, and found.
 */
#ifndef DMP_RECORD_H
#define DMP_RECORD_H

#include "mmu/state.h"

/* The slot of @gfn; NULL when no memory is there. */
const struct dmp_slot *dmp_slot_find(const struct dmp_mmu *mmu, u64 gfn);

/* The frame record of @gfn; NULL when no RAM is there. */
struct dmp_frame *dmp_frame_find(const struct dmp_mmu *mmu, u64 gfn);

/* Whether a guest table can be at @gfn: RAM, and not ROM, which takes no A. */
bool dmp_table_may_be(const struct dmp_mmu *mmu, u64 gfn);

/* The machine table of @gfn at @level; NULL when there is none. */
struct dmp_table *dmp_table_find(const struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level);

/* The machine table that @hfn is; NULL when none is. */
struct dmp_table *dmp_table_by_hfn(const struct dmp_mmu *mmu, u64 hfn);

/*
 * A table record with a zeroed page, in the hash, which is nothing but that
 * (DMP_TABLE_POOL); NULL, and broken, without memory. And it is no more: a TLB flush is
 * owed already, since the guest's CPU may know the page.
 */
struct dmp_table *dmp_table_make(struct dmp_mmu *mmu);
void dmp_table_unmake(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * Such a one for @level, without links: new, or one the tenant had to spare; NULL, and
 * broken, without memory, or if there are too many. Given back empty, but for what
 * shows the implant.
 */
struct dmp_table *dmp_table_alloc(struct dmp_mmu *mmu, unsigned int level,
				  u32 flags);
void dmp_table_free(struct dmp_mmu *mmu, struct dmp_table *table);

/* All entries of a table that nothing links, and that counts nowhere. */
void dmp_table_empty(struct dmp_table *table);

/* The root of whatever address space has its top at @gfn; NULL: none is kept. */
struct dmp_root *dmp_root_find(const struct dmp_mmu *mmu, u64 gfn);

/* The root that @table is the top of. */
struct dmp_root *dmp_root_of(struct dmp_mmu *mmu, const struct dmp_table *table);

/*
 * One address space may have two roots, on pages side by side, of which one is written
 * while the other is loaded (Linux with page-table isolation). They are known by having
 * been loaded one after the other, with the same user space. The other one; NULL: none.
 */
struct dmp_root *dmp_root_twin(const struct dmp_mmu *mmu, const struct dmp_root *root);

/* Whether @root has an entry for user space where it had one last. */
static inline bool dmp_root_has_user(const struct dmp_mmu *mmu,
				     const struct dmp_root *root)
{
	return root->user < DMP_ENTRIES &&
	       dmp_root_table(mmu, root)->entries[root->user];
}

/* @root is found by its gfn from now on; and no longer, if it was. */
void dmp_root_hash(struct dmp_mmu *mmu, struct dmp_root *root);
void dmp_root_unhash(struct dmp_mmu *mmu, const struct dmp_root *root);

#endif /* DMP_RECORD_H */
