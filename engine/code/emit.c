// SPDX-License-Identifier: GPL-2.0-only
/*
 * x86-64 code into a bounded buffer; see emit.h.
 */
#include "code/emit.h"

#define REX		0x40
#define MODRM_REG	0xc0	/* mod 3: rm is a register */
#define RM_SIB		4
#define RM_RIP		5
#define SIB_NO_INDEX	4

static bool fits_s8(u64 value)
{
	return value + 0x80 < 0x100;
}

static bool fits_s32(u64 value)
{
	return value + 0x80000000u < 0x100000000ull;
}

void dmp_emit_byte(struct dmp_emit *e, u8 byte)
{
	if (e->len >= e->size) {
		e->failed = true;
		return;
	}
	e->bytes[e->len++] = byte;
}

void dmp_emit_copy(struct dmp_emit *e, const u8 *bytes, u32 count)
{
	while (count--)
		dmp_emit_byte(e, *bytes++);
}

void dmp_emit_number(struct dmp_emit *e, u64 value, u32 count)
{
	for (; count--; value >>= 8)
		dmp_emit_byte(e, (u8)value);
}

/* Distance from @behind bytes after here; SDM vol. 2, 2.2.1.6. */
static void emit_rel32(struct dmp_emit *e, u64 target, u32 behind)
{
	u64 rel = target - (dmp_emit_ip(e) + 4 + behind);

	if (!fits_s32(rel))
		e->failed = true;
	dmp_emit_number(e, rel, 4);
}

/*
 * RBP and R13 as a base need a displacement, RSP and R12 a SIB byte; RSP is no
 * index. SDM vol. 2, tables 2-2, 2-3 and 2-5.
 */
void dmp_emit_modrm(struct dmp_emit *e, u8 reg, struct dmp_emit_mem mem,
		    u32 trailing)
{
	bool sib = mem.index != DMP_REG_NONE || (mem.base & 7) == RM_SIB;
	u8 mod, rm = sib ? RM_SIB : mem.base & 7;

	reg = (reg & 7) << 3;
	if (mem.base == DMP_REG_RIP) {
		dmp_emit_byte(e, reg | RM_RIP);
		emit_rel32(e, mem.disp, trailing);
		return;
	}
	if (mem.index == DMP_REG_RSP || !fits_s32(mem.disp))
		e->failed = true;
	if (!mem.disp && (mem.base & 7) != DMP_REG_RBP)
		mod = 0;
	else
		mod = fits_s8(mem.disp) ? 1 : 2;
	dmp_emit_byte(e, mod << 6 | reg | rm);
	if (sib)
		dmp_emit_byte(e, (mem.index == DMP_REG_NONE ? SIB_NO_INDEX << 3 :
				  (mem.index & 7) << 3) | (mem.base & 7));
	if (mod)
		dmp_emit_number(e, mem.disp, mod == 1 ? 1 : 4);
}

static u8 rex_of_mem(struct dmp_emit_mem mem)
{
	u8 rex = 0;

	if (mem.base != DMP_REG_RIP && mem.base & 8)
		rex |= DMP_REX_B;
	if (mem.index != DMP_REG_NONE && mem.index & 8)
		rex |= DMP_REX_X;
	return rex;
}

static void emit_opcode(struct dmp_emit *e, u32 op, u8 rex)
{
	if (!(op & (DMP_OP_32 | DMP_OP_8)))
		rex |= DMP_REX_W;
	/* With any REX, byte registers 4 to 7 are SPL to DIL. */
	if (rex || op & DMP_OP_8)
		dmp_emit_byte(e, REX | rex);
	if (op & DMP_OP_0F)
		dmp_emit_byte(e, 0x0f);
	dmp_emit_byte(e, (u8)op);
}

void dmp_emit_mem(struct dmp_emit *e, u32 op, u8 reg,
		  struct dmp_emit_mem mem, u32 trailing)
{
	emit_opcode(e, op, (reg & 8 ? DMP_REX_R : 0) | rex_of_mem(mem));
	dmp_emit_modrm(e, reg, mem, trailing);
}

void dmp_emit_reg(struct dmp_emit *e, u32 op, u8 reg, u8 rm)
{
	emit_opcode(e, op, (reg & 8 ? DMP_REX_R : 0) | (rm & 8 ? DMP_REX_B : 0));
	dmp_emit_byte(e, MODRM_REG | (reg & 7) << 3 | (rm & 7));
}

void dmp_emit_mem_imm(struct dmp_emit *e, u32 op, u8 ext,
		      struct dmp_emit_mem mem, u64 imm, u32 count)
{
	dmp_emit_mem(e, op, ext, mem, count);
	dmp_emit_number(e, imm, count);
}

