// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine tables: promotion of frames to tables, links between them, and following what
 * the guest writes.
 */
#include "mmu/ad.h"
#include "mmu/hold.h"
#include "mmu/leaf.h"
#include "mmu/live.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/table.h"
#include "mmu/tenant.h"

/*
 * ---- Links ----
 */

/* A machine table for the large guest leaf @guest at @index of @parent. */
static struct dmp_table *split_make(struct dmp_mmu *mmu,
				    struct dmp_table *parent,
				    unsigned int index, u64 guest, enum dmp_reach reach)
{
	struct dmp_table *table;
	unsigned int i;

	table = dmp_table_alloc(mmu, parent->level - 1, DMP_TABLE_SPLIT);
	if (!table)
		return NULL;
	table->gfn = dmp_leaf_gfn(parent, index, guest) &
		     ~(dmp_level_pages(parent->level) - 1);
	table->attr = guest;
	table->links = 1;
	mmu->stats.splits++;
	dmp_tenant_split_made(mmu, table);
	if (table->level == 1)
		dmp_split_fill(mmu, table, reach);
	for (i = 0; table->level > 1 && i < DMP_ENTRIES && !mmu->broken; i++)
		dmp_table_follow(mmu, table, i, 0, guest, reach);
	return table;
}

/* Whether the entry is a supervisor's and weaker than its translation. */
static bool is_weak(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index)
{
	u64 guest = DMP_READ_ONCE(table->guest[index]);
	struct dmp_frame *frame;

	if (!(guest & DMP_PTE_P) || guest & DMP_PTE_US)
		return false;
	if (table->level == 1)
		return table->entries[index] !=
		       dmp_table_leaf(mmu, table, index, guest, &frame);
	return guest & DMP_PTE_A && table->entries[index] ==
	       dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
}

/*
 * No table of another level is on @table's frame any more. It is as others are,
 * when what was set in its entries for that one has been followed.
 */
static void unmix(struct dmp_mmu *mmu, struct dmp_table *table)
{
	unsigned int i;

	if (!(table->flags & DMP_TABLE_HELD))
		return;
	for (i = 0; i < DMP_ENTRIES; i++)
		if (is_weak(mmu, table, i))
			return;
	table->flags &= ~DMP_TABLE_MIXED;
}

static void frame_del_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, table->gfn);
	u32 *at = &frame->tables;

	while (*at != table->id)
		at = &dmp_table_of(mmu, *at)->next;
	*at = table->next;
	if (frame->tables && !dmp_table_of(mmu, frame->tables)->next)
		unmix(mmu, dmp_table_of(mmu, frame->tables));
}

static void table_destroy(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_root *root = table->flags & DMP_TABLE_ROOT &&
				!(table->flags & DMP_TABLE_HELD) ?
				dmp_root_of(mmu, table) : NULL;
	unsigned int i;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = dmp_entries_next(table->entries, 0); i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->entries, i + 1))
		dmp_table_follow(mmu, table, i, root ? root->copy[i] :
				 dmp_guest_entry(table, i), 0, DMP_REACH_UNKNOWN);
	if (mmu->broken)
		return;
	if (table->flags & DMP_TABLE_HELD)
		dmp_table_release(mmu, table);
	if (table->guest) {
		frame_del_table(mmu, table);
		mmu->stats.demotions++;
	}
	dmp_table_free(mmu, table);
}

void dmp_table_put(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (!table->links) {
		dmp_break(mmu, DMP_BROKEN_COUNT);
		return;
	}
	if (--table->links == 0)
		table_destroy(mmu, table);
}

/* The machine entry that links what the guest's entry @new points to. */
static u64 link_get(struct dmp_mmu *mmu, struct dmp_table *table,
		    unsigned int index, u64 new, enum dmp_reach reach)
{
	struct dmp_table *child;

	if (!(new & DMP_PTE_P))
		return dmp_tenant_absent(mmu, table, index);
	if (dmp_pte_has_rsvd(&mmu->paging, new,
			     table->guest ? table->level : 3))
		return dmp_make_trap(&mmu->paging, DMP_TRAP_RSVD);
	if (!(new & DMP_PTE_A))
		return dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
	if (!table->guest || dmp_pte_is_leaf(new, table->level)) {
		child = split_make(mmu, table, index, new, reach);
	} else {
		if (!dmp_table_may_be(mmu, dmp_pte_gfn(new)))
			return dmp_make_trap(&mmu->paging, DMP_TRAP_NO_RAM);
		child = dmp_table_get(mmu, dmp_pte_gfn(new), table->level - 1,
				      DMP_TABLE_HELD, reach);
	}
	if (!child)
		return 0;
	if (child->links > 1 && child->parent_index != index) {
		child->flags |= DMP_TABLE_TWICE;
		/* A splice's displacement holds at one address only. */
		if (child->flags & DMP_TABLE_CODE)
			dmp_break(mmu, DMP_BROKEN_CODE);
	}
	mmu->owed.look |= mmu->waiting;
	child->parent = table->id;
	child->parent_index = index;
	return dmp_translate_link(new, child->hfn);
}

