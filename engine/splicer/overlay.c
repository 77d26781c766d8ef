// SPDX-License-Identifier: GPL-2.0-only
/*
 * Laying the implant's tree over the machine tables; see overlay.h.
 */
#include "mmu/record.h"
#include "mmu/walk.h"
#include "splicer/code_page.h"
#include "splicer/hidden.h"
#include "splicer/overlay.h"
#include "splicer/space.h"

static const struct dmp_overlay *overlay_find(const struct dmp_mmu *mmu,
					      const struct dmp_table *table,
					      unsigned int index)
{
	const struct dmp_overlay *o = mmu->splicer->space.overlay;
	unsigned int i;

	for (i = 0; i < mmu->splicer->space.overlays; i++, o++)
		if (o->table == table->id && o->index == index)
			return o;
	return NULL;
}

/* The tree's top, but for what a root is not to show. */
static u64 top_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		     unsigned int index)
{
	return dmp_space_hides(mmu, table) && dmp_hidden_has(mmu, index) ? 0 :
	       dmp_space_top(mmu)[index];
}

/* A root shows the tree's top wherever it has nothing; others what is noted. */
u64 dmp_space_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index)
{
	const struct dmp_overlay *o;

	if (table->flags & DMP_TABLE_ROOT && mmu->splicer->space.root_hfn)
		return top_entry(mmu, table, index);
	if (!(table->flags & DMP_TABLE_OVERLAID))
		return 0;
	o = overlay_find(mmu, table, index);
	return o ? o->machine : 0;
}

void dmp_space_forget_table(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	struct dmp_space *space = &mmu->splicer->space;
	unsigned int i = 0;

	if (!(table->flags & DMP_TABLE_OVERLAID))
		return;
	while (i < space->overlays) {
		if (space->overlay[i].table != table->id) {
			i++;
			continue;
		}
		space->overlay[i] = space->overlay[--space->overlays];
		/* What it showed has to show where it was linked, now. */
		space->grown = true;
	}
}

static bool overlay_add(struct dmp_mmu *mmu, struct dmp_table *table,
			unsigned int index, u64 machine)
{
	struct dmp_space *space = &mmu->splicer->space;

	if (!(table->flags & DMP_TABLE_ROOT)) {
		if (space->overlays == DMP_OVERLAYS_MAX)
			return false;
		space->overlay[space->overlays++] = (struct dmp_overlay){
			.machine = machine, .table = table->id, .index = index,
		};
		table->flags |= DMP_TABLE_OVERLAID;
	}
	dmp_entry_set(table, index, machine);
	return true;
}

static bool lay_over(struct dmp_mmu *mmu, struct dmp_table *table,
		     const u64 *tree)
{
	struct dmp_table *child;
	unsigned int i;
	u64 machine;

	for (i = 0; i < DMP_ENTRIES; i++) {
		if (!tree[i] || (table->flags & DMP_TABLE_ROOT &&
				 !top_entry(mmu, table, i)))
			continue;
		machine = table->entries[i];
		if (machine == tree[i])
			continue;
		if (!machine) {
			if (!overlay_add(mmu, table, i, tree[i]))
				return false;
			continue;
		}
		if (dmp_is_trap(&mmu->paging, machine) || table->level <= 2 ||
		    tree[i] & DMP_PTE_PS)
			return false;
		child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
		if (!child || !child->guest ||
		    !lay_over(mmu, child, dmp_space_page(mmu, tree[i])))
			return false;
	}
	return true;
}

bool dmp_space_sync(struct dmp_mmu *mmu)
{
	struct dmp_space *space = &mmu->splicer->space;
	struct dmp_root *root = mmu->loaded;

	if (mmu->broken || !space->root_hfn || !root)
		return !mmu->broken;
	if (space->grown) {
		space->grown = false;
		space->version++;
	}
	if (root->version == space->version)
		return true;
	root->version = space->version;
	if (lay_over(mmu, dmp_root_table(mmu, root), dmp_space_top(mmu))) {
		dmp_code_sync(mmu);
		return !mmu->broken;
	}
	dmp_break(mmu, DMP_BROKEN_ADDRESS);
	return false;
}

unsigned int dmp_space_free_tops(const struct dmp_mmu *mmu, unsigned int count)
{
	const struct dmp_table *root = dmp_loaded_top(mmu);
	const u64 *tree = dmp_space_top(mmu);
	unsigned int i, run = 0;

	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES && run < count; i++)
		run = root->guest[i] || tree[i] ? 0 : run + 1;
	return run == count ? i - count : 0;
}

bool dmp_space_is_free(const struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva) {
		if (!w.table->guest)
			return false;
		if (!w.entry || w.entry == dmp_space_entry(mmu, w.table, w.index))
			return !w.table->guest[w.index];
		if (w.level == 2)
			return false;
	}
	return false;
}