void dmp_emit_reg_imm(struct dmp_emit *e, u32 op, u8 ext, u8 rm, u64 imm,
		      u32 count)
{
	dmp_emit_reg(e, op, ext, rm);
	dmp_emit_number(e, imm, count);
}

static void emit_jump_opcode(struct dmp_emit *e, u8 condition)
{
	if (condition == DMP_JMP || condition == DMP_CALL) {
		dmp_emit_byte(e, condition == DMP_JMP ? 0xe9 : 0xe8);
		return;
	}
	dmp_emit_byte(e, 0x0f);
	dmp_emit_byte(e, 0x80 | condition);
}

void dmp_emit_jump(struct dmp_emit *e, u8 condition, u64 target)
{
	emit_jump_opcode(e, condition);
	emit_rel32(e, target, 0);
}

static void emit_rel32_label(struct dmp_emit *e, struct dmp_label *label)
{
	if (label->bound) {
		emit_rel32(e, e->ip + label->at, 0);
		return;
	}
	if (label->uses == DMP_LABEL_USES) {
		e->failed = true;
		return;
	}
	label->use[label->uses++] = e->len;
	dmp_emit_number(e, 0, 4);
}

void dmp_emit_jump_label(struct dmp_emit *e, u8 condition,
			 struct dmp_label *label)
{
	emit_jump_opcode(e, condition);
	emit_rel32_label(e, label);
}

void dmp_emit_mem_label(struct dmp_emit *e, u32 op, u8 reg,
			struct dmp_label *label)
{
	emit_opcode(e, op, reg & 8 ? DMP_REX_R : 0);
	dmp_emit_byte(e, (reg & 7) << 3 | RM_RIP);
	emit_rel32_label(e, label);
}

void dmp_emit_bind(struct dmp_emit *e, struct dmp_label *label)
{
	u32 rel, at;
	u8 i;

	label->at = e->len;
	label->bound = true;
	for (i = 0; i < label->uses && !e->failed; i++) {
		at = label->use[i];
		for (rel = e->len - (at + 4); at < label->use[i] + 4; rel >>= 8)
			e->bytes[at++] = (u8)rel;
	}
}

void dmp_emit_moved(struct dmp_emit *e, const struct dmp_code *code)
{
	const struct dmp_insn *insn = code->insn;
	u32 behind = insn->disp_off + 4;

	if (!(insn->flags & DMP_INSN_RIP_REL)) {
		dmp_emit_copy(e, code->bytes, insn->length);
		return;
	}
	dmp_emit_copy(e, code->bytes, insn->disp_off);
	emit_rel32(e, code->ip + insn->length + (u64)insn->mem.disp,
		   insn->length - behind);
	dmp_emit_copy(e, code->bytes + behind, insn->length - behind);
}

void dmp_emit_address(struct dmp_emit *e, const struct dmp_code *code, u8 reg)
{
	const struct dmp_insn *insn = code->insn;

	if (insn->flags & DMP_INSN_RIP_REL) {
		dmp_emit_mem(e, DMP_OP_LEA, reg,
			     dmp_emit_at(code->ip + insn->length +
					 (u64)insn->mem.disp), 0);
		return;
	}
	emit_opcode(e, DMP_OP_LEA, (insn->rex & (DMP_REX_X | DMP_REX_B)) |
				   (reg & 8 ? DMP_REX_R : 0));
	dmp_emit_byte(e, (insn->modrm & 0xc7) | (reg & 7) << 3);
	if (insn->sib_off)
		dmp_emit_byte(e, insn->sib);
	dmp_emit_copy(e, code->bytes + insn->disp_off, insn->disp_size);
}

void dmp_emit_elsewhere(struct dmp_emit *e, const struct dmp_code *code,
			struct dmp_emit_mem mem, u8 reg)
{
	const struct dmp_insn *insn = code->insn;
	u8 rex = insn->rex & (DMP_REX_W | DMP_REX_R);
	u8 field = insn->modrm >> 3 & 7;

	if (reg != DMP_REG_NONE) {
		rex = (rex & DMP_REX_W) | (reg & 8 ? DMP_REX_R : 0);
		field = (reg & 7) | (insn->reg_class == DMP_CLASS_HIGH ? 4 : 0);
	}
	rex |= rex_of_mem(mem);
	if (insn->prefixes & DMP_PFX_LOCK)
		dmp_emit_byte(e, 0xf0);
	if (insn->reg_class == DMP_CLASS_HIGH && rex)
		e->failed = true;
	/* Without need, too, where it tells SPL from AH. */
	if (rex || insn->rex)
		dmp_emit_byte(e, REX | rex);
	if (insn->map == DMP_MAP_0F)
		dmp_emit_byte(e, 0x0f);
	dmp_emit_byte(e, insn->opcode);
	dmp_emit_modrm(e, field, mem, insn->imm_size);
	dmp_emit_copy(e, code->bytes + insn->imm_off, insn->imm_size);
}
