// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder's opcode tables: SDM vol. 2, A.3 (tables ), checked
 * against APM vol. 3, A.1. Rows that are missing are undefined in 64-bit mode
 * or belong to extensions this decoder does not know; both are refused.
 */
#include "insn/insn_table.h"

/* Short words, so that a row reads like a line of the manual's map. */
#define F(form)	((u32)DMP_FORM_##form)
#define GRP(group)	(DMP_ROW_GROUP | (u32)GROUP_##group)

#define S1	DMP_SIZE_1
#define S2	DMP_SIZE_2
#define S8	DMP_SIZE_8
#define S10	DMP_SIZE_10
#define S16	DMP_SIZE_16
#define SV	DMP_SIZE_V
#define SZ	DMP_SIZE_Z
#define SY	DMP_SIZE_Y
#define SPAIR	DMP_SIZE_PAIR
#define SSTK	DMP_SIZE_STACK
#define SNEAR	DMP_SIZE_NEAR

#define IB	DMP_IMM_B
#define IBU	DMP_IMM_BU
#define IWU	DMP_IMM_WU
#define IZ	DMP_IMM_Z
#define IV	DMP_IMM_V
#define IWB	DMP_IMM_WB
#define REL8	DMP_IMM_REL8
#define REL32	DMP_IMM_REL32
#define MOFFS	DMP_IMM_MOFFS

#define RM	DMP_MODRM_ANY
#define MEM	DMP_MODRM_MEM
#define REG	DMP_MODRM_REG
#define FORCED	DMP_MODRM_FORCED

#define GPR	DMP_REG_IS_GPR
#define CREG	DMP_REG_IS_CR
#define DREG	DMP_REG_IS_DR
#define OPREG	DMP_REG_IS_OPCODE
#define ACC	DMP_REG_IS_ACC
#define FSGS	DMP_REG_IS_FSGS

#define RD	DMP_ROW_READS
#define WR	DMP_ROW_WRITES
#define RW	(DMP_ROW_READS | DMP_ROW_WRITES)
#define UN	DMP_ROW_UNKNOWN
#define LK	DMP_ROW_LOCK
#define PRIV	DMP_ROW_PRIV

#define NP	DMP_ROW_NP
#define P66	DMP_ROW_66
#define PF3	DMP_ROW_F3
#define PF2	DMP_ROW_F2
#define PI	(NP | P66)		/* integer: 66 is the operand size */
#define PS	(NP | P66 | PF3)	/* string: REP */
#define PC	(NP | P66 | PF3 | PF2)	/* string: REPE, REPNE */

/* Integer shapes that come in many rows. */
#define RMW_B	(RM | S1 | GPR | RW | LK | PI)
#define RMW_V	(RM | SV | GPR | RW | LK | PI)
#define LOAD_B	(RM | S1 | GPR | RD | PI)
#define LOAD_V	(RM | SV | GPR | RD | PI)
#define ACC_B	(IB | S1 | PI)
#define ACC_V	(IZ | SV | PI)
#define BRANCH8	(REL8 | SNEAR | PI)
#define BRANCH32	(REL32 | SNEAR | PI)

/* Vector shapes: memory access is not described. */
#define VEC	(RM | UN)
#define V_66	(VEC | P66)
#define V_N6	(VEC | NP | P66)
#define V_ALL	(VEC | NP | P66 | PF3 | PF2)

enum group {
	GROUP_ALU, GROUP_SHIFT, GROUP_MOV, GROUP_POP, GROUP_NOP,
	GROUP_F6, GROUP_F7, GROUP_FE, GROUP_FF,
	GROUP_0F00, GROUP_0F01, GROUP_0F0D, GROUP_0F12, GROUP_0F16, GROUP_0F18,
	GROUP_0F1C, GROUP_0F1E, GROUP_0F1F, GROUP_0F71, GROUP_0F73, GROUP_0FAE,
	GROUP_0FBA, GROUP_0FC7, GROUP_0FD6, GROUP_38F0, GROUP_38F1,
};

