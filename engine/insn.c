// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoder: prefixes, opcode, row, ModRM, immediate, then what it all means.
 * Each step consumes bytes in order or refuses.
 */
#include "insn_table.h"

struct decoder {
	const u8 *bytes;
	size_t avail;
	struct dmp_insn *insn;
	u32 row;
	u8 pos;			/* bytes consumed */
	u8 segs;		/* bit per enum dmp_seg: overrides seen */
};

static enum dmp_insn_status next_byte(struct decoder *d, u8 *byte)
{
	if (d->pos >= d->avail)
		return DMP_INSN_TRUNCATED;
	if (d->pos >= DMP_INSN_LEN_MAX)
		return DMP_INSN_TOO_LONG;
	*byte = d->bytes[d->pos++];
	return DMP_INSN_OK;
}

/* Little-endian, zero-extended; size 1 to 8. */
static enum dmp_insn_status next_value(struct decoder *d, u32 size, u64 *value)
{
	enum dmp_insn_status status;
	u32 i;
	u8 byte;

	*value = 0;
	for (i = 0; i < size; i++) {
		status = next_byte(d, &byte);
		if (status)
			return status;
		*value |= (u64)byte << (8 * i);
	}
	return DMP_INSN_OK;
}

static s64 sign_extend(u64 value, u32 size)
{
	u64 sign = 1ull << (8 * size - 1);

	if (size == 8)
		return (s64)value;
	return (s64)((value ^ sign) - sign);
}

static bool has_prefix(const struct decoder *d, u8 prefix)
{
	return d->insn->prefixes & prefix;
}

static bool has_rex(const struct decoder *d, u8 bit)
{
	return d->insn->rex & bit;
}

/* A register number with the bit that REX adds to it. */
static u8 rex_reg(const struct decoder *d, u8 low, u8 bit)
{
	return (low & 7) | (has_rex(d, bit) ? 8 : 0);
}

static u8 modrm_mod(const struct dmp_insn *insn)
{
	return insn->modrm >> 6;
}

static u8 modrm_reg(const struct dmp_insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

/* SDM vol. 2, 2.1.1. Segment overrides are in d->segs. */
static bool take_legacy_prefix(struct decoder *d, u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		d->segs |= 1 << ((byte >> 3) & 3);
		return true;
	case 0x64:
	case 0x65:
		d->segs |= 1 << (byte - 0x64 + DMP_SEG_FS);
		return true;
	case 0x66:
		d->insn->prefixes |= DMP_PFX_OPSIZE;
		return true;
	case 0x67:
		d->insn->prefixes |= DMP_PFX_ADDRSIZE;
		return true;
	case 0xf0:
		d->insn->prefixes |= DMP_PFX_LOCK;
		return true;
	case 0xf2:
		d->insn->prefixes |= DMP_PFX_REPNE;
		return true;
	case 0xf3:
		d->insn->prefixes |= DMP_PFX_REP;
		return true;
	}
	return false;
}

/*
 * Of two prefixes of one group the manuals define no winner (SDM vol. 2,
 * 2.1.1); two of those segment overrides that are void do no harm.
 */
static enum dmp_insn_status check_prefixes(struct decoder *d)
{
	if (has_prefix(d, DMP_PFX_REP) && has_prefix(d, DMP_PFX_REPNE))
		return DMP_INSN_PREFIX_CLASH;
	if (!(d->segs >> DMP_SEG_FS))
		return DMP_INSN_OK;
	if (d->segs == 1 << DMP_SEG_FS)
		d->insn->seg = DMP_SEG_FS;
	else if (d->segs == 1 << DMP_SEG_GS)
		d->insn->seg = DMP_SEG_GS;
	else
		return DMP_INSN_PREFIX_CLASH;
	return DMP_INSN_OK;
}

/* Leaves the first byte that is no prefix in insn->opcode. */
static enum dmp_insn_status read_prefixes(struct decoder *d)
{
	enum dmp_insn_status status;
	u8 byte;

	for (;;) {
		status = next_byte(d, &byte);
		if (status)
			return status;
		if (take_legacy_prefix(d, byte)) {
			if (d->insn->rex)
				return DMP_INSN_REX_ORDER;
		} else if ((byte & 0xf0) == 0x40) {
			if (d->insn->rex)
				return DMP_INSN_REX_ORDER;
			d->insn->rex = byte;
		} else {
			d->insn->opcode = byte;
			return check_prefixes(d);
		}
	}
}

