/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine tables from the pool, and back into it: the VMM fills it, and takes what was
 * given back, whenever it has a reason to run (engine/splicer/pool.c).
 */
#ifndef DMP_AGENT_POOL_H
#define DMP_AGENT_POOL_H

#include "agent_work.h"

/* One from the pool, empty, linked by the entry; its guest is the caller's. */
static struct dmp_table *take(const struct work *w)
{
	struct dmp_agent *agent = w->agent;
	struct dmp_table *child;

	if (!agent->ready_count)
		return NULL;
	child = table_of(w, agent->ready[agent->ready_count - 1]);
	if (!change(w, &agent->ready_count) || !change(w, &child->flags) ||
	    !change(w, &child->links) || !change(w, &agent->linked))
		return NULL;
	agent->ready_count--;
	agent->linked++;
	child->next = 0;
	child->links = 1;
	child->parent = w->table->id;
	child->parent_index = w->index;
	child->level = w->table->level - 1;
	child->pair = 0;
	return child;
}

/* The machine entry that links @child for the guest's. */
static u64 link_entry(const struct work *w, const struct dmp_table *child)
{
	return child->hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A |
	       (w->new & (DMP_PTE_RW | DMP_PTE_US | DMP_PTE_NX));
}

/* @child, which nothing links any more, becomes one of the pool's. */
static bool give_back(const struct work *w, struct dmp_table *child, u16 flags)
{
	struct dmp_agent *agent = w->agent;

	if (!change(w, &child->flags) || !change(w, &agent->freed_count) ||
	    !change(w, &agent->unlinked) || !change(w, &child->links))
		return false;
	agent->freed[agent->freed_count] = child->id;
	agent->freed_count++;
	agent->unlinked++;
	child->links = 0;
	child->flags = flags;
	return true;
}

#endif /* DMP_AGENT_POOL_H */