const u32 dmp_insn_maps[DMP_MAP_COUNT][256] = {
/* SDM vol. 2, table A-2. */
[DMP_MAP_ONE] = {
	[0x00] = F(ADD) | RMW_B,	[0x01] = F(ADD) | RMW_V,
	[0x02] = LOAD_B,		[0x03] = LOAD_V,
	[0x04] = ACC_B,			[0x05] = ACC_V,
	[0x08] = F(OR) | RMW_B,		[0x09] = F(OR) | RMW_V,
	[0x0a] = LOAD_B,		[0x0b] = LOAD_V,
	[0x0c] = ACC_B,			[0x0d] = ACC_V,
	[0x10] = F(ADC) | RMW_B,	[0x11] = F(ADC) | RMW_V,
	[0x12] = LOAD_B,		[0x13] = LOAD_V,
	[0x14] = ACC_B,			[0x15] = ACC_V,
	[0x18] = F(SBB) | RMW_B,	[0x19] = F(SBB) | RMW_V,
	[0x1a] = LOAD_B,		[0x1b] = LOAD_V,
	[0x1c] = ACC_B,			[0x1d] = ACC_V,
	[0x20] = F(AND) | RMW_B,	[0x21] = F(AND) | RMW_V,
	[0x22] = LOAD_B,		[0x23] = LOAD_V,
	[0x24] = ACC_B,			[0x25] = ACC_V,
	[0x28] = F(SUB) | RMW_B,	[0x29] = F(SUB) | RMW_V,
	[0x2a] = LOAD_B,		[0x2b] = LOAD_V,
	[0x2c] = ACC_B,			[0x2d] = ACC_V,
	[0x30] = F(XOR) | RMW_B,	[0x31] = F(XOR) | RMW_V,
	[0x32] = LOAD_B,		[0x33] = LOAD_V,
	[0x34] = ACC_B,			[0x35] = ACC_V,
	[0x38 ... 0x3b] = RM | RD | PI,	/* CMP */
	[0x3c] = ACC_B,			[0x3d] = ACC_V,
	[0x50 ... 0x57] = F(PUSH) | OPREG | SSTK | PI,
	[0x58 ... 0x5f] = F(POP) | OPREG | SSTK | PI,
	[0x63] = RM | RD | PI,		/* MOVSXD */
	[0x68] = F(PUSH) | IZ | SSTK | PI,
	[0x69] = RM | RD | IZ | PI,	/* IMUL */
	[0x6a] = F(PUSH) | IB | SSTK | PI,
	[0x6b] = RM | RD | IB | PI,	/* IMUL */
	[0x6c] = F(INS) | S1 | WR | PS,
	[0x6d] = F(INS) | SZ | WR | PS,
	[0x6e] = F(OUTS) | S1 | RD | PS,
	[0x6f] = F(OUTS) | SZ | RD | PS,
	[0x70 ... 0x7f] = F(JCC) | BRANCH8,
	[0x80] = GRP(ALU) | RM | S1 | IB | PI,
	[0x81] = GRP(ALU) | RM | SV | IZ | PI,
	[0x83] = GRP(ALU) | RM | SV | IB | PI,
	[0x84 ... 0x85] = RM | RD | PI,	/* TEST */
	[0x86] = F(XCHG) | RMW_B,	[0x87] = F(XCHG) | RMW_V,
	[0x88] = F(MOV_STORE) | RM | S1 | GPR | WR | PI,
	[0x89] = F(MOV_STORE) | RM | SV | GPR | WR | PI,
	[0x8a] = F(MOV_LOAD) | LOAD_B,	[0x8b] = F(MOV_LOAD) | LOAD_V,
	[0x8c] = RM | WR | PI,		/* MOV from segment register */
	[0x8d] = MEM | PI,		/* LEA */
	[0x8e] = RM | RD | PI,		/* MOV to segment register */
	[0x8f] = GRP(POP) | RM,
	[0x90] = GRP(NOP),
	[0x91 ... 0x97] = PI,		/* XCHG with rAX */
	[0x98 ... 0x99] = PI,		/* CWDE, CDQ */
	[0x9b] = NP,			/* FWAIT */
	[0x9c] = F(PUSHF) | SSTK | PI,	[0x9d] = F(POPF) | SSTK | PI,
	[0x9e ... 0x9f] = PI,		/* SAHF, LAHF */
	[0xa0] = F(MOV_LOAD) | MOFFS | S1 | ACC | RD | PI,
	[0xa1] = F(MOV_LOAD) | MOFFS | SV | ACC | RD | PI,
	[0xa2] = F(MOV_STORE) | MOFFS | S1 | ACC | WR | PI,
	[0xa3] = F(MOV_STORE) | MOFFS | SV | ACC | WR | PI,
	[0xa4] = F(MOVS) | S1 | RW | PS,	[0xa5] = F(MOVS) | SV | RW | PS,
	[0xa6] = F(CMPS) | S1 | RD | PC,	[0xa7] = F(CMPS) | SV | RD | PC,
	[0xa8] = ACC_B,			[0xa9] = ACC_V,
	[0xaa] = F(STOS) | S1 | ACC | WR | PS,
	[0xab] = F(STOS) | SV | ACC | WR | PS,
	[0xac] = F(LODS) | S1 | ACC | RD | PS,
	[0xad] = F(LODS) | SV | ACC | RD | PS,
	[0xae] = F(SCAS) | S1 | ACC | RD | PC,
	[0xaf] = F(SCAS) | SV | ACC | RD | PC,
	[0xb0 ... 0xb7] = IB | PI,	[0xb8 ... 0xbf] = IV | PI,
	[0xc0 ... 0xc1] = GRP(SHIFT) | RM | IBU | PI,
	[0xc2] = F(RET) | IWU | SNEAR | PI,
	[0xc3] = F(RET) | SNEAR | PI | PF3,	/* AMD pads with REP */
	[0xc6] = GRP(MOV) | RM | S1 | IB | PI,
	[0xc7] = GRP(MOV) | RM | SV | IZ | PI,
	[0xc8] = IWB | UN | PI,		/* ENTER */
	[0xc9] = UN | PI,		/* LEAVE */
	[0xca] = F(RET_FAR) | IWU | SV | PI,
	[0xcb] = F(RET_FAR) | SV | PI,
	[0xcc] = F(INT3) | PI,		[0xcd] = F(INT) | IBU | PI,
	[0xcf] = F(IRET) | SV | PI,
	[0xd0 ... 0xd3] = GRP(SHIFT) | RM | PI,
	[0xd7] = RD | PI,		/* XLAT */
	[0xd8 ... 0xdf] = RM | UN | NP,	/* x87, see dmp_insn_x87_mem */
	[0xe0 ... 0xe2] = F(LOOP) | BRANCH8,
	[0xe3] = F(JRCXZ) | BRANCH8,
	[0xe4] = F(IN) | IBU | S1 | ACC | PI,
	[0xe5] = F(IN) | IBU | SZ | ACC | PI,
	[0xe6] = F(OUT) | IBU | S1 | ACC | PI,
	[0xe7] = F(OUT) | IBU | SZ | ACC | PI,
	[0xe8] = F(CALL_REL) | BRANCH32,
	[0xe9] = F(JMP_REL) | BRANCH32,
	[0xeb] = F(JMP_REL) | BRANCH8,
	[0xec] = F(IN) | S1 | ACC | PI,	[0xed] = F(IN) | SZ | ACC | PI,
	[0xee] = F(OUT) | S1 | ACC | PI,	[0xef] = F(OUT) | SZ | ACC | PI,
	[0xf1] = F(INT1) | PI,
	[0xf4] = F(HLT) | PI,
	[0xf5] = PI,			/* CMC */
	[0xf6] = GRP(F6) | RM | S1 | PI,	[0xf7] = GRP(F7) | RM | SV | PI,
	[0xf8 ... 0xf9] = PI,		/* CLC, STC */
	[0xfa] = F(CLI) | PI,		[0xfb] = F(STI) | PI,
	[0xfc ... 0xfd] = PI,		/* CLD, STD */
	[0xfe] = GRP(FE) | RM | PI,	[0xff] = GRP(FF) | RM | PI,
},
/* SDM vol. 2, table A-3. */
[DMP_MAP_0F] = {
	[0x00] = GRP(0F00) | RM,	[0x01] = GRP(0F01) | RM,
	[0x02 ... 0x03] = RM | RD | PI,	/* LAR, LSL */
	[0x05] = F(SYSCALL) | NP,	[0x06] = F(CLTS) | NP,
	[0x07] = F(SYSRET) | SY | NP,
	[0x08] = F(INVD) | NP,		[0x09] = F(WBINVD) | NP,
	[0x0b] = F(UD) | NP,		[0x0d] = GRP(0F0D) | RM,
	[0x10] = V_ALL,			[0x11] = V_ALL,
	[0x12] = GRP(0F12) | RM,	[0x13] = MEM | UN | NP | P66,
	[0x14 ... 0x15] = V_N6,		[0x16] = GRP(0F16) | RM,
	[0x17] = MEM | UN | NP | P66,
	[0x18] = GRP(0F18) | RM,	[0x1c] = GRP(0F1C) | RM,
	[0x1e] = GRP(0F1E) | RM,	[0x1f] = GRP(0F1F) | RM,
	[0x20] = F(MOV_FROM_CR) | FORCED | CREG | S8 | NP,
	[0x21] = F(MOV_FROM_DR) | FORCED | DREG | S8 | NP,
	[0x22] = F(MOV_TO_CR) | FORCED | CREG | S8 | NP,
	[0x23] = F(MOV_TO_DR) | FORCED | DREG | S8 | NP,
	[0x28 ... 0x29] = V_N6,		[0x2a] = V_ALL,
	[0x2b] = MEM | UN | NP | P66,	[0x2c ... 0x2d] = V_ALL,
	[0x2e ... 0x2f] = V_N6,
	[0x30] = F(WRMSR) | NP,		[0x31] = F(RDTSC) | NP,
	[0x32] = F(RDMSR) | NP,		[0x33] = F(RDPMC) | NP,
	[0x34] = F(SYSENTER) | NP,	[0x35] = F(SYSEXIT) | SY | NP,
	[0x40 ... 0x4f] = RM | RD | PI,	/* CMOVcc */
	[0x50] = REG | NP | P66,	[0x51] = V_ALL,
	[0x52 ... 0x53] = VEC | NP | PF3,	[0x54 ... 0x57] = V_N6,
	[0x58 ... 0x5a] = V_ALL,	[0x5b] = VEC | NP | P66 | PF3,
	[0x5c ... 0x5f] = V_ALL,	[0x60 ... 0x6b] = V_N6,
	[0x6c ... 0x6d] = V_66,		[0x6e] = V_N6,
	[0x6f] = VEC | NP | P66 | PF3,	[0x70] = V_ALL | IBU,
	[0x71 ... 0x72] = GRP(0F71) | RM,	[0x73] = GRP(0F73) | RM,
	[0x74 ... 0x76] = V_N6,		[0x77] = NP,	/* EMMS */
	[0x78] = F(VMREAD) | RM | S8 | GPR | WR | NP,
	[0x79] = F(VMWRITE) | RM | S8 | GPR | RD | NP,
	[0x7c ... 0x7d] = VEC | P66 | PF2,
	[0x7e ... 0x7f] = VEC | NP | P66 | PF3,
	[0x80 ... 0x8f] = F(JCC) | BRANCH32,
	[0x90 ... 0x9f] = RM | WR | PI,	/* SETcc */
	[0xa0] = F(PUSH) | FSGS | SSTK | PI,
	[0xa1] = F(POP) | FSGS | SSTK | PI,
	[0xa2] = F(CPUID) | NP,
	[0xa3] = F(BT) | RM | SV | GPR | RD | PI,
	[0xa4] = RM | RW | IBU | PI,	[0xa5] = RM | RW | PI,	/* SHLD */
	[0xa8] = F(PUSH) | FSGS | SSTK | PI,
	[0xa9] = F(POP) | FSGS | SSTK | PI,
	[0xaa] = F(RSM) | NP,		[0xab] = F(BTS) | RMW_V,
	[0xac] = RM | RW | IBU | PI,	[0xad] = RM | RW | PI,	/* SHRD */
	[0xae] = GRP(0FAE) | RM,	[0xaf] = RM | RD | PI,	/* IMUL */
	[0xb0] = F(CMPXCHG) | RMW_B,	[0xb1] = F(CMPXCHG) | RMW_V,
	[0xb2] = MEM | RD | PI,		[0xb3] = F(BTR) | RMW_V,
	[0xb4 ... 0xb5] = MEM | RD | PI,	/* LFS, LGS; b2: LSS */
	[0xb6 ... 0xb7] = RM | RD | PI,	/* MOVZX */
	[0xb8] = RM | RD | SV | PF3,	/* POPCNT */
	[0xb9] = F(UD) | RM | NP,	[0xba] = GRP(0FBA) | RM,
	[0xbb] = F(BTC) | RMW_V,
	[0xbc ... 0xbd] = RM | RD | SV | PI | PF3,	/* BSF, TZCNT, ... */
	[0xbe ... 0xbf] = RM | RD | PI,	/* MOVSX */
	[0xc0] = F(XADD) | RMW_B,	[0xc1] = F(XADD) | RMW_V,
	[0xc2] = V_ALL | IBU,
	[0xc3] = F(MOVNTI) | MEM | SY | GPR | WR | NP,
	[0xc4] = V_N6 | IBU,		[0xc5] = REG | IBU | NP | P66,
	[0xc6] = V_N6 | IBU,		[0xc7] = GRP(0FC7) | RM,
	[0xc8 ... 0xcf] = NP,		/* BSWAP; of 16 bits undefined */
	[0xd0] = VEC | P66 | PF2,	[0xd1 ... 0xd5] = V_N6,
	[0xd6] = GRP(0FD6) | RM,	[0xd7] = REG | NP | P66,
	[0xd8 ... 0xe5] = V_N6,		[0xe6] = VEC | P66 | PF3 | PF2,
	[0xe7] = MEM | UN | NP | P66,	[0xe8 ... 0xef] = V_N6,
	[0xf0] = MEM | UN | PF2,	[0xf1 ... 0xf6] = V_N6,
	[0xf7] = REG | UN | NP | P66,	/* MASKMOVQ writes at rDI */
	[0xf8 ... 0xfe] = V_N6,
},
/* SDM vol. 2, table A-4. */
[DMP_MAP_0F38] = {
	[0x00 ... 0x0b] = V_N6,		[0x10] = V_66,
	[0x14 ... 0x15] = V_66,		[0x17] = V_66,
	[0x1c ... 0x1e] = V_N6,		[0x20 ... 0x25] = V_66,
	[0x28 ... 0x29] = V_66,		[0x2a] = MEM | UN | P66,
	[0x2b] = V_66,			[0x30 ... 0x35] = V_66,
	[0x37 ... 0x41] = V_66,
	[0x80] = F(INVEPT) | MEM | S16 | GPR | RD | P66,
	[0x81] = F(INVVPID) | MEM | S16 | GPR | RD | P66,
	[0x82] = F(INVPCID) | MEM | S16 | GPR | RD | P66,
	[0xc8 ... 0xcd] = VEC | NP,	/* SHA */
	[0xcf] = V_66,			[0xdb ... 0xdf] = V_66,
	[0xf0] = GRP(38F0) | RM,	[0xf1] = GRP(38F1) | RM,
	[0xf6] = RM | RD | P66 | PF3,	/* ADCX, ADOX */
	[0xf9] = MEM | WR | NP,		/* MOVDIRI */
},
/* SDM vol. 2, table A-5. */
[DMP_MAP_0F3A] = {
	[0x08 ... 0x0e] = V_66 | IBU,	[0x0f] = V_N6 | IBU,
	[0x14 ... 0x17] = V_66 | IBU,	[0x20 ... 0x22] = V_66 | IBU,
	[0x40 ... 0x42] = V_66 | IBU,	[0x44] = V_66 | IBU,
	[0x60 ... 0x63] = V_66 | IBU,	[0xcc] = VEC | IBU | NP,
	[0xce ... 0xcf] = V_66 | IBU,	[0xdf] = V_66 | IBU,
},
};

