/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a set of machine tables is: its types, and how to get from one record to the next.
 * Inside the engine; machine.h has what the host calls.
 */
#ifndef DMP_STATE_H
#define DMP_STATE_H

#include "arch/paging.h"

#define DMP_SLOTS_MAX	64	/* ranges of guest-physical memory */
#define DMP_ROOTS_MAX	2048	/* address spaces kept, at the most */
#define DMP_SUSPECTS	8	/* see struct dmp_owed */
#define DMP_HASH_SIZE	4096	/* buckets: machine table by hfn */

/* Why the engine gave up. */
enum dmp_broken {
	DMP_BROKEN_NOT,
	DMP_BROKEN_NO_MEMORY,		/* the host had no page */
	DMP_BROKEN_TOO_MANY_TABLES,
	DMP_BROKEN_TABLE_NOT_RAM,	/* a guest table outside of RAM */
	DMP_BROKEN_ALIAS,		/* a writable mapping not found */
	DMP_BROKEN_UNTRACKED,		/* a table changed behind our back */
	DMP_BROKEN_COUNT,		/* a count does not add up */
	DMP_BROKEN_STUCK,		/* a fault that should not be */
	DMP_BROKEN_AUDIT,		/* see mmu->finding */
	DMP_BROKEN_ADDRESS,		/* the guest uses the implant's addresses */
	DMP_BROKEN_CODE,		/* spliced code mapped at a second address */
	DMP_BROKEN_EXPOSED,		/* the guest's kernel writes tables on a root that
					 * user mode runs on; see dmp_splicer.guarded
					 */
	DMP_BROKEN_HANDLER,		/* the guest changed its #PF handler */
	DMP_BROKEN_WORK,		/* one call would have taken too long */
	DMP_BROKEN_REASONS
};

/* By the low bits of its gfn: which root was loaded last. */
#define DMP_ROOT_HASH	256	/* a power of two */
#define DMP_ROOT_CHUNK_SHIFT 5	/* roots a page of struct dmp_root */
#define DMP_ROOT_CHUNKS	(DMP_ROOTS_MAX >> DMP_ROOT_CHUNK_SHIFT)

/* What the engine asks of its host. */
struct dmp_host_ops {
	/* A zeroed page: its hfn, 0 when there is none. */
	u64 (*alloc_page)(void *host);
	void (*free_page)(void *host, u64 hfn);
	/*
	 * No vCPU may use a translation cached before this call, global ones
	 * included. May be put off until the next entry to the guest.
	 */
	void (*flush_tlb)(void *host);
	/*
	 * Now and then in long work, NULL: never. The place to let others run;
	 * false, and the engine gives up (DMP_BROKEN_WORK).
	 */
	bool (*go_on)(void *host);
	/*
	 * For an implant only. The hfn of the page at an address of the host's
	 * among frame records, 0 when none of them is in use.
	 */
	u64 (*page_hfn)(void *host, const void *at);
};

/*
 * One frame of guest-physical memory. The host frame is constant while engaged
 * (it is pinned); the rest is kept by leaf.c and hold.c. Stubs read leaf and count
 * writable: see implant.h.
 */
struct dmp_frame {
	u64 leaf;		/* what a machine leaf of it may be at most:
				 * its address, P, A, D, and RW where writes
				 * need not trap; 0: no RAM behind this gfn
				 */
	u32 tables;		/* id of the first machine table of this gfn */
	u32 writable;		/* machine leaves that map it writable */
	u32 dmap_table;		/* where its first writable supervisor leaf is: */
	u16 dmap_index;		/*   table id (0: unknown) and index */
	u16 held : 11;		/* machine tables that need it read-only, and 1
				 * for code
				 */
	u16 code : 1;		/* spliced: code_page.c; or .lidt */
	u16 lidt : 1;		/* watched: lidt.c */
	u16 paired : 1;		/* promotion took the dmap leaf's pair, too */
	u16 aliased : 1;	/* promotion took other leaves */
};

#define DMP_HELD_MAX	2047	/* struct dmp_frame.held */

#define DMP_SLOT_RO	1u	/* guest writes are not for RAM */

#define DMP_FRAME_RO_BITS	(DMP_PTE_P | DMP_PTE_A | DMP_PTE_D)

static inline u64 dmp_frame_hfn(const struct dmp_frame *frame)
{
	return dmp_pte_gfn(frame->leaf);
}

