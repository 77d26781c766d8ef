/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to the decoder: the layout of its tables.
 *
 * A row is 32 bits: everything the decoder must know about an opcode before it
 * has seen the operands. A row without any of DMP_ROW_PFX is an undefined one.
 */
#ifndef DMP_INSN_TABLE_H
#define DMP_INSN_TABLE_H

#include "insn/insn.h"

/* Bits 7:0: enum dmp_insn_form, or the index of a group with DMP_ROW_GROUP. */
#define DMP_ROW_FORM		0x000000ffu

/* Bits 11:8: what op_size is. */
#define DMP_ROW_SIZE		0x00000f00u
#define DMP_SIZE_NONE		0x00000000u	/* not described */
#define DMP_SIZE_1		0x00000100u
#define DMP_SIZE_2		0x00000200u
#define DMP_SIZE_8		0x00000300u
#define DMP_SIZE_10		0x00000400u	/* limit and base */
#define DMP_SIZE_16		0x00000500u
#define DMP_SIZE_V		0x00000600u	/* 2, 4, 8 by 66 and REX.W */
#define DMP_SIZE_Z		0x00000700u	/* 2, 4 by 66 */
#define DMP_SIZE_Y		0x00000800u	/* 4, 8 by REX.W */
#define DMP_SIZE_PAIR		0x00000900u	/* 8, 16 by REX.W */
#define DMP_SIZE_STACK		0x00000a00u	/* 8, or 2 by 66 */
#define DMP_SIZE_NEAR		0x00000b00u	/* 8; 66 is refused */

/* Bits 15:12: what follows the operands. U: unsigned. */
#define DMP_ROW_IMM		0x0000f000u
#define DMP_IMM_NONE		0x00000000u
#define DMP_IMM_B		0x00001000u
#define DMP_IMM_BU		0x00002000u
#define DMP_IMM_WU		0x00003000u
#define DMP_IMM_Z		0x00004000u	/* 2 or 4 bytes */
#define DMP_IMM_V		0x00005000u	/* 2, 4 or 8 bytes */
#define DMP_IMM_WB		0x00006000u	/* ENTER */
#define DMP_IMM_REL8		0x00007000u
#define DMP_IMM_REL32		0x00008000u
#define DMP_IMM_MOFFS		0x00009000u	/* an address, SDM 2.2.1.4 */

/* Bits 18:16: ModRM. */
#define DMP_ROW_MODRM		0x00070000u
#define DMP_MODRM_NONE		0x00000000u
#define DMP_MODRM_ANY		0x00010000u
#define DMP_MODRM_MEM		0x00030000u	/* mod must not be 3 */
#define DMP_MODRM_REG		0x00050000u	/* mod must be 3 */
#define DMP_MODRM_FORCED	0x00070000u	/* mod ignored, taken as 3 */

/* Bits 21:19: where reg comes from. */
#define DMP_ROW_REG		0x00380000u
#define DMP_REG_IS_NONE		0x00000000u
#define DMP_REG_IS_GPR		0x00080000u	/* ModRM.reg */
#define DMP_REG_IS_CR		0x00100000u	/* ModRM.reg */
#define DMP_REG_IS_DR		0x00180000u	/* ModRM.reg */
#define DMP_REG_IS_OPCODE	0x00200000u	/* low bits of the opcode */
#define DMP_REG_IS_ACC		0x00280000u	/* rAX */
#define DMP_REG_IS_FSGS		0x00300000u	/* bits 5:3 of the opcode */

/* Access to mem, or to implicit memory other than the stack. */
#define DMP_ROW_READS		0x00400000u
#define DMP_ROW_WRITES		0x00800000u
#define DMP_ROW_UNKNOWN		0x01000000u

#define DMP_ROW_LOCK		0x02000000u	/* LOCK allowed on memory */
#define DMP_ROW_PRIV		0x04000000u	/* for rows of FORM_OTHER */
#define DMP_ROW_GROUP		0x08000000u	/* look further in a group */

/* The prefix this row is for: the last of F2/F3, else 66, else none. */
#define DMP_ROW_PFX		0xf0000000u
#define DMP_ROW_NP		0x10000000u
#define DMP_ROW_66		0x20000000u
#define DMP_ROW_F3		0x40000000u
#define DMP_ROW_F2		0x80000000u

/*
 * One member of a group: applies if ModRM, under the mask in bits 15:8 of key,
 * is bits 7:0 of key. Its row is added to what the map's row says of them all.
 */
struct dmp_insn_ext {
	u16 key;
	u32 row;
};

struct dmp_insn_group {
	const struct dmp_insn_ext *ext;
	u32 count;
};

struct dmp_insn_form_info {
	const char *name;
	u32 flags;		/* DMP_INSN_* that always come with it */
	u32 mem_only;		/* 1: the register variant is FORM_OTHER */
};

extern const u32 dmp_insn_maps[DMP_MAP_COUNT][256];
extern const struct dmp_insn_group dmp_insn_groups[];
extern const struct dmp_insn_form_info dmp_insn_forms[DMP_FORM_COUNT];

/* x87, opcodes D8 + i: bit n of the first is memory form /n, bit n of the */
/* second is the register form with ModRM C0h + n. */
extern const u8 dmp_insn_x87_mem[8];
extern const u64 dmp_insn_x87_reg[8];

#endif /* DMP_INSN_TABLE_H */