/* How a group's member is told: by ModRM.reg, or by the whole byte. */
#define EXT(n)		(0x3800 | (n) << 3)
#define BYTE(n)		(0xff00 | (n))
#define ANY		0x0000

/* Group 1; its last is CMP. */
static const struct dmp_insn_ext ext_alu[] = {
	{ EXT(0), F(ADD) | RW | LK }, { EXT(1), F(OR) | RW | LK },
	{ EXT(2), F(ADC) | RW | LK }, { EXT(3), F(SBB) | RW | LK },
	{ EXT(4), F(AND) | RW | LK }, { EXT(5), F(SUB) | RW | LK },
	{ EXT(6), F(XOR) | RW | LK }, { EXT(7), RD },
};

/* Group 2; its /6 is in no manual. */
static const struct dmp_insn_ext ext_shift[] = {
	{ EXT(0), RW }, { EXT(1), RW }, { EXT(2), RW }, { EXT(3), RW },
	{ EXT(4), RW }, { EXT(5), RW }, { EXT(7), RW },
};

/* Group 11. */
static const struct dmp_insn_ext ext_mov[] = { { EXT(0), F(MOV_STORE) | WR } };
/* Group 1A. */
static const struct dmp_insn_ext ext_pop[] = {
	{ EXT(0), F(POP) | SSTK | WR | PI },
};

