/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86-64 instruction decoder: 64-bit mode, from bytes alone.
 *
 * Two questions are answered. "May this instruction be moved?" needs its
 * length, whether it branches, and where a RIP-relative displacement stands.
 * "Can the engine do what it does?" needs its form and operands. A form is
 * given only to instructions whose operands are all described here; the others
 * are DMP_FORM_OTHER and only good for moving.
 *
 * Nothing is guessed: an encoding that no manual defines, that CPUs decode
 * differently, or that this decoder does not know, is refused with a reason.
 * VEX, EVEX, XOP and 3DNow! are refused as a whole.
 *
 * Manuals: Intel SDM vol. 2 chapters 2 to 6 and appendix A; AMD APM vol. 3
 * chapter 1 and appendix A. Section numbers in the code are theirs.
 */
#ifndef DMP_INSN_H
#define DMP_INSN_H

#include "arch/types.h"

#define DMP_INSN_LEN_MAX	15	/* bytes; SDM vol. 2, 2.3.11 */

/* Why bytes were not decoded. */
enum dmp_insn_status {
	DMP_INSN_OK,
	DMP_INSN_TRUNCATED,	/* the bytes given end inside the instruction */
	DMP_INSN_TOO_LONG,	/* more than DMP_INSN_LEN_MAX bytes */
	DMP_INSN_UNKNOWN,	/* opcode undefined, or of no known extension */
	DMP_INSN_BAD_OPERAND,	/* operand not allowed: CR1, MOV to CS, ... */
	DMP_INSN_BAD_LOCK,	/* LOCK where it is not allowed */
	DMP_INSN_BAD_PREFIX,	/* 66, F2 or F3 without a defined meaning */
	DMP_INSN_PREFIX_CLASH,	/* F2 with F3, or FS/GS with another segment */
	DMP_INSN_REX_ORDER,	/* REX not right before the opcode */
	DMP_INSN_OPSIZE_BRANCH,	/* 66 on a near branch: Intel and AMD differ */
	DMP_INSN_CPU_DIFFERS,	/* CPUs disagree about length or meaning */
	DMP_INSN_VEX,
	DMP_INSN_EVEX,
	DMP_INSN_XOP,
	DMP_INSN_3DNOW,
	DMP_INSN_STATUS_COUNT
};

/*
 * What an instruction does. Forms marked (m) are given to the memory form
 * only; the same mnemonic on registers is DMP_FORM_OTHER.
 */
