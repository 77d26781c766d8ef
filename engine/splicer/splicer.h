/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Splicing a guest: the implant's life, the sites, and taking a vCPU out of
 * the implant. The parts: space.h (where it is), code_page.h (the guest's code as
 * it sees it executed), cache.h (what stubs know), splice.h and stub.h (what
 * is written), filter.h (what stands before the guest's #PF handler).
 *
 * Calls as in mmu/machine.h, but for dmp_splicer_leave().
 */
#ifndef DMP_SPLICER_H
#define DMP_SPLICER_H

#include "splicer/code_page.h"
#include "code/filter.h"
#include "splicer/lidt.h"
#include "splicer/relic.h"
#include "splicer/space.h"
#include "code/stub.h"

/* A root in dmp_implant.target, by what it was when it came there. */
struct dmp_target {
	struct dmp_root *root;
	u64 gfn, hfn;
	u64 cr3;
};

#define DMP_SITES_MAX	192
#define DMP_ROOMS_MAX	64
#define DMP_LANDINGS_MAX 128	/* pages */

/* Traps at one instruction before it is replaced, by default. */
#define DMP_SITE_THRESHOLD	8u
/* Undone so often it is left alone; each time asks for twice the traps. */
#define DMP_SITE_UNDOS_MAX	4u

/* Why there is no implant. */
enum dmp_start_refusal {
	DMP_START_OK,
	DMP_START_HANDLER,	/* the guest's #PF handler cannot be spliced */
	DMP_START_NO_ROOM,	/* no addresses that the guest leaves alone */
	DMP_START_LAYOUT,	/* guest memory too scattered for its records */
	DMP_START_BROKEN,	/* see mmu->broken */
	/* The host's own; dmp_splicer_start() is not called then. */
	DMP_START_UNTRUSTED,	/* nobody has said that the guest is trusted */
	DMP_START_MAKER,	/* the VM's maker may not read the host's memory */
	DMP_START_LOCKDOWN,	/* nor may anybody: the host is locked down */
	DMP_START_CPU,		/* not on this kind of CPU yet */
	DMP_START_DEBUG,	/* the guest has a breakpoint in its kernel */
	DMP_START_DEBUGGER,	/* the host's user space debugs it */
	DMP_START_CODE,		/* its handler, or a site, is mapped twice */
	DMP_START_EXPOSED,	/* its user mode could read what the implant maps */
	DMP_START_REASONS
};

const char *dmp_start_refusal_name(enum dmp_start_refusal why);

enum dmp_site_state {
	DMP_SITE_FREE,
	DMP_SITE_COUNTING,
	DMP_SITE_SPLICED,
	DMP_SITE_UNDONE,	/* counting again */
	DMP_SITE_REFUSED,
	DMP_SITE_COVERED,	/* replaced in the splice of another */
	DMP_SITE_STATES
};

/* Why a site is refused, beyond enum dmp_splice_refusal, _stub_refusal. */
enum dmp_site_refusal {
	DMP_SITE_OK,
	DMP_SITE_PLAN,		/* site->plan_refusal */
	DMP_SITE_STUB,		/* site->stub_refusal */
	DMP_SITE_NO_ROOM,	/* no place within reach */
	DMP_SITE_CODE,		/* its page cannot be spliced, see code_page.h */
	DMP_SITE_OVERLAPS,	/* another splice is there */
	DMP_SITE_UNDONE_OFTEN,
	DMP_SITE_ASKED,		/* somebody asked for it */
	DMP_SITE_ENTERED,	/* it is code in the middle of an instruction, too */
	DMP_SITE_REASONS
};

const char *dmp_site_state_name(enum dmp_site_state state);

/* How a site is diverted. */
enum dmp_tactic {
	DMP_TACTIC_NONE,	/* it is not */
	DMP_TACTIC_JMP,		/* JMP over the instruction */
	DMP_TACTIC_DISPLACED,	/* and over some that follow, which are moved */
	DMP_TACTIC_PROLOGUE,	/* all are moved: what stands before a handler */
	DMP_TACTICS
};

const char *dmp_tactic_name(enum dmp_tactic tactic);

/*
 * What a site has shown before it was undone and spliced anew, and what the
 * guest had there then. A site is spliced DMP_SITE_UNDOS_MAX times at the most.
 */
struct dmp_site_past {
	u8 bytes[DMP_SPLICE_BYTES_MAX];
	u8 original[DMP_SPLICE_BYTES_MAX];
	u8 shown;
};

struct dmp_site {
	u64 rip;
	u8 state;		/* enum dmp_site_state */
	u8 refusal;		/* enum dmp_site_refusal */
	u8 detail;		/* of PLAN or STUB: their enums */
	u8 form;		/* enum dmp_insn_form, of .insn */
	u8 undos;
	bool is_cr3;		/* what exited there reads or writes CR3 */
	bool written_back;	/* see dmp_site_show_again() */
	u16 code;		/* index in splicer->code */
	u64 traps;		/* before it was spliced, in all */
	u64 since;		/* since then */
	u64 finished;		/* hypercalls of its stub */
	struct dmp_stub stub;	/* valid once spliced; stays as a tombstone */
	u64 landing;		/* what the splice leads to, and leads to the */
				/*   stub: room.h; 0: to the stub itself */
	/*
	 * Bytes of the splice, and the guest's own. They outlive the splice:
	 * see dmp_site_remember().
	 */
	u8 bytes[DMP_SPLICE_BYTES_MAX];
	u8 original[DMP_SPLICE_BYTES_MAX];
	u8 shown;		/* so many of them; 0: never spliced */
	u8 pasts;
	struct dmp_site_past past[DMP_SITE_UNDOS_MAX - 1];
	/* The instruction at .rip, when it was last tried; 0 bytes: not known. */
	u8 insn_len;
	u8 insn[DMP_INSN_LEN_MAX];
};

/* That of a site which is spliced; DMP_TACTIC_NONE of others. */
enum dmp_tactic dmp_site_tactic(const struct dmp_site *site);

/* The reason as text: the site's, or that of the part that refused it. */
const char *dmp_site_refusal_name(const struct dmp_site *site);

/* A page of stubs, or of landings (.used says nothing). */
struct dmp_room {
	u64 gva;
	u8 *page;
	u32 used;
};

/*
 * A hypercall that stands for MOV to CR3. They are looked up by their address
 * alone, at each of them: see dmp_splicer_cr3_call().
 */
struct dmp_cr3_call {
	u64 rip;		/* of the hypercall */
	u64 home;		/* of the instruction */
	u8 reg;			/* that it loads CR3 from */
};

/* There are few; what is hot is replaced, and found, first. */
#define DMP_CR3_CALLS	16

/* The host allocates it, zeroed, with .implant, and frees it in the end. */
struct dmp_splicer {
	struct dmp_implant *implant;	/* the host's address of it, aligned */
	u64 implant_hfn;		/* physically contiguous */
	u8 hypercall[DMP_STUB_HYPERCALL];
	u32 threshold;
	struct dmp_relics *relics;	/* of the VM's earlier engagements, and for
					 * those to come; NULL: nobody keeps them
					 */
	u32 targets;			/* CR3 values that the CPU lets pass; 0:
					 * none, DMP_TARGETS_MAX at the most
					 */
	bool guarded;			/* the host's CPU lets user mode read what
					 * is the kernel's (Meltdown): no root that
					 * user mode can run on has the private region
					 */

	bool active;
	bool unsettled;			/* see dmp_splicer_settle() */
	u64 implant_gva, filter_gva, agent_gva;
	u8 *filter;			/* its code, the host's address */
	u64 deliver_gva;		/* what the handler's splice displaced */
	u64 public_start, public_end;	/* all that is executable is inside */
	u64 frames_gva;
	u64 private_gva, private_bytes;	/* the private region */
	u64 slow_gva;			/* a page that stubs take for a machine
					 * table which they do not understand
					 */
	u16 cache_top;			/* top-level index of what is cached */
	u64 cache_link;			/* and the machine entry there */
	u64 cache_text;			/* and that for the kernel's code */
	struct dmp_root *filter_root;	/* whose .state the implant has */
	u64 handler_link;		/* the top-level entry of the handler's */

	struct dmp_site prologue;	/* the splice of the #PF handler */
	u64 gate_gfn;			/* frame and offset of its IDT gate; */
	u32 gate_offset;
	u32 gate_table;			/*   0: not watched; and the leaf */
	u16 gate_index;			/*   that maps it */

	struct dmp_room room[DMP_ROOMS_MAX], landing[DMP_LANDINGS_MAX];
	u32 rooms, landings;
	u32 sites;			/* used, at the beginning of site[] */
	struct dmp_site site[DMP_SITES_MAX];
	struct dmp_cr3_call cr3_call[DMP_CR3_CALLS];
	u32 cr3_calls;			/* noted so far: the last ones are there */
	struct dmp_code_page code[DMP_CODES_MAX];
	struct dmp_space space;
	struct dmp_lidts lidts;
	struct dmp_target target[DMP_TARGETS_MAX];	/* target.h */
	u32 targets_used;		/* at the beginning of target[] */
	u32 targets_version;		/* changes with their machine values */
	u64 stubs, undone, finished, resolved;
};

/* What the host knows when it starts an implant. */
struct dmp_start {
	u64 handler;		/* gva that IDT gate 14 leads to */
	u64 gate;		/* gva of that gate */
	u64 host_pages;		/* no hfn is above */
	struct dmp_frame *frames;	/* the records are one array: of gfn 0 */
	u64 gfns;		/* so many */
};

/**
 * dmp_splicer_start() - place the implant and splice the #PF handler
 * @mmu: engaged, with a root loaded
 * @splicer: zeroed but for .implant, .implant_hfn, .hypercall, .threshold,
 *	.relics, .targets, .guarded
 * @start: see there
 *
 * On a refusal nothing has changed, and it may be tried again later: a guest
 * that boots has other handlers first. Unless mmu->broken.
 */
enum dmp_start_refusal dmp_splicer_start(struct dmp_mmu *mmu,
					 struct dmp_splicer *splicer,
					 const struct dmp_start *start);

/* Give back what the engine allocated; the splicer itself is the host's. */
void dmp_splicer_destroy(struct dmp_mmu *mmu);

/*
 * A page of the engine's, zeroed, at @gva of the implant; NULL, and broken,
 * without memory. @flags: DMP_SPACE_*.
 */
void *dmp_splicer_add_page(struct dmp_mmu *mmu, u64 gva, u32 flags);

/*
 * The page @hfn is the VM's, a machine table, a root's copy, or guest memory: the
 * window shows it. And it is no more: the caller flushes the TLB.
 */
bool dmp_splicer_show(struct dmp_mmu *mmu, u64 hfn);
void dmp_splicer_hide(struct dmp_mmu *mmu, u64 hfn);

/* A new page of table records: likewise. */
bool dmp_splicer_show_chunk(struct dmp_mmu *mmu, u32 chunk);

/* For tenant.c: at the end of each call from outside. */
void dmp_splicer_settle(struct dmp_mmu *mmu);

/* Splices that bytes [first, end) of code page @code touch are undone. */
void dmp_splicer_undo_range(struct dmp_mmu *mmu, unsigned int code,
			    unsigned int first, unsigned int end);

/*
 * Replace the instructions at site->rip; site->state says whether it was done.
 * @flags: as of dmp_splice_plan().
 */
void dmp_site_install(struct dmp_mmu *mmu, struct dmp_site *site, u32 flags);

/*
 * A guest that read its code where it is executed saw splices, and may write
 * back what it saw: a probe that is taken away does. Bytes [*first, *end) of
 * code page @code were written, which what is changed here is added to. Where
 * those are what a site has shown, now or ever, the guest's own are put there.
 * Not where the rest of the site's place has something else: a guest that
 * patches a jump of its own into it writes the JMP's opcode last, which is the
 * splice's, too. And INT3 by itself is the guest's: a probe.
 */
void dmp_site_remember(struct dmp_mmu *mmu, unsigned int code,
		       unsigned int *first, unsigned int *end);

/*
 * After that, and when copies are refreshed: who writes back what it saw may look
 * whether it is there. Linux does, and has a BUG() for it (text_poke(), which takes
 * a probe away). Where the guest's own is whole again, and the splice was what
 * it has written, the splice is shown once more, as if not undone; or made anew, if
 * it was one of an earlier engagement.
 */
void dmp_site_show_again(struct dmp_mmu *mmu, unsigned int code);

/* Undo one splice. */
void dmp_site_undo(struct dmp_mmu *mmu, struct dmp_site *site,
		   enum dmp_site_refusal why);

/*
 * An instruction of the kernel's at @rip has written the guest table at @gfn
 * by @gva, and trapped. Counts, and splices when it is time.
 */
void dmp_site_trap(struct dmp_mmu *mmu, u64 rip, u64 gva, u64 gfn);

/*
 * An instruction of the kernel's at @rip has read or written CR3, and exited.
 * Counts, and splices when it is time: what stands before it, if that is one of
 * them, too, and its splice would reach over this one.
 */
void dmp_site_trap_cr3(struct dmp_mmu *mmu, u64 rip);

/*
 * The hypercall at @rip, if it stands for a MOV to CR3; NULL: it does not, or
 * is not known because a later one has taken its place. Lock: as for
 * dmp_splicer_leave(). The guest goes on DMP_STUB_HYPERCALL bytes behind it.
 */
static inline const struct dmp_cr3_call *
dmp_splicer_cr3_call(const struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_cr3_call *call = splicer->cr3_call;
	const struct dmp_cr3_call *end = call + DMP_CR3_CALLS;

	for (; call < end && call->rip; call++)
		if (call->rip == rip)
			return call;
	return NULL;
}

/*
 * Whether #PF leads to the filter while @table's root is loaded: its handler, where that
 * can be executed, is the copy. By the same top-level entry as in the root that
 * it was spliced in, or looked up. A guest may have tables of its own for the
 * handler in some roots (Linux with page-table isolation).
 */
bool dmp_splicer_suits(const struct dmp_mmu *mmu, const struct dmp_table *table);

/*
 * Bring the implant up to date for the root @root, of @table, which is about to
 * be the loaded one, if there is nothing else to do for it; else false, and
 * nothing has changed. For dmp_mmu_switch_root().
 */
bool dmp_splicer_try_root(struct dmp_mmu *mmu, struct dmp_root *root,
			  const struct dmp_table *table);

/*
 * ---- Leaving the implant ----
 */

enum dmp_left_kind {
	DMP_LEFT_OUTSIDE,	/* it was not in the implant */
	DMP_LEFT_HOME,		/* registers are the guest's own */
	/*
	 * At the guest's #PF handler, with the frame the CPU made: the fault
	 * has to be looked at (the filter asks), or may be left to the filter
	 * as long as there is one (it had only begun).
	 */
	DMP_LEFT_FAULT_ASKED,
	DMP_LEFT_FAULT_BEGUN,
	/*
	 * The fault is resolved: unwind the frame at RSP (no error code).
	 */
	DMP_LEFT_UNWIND,
};

/* Whether the guest has loaded another root by itself; target.h. */
enum dmp_switched {
	DMP_SWITCHED_NOT,
	DMP_SWITCHED_ONLY,	/* and nothing else is unfinished */
	DMP_SWITCHED_TOO
};

struct dmp_left {
	enum dmp_left_kind kind;
	/* Then dmp_splicer_finish() has to be called, before anything else. */
	bool unfinished;
	u8 switched;		/* enum dmp_switched: the host's, with .unfinished */
	bool away;		/* CR3 may not be the loaded root's: load it */
	struct dmp_stub_exit stub;
	struct dmp_filter_left filter;
	struct dmp_site *site;
};

static inline bool dmp_splicer_has(const struct dmp_splicer *splicer, u64 rip)
{
	return rip - splicer->public_start <
	       splicer->public_end - splicer->public_start ||
	       rip == splicer->prologue.rip;
}

/*
 * Code of the implant's at @rip has faulted at @gva, in the private region: the loaded
 * root does not show it, where .guarded says so. Any lock.
 */
static inline bool dmp_splicer_is_exposed(const struct dmp_splicer *splicer, u64 rip,
					  u64 gva)
{
	return splicer->guarded && dmp_splicer_has(splicer, rip) &&
	       gva - splicer->private_gva < splicer->private_bytes;
}

static inline bool dmp_splicer_in_agent(const struct dmp_splicer *splicer,
					u64 rip)
{
	return rip - splicer->agent_gva < DMP_AGENT_CODE_BYTES;
}

/*
 * Take the vCPU out of the implant, if it is in there. Changes nothing of the
 * engine's: no lock is needed as long as the splicer stays. @hypercall: the
 * exit is for the hypercall at RIP.
 */
void dmp_splicer_leave(struct dmp_splicer *splicer, struct dmp_filter_regs *regs,
		       bool hypercall, struct dmp_left *left);

/* Take back what the agent began to follow, before the VMM follows it. */
void dmp_agent_take_back(struct dmp_mmu *mmu);

/* Make the machine tables follow what a vCPU was doing when it left. */
void dmp_splicer_finish(struct dmp_mmu *mmu, const struct dmp_left *left);

/*
 * Where to go on after a #BP at @rip: in a stub, when a splice is there;
 * 0: it is the guest's own INT3.
 */
u64 dmp_splicer_breakpoint(struct dmp_splicer *splicer, u64 rip);

/*
 * Whether @rip is in the middle of an instruction under a splice, so that a #BP
 * there is not the guest's; then *@site is the site's address.
 */
bool dmp_splicer_is_within(struct dmp_splicer *splicer, u64 rip, u64 *site);

/*
 * Whether @rip is inside of @site's splice: then where it goes on in the stub,
 * which saves a vCPU that is about to run there a #BP; else 0.
 */
u64 dmp_site_resume(const struct dmp_site *site, u64 rip);

/* The site whose splice @rip is in, its first byte included; NULL: none. */
struct dmp_site *dmp_splicer_site(struct dmp_splicer *splicer, u64 rip);

/* For the audit: what is wrong, and with which frame; NULL: nothing. */
const char *dmp_splicer_audit(struct dmp_mmu *mmu, u64 *gfn);

/* The guest's address of what runs at @rip, should that be a stub's. */
u64 dmp_splicer_home(struct dmp_splicer *splicer, u64 rip);

#endif /* DMP_SPLICER_H */
