// SPDX-License-Identifier: GPL-2.0-only
/* Kinds of cases; see cover.h. */
#include "cover.h"

static const char *const names[COVERS] = {
	[COVER_REG_IS_BASE]	= "reg-is-base",
	[COVER_REG_IS_INDEX]	= "reg-is-index",
	[COVER_BASE_IS_INDEX]	= "base-is-index",
	[COVER_RAX_IS_BASE]	= "rax-is-base",
	[COVER_RAX_IS_INDEX]	= "rax-is-index",
	[COVER_RAX_IS_REG]	= "rax-is-reg",
	[COVER_RSP_IS_BASE]	= "rsp-is-base",
	[COVER_BY_RIP]		= "by-rip",
	[COVER_ABSOLUTE]	= "absolute",
	[COVER_HIGH_BYTE]	= "high-byte",
	[COVER_LOCKED]		= "locked",
	[COVER_ON_STACK]	= "on-stack",
	[COVER_CROSS_DATA]	= "cross-data",
	[COVER_CROSS_TABLES]	= "cross-tables",
	[COVER_CROSS_TO_TABLE]	= "cross-to-table",
	[COVER_CROSS_FROM_TABLE] = "cross-from-table",
	[COVER_CROSS_TO_HOLE]	= "cross-to-hole",
	[COVER_CROSS_FROM_HOLE]	= "cross-from-hole",
	[COVER_CROOKED]		= "crooked",
	[COVER_LAST_ENTRY]	= "last-entry",
	[COVER_FIRST_ENTRY]	= "first-entry",
	[COVER_NOT_CANONICAL]	= "not-canonical",
	[COVER_NOT_MAPPED]	= "not-mapped",
	[COVER_READ_ONLY]	= "read-only",
	[COVER_VOID]		= "void",
	[COVER_FAULT_OF_TABLE]	= "fault-of-table",
	[COVER_FAULT_DISPLACED]	= "fault-displaced",
	[COVER_FAULT_LATER]	= "fault-later",
	[COVER_LEFT_RESTART]	= "left-restart",
	[COVER_LEFT_FINISH]	= "left-finish",
	[COVER_LEFT_DONE]	= "left-done",
	[COVER_LEFT_MISS]	= "left-miss",
	[COVER_LEFT_DISPLACED]	= "left-displaced",
};

const char *cover_name(enum cover kind)
{
	return names[kind];
}

bool cover_is_rare(enum cover kind)
{
	switch (kind) {
	case COVER_ON_STACK:
	case COVER_CROSS_DATA:
	case COVER_CROSS_TABLES:
	case COVER_CROSS_TO_TABLE:
	case COVER_CROSS_FROM_TABLE:
	case COVER_CROSS_TO_HOLE:
	case COVER_VOID:
	case COVER_FAULT_DISPLACED:
	case COVER_FAULT_LATER:
	case COVER_LEFT_DONE:
	case COVER_LEFT_DISPLACED:
		return true;
	default:
		return false;
	}
}

bool cover_applies(enum cover kind, const struct form *form)
{
	switch (kind) {
	case COVER_REG_IS_BASE:
	case COVER_REG_IS_INDEX:
	case COVER_RAX_IS_REG:
		return form->ext < 0;
	case COVER_HIGH_BYTE:
		return form->ext < 0 && form->size == 1;
	case COVER_LOCKED:
		return form->may_lock;
	case COVER_CROSS_DATA:
	case COVER_CROSS_TABLES:
	case COVER_CROSS_TO_TABLE:
	case COVER_CROSS_FROM_TABLE:
	case COVER_CROSS_TO_HOLE:
	case COVER_CROSS_FROM_HOLE:
	case COVER_CROOKED:
		return form->size > 1;
	/* REX, 0F, opcode, ModRM: 5 bytes displace nothing. */
	case COVER_ON_STACK:
	case COVER_FAULT_DISPLACED:
	case COVER_FAULT_LATER:
	case COVER_LEFT_DISPLACED:
		return (form->size == 8) + form->is_0f + 2 + form->imm <
		       DMP_SPLICE_JMP;
	default:
		return true;
	}
}

void cover_registers(u64 count[COVERS], const struct program *p)
{
	const struct dmp_insn *insn = &p->insn;
	const struct dmp_insn_mem *mem = &insn->mem;
	bool has_reg = insn->reg_class == DMP_CLASS_GPR;

	count[COVER_REG_IS_BASE] += has_reg && insn->reg == mem->base;
	count[COVER_REG_IS_INDEX] += has_reg && insn->reg == mem->index;
	count[COVER_RAX_IS_REG] += has_reg && insn->reg == DMP_REG_RAX;
	count[COVER_HIGH_BYTE] += insn->reg_class == DMP_CLASS_HIGH;
	count[COVER_BASE_IS_INDEX] += mem->base < 16 && mem->base == mem->index;
	count[COVER_RAX_IS_BASE] += mem->base == DMP_REG_RAX;
	count[COVER_RAX_IS_INDEX] += mem->index == DMP_REG_RAX;
	count[COVER_RSP_IS_BASE] += mem->base == DMP_REG_RSP;
	count[COVER_BY_RIP] += mem->base == DMP_REG_RIP;
	count[COVER_ABSOLUTE] += mem->base == DMP_REG_NONE &&
				 mem->index == DMP_REG_NONE;
	count[COVER_LOCKED] += !!(insn->prefixes & DMP_PFX_LOCK);
}

static bool is_table(u64 gva)
{
	unsigned int t;

	for (t = 0; t < TABLES; t++)
		if (gva - world_table_gva(t) < PAGE)
			return true;
	return false;
}

void cover_operand(u64 count[COVERS], u64 gva, u32 bytes)
{
	u64 last = gva + bytes - 1;
	bool first_is = is_table(gva), last_is = is_table(last);
	bool first_there = world_has(gva), last_there = world_has(last);

	if (gva / PAGE == last / PAGE) {
		count[COVER_CROOKED] += first_is && gva / 8 != last / 8;
		return;
	}
	count[COVER_CROSS_TABLES] += first_is && last_is;
	count[COVER_CROSS_TO_TABLE] += !first_is && first_there && last_is;
	count[COVER_CROSS_FROM_TABLE] += first_is && last_there && !last_is;
	count[COVER_CROSS_DATA] += first_there && last_there && !first_is &&
				   !last_is;
	count[COVER_CROSS_TO_HOLE] += first_there && !last_there;
	count[COVER_CROSS_FROM_HOLE] += !first_there && last_there;
}