static const struct dmp_insn_ext ext_nop[] = {
	{ ANY, F(NOP) | PI }, { ANY, F(PAUSE) | PF3 },
};

/* Group 3: TEST (/1 is not in the SDM), NOT, NEG, MUL, IMUL, DIV, IDIV. */
static const struct dmp_insn_ext ext_f6[] = {
	{ EXT(0), IB | RD },
	{ EXT(2), F(NOT) | RW | LK }, { EXT(3), F(NEG) | RW | LK },
	{ EXT(4), RD }, { EXT(5), RD }, { EXT(6), RD }, { EXT(7), RD },
};

static const struct dmp_insn_ext ext_f7[] = {
	{ EXT(0), IZ | RD },
	{ EXT(2), F(NOT) | RW | LK }, { EXT(3), F(NEG) | RW | LK },
	{ EXT(4), RD }, { EXT(5), RD }, { EXT(6), RD }, { EXT(7), RD },
};

/* Groups 4 and 5. */
static const struct dmp_insn_ext ext_fe[] = {
	{ EXT(0), F(INC) | S1 | RW | LK }, { EXT(1), F(DEC) | S1 | RW | LK },
};

static const struct dmp_insn_ext ext_ff[] = {
	{ EXT(0), F(INC) | SV | RW | LK }, { EXT(1), F(DEC) | SV | RW | LK },
	{ EXT(2), F(CALL_IND) | SNEAR | RD }, { EXT(3), F(CALL_FAR) | MEM | RD },
	{ EXT(4), F(JMP_IND) | SNEAR | RD }, { EXT(5), F(JMP_FAR) | MEM | RD },
	{ EXT(6), F(PUSH) | SSTK | RD },
};

