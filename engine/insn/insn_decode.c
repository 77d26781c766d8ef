// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoder: prefixes, opcode, row, ModRM, immediate. Each step consumes bytes in
 * order or refuses. What they mean is worked out in insn_operand.c.
 */
#include "insn/insn_decoder.h"

static enum dmp_insn_status next_byte(struct dmp_decoder *d, u8 *byte)
{
	if (d->pos >= DMP_INSN_LEN_MAX)
		return DMP_INSN_TOO_LONG;
	if (d->pos >= d->avail)
		return DMP_INSN_TRUNCATED;
	*byte = d->bytes[d->pos++];
	return DMP_INSN_OK;
}

/* Little-endian, zero-extended; size 1 to 8. */
static enum dmp_insn_status next_value(struct dmp_decoder *d, u32 size, u64 *value)
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

/* SDM vol. 2, 2.1.1. Segment overrides are in d->segs. */
static bool take_legacy_prefix(struct dmp_decoder *d, u8 byte)
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
static enum dmp_insn_status check_prefixes(struct dmp_decoder *d)
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
static enum dmp_insn_status read_prefixes(struct dmp_decoder *d)
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
static enum dmp_insn_status read_escape(struct dmp_decoder *d)
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
static enum dmp_insn_status read_opcode(struct dmp_decoder *d)
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

static enum dmp_insn_status read_modrm(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;

	insn->modrm_off = d->pos;
	return next_byte(d, &insn->modrm);
}

/* The row's bit for the prefixes that are there. */
static u32 prefix_bit(const struct dmp_decoder *d)
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

static enum dmp_insn_status select_from_group(struct dmp_decoder *d)
{
	const struct dmp_insn_group *group;
	enum dmp_insn_status status = DMP_INSN_UNKNOWN;
	u32 common = d->row & ~(DMP_ROW_FORM | DMP_ROW_GROUP);
	u32 i;

	group = &dmp_insn_groups[d->row & DMP_ROW_FORM];
	for (i = 0; i < group->count; i++) {
		const struct dmp_insn_ext *ext = &group->ext[i];
		u32 row = common | ext->row;

		if ((d->insn->modrm & (ext->key >> 8)) != (ext->key & 0xff) ||
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
static enum dmp_insn_status select_row(struct dmp_decoder *d)
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

/* May the row be used with these prefixes? LOCK: SDM vol. 2, "LOCK". */
static enum dmp_insn_status check_row(const struct dmp_decoder *d)
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

/* SDM vol. 2, table 2-3. *no_base: a 32-bit displacement instead of a base. */
static enum dmp_insn_status read_sib(struct dmp_decoder *d, bool *no_base)
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
	dmp_decoder_set_mem(d, base, index, scale);
	return DMP_INSN_OK;
}

static enum dmp_insn_status read_disp(struct dmp_decoder *d, u8 size)
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
static enum dmp_insn_status read_mem(struct dmp_decoder *d)
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
		dmp_decoder_set_mem(d, DMP_REG_RIP, DMP_REG_NONE, 0);
	} else {
		dmp_decoder_set_mem(d, rex_reg(d, rm, DMP_REX_B), DMP_REG_NONE, 0);
	}
	return read_disp(d, no_base ? 4 : size_of_mod[mod]);
}

static u8 imm_size(const struct dmp_decoder *d)
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
static enum dmp_insn_status read_moffs(struct dmp_decoder *d)
{
	struct dmp_insn *insn = d->insn;
	enum dmp_insn_status status;
	u64 value;

	dmp_decoder_set_mem(d, DMP_REG_NONE, DMP_REG_NONE, 0);
	insn->disp_off = d->pos;
	insn->disp_size = insn->mem.addr_size;
	status = next_value(d, insn->disp_size, &value);
	if (!status)
		insn->mem.disp = (s64)value;
	return status;
}

static enum dmp_insn_status read_imm(struct dmp_decoder *d)
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

typedef enum dmp_insn_status (*decode_step)(struct dmp_decoder *d);

static enum dmp_insn_status read_operands(struct dmp_decoder *d)
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
	struct dmp_decoder d = { .bytes = bytes, .avail = avail, .insn = insn };
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
	return dmp_decoder_interpret(&d);
}