/* The record of a frame that nothing is known of but its host frame. */
static inline struct dmp_frame dmp_frame_make(u64 hfn, u32 slot_flags)
{
	return (struct dmp_frame){
		.leaf = hfn << DMP_PAGE_SHIFT | DMP_FRAME_RO_BITS |
			(slot_flags & DMP_SLOT_RO ? 0 : DMP_PTE_RW),
	};
}

/* A run of guest frames; base_gfn in rising order, not overlapping. */
struct dmp_slot {
	u64 base_gfn;
	u64 npages;
	u32 flags;			/* DMP_SLOT_* */
	struct dmp_frame *frames;	/* npages of them, the host's memory */
};

#define DMP_TABLE_ROOT	1u	/* top level; copy is valid when not held */
#define DMP_TABLE_SPLIT	2u	/* part of a large guest leaf; no guest table */
#define DMP_TABLE_HELD	4u	/* counted in its frame's held */
#define DMP_TABLE_MIXED	8u	/* its frame is, or was, a table of two levels */
#define DMP_TABLE_OVERLAID 16u	/* the implant's space shows in it; space.c */
#define DMP_TABLE_CODE	32u	/* spliced code is mapped through it */
#define DMP_TABLE_CACHED 64u	/* stubs may know it; see .cache_slot */
#define DMP_TABLE_PATH	128u	/* stubs may write by a page mapped through it */
#define DMP_TABLE_REACHED 256u	/* by the loaded root; for settle_waiting() */
#define DMP_TABLE_CACHED_MORE 512u	/* at more places than .cache_slot */
#define DMP_TABLE_POOL	1024u	/* in no use; see pool.h */
#define DMP_TABLE_FULL	2048u	/* of pool.freed: has to be emptied first */
#define DMP_TABLE_TWICE	4096u	/* linked at two indices, or was: what it maps
				 * has addresses that climbing does not find
				 */
#define DMP_TABLE_USER	8192u	/* ROOT: user mode can run on it, or could; see
				 * dmp_space_look()
				 */

/* One machine table. */
struct dmp_table {
	u64 *entries;		/* DMP_ENTRIES machine entries */
	u64 *guest;		/* the guest's entries; NULL when SPLIT */
	u64 hfn;		/* of entries */
	u64 gfn;		/* of the guest's table; SPLIT: first gfn mapped */
	u64 attr;		/* SPLIT: the large guest leaf; ROOT: dmp_root.copy_hfn */
	u32 id;			/* 0: free */
	u32 next;		/* next table of the same gfn; free: next free */
	u32 hash_next;		/* next in its hash bucket */
	u32 links;		/* machine entries that link it; ROOT: 1 */
	u32 parent;		/* table that linked it last, and where */
	u16 parent_index;
	u16 flags;		/* DMP_TABLE_* */
	u16 cache_slot;		/* CACHED: where, if it still is */
	u8 level;
	u32 pair;		/* level 1: a table that maps many of the same
				 * frames at the same indices; ROOT: the other of
				 * two: see dmp_root_twin(); 0: none known
				 */
};

/* An address space. */
struct dmp_root {
	u32 table;		/* 0: free slot */
	u64 gfn;
	u64 copy_hfn;		/* page with the guest entries the machine root */
	u64 *copy;		/*   was made from; valid while not held */
	u64 stamp;		/* when loaded last, for LRU */
	u32 version;		/* of the space laid over it */
	bool lazy_d;		/* a user leaf may be read-only for its D */
	bool twin;		/* when last loaded next to the root beside it: of
				 * one user space
				 */
	u16 user;		/* where an entry for user space was last seen;
				 * DMP_ENTRIES: nowhere so far
				 */
	struct dmp_root *next;	/* of those of one hash */
};

struct dmp_splicer;

struct dmp_mmu_stats {
	u64 guest_faults, lazy_a, lazy_d, table_writes, no_ram, ro_writes;
	u64 spurious;		/* machine tables allowed the access already */
	u64 lazy_vmm;		/* the VMM's own walk had set A or D before */
	u64 repaired;		/* a machine entry was weaker than it should be */
	u64 promotions, demotions, alias_searches, splits;
	u64 root_loads, root_builds, root_syncs, root_evictions, stale_found;
	u64 entries_followed, flushes;
};

/* What the last audit found first. */
struct dmp_finding {
	const char *what;
	u64 gfn;		/* of the table or frame concerned */
	u64 guest, machine;	/* entries, where the finding is one */
	u32 index;
	u8 level;
};

#define DMP_CHUNK_SHIFT	5	/* tables a page of struct dmp_table */
#define DMP_CHUNKS_MAX	8192
#define DMP_CHUNK_PAGES	(DMP_CHUNKS_MAX / DMP_ENTRIES)

