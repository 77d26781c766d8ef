// SPDX-License-Identifier: GPL-2.0-only
/*
 * The audit of the pool of machine tables (pool.h), and of what the agent
 * counts.
 */
#include "mmu/record.h"
#include "splicer/pool.h"
#include "splicer/space.h"

static bool is_empty(const struct dmp_table *table)
{
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES; i++)
		if (table->entries[i])
			return false;
	return true;
}

/* @full: one that may still have to be emptied. */
static const char *check_one(const struct dmp_mmu *mmu, u32 id, u16 full)
{
	const u64 window = mmu->splicer->implant->window;
	const struct dmp_table *table;
	u64 is;

	if (!id || id >= mmu->chunks << DMP_CHUNK_SHIFT)
		return "pool of what is no table";
	table = dmp_table_of(mmu, id);
	if (table->id != id)
		return "pool of a table that is gone";
	if ((table->flags & ~full) != DMP_TABLE_POOL || table->links)
		return "table in use in the pool";
	if (!(table->flags & full) && !is_empty(table))
		return "table of the pool not empty";
	if (dmp_table_by_hfn(mmu, table->hfn) != table)
		return "table of the pool not hashed";
	if (!dmp_space_lookup(mmu, window + (table->hfn << DMP_PAGE_SHIFT), &is) ||
	    is != table->hfn)
		return "table of the pool not in the window";
	return NULL;
}

/* The table at @i of both lists, one behind the other. */
static u32 nth(const struct dmp_agent *agent, u32 i)
{
	return i < agent->ready_count ? agent->ready[i] :
					agent->freed[i - agent->ready_count];
}

static const char *check_lists(const struct dmp_mmu *mmu,
			       const struct dmp_agent *agent)
{
	u32 i, k, count = agent->ready_count + agent->freed_count;
	const char *what;

	for (i = 0; i < count; i++) {
		what = check_one(mmu, nth(agent, i),
				 i < agent->ready_count ? 0 : DMP_TABLE_FULL);
		if (what)
			return what;
		for (k = 0; k < i; k++)
			if (nth(agent, k) == nth(agent, i))
				return "table twice in the pool";
	}
	return NULL;
}

/* All that there are: those in use are counted, the others in the lists. */
static const char *check_counts(const struct dmp_mmu *mmu,
				const struct dmp_agent *agent)
{
	u32 id, used = 0, unused = 0;
	const struct dmp_table *table;

	for (id = 1; id < mmu->chunks << DMP_CHUNK_SHIFT; id++) {
		table = dmp_table_of(mmu, id);
		if (!table->id)
			continue;
		if (table->flags & DMP_TABLE_POOL)
			unused++;
		else
			used++;
	}
	if (unused != agent->ready_count + agent->freed_count)
		return "table lost by the pool";
	return used == mmu->tables + agent->linked - agent->unlinked ? NULL :
	       "tables miscounted";
}

const char *dmp_pool_audit(const struct dmp_mmu *mmu)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_agent *agent = &splicer->implant->agent;
	const char *what;

	if (agent->ready_count > DMP_POOL_MAX || agent->freed_count > DMP_POOL_MAX)
		return "pool of too many tables";
	if (agent->logged)
		return "agent's work neither done nor taken back";
	if (agent->cache_top != splicer->cache_top ||
	    agent->cache_link != splicer->cache_link)
		return "agent goes by another top-level entry";
	what = check_lists(mmu, agent);
	return what ? what : check_counts(mmu, agent);
}
