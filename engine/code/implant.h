/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VMM places in the guest's address space, as the code there sees it.
 *
 * Two regions. The public one lies within reach of rel32 from the guest's
 * kernel: code (stubs and the #PF filter) and, for each vCPU, its page and
 * cache. The private one fills top-level slots of its own: a window onto host
 * memory and the frame records.
 *
 * Included by C and by assembly (with __ASSEMBLER__); a static assertion ties
 * the numbers for assembly to the structures.
 */
#ifndef DMP_IMPLANT_H
#define DMP_IMPLANT_H

#define DMP_CACHE_SLOTS		1024
/* A page has two slots, this many apart: one bit of an entry's address. */
#define DMP_CACHE_WAY		64
#define DMP_CACHE_BYTES		32	/* sizeof(struct dmp_cache_entry) */
#define DMP_SPLIT_SETS		1024
#define DMP_SPLIT_WAYS		2
#define DMP_FRAME_BYTES		24	/* sizeof(struct dmp_frame) */

/* Of struct dmp_frame, what stubs touch; see mmu/state.h. */
#define DMP_FRAME_LEAF		0	/* u64: hfn << 12 | P | A | D, and RW */
					/*   unless writes must trap; 0: no RAM */
#define DMP_FRAME_WRITABLE	12	/* u32 */

/* Offsets in struct dmp_implant. */
#define DMP_IMPLANT_SAVE	0
#define DMP_IMPLANT_FLAGS	128
#define DMP_IMPLANT_OLD		136
#define DMP_IMPLANT_LAST	192
#define DMP_IMPLANT_LEAF_MASK	256
#define DMP_IMPLANT_FRAMES	264
#define DMP_IMPLANT_WINDOW	272
#define DMP_IMPLANT_ROOT	280
#define DMP_IMPLANT_LEVELS	288
#define DMP_IMPLANT_STATE	292
#define DMP_IMPLANT_TRAP	296
#define DMP_IMPLANT_LAZY_A	304
#define DMP_IMPLANT_MISSES	312
#define DMP_IMPLANT_GUEST_ROOT	320
#define DMP_IMPLANT_FRAME_MASK	328
#define DMP_IMPLANT_LAZY	336
#define DMP_IMPLANT_WALK_TAG	344
#define DMP_IMPLANT_WALK_MACHINE 352
#define DMP_IMPLANT_WALK_GUEST	360
#define DMP_IMPLANT_WALK_DENIED	368
#define DMP_IMPLANT_GUEST_CR3	376
#define DMP_IMPLANT_HERE	384
#define DMP_IMPLANT_PRIVATE	392
#define DMP_IMPLANT_AWAY	400
#define DMP_IMPLANT_TARGET	408
#define DMP_IMPLANT_CACHE	4096
#define DMP_IMPLANT_SPLIT	(4096 + DMP_CACHE_SLOTS * DMP_CACHE_BYTES)
#define DMP_IMPLANT_AGENT	(DMP_IMPLANT_SPLIT + 4 * DMP_SPLIT_SETS * DMP_SPLIT_WAYS)
#define DMP_IMPLANT_BYTES	(DMP_IMPLANT_AGENT + DMP_AGENT_BYTES)

/* struct dmp_implant.state */
#define DMP_IMPLANT_LAZY_D	1	/* a user leaf is read-only for its D */
#define DMP_IMPLANT_WAITING	2	/* dmp_mmu.waiting: no links by the agent */
#define DMP_IMPLANT_LAZY_ANY	4	/* as LAZY_D, of some root; see target.h: */
#define DMP_IMPLANT_TARGETS	8	/* LAZY_D was raised by the filter */
#define DMP_IMPLANT_PCIDS	16	/* INVLPG is for one of several */
#define DMP_IMPLANT_NO_FETCH	32	/* error codes do not tell fetches apart */
#define DMP_IMPLANT_GUARDED	64	/* dmp_splicer.guarded */

/* Offsets in struct dmp_cr3_target, its size, and how many there are. */
#define DMP_TARGET_MINUS_CR3	0
#define DMP_TARGET_MACHINE	8
#define DMP_TARGET_ROOT		16
#define DMP_TARGET_GUEST_ROOT	24
#define DMP_TARGET_PRIVATE	32
#define DMP_TARGET_BYTES	40
#define DMP_TARGETS_MAX		4

/* Offsets in struct dmp_agent, and its size. */
#define DMP_AGENT_LOGGED	0
#define DMP_AGENT_ENTRY		8
#define DMP_AGENT_LAST		16
#define DMP_AGENT_ANSWER	20
#define DMP_AGENT_BYTES		8192

/*
 * The filter's code lies this far below the implant's page, always: it reaches
 * its data by distances fixed when it was assembled.
 */
#define DMP_FILTER_DISTANCE	4096

/*
 * And the agent's so far. It is entered by a call at its first byte, from stubs,
 * and at DMP_AGENT_FAULT, from the filter.
 */
#define DMP_AGENT_DISTANCE	(DMP_FILTER_DISTANCE + DMP_AGENT_CODE_BYTES)
#define DMP_AGENT_CODE_BYTES	12288
#define DMP_AGENT_FAULT		80

/* What the agent says of a fault. */
#define DMP_AGENT_ASK		0	/* it is for the VMM */
#define DMP_AGENT_DELIVER	1	/* it is the guest's own */
#define DMP_AGENT_RESOLVED	2

#ifndef __ASSEMBLER__
#include "arch/pte.h"

/*
 * Where a page of the guest's leads when it is written: a held level-1 guest
 * table. An entry that is not in use has DMP_CACHE_VOID as its tag and its
 * guest: no canonical address lies in the page of the tag, and one that is not
 * canonical and does faults where the table would be read, as it should.
 */
#define DMP_CACHE_VOID		(1ull << 63)

struct dmp_cache_entry {
	u64 tag;	/* gva of the page, by which the guest writes it */
	u64 guest;	/* gva, in the window, of the guest's table */
	u64 machine;	/* gva, in the window, of its machine table */
	u64 table;	/* id, for the VMM */
};

/*
 * A word that the agent has changed, by its gva, and what it was. Or more than a
 * word, by a number and a kind in .at.
 */
struct dmp_agent_change {
	u64 at, old;
};

#define DMP_AGENT_KIND_SHIFT	2
#define DMP_AGENT_KINDS	((1u << DMP_AGENT_KIND_SHIFT) - 1)
/*
 * Of DMP_ENTRIES frames, from a gfn on, the mappings that may write are one more
 * or less: of those before the one that .old counts from 1 in its high half
 * (0: none yet), and maybe of that one, which had what is in the low half.
 */
#define DMP_AGENT_ADDED		1
#define DMP_AGENT_TAKEN		2
/* The machine table of an id, empty before, is filled. */
#define DMP_AGENT_FILLED	3

#define DMP_AGENT_LOG_MAX	64
#define DMP_POOL_MAX		64

/*
 * The agent's: it does what a stub leaves, as far as it can (implant/agent.c).
 * What it changes it first notes in its log: wherever the vCPU exits before it
 * is done, all of it is taken back, and the VMM does the work instead.
 */
struct dmp_agent {
	u32 logged;	/* entries of log[]; written as one word with .done: */
	u32 done;	/*   the change is made, and the log void */
	u64 entry;	/* register stub->address of the stub that asks */
	u32 last;	/* the dmp_implant.last[] it uses */
	u32 answer;	/* to the filter: DMP_AGENT_* */
	u64 cache_top, cache_link;	/* as dmp_splicer's */
	u64 public_start, public_end;	/* likewise */
	u64 tables;	/* gva: records of machine tables; see dmp_agent_table() */
	u64 va_base;	/* as dmp_mmu's: of the host's addresses in records */
	u64 slow;	/* as dmp_splicer's slow_gva */
	/* Ids: empty tables for the agent, and those that it has emptied. */
	u32 ready_count, freed_count;
	u32 ready[DMP_POOL_MAX], freed[DMP_POOL_MAX];
	u32 linked, unlinked;	/* tables, not yet in dmp_mmu's counts */
	/* Counts, for status. */
	u64 links, unlinks, leaves, large, delivered, resolved;
	struct dmp_agent_change log[DMP_AGENT_LOG_MAX];
	/* Grows down; at its top the address in the stub. */
	u64 stack[(DMP_AGENT_BYTES - 144 - 8 * DMP_POOL_MAX -
		   16 * DMP_AGENT_LOG_MAX) / 8];
};

/* dmp_implant.private: negative, which no value of CR3 is. */
#define DMP_PRIVATE_NOWHERE	(1ull << 63)

/*
 * A root that the CPU lets the guest load by itself (target.h). One that is not
 * in use has .machine 0, which it does not.
 */
struct dmp_cr3_target {
	u64 minus_cr3;		/* the guest's value, negated: compared by a sum */
	u64 machine;		/* what the CPU is to load */
	/* As dmp_implant's with this root loaded: */
	u64 root, guest_root, private;
};

/* One for each vCPU, at one gva. Written by stubs, filter and VMM. */
struct dmp_implant {
	u64 save[16];		/* registers of the code a stub interrupts, by
				 * their number in instructions (the filter)
				 */
	u64 flags;		/* AH as by LAHF, AL as by SETO */
	u64 old;		/* the guest's entry before a stub wrote it */
	u64 spare[6];
	/* Hit last: [0] by stores, [1] by what reads and writes. */
	struct dmp_cache_entry last[2];
	/*
	 * Bits of a guest leaf that decide whether a stub may translate it:
	 * P, US, A and what is reserved or beyond all frames; it may when the
	 * rest is P | US | A.
	 */
	u64 leaf_mask;
	u64 frames;		/* gva of the record of gfn 0 */
	u64 window;		/* gva of host-physical address 0 */
	u64 root;		/* gva, in the window, of the loaded machine root */
	u32 levels;		/* of the guest's paging */
	u32 state;		/* DMP_IMPLANT_LAZY_D and what follows it */
	u64 trap;		/* paging.trap_bit */
	u64 lazy_a;		/* counts: resolved by the filter */
	u64 misses;		/* left to the plain instruction */
	u64 guest_root;		/* gva, in the window, of the loaded guest root */
	u64 frame_mask;		/* address bits of a guest entry that may be set:
				 * each gfn made of them has a record
				 */
	u64 lazy;		/* the machine entry DMP_TRAP_LAZY */
	/*
	 * The filter's last walk: level-1 tables of the 2 MiB at tag << 21, as
	 * gvas in the window. Whatever changes an entry above level 1, or the
	 * root, voids the tag; see dmp_filter_forget().
	 */
	u64 walk_tag, walk_machine, walk_guest, walk_denied;
	u64 guest_cr3;		/* what the guest reads from CR3 */
	/*
	 * A root that user mode runs on may have no private region
	 * (dmp_splicer.guarded): filter and agent do their work with another one
	 * loaded. For the loaded root: its own value of CR3, for the way back; and
	 * that other one's, 0 where the loaded root has the region itself,
	 * DMP_PRIVATE_NOWHERE where there is none. And 1 from before the one is
	 * loaded until after the other is.
	 */
	u64 here, private, away;
	struct dmp_cr3_target target[DMP_TARGETS_MAX];
	u64 rest[(4096 - DMP_IMPLANT_TARGET - DMP_TARGETS_MAX * DMP_TARGET_BYTES) / 8];
	struct dmp_cache_entry cache[DMP_CACHE_SLOTS];
	/*
	 * Ids of machine tables made for large leaves, by their hfn: a hint for
	 * the agent, which looks whether it still is so.
	 */
	u32 split[DMP_SPLIT_SETS][DMP_SPLIT_WAYS];
	struct dmp_agent agent;
};

static inline u32 *dmp_split_ways(struct dmp_implant *implant, u64 hfn)
{
	return implant->split[hfn & (DMP_SPLIT_SETS - 1)];
}

/* The table @id, whose page is @hfn for as long as it has one, is for a large leaf. */
static inline void dmp_split_note(struct dmp_implant *implant, u64 hfn, u32 id)
{
	u32 *way = dmp_split_ways(implant, hfn);

	if (way[0] != id && way[1] != id)
		way[way[0] ? 1 : 0] = id;
}

/* Where the page at @gva is looked for first. */
static inline unsigned int dmp_cache_slot(u64 gva)
{
	return gva >> DMP_PAGE_SHIFT & (DMP_CACHE_SLOTS - 1);
}

/* And where else. */
static inline unsigned int dmp_cache_other(unsigned int slot)
{
	return slot ^ DMP_CACHE_WAY;
}

/* Where the page at @gva is, or should be put. */
static inline unsigned int dmp_cache_place(const struct dmp_implant *implant,
					   u64 gva)
{
	const u64 tag = gva & ~(u64)(DMP_PAGE_SIZE - 1);
	unsigned int slot = dmp_cache_slot(gva), other = dmp_cache_other(slot);
	u64 first = implant->cache[slot].tag, second = implant->cache[other].tag;

	return second == tag || (first != tag && first != DMP_CACHE_VOID &&
				 second == DMP_CACHE_VOID) ? other : slot;
}

_Static_assert(sizeof(struct dmp_cache_entry) == DMP_CACHE_BYTES, "");
/* Stubs change slots by a bit of the address, in a cache at a page's beginning. */
_Static_assert(DMP_CACHE_WAY * DMP_CACHE_BYTES < DMP_PAGE_SIZE, "");
_Static_assert(DMP_IMPLANT_CACHE % DMP_PAGE_SIZE == 0, "");
_Static_assert(sizeof(struct dmp_implant) == DMP_IMPLANT_BYTES, "");
_Static_assert(offsetof(struct dmp_implant, save) == DMP_IMPLANT_SAVE, "");
_Static_assert(offsetof(struct dmp_implant, flags) == DMP_IMPLANT_FLAGS, "");
_Static_assert(offsetof(struct dmp_implant, old) == DMP_IMPLANT_OLD, "");
_Static_assert(offsetof(struct dmp_implant, last) == DMP_IMPLANT_LAST, "");
_Static_assert(offsetof(struct dmp_implant, leaf_mask) == DMP_IMPLANT_LEAF_MASK, "");
_Static_assert(offsetof(struct dmp_implant, frames) == DMP_IMPLANT_FRAMES, "");
_Static_assert(offsetof(struct dmp_implant, window) == DMP_IMPLANT_WINDOW, "");
_Static_assert(offsetof(struct dmp_implant, root) == DMP_IMPLANT_ROOT, "");
_Static_assert(offsetof(struct dmp_implant, levels) == DMP_IMPLANT_LEVELS, "");
_Static_assert(offsetof(struct dmp_implant, state) == DMP_IMPLANT_STATE, "");
_Static_assert(offsetof(struct dmp_implant, trap) == DMP_IMPLANT_TRAP, "");
_Static_assert(offsetof(struct dmp_implant, lazy_a) == DMP_IMPLANT_LAZY_A, "");
_Static_assert(offsetof(struct dmp_implant, misses) == DMP_IMPLANT_MISSES, "");
_Static_assert(offsetof(struct dmp_implant, guest_root) == DMP_IMPLANT_GUEST_ROOT, "");
_Static_assert(offsetof(struct dmp_implant, frame_mask) == DMP_IMPLANT_FRAME_MASK, "");
_Static_assert(offsetof(struct dmp_implant, lazy) == DMP_IMPLANT_LAZY, "");
_Static_assert(offsetof(struct dmp_implant, walk_tag) == DMP_IMPLANT_WALK_TAG, "");
_Static_assert(offsetof(struct dmp_implant, walk_machine) == DMP_IMPLANT_WALK_MACHINE, "");
_Static_assert(offsetof(struct dmp_implant, walk_guest) == DMP_IMPLANT_WALK_GUEST, "");
_Static_assert(offsetof(struct dmp_implant, walk_denied) == DMP_IMPLANT_WALK_DENIED, "");
_Static_assert(offsetof(struct dmp_implant, guest_cr3) == DMP_IMPLANT_GUEST_CR3, "");
_Static_assert(offsetof(struct dmp_implant, here) == DMP_IMPLANT_HERE, "");
_Static_assert(offsetof(struct dmp_implant, private) == DMP_IMPLANT_PRIVATE, "");
_Static_assert(offsetof(struct dmp_implant, away) == DMP_IMPLANT_AWAY, "");
_Static_assert(offsetof(struct dmp_implant, target) == DMP_IMPLANT_TARGET, "");
_Static_assert(sizeof(struct dmp_cr3_target) == DMP_TARGET_BYTES, "");
_Static_assert(offsetof(struct dmp_cr3_target, machine) == DMP_TARGET_MACHINE, "");
_Static_assert(offsetof(struct dmp_cr3_target, root) == DMP_TARGET_ROOT, "");
_Static_assert(offsetof(struct dmp_cr3_target, guest_root) == DMP_TARGET_GUEST_ROOT, "");
_Static_assert(offsetof(struct dmp_cr3_target, private) == DMP_TARGET_PRIVATE, "");
_Static_assert(offsetof(struct dmp_implant, cache) == DMP_IMPLANT_CACHE, "");
_Static_assert(offsetof(struct dmp_implant, split) == DMP_IMPLANT_SPLIT, "");
_Static_assert(offsetof(struct dmp_implant, agent) == DMP_IMPLANT_AGENT, "");
_Static_assert(sizeof(struct dmp_agent) == DMP_AGENT_BYTES, "");
_Static_assert(offsetof(struct dmp_agent, logged) == DMP_AGENT_LOGGED, "");
_Static_assert(offsetof(struct dmp_agent, entry) == DMP_AGENT_ENTRY, "");
_Static_assert(offsetof(struct dmp_agent, last) == DMP_AGENT_LAST, "");
_Static_assert(offsetof(struct dmp_agent, answer) == DMP_AGENT_ANSWER, "");
#endif /* __ASSEMBLER__ */

#endif /* DMP_IMPLANT_H */
