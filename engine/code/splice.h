/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Splices: the five bytes (and what they cut) that divert a place in the
 * guest's code to a stub.
 *
 * The bytes are always JMP rel32. Where it is longer than the instruction at
 * the site, the ones that follow are displaced: their copies run in the stub.
 * A jump or a return to a displaced instruction then lands inside the JMP, so
 * every instruction boundary there must hold INT3 (a byte of rel32 equal to
 * CC, which limits where the stub may lie): it raises #BP, and the VMM goes on
 * in the stub (dmp_stub_resume()). No control flow is analysed, so none can be
 * got wrong.
 *
 * Pure: no state, any context.
 */
#ifndef DMP_SPLICE_H
#define DMP_SPLICE_H

#include "code/emit.h"

#define DMP_SPLICE_JMP		5	/* bytes of JMP rel32 */
#define DMP_SPLICE_INT3		0xcc
#define DMP_SPLICE_OPCODE	0xe9	/* of JMP rel32 */
#define DMP_SPLICE_INSNS	5	/* one a byte of the JMP */
/* No more is ever replaced: four bytes, and an instruction. */
#define DMP_SPLICE_BYTES_MAX	(DMP_SPLICE_JMP - 1 + DMP_INSN_LEN_MAX)

/* Why a place is not spliced. */
enum dmp_splice_refusal {
	DMP_SPLICE_OK,
	DMP_SPLICE_DECODE,	/* an instruction there is not known */
	DMP_SPLICE_TRUNCATED,	/* more bytes are needed than were given */
	DMP_SPLICE_PAGE_CROSS,	/* the bytes to replace leave their page */
	DMP_SPLICE_BRANCH,	/* a branch that is not displaced */
	DMP_SPLICE_IS_CALL,	/* a call: the guest may rewrite it */
	DMP_SPLICE_JMP_SHORT,	/* JMP rel8: likewise */
	DMP_SPLICE_NOP,		/* a NOP of 2 or 5 bytes: likewise */
	DMP_SPLICE_PRIVILEGED,	/* may exit, or needs privilege */
	DMP_SPLICE_ODD,		/* shows its own address, or holds off interrupts */
	DMP_SPLICE_EIP_REL,	/* addresses by EIP */
	DMP_SPLICE_REACH,	/* RIP-relative, and too far from the stub */
	DMP_SPLICE_REASONS
};

const char *dmp_splice_refusal_name(enum dmp_splice_refusal why);

/* One of the instructions under the splice. */
struct dmp_splice_insn {
	u8 offset;		/* from the site */
	u8 length;
	u8 kind;		/* enum dmp_splice_kind */
};

enum dmp_splice_kind {
	DMP_SPLICE_REPLACED,	/* the stub does its work: the site's own, and */
				/*   MOV to and from CR3 behind it */
	DMP_SPLICE_MOVED,	/* runs in the stub as it is */
	DMP_SPLICE_RET,		/* likewise, and ends the run */
	DMP_SPLICE_JUMP,	/* JMP rel32; ends the run */
	DMP_SPLICE_KIND_CALL,	/* CALL rel32; ends the run */
	DMP_SPLICE_PADDING	/* INT3 after the end of a run; not in the stub: */
				/*   a #BP there is the guest's own */
};

/* Whether what follows an instruction of this kind is not run after it. */
static inline bool dmp_splice_ends(u8 kind)
{
	return kind == DMP_SPLICE_RET || kind == DMP_SPLICE_JUMP ||
	       kind == DMP_SPLICE_KIND_CALL;
}

struct dmp_splice_plan {
	u8 len;			/* bytes replaced, >= DMP_SPLICE_JMP */
	u8 trap;		/* bit i: byte i of rel32 must be INT3 */
	u8 count;
	struct dmp_splice_insn insn[DMP_SPLICE_INSNS];
};

/* The instruction at the site is displaced as well, nothing is replaced. */
#define DMP_SPLICE_PROLOGUE	1u
/*
 * A CALL rel32 may be displaced, as a PUSH and a JMP; for code that the guest
 * is known not to rewrite.
 */
#define DMP_SPLICE_MAY_CALL	2u
/*
 * JMP rel8 and NOPs of 2 and 5 bytes may be displaced, too: for code where the
 * guest is known to rewrite them when it boots and not again.
 */
#define DMP_SPLICE_SETTLED	4u

/**
 * dmp_splice_plan() - what a splice at a site would take
 * @bytes: the guest's own bytes there; @avail of them
 * @site: their gva
 * @flags: DMP_SPLICE_*
 * @plan: the result; undefined unless DMP_SPLICE_OK is returned
 *
 * Whether RIP-relative operands can be reached from the stub is found only
 * when it is made.
 */
enum dmp_splice_refusal dmp_splice_plan(const u8 *bytes, size_t avail,
					u64 site, u32 flags,
					struct dmp_splice_plan *plan);

/**
 * dmp_splice_window() - where the stub may begin
 * @plan: of a splice at @site
 * @nth: which of the ranges, from 0
 * @lo: of a range [lo, hi) of addresses, each of which will do
 * @hi: see @lo
 *
 * In this order: below the site, nearest first, then above it, nearest first.
 * False when there is no nth range. An empty range is one that addresses do
 * not have (it wraps around).
 */
bool dmp_splice_window(const struct dmp_splice_plan *plan, u64 site, u64 nth,
		       u64 *lo, u64 *hi);

/**
 * dmp_splice_landing() - where a splice may lead that nobody gets into
 * @plan: of a splice at @site
 * @nth: which of them, below DMP_SPLICE_LANDINGS
 *
 * Each byte of rel32 faults there: a #BP where an instruction begins, which the
 * plan asks for, and a #UD elsewhere. A jump to the stub has to be there.
 */
#define DMP_SPLICE_LANDINGS	10
u64 dmp_splice_landing(const struct dmp_splice_plan *plan, u64 site, u32 nth);

/* Whether a stub may begin at @stub. */
bool dmp_splice_reaches(const struct dmp_splice_plan *plan, u64 site, u64 stub);

/*
 * The plan->len bytes of the splice. False, and nothing written, when @stub
 * is no place for it.
 */
bool dmp_splice_bytes(const struct dmp_splice_plan *plan, u64 site, u64 stub,
		      u8 out[DMP_SPLICE_BYTES_MAX]);

#endif /* DMP_SPLICE_H */
