// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: which guest tables are tops, and which tables are live.
 *
 * A root stays held, and followed, when another is loaded: switching between
 * known roots then costs nothing. But a guest frees roots without clearing
 * them, so the first write to a root that is not loaded lets go of it: a copy
 * is kept of the entries its machine root was made from. Entries that differ
 * from the copy are dropped whenever somebody needs to know, and made anew
 * when the root is loaded again.
 */
#include "mmu/drop.h"
#include "mmu/hold.h"
#include "mmu/machine.h"
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "mmu/tenant.h"

_Static_assert(sizeof(struct dmp_root) << DMP_ROOT_CHUNK_SHIFT <= DMP_PAGE_SIZE, "");

/*
 * Whether entry @user, which one of them has for user space, links the same in both. By
 * the guest's entries: the machine's are alike where both are traps.
 */
static bool is_of_one(const struct dmp_mmu *mmu, const struct dmp_root *a,
		      const struct dmp_root *b, unsigned int user)
{
	return !((DMP_READ_ONCE(dmp_root_table(mmu, a)->guest[user]) ^
		  DMP_READ_ONCE(dmp_root_table(mmu, b)->guest[user])) &
		 (DMP_PTE_ADDR | DMP_PTE_P));
}

/* @root is loaded after @last. */
static void note_twin(struct dmp_mmu *mmu, struct dmp_root *last,
		      struct dmp_root *root)
{
	if (!last || (last->gfn ^ root->gfn) != 1 || root->user == DMP_ENTRIES)
		return;
	root->twin = is_of_one(mmu, last, root, root->user);
	last->twin = root->twin;
	if (!root->twin)
		return;
	dmp_root_table(mmu, last)->pair = root->table;
	dmp_root_table(mmu, root)->pair = last->table;
}

/* Behind the last one; NULL and broken without memory. */
static struct dmp_root *root_add(struct dmp_mmu *mmu)
{
	u32 c = mmu->root_end >> DMP_ROOT_CHUNK_SHIFT;
	u64 hfn;

	if (!mmu->root_chunk[c]) {
		hfn = dmp_page_alloc(mmu);
		if (!hfn)
			return NULL;
		mmu->root_chunk[c] = dmp_hfn_va(mmu, hfn);
	}
	return dmp_root_nth(mmu, mmu->root_end++);
}

/* A free place, the least recently loaded root's if need be. */
static struct dmp_root *root_place(struct dmp_mmu *mmu)
{
	u32 max = mmu->roots_max ? mmu->roots_max : DMP_ROOTS_MAX, i;
	struct dmp_root *root;

	if (mmu->roots >= max) {
		root = dmp_root_oldest(mmu);
		dmp_root_evict(mmu, root);
		return root;
	}
	for (i = 0; i < mmu->root_end; i++)
		if (!dmp_root_nth(mmu, i)->table)
			return dmp_root_nth(mmu, i);
	return root_add(mmu);
}

static struct dmp_root *root_build(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = root_place(mmu);
	struct dmp_table *table;

	if (mmu->broken)
		return NULL;
	root->copy_hfn = dmp_page_alloc(mmu);
	if (!root->copy_hfn)
		return NULL;
	if (!dmp_tenant_page_added(mmu, root->copy_hfn))
		return NULL;
	mmu->roots++;
	root->copy = dmp_hfn_va(mmu, root->copy_hfn);
	root->gfn = gfn;
	root->user = DMP_ENTRIES;
	mmu->stats.root_builds++;
	table = dmp_table_get(mmu, gfn, mmu->paging.levels,
			      DMP_TABLE_ROOT | DMP_TABLE_HELD, DMP_REACH_LOADED);
	if (!table)
		return NULL;
	root->table = table->id;
	table->attr = root->copy_hfn;
	dmp_root_hash(mmu, root);
	return root;
}

/* A root let go of comes back: protect it, then follow what has changed. */
static void root_return(struct dmp_mmu *mmu, struct dmp_root *root, enum dmp_reach reach)
{
	struct dmp_table *table = dmp_root_table(mmu, root);
	unsigned int i;
	u64 guest;

	dmp_table_hold(mmu, table);
	for (i = dmp_change_next(table->guest, root->copy, 0);
	     i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_change_next(table->guest, root->copy, i + 1)) {
		guest = DMP_READ_ONCE(table->guest[i]);
		mmu->stats.root_syncs++;
		dmp_table_follow(mmu, table, i, root->copy[i], guest, reach);
	}
	if (mmu->broken)
		return;
	dmp_tenant_root_changed(mmu, table);
	dmp_tenant_table_held(mmu, table);
}

/*
 * The page beside that of @root, which is loaded, was a root and was let go of. Where it
 * is one again, of the same user space, it is the other of two, and loaded next. Only
 * where they have been two before: other pages may have anything by now, what user
 * space likes, too.
 */
static void return_twin(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_root *other = dmp_root_find(mmu, root->gfn ^ 1);
	unsigned int user = root->user;

	if (!dmp_root_is_let_go(mmu, other) || !other->twin || !root->twin ||
	    user == DMP_ENTRIES || !is_of_one(mmu, root, other, user))
		return;
	root_return(mmu, other, DMP_REACH_UNKNOWN);
	if (mmu->broken)
		return;
	other->user = (u16)dmp_root_find_user(mmu, other);
	other->stamp = root->stamp;
	note_twin(mmu, root, other);
}

u64 dmp_mmu_load_root(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = mmu->loaded, *last = root, *left = NULL;

	if (mmu->broken)
		return 0;
	if (root && root->gfn == gfn)
		return dmp_root_table(mmu, root)->hfn;
	if (root && dmp_root_is_left(mmu, root))
		left = root;

	mmu->loaded = NULL;
	root = dmp_root_find(mmu, gfn);
	if (!root)
		root = root_build(mmu, gfn);
	else if (!(dmp_root_table(mmu, root)->flags & DMP_TABLE_HELD))
		root_return(mmu, root, DMP_REACH_LOADED);
	if (mmu->broken)
		return 0;
	root->lazy_d |= mmu->owed.lazy_d;
	mmu->owed.lazy_d = false;
	root->stamp = ++mmu->stamp;
	mmu->loaded = root;
	root->user = (u16)dmp_root_find_user(mmu, root);
	note_twin(mmu, last, root);
	return_twin(mmu, root);
	mmu->owed.look = mmu->waiting;
	/* Saves the trap by which it would be let go of. */
	if (left && left->table && left != root)
		dmp_root_let_go(mmu, left->gfn);
	mmu->stats.root_loads++;
	dmp_mmu_settle(mmu);
	return mmu->broken ? 0 : dmp_root_table(mmu, root)->hfn;
}

u64 dmp_mmu_switch_root(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = dmp_root_find(mmu, gfn);
	const struct dmp_table *table;

	if (mmu->broken || !root)
		return 0;
	table = dmp_root_table(mmu, root);
	if (!(table->flags & DMP_TABLE_HELD))
		return 0;
	/* What dmp_mmu_settle() would have to look after. */
	if (mmu->waiting || mmu->owed.suspects || mmu->owed.lazy_d ||
	    (mmu->loaded && dmp_root_is_left(mmu, mmu->loaded)) ||
	    !dmp_tenant_may_switch(mmu, root, table))
		return 0;
	root->stamp = ++mmu->stamp;
	mmu->loaded = root;
	mmu->stats.root_loads++;
	return table->hfn;
}
