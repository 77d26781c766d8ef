/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of the agent have in common: a guest with a site, and stores of its
 * stub's that the agent does, or leaves to the VMM.
 */
#ifndef AGENT_CASE_H
#define AGENT_CASE_H

#include "mmu/machine.h"
#include "splicer/finish.h"
#include "splicer_case.h"

/*
 * A guest with a site, a level-2 table that stubs know, table[2], and one below
 * it, table[1]; linked by entry 0. *@gfn is a free frame, zeroed, and the next
 * one, too.
 */
void agent_begin(struct text *t, u64 seed, unsigned int levels, u64 table[3],
		 u64 *gfn);

/* The entry that links a table at @gfn. */
u64 agent_link(u64 gfn);

/* The store of @value at @index of @table: the agent asks, or does it. */
void agent_store(u64 table, unsigned int index, u64 value, bool asks);

#endif /* AGENT_CASE_H */
