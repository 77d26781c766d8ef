// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exit monitor against exact counting, with the same rule of ageing but
 * without rounding: every bound that monitor.h states, on every key.
 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "monitor.h"
#include "stream.h"

#define TOP	20
#define MAX_KEYS	0x80000u

#define check(cond, ...) do {					\
	if (!(cond)) {						\
		print_error(__VA_ARGS__);			\
		print_error("\nreplay: DMP_SEED=%llu\n", stream_seed()); \
		fail_msg("%s", #cond);				\
	}							\
} while (0)

static struct dmp_monitor *new_table(unsigned int nsets, u64 seed)
{
	size_t bytes = dmp_monitor_bytes(nsets);
	void *mem = aligned_alloc(DMP_CACHE_LINE, bytes);

	assert_non_null(mem);
	memset(mem, 0xa5, bytes);
	assert_int_equal(dmp_monitor_init(mem, bytes, nsets, seed),
			 DMP_MONITOR_OK);
	return mem;
}

static struct dmp_exit_key key_at(u64 rip)
{
	return (struct dmp_exit_key) { .rip = rip, .code = 0x4e };
}

static enum dmp_monitor_event charge(struct dmp_monitor *m, u64 rip)
{
	struct dmp_exit_key key = key_at(rip);

	return dmp_monitor_charge(m, &key);
}

/*
 * ---- Exact counting ----
 */

struct exact {
	u64 total;
	u64 epoch[MAX_KEYS];
	double weight[MAX_KEYS];	/* as of epoch */
	u64 hits[MAX_KEYS];
	u64 tally[DMP_TALLIES][DMP_KIND_COUNT];
};

static double halve(double w, u64 times)
{
	if (times > 1000)
		return 0;
	while (times--)
		w /= 2;
	return w;
}

static void exact_charge(struct exact *x, unsigned int index,
			 const struct dmp_exit_key *key)
{
	u64 epoch = x->total++ / DMP_MONITOR_EPOCH;

	assert_true(index < MAX_KEYS);
	x->weight[index] = 1 + halve(x->weight[index], epoch - x->epoch[index]);
	x->epoch[index] = epoch;
	x->hits[index]++;
	x->tally[dmp_tally_of(key->code)][key->kind]++;
}

static double exact_weight(const struct exact *x, unsigned int index)
{
	return halve(x->weight[index],
		     x->total / DMP_MONITOR_EPOCH - x->epoch[index]);
}

static bool same_key(const struct dmp_exit_key *a, const struct dmp_exit_key *b)
{
	return a->rip == b->rip && a->code == b->code && a->arg == b->arg &&
	       a->cpl == b->cpl && a->kind == b->kind;
}

/* The index of a row's key, which must be one of ours. */
static unsigned int index_of(const struct dmp_exit_key *key)
{
	unsigned int index = (key->rip - 0xffffffff81000000ull) / 5 * 2;
	struct dmp_exit_key ours;

	index += key->arg != 0;
	check(index < MAX_KEYS, "row of a key never charged: rip %llx", key->rip);
	stream_key(index, &ours);
	check(same_key(key, &ours), "row of a key never charged: rip %llx", key->rip);
	return index;
}

/*
 * ---- Checks, for every key ----
 */

static void check_row(const struct exact *x, const struct dmp_monitor_row *row)
{
	unsigned int index = index_of(&row->key);
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
			if (index_of(&row[j].key) == truth[i])
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
			assert_true(index_of(&row.key) == i);
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

static unsigned int set_index(const struct dmp_monitor *m,
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
		sum[set_index(m, &key)] += exact_weight(x, i);
	}
	for (i = 0; i < MAX_KEYS; i++) {
		stream_key(i, &key);
		if (!x->hits[i] ||
		    dmp_monitor_find(m, &key, &row, &bound) == DMP_READ_ROW)
			continue;
		check(bound <= 1 + sum[set_index(m, &key)] / DMP_MONITOR_WAYS,
		      "key %u: bound %llu is above its set's share", i, bound);
	}
	free(sum);
}

