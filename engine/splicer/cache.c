// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tagged cache; see cache.h.
 */
#include "mmu/leaf.h"
#include "mmu/live.h"
#include "mmu/record.h"
#include "mmu/walk.h"
#include "splicer/cache.h"

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

static void clear_all(struct dmp_implant *implant)
{
	unsigned int i;

	for (i = 0; i < DMP_CACHE_SLOTS; i++)
		clear(&implant->cache[i]);
	for (i = 0; i < DMP_ARRAY_SIZE(implant->last); i++)
		clear(&implant->last[i]);
}

/* What @table, a root's, has for the kernel's code. */
static u64 text_link(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	return table->entries[dmp_index(mmu->splicer->prologue.rip,
					mmu->paging.levels)];
}

/* The one top-level entry by which all is cached, and what links it. */
static void set_top(struct dmp_mmu *mmu, unsigned int top, u64 link)
{
	struct dmp_agent *agent = &implant_of(mmu)->agent;

	mmu->splicer->cache_top = top;
	mmu->splicer->cache_link = link;
	agent->cache_top = top;
	agent->cache_link = link;
}

/* Flags of tables stay: they say that stubs may know it, not that they do. */
void dmp_cache_flush(struct dmp_mmu *mmu)
{
	struct dmp_implant *implant = implant_of(mmu);

	if (!implant)
		return;
	clear_all(implant);
	set_top(mmu, 0, 0);
}

static void drop_from(struct dmp_cache_entry *entry, const struct dmp_table *table)
{
	if (entry->table == table->id)
		clear(entry);
}

void dmp_cache_drop_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_implant *implant = implant_of(mmu);
	unsigned int i;

	if (!(table->flags & DMP_TABLE_CACHED))
		return;
	drop_from(&implant->cache[table->cache_slot], table);
	if (table->flags & DMP_TABLE_CACHED_MORE)
		for (i = 0; i < DMP_CACHE_SLOTS; i++)
			drop_from(&implant->cache[i], table);
	table->flags &= ~(DMP_TABLE_CACHED | DMP_TABLE_CACHED_MORE);
	for (i = 0; i < DMP_ARRAY_SIZE(implant->last); i++)
		drop_from(&implant->last[i], table);
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
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva)
		w.table->flags |= DMP_TABLE_PATH;
	return w.level == 1 && !(w.entry & DMP_PTE_US);
}

static void put(struct dmp_mmu *mmu, struct dmp_table *table,
		const struct dmp_frame *frame, u64 gva)
{
	struct dmp_implant *implant = implant_of(mmu);
	unsigned int slot = dmp_cache_place(implant, gva);

	/* By another address, or it would have been found. */
	if (table->flags & DMP_TABLE_CACHED && table->cache_slot != slot &&
	    implant->cache[table->cache_slot].table == table->id)
		table->flags |= DMP_TABLE_CACHED_MORE;
	table->flags |= DMP_TABLE_CACHED;
	table->cache_slot = slot;
	implant->cache[slot] = (struct dmp_cache_entry){
		.tag = gva & ~(u64)(DMP_PAGE_SIZE - 1),
		.guest = implant->window + (dmp_frame_hfn(frame) << DMP_PAGE_SHIFT),
		.machine = is_served(table) ?
			   implant->window + (table->hfn << DMP_PAGE_SHIFT) :
			   mmu->splicer->slow_gva,
		.table = table->id,
	};
}

void dmp_cache_fill(struct dmp_mmu *mmu, u64 gva, u64 gfn)
{
	unsigned int top = dmp_index(gva, mmu->paging.levels);
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	struct dmp_table *table = held_table(mmu, frame);

	if (!mmu->splicer || !table || !(gva >> 63))
		return;
	/* Of one top-level entry, to know when a root has another one there. */
	if (mmu->splicer->cache_top && mmu->splicer->cache_top != top)
		dmp_cache_flush(mmu);
	set_top(mmu, top, dmp_loaded_top(mmu)->entries[top]);
	mmu->splicer->cache_text = text_link(mmu, dmp_loaded_top(mmu));
	if (mark_path(mmu, gva))
		put(mmu, table, frame, gva);
}

/*
 * The address by which the level-1 @table maps @frame, at the index of its direct
 * mapping: by climbing to what all that is cached hangs from. Marks the path. 0:
 * it does not, or leads elsewhere.
 */
static u64 kernel_gva(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
		      struct dmp_table *table)
{
	unsigned int index = frame->dmap_index;
	u64 gva = 0, leaf = table->entries[index];
	struct dmp_table *parent;

	if (!(leaf & DMP_PTE_P) || dmp_pte_gfn(leaf) != dmp_frame_hfn(frame))
		return 0;
	for (;; table = parent) {
		gva |= (u64)index << (DMP_PAGE_SHIFT + 9 * (table->level - 1));
		table->flags |= DMP_TABLE_PATH;
		index = table->parent_index;
		if (table->level == mmu->paging.levels - 1u)
			break;
		parent = dmp_table_parent(mmu, table);
		if (!parent || !dmp_table_links(mmu, parent, index, table))
			return 0;
	}
	return index == mmu->splicer->cache_top &&
	       table->hfn == dmp_pte_gfn(mmu->splicer->cache_link) ?
	       gva | dmp_top_gva(mmu->paging.levels, index) : 0;
}

void dmp_cache_learn(struct dmp_mmu *mmu, struct dmp_table *table)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, table->gfn);
	struct dmp_table *pair;
	u64 gva;

	if (!mmu->splicer->active || !mmu->splicer->cache_top || frame->code ||
	    !frame->dmap_table || table->next)
		return;
	gva = kernel_gva(mmu, frame, dmp_table_of(mmu, frame->dmap_table));
	/* Mapped twice: either may be noted as the direct mapping. */
	pair = gva ? NULL : dmp_table_pair(mmu, frame);
	if (pair)
		gva = kernel_gva(mmu, frame, pair);
	if (gva)
		put(mmu, table, frame, gva);
}

/*
 * KPTI's user half has little there (Linux: a page of the TSS), and another mapping
 * of the kernel, which shows no code that writes tables: stubs are not asked.
 */
bool dmp_cache_suits(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	const struct dmp_splicer *splicer = mmu->splicer;

	return !splicer->cache_top ||
	       table->entries[splicer->cache_top] == splicer->cache_link ||
	       text_link(mmu, table) != splicer->cache_text;
}

void dmp_cache_switch_root(struct dmp_mmu *mmu)
{
	if (!dmp_cache_suits(mmu, dmp_loaded_top(mmu)))
		dmp_cache_flush(mmu);
}
