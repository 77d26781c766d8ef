// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heaviest keys of several monitors.
 */
#include "watch/monitor_set.h"

static bool is_same_key(const struct dmp_exit_key *a,
			const struct dmp_exit_key *b)
{
	return a->rip == b->rip && dmp_exit_meta(a) == dmp_exit_meta(b);
}

/* Add what @m knows of row's key. */
static void add_share(struct dmp_monitor_row *row, const struct dmp_monitor *m)
{
	u64 bound = WEIGHT_MAX / DMP_MONITOR_WAYS + 1;
	struct dmp_monitor_row share;

	if (dmp_monitor_find(m, &row->key, &share, &bound) != DMP_READ_ROW) {
		row->high += bound;
		if (bound)
			row->flags &= ~DMP_ENTRY_EXACT;
		return;
	}
	row->weight += share.weight;
	row->low += share.low;
	row->high += share.high;
	row->hits += share.hits;
	row->flags &= share.flags;
	if (!row->len && share.len) {
		unsigned int i;

		row->len = share.len;
		for (i = 0; i < DMP_INSN_MAX; i++)
			row->bytes[i] = share.bytes[i];
	}
}

/* Put @row in its place; a full array drops its lightest. */
static void insert_row(struct dmp_monitor_top *top,
		       const struct dmp_monitor_row *row)
{
	unsigned int i;

	/* A key that moved while it was read may come twice. */
	for (i = 0; i < top->used; i++)
		if (is_same_key(&top->row[i].key, &row->key))
			return;
	if (top->used < top->cap)
		top->used++;
	else if (!top->cap || top->row[top->cap - 1].weight >= row->weight)
		return;
	for (i = top->used - 1; i && top->row[i - 1].weight < row->weight; i--)
		top->row[i] = top->row[i - 1];
	top->row[i] = *row;
}

/* Was the key met in a table added before this one? */
static bool is_listed_before(const struct dmp_monitor_top *top,
			     unsigned int index, const struct dmp_exit_key *key)
{
	struct dmp_monitor_row row;
	unsigned int i;
	u64 bound;

	for (i = 0; i < index; i++)
		if (top->table[i] &&
		    dmp_monitor_find(top->table[i], key, &row, &bound) == DMP_READ_ROW)
			return true;
	return false;
}

void dmp_monitor_top_add(struct dmp_monitor_top *top, unsigned int index)
{
	const struct dmp_monitor *m = top->table[index];
	struct dmp_monitor_row row;
	unsigned int slot, i;

	for (slot = 0; m && slot < dmp_monitor_slots(m); slot++) {
		if (dmp_monitor_read(m, slot, &row) != DMP_READ_ROW ||
		    is_listed_before(top, index, &row.key))
			continue;
		for (i = 0; i < top->tables; i++)
			if (i != index && top->table[i])
				add_share(&row, top->table[i]);
		insert_row(top, &row);
	}
}
