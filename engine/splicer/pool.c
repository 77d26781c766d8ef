// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table records: where they come from and where they go; see pool.h.
 */
#include "splicer/pool.h"
#include "splicer/space.h"
#include "splicer/splicer.h"
#include "mmu/table.h"

_Static_assert(sizeof(struct dmp_table) << DMP_CHUNK_SHIFT <= DMP_PAGE_SIZE,
	       "a chunk of tables is one page");

/* Refilled to half when it has less than a quarter. */
#define READY_LEAST	(DMP_POOL_MAX / 4)
#define READY_ENOUGH	(DMP_POOL_MAX / 2)

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

/* While there is a splicer, the pool is in use. */
static struct dmp_agent *agent_of(const struct dmp_mmu *mmu)
{
	return mmu->splicer ? &mmu->splicer->implant->agent : NULL;
}

/* NULL, and broken, without memory. */
static void *add_page(struct dmp_mmu *mmu)
{
	u64 hfn = mmu->ops->alloc_page(mmu->host);

	if (!hfn) {
		dmp_break(mmu, DMP_BROKEN_NO_MEMORY);
		return NULL;
	}
	mmu->pages++;
	return dmp_hfn_va(mmu, hfn);
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
	return !mmu->splicer || dmp_splicer_show_chunk(mmu, c);
}

/* A new one, as of the pool. */
static struct dmp_table *make(struct dmp_mmu *mmu)
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
	if (mmu->splicer && !dmp_splicer_show(mmu, hfn))
		return NULL;
	return table;
}

/* A TLB flush is owed already: the guest's CPU may know the page, and the window. */
static void unmake(struct dmp_mmu *mmu, struct dmp_table *table)
{
	u32 *at = &mmu->hash[hash_hfn(table->hfn)];
	u32 id = table->id;

	while (*at != id)
		at = &dmp_table_of(mmu, *at)->hash_next;
	*at = table->hash_next;
	if (mmu->splicer)
		dmp_splicer_hide(mmu, table->hfn);
	mmu->ops->free_page(mmu->host, table->hfn);
	mmu->pages--;
	table->id = 0;
	table->next = mmu->free_table;
	mmu->free_table = id;
}

struct dmp_table *dmp_table_alloc(struct dmp_mmu *mmu, unsigned int level,
				  u32 flags)
{
	struct dmp_agent *agent = agent_of(mmu);
	struct dmp_table *table;

	/* A hostile guest may declare any of its memory to be tables. */
	if (mmu->tables_max && mmu->tables >= mmu->tables_max) {
		dmp_break(mmu, DMP_BROKEN_TOO_MANY_TABLES);
		return NULL;
	}
	/* Who wants one fills it. */
	if (!dmp_work(mmu, DMP_ENTRIES))
		return NULL;
	if (agent && agent->ready_count)
		table = dmp_table_of(mmu, agent->ready[--agent->ready_count]);
	else
		table = make(mmu);
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
	struct dmp_agent *agent = agent_of(mmu);
	/* Their entries show the implant. */
	bool empty = !(table->flags & (DMP_TABLE_ROOT | DMP_TABLE_OVERLAID));

	dmp_space_forget_table(mmu, table);
	/* A vCPU may still hold the page in a paging-structure cache. */
	dmp_flush(mmu);
	mmu->tables--;
	if (agent && empty && agent->ready_count < DMP_POOL_MAX) {
		table->flags = DMP_TABLE_POOL;
		agent->ready[agent->ready_count++] = table->id;
	} else {
		unmake(mmu, table);
	}
}

bool dmp_pool_is_due(const struct dmp_mmu *mmu)
{
	const struct dmp_agent *agent = agent_of(mmu);

	return agent->ready_count < READY_LEAST ||
	       agent->freed_count > DMP_POOL_MAX / 2;
}

void dmp_table_empty(struct dmp_table *table)
{
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES; i++)
		DMP_WRITE_ONCE(table->entries[i], 0);
}

bool dmp_pool_settle(struct dmp_mmu *mmu)
{
	struct dmp_agent *agent = agent_of(mmu);
	struct dmp_table *table;

	if (agent->freed_count)
		dmp_flush(mmu);
	mmu->tables += agent->linked - agent->unlinked;
	agent->linked = 0;
	agent->unlinked = 0;
	while (agent->freed_count) {
		table = dmp_table_of(mmu, agent->freed[--agent->freed_count]);
		if (table->flags & DMP_TABLE_FULL)
			dmp_table_empty(table);
		table->flags = DMP_TABLE_POOL;
		if (agent->ready_count < DMP_POOL_MAX)
			agent->ready[agent->ready_count++] = table->id;
		else
			unmake(mmu, table);
	}
	if (agent->ready_count >= READY_LEAST ||
	    (mmu->tables_max && mmu->tables + READY_ENOUGH > mmu->tables_max))
		return true;
	while (agent->ready_count < READY_ENOUGH) {
		table = make(mmu);
		if (!table)
			return false;
		agent->ready[agent->ready_count++] = table->id;
	}
	return true;
}

void dmp_pool_destroy(struct dmp_mmu *mmu)
{
	struct dmp_agent *agent = agent_of(mmu);

	mmu->tables += agent->linked - agent->unlinked;
	agent->linked = 0;
	agent->unlinked = 0;
	while (agent->freed_count)
		unmake(mmu, dmp_table_of(mmu, agent->freed[--agent->freed_count]));
	while (agent->ready_count)
		unmake(mmu, dmp_table_of(mmu, agent->ready[--agent->ready_count]));
}
