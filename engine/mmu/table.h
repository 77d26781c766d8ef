/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine tables, inside the engine: finding, making, linking, following.
 */
#ifndef DMP_TABLE_H
#define DMP_TABLE_H

#include "mmu/machine.h"

#define DMP_READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define DMP_WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* The first reason counts. */
static inline void dmp_break(struct dmp_mmu *mmu, enum dmp_broken why)
{
	if (!mmu->broken)
		mmu->broken = why;
}

/*
 * @n entries of tables are about to be looked at, one after the other: whatever may
 * be long says so. What a guest arranges in its memory decides how often that is
 * (each frame that becomes a table may cost a search through all others), so there
 * is an end to it. False: this is the end, and the engine is broken.
 */
bool dmp_work(struct dmp_mmu *mmu, u32 n);

static inline void *dmp_hfn_va(const struct dmp_mmu *mmu, u64 hfn)
{
	return mmu->va_base + (hfn << DMP_PAGE_SHIFT);
}

static inline u64 dmp_va_hfn(const struct dmp_mmu *mmu, const void *va)
{
	return (u64)((const char *)va - mmu->va_base) >> DMP_PAGE_SHIFT;
}

/* The page of table records number @c, below mmu->chunks. */
static inline struct dmp_table *dmp_chunk(const struct dmp_mmu *mmu, u32 c)
{
	return mmu->chunk_page[c / DMP_ENTRIES][c % DMP_ENTRIES];
}

/* The record of table @id: not 0, and of a chunk that there is. */
static inline struct dmp_table *dmp_table_of(const struct dmp_mmu *mmu, u32 id)
{
	return &dmp_chunk(mmu, id >> DMP_CHUNK_SHIFT)
		[id & ((1u << DMP_CHUNK_SHIFT) - 1)];
}

/* The top of the loaded root: there is one. */
static inline struct dmp_table *dmp_loaded_top(const struct dmp_mmu *mmu)
{
	return dmp_table_of(mmu, mmu->loaded->table);
}

/* Whether @root has an entry for user space where it had one last. */
static inline bool dmp_root_has_user(const struct dmp_mmu *mmu,
				     const struct dmp_root *root)
{
	return root->user < DMP_ENTRIES &&
	       dmp_table_of(mmu, root->table)->entries[root->user];
}

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

/*
 * The first entry of @entries, from @i on, that is not zero; DMP_ENTRIES when
 * all are. Most tables are mostly empty.
 */
unsigned int dmp_entries_next(const u64 *entries, unsigned int i);

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

/* The slot of @gfn; NULL when no memory is there. */
const struct dmp_slot *dmp_slot_find(const struct dmp_mmu *mmu, u64 gfn);

/* The frame record of @gfn; NULL when no RAM is there. */
struct dmp_frame *dmp_frame_find(const struct dmp_mmu *mmu, u64 gfn);

/* The machine table of @gfn at @level; NULL when there is none. */
struct dmp_table *dmp_table_find(const struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level);

/* The machine table that @hfn is; NULL when none is. */
struct dmp_table *dmp_table_by_hfn(const struct dmp_mmu *mmu, u64 hfn);

/*
 * The machine table of the guest table @gfn at @level, made from it when it
 * is new, with one link more. NULL when broken.
 */
struct dmp_table *dmp_table_get(struct dmp_mmu *mmu, u64 gfn,
				unsigned int level, u32 flags);

/* One link less; with the last, it and what only it links are given back. */
void dmp_table_put(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * The guest's entry @index of @table has changed from @old to @new: make the
 * machine entry follow. The one place where machine entries change for a
 * change of the guest's.
 */
void dmp_table_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		      unsigned int index, u64 old, u64 new);

/*
 * As follow(), for each held machine table of the guest table @gfn, where
 * @count entries from @first were @old and may have changed. @walked: the
 * level at which the CPU's walk has just come by, 0 when none has.
 */
void dmp_frame_follow(struct dmp_mmu *mmu, u64 gfn, unsigned int first,
		      unsigned int count, const u64 *old, unsigned int walked);