/* The second and third opcode byte; insn->opcode ends up as the last one. */
static enum dmp_insn_status read_escape(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;

	status = next_byte(d, &insn->opcode);
	if (status)
		return status;
	insn->map = DMP_MAP_0F;
	switch (insn->opcode) {
	case 0x0f:
		return DMP_INSN_3DNOW;
	case 0x38:
		insn->map = DMP_MAP_0F38;
		return next_byte(d, &insn->opcode);
	case 0x3a:
		insn->map = DMP_MAP_0F3A;
		return next_byte(d, &insn->opcode);
	case 0xff:	/* UD0: ModRM with Intel, none with AMD */
		return DMP_INSN_CPU_DIFFERS;
	}
	return DMP_INSN_OK;
}

/* SDM vol. 2, 2.1.2, 2.3.5 (VEX) and 2.7.1 (EVEX). */
static enum dmp_insn_status read_opcode(struct decoder *d)
{
	enum dmp_insn_status status = DMP_INSN_OK;

	switch (d->insn->opcode) {
	case 0xc4:
	case 0xc5:
		return DMP_INSN_VEX;
	case 0x62:
		return DMP_INSN_EVEX;
	case 0x0f:
		status = read_escape(d);
		break;
	}
	d->insn->opcode_off = d->pos - 1;
	return status;
}

static enum dmp_insn_status read_modrm(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;

	insn->modrm_off = d->pos;
	return next_byte(d, &insn->modrm);
}

/* The row's bit for the prefixes that are there. */
static u32 prefix_bit(const struct decoder *d)
{
	if (has_prefix(d, DMP_PFX_REPNE))
		return DMP_ROW_F2;
	if (has_prefix(d, DMP_PFX_REP))
		return DMP_ROW_F3;
	if (has_prefix(d, DMP_PFX_OPSIZE))
		return DMP_ROW_66;
	return DMP_ROW_NP;
}

/* Beside F2 or F3, 66 only means something where it is the operand size. */
static bool is_opsize_used(u32 row)
{
	u32 size = row & DMP_ROW_SIZE;

	return size == DMP_SIZE_V || size == DMP_SIZE_Z;
}

static bool is_mod_allowed(const struct dmp_insn *insn, u32 row)
{
	switch (row & DMP_ROW_MODRM) {
	case DMP_MODRM_MEM:
		return modrm_mod(insn) != 3;
	case DMP_MODRM_REG:
		return modrm_mod(insn) == 3;
	}
	return true;
}

static enum dmp_insn_status select_from_group(struct decoder *d)
{
	const struct dmp_insn_group *group;
	enum dmp_insn_status status = DMP_INSN_UNKNOWN;
	u32 common = d->row & ~(DMP_ROW_FORM | DMP_ROW_GROUP);
	u32 i;

	group = &dmp_insn_groups[d->row & DMP_ROW_FORM];
	for (i = 0; i < group->count; i++) {
		const struct dmp_insn_ext *ext = &group->ext[i];
		u32 row = common | ext->row;

		if ((d->insn->modrm & ext->key >> 8) != (ext->key & 0xff) ||
		    !is_mod_allowed(d->insn, row))
			continue;
		status = DMP_INSN_BAD_PREFIX;
		if (row & prefix_bit(d)) {
			d->row = row;
			return DMP_INSN_OK;
		}
	}
	return status;
}

/* APM vol. 3, 1.2.5: XOP shares 8F with POP, whose ModRM.reg is 0. */
static bool is_xop(const struct dmp_insn *insn)
{
	return insn->map == DMP_MAP_ONE && insn->opcode == 0x8f &&
	       (insn->modrm & 0x1f) >= 8;
}

static bool is_x87_defined(const struct dmp_insn *insn)
{
	u32 i = insn->opcode & 7;

	if (modrm_mod(insn) != 3)
		return dmp_insn_x87_mem[i] >> modrm_reg(insn) & 1;
	return dmp_insn_x87_reg[i] >> (insn->modrm & 0x3f) & 1;
}

/* Find the row, reading ModRM if there is one. */
static enum dmp_insn_status select_row(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status = DMP_INSN_OK;

	d->row = dmp_insn_maps[insn->map][insn->opcode];
	if (!d->row)
		return DMP_INSN_UNKNOWN;
	if (d->row & DMP_ROW_MODRM)
		status = read_modrm(d);
	if (status)
		return status;
	if (is_xop(insn))
		return DMP_INSN_XOP;
	if (d->row & DMP_ROW_GROUP)
		return select_from_group(d);
	if (!is_mod_allowed(insn, d->row))
		return DMP_INSN_BAD_OPERAND;
	if (insn->map == DMP_MAP_ONE && (insn->opcode & 0xf8) == 0xd8 &&
	    !is_x87_defined(insn))
		return DMP_INSN_UNKNOWN;
	return DMP_INSN_OK;
}

