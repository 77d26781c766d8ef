// SPDX-License-Identifier: GPL-2.0-only
/* Decoder: operands, form and flags, once the bytes are known. */
#include "insn/insn_decoder.h"

void dmp_decoder_set_mem(struct dmp_decoder *d, u8 base, u8 index, u8 scale)
{
	struct dmp_insn_mem *mem = &d->insn->mem;

	d->insn->flags |= DMP_INSN_HAS_MEM;
	mem->base = base;
	mem->index = index;
	mem->scale = scale;
	mem->addr_size = has_prefix(d, DMP_PFX_ADDRSIZE) ? 4 : 8;
	if (d->insn->seg != DMP_SEG_NONE)
		mem->seg = d->insn->seg;
	else if (base == DMP_REG_RSP || base == DMP_REG_RBP)
		mem->seg = DMP_SEG_SS;
	else
		mem->seg = DMP_SEG_DS;
}

static u8 op_size(const struct dmp_decoder *d)
{
	bool is_66 = has_prefix(d, DMP_PFX_OPSIZE);
	bool is_w = has_rex(d, DMP_REX_W);

	switch (d->row & DMP_ROW_SIZE) {
	case DMP_SIZE_1:
		return 1;
	case DMP_SIZE_2:
		return 2;
	case DMP_SIZE_8:
	case DMP_SIZE_NEAR:
		return 8;
	case DMP_SIZE_10:
		return 10;
	case DMP_SIZE_16:
		return 16;
	case DMP_SIZE_V:
		return v_size(d);
	case DMP_SIZE_Z:
		return is_66 && !is_w ? 2 : 4;
	case DMP_SIZE_Y:
		return is_w ? 8 : 4;
	case DMP_SIZE_PAIR:
		return is_w ? 16 : 8;
	case DMP_SIZE_STACK:
		return is_66 && !is_w ? 2 : 8;
	}
	return 0;
}

/* Without REX, byte registers 4 to 7 are AH to BH: SDM vol. 2, 2.2.1.2. */
static u8 gpr_class(const struct dmp_decoder *d, u8 *reg)
{
	if (d->insn->op_size != 1 || d->insn->rex || *reg < 4)
		return DMP_CLASS_GPR;
	*reg -= 4;
	return DMP_CLASS_HIGH;
}

static void set_reg(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;

	insn->reg = rex_reg(d, modrm_reg(insn), DMP_REX_R);
	switch (d->row & DMP_ROW_REG) {
	case DMP_REG_IS_GPR:
		insn->reg_class = gpr_class(d, &insn->reg);
		return;
	case DMP_REG_IS_CR:
		insn->reg_class = DMP_CLASS_CR;
		return;
	case DMP_REG_IS_DR:
		insn->reg_class = DMP_CLASS_DR;
		return;
	case DMP_REG_IS_OPCODE:
		insn->reg = rex_reg(d, insn->opcode, DMP_REX_B);
		insn->reg_class = DMP_CLASS_GPR;
		return;
	case DMP_REG_IS_ACC:
		insn->reg = DMP_REG_RAX;
		insn->reg_class = DMP_CLASS_GPR;
		return;
	case DMP_REG_IS_FSGS:
		insn->reg = (insn->opcode >> 3) & 7;
		insn->reg_class = DMP_CLASS_SEG;
		return;
	}
	insn->reg = DMP_REG_NONE;
}

/* Only called for forms, whose ModRM.rm is a general register if not memory. */
static void set_rm(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;
	u32 modrm = d->row & DMP_ROW_MODRM;

	if (modrm == DMP_MODRM_NONE || is_row_mem(d) || !insn->op_size)
		return;
	insn->rm = rex_reg(d, insn->modrm, DMP_REX_B);
	insn->rm_class = gpr_class(d, &insn->rm);
}

