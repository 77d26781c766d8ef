// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact counting, with the monitor's rule of ageing but without rounding, and
 * every bound that monitor.h states, on every key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor_exact.h"

struct dmp_monitor *monitor_new(unsigned int nsets, u64 seed)
{
	size_t bytes = dmp_monitor_bytes(nsets);
	void *mem = aligned_alloc(DMP_CACHE_LINE, bytes);

	assert_non_null(mem);
	memset(mem, 0xa5, bytes);
	assert_int_equal(dmp_monitor_init(mem, bytes, nsets, seed),
			 DMP_MONITOR_OK);
	return mem;
}

/*
 * ---- Exact counting ----
 */

static double halve(double w, u64 times)
{
	if (times > 1000)
		return 0;
	while (times--)
		w /= 2;
	return w;
}

void exact_charge(struct exact *x, unsigned int index,
		  const struct dmp_exit_key *key)
{
	u64 epoch = x->total++ / DMP_MONITOR_EPOCH;

	assert_true(index < MAX_KEYS);
	x->weight[index] = 1 + halve(x->weight[index], epoch - x->epoch[index]);
	x->epoch[index] = epoch;
	x->hits[index]++;
	x->tally[dmp_tally_of(key->code)][key->kind]++;
}

double exact_weight(const struct exact *x, unsigned int index)
{
	return halve(x->weight[index],
		     x->total / DMP_MONITOR_EPOCH - x->epoch[index]);
}

bool exact_same_key(const struct dmp_exit_key *a, const struct dmp_exit_key *b)
{
	return a->rip == b->rip && a->code == b->code && a->arg == b->arg &&
	       a->cpl == b->cpl && a->kind == b->kind;
}

/* The index of a row's key, which must be one of ours. */
unsigned int exact_index_of(const struct dmp_exit_key *key)
{
	unsigned int index = (key->rip - 0xffffffff81000000ull) / 5 * 2;
	struct dmp_exit_key ours;

	index += key->arg != 0;
	check(index < MAX_KEYS, "row of a key never charged: rip %llx", key->rip);
	stream_key(index, &ours);
	check(exact_same_key(key, &ours), "row of a key never charged: rip %llx", key->rip);
	return index;
}

/*
 * ---- Checks, for every key ----
 */

static void check_row(const struct exact *x, const struct dmp_monitor_row *row)
{
	unsigned int index = exact_index_of(&row->key);
	double w = exact_weight(x, index);

	check(w >= row->low && w <= row->high && w < row->weight + 1. &&
	      row->low <= row->weight && row->weight < row->high,
	      "key %u: true %f, weight %llu, low %llu, high %llu", index, w,
	      row->weight, row->low, row->high);
	check(row->hits && row->hits <= x->hits[index], "key %u: hits %llu of %llu",
	      index, row->hits, x->hits[index]);
	check(!(row->flags & DMP_ENTRY_EXACT) || row->hits == x->hits[index],
	      "key %u: exact, but hits %llu of %llu", index, row->hits,
	      x->hits[index]);
}

static void check_totals(const struct exact *x, const struct dmp_monitor *m)
{
	u64 kinds = 0;
	unsigned int i, kind;

	for (i = 0; i < DMP_TALLIES; i++)
		for (kind = 0; kind < DMP_KIND_COUNT; kind++)
			assert_true(dmp_monitor_tally(m, i, kind) ==
				    x->tally[i][kind]);
	for (kind = 0; kind < DMP_MONITOR_KINDS; kind++)
		kinds += dmp_monitor_kind_total(m, kind);
	assert_true(kinds == x->total);
	assert_true(dmp_monitor_total(m) == x->total);
	assert_true(dmp_monitor_epochs(m) == x->total / DMP_MONITOR_EPOCH);
}

/* The true top 20, heaviest first. */
static unsigned int exact_top(const struct exact *x, unsigned int *index)
{
	unsigned int used = 0, i, j;

	for (i = 0; i < MAX_KEYS; i++) {
		if (!x->hits[i])
			continue;
		for (j = used; j && exact_weight(x, index[j - 1]) <
		     exact_weight(x, i); j--)
			if (j < TOP)
				index[j] = index[j - 1];
		if (j < TOP)
			index[j] = i;
		if (used < TOP)
			used++;
	}
	return used;
}

/*
 * A key of the true top that the reported top leaves out weighs no more than
 * the unlisted may, or than the lightest reported (the array was full).
 */
