// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exit monitor against exact counting, on streams of many shapes: every
 * bound that monitor.h states, on every key.
 */
#include <stdio.h>
#include <stdlib.h>

#include "monitor_exact.h"

static void test_uniform(void **state)
{
	struct stream few = { .kind = STREAM_UNIFORM, .n = 300 };
	struct stream many = { .kind = STREAM_UNIFORM, .n = 20000 };

	(void)state;
	exact_run_new("uniform 300", &few, 1000000, DMP_MONITOR_SETS);
	exact_run_new("uniform 20000", &many, 1000000, DMP_MONITOR_SETS);
	exact_run_new("uniform 20000", &many, 600000, 1);
}

static void test_zipf(void **state)
{
	unsigned int halves;
	char name[40];

	(void)state;
	for (halves = 1; halves <= 4; halves++) {
		struct stream s = {
			.kind = STREAM_ZIPF, .n = 50000, .halves = halves,
		};

		snprintf(name, sizeof(name), "Zipf %u/2 of 50000", halves);
		exact_run_new(name, &s, 1200000, DMP_MONITOR_SETS);
		exact_run_new(name, &s, 600000, 4);
	}
}

static void test_cyclic(void **state)
{
	struct stream s = { .kind = STREAM_CYCLIC, .n = 100003 };
	struct stream tight = { .kind = STREAM_CYCLIC, .n = 1100 };

	(void)state;
	exact_run_new("cyclic 100003", &s, 1000000, DMP_MONITOR_SETS);
	exact_run_new("cyclic 1100", &tight, 1000000, DMP_MONITOR_SETS);
}

static void test_buried(void **state)
{
	struct stream s = { .kind = STREAM_BURIED, .n = 300000 };

	(void)state;
	exact_run_new("one hot in noise of 300000", &s, 1000000, DMP_MONITOR_SETS);
}

/* An attacker who knows the seed; the bounds must hold all the same. */
static void test_one_set(void **state)
{
	unsigned int table[500], used = 0, i;
	struct stream s = {
		.kind = STREAM_TABLE, .n = 500, .halves = 1, .table = table,
	};
	struct dmp_monitor *m = monitor_new(DMP_MONITOR_SETS, stream_seed());
	struct dmp_exit_key key;

	(void)state;
	for (i = 0; i < MAX_KEYS && used < s.n; i++) {
		stream_key(i, &key);
		if (!exact_set_index(m, &key))
			table[used++] = i;
	}
	assert_int_equal(used, s.n);
	exact_run_stream("500 keys of one set", &s, 1000000, m, stream_seed());
	free(m);
}

/* Another seed spreads the keys that one seed sends to one set. */
static void test_seed_spreads(void **state)
{
	u64 rng = stream_seed();
	struct dmp_monitor *a = monitor_new(DMP_MONITOR_SETS, stream_random(&rng));
	struct dmp_monitor *b = monitor_new(DMP_MONITOR_SETS, stream_random(&rng));
	unsigned int count[DMP_MONITOR_SETS] = { 0 }, used = 0, most = 0, i, set;
	struct dmp_exit_key key;

	(void)state;
	for (i = 0; i < MAX_KEYS; i++) {
		stream_key(i, &key);
		if (exact_set_index(a, &key))
			continue;
		set = exact_set_index(b, &key);
		used++;
		if (++count[set] > most)
			most = count[set];
	}
	printf("  %u keys of one set: at most %u share one under another seed\n",
	       used, most);
	check(used > 1000 && most < used / 8, "the hash does not spread");
	free(a);
	free(b);
}

#define SHIFT_EPOCHS	3