/* Memory that string instructions address without ModRM. */
static void set_string_mem(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;

	switch (insn->form) {
	case DMP_FORM_STOS:
	case DMP_FORM_MOVS:
	case DMP_FORM_SCAS:
	case DMP_FORM_INS:
		dmp_decoder_set_mem(d, DMP_REG_RDI, DMP_REG_NONE, 0);
		insn->mem.seg = DMP_SEG_ES;	/* no override: SDM vol. 1, 7.3.9 */
		break;
	case DMP_FORM_LODS:
	case DMP_FORM_CMPS:
	case DMP_FORM_OUTS:
		dmp_decoder_set_mem(d, DMP_REG_RSI, DMP_REG_NONE, 0);
		break;
	default:
		return;
	}
	if (has_prefix(d, DMP_PFX_REP | DMP_PFX_REPNE))
		insn->flags |= DMP_INSN_REPEATED;
}

static void set_form(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;
	const struct dmp_insn_form_info *info;
	bool is_mem = insn->flags & DMP_INSN_HAS_MEM;

	insn->form = d->row & DMP_ROW_FORM;
	if (dmp_insn_forms[insn->form].mem_only && !is_mem)
		insn->form = DMP_FORM_OTHER;
	/* 90 with REX.B is XCHG R8, rAX: SDM vol. 2, "NOP". */
	if (insn->form == DMP_FORM_NOP && !insn->modrm_off &&
	    has_rex(d, DMP_REX_B))
		insn->form = DMP_FORM_OTHER;
	info = &dmp_insn_forms[insn->form];
	insn->flags |= info->flags;
	if (insn->form == DMP_FORM_OTHER)
		return;
	insn->op_size = op_size(d);
	set_reg(d);
	set_rm(d);
	set_string_mem(d);
}

static void set_access(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;
	u32 modrm = d->row & DMP_ROW_MODRM;

	/* The row speaks of the memory variant; this may be the other one. */
	if (modrm == DMP_MODRM_ANY && modrm_mod(insn) == 3)
		return;
	if (d->row & DMP_ROW_READS)
		insn->flags |= DMP_INSN_READS_MEM;
	if (d->row & DMP_ROW_WRITES)
		insn->flags |= DMP_INSN_WRITES_MEM;
	if (d->row & DMP_ROW_UNKNOWN)
		insn->flags |= DMP_INSN_MEM_UNKNOWN;
}

static void set_flags(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;

	set_access(d);
	if (d->row & DMP_ROW_PRIV)
		insn->flags |= DMP_INSN_PRIVILEGED;
	if (has_prefix(d, DMP_PFX_LOCK) || insn->form == DMP_FORM_XCHG)
		insn->flags |= DMP_INSN_LOCKED;
	if (insn->form >= DMP_FORM_BT && insn->form <= DMP_FORM_BTC &&
	    insn->reg_class == DMP_CLASS_GPR)
		insn->flags |= DMP_INSN_BIT_BASE;
	/* MOV to CR8 does not serialize: SDM vol. 3, 9.3. */
	if (insn->form == DMP_FORM_MOV_TO_CR && insn->reg == 8)
		insn->flags &= ~DMP_INSN_SERIALIZING;
}

/* SDM vol. 2, "MOV - Move to/from Control Registers", and its neighbours. */
static enum dmp_insn_status check_operands(const struct dmp_insn *insn)
{
	static const u32 valid_cr = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8;
	u8 sreg = modrm_reg(insn);

	if (insn->reg_class == DMP_CLASS_CR && !(valid_cr >> insn->reg & 1))
		return DMP_INSN_BAD_OPERAND;
	if (insn->reg_class == DMP_CLASS_DR && insn->reg > 7)
		return DMP_INSN_BAD_OPERAND;
	if (insn->map == DMP_MAP_ONE &&
	    (insn->opcode == 0x8c || insn->opcode == 0x8e)) {
		if (sreg > DMP_SEG_GS)
			return DMP_INSN_BAD_OPERAND;
		if (insn->opcode == 0x8e && sreg == DMP_SEG_CS)
			return DMP_INSN_BAD_OPERAND;
	}
	return DMP_INSN_OK;
}

enum dmp_insn_status dmp_decoder_interpret(struct dmp_decoder *d)
{
	set_form(d);
	set_flags(d);
	return check_operands(d->insn);
}
