/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of case.h share. */
#ifndef DMP_TEST_CASE_PARTS_H
#define DMP_TEST_CASE_PARTS_H

#include "case.h"

struct setup {
	enum target target;
	unsigned int table;	/* that the operand is in; TABLES: none */
	u64 gva, offset;	/* of the operand, and in its page */
	u64 old_word;		/* entry there, as far as it is one */
	bool is_hit;		/* the stub finds the table */
	bool is_void;		/* it finds what stands for none */
	bool is_crossing;	/* the operand is on two pages */
	bool at_table;		/* some of it is in a table */
	struct change change;	/* if is_hit; .new once REF has run */
	struct state state;
};

void case_setup(struct setup *s, struct world *w, struct program *p, u64 *rng);

u64 random_entry(u64 *rng);
u64 random_change(u64 old, u64 *rng);

#endif /* DMP_TEST_CASE_PARTS_H */
