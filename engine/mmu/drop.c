// SPDX-License-Identifier: GPL-2.0-only
/*
 * Letting go of roots: their tables are kept, with a copy of the entries that these were
 * made from, and what differs from it by now is dropped when somebody needs to know.
 */
#include "mmu/drop.h"
#include "mmu/hold.h"
#include "mmu/live.h"
#include "mmu/machine.h"
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/table.h"
#include "mmu/tenant.h"

bool dmp_root_is_let_go(const struct dmp_mmu *mmu, const struct dmp_root *root)
{
	return root && root->table &&
	       !(dmp_root_table(mmu, root)->flags & DMP_TABLE_HELD);
}

/*
 * Drop what a root that is not loaded linked and links no longer. Never reads
 * the new entries as entries: the page may be anything by now.
 */
static void drop_changed(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = dmp_root_table(mmu, root);
	unsigned int i;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = dmp_change_next(table->guest, root->copy, 0);
	     i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_change_next(table->guest, root->copy, i + 1)) {
		if (table->entries[i])
			dmp_table_follow(mmu, table, i, root->copy[i], 0, DMP_REACH_UNKNOWN);
		root->copy[i] = 0;
	}
}

void dmp_drop_changed_all(struct dmp_mmu *mmu)
{
	struct dmp_root *root;
	unsigned int i;

	dmp_for_each_root(root, i, mmu)
		if (dmp_root_is_let_go(mmu, root))
			drop_changed(mmu, root);
}

/* In the root that @gfn hung from last, and in the one beside: see dmp_root_twin(). */
static void drop_changed_above(struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	const struct dmp_table *table;
	struct dmp_root *root;
	unsigned int i;
	u64 top;

	if (!frame->tables)
		return;
	table = dmp_table_of(mmu, frame->tables);
	while (table && !(table->flags & DMP_TABLE_ROOT))
		table = dmp_table_parent(mmu, table);
	if (!table)
		return;
	top = table->gfn;
	for (i = 0; i < 2; i++) {
		root = dmp_root_find(mmu, top ^ i);
		if (dmp_root_is_let_go(mmu, root))
			drop_changed(mmu, root);
	}
}

/* Not memcpy(), which moves bytes where that is said to be fast: words. */
static void copy_entries(u64 *to, const u64 *from)
{
	unsigned long n = DMP_ENTRIES;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void let_go_of(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = dmp_root_table(mmu, root);

	dmp_tenant_root_left(mmu, root);
	copy_entries(root->copy, table->guest);
	dmp_table_release(mmu, table);
	table->pair = 0;
}

bool dmp_root_let_go(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_table *table = dmp_table_find(mmu, gfn, mmu->paging.levels);
	struct dmp_root *root, *other;

	if (!table || !(table->flags & DMP_TABLE_HELD))
		return false;
	root = dmp_root_of(mmu, table);
	other = dmp_root_twin(mmu, root);
	if (root == mmu->loaded || (other && other == mmu->loaded))
		return false;
	if (other)
		let_go_of(mmu, other);
	let_go_of(mmu, root);
	return true;
}

/* Whether what @machine links, from a root, is what the guest's @entry says. */
static bool is_of_entry(const struct dmp_mmu *mmu, u64 machine, u64 entry)
{
	const struct dmp_table *child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));

	return entry & DMP_PTE_P && entry & DMP_PTE_A &&
	       child && child->guest && machine == dmp_translate_link(entry, child->hfn) &&
	       child->gfn == dmp_pte_gfn(entry);
}

/*
 * A device may have written the page of a root that is held, and free by now: the VMM's
 * process does, and no write protection is in its way. What the copy says then is not
 * what links were made from. They go.
 */
static void drop_unlike(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = dmp_root_table(mmu, root);
	unsigned int i;
	u64 machine;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = dmp_entries_next(table->entries, 0); i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->entries, i + 1)) {
		machine = table->entries[i];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine) ||
		    machine == dmp_tenant_absent(mmu, table, i) ||
		    is_of_entry(mmu, machine, root->copy[i]))
			continue;
		dmp_table_follow(mmu, table, i, root->copy[i], 0, DMP_REACH_UNKNOWN);
		root->copy[i] = 0;
	}
}

