/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to the decoder: its state while it reads (insn_decode.c) and while it works
 * out what was read (insn_operand.c).
 */
#ifndef DMP_INSN_DECODER_H
#define DMP_INSN_DECODER_H

#include "insn/insn_table.h"

struct dmp_decoder {
	const u8 *bytes;
	size_t avail;
	struct dmp_insn *insn;
	u32 row;
	u8 pos;			/* bytes consumed */
	u8 segs;		/* bit per enum dmp_seg: overrides seen */
};

static inline bool has_prefix(const struct dmp_decoder *d, u8 prefix)
{
	return d->insn->prefixes & prefix;
}

static inline bool has_rex(const struct dmp_decoder *d, u8 bit)
{
	return d->insn->rex & bit;
}

/* A register number with the bit that REX adds to it. */
static inline u8 rex_reg(const struct dmp_decoder *d, u8 low, u8 bit)
{
	return (low & 7) | (has_rex(d, bit) ? 8 : 0);
}

static inline u8 modrm_mod(const struct dmp_insn *insn)
{
	return insn->modrm >> 6;
}

static inline u8 modrm_reg(const struct dmp_insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

/* The operand size of SIZE_V, SDM vol. 2, 2.2.1.2. */
static inline u8 v_size(const struct dmp_decoder *d)
{
	if (has_rex(d, DMP_REX_W))
		return 8;
	return has_prefix(d, DMP_PFX_OPSIZE) ? 2 : 4;
}

static inline bool is_row_mem(const struct dmp_decoder *d)
{
	u32 modrm = d->row & DMP_ROW_MODRM;

	return (modrm == DMP_MODRM_ANY || modrm == DMP_MODRM_MEM) &&
	       modrm_mod(d->insn) != 3;
}

/* Fill in insn->mem, but for the displacement. */
void dmp_decoder_set_mem(struct dmp_decoder *d, u8 base, u8 index, u8 scale);

/* All bytes are read and a row is chosen: the rest of *d->insn. */
enum dmp_insn_status dmp_decoder_interpret(struct dmp_decoder *d);

#endif /* DMP_INSN_DECODER_H */
