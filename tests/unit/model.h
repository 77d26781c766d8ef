/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine in user space: host memory, a CPU with a TLB that forgets only
 * when told to, a VMM around the engine, and beside it a plain MMU that runs
 * the same history on a copy of the guest's memory. Whatever differs, or
 * reaches what it should not, fails the test and says how to replay it.
 */
#ifndef MODEL_H
#define MODEL_H

#include "splicer/relic.h"
#include "splicer/start.h"

#define M_ROOTS		128	/* that the engine keeps */
#define M_HOST_PAGES	49152u
/* Above, the host's own: frame records (one array), then the implant. */
#define M_RECORD_PAGES	24u
#define M_IMPLANT_PAGES	(DMP_IMPLANT_BYTES / DMP_PAGE_SIZE)
#define M_HFNS		(M_HOST_PAGES + M_RECORD_PAGES + M_IMPLANT_PAGES)
#define M_TLB		96
#define M_PSC		32

/* Guest-physical layout, in frames. */
#define M_LOW_PAGES	1536u	/* RAM from 0 */
#define M_HOLE		200u	/* four frames in it that are none */
#define M_HOLE_PAGES	4u
#define M_ROM		1552u
#define M_ROM_PAGES	8u
#define M_MMIO		1600u	/* anything from here to M_HIGH */
#define M_HIGH		2048u
#define M_HIGH_PAGES	2048u
#define M_GFNS		4096u

enum page_state { PAGE_FREE, PAGE_GUEST, PAGE_ENGINE, PAGE_HOST };

struct tlb_entry {
	bool valid, global, rw, us, nx;
	u16 pcid;
	u64 page, hfn;
};

/* A paging-structure cache entry: the table that serves @prefix at @level. */
struct psc_entry {
	bool valid, rw, us, nx;
	u8 level;
	u16 pcid;
	u64 prefix, hfn;
};

struct machine {
	struct dmp_mmu *mmu;
	char *arena;			/* host pages; hfn h at (h - 1) * 4096 */
	u8 *state;			/* enum page_state, by hfn */
	u32 *gfn_of;			/* PAGE_GUEST: by hfn */
	u32 *free;			/* stack of free hfns */
	u32 nfree;
	u64 *hfn_of;			/* by gfn; 0: no RAM */
	char *ref;			/* the plain MMU's memory, by gfn */
	struct dmp_frame *records;	/* by gfn */
	struct dmp_splicer *splicer;	/* NULL: no implant */
	struct dmp_relics relics;	/* of splicers gone by */
	u64 rip;			/* who writes; 0: nobody that is spliced */
	u64 stub_hits, stub_stops, stub_misses;
	u64 agent_dones, agent_stops, agent_asks, agent_links, agent_unlinks;
	u64 agent_answers[3];		/* of faults: DMP_AGENT_* */
	u64 agent_lazy_d;		/* resolved: A was there, D is new */
	u64 pool_empty, pool_full;	/* seen by the agent */
	u32 agent_stop;			/* at this step; 0: now and then at any */
	u32 agent_room;			/* in its log; 0: mostly all of it */
	bool calm;			/* nothing is stopped but by what is above */
	u64 switches;		/* of roots, the quick way */
	u64 targets;		/* and those that the guest loads by itself, */
	u32 target_count;	/*   of at most so many; before m_splice() */
	bool guarded;		/* dmp_splicer.guarded; before m_splice() */
	bool no_lidt_exit;	/* dmp_lidts.watched; likewise */
	u64 hidings, elsewhere;	/* seen: loaded roots without the private region, and
				 * faults there that the agent looks at on another
				 */

	struct tlb_entry tlb[M_TLB];
	struct psc_entry psc[M_PSC];
	u64 cr3_gfn, cr3_hfn;
	u16 pcid;

	u64 allocs, fail_at;		/* fail every allocation from this one, */
	bool fail_once;			/*   or this one only */
	u64 worked;			/* tables and searches so far */
	u64 pauses, stop_at;		/* in long work; give up at this one */
	u64 live_pages;			/* the engine's */
	bool broken;			/* the engine gave up: plain paging now */
	bool hostile;			/* only safety counts */
	u32 may_break;			/* reasons, by bit, that are no failure */
	bool unsynced;			/* host wrote A, D on its own (see doc) */
	unsigned int pending;		/* table changes not flushed yet */
	bool in_engine;