/* Group 6. */
static const struct dmp_insn_ext ext_0f00[] = {
	{ EXT(0), F(SLDT) | MEM | S2 | WR | PI },
	{ EXT(0), F(SLDT) | REG | SV | PI },
	{ EXT(1), F(STR) | MEM | S2 | WR | PI },
	{ EXT(1), F(STR) | REG | SV | PI },
	{ EXT(2), F(LLDT) | RM | S2 | RD | NP },
	{ EXT(3), F(LTR) | RM | S2 | RD | NP },
	{ EXT(4), RM | RD | NP }, { EXT(5), RM | RD | NP },	/* VERR, VERW */
};

/* Group 7. */
static const struct dmp_insn_ext ext_0f01[] = {
	{ EXT(0), F(SGDT) | MEM | S10 | WR | NP },
	{ EXT(1), F(SIDT) | MEM | S10 | WR | NP },
	{ EXT(2), F(LGDT) | MEM | S10 | RD | NP },
	{ EXT(3), F(LIDT) | MEM | S10 | RD | NP },
	{ EXT(4), F(SMSW) | MEM | S2 | WR | PI },
	{ EXT(4), F(SMSW) | REG | SV | PI },
	{ EXT(6), F(LMSW) | RM | S2 | RD | NP },
	{ EXT(7), F(INVLPG) | MEM | NP },
	{ BYTE(0xc1), F(VMCALL) | REG | NP },
	{ BYTE(0xc2), F(VMLAUNCH) | REG | NP },
	{ BYTE(0xc3), F(VMRESUME) | REG | NP },
	{ BYTE(0xc4), F(VMXOFF) | REG | NP },
	{ BYTE(0xc8), F(MONITOR) | REG | NP },
	{ BYTE(0xc9), F(MWAIT) | REG | NP },
	{ BYTE(0xca), F(CLAC) | REG | NP },
	{ BYTE(0xcb), F(STAC) | REG | NP },
	{ BYTE(0xcf), REG | UN | PRIV | NP },		/* ENCLS */
	{ BYTE(0xd0), F(XGETBV) | REG | NP },
	{ BYTE(0xd1), F(XSETBV) | REG | NP },
	{ BYTE(0xd4), F(VMFUNC) | REG | NP },
	{ BYTE(0xd8), F(VMRUN) | REG | NP },
	{ BYTE(0xd9), F(VMMCALL) | REG | NP | PF3 | PF2 },	/* VMGEXIT */
	{ BYTE(0xda), F(VMLOAD) | REG | NP },
	{ BYTE(0xdb), F(VMSAVE) | REG | NP },
	{ BYTE(0xdc), F(STGI) | REG | NP },
	{ BYTE(0xdd), F(CLGI) | REG | NP },
	{ BYTE(0xde), F(SKINIT) | REG | NP },
	{ BYTE(0xdf), F(INVLPGA) | REG | NP },
	{ BYTE(0xe8), F(SERIALIZE) | REG | NP },
	{ BYTE(0xee), REG | NP }, { BYTE(0xef), REG | NP },	/* PKRU */
	{ BYTE(0xf8), F(SWAPGS) | REG | NP },
	{ BYTE(0xf9), F(RDTSCP) | REG | NP },
	/* AMD: MONITORX, MWAITX, CLZERO; INVLPGB and SEV-SNP's. */
	{ BYTE(0xfa), REG | UN | NP }, { BYTE(0xfb), REG | UN | NP },
	{ BYTE(0xfc), REG | UN | NP },
	{ BYTE(0xfe), REG | UN | PRIV | NP | PF3 | PF2 },
	{ BYTE(0xff), REG | UN | PRIV | NP | PF3 | PF2 },
};