enum dmp_insn_form {
	DMP_FORM_OTHER,
	/* Data movement. */
	DMP_FORM_MOV_STORE,	/* (m) from reg, or imm when reg_class is NONE */
	DMP_FORM_MOV_LOAD,	/* (m) */
	DMP_FORM_MOVNTI,	/* (m) */
	DMP_FORM_XCHG,		/* (m) locked, prefix or not */
	DMP_FORM_CMPXCHG,	/* (m) */
	DMP_FORM_CMPXCHG_PAIR,	/* (m) CMPXCHG8B, 16B: op_size is 8 or 16 */
	DMP_FORM_XADD,		/* (m) */
	/* Arithmetic into memory, from reg or imm. */
	DMP_FORM_ADD,		/* (m) */
	DMP_FORM_OR,		/* (m) */
	DMP_FORM_ADC,		/* (m) */
	DMP_FORM_SBB,		/* (m) */
	DMP_FORM_AND,		/* (m) */
	DMP_FORM_SUB,		/* (m) */
	DMP_FORM_XOR,		/* (m) */
	DMP_FORM_INC,		/* (m) */
	DMP_FORM_DEC,		/* (m) */
	DMP_FORM_NOT,		/* (m) */
	DMP_FORM_NEG,		/* (m) */
	DMP_FORM_BT,		/* (m) */
	DMP_FORM_BTS,		/* (m) */
	DMP_FORM_BTR,		/* (m) */
	DMP_FORM_BTC,		/* (m) */
	/*
	 * Strings. mem is [rDI] for STOS, MOVS, SCAS, INS, and [rSI] for LODS,
	 * CMPS, OUTS. MOVS also reads [rSI] and CMPS [rDI]; `seg` overrides
	 * the segment of [rSI].
	 */
	DMP_FORM_STOS,
	DMP_FORM_MOVS,
	DMP_FORM_LODS,
	DMP_FORM_CMPS,
	DMP_FORM_SCAS,
	/* Stack. */
	DMP_FORM_PUSH,		/* reg, mem, rm or imm */
	DMP_FORM_POP,		/* reg, mem or rm; rSP moves before mem's address */
	DMP_FORM_PUSHF,
	DMP_FORM_POPF,
	/* Control transfer. */
	DMP_FORM_CALL_REL,
	DMP_FORM_CALL_IND,	/* mem or rm */
	DMP_FORM_CALL_FAR,	/* mem; op_size not given */
	DMP_FORM_JMP_REL,
	DMP_FORM_JMP_IND,	/* mem or rm */
	DMP_FORM_JMP_FAR,	/* mem; op_size not given */
	DMP_FORM_JCC,		/* condition: low four bits of opcode */
	DMP_FORM_LOOP,
	DMP_FORM_JRCXZ,
	DMP_FORM_RET,		/* imm_size 2: RET imm16 */
	DMP_FORM_RET_FAR,
	DMP_FORM_IRET,
	DMP_FORM_INT3,
	DMP_FORM_INT1,
	DMP_FORM_INT,
	DMP_FORM_UD,		/* UD1, UD2 */
	DMP_FORM_SYSCALL,
	DMP_FORM_SYSRET,
	DMP_FORM_SYSENTER,
	DMP_FORM_SYSEXIT,
	DMP_FORM_RSM,
	/* No operation, hints. */
	DMP_FORM_NOP,		/* mem, if any, is not accessed */
	DMP_FORM_PAUSE,
	DMP_FORM_ENDBR,
	DMP_FORM_MONITOR,
	DMP_FORM_MWAIT,
	/* Control and debug registers: reg is the CR or DR, rm the other. */
	DMP_FORM_MOV_FROM_CR,
	DMP_FORM_MOV_TO_CR,
	DMP_FORM_MOV_FROM_DR,
	DMP_FORM_MOV_TO_DR,
	DMP_FORM_CLTS,
	DMP_FORM_LMSW,
	DMP_FORM_SMSW,
	/* Translation. */
	DMP_FORM_INVLPG,	/* mem is not accessed */
	DMP_FORM_INVPCID,
	DMP_FORM_INVEPT,
	DMP_FORM_INVVPID,
	DMP_FORM_INVLPGA,
	/* Descriptor tables. */
	DMP_FORM_LGDT,
	DMP_FORM_LIDT,
	DMP_FORM_LLDT,
	DMP_FORM_LTR,
	DMP_FORM_SGDT,
	DMP_FORM_SIDT,
	DMP_FORM_SLDT,
	DMP_FORM_STR,
	DMP_FORM_SWAPGS,
	/* System. */
	DMP_FORM_RDMSR,
	DMP_FORM_WRMSR,
	DMP_FORM_HLT,
	DMP_FORM_INVD,
	DMP_FORM_WBINVD,
	DMP_FORM_XGETBV,
	DMP_FORM_XSETBV,
	DMP_FORM_CLI,
	DMP_FORM_STI,
	DMP_FORM_CLAC,
	DMP_FORM_STAC,
	DMP_FORM_CPUID,
	DMP_FORM_RDTSC,
	DMP_FORM_RDTSCP,
	DMP_FORM_RDPMC,
	DMP_FORM_SERIALIZE,
	/* Ports: imm is the port, or DX when imm_size is 0. */
	DMP_FORM_IN,
	DMP_FORM_OUT,
	DMP_FORM_INS,
	DMP_FORM_OUTS,
	/* VMX (SDM vol. 3, chapter 31) and SVM (APM vol. 2, chapter 15). */
	DMP_FORM_VMCALL,
	DMP_FORM_VMLAUNCH,
	DMP_FORM_VMRESUME,
	DMP_FORM_VMXOFF,
	DMP_FORM_VMXON,
	DMP_FORM_VMCLEAR,
	DMP_FORM_VMPTRLD,
	DMP_FORM_VMPTRST,
	DMP_FORM_VMREAD,
	DMP_FORM_VMWRITE,
	DMP_FORM_VMFUNC,
	DMP_FORM_VMMCALL,
	DMP_FORM_VMRUN,
	DMP_FORM_VMLOAD,
	DMP_FORM_VMSAVE,
	DMP_FORM_STGI,
	DMP_FORM_CLGI,
	DMP_FORM_SKINIT,
	DMP_FORM_COUNT
};

