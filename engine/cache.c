// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tagged cache; see cache.h.
 */
#include "cache.h"
#include "splicer.h"
#include "table.h"

static struct dmp_implant *implant_of(const struct dmp_mmu *mmu)
{
	return mmu->splicer ? mmu->splicer->implant : NULL;
}

static void clear(struct dmp_cache_entry *entry)
{
	*entry = (struct dmp_cache_entry){
		.tag = DMP_CACHE_VOID, .guest = DMP_CACHE_VOID,
	};
}

/* Clear those of @table; 0: all. */
static void clear_all(struct dmp_implant *implant, u32 table)
{
	unsigned int i;

	for (i = 0; i < DMP_CACHE_SLOTS; i++)
		if (!table || implant->cache[i].table == table)
			clear(&implant->cache[i]);
	for (i = 0; i < DMP_ARRAY_SIZE(implant->last); i++)
		if (!table || implant->last[i].table == table)
			clear(&implant->last[i]);
}

/* Flags of tables stay: they say that stubs may know it, not that they do. */
void dmp_cache_flush(struct dmp_mmu *mmu)
{
	struct dmp_implant *implant = implant_of(mmu);

	if (!implant)
		return;
	clear_all(implant, 0);
	mmu->splicer->cache_top = 0;
}

void dmp_cache_drop_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (!(table->flags & DMP_TABLE_CACHED))
		return;
	table->flags &= ~DMP_TABLE_CACHED;
	clear_all(implant_of(mmu), table->id);
}

void dmp_cache_drop_frame(struct dmp_mmu *mmu, const struct dmp_frame *frame)
{
	struct dmp_table *table;
	u32 id;

	for (id = frame->tables; id; id = table->next) {
		table = dmp_table_of(mmu, id);
		dmp_cache_drop_table(mmu, table);
	}
}

/* A held table at @frame; the writes of code pages are not for stubs. */
static struct dmp_table *held_table(const struct dmp_mmu *mmu,
				    const struct dmp_frame *frame)
{
	struct dmp_table *table;
	u32 id;

	for (id = frame && !frame->code ? frame->tables : 0; id; id = table->next) {
		table = dmp_table_of(mmu, id);
		if (table->flags & DMP_TABLE_HELD)
			return table;
	}
	return NULL;
}

/* Whether a stub can make the machine entry follow, and it is the only one. */
static bool is_served(const struct dmp_table *table)
{
	return table->level == 1 && !table->next &&
	       !(table->flags & DMP_TABLE_MIXED);
}

void dmp_cache_path_changed(struct dmp_mmu *mmu, const struct dmp_table *table,
			    unsigned int index)
{
	/* User space comes and goes in roots; that is not on the path. */
	if (table->level < mmu->paging.levels || index == mmu->splicer->cache_top)
		dmp_cache_flush(mmu);
}

/*
 * Mark the tables by which the loaded root maps @gva. False when stubs could
 * change its leaf and nobody would notice: they leave to the VMM what concerns
 * leaves that are not user mode's.
 */
static bool mark_path(struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_table *table = dmp_table_of(mmu, mmu->loaded->table);
	u64 machine;

	while (table && table->level > 1) {
		table->flags |= DMP_TABLE_PATH;
		machine = table->entries[dmp_index(gva, table->level)];
		table = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
	}
	if (!table)
		return false;
	table->flags |= DMP_TABLE_PATH;
	return !(table->entries[dmp_index(gva, 1)] & DMP_PTE_US);
}

void dmp_cache_fill(struct dmp_mmu *mmu, u64 gva, u64 gfn)
{
	struct dmp_implant *implant = implant_of(mmu);
	unsigned int top = dmp_index(gva, mmu->paging.levels);
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	struct dmp_table *table = held_table(mmu, frame);

	if (!implant || !table || !(gva >> 63))
		return;
	/* Of one top-level entry, to know when a root has another one there. */
	if (mmu->splicer->cache_top && mmu->splicer->cache_top != top)
		dmp_cache_flush(mmu);
	mmu->splicer->cache_top = top;
	mmu->splicer->cache_link =
		dmp_table_of(mmu, mmu->loaded->table)->entries[top];

	if (!mark_path(mmu, gva))
		return;
	table->flags |= DMP_TABLE_CACHED;
	implant->cache[dmp_cache_slot(gva)] = (struct dmp_cache_entry){
		.tag = gva & ~(u64)(DMP_PAGE_SIZE - 1),
		.guest = implant->window + (dmp_frame_hfn(frame) << DMP_PAGE_SHIFT),
		.machine = is_served(table) ?
			   implant->window + (table->hfn << DMP_PAGE_SHIFT) :
			   mmu->splicer->slow_gva,
		.table = table->id,
	};
}

void dmp_cache_switch_root(struct dmp_mmu *mmu)
{
	const struct dmp_table *root = dmp_table_of(mmu, mmu->loaded->table);
	struct dmp_splicer *splicer = mmu->splicer;

	if (splicer->cache_top &&
	    root->entries[splicer->cache_top] != splicer->cache_link)
		dmp_cache_flush(mmu);
}
