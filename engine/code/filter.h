/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The #PF filter (implant/filter.S): code that stands before the guest's own
 * #PF handler where #PF is not intercepted. Here: its installation, and the
 * way out of it for a vCPU that the VMM finds inside.
 *
 * What it relies on, beyond implant.h:
 * - machine entries that link a table have A set, all others at their level
 *   have not (dmp_translate_link(), dmp_make_trap());
 * - what a guest entry that is followed by a present link leads to is read, not
 *   believed: each gfn that implant->frame_mask can make has a record, and each
 *   record with a leaf has its frame in the window;
 * - the guest's tables and the machine's are changed by this vCPU alone, except
 *   for what one compare-exchange of the leaf detects.
 *
 * The first part is for assembly, too.
 */
#ifndef DMP_FILTER_H
#define DMP_FILTER_H

/* paging.h and pte.h, for assembly; filter.c compares. */
#define DMP_FILTER_PF_P		0x01
#define DMP_FILTER_PF_W		0x02
#define DMP_FILTER_PF_U		0x04
#define DMP_FILTER_PF_RSVD	0x08
#define DMP_FILTER_PF_I		0x10
#define DMP_FILTER_PTE_P	0x01
#define DMP_FILTER_PTE_RW	0x02
#define DMP_FILTER_PTE_US	0x04
#define DMP_FILTER_PTE_A	0x20
#define DMP_FILTER_PTE_D	0x40
#define DMP_FILTER_PTE_PS	0x80

/* Kinds of rows: what is done before the instruction there. */
#define DMP_FILTER_BEFORE	0	/* nothing that counts */
#define DMP_FILTER_COMMIT	1	/* if ZF is set: the guest entry */
#define DMP_FILTER_COUNT	2	/* and the machine entry */
#define DMP_FILTER_TALLY	3	/* and the frame's count */
#define DMP_FILTER_DONE		4	/* and lazy_a: all */
#define DMP_FILTER_AGENT	5	/* if agent.done: all, by the agent */

#ifndef __ASSEMBLER__
#include "code/implant.h"

#define DMP_FILTER_HYPERCALL_BYTES	3

struct dmp_filter_place {
	u64 filter;		/* gva of the code: implant - DMP_FILTER_DISTANCE */
	u64 implant;		/* gva of struct dmp_implant, page-aligned */
	u64 public_start;	/* all code of ours that may take a #PF; */
	u64 public_end;		/*   crosses no 4 GiB boundary */
	u8 hypercall[DMP_FILTER_HYPERCALL_BYTES];	/* vmmcall or vmcall */
	bool guarded;		/* of two filters that one; see dmp_implant.private */
};

enum dmp_filter_refusal {
	DMP_FILTER_INSTALLED,
	DMP_FILTER_NO_ROOM,	/* the buffer is too small */
	DMP_FILTER_DISPLACED,	/* not DMP_FILTER_DISTANCE below the implant */
	DMP_FILTER_RANGE,	/* empty, crosses 4 GiB, or filter not in it */
};

/*
 * Write the filter's code to @code (@bytes of room; one page is always enough,
 * the rest is filled with int3), which the guest will see at place->filter.
 * Entered at its first byte.
 */
enum dmp_filter_refusal dmp_filter_install(u8 *code, size_t bytes,
					   const struct dmp_filter_place *place);

/*
 * The installed filter (@guarded: that one), seen at @filter, hands faults that are
 * the guest's own to @deliver, within reach of a JMP rel32: false, and nothing is
 * changed, when it is not. Before it is entered: until then no address is known.
 */
bool dmp_filter_deliver(u8 *code, bool guarded, u64 filter, u64 deliver);

/*
 * Offset of the hypercall: a vCPU that exits there stands at the guest's
 * handler, except for the arithmetic flags.
 */
unsigned int dmp_filter_hypercall_offset(bool guarded);

/* So many bytes are instructions; what follows is not run. */
unsigned int dmp_filter_code_bytes(bool guarded);

/*
 * The filter remembers its last walk. Forget it: when struct dmp_implant is
 * made, and before the vCPU runs again after any change of an entry above level
 * 1 or of the root, by the VMM or a stub. It costs a store, and the next lazy A
 * a walk: doing it at every entry to the guest is right as well.
 */
static inline void dmp_filter_forget(struct dmp_implant *implant)
{
	implant->walk_tag = ~0ull;	/* no gva >> 21 */
}

/* A vCPU's registers, by their number in instructions: KVM's order. */
struct dmp_filter_regs {
	u64 gpr[16];
	u64 rip, rflags;
};

enum dmp_filter_left_kind {
	/*
	 * Nothing has happened: registers and stack are as the CPU made them
	 * for the fault, RIP is the filter's entry. Go on at the guest's
	 * handler, or treat it as the filter's hypercall.
	 */
	DMP_FILTER_LEFT_FAULT,
	/*
	 * The fault is resolved, RIP is at the filter's iretq, whose frame
	 * is at RSP. But first, and before anyone sees the tables:
	 * DMP_FILTER_LEFT_FOLLOW: the guest entry at .index of .table was .old and
	 * has its A (or A and D) set now; the machine entry is still the trap.
	 * DMP_FILTER_LEFT_COUNT: the machine entry is written; count it in the
	 * writable of frame .gfn.
	 */
	DMP_FILTER_LEFT_FOLLOW,
	DMP_FILTER_LEFT_COUNT,
	DMP_FILTER_LEFT_RESOLVED,
	DMP_FILTER_LEFT_NOWHERE,	/* no instruction of the filter's is there */
};

struct dmp_filter_left {
	enum dmp_filter_left_kind kind;
	unsigned int index;
	u64 table;		/* hfn of the machine table, level 1 */
	u64 old;
	u64 gfn;
};

/*
 * A vCPU that is not running has its RIP at @offset into the filter. Take it
 * out: fills in @regs and @left; counts and forgets in @implant, the vCPU's own.
 */
void dmp_filter_leave(bool guarded, unsigned int offset, struct dmp_implant *implant,
		      struct dmp_filter_regs *regs, struct dmp_filter_left *left);
#endif /* __ASSEMBLER__ */

#endif /* DMP_FILTER_H */
