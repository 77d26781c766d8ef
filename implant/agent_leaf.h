/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's part for leaves of level 1: as follow_leaf(), engine/mmu/leaf.c.
 */
#ifndef DMP_AGENT_LEAF_H
#define DMP_AGENT_LEAF_H

#include "agent_work.h"

/*
 * The machine entry for the guest's @new; NO_ENTRY: that is for the VMM. The
 * frame whose writable mappings it adds to is put into *@frame.
 */
static u64 translate(const struct work *w, struct dmp_frame **frame)
{
	const struct dmp_implant *implant = w->implant;
	const struct dmp_frame *record;
	u64 most, new = w->new;

	*frame = NULL;
	if (!(new & DMP_PTE_P))
		return 0;
	/* Reserved, or no RAM; without NXE, NX is part of the mask. */
	if (new & implant->leaf_mask & ~(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A))
		return NO_ENTRY;
	record = frame_of(w, new);
	if (!record || !record->leaf || record->code)
		return NO_ENTRY;
	if (!(new & DMP_PTE_US)) {
		/* The VMM sets A and D, and notes direct mappings. */
		if (!(new & DMP_PTE_A) || dmp_pte_is_code(new) ||
		    (new & DMP_PTE_RW && (!(new & DMP_PTE_D) || record->held ||
					  !record->dmap_table ||
					  record->dmap_index == w->index)))
			return NO_ENTRY;
	} else if (!(new & DMP_PTE_A)) {
		/* Lazy A. What is lazy in D, too, is once it has its A. */
		return new & DMP_PTE_RW && record->held ? NO_ENTRY :
							  implant->lazy;
	} else if (new & DMP_PTE_RW && !(new & DMP_PTE_D)) {
		return NO_ENTRY;	/* dmp_root.lazy_d */
	}
	most = record->leaf;
	if (!(new & DMP_PTE_RW))
		return (most & ~DMP_PTE_RW) | (new & KEPT);
	if (!(most & DMP_PTE_RW))
		return NO_ENTRY;	/* a table, or ROM */
	*frame = (struct dmp_frame *)record;
	return most | (new & KEPT);
}

/* Whether @frame, mapped by the entry until now, may simply be left. */
static bool may_leave(const struct work *w, const struct dmp_frame *frame)
{
	if (!frame || !frame->leaf || frame->code ||
	    dmp_pte_gfn(frame->leaf) != dmp_pte_gfn(w->was))
		return false;
	return frame->dmap_table != w->table->id ||
	       frame->dmap_index != w->index;
}

static bool follow_leaf(const struct work *w)
{
	struct dmp_frame *frame, *old_frame = NULL;
	u64 machine;

	/* Paths to what stubs know, and code, are the VMM's. */
	if (w->table->flags & (DMP_TABLE_PATH | DMP_TABLE_CODE) &&
	    !(w->old & w->new & DMP_PTE_US))
		return false;
	machine = translate(w, &frame);
	if (machine == NO_ENTRY)
		return false;
	if (w->old & DMP_PTE_P) {
		old_frame = frame_of(w, w->old);
		if (is_mapping(w, w->was) ? !may_leave(w, old_frame) :
		    !old_frame || (old_frame->dmap_table == w->table->id &&
				   old_frame->dmap_index == w->index))
			return false;
	} else if (is_mapping(w, w->was)) {
		return false;
	}
	if (is_mapping(w, w->was) && w->was & DMP_PTE_RW) {
		if (!change(w, &old_frame->writable))
			return false;
		old_frame->writable--;
	}
	if (frame) {
		if (!change(w, &frame->writable))
			return false;
		frame->writable++;
	}
	if (!change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = machine;
	w->agent->leaves++;
	return commit(w);
}

#endif /* DMP_AGENT_LEAF_H */
