/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's part for large pages of user mode's: leaves at level 2. It does
 * what split_make() and table_destroy() of engine/mmu/table.c do for them.
 *
 * A machine table from the pool maps the 512 frames, if all of them are plain
 * memory. One that is no longer linked goes back as it is: the VMM empties it.
 */
#ifndef DMP_AGENT_LARGE_H
#define DMP_AGENT_LARGE_H

#include "agent_pool.h"
#include "agent_work.h"

/* Bits 20:13 of a large leaf; SDM vol. 3, table 4-18. */
#define LARGE_RSVD	0x1fe000ull

/* A present large leaf that user mode may reach. */
static bool is_large(u64 entry)
{
	const u64 bits = DMP_PTE_P | DMP_PTE_US | DMP_PTE_PS;

	return (entry & bits) == bits;
}

/*
 * @frame, the @i-th of those that @note is about, is counted @by more. One store
 * says that it is as it was, and those before it are done.
 */
static void count(struct dmp_agent_change *note, u32 i, struct dmp_frame *frame, u32 by)
{
	*(volatile u64 *)&note->old = (u64)(i + 1) << 32 | frame->writable;
	agent_barrier();
	*(volatile u32 *)&frame->writable += by;
	agent_barrier();
}

/* @child, empty so far, maps what w->new says. */
static bool fill(const struct work *w, const struct dmp_table *child)
{
	const u64 least = DMP_PTE_P | (w->new & DMP_PTE_RW);
	volatile u64 *entries = host_page(w, child->hfn);
	struct dmp_agent_change *counted;
	struct dmp_frame *frame;
	u32 i;

	if (!note(w, child->id, DMP_AGENT_FILLED))
		return false;
	counted = note(w, child->gfn, DMP_AGENT_ADDED);
	for (i = 0; counted && i < DMP_ENTRIES; i++) {
		frame = agent_frame(w->implant, child->gfn + i);
		if ((frame->leaf & least) != least || frame->code)
			return false;
		if (least & DMP_PTE_RW)
			count(counted, i, frame, 1);
		entries[i] = (frame->leaf & (~DMP_PTE_RW | least)) | (w->new & KEPT);
	}
	return counted;
}

/* Whether all frames of the large page @gfn is in have records. */
static bool has_records(const struct work *w, u64 gfn)
{
	return (gfn | (DMP_ENTRIES - 1)) <= w->implant->frame_mask >> DMP_PAGE_SHIFT;
}

/* The machine entry for the large leaf w->new; NO_ENTRY: that is for the VMM. */
static u64 link_large(const struct work *w)
{
	const struct dmp_implant *implant = w->implant;
	struct dmp_table *child;

	if (w->new & implant->leaf_mask & ~(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A) ||
	    w->new & LARGE_RSVD)
		return NO_ENTRY;
	if (!(w->new & DMP_PTE_A))
		return implant->lazy;
	/* The one is for dmp_root.lazy_d. */
	if ((w->new & DMP_PTE_RW && !(w->new & DMP_PTE_D)) ||
	    !has_records(w, dmp_pte_gfn(w->new)))
		return NO_ENTRY;
	child = take(w);
	if (!child)
		return NO_ENTRY;
	child->guest = NULL;
	child->gfn = dmp_pte_gfn(w->new) & ~(DMP_ENTRIES - 1ull);
	child->attr = w->new;
	child->flags = DMP_TABLE_SPLIT;
	dmp_split_note(w->implant, child->hfn, child->id);
	return fill(w, child) ? link_entry(w, child) : NO_ENTRY;
}

/* The table that the entry linked until now, made for a large leaf. */
static struct dmp_table *find_split(const struct work *w)
{
	const u32 *way = dmp_split_ways(w->implant, dmp_pte_gfn(w->was));
	struct dmp_table *child;
	u32 i;

	for (i = 0; i < DMP_SPLIT_WAYS; i++) {
		child = table_of(w, way[i]);
		if (way[i] && child->id == way[i] &&
		    child->hfn == dmp_pte_gfn(w->was) && child->links == 1 &&
		    child->flags == DMP_TABLE_SPLIT)
			return child;
	}
	return NULL;
}

/* Whether each entry of @child maps the frame that it should, as all do. */
static bool is_whole(const struct work *w, const struct dmp_table *child)
{
	const volatile u64 *entries = host_page(w, child->hfn);
	const u64 writable = entries[0] & DMP_PTE_RW;
	const struct dmp_frame *frame;
	u64 entry;
	u32 i;

	for (i = 0; i < DMP_ENTRIES; i++) {
		frame = agent_frame(w->implant, child->gfn + i);
		entry = entries[i];
		if (!is_mapping(w, entry) || !frame->leaf || frame->code ||
		    dmp_pte_gfn(entry) != dmp_pte_gfn(frame->leaf) ||
		    (entry & DMP_PTE_RW) != writable)
			return false;
	}
	return true;
}

/* @child is not linked any more. */
static bool unlink_large(const struct work *w, struct dmp_table *child)
{
	struct dmp_agent_change *counted;
	u32 i;

	if (w->agent->freed_count == DMP_POOL_MAX ||
	    !has_records(w, child->gfn) || !is_whole(w, child))
		return false;
	if (host_page(w, child->hfn)[0] & DMP_PTE_RW) {
		counted = note(w, child->gfn, DMP_AGENT_TAKEN);
		for (i = 0; counted && i < DMP_ENTRIES; i++)
			count(counted, i,
			      agent_frame(w->implant, child->gfn + i), -1u);
		if (!counted)
			return false;
	}
	return give_back(w, child, DMP_TABLE_POOL | DMP_TABLE_FULL);
}

/* The entry is, or was, a large leaf of user mode's. */
static bool follow_large(const struct work *w)
{
	struct dmp_table *child = NULL;
	u64 machine = 0;

	if (w->table->level != 2 ||
	    w->table->flags & (DMP_TABLE_PATH | DMP_TABLE_CODE))
		return false;
	if (is_mapping(w, w->was)) {
		child = find_split(w);
		if (!child || !unlink_large(w, child))
			return false;
	}
	if (w->new & DMP_PTE_P)
		machine = link_large(w);
	if (machine == NO_ENTRY || !change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = machine;
	w->implant->walk_tag = ~0ull;
	w->agent->large++;
	return commit(w);
}

#endif /* DMP_AGENT_LARGE_H */