static void run_stream(const char *name, struct stream *s, u64 charges,
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

static void run_new(const char *name, struct stream *s, u64 charges,
		    unsigned int nsets)
{
	u64 seed = stream_seed();
	struct dmp_monitor *m = new_table(nsets, seed ^ 0x5eed);

	run_stream(name, s, charges, m, seed);
	free(m);
}

static void test_uniform(void **state)
{
	struct stream few = { .kind = STREAM_UNIFORM, .n = 300 };
	struct stream many = { .kind = STREAM_UNIFORM, .n = 20000 };

	(void)state;
	run_new("uniform 300", &few, 1000000, DMP_MONITOR_SETS);
	run_new("uniform 20000", &many, 1000000, DMP_MONITOR_SETS);
	run_new("uniform 20000", &many, 600000, 1);
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
		run_new(name, &s, 1200000, DMP_MONITOR_SETS);
		run_new(name, &s, 600000, 4);
	}
}

static void test_cyclic(void **state)
{
	struct stream s = { .kind = STREAM_CYCLIC, .n = 100003 };
	struct stream tight = { .kind = STREAM_CYCLIC, .n = 1100 };

	(void)state;
	run_new("cyclic 100003", &s, 1000000, DMP_MONITOR_SETS);
	run_new("cyclic 1100", &tight, 1000000, DMP_MONITOR_SETS);
}

static void test_buried(void **state)
{
	struct stream s = { .kind = STREAM_BURIED, .n = 300000 };

	(void)state;
	run_new("one hot in noise of 300000", &s, 1000000, DMP_MONITOR_SETS);
}

/* An attacker who knows the seed; the bounds must hold all the same. */
static void test_one_set(void **state)
{
	unsigned int table[500], used = 0, i;
	struct stream s = {
		.kind = STREAM_TABLE, .n = 500, .halves = 1, .table = table,
	};
	struct dmp_monitor *m = new_table(DMP_MONITOR_SETS, stream_seed());
	struct dmp_exit_key key;

	(void)state;
	for (i = 0; i < MAX_KEYS && used < s.n; i++) {
		stream_key(i, &key);
		if (!set_index(m, &key))
			table[used++] = i;
	}
	assert_int_equal(used, s.n);
	run_stream("500 keys of one set", &s, 1000000, m, stream_seed());
	free(m);
}

/* Another seed spreads the keys that one seed sends to one set. */
static void test_seed_spreads(void **state)
{
	u64 rng = stream_seed();
	struct dmp_monitor *a = new_table(DMP_MONITOR_SETS, stream_random(&rng));
	struct dmp_monitor *b = new_table(DMP_MONITOR_SETS, stream_random(&rng));
	unsigned int count[DMP_MONITOR_SETS] = { 0 }, used = 0, most = 0, i, set;
	struct dmp_exit_key key;

	(void)state;
	for (i = 0; i < MAX_KEYS; i++) {
		stream_key(i, &key);
		if (set_index(a, &key))
			continue;
		set = set_index(b, &key);
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
	struct dmp_monitor *m = new_table(DMP_MONITOR_SETS, stream_seed());
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
			check(index_of(&row[j].key) / s.n == phase,
			      "phase %u: key %u is still in the top", phase,
			      index_of(&row[j].key));
	}
	stream_end(&s);
	free(m);
	s.period = 2 * DMP_MONITOR_EPOCH + 777;
	run_new("shifting 400", &s, 1200000, DMP_MONITOR_SETS);
}

