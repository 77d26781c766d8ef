// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool of machine tables in no use; see pool.h.
 */
#include "mmu/record.h"
#include "splicer/pool.h"

/* Refilled to half when it has less than a quarter. */
#define READY_LEAST	(DMP_POOL_MAX / 4)
#define READY_ENOUGH	(DMP_POOL_MAX / 2)

static struct dmp_agent *agent_of(const struct dmp_mmu *mmu)
{
	return &mmu->splicer->implant->agent;
}

struct dmp_table *dmp_pool_take(struct dmp_mmu *mmu)
{
	struct dmp_agent *agent = agent_of(mmu);

	return agent->ready_count ?
	       dmp_table_of(mmu, agent->ready[--agent->ready_count]) : NULL;
}

bool dmp_pool_keep(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_agent *agent = agent_of(mmu);

	/* The entries of some show the implant. */
	if (table->flags & (DMP_TABLE_ROOT | DMP_TABLE_OVERLAID) ||
	    agent->ready_count == DMP_POOL_MAX)
		return false;
	table->flags = DMP_TABLE_POOL;
	agent->ready[agent->ready_count++] = table->id;
	return true;
}

bool dmp_pool_is_due(const struct dmp_mmu *mmu)
{
	const struct dmp_agent *agent = agent_of(mmu);

	return agent->ready_count < READY_LEAST ||
	       agent->freed_count > DMP_POOL_MAX / 2;
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
			dmp_table_unmake(mmu, table);
	}
	if (agent->ready_count >= READY_LEAST ||
	    (mmu->tables_max && mmu->tables + READY_ENOUGH > mmu->tables_max))
		return true;
	while (agent->ready_count < READY_ENOUGH) {
		table = dmp_table_make(mmu);
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
		dmp_table_unmake(mmu, dmp_table_of(mmu, agent->freed[--agent->freed_count]));
	while (agent->ready_count)
		dmp_table_unmake(mmu, dmp_table_of(mmu, agent->ready[--agent->ready_count]));
}
