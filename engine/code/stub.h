/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stubs: what runs in place of a spliced instruction that writes page tables,
 * or reads or writes CR3 (stub_cr3.c).
 *
 * A stub does to the guest's table exactly what the instruction would have
 * done, through the table's alias in the window, and then makes the machine
 * entry follow. What it cannot follow it leaves to the agent (agent.h), and that
 * to the VMM, by one hypercall; what is no table that it knows, to a copy of the
 * plain instruction.
 *
 * Stubs are restartable: from every instruction of theirs there is a way out
 * (dmp_stub_leave()) to a state that the guest could have been in: before the
 * instruction, or after it. The VMM takes it whenever it stops a vCPU in a
 * stub, so no stub needs interrupts off.
 *
 * Registers: what the instruction names keeps its place, so that the very
 * same instruction can be used on the alias; the stub works with others, RAX
 * among them, which it saves in struct dmp_implant. Flags are saved by LAHF,
 * which a CPU need not have in 64-bit mode: CPUID.80000001H:ECX[0].
 *
 * One vCPU: with more, all between dmp_stub's COMMIT and the machine entry
 * stands under a lock bit of the table.
 */
#ifndef DMP_STUB_H
#define DMP_STUB_H

#include "code/implant.h"
#include "code/splice.h"

#define DMP_STUB_BYTES_MAX	1024	/* none is longer */
#define DMP_STUB_ROWS		64
#define DMP_STUB_HYPERCALL	3	/* bytes of VMCALL, VMMCALL */

/* Why an instruction has no stub. */
enum dmp_stub_refusal {
	DMP_STUB_OK,
	DMP_STUB_DECODE,
	DMP_STUB_FORM,		/* does not write memory, or not in a way served */
	DMP_STUB_SIZE,		/* of an operand that is not 8, 4 or 1 bytes */
	DMP_STUB_BIT_BASE,	/* a bit offset in a register may leave the entry */
	DMP_STUB_SEGMENT,	/* FS or GS */
	DMP_STUB_ADDR_SIZE,	/* 32-bit address */
	DMP_STUB_MOFFS,		/* MOV with a 64-bit address */
	DMP_STUB_REPEATED,	/* a string instruction */
	DMP_STUB_REACH,		/* something is too far from the stub */
	DMP_STUB_NO_ROOM,	/* the buffer is too small */
	DMP_STUB_REASONS
};

const char *dmp_stub_refusal_name(enum dmp_stub_refusal why);

/* How far the instruction has come. */
enum dmp_stub_phase {
	DMP_STUB_RESTART,	/* nothing done */
	DMP_STUB_FINISH,	/* the guest's entry is written, the machine's not */
	DMP_STUB_DONE
};

/*
 * How to leave a stub: holds from .offset up to the next row's.
 */
struct dmp_stub_row {
	u16 offset;
	u16 saved;		/* registers whose value is in implant->save */
	u8 phase;		/* enum dmp_stub_phase */
	u8 flags;		/* DMP_ROW_* */
	u8 resume;		/* where the guest is: offset from the site */
	s8 counted;		/* done to a frame's count of writable mappings */
};

#define DMP_ROW_FLAGS_SAVED	1u	/* status flags are in implant->flags */
#define DMP_ROW_RAX_IN_VALUE	2u	/* RAX is in register stub->value */
#define DMP_ROW_FILLING		4u	/* implant->last[] is half written */
#define DMP_ROW_CALLED		8u	/* the guest is at stub->callee */
#define DMP_ROW_CR3		16u	/* what loads CR3, or exits for it, is next */
#define DMP_ROW_SWITCHED	32u	/* CR3 is loaded, from what RCX points to */

struct dmp_stub {
	u64 site, gva;
	u64 callee;		/* of a displaced call */
	struct dmp_splice_plan plan;
	u32 size;		/* bytes, constants included */
	u16 code;		/* bytes of code; the rest is not run */
	u16 ask;		/* offset: from here on it asks the agent */
	u16 deliver;		/* offset of what a prologue displaced */
	u16 moved[DMP_SPLICE_INSNS];	/* offset of each one's copy; 0: none, */
				/*   or what is replaced first */
	u8 cr3[DMP_SPLICE_INSNS];	/* register that each one loads CR3 from; */
				/*   or NONE */
	u16 call[DMP_SPLICE_INSNS];	/* offset of the hypercall for that */
	u64 targets;		/* gva of dmp_implant.target */
	u8 last;		/* which of implant->last it uses */
	u8 value;		/* register; see DMP_ROW_RAX_IN_VALUE */
	u8 address;		/* register: entry, or its offset in the table */
	u8 rows;
	struct dmp_stub_row row[DMP_STUB_ROWS];
};

