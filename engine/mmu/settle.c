// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each call from outside does at its end.
 */
#include "mmu/ad.h"
#include "mmu/drop.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "mmu/tenant.h"

/*
 * A root that is not loaded has lost an entry of user space. Once it has none left it is
 * freed, without a further write to it that would say so: as left roots are.
 */
static void settle_emptied(struct dmp_mmu *mmu)
{
	struct dmp_table *table = dmp_table_of(mmu, mmu->owed.emptied);
	struct dmp_root *root = dmp_root_of(mmu, table), *other;

	mmu->owed.emptied = 0;
	if (!root || dmp_root_find_user(mmu, root) < DMP_ENTRIES)
		return;
	other = dmp_root_twin(mmu, root);
	if (!other || dmp_root_find_user(mmu, other) == DMP_ENTRIES)
		dmp_root_let_go(mmu, root->gfn);
}

/* Of so many tables as there may be, roots that are not loaded have their share. */
static void make_room(struct dmp_mmu *mmu)
{
	u32 most = mmu->tables_max - mmu->tables_max / 4;
	struct dmp_root *root;

	if (mmu->tables > most)
		dmp_drop_changed_all(mmu);
	while (mmu->tables > most && !mmu->broken) {
		root = dmp_root_oldest(mmu);
		if (!root)
			return;
		dmp_root_evict(mmu, root);
	}
}

/* A leaf that waits for its D may be of any root but when one is loaded. */
static void note_lazy_d(struct dmp_mmu *mmu)
{
	struct dmp_root *root;
	unsigned int i;

	dmp_for_each_root(root, i, mmu)
		root->lazy_d = true;
	mmu->owed.lazy_d = false;
}

/*
 * A freed frame is a table of another level by now. What it was may be kept, for
 * a root that was let go of: that is out of date as soon as this one is written,
 * and for as long as it is there the agent leaves A and D to the VMM.
 */
static void settle_mixed(struct dmp_mmu *mmu)
{
	const struct dmp_table *table;
	struct dmp_root *root;
	unsigned int i;

	mmu->owed.mixed = false;
	dmp_drop_changed_all(mmu);
	dmp_for_each_root(root, i, mmu) {
		table = dmp_root_table(mmu, root);
		if (!(table->flags & DMP_TABLE_HELD) &&
		    table->flags & DMP_TABLE_MIXED && !mmu->broken)
			dmp_root_evict(mmu, root);
	}
}

/*
 * ---- Supervisor entries that wait for their A and D ----
 *
 * INV: none that the loaded root reaches does, or an exception frame could be
 * pushed onto a page that faults. What is followed in a table that is not
 * surely live waits: here is found out what the loaded root does reach, when
 * another one is loaded, or a link is made. That takes long; kernels set A and
 * D in entries of their own, so it is rare.
 */

static void mark_reached(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_table *child;
	unsigned int i;
	u64 machine;

	if (table->flags & DMP_TABLE_REACHED)
		return;
	table->flags |= DMP_TABLE_REACHED;
	for (i = 0; table->level > 1 && i < DMP_ENTRIES; i++) {
		machine = table->entries[i];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine))
			continue;
		child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
		if (child)
			mark_reached(mmu, child);
	}
}

/* False: one entry still waits. */
static bool set_waiting(struct dmp_mmu *mmu, struct dmp_table *table)
{
	bool reached = table->flags & DMP_TABLE_REACHED, all = true;
	unsigned int i;
	u64 old, want;

	for (i = 0; table->guest && i < DMP_ENTRIES && !mmu->broken; i++) {
		old = DMP_READ_ONCE(table->guest[i]);
		want = dmp_ad_lacks(mmu, table, old);
		all &= !want || reached;
		if (!want || !reached)
			continue;
		if (!dmp_ad_set(&table->guest[i], old, want))
			dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		else
			dmp_frame_follow(mmu, table->gfn, i, 1, &old,
					 table->level);
	}
	return all;
}

static void settle_waiting(struct dmp_mmu *mmu)
{
	struct dmp_table *table;
	bool all = true;
	u32 id;

	/* Again, when links were made: to tables that may be waiting. */
	while (mmu->owed.look && !mmu->broken) {
		mmu->owed.look = false;
		for (id = 0; (table = dmp_table_next(mmu, &id));)
			table->flags &= ~DMP_TABLE_REACHED;
		mark_reached(mmu, dmp_root_table(mmu, mmu->loaded));
		all = true;
		id = 0;
		while ((table = dmp_table_next(mmu, &id)) &&
		       dmp_work(mmu, DMP_ENTRIES))
			all &= set_waiting(mmu, table);
	}
	mmu->waiting = !all;
}

void dmp_mmu_settle(struct dmp_mmu *mmu)
{
	if (mmu->owed.emptied && !mmu->broken)
		settle_emptied(mmu);
	if (mmu->owed.mixed && !mmu->broken)
		settle_mixed(mmu);
	if (mmu->tables_max && mmu->roots > 1 && mmu->loaded)
		make_room(mmu);
	if (mmu->owed.look && mmu->loaded && !mmu->broken)
		settle_waiting(mmu);
	/* User space's write to what stays held is to reach the VMM. */
	while (mmu->owed.suspects && !mmu->broken)
		if (dmp_mmu_is_live_table(mmu, mmu->owed.suspect[--mmu->owed.suspects]))
			mmu->owed.lazy_d = true;
	if (mmu->owed.lazy_d)
		note_lazy_d(mmu);
	if (!mmu->broken)
		dmp_tenant_settle(mmu);
}
