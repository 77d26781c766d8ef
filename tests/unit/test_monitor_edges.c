// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exit monitor where its counters end, and under a reader's eyes.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor_exact.h"

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
	struct dmp_monitor *m = monitor_new(1, stream_seed());
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
	struct dmp_monitor *m = monitor_new(1, stream_seed());
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
		assert_true(exact_same_key(&row.key, &key[i]));
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
	struct dmp_monitor *m = monitor_new(1, stream_seed());
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
	struct dmp_monitor *m = monitor_new(1, stream_seed());
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
	struct dmp_monitor *m = monitor_new(4, stream_seed());
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
	struct dmp_monitor *m = monitor_new(4, stream_seed());
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
	struct dmp_monitor *m = monitor_new(DMP_MONITOR_SETS, stream_seed());
	struct dmp_monitor_row row;
	unsigned int i;
	u64 bound;

	(void)state;
	exact_run_stream("before reset", &s, 200000, m, stream_seed());
	dmp_monitor_reset(m);
	assert_true(dmp_monitor_total(m) == 0 && dmp_monitor_evictions(m) == 0);
	assert_true(dmp_monitor_unlisted_bound(m) == 0);
	for (i = 0; i <= dmp_monitor_slots(m); i++)
		assert_int_equal(dmp_monitor_read(m, i, &row), DMP_READ_EMPTY);
	assert_int_equal(dmp_monitor_find(m, &(struct dmp_exit_key) { 0 }, &row,
					  &bound), DMP_READ_EMPTY);
	assert_true(bound == 0);
	exact_run_stream("after reset", &s, 700000, m, stream_seed());
	free(m);
}

/*
 * ---- A reader while the vCPU charges ----
 */

struct reading {
	struct dmp_monitor *m;
	int stop, enough;
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
	if (!exact_same_key(&key, &row->key) || !row->hits || row->low > row->high)
		return true;
	return row->len && (row->hits < DMP_MONITOR_CAPTURE ||
			    row->len != DMP_INSN_MAX ||
			    memcmp(bytes, row->bytes, DMP_INSN_MAX));
}

/* Charges: at the least; and at the most, waiting for a reader without a CPU. */
#define RACES		4000000ull
#define RACES_MOST	(100 * RACES)

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
		if (r->rows > 1000 && r->bytes)
			__atomic_store_n(&r->enough, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_reader_races(void **state)
{
	struct reading r = { .m = monitor_new(2, stream_seed()) };
	u64 rng = stream_seed(), i, rip;
	u8 bytes[DMP_INSN_MAX];
	struct dmp_exit_key key;
	pthread_t reader;

	(void)state;
	assert_int_equal(pthread_create(&reader, NULL, read_all_the_time, &r), 0);
	for (i = 0; i < RACES || (i < RACES_MOST &&
				  !__atomic_load_n(&r.enough, __ATOMIC_RELAXED)); i++) {
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
	check(r.enough, "the reader saw nothing");
	free(r.m);
}

/* A writer preempted in the middle: the reader says so and goes on. */
static void test_reader_busy(void **state)
{
	struct dmp_monitor *m = monitor_new(1, stream_seed());
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
		cmocka_unit_test(test_reader_races),
		cmocka_unit_test(test_reader_busy),
	};

	stream_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