/*
 * One more, one less reason for @frame, no ROM, to be read-only everywhere. A
 * TLB flush is owed by the first; a vCPU of the guest's may not write it then.
 */
void dmp_frame_hold(struct dmp_mmu *mmu, struct dmp_frame *frame);
void dmp_frame_release(struct dmp_mmu *mmu, struct dmp_frame *frame);

/* The same for the frame of @table, which notes it. */
void dmp_table_hold(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_table_release(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * What one entry should be. The entry is index @index of @table; @guest is
 * the guest's entry (for a SPLIT table that of the large leaf). Only for
 * entries that are not links. *@frame: what a leaf maps, else NULL.
 */
u64 dmp_table_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		   unsigned int index, u64 guest, struct dmp_frame **frame);

/* The choke point for what is no translation: see space.c. */
void dmp_table_overlay(struct dmp_table *table, unsigned int index, u64 machine);

/*
 * Translate the leaf @index of the level-1 @table again, after what it depends
 * on but the guest's entry has changed.
 */
void dmp_table_refresh_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
			    unsigned int index);

/*
 * The level-1 table and index through which the loaded root maps @gva; NULL
 * when nothing of the guest's is mapped there.
 */
struct dmp_table *dmp_table_walk(const struct dmp_mmu *mmu, u64 gva,
				 unsigned int *index);

/*
 * The table that maps @frame as its direct mapping's does, at the same index;
 * NULL: none is known.
 */
struct dmp_table *dmp_table_pair(const struct dmp_mmu *mmu,
				 const struct dmp_frame *frame);

/* A TLB flush is owed before the next entry to the guest. */
static inline void dmp_flush(struct dmp_mmu *mmu)
{
	mmu->stats.flushes++;
	mmu->ops->flush_tlb(mmu->host);
}

/* Whether the loaded root surely reaches @table. */
bool dmp_table_is_loaded(struct dmp_mmu *mmu, struct dmp_table *table);

/* Whether a guest table can be at @gfn: RAM, and not ROM, which takes no A. */
bool dmp_table_may_be(const struct dmp_mmu *mmu, u64 gfn);

/*
 * At the end of each call from outside: a held frame that user space is about
 * to write is demoted if it is no live table. Not earlier, since this drops
 * tables.
 */
void dmp_mmu_settle(struct dmp_mmu *mmu);

/* Root @i, below mmu->root_end. */
static inline struct dmp_root *dmp_root_nth(const struct dmp_mmu *mmu, u32 i)
{
	return &mmu->root_chunk[i >> DMP_ROOT_CHUNK_SHIFT]
		[i & ((1u << DMP_ROOT_CHUNK_SHIFT) - 1)];
}

/* The root that @table is the top of. */
struct dmp_root *dmp_root_of(struct dmp_mmu *mmu, const struct dmp_table *table);

/*
 * One address space may have two roots, on pages side by side, of which one is written
 * while the other is loaded (Linux with page-table isolation). They are known by having
 * been loaded one after the other, with the same user space. The other one; NULL: none.
 */
struct dmp_root *dmp_root_twin(const struct dmp_mmu *mmu, const struct dmp_root *root);

/* @root, which may have been left while nobody looked, is let go of if it was. */
void dmp_root_leave(struct dmp_mmu *mmu, struct dmp_root *root);

/* Entry @index of @table, a root's, has been followed. */
void dmp_root_followed(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index);

/*
 * Whether the entry at @gpa, about to be written, is one of a held root that links
 * user space: who frees a root has taken that away before, so this is somebody who
 * takes it away, and to be followed, whether the root is loaded or not.
 */
bool dmp_root_unlinks(struct dmp_mmu *mmu, u64 gpa);

/*
 * @write is done, and not followed yet. Where it links anything in a root that is not
 * loaded that root is let go of, as it was before: what is there may be data by now.
 */
void dmp_root_written(struct dmp_mmu *mmu, const struct dmp_write *write);

#endif /* DMP_TABLE_H */