static unsigned int check_top(const struct exact *x, const struct dmp_monitor *m)
{
	struct dmp_monitor_row row[TOP];
	struct dmp_monitor_top top = {
		.table = &m, .tables = 1, .row = row, .cap = TOP,
	};
	unsigned int truth[TOP], n = exact_top(x, truth), i, j, found = 0;
	u64 limit = dmp_monitor_unlisted_bound(m);

	dmp_monitor_top_add(&top, 0);
	for (i = 1; i < top.used; i++)
		assert_true(row[i - 1].weight >= row[i].weight);
	if (top.used == TOP && row[TOP - 1].high > limit)
		limit = row[TOP - 1].high;
	for (i = 0; i < n; i++) {
		for (j = 0; j < top.used; j++)
			if (exact_index_of(&row[j].key) == truth[i])
				break;
		found += j < top.used;
		check(j < top.used || exact_weight(x, truth[i]) <= limit,
		      "key %u of the true top 20 is missing", truth[i]);
	}
	return found;
}

/* How many of the true top 20 are among the reported. */
static unsigned int check_all(const struct exact *x, const struct dmp_monitor *m)
{
	u64 limit = dmp_monitor_unlisted_bound(m), bound;
	unsigned int i, listed = 0, rows = 0;
	struct dmp_monitor_row row;
	struct dmp_exit_key key;

	for (i = 0; i < dmp_monitor_slots(m); i++) {
		if (dmp_monitor_read(m, i, &row) != DMP_READ_ROW)
			continue;
		check_row(x, &row);
		rows++;
	}
	for (i = 0; i < MAX_KEYS; i++) {
		if (!x->hits[i])
			continue;
		stream_key(i, &key);
		if (dmp_monitor_find(m, &key, &row, &bound) == DMP_READ_ROW) {
			assert_true(exact_index_of(&row.key) == i);
			listed++;
			continue;
		}
		check(exact_weight(x, i) <= bound && bound <= limit,
		      "key %u: true %f, unlisted, bounds %llu %llu", i,
		      exact_weight(x, i), bound, limit);
	}
	assert_int_equal(rows, listed);
	check_totals(x, m);
	return check_top(x, m);
}

unsigned int exact_set_index(const struct dmp_monitor *m,
			     const struct dmp_exit_key *key)
{
	return dmp_monitor_set_of(m, key->rip, dmp_exit_meta(key)) - m->set;
}

/* What the replacement rule promises whatever the hash. */
static void check_set_sums(const struct exact *x, const struct dmp_monitor *m)
{
	double *sum = calloc(m->nsets, sizeof(*sum));
	struct dmp_monitor_row row;
	struct dmp_exit_key key;
	unsigned int i;
	u64 bound;

	assert_non_null(sum);
	for (i = 0; i < MAX_KEYS; i++) {
		if (!x->hits[i])
			continue;
		stream_key(i, &key);
		sum[exact_set_index(m, &key)] += exact_weight(x, i);
	}
	for (i = 0; i < MAX_KEYS; i++) {
		stream_key(i, &key);
		if (!x->hits[i] ||
		    dmp_monitor_find(m, &key, &row, &bound) == DMP_READ_ROW)
			continue;
		check(bound <= 1 + sum[exact_set_index(m, &key)] / DMP_MONITOR_WAYS,
		      "key %u: bound %llu is above its set's share", i, bound);
	}
	free(sum);
}

void exact_run_stream(const char *name, struct stream *s, u64 charges,
		      struct dmp_monitor *m, u64 seed)
{
	struct exact *x = calloc(1, sizeof(*x));
	struct dmp_exit_key key;
	unsigned int index, found = 0;
	u64 i;

	assert_non_null(x);
	stream_start(s, seed);
	for (i = 1; i <= charges; i++) {
		index = stream_next(s);
		stream_key(index, &key);
		dmp_monitor_charge(m, &key);
		exact_charge(x, index, &key);
		/* At an epoch's last charge, its first, and in between. */
		if (i == 1000 || i == 5 * DMP_MONITOR_EPOCH ||
		    i == 7 * DMP_MONITOR_EPOCH + 1 || i == charges)
			found = check_all(x, m);
	}
	check_set_sums(x, m);
	printf("  %s: %llu charges, %u sets, %llu evictions, unlisted <= %llu, %u of top 20\n",
	       name, charges, m->nsets, dmp_monitor_evictions(m),
	       dmp_monitor_unlisted_bound(m), found);
	stream_end(s);
	free(x);
}

void exact_run_new(const char *name, struct stream *s, u64 charges,
		   unsigned int nsets)
{
	u64 seed = stream_seed();
	struct dmp_monitor *m = monitor_new(nsets, seed ^ 0x5eed);

	exact_run_stream(name, s, charges, m, seed);
	free(m);
}
