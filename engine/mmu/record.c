// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records: where those of tables come from and where they go; which frame, table or root
 * one is looking for.
 */
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/tenant.h"

_Static_assert(sizeof(struct dmp_frame) == 24,
	       "frames are counted against 1 % of guest memory");

_Static_assert(sizeof(struct dmp_table) << DMP_CHUNK_SHIFT <= DMP_PAGE_SIZE,
	       "a chunk of tables is one page");

const struct dmp_slot *dmp_slot_find(const struct dmp_mmu *mmu, u64 gfn)
{
	unsigned int i;

	for (i = 0; i < mmu->slots; i++)
		if (gfn - mmu->slot[i].base_gfn < mmu->slot[i].npages)
			return &mmu->slot[i];
	return NULL;
}

struct dmp_frame *dmp_frame_find(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, gfn);
	struct dmp_frame *frame;

	if (!slot)
		return NULL;
	frame = &slot->frames[gfn - slot->base_gfn];
	return frame->leaf ? frame : NULL;
}

bool dmp_table_may_be(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, gfn);

	return slot && !(slot->flags & DMP_SLOT_RO) &&
	       slot->frames[gfn - slot->base_gfn].leaf;
}

struct dmp_table *dmp_table_find(const struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	u32 id = frame ? frame->tables : 0;

	while (id && dmp_table_of(mmu, id)->level != level)
		id = dmp_table_of(mmu, id)->next;
	return id ? dmp_table_of(mmu, id) : NULL;
}

static u32 hash_hfn(u64 hfn)
{
	return (u32)(hfn * 0x9e3779b97f4a7c15ull >> 40) & (DMP_HASH_SIZE - 1);
}

struct dmp_table *dmp_table_by_hfn(const struct dmp_mmu *mmu, u64 hfn)
{
	u32 id = mmu->hash[hash_hfn(hfn)];

	while (id && dmp_table_of(mmu, id)->hfn != hfn)
		id = dmp_table_of(mmu, id)->hash_next;
	return id ? dmp_table_of(mmu, id) : NULL;
}

/* NULL, and broken, without memory. */
static void *add_page(struct dmp_mmu *mmu)
{
	u64 hfn = dmp_page_alloc(mmu);

	return hfn ? dmp_hfn_va(mmu, hfn) : NULL;
}

static bool add_chunk(struct dmp_mmu *mmu)
{
	u32 c = mmu->chunks, i, id;
	struct dmp_table ***page = &mmu->chunk_page[c / DMP_ENTRIES], *chunk;

	if (c == DMP_CHUNKS_MAX) {
		dmp_break(mmu, DMP_BROKEN_TOO_MANY_TABLES);
		return false;
	}
	if (!*page)
		*page = add_page(mmu);
	chunk = *page ? add_page(mmu) : NULL;
	if (!chunk)
		return false;
	(*page)[c % DMP_ENTRIES] = chunk;
	mmu->chunks++;
	for (i = 1u << DMP_CHUNK_SHIFT; i-- > 0;) {
		id = (c << DMP_CHUNK_SHIFT) + i;
		if (!id)	/* 0 means none */
			continue;
		dmp_table_of(mmu, id)->next = mmu->free_table;
		mmu->free_table = id;
	}
	return dmp_tenant_chunk_added(mmu, c);
}

struct dmp_table *dmp_table_make(struct dmp_mmu *mmu)
{
	struct dmp_table *table;
	u64 *entries, hfn;
	u32 id;

	if (!mmu->free_table && !add_chunk(mmu))
		return NULL;
	entries = add_page(mmu);
	if (!entries)
		return NULL;
	hfn = dmp_va_hfn(mmu, entries);
	id = mmu->free_table;
	table = dmp_table_of(mmu, id);
	mmu->free_table = table->next;
	*table = (struct dmp_table){
		.entries = entries,
		.hfn = hfn,
		.id = id,
		.flags = DMP_TABLE_POOL,
		.hash_next = mmu->hash[hash_hfn(hfn)],
	};
	mmu->hash[hash_hfn(hfn)] = id;
	if (!dmp_tenant_page_added(mmu, hfn))
		return NULL;
	return table;
}

void dmp_table_unmake(struct dmp_mmu *mmu, struct dmp_table *table)
{
	u32 *at = &mmu->hash[hash_hfn(table->hfn)];
	u32 id = table->id;

	while (*at != id)
		at = &dmp_table_of(mmu, *at)->hash_next;
	*at = table->hash_next;
	dmp_tenant_page_gone(mmu, table->hfn);
	dmp_page_free(mmu, table->hfn);
	table->id = 0;
	table->next = mmu->free_table;
	mmu->free_table = id;
}

struct dmp_table *dmp_table_alloc(struct dmp_mmu *mmu, unsigned int level,
				  u32 flags)
{
	struct dmp_table *table;

	/* A hostile guest may declare any of its memory to be tables. */
	if (mmu->tables_max && mmu->tables >= mmu->tables_max) {
		dmp_break(mmu, DMP_BROKEN_TOO_MANY_TABLES);
		return NULL;
	}
	/* Who wants one fills it. */
	if (!dmp_work(mmu, DMP_ENTRIES))
		return NULL;
	table = dmp_tenant_spare(mmu);
	if (!table)
		table = dmp_table_make(mmu);
	if (!table)
		return NULL;
	*table = (struct dmp_table){
		.entries = table->entries,
		.hfn = table->hfn,
		.id = table->id,
		.level = level,
		.flags = flags,
		.hash_next = table->hash_next,
	};
	mmu->tables++;
	return table;
}

void dmp_table_free(struct dmp_mmu *mmu, struct dmp_table *table)
{
	dmp_tenant_table_gone(mmu, table);
	/* A vCPU may still hold the page in a paging-structure cache. */
	dmp_flush(mmu);
	mmu->tables--;
	if (!dmp_tenant_keeps(mmu, table))
		dmp_table_unmake(mmu, table);
}

void dmp_table_empty(struct dmp_table *table)
{
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES; i++)
		dmp_entry_set(table, i, 0);
}

/*
 * ---- Roots ----
 */

struct dmp_root *dmp_root_find(const struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = mmu->root_hash[gfn % DMP_ROOT_HASH];

	while (root && root->gfn != gfn)
		root = root->next;
	return root;
}

struct dmp_root *dmp_root_of(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	struct dmp_root *root = dmp_root_find(mmu, table->gfn);

	return root && root->table == table->id ? root : NULL;
}

struct dmp_root *dmp_root_twin(const struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_root *other = dmp_root_find(mmu, root->gfn ^ 1);

	return other && dmp_root_table(mmu, root)->pair == other->table &&
	       dmp_root_table(mmu, other)->pair == root->table ? other : NULL;
}

void dmp_root_hash(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_root **head = &mmu->root_hash[root->gfn % DMP_ROOT_HASH];

	root->next = *head;
	*head = root;
}

void dmp_root_unhash(struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_root **link = &mmu->root_hash[root->gfn % DMP_ROOT_HASH];

	while (*link && *link != root)
		link = &(*link)->next;
	if (*link)
		*link = root->next;
}