/*
 * insn.flags. Memory means operands and the stack; what the CPU reads and
 * writes of its own (descriptors, their accessed bits, frames of interrupts)
 * is not counted. FORM_OTHER has MEM_UNKNOWN in place of the stack flags.
 */
#define DMP_INSN_HAS_MEM	0x00001	/* mem is filled in */
#define DMP_INSN_READS_MEM	0x00002	/* reads mem (or, without HAS_MEM, */
#define DMP_INSN_WRITES_MEM	0x00004	/* other memory but the stack) */
#define DMP_INSN_MEM_UNKNOWN	0x00008	/* the two flags above say nothing */
#define DMP_INSN_READS_STACK	0x00010	/* implicitly, by rSP or rBP */
#define DMP_INSN_WRITES_STACK	0x00020
#define DMP_INSN_RIP_REL	0x00040	/* mem.base is DMP_REG_RIP */
#define DMP_INSN_BIT_BASE	0x00080	/* mem is a bit base: reg may reach */
					/* past it (BT r/m, r) */
#define DMP_INSN_LOCKED		0x00100	/* by prefix, or XCHG with memory */
#define DMP_INSN_REPEATED	0x00200	/* string instruction with REP */
#define DMP_INSN_BRANCH		0x00400	/* may not continue at the next one */
#define DMP_INSN_RELATIVE	0x00800	/* branch by imm from the next one */
#define DMP_INSN_COND		0x01000	/* branch that may not be taken */
#define DMP_INSN_CALL		0x02000
#define DMP_INSN_ENDS_BLOCK	0x04000	/* never goes on to the next */
#define DMP_INSN_PRIVILEGED	0x08000	/* faults wherever CPL is 3 */
#define DMP_INSN_IOPL		0x10000	/* faults where CPL is above IOPL */
#define DMP_INSN_SERIALIZING	0x20000	/* SDM vol. 3, "Serializing */
					/* Instructions"; WRMSR: most MSRs */

/* insn.prefixes; LOCK, REP (F3) and REPNE (F2) also as mandatory prefixes. */
#define DMP_PFX_LOCK		0x01
#define DMP_PFX_REPNE		0x02
#define DMP_PFX_REP		0x04
#define DMP_PFX_OPSIZE		0x08
#define DMP_PFX_ADDRSIZE	0x10

/* insn.rex: 0 without REX, else the byte 4xh. SDM vol. 2, 2.2.1.2. */
#define DMP_REX_W		0x08
#define DMP_REX_R		0x04
#define DMP_REX_X		0x02
#define DMP_REX_B		0x01

/* Opcode maps, SDM vol. 2, A.2. */
enum dmp_insn_map {
	DMP_MAP_ONE,		/* op */
	DMP_MAP_0F,		/* 0F op */
	DMP_MAP_0F38,		/* 0F 38 op */
	DMP_MAP_0F3A,		/* 0F 3A op */
	DMP_MAP_COUNT
};

/* Segments in the order of the machine's encoding, SDM vol. 2, table 3-1. */
enum dmp_seg {
	DMP_SEG_ES,
	DMP_SEG_CS,
	DMP_SEG_SS,
	DMP_SEG_DS,
	DMP_SEG_FS,
	DMP_SEG_GS,
	DMP_SEG_NONE
};

/* General registers are 0 (rAX) to 15 (R15) in the machine's encoding. */
#define DMP_REG_RAX		0
#define DMP_REG_RCX		1
#define DMP_REG_RDX		2
#define DMP_REG_RBX		3
#define DMP_REG_RSP		4
#define DMP_REG_RBP		5
#define DMP_REG_RSI		6
#define DMP_REG_RDI		7
#define DMP_REG_RIP		0x10
#define DMP_REG_NONE		0xff