static bool is_row_mem(const struct decoder *d)
{
	u32 modrm = d->row & DMP_ROW_MODRM;

	return (modrm == DMP_MODRM_ANY || modrm == DMP_MODRM_MEM) &&
	       modrm_mod(d->insn) != 3;
}

/* May the row be used with these prefixes? LOCK: SDM vol. 2, "LOCK". */
static enum dmp_insn_status check_row(const struct decoder *d)
{
	bool has_rep = has_prefix(d, DMP_PFX_REP | DMP_PFX_REPNE);

	if (!(d->row & prefix_bit(d)))
		return DMP_INSN_BAD_PREFIX;
	if (has_prefix(d, DMP_PFX_OPSIZE)) {
		if ((d->row & DMP_ROW_SIZE) == DMP_SIZE_NEAR)
			return DMP_INSN_OPSIZE_BRANCH;
		if (has_rep && !is_opsize_used(d->row))
			return DMP_INSN_BAD_PREFIX;
	}
	if (has_prefix(d, DMP_PFX_LOCK) &&
	    !((d->row & DMP_ROW_LOCK) && is_row_mem(d)))
		return DMP_INSN_BAD_LOCK;
	return DMP_INSN_OK;
}

static void set_mem(struct decoder *d, u8 base, u8 index, u8 scale)
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

/* SDM vol. 2, table 2-3. *no_base: a 32-bit displacement instead of a base. */
static enum dmp_insn_status read_sib(struct decoder *d, bool *no_base)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;
	u8 base, index, scale;

	insn->sib_off = d->pos;
	status = next_byte(d, &insn->sib);
	if (status)
		return status;
	*no_base = (insn->sib & 7) == DMP_REG_RBP && modrm_mod(insn) == 0;
	base = *no_base ? DMP_REG_NONE : rex_reg(d, insn->sib, DMP_REX_B);
	index = rex_reg(d, insn->sib >> 3, DMP_REX_X);
	scale = 1 << (insn->sib >> 6);
	if (index == DMP_REG_RSP) {
		index = DMP_REG_NONE;
		scale = 0;
	}
	set_mem(d, base, index, scale);
	return DMP_INSN_OK;
}

static enum dmp_insn_status read_disp(struct decoder *d, u8 size)
{
	enum dmp_insn_status status;
	u64 value;

	if (!size)
		return DMP_INSN_OK;
	d->insn->disp_off = d->pos;
	d->insn->disp_size = size;
	status = next_value(d, size, &value);
	if (!status)
		d->insn->mem.disp = sign_extend(value, size);
	return status;
}

/* SDM vol. 2, tables 2-2 and 2-3; RIP-relative: 2.2.1.6. */
static enum dmp_insn_status read_mem(struct decoder *d)
{
	static const u8 size_of_mod[] = { 0, 1, 4 };
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;
	u8 mod = modrm_mod(insn), rm = insn->modrm & 7;
	bool no_base = false;

	if (rm == DMP_REG_RSP) {
		status = read_sib(d, &no_base);
		if (status)
			return status;
	} else if (mod == 0 && rm == DMP_REG_RBP) {
		no_base = true;
		insn->flags |= DMP_INSN_RIP_REL;
		set_mem(d, DMP_REG_RIP, DMP_REG_NONE, 0);
	} else {
		set_mem(d, rex_reg(d, rm, DMP_REX_B), DMP_REG_NONE, 0);
	}
	return read_disp(d, no_base ? 4 : size_of_mod[mod]);
}

/* The operand size of SIZE_V, SDM vol. 2, 2.2.1.2. */
static u8 v_size(const struct decoder *d)
{
	if (has_rex(d, DMP_REX_W))
		return 8;
	return has_prefix(d, DMP_PFX_OPSIZE) ? 2 : 4;
}

