/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine tables: what the hardware walks in place of the guest's tables.
 *
 * The host (KVM's port, or a test) owns one struct dmp_mmu for each engaged
 * VM. All calls that take it are made with its vCPUs outside of the guest and
 * under one lock of the host's: the engine itself is single-threaded. None
 * sleeps except through the host's own operations.
 *
 * Failure is always the same: something sets mmu->broken, with a reason, and
 * from then on nothing that the engine says may be used. The host drops all
 * machine tables and goes back to its own paging. The guest's memory is whole
 * at any moment, so nothing has to be undone.
 */
#ifndef DMP_MACHINE_H
#define DMP_MACHINE_H

#include "arch/paging.h"

#define DMP_SLOTS_MAX	64	/* ranges of guest-physical memory */
#define DMP_ROOTS_MAX	2048	/* address spaces kept, at the most */
#define DMP_SUSPECTS	8	/* see dmp_mmu.suspect */
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

const char *dmp_broken_name(enum dmp_broken why);

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
 * (it is pinned); the rest is kept by table.c. Stubs read leaf and count
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
	bool trusted;			/* what is followed now is surely live */
	bool waiting;			/* a supervisor entry somewhere may lack
					 * A or D: when followed last its table
					 * was not surely live,
					 */
	bool look;			/* and may be by now */
	bool lazy_d;			/* some leaf followed in this call is
					 * read-only for its D
					 */
	bool mixed;			/* a frame became a table of two levels in
					 * this call
					 */
	u32 emptied;			/* id: a root that is not loaded lost an
					 * entry of user space in this call
					 */
	u64 suspect[DMP_SUSPECTS];	/* gfns of held frames that user space */
	u32 suspects;			/*   is about to write; so many */

	u32 tables_max;			/* the host's limit; 0: DMP_CHUNKS_MAX's */
	u32 roots_max;			/* likewise; 0: DMP_ROOTS_MAX */
	u64 work_max;			/* and that of .work; 0: none */
	u64 work, work_most;		/* entries looked at in this call, and in
					 * the longest so far: table.h
					 */
	u32 tables, roots;
	u64 pages;			/* host pages in use */
	enum dmp_broken broken;
	struct dmp_finding finding;
	struct dmp_mmu_stats stats;
};

/*
 * A struct dmp_mmu begins as zeroed memory of the host's (some 30 KiB), with
 * ops, host, va_base, paging and the slots filled in; each frame is zero or made
 * by dmp_frame_make().
 */

/* Give back every page. The TLB is flushed first. */
void dmp_mmu_destroy(struct dmp_mmu *mmu);

/*
 * The guest loads CR3 with the table at @gfn: bring its machine root up to
 * date (building it whole when it is new) and return its hfn; 0 when broken.
 * Calling it with the loaded root costs a few instructions.
 */
u64 dmp_mmu_load_root(struct dmp_mmu *mmu, u64 gfn);

/*
 * The same for a root that is known and held, when there is nothing to do but
 * to say that it is the loaded one: neither sleeps, nor reads the guest's
 * memory, nor ever breaks. 0, and nothing has changed: load it the other way.
 */
u64 dmp_mmu_switch_root(struct dmp_mmu *mmu, u64 gfn);

/* What a fault turned out to be. */
enum dmp_fault_kind {
	DMP_FAULT_GUEST,	/* the guest's own: deliver with .error_code */
	DMP_FAULT_RESOLVED,	/* hidden, and resolved: resume the guest */
	DMP_FAULT_TABLE,	/* a write to a guest table: emulate */
	DMP_FAULT_EMULATE,	/* MMIO, a hole or ROM: emulate */
	DMP_FAULT_BROKEN,
};

struct dmp_fault {
	u64 gva;		/* in */
	u32 access;		/* in: DMP_ACCESS_* */
	u32 error_code;		/* out, GUEST */
	u64 gpa;		/* out, TABLE and EMULATE */
};

/*
 * A page fault was taken on the loaded root. Walks the guest's tables, sets A
 * and D in them as the hardware would when the access is allowed, and brings
 * the machine tables along.
 */
enum dmp_fault_kind dmp_mmu_fault(struct dmp_mmu *mmu, struct dmp_fault *fault);

/*
 * Where the host has the @count bytes that the loaded root maps at @gva, within a
 * page: what the CPU has fetched there, if it just has, unless the guest has changed
 * its tables meanwhile. NULL when no small page is mapped there. Sets no A; neither
 * sleeps nor ever breaks.
 */
const void *dmp_mmu_at(const struct dmp_mmu *mmu, u64 gva, unsigned int count);

/*
 * The VMM writes guest-physical memory on the guest's behalf. begin() notes
 * the entries that [gpa, gpa + bytes) touches before the write, end() follows
 * them after it. begin() returns false when no table lies there, or the write
 * is too long, which breaks the engine; then end() need not be called. At most
 * DMP_WRITE_MAX bytes, within one page: a string input, of which KVM reads so
 * much ahead, is the longest there is.
 */
#define DMP_WRITE_MAX	1024
struct dmp_write {
	u64 gfn;
	unsigned int first, count;	/* entries */
	u64 old[DMP_WRITE_MAX / 8 + 1];
};

bool dmp_mmu_write_begin(struct dmp_mmu *mmu, u64 gpa, unsigned int bytes,
			 struct dmp_write *write);
void dmp_mmu_write_end(struct dmp_mmu *mmu, const struct dmp_write *write);

/*
 * Whether @gfn, about to be written, is a live table. Lets go of a root that
 * is not loaded; drops machine tables that only address spaces
 * which are not loaded still seemed to link; so after false, a write there
 * needs no emulation.
 */
bool dmp_mmu_is_live_table(struct dmp_mmu *mmu, u64 gfn);

/*
 * The host's call, or several that it makes without a pause, is over: what comes
 * next may take as long again.
 */
static inline void dmp_mmu_call_ends(struct dmp_mmu *mmu)
{
	if (mmu->work > mmu->work_most)
		mmu->work_most = mmu->work;
	mmu->work = 0;
}

/* The host has seen what should not be, as a fault in the agent: it is over. */
void dmp_mmu_end(struct dmp_mmu *mmu, enum dmp_broken why);

/*
 * Check everything against everything. Returns true when all invariants hold;
 * else mmu->finding says what does not, and mmu is broken.
 */
bool dmp_mmu_audit(struct dmp_mmu *mmu);

#endif /* DMP_MACHINE_H */
