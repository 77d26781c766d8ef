/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which page tables the stubs know, and by which address: as engine/splicer/cache.c.
 */
#ifndef DMP_AGENT_CACHE_H
#define DMP_AGENT_CACHE_H

#include "agent_place.h"

/* The one of @place by which stubs may know the frame; NULL: none. */
static const struct place *known_place(const struct work *w,
				       const struct place *place, u32 places)
{
	u64 link = in_window(w, w->implant->root)[w->agent->cache_top];
	u32 i;

	if (!w->agent->cache_top || link != w->agent->cache_link)
		return NULL;
	for (i = 0; i < places; i++)
		if (place[i].top == w->agent->cache_top)
			return &place[i];
	return NULL;
}

/* The way to @place is one to what stubs know. */
static bool mark_path(const struct work *w, const struct place *place)
{
	struct dmp_table *table;

	for (table = place->table;; table = table_of(w, table->parent)) {
		if (!(table->flags & DMP_TABLE_PATH)) {
			if (!change(w, &table->flags))
				return false;
			table->flags |= DMP_TABLE_PATH;
		}
		if (table->level + 1u == w->implant->levels)
			return true;
	}
}

/* Stubs will write @child by @place. */
static bool learn(const struct work *w, struct dmp_table *child,
		  const struct dmp_frame *frame, const struct place *place)
{
	u32 slot = dmp_cache_place(w->implant, place->gva);
	struct dmp_cache_entry *entry = &w->implant->cache[slot];

	if (!mark_path(w, place) || !change(w, &entry->tag) || !change(w, &entry->guest) ||
	    !change(w, &entry->machine) || !change(w, &entry->table))
		return false;
	child->cache_slot = slot;
	entry->tag = place->gva;
	entry->guest = w->implant->window + (frame->leaf & DMP_PTE_ADDR);
	entry->machine = child->level == 1 ?
			 w->implant->window + (child->hfn << DMP_PAGE_SHIFT) :
			 w->agent->slow;
	entry->table = child->id;
	return true;
}

static void forget(struct dmp_cache_entry *entry, const struct dmp_table *table)
{
	if (entry->table != table->id)
		return;
	/* Void before it is not whole. */
	*(volatile u64 *)&entry->tag = DMP_CACHE_VOID;
	*(volatile u64 *)&entry->guest = DMP_CACHE_VOID;
}

#endif /* DMP_AGENT_CACHE_H */