enum dmp_reg_class {
	DMP_CLASS_NONE,
	DMP_CLASS_GPR,		/* the low op_size bytes */
	DMP_CLASS_HIGH,		/* bits 15:8 of register 0..3: AH, CH, DH, BH */
	DMP_CLASS_CR,
	DMP_CLASS_DR,
	DMP_CLASS_SEG
};

/*
 * The address is segment base + base + index * scale + disp, cut to addr_size
 * bytes before the segment base is added. With base DMP_REG_RIP, base is the
 * address of the next instruction.
 */
struct dmp_insn_mem {
	s64 disp;
	u8 seg;			/* enum dmp_seg, never NONE */
	u8 base;		/* 0..15, DMP_REG_RIP, DMP_REG_NONE */
	u8 index;		/* 0..15, DMP_REG_NONE */
	u8 scale;		/* 1, 2, 4, 8; 0 without index */
	u8 addr_size;		/* bytes: 8 or 4 */
};

/* Offsets are from the first byte; offset 0 means that there is none. */
struct dmp_insn {
	struct dmp_insn_mem mem;	/* valid with DMP_INSN_HAS_MEM */
	s64 imm;		/* sign-extended if the CPU does so, else */
				/* zero-extended; ENTER: the first of two */
	u32 flags;		/* DMP_INSN_* */
	u8 form;		/* enum dmp_insn_form */
	u8 op_size;		/* bytes moved or computed, those of mem if */
				/* there is one; 0: not described */
	u8 reg;			/* explicit register, see reg_class */
	u8 reg_class;		/* enum dmp_reg_class; NONE for FORM_OTHER */
	u8 rm;			/* register named by ModRM.rm */
	u8 rm_class;		/* likewise; NONE when rm is memory */
	u8 length;		/* 1..15 */
	u8 prefixes;		/* DMP_PFX_* */
	u8 seg;			/* FS, GS if overridden, else DMP_SEG_NONE; */
				/* the others are void, SDM vol. 2, 2.1.1 */
	u8 rex;			/* DMP_REX_* */
	u8 map;			/* enum dmp_insn_map */
	u8 opcode;		/* the last opcode byte */
	u8 opcode_off;		/* of that byte; may be 0 */
	u8 modrm;		/* valid if modrm_off */
	u8 modrm_off;
	u8 sib;			/* valid if sib_off */
	u8 sib_off;
	u8 disp_off;
	u8 disp_size;		/* bytes: 0, 1, 4, 8 (moffs) */
	u8 imm_off;
	u8 imm_size;		/* bytes: 0, 1, 2, 3 (ENTER), 4, 8 */
};

/**
 * dmp_insn_decode() - decode the instruction at the start of a buffer
 * @bytes: what the CPU would fetch in 64-bit mode
 * @avail: how many bytes there are; no more than 15 of them are read
 * @insn: the result; undefined unless DMP_INSN_OK is returned
 *
 * Pure: no state, any context. Truncated bytes give DMP_INSN_TRUNCATED or the
 * refusal that the whole instruction would get.
 */
enum dmp_insn_status dmp_insn_decode(const u8 *bytes, size_t avail,
				     struct dmp_insn *insn);

/* MOV to CR3, or from it. */
static inline bool dmp_insn_is_cr3(const struct dmp_insn *insn)
{
	return (insn->form == DMP_FORM_MOV_TO_CR ||
		insn->form == DMP_FORM_MOV_FROM_CR) &&
	       insn->reg == 3 && insn->rm_class == DMP_CLASS_GPR &&
	       !(insn->prefixes & DMP_PFX_LOCK);
}

/* Short names for reports; "?" for a value out of range. */
const char *dmp_insn_status_name(enum dmp_insn_status status);
const char *dmp_insn_form_name(enum dmp_insn_form form);

/**
 * dmp_insn_target() - where a relative branch goes
 * @insn: decoded with DMP_INSN_RELATIVE
 * @ip: gva of its first byte
 */
static inline u64 dmp_insn_target(const struct dmp_insn *insn, u64 ip)
{
	return ip + insn->length + (u64)insn->imm;
}

#endif /* DMP_INSN_H */
