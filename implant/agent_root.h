/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's part for roots: one that is not loaded, and has lost the last entry it
 * had for user space, is let go of, as dmp_root_let_go() does (engine/mmu/drop.c). Its
 * process has ended; its page will be written when it is used again, and that would
 * trap.
 */
#ifndef DMP_AGENT_ROOT_H
#define DMP_AGENT_ROOT_H

#include "agent_cache.h"
#include "agent_place.h"
#include "agent_work.h"

static bool is_loaded(const struct work *w, const struct dmp_table *root)
{
	return guest_page(w, root) == in_window(w, w->implant->guest_root);
}

/* From the top, where stacks are: as long as there is one they are the last to go. */
static bool has_user(const struct work *w, const struct dmp_table *root)
{
	const u64 *entries = (const u64 *)host_page(w, root->hfn);
	u32 i = DMP_ENTRIES / 2, k;
	u64 any = 0;

	while (i && !any) {
		i -= 32;
#pragma GCC unroll 32
		for (k = 0; k < 32; k++)
			any |= entries[i + k];
	}
	return any;
}

/* As dmp_root_twin(). One dropped has its record as it was, but no id, and no page. */
static struct dmp_table *twin_of(const struct work *w, const struct dmp_table *root)
{
	struct dmp_table *twin = root->pair ? table_of(w, root->pair) : NULL;

	return twin && twin->id == root->pair && twin->flags & DMP_TABLE_ROOT &&
	       twin->pair == root->id ? twin : NULL;
}

/*
 * No more can be loaded without an exit. Not logged: should this be taken back, the VMM
 * names it again.
 */
static void forget_target(const struct work *w, const struct dmp_table *root)
{
	struct dmp_cr3_target *target = w->implant->target;
	u32 i;

	for (i = 0; i < DMP_TARGETS_MAX; i++, target++)
		if (target->machine &&
		    in_window(w, target->guest_root) == guest_page(w, root))
			target->machine = 0;
}

/* There is nothing in user space's half that anything was made from. */
static void copy_root(volatile u64 *to, const volatile u64 *from)
{
	u32 i;

#pragma GCC unroll 16
	for (i = 0; i < DMP_ENTRIES / 2; i++)
		to[i] = 0;
#pragma GCC unroll 16
	for (; i < DMP_ENTRIES; i++)
		to[i] = from[i];
}

static bool let_go_of(const struct work *w, struct dmp_table *root)
{
	const u32 any = DMP_TABLE_CACHED | DMP_TABLE_PATH | DMP_TABLE_USER;
	struct dmp_frame *frame = agent_frame(w->implant, root->gfn);

	if ((root->flags & ~any) != (DMP_TABLE_ROOT | DMP_TABLE_HELD) || root->next ||
	    frame->held != 1 || frame->code || frame->aliased || frame->writable ||
	    frame->tables != root->id || !unprotect(w, frame) ||
	    !change(w, &root->flags) || !change(w, &root->pair))
		return false;
	forget_target(w, root);
	/* dmp_root.copy */
	copy_root(host_page(w, root->attr), guest_page(w, root));
	if (root->flags & DMP_TABLE_CACHED)
		forget(&w->implant->cache[root->cache_slot], root);
	forget(&w->implant->last[0], root);
	forget(&w->implant->last[1], root);
	root->flags &= ~(DMP_TABLE_HELD | DMP_TABLE_CACHED);
	root->pair = 0;
	return true;
}

/* Before commit(). False: the VMM has to do it. */
static bool let_go_of_emptied(const struct work *w)
{
	struct dmp_table *twin;

	if (!(w->table->flags & DMP_TABLE_ROOT) || is_loaded(w, w->table) ||
	    has_user(w, w->table))
		return true;
	twin = twin_of(w, w->table);
	if (!twin)
		return let_go_of(w, w->table);
	return is_loaded(w, twin) || has_user(w, twin) ||
	       (let_go_of(w, twin) && let_go_of(w, w->table));
}

#endif /* DMP_AGENT_ROOT_H */
