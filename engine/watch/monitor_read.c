// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a monitor, without a lock and while it is written; see monitor_set.h.
 */
#include "watch/monitor_set.h"

#define READ_TRIES	64	/* a preempted writer may hold seq odd */

/* A set as it was at one time, aged to now. */
struct set_view {
	struct dmp_monitor_set set;
	struct dmp_monitor_insn insn[DMP_MONITOR_WAYS];
};

static void copy_set(const struct dmp_monitor *m,
		     const struct dmp_monitor_set *set, struct set_view *view)
{
	const struct dmp_monitor_insn *insn = insn_of(m, slot_of(m, set, 0));
	unsigned int way, i;

	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		view->set.rip[way] = monitor_load(&set->rip[way]);
		view->set.meta[way] = monitor_load(&set->meta[way]);
		view->set.weight[way] = monitor_load(&set->weight[way]);
		view->set.left[way] = monitor_load(&set->left[way]);
		view->set.over[way] = monitor_load(&set->over[way]);
		view->set.goal[way] = monitor_load(&set->goal[way]);
		view->insn[way].len = monitor_load(&insn[way].len);
		for (i = 0; i < DMP_INSN_MAX; i++)
			view->insn[way].bytes[i] = monitor_load(&insn[way].bytes[i]);
	}
	view->set.exact = monitor_load(&set->exact);
	view->set.epoch = monitor_load(&set->epoch);
}

/* Age by the table's clock, which is never behind a set's except in reset. */
static void age_view(struct set_view *view, u64 now)
{
	u64 gone = now > view->set.epoch ? now - view->set.epoch : 0;
	unsigned int shift = gone < 31 ? gone : 31;
	unsigned int way;

	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		view->set.weight[way] >>= shift;
		view->set.over[way] >>= shift;
	}
}

/* False when the writer kept changing the set, or was preempted in it. */
static bool try_snapshot(const struct dmp_monitor *m,
			 const struct dmp_monitor_set *set,
			 struct set_view *view)
{
	unsigned int tries;
	u32 seq;

	for (tries = 0; tries < READ_TRIES; tries++) {
		seq = __atomic_load_n(&set->seq, __ATOMIC_ACQUIRE);
		if (seq & 1)
			continue;
		copy_set(m, set, view);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (monitor_load(&set->seq) != seq)
			continue;
		age_view(view, dmp_monitor_epochs(m));
		return true;
	}
	return false;
}

/* Bound for a key that hashes to this set and is not in it. */
static u64 view_bound(const struct set_view *view)
{
	unsigned int way = victim_in(&view->set);

	return view->set.meta[way] ? view->set.weight[way] + 1ull : 0;
}

static void view_row(const struct set_view *view, unsigned int way,
		     struct dmp_monitor_row *row)
{
	const struct dmp_monitor_set *set = &view->set;
	u64 meta = set->meta[way], sure = set->weight[way] - set->over[way];
	unsigned int i;

	row->key.rip = set->rip[way];
	row->key.code = (s32)(u32)meta >> 8;
	row->key.arg = meta >> 32;
	row->key.cpl = meta & 3;
	row->key.kind = meta >> 2 & (DMP_MONITOR_KINDS - 1);
	row->weight = set->weight[way];
	row->low = sure ? sure - 1 : 0;
	row->high = row->weight + 1;
	row->hits = hits_at(set->goal[way]) - set->left[way];
	row->flags = set->exact >> way & 1 ? DMP_ENTRY_EXACT : 0;
	row->len = view->insn[way].len;
	for (i = 0; i < DMP_INSN_MAX; i++)
		row->bytes[i] = i < row->len ? view->insn[way].bytes[i] : 0;
}

unsigned int dmp_monitor_slots(const struct dmp_monitor *m)
{
	return m->nsets * DMP_MONITOR_WAYS;
}

enum dmp_monitor_read_result
dmp_monitor_read(const struct dmp_monitor *m, unsigned int slot,
		 struct dmp_monitor_row *row)
{
	const struct dmp_monitor_set *set;
	unsigned int way = slot % DMP_MONITOR_WAYS;
	struct set_view view;

	if (slot >= dmp_monitor_slots(m))
		return DMP_READ_EMPTY;
	set = &m->set[slot / DMP_MONITOR_WAYS];
	if (!monitor_load(&set->meta[way]))
		return DMP_READ_EMPTY;
	if (!try_snapshot(m, set, &view))
		return DMP_READ_BUSY;
	if (!view.set.meta[way])
		return DMP_READ_EMPTY;
	view_row(&view, way, row);
	return DMP_READ_ROW;
}

enum dmp_monitor_read_result
dmp_monitor_find(const struct dmp_monitor *m, const struct dmp_exit_key *key,
		 struct dmp_monitor_row *row, u64 *bound)
{
	u64 meta = dmp_exit_meta(key);
	struct set_view view;
	unsigned int way;

	if (!try_snapshot(m, dmp_monitor_set_of(m, key->rip, meta), &view))
		return DMP_READ_BUSY;
	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		if (view.set.rip[way] != key->rip || view.set.meta[way] != meta)
			continue;
		view_row(&view, way, row);
		return DMP_READ_ROW;
	}
	*bound = view_bound(&view);
	return DMP_READ_EMPTY;
}

u64 dmp_monitor_unlisted_bound(const struct dmp_monitor *m)
{
	struct set_view view;
	u64 bound, most = 0;
	unsigned int i;

	for (i = 0; i < m->nsets; i++) {
		bound = WEIGHT_MAX / DMP_MONITOR_WAYS + 1;
		if (try_snapshot(m, &m->set[i], &view))
			bound = view_bound(&view);
		if (bound > most)
			most = bound;
	}
	return most;
}

u64 dmp_monitor_total(const struct dmp_monitor *m)
{
	return monitor_load(&m->total);
}

u64 dmp_monitor_evictions(const struct dmp_monitor *m)
{
	return monitor_load(&m->evictions);
}

u64 dmp_monitor_epochs(const struct dmp_monitor *m)
{
	return monitor_load(&m->total) >> DMP_MONITOR_EPOCH_SHIFT;
}

u64 dmp_monitor_tally(const struct dmp_monitor *m, unsigned int tally,
		      enum dmp_exit_kind kind)
{
	if (tally >= DMP_TALLIES || (unsigned int)kind >= DMP_MONITOR_KINDS)
		return 0;
	return monitor_load(&m->tally[tally][kind]);
}

u64 dmp_monitor_kind_total(const struct dmp_monitor *m, enum dmp_exit_kind kind)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < DMP_TALLIES; i++)
		sum += dmp_monitor_tally(m, i, kind);
	return sum;
}

u32 dmp_tally_code(unsigned int tally)
{
	if (tally < DMP_TALLY_DIRECT)
		return tally;
	if (tally < DMP_TALLY_OTHER)
		return tally - DMP_TALLY_DIRECT + DMP_TALLY_HIGH_CODE;
	return DMP_CODE_OTHER;
}
