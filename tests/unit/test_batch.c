// SPDX-License-Identifier: GPL-2.0-only
/*
 * Charging many at once, and the batch in front of the monitor: nothing is
 * lost, nothing counted twice, and the table ends as if charged one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "watch/monitor.h"
#include "stream.h"

#define SETS	16

static struct dmp_monitor *new_table(u64 seed)
{
	size_t bytes = dmp_monitor_bytes(SETS);
	void *mem = aligned_alloc(DMP_CACHE_LINE,
				  (bytes + DMP_CACHE_LINE - 1) & ~63ul);

	assert_non_null(mem);
	assert_int_equal(dmp_monitor_init(mem, bytes, SETS, seed), DMP_MONITOR_OK);
	return mem;
}

/* Two tables that have been charged the same are the same, byte for byte. */
static void assert_same(const struct dmp_monitor *a, const struct dmp_monitor *b)
{
	struct dmp_monitor_row ra, rb;
	unsigned int slot;

	assert_int_equal(dmp_monitor_total(a), dmp_monitor_total(b));
	assert_int_equal(dmp_monitor_evictions(a), dmp_monitor_evictions(b));
	for (slot = 0; slot < dmp_monitor_slots(a); slot++) {
		memset(&ra, 0, sizeof(ra));
		memset(&rb, 0, sizeof(rb));
		assert_int_equal(dmp_monitor_read(a, slot, &ra),
				 dmp_monitor_read(b, slot, &rb));
		assert_int_equal(ra.key.rip, rb.key.rip);
		assert_int_equal(ra.weight, rb.weight);
		assert_int_equal(ra.low, rb.low);
		assert_int_equal(ra.hits, rb.hits);
		assert_int_equal(ra.flags, rb.flags);
	}
}

/* Across goals, epochs and evictions. */
static void test_many_is_many_times_one(void **state)
{
	u64 rng = stream_seed(), seed = rng;
	struct dmp_monitor *one = new_table(seed), *many = new_table(seed);
	enum dmp_monitor_event last, event;
	struct dmp_exit_key key;
	unsigned int i, n, k;

	(void)state;
	for (i = 0; i < 60000; i++) {
		stream_key(stream_random(&rng) % 300, &key);
		n = 1 + stream_random(&rng) % (i % 100 ? 24 : 5000);
		last = DMP_EVENT_NONE;
		for (k = 0; k < n; k++) {
			event = dmp_monitor_charge(one, &key);
			if (event != DMP_EVENT_NONE)
				last = event;
		}
		assert_int_equal(dmp_monitor_charge_many(many, &key, n), last);
	}
	assert_same(one, many);
	free(one);
	free(many);
}

static void charge_slot(struct dmp_monitor *m, struct dmp_batch_slot *slot)
{
	struct dmp_exit_key key = dmp_exit_key_of(slot->rip, slot->meta);

	if (slot->count)
		dmp_monitor_charge_many(m, &key, slot->count);
	slot->count = 0;
}

static void test_batch_keeps_count(void **state)
{
	u64 rng = stream_seed(), tally[64][DMP_KIND_COUNT] = { { 0 } }, n = 0;
	struct dmp_monitor *m = new_table(rng);
	struct dmp_batch batch = { 0 };
	struct dmp_batch_slot *slot;
	unsigned int i, code, kind, pending;
	struct dmp_exit_key key;

	(void)state;
	for (i = 0; i < 400000; i++) {
		/* Runs of few keys, as exits are. */
		stream_key((i >> 10) * 3 + stream_random(&rng) % 6, &key);
		key.code = stream_random(&rng) % 8 ? 0x4e : i % 64;
		key.kind = key.code == 0x4e ? 1 + i % 4 : 0;
		if (key.code < 64)
			tally[key.code][key.kind]++;
		if (!dmp_batch_add(&batch, key.rip, dmp_exit_meta(&key), &slot)) {
			charge_slot(m, slot);
			dmp_batch_take(slot, key.rip, dmp_exit_meta(&key));
		}
		n++;
		for (pending = 0, code = 0; i % 997 == 0 && code < DMP_BATCH_SLOTS; code++)
			pending += batch.slot[code].count;
		if (i % 997 == 0)
			assert_int_equal(dmp_monitor_total(m) + pending, n);
	}
	for (i = 0; i < DMP_BATCH_SLOTS; i++)
		charge_slot(m, &batch.slot[i]);
	assert_int_equal(dmp_monitor_total(m), n);
	for (code = 0; code < 64; code++)
		for (kind = 0; kind < DMP_KIND_COUNT; kind++)
			assert_int_equal(dmp_monitor_tally(m, dmp_tally_of(code), kind),
					 tally[code][kind]);
	free(m);
}

/* What is packed is unpacked. */
static void test_key_of(void **state)
{
	u64 rng = stream_seed();
	struct dmp_exit_key key, back;
	unsigned int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		key = (struct dmp_exit_key){
			.rip = stream_random(&rng),
			.code = stream_random(&rng) & 0x7fffff,
			.arg = stream_random(&rng),
			.cpl = i & 3,
			.kind = i / 4 % DMP_KIND_COUNT,
		};
		back = dmp_exit_key_of(key.rip, dmp_exit_meta(&key));
		assert_int_equal(back.rip, key.rip);
		assert_int_equal(back.code, key.code);
		assert_int_equal(back.arg, key.arg);
		assert_int_equal(back.cpl, key.cpl);
		assert_int_equal(back.kind, key.kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_is_many_times_one),
		cmocka_unit_test(test_batch_keeps_count),
		cmocka_unit_test(test_key_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