/* A new hot set each 6 epochs: after 3 no old key is left in the top 20. */
static void test_shift(void **state)
{
	struct stream s = {
		.kind = STREAM_SHIFT, .n = 400, .halves = 1,
		.period = 6 * DMP_MONITOR_EPOCH,
	};
	struct dmp_monitor *m = monitor_new(DMP_MONITOR_SETS, stream_seed());
	const struct dmp_monitor *table = m;
	struct dmp_monitor_row row[TOP];
	struct dmp_exit_key key;
	u64 charges = 5 * s.period, i;
	unsigned int j, phase;

	(void)state;
	stream_start(&s, stream_seed());
	for (i = 0; i < charges; i++) {
		struct dmp_monitor_top top = {
			.table = &table, .tables = 1, .row = row, .cap = TOP,
		};

		stream_key(stream_next(&s), &key);
		dmp_monitor_charge(m, &key);
		if ((i + 1) % s.period != SHIFT_EPOCHS * DMP_MONITOR_EPOCH)
			continue;
		dmp_monitor_top_add(&top, 0);
		phase = i / s.period;
		for (j = 0; j < top.used; j++)
			check(exact_index_of(&row[j].key) / s.n == phase,
			      "phase %u: key %u is still in the top", phase,
			      exact_index_of(&row[j].key));
	}
	stream_end(&s);
	free(m);
	s.period = 2 * DMP_MONITOR_EPOCH + 777;
	exact_run_new("shifting 400", &s, 1200000, DMP_MONITOR_SETS);
}

/* hits counts from the latest admission, exactly. */
static void test_hits_since_admission(void **state)
{
	struct stream s = { .kind = STREAM_ZIPF, .n = 600, .halves = 2 };
	struct dmp_monitor *m = monitor_new(2, stream_seed());
	u64 *since = calloc(s.n, sizeof(*since)), bound;
	struct dmp_monitor_row row;
	struct dmp_exit_key key;
	unsigned int i, index;

	(void)state;
	assert_non_null(since);
	stream_start(&s, stream_seed());
	for (i = 0; i < 300000; i++) {
		index = stream_next(&s);
		stream_key(index, &key);
		if (dmp_monitor_find(m, &key, &row, &bound) == DMP_READ_EMPTY)
			since[index] = 0;
		dmp_monitor_charge(m, &key);
		since[index]++;
		assert_int_equal(dmp_monitor_find(m, &key, &row, &bound),
				 DMP_READ_ROW);
		assert_true(row.hits == since[index]);
	}
	assert_true(dmp_monitor_evictions(m) > 1000);
	stream_end(&s);
	free(since);
	free(m);
}

/* Several vCPUs: sums, bounds of sums, order. */
static void test_merge(void **state)
{
	struct exact *x[3], *sum = calloc(1, sizeof(*sum));
	struct dmp_monitor *m[3];
	const struct dmp_monitor *table[4];
	struct dmp_monitor_row row[TOP];
	struct dmp_monitor_top top = {
		.table = table, .tables = 4, .row = row, .cap = TOP,
	};
	struct dmp_exit_key key;
	unsigned int i, v, index;
	double w;

	(void)state;
	assert_non_null(sum);
	for (v = 0; v < 3; v++) {
		struct stream s = {
			.kind = STREAM_ZIPF, .n = 3000, .halves = v + 1,
		};

		x[v] = calloc(1, sizeof(*x[v]));
		assert_non_null(x[v]);
		m[v] = monitor_new(16, stream_seed() + v);
		stream_start(&s, stream_seed() + v);
		for (i = 0; i < 200000 + v * 50000; i++) {
			index = stream_next(&s);
			stream_key(index, &key);
			dmp_monitor_charge(m[v], &key);
			exact_charge(x[v], index, &key);
		}
		stream_end(&s);
	}
	table[0] = m[0];
	table[1] = NULL;
	table[2] = m[1];
	table[3] = m[2];
	for (v = 0; v < 4; v++)
		dmp_monitor_top_add(&top, v);
	assert_int_equal(top.used, TOP);
	for (i = 0; i < TOP; i++) {
		index = exact_index_of(&row[i].key);
		assert_true(!i || row[i - 1].weight >= row[i].weight);
		for (v = i + 1; v < TOP; v++)
			assert_true(index != exact_index_of(&row[v].key));
		w = 0;
		for (v = 0; v < 3; v++)
			w += exact_weight(x[v], index);
		check(w >= row[i].low && w <= row[i].high,
		      "merged key %u: true %f, %llu..%llu", index, w,
		      row[i].low, row[i].high);
	}
	for (v = 0; v < 3; v++) {
		free(x[v]);
		free(m[v]);
	}
	free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hits_since_admission),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_cyclic),
		cmocka_unit_test(test_buried),
		cmocka_unit_test(test_one_set),
		cmocka_unit_test(test_seed_spreads),
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_merge),
	};

	stream_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
