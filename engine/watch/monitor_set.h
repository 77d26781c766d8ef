/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What writer and readers of a monitor have in common: a set, and what is beside it.
 *
 * Order between them: the writer makes set->seq odd before it changes which key a way
 * holds, and even after; the fences in write_begin() and write_end() pair with those in
 * try_snapshot(). Hits alone change weight and left with seq even: they belong to the
 * same key before and after. The fences cost nothing on x86 but keep the compiler in
 * order.
 */
#ifndef DMP_MONITOR_SET_H
#define DMP_MONITOR_SET_H

#include "watch/monitor.h"

#define GOAL_MAX	65535u
#define GOAL_LINEAR	27u	/* hits_at() doubles up to this index */
#define WEIGHT_MAX	(2ull * DMP_MONITOR_EPOCH)

#define monitor_load(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define monitor_store(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)

/* Hits at which goal @index is reached: 16, 32, ..., 2^31, 2 * 2^31, 3 * ... */
static inline u64 hits_at(unsigned int index)
{
	if (index <= GOAL_LINEAR)
		return (u64)DMP_MONITOR_CAPTURE << index;
	return (u64)(index - GOAL_LINEAR + 1) << 31;
}

static inline struct dmp_monitor_insn *insn_of(const struct dmp_monitor *m, unsigned int slot)
{
	return (struct dmp_monitor_insn *)&m->set[m->nsets] + slot;
}

static inline unsigned int slot_of(const struct dmp_monitor *m,
				   const struct dmp_monitor_set *set, unsigned int way)
{
	return (unsigned int)(set - m->set) * DMP_MONITOR_WAYS + way;
}

/*
 * A free way, else the lightest. Ways are used in rising order, never freed,
 * and only used ones change places, so a free way means the last one is free.
 */
static inline unsigned int victim_in(const struct dmp_monitor_set *set)
{
	unsigned int way, lightest = 0;
	u32 least = set->weight[0];

	if (!set->meta[DMP_MONITOR_WAYS - 1]) {
		for (way = 0; set->meta[way]; way++)
			;
		return way;
	}
#pragma GCC unroll 8
	for (way = 1; way < DMP_MONITOR_WAYS; way++) {
		lightest = set->weight[way] < least ? way : lightest;
		least = set->weight[way] < least ? set->weight[way] : least;
	}
	return lightest;
}

#endif /* DMP_MONITOR_SET_H */