/* What a stub is made of. */
struct dmp_stub_site {
	u64 site;		/* gva of the instruction */
	const u8 *bytes;	/* the guest's own there; plan.len at least */
	const struct dmp_splice_plan *plan;
	u64 stub;		/* gva of the code to be made */
	u64 landing;		/* what the splice leads to; 0: to .stub */
	u64 implant;		/* gva of struct dmp_implant */
	u64 agent;		/* gva of the agent's gate */
	u8 hypercall[DMP_STUB_HYPERCALL];
	u8 targets;		/* so many of dmp_implant.target may be in use */
	bool guarded;		/* dmp_splicer.guarded */
};

/* What the splice leads to. */
static inline u64 dmp_stub_entry(const struct dmp_stub_site *at)
{
	return at->landing ? at->landing : at->stub;
}

/**
 * dmp_stub_check() - whether an instruction can have a stub
 * @insn: decoded
 *
 * What dmp_stub_make() would say before it knows any address.
 */
enum dmp_stub_refusal dmp_stub_check(const struct dmp_insn *insn);

/**
 * dmp_stub_make() - write the stub of a site
 * @site: of an instruction that dmp_splice_plan() replaces
 * @code: where to; @size bytes, DMP_STUB_BYTES_MAX being enough
 * @stub: the result; undefined unless DMP_STUB_OK is returned
 *
 * Pure: the bytes may be written anywhere; they are for site->stub.
 */
enum dmp_stub_refusal dmp_stub_make(const struct dmp_stub_site *site,
				    u8 *code, u32 size, struct dmp_stub *stub);

/**
 * dmp_stub_make_prologue() - write what stands before a handler
 * @site: its entry, planned with DMP_SPLICE_PROLOGUE; .implant is not used
 * @filter: gva of the code that runs first
 * @code: as above
 * @size: as above
 * @stub: the result; with .deliver
 *
 * The stub jumps to @filter, at once. The filter goes to stub->gva +
 * stub->deliver, with everything as it found it, to go on with the handler.
 */
enum dmp_stub_refusal dmp_stub_make_prologue(const struct dmp_stub_site *site,
					     u64 filter, u8 *code, u32 size,
					     struct dmp_stub *stub);

/* A vCPU taken out of a stub. */
struct dmp_stub_exit {
	enum dmp_stub_phase phase;
	u64 rip;		/* where the guest is */
	/*
	 * The register from which the instruction there loads CR3, should the
	 * exit be for the hypercall in its place, or a MOV to CR3 that the CPU
	 * does not let pass after all; DMP_REG_NONE: none is there.
	 */
	u8 cr3;
	/* What follows is for FINISH. */
	struct dmp_cache_entry at;	/* the table written */
	u64 old;		/* the guest's entry before */
	u32 index;		/* of the entry in its table */
	/*
	 * Done already, to be undone before the entry is followed:
	 * +1: writable of the frame that the entry now maps,
	 * -1: writable of the frame that .old maps; 0: nothing.
	 */
	s8 counted;
};

/**
 * dmp_stub_leave() - take a vCPU out of a stub
 * @stub: that it is in
 * @implant: of the vCPU
 * @offset: of the instruction it would run next
 * @regs: its general registers, RAX to R15 as encoded; made the guest's own
 * @rflags: likewise
 * @exit: where it is, and what has to be done
 *
 * After RESTART the instruction has not begun; its flags may have been changed
 * where it is about to define them all. After FINISH the VMM has to make the
 * machine entry follow before the guest runs. False when @offset is outside of
 * the code.
 */
bool dmp_stub_leave(const struct dmp_stub *stub, struct dmp_implant *implant,
		    u32 offset, u64 regs[16], u64 *rflags,
		    struct dmp_stub_exit *exit);

/* The guest's address of what runs at @offset of @stub; 0: outside of the code. */
u64 dmp_stub_home(const struct dmp_stub *stub, u32 offset);

/**
 * dmp_stub_resume() - where in the stub an instruction under the splice is
 * @stub: of the splice
 * @rip: gva of an instruction that it displaced, or of the site
 *
 * For a vCPU that came into the middle of a splice, or that is sent back.
 * 0 when no instruction that runs in the stub begins there: an INT3 of the
 * guest's (see dmp_stub_is_own_int3()), or bytes that were no instruction.
 */
u64 dmp_stub_resume(const struct dmp_stub *stub, u64 rip);

/* Whether a #BP of the INT3 at @rip, under the splice, is the guest's own. */
bool dmp_stub_is_own_int3(const struct dmp_stub *stub, u64 rip);

#endif /* DMP_STUB_H */