/* Entry @index of @table, a root's, has been followed. */
static void root_followed(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index)
{
	if (index >= DMP_ENTRIES / 2)
		return;
	dmp_tenant_user_changed(mmu, table, index);
	if (!table->entries[index] && mmu->loaded && mmu->loaded->table != table->id)
		mmu->owed.emptied = table->id;
}

static void follow_link(struct dmp_mmu *mmu, struct dmp_table *table,
			unsigned int index, u64 new, enum dmp_reach reach)
{
	u64 was = table->entries[index];
	u64 machine = link_get(mmu, table, index, new, reach);
	struct dmp_table *child;

	if (mmu->broken)
		return;
	/* Linked before unlinked: what both link is not made anew. */
	dmp_entry_set(table, index, machine);
	if (table->flags & DMP_TABLE_ROOT)
		root_followed(mmu, table, index);
	if (!(was & DMP_PTE_P) || dmp_is_trap(&mmu->paging, was))
		return;
	if (was == dmp_tenant_absent(mmu, table, index)) {
		if (machine != was)
			dmp_tenant_overlaid(mmu);
		return;
	}
	if (table->flags & DMP_TABLE_PATH && machine != was)
		dmp_tenant_path_changed(mmu, table, index);
	child = dmp_table_by_hfn(mmu, dmp_pte_gfn(was));
	if (child)
		dmp_table_put(mmu, child);
	else
		dmp_break(mmu, DMP_BROKEN_COUNT);
}

void dmp_table_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		      unsigned int index, u64 old, u64 new, enum dmp_reach reach)
{
	if (table->level == 1) {
		dmp_leaf_follow(mmu, table, index, old, new, reach);
		return;
	}
	mmu->stats.entries_followed++;
	new = dmp_ad_set_supervisor(mmu, table, index, new, reach);
	if (!mmu->broken)
		follow_link(mmu, table, index, new, reach);
}

/*
 * Level by level, lower levels first: following at a higher level may take
 * tables of this very frame away (a self-map), and what it takes must match
 * the guest's memory, which has changed already. Each level reads the entries
 * again, since the one before may have set A and D in them.
 *
 * Reach is a matter of each level: a frame that is a live table at one may still be
 * a dead one at another.
 */
void dmp_frame_follow(struct dmp_mmu *mmu, u64 gfn, unsigned int first,
		      unsigned int count, const u64 *old, unsigned int walked)
{
	struct dmp_table *table;
	unsigned int level, i;
	enum dmp_reach reach;
	u64 new;

	for (level = 1; level <= mmu->paging.levels; level++) {
		table = dmp_table_find(mmu, gfn, level);
		if (!table || !(table->flags & DMP_TABLE_HELD))
			continue;
		reach = level == walked || dmp_table_is_loaded(mmu, table) ?
			DMP_REACH_LOADED : DMP_REACH_UNKNOWN;
		for (i = 0; i < count && !mmu->broken; i++) {
			new = DMP_READ_ONCE(table->guest[first + i]);
			if (new != old[i])
				dmp_table_follow(mmu, table, first + i, old[i],
						 new, reach);
		}
	}
}

/*
 * ---- Promotion ----
 *
 * In this order: take away every writable mapping of the frame, flush the
 * TLBs, then read the new table, then (the caller) publish the entry that
 * links it. Otherwise a write could land between the reading and the
 * protecting, and the machine table would miss it for good.
 */

static void frame_add_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, table->gfn);

	if (frame->tables || frame->code)
		dmp_tenant_frame_shared(mmu, frame);
	if (frame->tables) {
		table->flags |= DMP_TABLE_MIXED;
		dmp_table_of(mmu, frame->tables)->flags |= DMP_TABLE_MIXED;
		mmu->owed.mixed = true;
	}
	table->next = frame->tables;
	frame->tables = table->id;
}

static struct dmp_table *promote(struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level, u32 flags, enum dmp_reach reach)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	struct dmp_table *table;
	unsigned int i;

	if (!dmp_table_may_be(mmu, gfn)) {
		dmp_break(mmu, DMP_BROKEN_TABLE_NOT_RAM);
		return NULL;
	}
	table = dmp_table_alloc(mmu, level, flags & DMP_TABLE_ROOT);
	if (!table)
		return NULL;
	table->gfn = gfn;
	table->guest = dmp_hfn_va(mmu, dmp_frame_hfn(frame));
	frame_add_table(mmu, table);
	mmu->stats.promotions++;
	if (flags & DMP_TABLE_HELD)
		dmp_table_hold(mmu, table);
	if (level == 1)
		dmp_leaves_fill(mmu, table, reach);
	for (i = level > 1 ? dmp_entries_next(table->guest, 0) : DMP_ENTRIES;
	     i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->guest, i + 1))
		dmp_table_follow(mmu, table, i, 0, DMP_READ_ONCE(table->guest[i]), reach);
	if (flags & DMP_TABLE_HELD && !mmu->broken)
		dmp_tenant_table_held(mmu, table);
	return table;
}

struct dmp_table *dmp_table_get(struct dmp_mmu *mmu, u64 gfn,
				unsigned int level, u32 flags, enum dmp_reach reach)
{
	struct dmp_table *table = dmp_table_find(mmu, gfn, level);

	if (!table)
		table = promote(mmu, gfn, level, flags, reach);
	if (!table || mmu->broken)
		return NULL;
	table->links++;
	return table;
}