/* What a call finds out and leaves to its end, since it drops tables: dmp_mmu_settle(). */
struct dmp_owed {
	bool look;		/* what is .waiting may be live by now */
	bool lazy_d;		/* some leaf that was followed is read-only for its D */
	bool mixed;		/* a frame became a table of two levels */
	u32 emptied;		/* id: a root that is not loaded lost an entry of user
				 * space
				 */
	u64 suspect[DMP_SUSPECTS];	/* gfns of held frames that user space */
	u32 suspects;			/*   is about to write; so many */
};

/* Whether the loaded root reaches the table that is followed. */
enum dmp_reach {
	DMP_REACH_UNKNOWN,	/* it may be memory that the guest has freed */
	DMP_REACH_LOADED	/* surely */
};

struct dmp_mmu {
	const struct dmp_host_ops *ops;
	void *host;
	char *va_base;		/* hfn h is at va_base + (h << PAGE_SHIFT) */
	struct dmp_paging paging;

	struct dmp_slot slot[DMP_SLOTS_MAX];
	unsigned int slots;

	u32 hash[DMP_HASH_SIZE];
	/* Where the chunks are, a page of DMP_ENTRIES at a time: dmp_chunk(). */
	struct dmp_table **chunk_page[DMP_CHUNK_PAGES];
	u32 chunks;
	u32 free_table;

	struct dmp_splicer *splicer;	/* the tenant (tenant.h); NULL: there is none */

	struct dmp_root *root_chunk[DMP_ROOT_CHUNKS];	/* dmp_root_nth() */
	u32 root_end;			/* no root is at or behind this place */
	struct dmp_root *loaded;	/* NULL before the first load */
	u64 stamp;
	struct dmp_root *root_hash[DMP_ROOT_HASH];	/* by gfn */
	bool waiting;			/* a supervisor entry somewhere may lack
					 * A or D: when followed last its table
					 * was not surely live
					 */
	struct dmp_owed owed;

	u32 tables_max;			/* the host's limit; 0: DMP_CHUNKS_MAX's */
	u32 roots_max;			/* likewise; 0: DMP_ROOTS_MAX */
	u64 work_max;			/* and that of .work; 0: none */
	u64 work, work_most;		/* entries looked at in this call, and in
					 * the longest so far: scan.h
					 */
	u32 tables, roots;
	u64 pages;			/* host pages in use */
	enum dmp_broken broken;
	struct dmp_finding finding;
	struct dmp_mmu_stats stats;
};

#define DMP_READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define DMP_WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* The first reason counts. */
static inline void dmp_break(struct dmp_mmu *mmu, enum dmp_broken why)
{
	if (!mmu->broken)
		mmu->broken = why;
}

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

/* Root @i, below mmu->root_end. */
static inline struct dmp_root *dmp_root_nth(const struct dmp_mmu *mmu, u32 i)
{
	return &mmu->root_chunk[i >> DMP_ROOT_CHUNK_SHIFT]
		[i & ((1u << DMP_ROOT_CHUNK_SHIFT) - 1)];
}

/* The first root in use from place *@i on, which becomes the one behind it; NULL: none. */
static inline struct dmp_root *dmp_root_next(const struct dmp_mmu *mmu, u32 *i)
{
	struct dmp_root *root;

	while (*i < mmu->root_end) {
		root = dmp_root_nth(mmu, (*i)++);
		if (root->table)
			return root;
	}
	return NULL;
}

#define dmp_for_each_root(root, i, mmu) \
	for ((i) = 0; ((root) = dmp_root_next(mmu, &(i)));)

/* The top of @root, which is in use. */
static inline struct dmp_table *dmp_root_table(const struct dmp_mmu *mmu,
					       const struct dmp_root *root)
{
	return dmp_table_of(mmu, root->table);
}

/* The top of the loaded root: there is one. */
static inline struct dmp_table *dmp_loaded_top(const struct dmp_mmu *mmu)
{
	return dmp_root_table(mmu, mmu->loaded);
}

/*
 * The choke point: machine entries are set here. But the agent in the guest sets them, too,
 * and what it had begun when it was stopped is taken back by its log (take_back.c).
 */
static inline void dmp_entry_set(struct dmp_table *table, unsigned int index, u64 machine)
{
	DMP_WRITE_ONCE(table->entries[index], machine);
}

/* A TLB flush is owed before the next entry to the guest. */
static inline void dmp_flush(struct dmp_mmu *mmu)
{
	mmu->stats.flushes++;
	mmu->ops->flush_tlb(mmu->host);
}

#endif /* DMP_STATE_H */
