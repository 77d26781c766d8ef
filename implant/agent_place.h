/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the kernel maps a frame: in its direct mapping, and some frames once more, in the
 * pair of that table (see dmp_table_pair()). While the frame is a table none of these
 * places may be writable.
 */
#ifndef DMP_AGENT_PLACE_H
#define DMP_AGENT_PLACE_H

#include "agent_work.h"

#define PLACES	2

struct place {
	struct dmp_table *table;	/* level 1 */
	volatile u64 *machine;		/* the leaf */
	u64 gva;
	u32 top;			/* index of .gva in the root */
};

/* Whether @machine links @child. */
static bool links(const struct work *w, u64 machine,
		  const struct dmp_table *child)
{
	return is_mapping(w, machine) && dmp_pte_gfn(machine) == child->hfn;
}

/*
 * The one address that entry @index of @place->table translates, by climbing.
 * False: there may be others. The table that roots share has many links.
 */
static bool climb(const struct work *w, u32 index, struct place *place)
{
	const volatile u64 *root = in_window(w, w->implant->root);
	struct dmp_table *table = place->table, *parent;
	u32 levels = w->implant->levels;
	u64 gva = 0;

	for (;; table = parent) {
		gva |= (u64)index << (DMP_PAGE_SHIFT + 9 * (table->level - 1));
		index = table->parent_index;
		if (table->flags & DMP_TABLE_TWICE)
			return false;
		if (table->level + 1u == levels)
			break;
		if (table->links != 1)
			return false;
		parent = table_of(w, table->parent);
		if (!parent->id || parent->level != table->level + 1 ||
		    !links(w, host_page(w, parent->hfn)[index], table))
			return false;
	}
	place->gva = gva | dmp_top_gva(levels, index);
	place->top = index;
	return links(w, root[index], table);
}

/* @place is entry @index of table @id: whether it is a supervisor's leaf of @frame. */
static bool set_place(const struct work *w, struct place *place, u32 id, u32 index,
		      const struct dmp_frame *frame)
{
	u64 leaf;

	place->table = table_of(w, id);
	/* A table dropped has no page any more, and is not in the window. */
	if (!place->table->id || place->table->level != 1)
		return false;
	place->machine = &host_page(w, place->table->hfn)[index];
	leaf = *place->machine;
	return is_mapping(w, leaf) && !(leaf & DMP_PTE_US) &&
	       dmp_pte_gfn(leaf) == dmp_pte_gfn(frame->leaf);
}

/* The guest's leaf at @place; of a large one, that. */
static u64 guest_leaf(const struct work *w, const struct place *place, u32 index)
{
	return place->table->guest ? guest_page(w, place->table)[index] :
				     place->table->attr;
}

/*
 * Where the guest may write @frame, the direct mapping first; 0: that is not known.
 * Where it may not, nothing has to be taken, or given back: Linux keeps its image's
 * mapping of what was freed of read-only data.
 */
static u32 find_places(const struct work *w, const struct dmp_frame *frame,
		       struct place place[PLACES])
{
	u32 pair;

	if (!frame->dmap_table || !set_place(w, &place[0], frame->dmap_table,
					     frame->dmap_index, frame))
		return 0;
	pair = place[0].table->pair;
	return pair && set_place(w, &place[1], pair, frame->dmap_index, frame) &&
	       guest_leaf(w, &place[1], frame->dmap_index) & DMP_PTE_RW ? 2 : 1;
}

/* Whether INVLPG drops all that was cached of @machine: SDM vol. 3, 4.10.4.1. */
static bool is_dropped_by_invlpg(const struct work *w, u64 machine)
{
	return machine & DMP_PTE_G || !(w->implant->state & DMP_IMPLANT_PCIDS);
}

/* Take away the writable mappings of @frame, which are at @place. */
static bool protect(const struct work *w, struct dmp_frame *frame,
		    struct place *place, u32 places)
{
	u32 i;

	if (frame->writable != places || !change(w, &frame->leaf) ||
	    !change(w, &frame->tables) || !change(w, &frame->dmap_table))
		return false;
	for (i = 0; i < places; i++) {
		if (!(*place[i].machine & DMP_PTE_RW) ||
		    !is_dropped_by_invlpg(w, *place[i].machine) ||
		    !climb(w, frame->dmap_index, &place[i]) ||
		    !change(w, place[i].machine))
			return false;
		*place[i].machine &= ~DMP_PTE_RW;
	}
	frame->leaf &= ~DMP_PTE_RW;
	frame->writable = 0;
	frame->held = 1;
	frame->paired = places > 1;
	for (i = 0; i < places; i++)
		agent_invlpg(place[i].gva);
	return true;
}

/* No flush: it becomes stronger. */
static bool unprotect(const struct work *w, struct dmp_frame *frame)
{
	const u64 writable = DMP_PTE_P | DMP_PTE_RW | DMP_PTE_D;
	struct place place[PLACES];
	u32 i, places;

	places = find_places(w, frame, place);
	/* What promotion took, no more and no less. */
	if (places != 1u + frame->paired || !change(w, &frame->leaf) ||
	    !change(w, &frame->tables) || !change(w, &frame->dmap_table))
		return false;
	for (i = 0; i < places; i++) {
		if (*place[i].machine & DMP_PTE_RW ||
		    (guest_leaf(w, &place[i], frame->dmap_index) & writable) !=
		    writable || !change(w, place[i].machine))
			return false;
		*place[i].machine |= DMP_PTE_RW;
	}
	frame->leaf |= DMP_PTE_RW;
	frame->writable = places;
	frame->held = 0;
	frame->paired = 0;
	return true;
}

#endif /* DMP_AGENT_PLACE_H */
