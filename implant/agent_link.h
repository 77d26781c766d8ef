/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's part for entries that link a lower table: a frame becomes a table, and is
 * memory again when it is unlinked. It does what link_get() and dmp_table_put() do
 * (engine/mmu/table.c), for tables that begin and end empty.
 */
#ifndef DMP_AGENT_LINK_H
#define DMP_AGENT_LINK_H

#include "agent_cache.h"
#include "agent_place.h"
#include "agent_pool.h"
#include "agent_root.h"

/* A frame that can become a table: RAM, and nothing else than memory so far. */
static bool may_promote(const struct dmp_frame *frame)
{
	return frame && frame->leaf & DMP_PTE_RW && !frame->tables &&
	       !frame->held && !frame->code && !frame->aliased && !frame->paired;
}

/* The table of @frame, which the entry links now. */
static struct dmp_table *take_table(const struct work *w, struct dmp_frame *frame)
{
	struct dmp_table *child = take(w);

	if (!child)
		return NULL;
	child->guest = (u64 *)(w->agent->va_base + (frame->leaf & DMP_PTE_ADDR));
	child->gfn = dmp_pte_gfn(w->new);
	child->attr = 0;
	child->flags = DMP_TABLE_HELD | DMP_TABLE_CACHED;
	frame->tables = child->id;
	return child;
}

static bool link_new(const struct work *w)
{
	struct dmp_frame *frame = frame_of(w, w->new);
	struct place place[PLACES];
	const struct place *known;
	struct dmp_table *child;
	u32 places;

	/* PS: large, or reserved; G is where AMD reserves it. */
	if (!(w->new & DMP_PTE_A) || w->new & (DMP_PTE_PS | DMP_PTE_G) ||
	    w->new & w->implant->leaf_mask & DMP_PTE_NX ||
	    w->implant->state & DMP_IMPLANT_WAITING ||
	    !may_promote(frame))
		return false;
	places = find_places(w, frame, place);
	if (!places || !protect(w, frame, place, places) ||
	    !is_empty(host_page(w, dmp_pte_gfn(frame->leaf))))
		return false;
	known = known_place(w, place, places);
	child = known ? take_table(w, frame) : NULL;
	if (!child || !learn(w, child, frame, known) ||
	    !change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = link_entry(w, child);
	w->implant->walk_tag = ~0ull;
	w->agent->links++;
	return commit(w);
}

/* The table that the entry linked, if it can be unlinked here. */
static struct dmp_table *find_child(const struct work *w,
				    const struct dmp_frame *frame)
{
	const u32 any = DMP_TABLE_CACHED | DMP_TABLE_TWICE;
	struct dmp_table *child;

	if (!frame || frame->held != 1 || frame->code || frame->aliased ||
	    frame->writable || !frame->tables)
		return NULL;
	child = table_of(w, frame->tables);
	if (child->hfn != dmp_pte_gfn(w->was) || !child->links ||
	    child->next || child->level + 1 != w->table->level ||
	    (child->flags & ~any) != DMP_TABLE_HELD)
		return NULL;
	return child;
}

/* Others link it, too: KPTI's two tops, of one user space. */
static bool unlink_shared(const struct work *w, struct dmp_table *child)
{
	if (!change(w, &child->links) || !change(w, &w->machine[w->index]))
		return false;
	child->links--;
	w->machine[w->index] = 0;
	w->implant->walk_tag = ~0ull;
	return commit(w);
}

static bool unlink_old(const struct work *w)
{
	struct dmp_frame *frame = frame_of(w, w->old);
	struct dmp_agent *agent = w->agent;
	struct dmp_table *child = find_child(w, frame);

	/* A way to what stubs know: the cache would have to go. */
	if (w->table->flags & DMP_TABLE_PATH &&
	    (w->table->level < w->implant->levels ||
	     w->index == agent->cache_top))
		return false;
	if (child && child->links > 1)
		return unlink_shared(w, child);
	if (!child || agent->freed_count == DMP_POOL_MAX ||
	    !is_empty(host_page(w, child->hfn)) || !unprotect(w, frame))
		return false;
	frame->tables = 0;
	if (child->flags & DMP_TABLE_CACHED)
		forget(&w->implant->cache[child->cache_slot], child);
	forget(&w->implant->last[0], child);
	forget(&w->implant->last[1], child);
	if (!give_back(w, child, DMP_TABLE_POOL) ||
	    !change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = 0;
	w->implant->walk_tag = ~0ull;
	if (!let_go_of_emptied(w))
		return false;
	agent->unlinks++;
	return commit(w);
}

#endif /* DMP_AGENT_LINK_H */
