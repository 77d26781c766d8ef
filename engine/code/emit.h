/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86-64 code into a bounded buffer: the few encodings that stubs are made of.
 *
 * Nothing is written past the end; what does not fit, does not encode or does
 * not reach sets .failed, which stays set, so that a caller asks once.
 * Encodings: SDM vol. 2, chapter 2.
 */
#ifndef DMP_EMIT_H
#define DMP_EMIT_H

#include "insn/insn.h"

struct dmp_emit {
	u8 *bytes;
	u32 size;
	u32 len;	/* written */
	u64 ip;		/* gva of bytes[0] */
	bool failed;
};

static inline u64 dmp_emit_ip(const struct dmp_emit *e)
{
	return e->ip + e->len;
}

/* A memory operand: base + index * 1 + disp, or, by RIP, the gva .disp. */
struct dmp_emit_mem {
	u8 base;	/* 0..15 or DMP_REG_RIP */
	u8 index;	/* 0..15 but RSP; DMP_REG_NONE */
	u64 disp;	/* RIP: target; else must fit 32 bits, signed */
};

static inline struct dmp_emit_mem dmp_emit_at(u64 gva)
{
	return (struct dmp_emit_mem){ DMP_REG_RIP, DMP_REG_NONE, gva };
}

static inline struct dmp_emit_mem dmp_emit_ptr(u8 base, s32 disp)
{
	return (struct dmp_emit_mem){ base, DMP_REG_NONE, (u64)(s64)disp };
}

static inline struct dmp_emit_mem dmp_emit_pair(u8 base, u8 index)
{
	return (struct dmp_emit_mem){ base, index, 0 };
}

/*
 * An opcode, with what it takes beside it. 64-bit operands unless _32 or _8 is
 * set; _8 gives the register operands SPL to DIL, never AH to BH.
 */
#define DMP_OP_0F		0x0100u
#define DMP_OP_32		0x0200u
#define DMP_OP_8		0x0400u

/* With a register and a memory operand. */
#define DMP_OP_STORE		0x89u
#define DMP_OP_LOAD		0x8bu
#define DMP_OP_LEA		0x8du
#define DMP_OP_XOR		0x33u
#define DMP_OP_AND		0x23u
#define DMP_OP_OR		0x0bu
#define DMP_OP_ADD		0x03u
/* With an opcode extension in the place of the register, and an immediate. */
#define DMP_OP_IMM8		0x83u	/* sign-extended */
#define DMP_OP_IMM32		0x81u	/* sign-extended */
#define   DMP_EXT_ADD		0
#define   DMP_EXT_OR		1
#define   DMP_EXT_AND		4
#define   DMP_EXT_XOR		6
#define   DMP_EXT_CMP		7
#define DMP_OP_SHIFT		0xc1u	/* imm8 */
#define   DMP_EXT_SHL		4
#define   DMP_EXT_SHR		5
#define DMP_OP_TEST_8		(0xf6u | DMP_OP_8)	/* /0, imm8 */
#define DMP_OP_TEST		0xf7u	/* /0, imm32, sign-extended */
#define DMP_OP_MOV_IMM		0xc7u	/* /0, imm32, sign-extended */
#define DMP_OP_NOT		0xf7u	/* /2, no immediate */
#define DMP_OP_INCDEC		0xffu	/* /0, /1, no immediate */
#define DMP_OP_TEST_REG		0x85u
#define DMP_OP_IMUL		0x6bu	/* reg = mem * imm8 */

/* Conditions, SDM vol. 2, B.1.4.7. */
#define DMP_CC_Z		0x4
#define DMP_CC_NZ		0x5
#define DMP_JMP			0x10	/* always */
#define DMP_CALL		0x11

void dmp_emit_byte(struct dmp_emit *e, u8 byte);
void dmp_emit_copy(struct dmp_emit *e, const u8 *bytes, u32 count);

/* The low @count bytes of @value. */
void dmp_emit_number(struct dmp_emit *e, u64 value, u32 count);

/*
 * OP reg, mem or OP mem, reg, as @op is; @reg may be an extension. @trailing
 * says how many bytes of immediate the caller writes next: RIP counts from
 * behind them.
 */
void dmp_emit_mem(struct dmp_emit *e, u32 op, u8 reg,
		  struct dmp_emit_mem mem, u32 trailing);

/* The same with a register in the place of memory. */
void dmp_emit_reg(struct dmp_emit *e, u32 op, u8 reg, u8 rm);

/* OP $imm of @count bytes, by extension. */
void dmp_emit_mem_imm(struct dmp_emit *e, u32 op, u8 ext,
		      struct dmp_emit_mem mem, u64 imm, u32 count);
void dmp_emit_reg_imm(struct dmp_emit *e, u32 op, u8 ext, u8 rm, u64 imm,
		      u32 count);

/* ModRM with SIB and displacement; REX is the caller's. */
void dmp_emit_modrm(struct dmp_emit *e, u8 reg, struct dmp_emit_mem mem,
		    u32 trailing);

/* A jump with rel32 to @target. */
void dmp_emit_jump(struct dmp_emit *e, u8 condition, u64 target);

/*
 * A place that is named before it is known. Zeroed to begin with; all jumps
 * are rel32.
 */
#define DMP_LABEL_USES	12

struct dmp_label {
	u32 at;		/* offset, once bound */
	bool bound;
	u8 uses;
	u32 use[DMP_LABEL_USES];	/* offsets of rel32 to fill in */
};

void dmp_emit_jump_label(struct dmp_emit *e, u8 condition,
			 struct dmp_label *label);
/* OP reg, mem with what the label is bound to; no immediate. */
void dmp_emit_mem_label(struct dmp_emit *e, u32 op, u8 reg,
			struct dmp_label *label);
void dmp_emit_bind(struct dmp_emit *e, struct dmp_label *label);

/* An instruction as it stands in memory. */
struct dmp_code {
	const u8 *bytes;
	const struct dmp_insn *insn;	/* of @bytes */
	u64 ip;				/* gva it stands at */
};

/*
 * @code, which does not branch, moved here; what it addresses by RIP stays
 * where it was.
 */
void dmp_emit_moved(struct dmp_emit *e, const struct dmp_code *code);

/* LEA @reg of the memory operand of @code, which has a ModRM byte. */
void dmp_emit_address(struct dmp_emit *e, const struct dmp_code *code, u8 reg);

/*
 * @code with its memory operand replaced by @mem (not by RIP), and its GPR
 * operand by @reg; DMP_REG_NONE leaves that as it is. A register named AH to
 * BH stays one: @reg is RAX to RBX then.
 */
void dmp_emit_elsewhere(struct dmp_emit *e, const struct dmp_code *code,
			struct dmp_emit_mem mem, u8 reg);

#endif /* DMP_EMIT_H */
