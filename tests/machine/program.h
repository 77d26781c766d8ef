/* SPDX-License-Identifier: GPL-2.0-only */
/* Code for a site: an instruction of some form, and what follows it. */
#ifndef DMP_TEST_PROGRAM_H
#define DMP_TEST_PROGRAM_H

#include "world.h"

/* A kind of instruction to test: how it is encoded, for one operand size. */
struct form {
	const char *name;
	enum dmp_insn_form form;
	u8 size;		/* bytes of the operand */
	bool is_0f;
	u8 opcode;
	s8 ext;			/* opcode extension; -1: a register */
	u8 imm;			/* bytes */
	bool may_lock;
};

extern const struct form forms[];
extern const unsigned int forms_count;

#define PROGRAM_BYTES	64

/* What a program is to have, besides being random. */
enum wish {
	WISH_NONE,
	WISH_REG_IS_BASE,
	WISH_REG_IS_INDEX,
	WISH_BASE_IS_INDEX,
	WISH_RAX_IS_BASE,
	WISH_RAX_IS_INDEX,
	WISH_RAX_IS_REG,
	WISH_RSP_IS_BASE,
	WISH_BY_RIP,
	WISH_ABSOLUTE,
	WISH_HIGH_BYTE,
	WISHES
};

struct program {
	const struct form *form;
	u8 bytes[PROGRAM_BYTES];	/* at .site */
	u64 site, stop;
	struct dmp_insn insn;
	struct dmp_splice_plan plan;
	struct dmp_stub stub;
	bool has_stack;		/* RET is displaced */
	u8 targets;		/* as of dmp_stub_site; the caller's */
	bool guarded;		/* likewise */
};

/*
 * A random program for @form, spliced into @w's DMP, plain in its REF. False
 * when what came out cannot be spliced or has no stub: try again. A wish that
 * the form cannot have is none.
 */
bool program_make(struct program *p, const struct form *form, enum wish what,
		  struct world *w, u64 *rng);

/* The same for given bytes, ending in NOPs. Returns the refusal's name. */
const char *program_set(struct program *p, const u8 *bytes, size_t count,
			u64 site, struct world *w, u64 *rng);

/* Of all addresses that will do for the stub, one at random. */
u64 program_place(const struct dmp_splice_plan *plan, u64 site, u64 *rng);

#endif /* DMP_TEST_PROGRAM_H */
