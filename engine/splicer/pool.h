/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pool of machine tables in no use: for the agent, which takes some and gives some
 * back while the guest runs (implant/agent_pool.h), and for the VMM itself, which saves an
 * allocation and 4 KiB of zeroing.
 *
 * INV: a table of the pool is empty, in the hash, shown in the window, linked
 * by nothing; and one of pool.ready stands in no TLB or paging-structure cache,
 * or will not when the guest next runs. One of pool.freed may; and it may be
 * DMP_TABLE_FULL instead of empty.
 */
#ifndef DMP_POOL_H
#define DMP_POOL_H

#include "splicer/state.h"

/* A ready one, no longer the pool's; NULL: none is. */
struct dmp_table *dmp_pool_take(struct dmp_mmu *mmu);

/*
 * @table is empty, or shows the implant, and nothing links it; a TLB flush is owed. True:
 * it is the pool's now.
 */
bool dmp_pool_keep(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * At the end of each call from outside: what the agent gave back becomes ready,
 * and there is enough for it. False, and broken, without memory.
 */
bool dmp_pool_settle(struct dmp_mmu *mmu);

/* Whether it is time for that. */
bool dmp_pool_is_due(const struct dmp_mmu *mmu);

/* Give all of it back. */
void dmp_pool_destroy(struct dmp_mmu *mmu);

/* NULL, or what is wrong with it. */
const char *dmp_pool_audit(const struct dmp_mmu *mmu);

#endif /* DMP_POOL_H */
