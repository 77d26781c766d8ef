/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kinds of cases there were: of operands, of faults, of interruptions. A
 * kind that a form can have and that never came up fails the test.
 */
#ifndef DMP_TEST_COVER_H
#define DMP_TEST_COVER_H

#include "program.h"

enum cover {
	/* Registers that stand for two things. */
	COVER_REG_IS_BASE,
	COVER_REG_IS_INDEX,
	COVER_BASE_IS_INDEX,
	COVER_RAX_IS_BASE,
	COVER_RAX_IS_INDEX,
	COVER_RAX_IS_REG,
	COVER_RSP_IS_BASE,
	COVER_BY_RIP,
	COVER_ABSOLUTE,
	COVER_HIGH_BYTE,		/* AH to BH */
	COVER_LOCKED,
	COVER_ON_STACK,			/* where something displaced pushes or pops */
	/* Operands on two pages. */
	COVER_CROSS_DATA,		/* none of them a table */
	COVER_CROSS_TABLES,		/* both */
	COVER_CROSS_TO_TABLE,		/* the second */
	COVER_CROSS_FROM_TABLE,		/* the first */
	COVER_CROSS_TO_HOLE,
	COVER_CROSS_FROM_HOLE,
	COVER_CROOKED,			/* in a table, across two entries */
	COVER_LAST_ENTRY,		/* and FIRST: of a table, found */
	COVER_FIRST_ENTRY,
	/* Faults of the instruction, in both, ... */
	COVER_NOT_CANONICAL,
	COVER_NOT_MAPPED,
	COVER_READ_ONLY,
	COVER_VOID,			/* where void cache entries seem to lead */
	COVER_FAULT_OF_TABLE,		/* of DMP alone: a table unknown */
	COVER_FAULT_DISPLACED,		/* of what is displaced, in both */
	COVER_FAULT_LATER,		/* likewise, after an interruption */
	/* Interrupted. */
	COVER_LEFT_RESTART,
	COVER_LEFT_FINISH,
	COVER_LEFT_DONE,
	COVER_LEFT_MISS,		/* in the way of a miss */
	COVER_LEFT_DISPLACED,		/* in what is displaced */
	COVERS
};

const char *cover_name(enum cover kind);

/* Whether a program of @form can be of the @kind. */
bool cover_applies(enum cover kind, const struct form *form);

/* Whether that is so seldom that a form must have had many cases. */
bool cover_is_rare(enum cover kind);

/* How often the registers of @p are so, once more each. */
void cover_registers(u64 count[COVERS], const struct program *p);

/* The operand of @bytes at @gva. */
void cover_operand(u64 count[COVERS], u64 gva, u32 bytes);

#endif /* DMP_TEST_COVER_H */
