/* SPDX-License-Identifier: GPL-2.0-only */
/* What a guest's write of an entry must lead to, by the rules alone. */
#ifndef DMP_TEST_ORACLE_H
#define DMP_TEST_ORACLE_H

#include "world.h"

/* An entry that is written: where, from what to what. */
struct change {
	unsigned int table, index;
	u64 old, new;
	u64 machine;		/* before */
};

/* The machine entry of the level-1 guest entry @guest. */
u64 oracle_machine(const struct world *w, u64 guest);

/* Whether a stub may follow this by itself. */
bool oracle_is_fast(const struct world *w, const struct change *c);

/* Whether the agent may, when the stub may not. */
bool oracle_agent_does(const struct world *w, const struct change *c);

/* Follow it in @p. */
void oracle_follow(const struct world *w, struct private *p,
		   const struct change *c);

/* The record of the frame that @guest maps; NULL beyond all frames. */
struct dmp_frame *oracle_frame(struct private *p, u64 guest);

#endif /* DMP_TEST_ORACLE_H */