/* Prefetches access nothing that counts; on registers CPUs differ. */
static const struct dmp_insn_ext ext_0f0d[] = {
	{ EXT(0), F(NOP) | MEM | NP }, { EXT(1), F(NOP) | MEM | NP },
	{ EXT(2), F(NOP) | MEM | NP },
};

static const struct dmp_insn_ext ext_0f12[] = {
	{ ANY, RM | UN | NP | PF3 | PF2 }, { ANY, MEM | UN | P66 },
};

static const struct dmp_insn_ext ext_0f16[] = {
	{ ANY, RM | UN | NP | PF3 }, { ANY, MEM | UN | P66 },
};

static const struct dmp_insn_ext ext_0f18[] = {
	{ EXT(0), F(NOP) | MEM | NP }, { EXT(1), F(NOP) | MEM | NP },
	{ EXT(2), F(NOP) | MEM | NP }, { EXT(3), F(NOP) | MEM | NP },
};

static const struct dmp_insn_ext ext_0f1c[] = {
	{ EXT(0), F(NOP) | MEM | NP },	/* CLDEMOTE */
};

static const struct dmp_insn_ext ext_0f1e[] = {
	{ BYTE(0xfa), F(ENDBR) | REG | PF3 },
	{ BYTE(0xfb), F(ENDBR) | REG | PF3 },
	{ EXT(1), REG | PF3 },		/* RDSSP */
};