/* hits counts from the latest admission, exactly. */
static void test_hits_since_admission(void **state)
{
	struct stream s = { .kind = STREAM_ZIPF, .n = 600, .halves = 2 };
	struct dmp_monitor *m = new_table(2, stream_seed());
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
		m[v] = new_table(16, stream_seed() + v);
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
		index = index_of(&row[i].key);
		assert_true(!i || row[i - 1].weight >= row[i].weight);
		for (v = i + 1; v < TOP; v++)
			assert_true(index != index_of(&row[v].key));
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

/*
 * ---- Edges ----
 */

static void test_init_refuses(void **state)
{
	static const unsigned int bad[] = { 0, 3, 100, 257, 512, UINT_MAX };
	size_t need = dmp_monitor_bytes(4);
	char *mem = aligned_alloc(DMP_CACHE_LINE, need + DMP_CACHE_LINE);
	unsigned int i;

	(void)state;
	assert_non_null(mem);
	for (i = 0; i < DMP_ARRAY_SIZE(bad); i++) {
		assert_int_equal(dmp_monitor_bytes(bad[i]), 0);
		assert_int_equal(dmp_monitor_init(mem, need, bad[i], 1),
				 DMP_MONITOR_BAD_SETS);
	}
	assert_int_equal(dmp_monitor_init(mem + 8, need, 4, 1),
			 DMP_MONITOR_BAD_ALIGN);
	assert_int_equal(dmp_monitor_init(mem, need - 1, 4, 1),
			 DMP_MONITOR_TOO_SMALL);
	assert_int_equal(dmp_monitor_init(mem, need, 4, 1), DMP_MONITOR_OK);
	assert_true(dmp_monitor_bytes(DMP_MONITOR_SETS) <= 65536);
	printf("  default table: %zu bytes\n", dmp_monitor_bytes(DMP_MONITOR_SETS));
	free(mem);
}

/* Events at 16, 32, ...; CAPTURE until the bytes are there. */
static void test_events(void **state)
{
	struct dmp_monitor *m = new_table(1, stream_seed());
	static const u8 bytes[DMP_INSN_MAX] = { 0x0f, 0x30, 0xc3 };
	enum dmp_monitor_event event;
	struct dmp_monitor_row row;
	unsigned int i, slot = 0;

	(void)state;
	for (i = 1; i <= 4096; i++) {
		bool due = i >= DMP_MONITOR_CAPTURE && !(i & (i - 1));

		event = charge(m, 0x1000);
		assert_int_equal(event, !due ? DMP_EVENT_NONE :
				 i <= 64 ? DMP_EVENT_CAPTURE : DMP_EVENT_HOT);
		if (!due)
			continue;
		slot = dmp_monitor_event_slot(m);
		if (i != 64)
			continue;
		dmp_monitor_set_bytes(m, slot, bytes, 0);
		dmp_monitor_set_bytes(m, slot, bytes, DMP_INSN_MAX + 1);
		dmp_monitor_set_bytes(m, slot + 1, bytes, 3);
		dmp_monitor_set_bytes(m, 1u << 30, bytes, 3);
		assert_int_equal(dmp_monitor_read(m, slot, &row), DMP_READ_ROW);
		assert_int_equal(row.len, 0);
		dmp_monitor_set_bytes(m, slot, bytes, 3);
	}
	assert_int_equal(dmp_monitor_read(m, slot, &row), DMP_READ_ROW);
	assert_int_equal(row.len, 3);
	assert_memory_equal(row.bytes, bytes, DMP_INSN_MAX);
	assert_true(row.hits == 4096);

	/* A key that takes the slot over does not inherit the bytes. */
	for (i = 0; i < 10000; i++)
		charge(m, 0x2000 + i);
	for (i = 0; i < dmp_monitor_slots(m); i++) {
		assert_int_equal(dmp_monitor_read(m, i, &row), DMP_READ_ROW);
		assert_int_equal(row.len, row.key.rip == 0x1000 ? 3 : 0);
	}
	free(m);
}

static struct dmp_monitor_row row_of(const struct dmp_monitor *m, u64 rip)
{
	struct dmp_exit_key key = key_at(rip);
	struct dmp_monitor_row row;
	u64 bound;

	assert_int_equal(dmp_monitor_find(m, &key, &row, &bound), DMP_READ_ROW);
	return row;
}

/* Every way of the hit path and a shared RIP; all fields come back. */
static void test_keys(void **state)
{
	struct dmp_monitor *m = new_table(1, stream_seed());
	struct dmp_exit_key key[DMP_MONITOR_WAYS];
	struct dmp_monitor_row row;
	unsigned int i, j;
	u64 bound;

	(void)state;
	for (i = 0; i < DMP_MONITOR_WAYS; i++)
		key[i] = (struct dmp_exit_key) {
			.rip = i < 4 ? 0 : i, .arg = i & 1 ? UINT_MAX : 0,
			.code = i & 2 ? UINT_MAX : 0, .cpl = i & 3,
			.kind = i & 4 ? DMP_KIND_COUNT - 1 : 0,
		};
	for (j = 0; j < 100; j++)
		for (i = 0; i < DMP_MONITOR_WAYS; i++)
			dmp_monitor_charge(m, &key[i]);
	for (i = 0; i < DMP_MONITOR_WAYS; i++) {
		assert_int_equal(dmp_monitor_find(m, &key[i], &row, &bound),
				 DMP_READ_ROW);
		assert_true(same_key(&row.key, &key[i]));
		assert_true(row.hits == 100 && row.weight == 100);
		assert_true(row.low == 99 && row.high == 101);
		assert_int_equal(row.flags, DMP_ENTRY_EXACT);
	}
	assert_true(dmp_monitor_evictions(m) == 0);
	for (i = 0; i < DMP_TALLIES; i++)
		if (dmp_tally_code(i) != DMP_CODE_OTHER)
			assert_int_equal(dmp_tally_of(dmp_tally_code(i)), i);
	free(m);
}

/* hits past 2^31, where goals go on in equal steps, and at its maximum. */
static void test_hits_saturate(void **state)
{
	struct dmp_monitor *m = new_table(1, stream_seed());
	struct dmp_monitor_set *set = m->set;
	unsigned int i;
	u64 goal = DMP_MONITOR_CAPTURE;

	(void)state;
	charge(m, 7);
	for (i = 0; i < 40; i++) {
		set->left[0] = 1;
		assert_true(row_of(m, 7).hits == goal - 1);
		assert_int_equal(charge(m, 7), DMP_EVENT_CAPTURE);
		assert_true(row_of(m, 7).hits == goal);
		goal += goal < 1ull << 31 ? goal : 1ull << 31;
	}
	set->goal[0] = 65535;
	set->left[0] = 3;
	assert_true(row_of(m, 7).hits == DMP_MONITOR_HITS_MAX - 3);
	assert_int_equal(row_of(m, 7).flags, DMP_ENTRY_EXACT);
	for (i = 0; i < 10; i++)
		assert_int_equal(charge(m, 7), DMP_EVENT_NONE);
	assert_true(row_of(m, 7).hits == DMP_MONITOR_HITS_MAX - 1);
	assert_int_equal(row_of(m, 7).flags, 0);
	free(m);
}

/* The heaviest a key can be: it has every exit. */
static void test_weight_limit(void **state)
{
	struct dmp_monitor *m = new_table(1, stream_seed());
	u64 weight, most = 0, i;

	(void)state;
	for (i = 0; i < 20ull * DMP_MONITOR_EPOCH; i++) {
		charge(m, 7);
		if ((i + 2) % DMP_MONITOR_EPOCH)
			continue;
		weight = row_of(m, 7).weight;
		if (weight > most)
			most = weight;
	}
	assert_true(most > 2 * DMP_MONITOR_EPOCH - 8);
	assert_true(most <= 2 * DMP_MONITOR_EPOCH);
	assert_true(row_of(m, 7).hits == i);
	free(m);
}

/* Jump to the last charges before epoch number @epoch begins. */
static void clock_to(struct dmp_monitor *m, u64 epoch, u64 before)
{
	unsigned int i;
	u64 total = (epoch << DMP_MONITOR_EPOCH_SHIFT) - before;

	m->total = total;
	for (i = 0; i < m->nsets; i++)
		m->set[i].epoch = total >> DMP_MONITOR_EPOCH_SHIFT;
}

/* Epoch numbers where 16, 31, 32 bits run out, and where total does. */
static void test_epoch_wrap(void **state)
{
	static const u64 at[] = {
		1ull << 16, 1ull << 31, 1ull << 32, 1ull << 47,
	};
	struct dmp_monitor *m = new_table(4, stream_seed());
	unsigned int i, j;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(at); i++) {
		dmp_monitor_reset(m);
		clock_to(m, at[i], 1000);
		for (j = 0; j < 1000; j++)
			charge(m, 7);
		assert_true(row_of(m, 7).weight == 500);
		charge(m, 7);
		assert_true(row_of(m, 7).weight == 501);
		assert_true(row_of(m, 7).hits == 1001);
	}
	/* total itself, after 2^64 charges: old weights go, nothing else. */
	dmp_monitor_reset(m);
	clock_to(m, 1ull << 48, 1000);
	for (j = 0; j < 1100; j++)
		charge(m, 7);
	assert_true(dmp_monitor_total(m) == 100);
	assert_true(row_of(m, 7).weight <= 1100);
	assert_true(row_of(m, 7).hits == 1100);
	free(m);
}