	/* A write that another CPU does while the engine flushes. */
	u64 race_gva, race_value;
	bool race_armed;
	u64 races;

	u64 rng, seed, step;
	const char *op;
	u64 accesses, hits, faults[8];
};

/* What the plain MMU says of an access. */
enum ref_kind { REF_MAPPED, REF_FAULT, REF_NO_TABLE };
struct ref_walk {
	enum ref_kind kind;
	u32 error_code;
	u64 gfn;			/* of the byte accessed */
	unsigned int leaf;
	u64 table[DMP_LEVEL_MAX + 1];	/* gfn, by level */
	unsigned int index[DMP_LEVEL_MAX + 1];
	bool rw, us, nx, global;
};

/* The outcome of an access, to the guest. */
enum outcome { ACCESS_DONE, ACCESS_FAULT, ACCESS_DEVICE };

u64 m_random(struct machine *m);
u64 m_below(struct machine *m, u64 n);
bool m_chance(struct machine *m, unsigned int percent);

void m_start(struct machine *m, u64 seed, unsigned int levels, u16 flags);
void m_engage(struct machine *m);
/* Ends the engine's part; everything it had must come back. */
void m_disengage(struct machine *m);
void m_stop(struct machine *m);

__attribute__((format(printf, 2, 3), noreturn))
void m_fail(struct machine *m, const char *fmt, ...);

u64 *m_ref(struct machine *m, u64 gfn);
u64 *m_real(struct machine *m, u64 gfn);
bool m_is_ram(struct machine *m, u64 gfn);
bool m_is_rom(u64 gfn);

void m_ref_walk(struct machine *m, u64 root, u64 gva, u32 access,
		struct ref_walk *walk);

/* An access of @bytes (within a page) by the CPU; a write stores @data. */
enum outcome m_access(struct machine *m, u64 gva, u32 access, const void *data,
		      unsigned int bytes, u32 *error_code);

/* MOV to CR3. */
void m_load_cr3(struct machine *m, u64 gfn, u16 pcid, bool noflush);
void m_invlpg(struct machine *m, u64 gva);
void m_flush_all(struct machine *m);

/* The VMM stores to guest memory on a device's or its own behalf. */
void m_vmm_write(struct machine *m, u64 gpa, const void *data,
		 unsigned int bytes);
/* The VMM's own page walk sets A (and D) behind the engine's back. */
void m_vmm_walk(struct machine *m, u64 gva, bool write);

/* Fill the TLB speculatively. */
void m_speculate(struct machine *m, u64 gva);

void m_check_tlb(struct machine *m);
void m_check_tables(struct machine *m);
void m_check_memory(struct machine *m);
void m_check_machine(struct machine *m);
void m_audit(struct machine *m);

/* model_splice.c: an implant for the engaged machine; its refusal. */
enum dmp_start_refusal m_splice(struct machine *m, u64 handler, u64 gate);
/* The machine's leaf for @gva, overlays included; 0: none. */
u64 m_machine_leaf(struct machine *m, u64 gva);
/* The guest frame that host page @hfn shows: its own, or as a code copy. */
u64 m_shown_gfn(struct machine *m, u64 hfn);
void m_check_cache(struct machine *m);
/* Between the agent's steps: it is stopped at one of them, from 1. */
#define M_AGENT_STEPS	64
void m_check_space(struct machine *m);
/* The loaded root shows the private region unless user mode can run on it. */
void m_check_hidden(struct machine *m);
/* Where it is executed, each code page differs at its sites and nowhere else. */
void m_check_code(struct machine *m);

/* Whether the engine holds @gfn as a table. */
bool m_is_held(struct machine *m, u64 gfn);

/* Whether any root the engine knows reaches @gfn, by the guest's memory. */
bool m_is_linked(struct machine *m, u64 gfn);

#endif /* MODEL_H */