static const struct dmp_insn_ext ext_0f1f[] = {
	{ EXT(0), F(NOP) | RM | PI },
};

static const struct dmp_insn_ext ext_0f71[] = {
	{ EXT(2), REG | IBU | NP | P66 }, { EXT(4), REG | IBU | NP | P66 },
	{ EXT(6), REG | IBU | NP | P66 },
};

static const struct dmp_insn_ext ext_0f73[] = {
	{ EXT(2), REG | IBU | NP | P66 }, { EXT(3), REG | IBU | P66 },
	{ EXT(6), REG | IBU | NP | P66 }, { EXT(7), REG | IBU | P66 },
};

/* Group 15, table A-6. */
static const struct dmp_insn_ext ext_0fae[] = {
	{ EXT(0), MEM | WR | NP }, { EXT(1), MEM | RD | NP },	/* FXSAVE */
	{ EXT(2), MEM | RD | NP }, { EXT(3), MEM | WR | NP },	/* MXCSR */
	{ EXT(4), MEM | UN | NP }, { EXT(5), MEM | UN | NP },	/* XSAVE */
	{ EXT(6), MEM | UN | NP },	/* XSAVEOPT */
	{ EXT(7), MEM | UN | NP },	/* CLFLUSH */
	{ EXT(6), MEM | UN | P66 },	/* CLWB */
	{ EXT(7), MEM | UN | P66 },	/* CLFLUSHOPT */
	{ EXT(0), REG | PF3 }, { EXT(1), REG | PF3 },	/* RDFSBASE, ... */
	{ EXT(2), REG | PF3 }, { EXT(3), REG | PF3 },
	{ BYTE(0xe8), REG | NP }, { BYTE(0xf0), REG | NP },	/* fences */
	{ BYTE(0xf8), REG | NP },
	{ EXT(5), REG | UN | PF3 },	/* INCSSP */
	{ EXT(6), REG | P66 }, { EXT(6), REG | PF3 | PF2 },	/* WAITPKG */
};