/* A set that nobody touches for 31, 32, 64, 65, 200 epochs. */
static void test_idle_set(void **state)
{
	static const unsigned int idle[] = { 1, 9, 10, 31, 32, 33, 63, 64, 65, 200 };
	struct dmp_monitor *m = new_table(4, stream_seed());
	unsigned int i, j;
	u64 want;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(idle); i++) {
		dmp_monitor_reset(m);
		for (j = 0; j < 1023; j++)
			charge(m, 7);
		m->total += (u64)idle[i] << DMP_MONITOR_EPOCH_SHIFT;
		want = idle[i] < 10 ? 1023 >> idle[i] : 0;
		assert_true(row_of(m, 7).weight == want);
		charge(m, 7);
		assert_true(row_of(m, 7).weight == want + 1);
		assert_true(row_of(m, 7).hits == 1024);
	}
	free(m);
}

static void test_reset(void **state)
{
	struct stream s = { .kind = STREAM_ZIPF, .n = 9000, .halves = 2 };
	struct dmp_monitor *m = new_table(DMP_MONITOR_SETS, stream_seed());
	struct dmp_monitor_row row;
	unsigned int i;
	u64 bound;

	(void)state;
	run_stream("before reset", &s, 200000, m, stream_seed());
	dmp_monitor_reset(m);
	assert_true(dmp_monitor_total(m) == 0 && dmp_monitor_evictions(m) == 0);
	assert_true(dmp_monitor_unlisted_bound(m) == 0);
	for (i = 0; i <= dmp_monitor_slots(m); i++)
		assert_int_equal(dmp_monitor_read(m, i, &row), DMP_READ_EMPTY);
	assert_int_equal(dmp_monitor_find(m, &(struct dmp_exit_key) { 0 }, &row,
					  &bound), DMP_READ_EMPTY);
	assert_true(bound == 0);
	run_stream("after reset", &s, 700000, m, stream_seed());
	free(m);
}