static u8 imm_size(const struct decoder *d)
{
	switch (d->row & DMP_ROW_IMM) {
	case DMP_IMM_B:
	case DMP_IMM_BU:
	case DMP_IMM_REL8:
		return 1;
	case DMP_IMM_WU:
		return 2;
	case DMP_IMM_WB:
		return 3;
	case DMP_IMM_REL32:
		return 4;
	case DMP_IMM_Z:
		return v_size(d) == 2 ? 2 : 4;
	case DMP_IMM_V:
		return v_size(d);
	}
	return 0;
}

/* An absolute address in the place of ModRM, SDM vol. 2, 2.2.1.4. */
static enum dmp_insn_status read_moffs(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;
	u64 value;

	set_mem(d, DMP_REG_NONE, DMP_REG_NONE, 0);
	insn->disp_off = d->pos;
	insn->disp_size = insn->mem.addr_size;
	status = next_value(d, insn->disp_size, &value);
	if (!status)
		insn->mem.disp = (s64)value;
	return status;
}

static enum dmp_insn_status read_imm(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;
	u32 kind = d->row & DMP_ROW_IMM;
	u64 value;

	if (kind == DMP_IMM_MOFFS)
		return read_moffs(d);
	insn->imm_size = imm_size(d);
	if (!insn->imm_size)
		return DMP_INSN_OK;
	insn->imm_off = d->pos;
	status = next_value(d, insn->imm_size, &value);
	if (status)
		return status;
	if (kind == DMP_IMM_BU || kind == DMP_IMM_WU)
		insn->imm = (s64)value;
	else if (kind == DMP_IMM_WB)
		insn->imm = (s64)(value & 0xffff);
	else
		insn->imm = sign_extend(value, insn->imm_size);
	return DMP_INSN_OK;
}

static u8 op_size(const struct decoder *d)
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
static u8 gpr_class(const struct decoder *d, u8 *reg)
{
	if (d->insn->op_size != 1 || d->insn->rex || *reg < 4)
		return DMP_CLASS_GPR;
	*reg -= 4;
	return DMP_CLASS_HIGH;
}

static void set_reg(struct decoder *d)
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
static void set_rm(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;
	u32 modrm = d->row & DMP_ROW_MODRM;

	if (modrm == DMP_MODRM_NONE || is_row_mem(d) || !insn->op_size)
		return;
	insn->rm = rex_reg(d, insn->modrm, DMP_REX_B);
	insn->rm_class = gpr_class(d, &insn->rm);
}

/* Memory that string instructions address without ModRM. */
static void set_string_mem(struct decoder *d)
{
	struct dmp_insn *insn = d->insn;

	switch (insn->form) {
	case DMP_FORM_STOS:
	case DMP_FORM_MOVS:
	case DMP_FORM_SCAS:
	case DMP_FORM_INS:
		set_mem(d, DMP_REG_RDI, DMP_REG_NONE, 0);
		insn->mem.seg = DMP_SEG_ES;	/* no override: SDM vol. 1, 7.3.9 */
		break;
	case DMP_FORM_LODS:
	case DMP_FORM_CMPS:
	case DMP_FORM_OUTS:
		set_mem(d, DMP_REG_RSI, DMP_REG_NONE, 0);
		break;
	default:
		return;
	}
	if (has_prefix(d, DMP_PFX_REP | DMP_PFX_REPNE))
		insn->flags |= DMP_INSN_REPEATED;
}

static void set_form(struct decoder *d)
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

static void set_access(struct decoder *d)
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

static void set_flags(struct decoder *d)
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

typedef enum dmp_insn_status (*decode_step)(struct decoder *d);

static enum dmp_insn_status read_operands(struct decoder *d)
{
	enum dmp_insn_status status = check_row(d);

	if (status)
		return status;
	if (is_row_mem(d)) {
		status = read_mem(d);
		if (status)
			return status;
	}
	return read_imm(d);
}

static const decode_step steps[] = {
	read_prefixes, read_opcode, select_row, read_operands,
};

enum dmp_insn_status dmp_insn_decode(const u8 *bytes, size_t avail,
				     struct dmp_insn *insn)
{
	struct decoder d = { .bytes = bytes, .avail = avail, .insn = insn };
	enum dmp_insn_status status;
	u32 i;

	*insn = (struct dmp_insn) {
		.reg = DMP_REG_NONE, .rm = DMP_REG_NONE, .seg = DMP_SEG_NONE,
	};
	for (i = 0; i < DMP_ARRAY_SIZE(steps); i++) {
		status = steps[i](&d);
		if (status)
			return status;
	}
	insn->length = d.pos;
	set_form(&d);
	set_flags(&d);
	return check_operands(insn);
}