static const struct dmp_insn_ext ext_0fba[] = {
	{ EXT(4), F(BT) | RM | SV | IBU | RD | PI },
	{ EXT(5), F(BTS) | RM | SV | IBU | RW | LK | PI },
	{ EXT(6), F(BTR) | RM | SV | IBU | RW | LK | PI },
	{ EXT(7), F(BTC) | RM | SV | IBU | RW | LK | PI },
};

/* Group 9. */
static const struct dmp_insn_ext ext_0fc7[] = {
	{ EXT(1), F(CMPXCHG_PAIR) | MEM | SPAIR | RW | LK | NP },
	{ EXT(3), MEM | UN | PRIV | NP },	/* XRSTORS */
	{ EXT(4), MEM | UN | NP },		/* XSAVEC */
	{ EXT(5), MEM | UN | PRIV | NP },	/* XSAVES */
	{ EXT(6), F(VMPTRLD) | MEM | S8 | RD | NP },
	{ EXT(6), F(VMCLEAR) | MEM | S8 | RD | UN | P66 },
	{ EXT(6), F(VMXON) | MEM | S8 | RD | PF3 },
	{ EXT(7), F(VMPTRST) | MEM | S8 | WR | NP },
	{ EXT(6), REG | PI }, { EXT(7), REG | PI },	/* RDRAND, RDSEED */
	{ EXT(7), REG | PF3 },			/* RDPID */
};

static const struct dmp_insn_ext ext_0fd6[] = {
	{ ANY, V_66 }, { ANY, REG | PF3 | PF2 },
};

/* MOVBE and CRC32. */
static const struct dmp_insn_ext ext_38f0[] = {
	{ ANY, MEM | RD | PI }, { ANY, RM | RD | PF2 },
};

static const struct dmp_insn_ext ext_38f1[] = {
	{ ANY, MEM | WR | PI }, { ANY, RM | RD | SV | PF2 },
};

#define GROUP(name, table) \
	[GROUP_##name] = { ext_##table, DMP_ARRAY_SIZE(ext_##table) }

const struct dmp_insn_group dmp_insn_groups[] = {
	GROUP(ALU, alu), GROUP(SHIFT, shift), GROUP(MOV, mov), GROUP(POP, pop),
	GROUP(NOP, nop), GROUP(F6, f6), GROUP(F7, f7), GROUP(FE, fe),
	GROUP(FF, ff), GROUP(0F00, 0f00), GROUP(0F01, 0f01),
	GROUP(0F0D, 0f0d), GROUP(0F12, 0f12), GROUP(0F16, 0f16),
	GROUP(0F18, 0f18), GROUP(0F1C, 0f1c), GROUP(0F1E, 0f1e),
	GROUP(0F1F, 0f1f), GROUP(0F71, 0f71), GROUP(0F73, 0f73),
	GROUP(0FAE, 0fae), GROUP(0FBA, 0fba), GROUP(0FC7, 0fc7),
	GROUP(0FD6, 0fd6), GROUP(38F0, 38f0), GROUP(38F1, 38f1),
};

/* SDM vol. 2, A.5; aliases that only old lists name are left out. */
const u8 dmp_insn_x87_mem[8] = {
	0xff, 0xfd, 0xff, 0xaf, 0xff, 0xdf, 0xff, 0xff,
};

const u64 dmp_insn_x87_reg[8] = {
	0xffffffffffffffffull,		/* D8 */
	0xffff7f330001ffffull,		/* D9 */
	0x00000200ffffffffull,		/* DA */
	0x00ffff0cffffffffull,		/* DB */
	0xffffffff0000ffffull,		/* DC */
	0x0000ffffffff00ffull,		/* DD */
	0xffffffff0200ffffull,		/* DE */
	0x00ffff0100000000ull,		/* DF */
};