/*
 * ---- A reader while the vCPU charges ----
 */

struct reading {
	struct dmp_monitor *m;
	int stop;
	u64 rows, busy, bytes, mixed;
};

/* All that a row has follows from its RIP. */
static struct dmp_exit_key tied_key(u64 rip)
{
	return (struct dmp_exit_key) {
		.rip = rip, .code = rip % 160, .arg = rip * 2654435761u,
		.cpl = rip % 2 * 3, .kind = rip % DMP_KIND_COUNT,
	};
}

static void tied_bytes(u64 rip, u8 *bytes)
{
	unsigned int i;

	for (i = 0; i < DMP_INSN_MAX; i++)
		bytes[i] = rip * (i + 3) >> 2;
}

static bool is_mixed(const struct dmp_monitor_row *row)
{
	struct dmp_exit_key key = tied_key(row->key.rip);
	u8 bytes[DMP_INSN_MAX];

	tied_bytes(key.rip, bytes);
	if (!same_key(&key, &row->key) || !row->hits || row->low > row->high)
		return true;
	return row->len && (row->hits < DMP_MONITOR_CAPTURE ||
			    row->len != DMP_INSN_MAX ||
			    memcmp(bytes, row->bytes, DMP_INSN_MAX));
}

static void *read_all_the_time(void *arg)
{
	struct reading *r = arg;
	struct dmp_monitor_row row;
	unsigned int i;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < dmp_monitor_slots(r->m); i++) {
			switch (dmp_monitor_read(r->m, i, &row)) {
			case DMP_READ_ROW:
				r->rows++;
				r->bytes += row.len != 0;
				r->mixed += is_mixed(&row);
				break;
			case DMP_READ_BUSY:
				r->busy++;
				break;
			case DMP_READ_EMPTY:
				break;
			}
		}
		dmp_monitor_unlisted_bound(r->m);
	}
	return NULL;
}

