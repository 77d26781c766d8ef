/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a splicer is: its types, for the files of this room.
 */
#ifndef DMP_SPLICER_STATE_H
#define DMP_SPLICER_STATE_H

#include "code/filter.h"
#include "code/stub.h"
#include "mmu/state.h"

struct dmp_relics;

/*
 * ---- Where the implant is: space.h ----
 */

/* Part of the implant's space shown in a table that is no root. */
struct dmp_overlay {
	u64 machine;
	u32 table;
	u16 index;
};

#define DMP_OVERLAYS_MAX	64

/* In struct dmp_splicer. */
struct dmp_space {
	u64 root_hfn;			/* 0: there is no implant */
	u64 zero_hfn[DMP_LEVEL_MAX];
	struct dmp_overlay overlay[DMP_OVERLAYS_MAX];
	u32 overlays;
	u32 version;			/* of the tree; see struct dmp_root */
	bool grown;			/* since that version */
	u64 *table;			/* of level 1, found last; and an address */
	u64 table_gva;			/*   that it maps; NULL: none yet */
};

/*
 * ---- Copies of code: code_page.h ----
 */

#define DMP_CODES_MAX	96
#define DMP_GATE_BYTES	16	/* of an IDT entry; SDM vol. 3, 6.14.1 */

/* A level-1 machine entry. */
struct dmp_leaf {
	u32 table;		/* 0: none */
	u16 index;
};

/*
 * Other leaves by which roots map the same page at the same address: with KPTI
 * the user half of an address space has tables of its own for the entry code.
 */
#define DMP_CODE_ALIASES	3

struct dmp_code_page {
	u64 gva;		/* of the page */
	u64 gfn;
	u64 hfn;		/* of the copy; 0: free place */
	u8 *copy;
	u8 *pristine;		/* the guest's page */
	u32 table;		/* the leaf's; 0: the guest maps it no more */
	u16 index;
	u16 id;			/* its place in splicer->code */
	u16 sites;		/* whose splices it shows, or has shown */
	struct dmp_leaf alias[DMP_CODE_ALIASES];
};

/*
 * ---- LIDT: lidt.h ----
 */

#define DMP_LIDTS_MAX		48
#define DMP_LIDT_LEFT_MAX	64

struct dmp_lidt {
	u64 rip;
	u16 code;		/* index in splicer->code */
};

struct dmp_lidts {
	bool watched;		/* the host's to set: LIDT does not exit */
	bool look;		/* there is code that was not looked at */
	u32 count;
	struct dmp_lidt at[DMP_LIDTS_MAX];
	u64 left[DMP_LIDT_LEFT_MAX];	/* gfns of watched frames that have lost a */
	u32 lefts;			/* mapping; more: all are looked for */
	u64 pages;		/* looked at so far */
	u64 doubtful;		/* the bytes of one, not clearly an instruction */
};

/*
 * ---- Sites: site.h ----
 */

#define DMP_SITES_MAX	192
#define DMP_ROOMS_MAX	64
#define DMP_LANDINGS_MAX 128	/* pages */

/* Traps at one instruction before it is replaced, by default. */
#define DMP_SITE_THRESHOLD	8u
/* Undone so often it is left alone; each time asks for twice the traps. */
#define DMP_SITE_UNDOS_MAX	4u

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
	 * see dmp_site_restore_shown().
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

/*
 * ---- All of it ----
 */

/* A root in dmp_implant.target, by what it was when it came there. */
struct dmp_target {
	struct dmp_root *root;
	u64 gfn, hfn;
	u64 cr3;
};

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

#define DMP_GATE_BYTES	16	/* of an IDT entry; SDM vol. 3, 6.14.1 */

/* Each site in use; each splice that there is or was: those, and the prologue. */
#define dmp_for_each_site(at, of) \
	for ((at) = (of)->site; (at) < (of)->site + (of)->sites; (at)++)

#define dmp_for_each_splice(at, of) \
	for ((at) = (of)->sites ? (of)->site : &(of)->prologue; (at); \
	     (at) = (at) == &(of)->prologue ? NULL : \
		    (at) + 1 < (of)->site + (of)->sites ? (at) + 1 : &(of)->prologue)

/* The first code page in use behind @at, or of all where that is NULL; NULL: none. */
static inline struct dmp_code_page *dmp_code_next(struct dmp_splicer *splicer,
						  const struct dmp_code_page *at)
{
	u32 i;

	for (i = at ? at->id + 1 : 0; i < DMP_CODES_MAX; i++)
		if (splicer->code[i].hfn)
			return &splicer->code[i];
	return NULL;
}

/* Each of them; it may be given back meanwhile. */
#define dmp_for_each_code(at, of) \
	for ((at) = dmp_code_next(of, NULL); (at); (at) = dmp_code_next(of, at))

#endif /* DMP_SPLICER_STATE_H */