/* The same for the root at @gfn, and the one beside, which have been let go of. */
static void drop_unlike_both(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		root = dmp_root_find(mmu, gfn ^ i);
		if (dmp_root_is_let_go(mmu, root))
			drop_unlike(mmu, root);
	}
}

void dmp_root_evict(struct dmp_mmu *mmu, struct dmp_root *root)
{
	dmp_tenant_root_left(mmu, root);
	dmp_table_put(mmu, dmp_root_table(mmu, root));
	dmp_root_unhash(mmu, root);
	/* With the table a flush is owed. */
	dmp_tenant_page_gone(mmu, root->copy_hfn);
	dmp_page_free(mmu, root->copy_hfn);
	*root = (struct dmp_root){ 0 };
	mmu->roots--;
	mmu->stats.root_evictions++;
}

struct dmp_root *dmp_root_oldest(struct dmp_mmu *mmu)
{
	struct dmp_root *oldest = NULL, *root;
	u32 i;

	dmp_for_each_root(root, i, mmu)
		if (root != mmu->loaded && (!oldest || root->stamp < oldest->stamp))
			oldest = root;
	return oldest;
}

/*
 * ---- Roots without user space ----
 */

unsigned int dmp_root_find_user(const struct dmp_mmu *mmu,
				const struct dmp_root *root)
{
	unsigned int i;

	if (dmp_root_has_user(mmu, root))
		return root->user;
	i = dmp_entries_next(dmp_root_table(mmu, root)->entries, 0);
	return i < DMP_ENTRIES / 2 ? i : DMP_ENTRIES;
}

bool dmp_root_is_left(const struct dmp_mmu *mmu, struct dmp_root *root)
{
	unsigned int user = dmp_root_find_user(mmu, root);

	if (user < DMP_ENTRIES)
		root->user = (u16)user;
	return root->user < DMP_ENTRIES && user == DMP_ENTRIES;
}

void dmp_root_leave(struct dmp_mmu *mmu, struct dmp_root *root)
{
	if (dmp_root_is_left(mmu, root))
		dmp_root_let_go(mmu, root->gfn);
}

/*
 * ---- Writes to what may be a table ----
 */

bool dmp_root_unlinks(struct dmp_mmu *mmu, u64 gpa)
{
	struct dmp_table *table = dmp_table_find(mmu, gpa >> DMP_PAGE_SHIFT,
						 mmu->paging.levels);
	unsigned int index = gpa / 8 % DMP_ENTRIES;

	return table && table->flags & DMP_TABLE_HELD && index < DMP_ENTRIES / 2 &&
	       table->entries[index] & DMP_PTE_P &&
	       !dmp_is_trap(&mmu->paging, table->entries[index]);
}

void dmp_root_written(struct dmp_mmu *mmu, const struct dmp_write *write)
{
	struct dmp_table *table = dmp_table_find(mmu, write->gfn, mmu->paging.levels);
	unsigned int i;
	u64 any = 0;

	if (!table || !(table->flags & DMP_TABLE_HELD))
		return;
	for (i = 0; i < write->count; i++)
		if (table->guest[write->first + i] != write->old[i])
			any |= table->guest[write->first + i];
	if (!(any & DMP_PTE_P) || !dmp_root_let_go(mmu, write->gfn))
		return;
	for (i = 0; i < write->count; i++)
		dmp_root_of(mmu, table)->copy[write->first + i] = write->old[i];
	drop_unlike_both(mmu, write->gfn);
}

static bool is_held(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);

	return frame && frame->held;
}

bool dmp_mmu_is_live_table(struct dmp_mmu *mmu, u64 gfn)
{
	enum dmp_life life;

	if (dmp_root_let_go(mmu, gfn))
		drop_unlike_both(mmu, gfn);
	if (!is_held(mmu, gfn))
		return false;
	life = dmp_frame_life(mmu, gfn);
	if (life == DMP_LIVE || life == DMP_LIVE_LOADED)
		return true;
	/* What is held for nothing that is live goes. */
	drop_changed_above(mmu, gfn);
	if (is_held(mmu, gfn))
		dmp_drop_changed_all(mmu);
	if (is_held(mmu, gfn))
		return true;
	mmu->stats.stale_found++;
	return false;
}