static void test_reader_races(void **state)
{
	struct reading r = { .m = new_table(2, stream_seed()) };
	u64 rng = stream_seed(), i, rip;
	u8 bytes[DMP_INSN_MAX];
	struct dmp_exit_key key;
	pthread_t reader;

	(void)state;
	assert_int_equal(pthread_create(&reader, NULL, read_all_the_time, &r), 0);
	for (i = 0; i < 4000000; i++) {
		rip = stream_random(&rng) % (i % 4 ? 12 : 4000);
		rip += i / 100000 * 5000;
		key = tied_key(rip);
		if (dmp_monitor_charge(r.m, &key) == DMP_EVENT_CAPTURE) {
			tied_bytes(rip, bytes);
			dmp_monitor_set_bytes(r.m, dmp_monitor_event_slot(r.m),
					      bytes, DMP_INSN_MAX);
		}
		if (i % 500000 == 499999)
			dmp_monitor_reset(r.m);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(reader, NULL), 0);
	printf("  reader: %llu rows, %llu with bytes, %llu busy, %llu mixed\n",
	       r.rows, r.bytes, r.busy, r.mixed);
	check(r.mixed == 0, "a row of two keys");
	check(r.rows > 1000 && r.bytes, "the reader saw nothing");
	free(r.m);
}

/* A writer preempted in the middle: the reader says so and goes on. */
static void test_reader_busy(void **state)
{
	struct dmp_monitor *m = new_table(1, stream_seed());
	struct dmp_exit_key key = key_at(7);
	struct dmp_monitor_row row;
	u64 bound;

	(void)state;
	charge(m, 7);
	m->set->seq++;
	assert_int_equal(dmp_monitor_read(m, 0, &row), DMP_READ_BUSY);
	assert_int_equal(dmp_monitor_find(m, &key, &row, &bound), DMP_READ_BUSY);
	assert_true(dmp_monitor_unlisted_bound(m) > DMP_MONITOR_EPOCH / 4);
	m->set->seq++;
	assert_int_equal(dmp_monitor_read(m, 0, &row), DMP_READ_ROW);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_hits_saturate),
		cmocka_unit_test(test_weight_limit),
		cmocka_unit_test(test_epoch_wrap),
		cmocka_unit_test(test_idle_set),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_hits_since_admission),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_cyclic),
		cmocka_unit_test(test_buried),
		cmocka_unit_test(test_one_set),
		cmocka_unit_test(test_seed_spreads),
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_reader_races),
		cmocka_unit_test(test_reader_busy),
	};

	stream_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
