/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One fault with the tables that it meets, at random; and what the filter is to
 * do about it, found out without the filter (oracle.c).
 */
#ifndef DMP_TEST_CASE_H
#define DMP_TEST_CASE_H

#include "world.h"

struct tables {
	unsigned int levels;
	u64 gva;
	u64 gfn[DMP_LEVEL_MAX + 1];	/* of the guest's tables; [0]: the page */
	u64 guest[DMP_LEVEL_MAX + 1];	/* entries */
	u64 machine[DMP_LEVEL_MAX + 1];
};

/* What the filter remembers of its last walk. */
enum memory { MEMORY_VOID, MEMORY_OTHER, MEMORY_RIGHT, MEMORIES };

struct walk {
	u64 tag, machine, guest, denied;
};

struct filter_case {
	struct fault fault;
	struct tables tables;
	struct dmp_paging paging;
	u64 leaf_mask;
	u32 state;
	u32 answer;		/* of the agent, should it be asked */
	u64 private;		/* dmp_implant.private */
	enum memory memory;
	struct walk walk;	/* in the implant, before */
	struct walk right;	/* what a walk finds, if it gets to level 1 */
	bool walkable;
	bool calm;		/* few odd entries: most walks go through */
	bool lazy;		/* a fault that walks */
};

/* What is to be, and what there was before. */
struct expected {
	enum outcome outcome;
	u64 guest, machine;	/* the leaves, afterwards */
	u64 gfn;		/* of the page, if resolved */
	u32 writable;		/* of its frame, afterwards */
	u32 state;
	bool by_agent;		/* it has resolved what is; tables do not change */
};

/* Make a case and put it into @world. */
void case_make(struct world *world, struct filter_case *c);

/* Choose what is remembered, for the tables that @c has. */
void case_remember(struct world *world, struct filter_case *c, enum memory memory);

/* Put @c into @world: tables, records, the implant's fields, CPU. */
void case_place(struct world *world, const struct filter_case *c);

/* Take its entries away again. */
void case_remove(struct world *world, const struct filter_case *c);

/* Where the leaves are. */
u64 *case_guest_leaf(struct world *world, const struct filter_case *c);
u64 *case_machine_leaf(struct world *world, const struct filter_case *c);

struct expected case_expect(const struct world *world, const struct filter_case *c);

void case_print(const struct filter_case *c, const struct expected *want);

#endif /* DMP_TEST_CASE_H */
