// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engage and disengage state machine: each transition as a row, then its
 * times, then random histories against a model.
 * SEED=N replays the histories, ROUNDS=N sets their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "watch/policy.h"

#define SECOND		1000000000ull
#define NOW		(100 * SECOND)
#define WINDOW		DMP_POLICY_WINDOW_NS
#define BACKOFF		DMP_POLICY_BACKOFF_NS
/* Faults in one window that are just enough. */
#define ENOUGH		(DMP_POLICY_RATE * WINDOW / SECOND)

enum event {
	START, STOP, TICK_FEW, TICK_ENOUGH, TICK_EARLY, FORCE, HOLD, ENGAGE, REFUSE,
	DISENGAGE, EVENTS
};

static const char * const event_name[EVENTS] = {
	"start", "stop", "tick(few)", "tick(enough)", "tick(early)", "force",
	"hold", "engaged", "refused", "disengaged",
};

#define OFF	DMP_STATE_OFF
#define WATCH	DMP_STATE_WATCHING
#define PREP	DMP_STATE_PREPARING
#define ENGAGED	DMP_STATE_ENGAGED
#define BACK	DMP_STATE_BACKED_OFF

/* Does @event at @now; what it answers. A window is open since NOW - WINDOW. */
static bool apply(struct dmp_policy *policy, enum event event, u64 now)
{
	switch (event) {
	case START:
		dmp_policy_start(policy);
		break;
	case STOP:
		dmp_policy_stop(policy);
		break;
	case TICK_FEW:
		return dmp_policy_tick(policy, now, ENOUGH - 1);
	case TICK_ENOUGH:
		return dmp_policy_tick(policy, now, ENOUGH);
	case TICK_EARLY:
		return dmp_policy_tick(policy, now - 1, 100 * ENOUGH);
	case FORCE:
		return dmp_policy_force(policy);
	case HOLD:
		return dmp_policy_hold(policy, now);
	case ENGAGE:
		dmp_policy_engaged(policy, now);
		break;
	case REFUSE:
		dmp_policy_refused(policy, now, DMP_REASON_SMM, 0);
		break;
	case DISENGAGE:
		dmp_policy_disengaged(policy, now, DMP_REASON_SMM, 0);
		break;
	default:
		fail();
	}
	return false;
}

static void test_transitions(void **state)
{
	static const struct {
		enum dmp_state from;
		enum event event;
		enum dmp_state to;
		bool answer;
	} row[] = {
		{ OFF, START, WATCH, false },
		{ OFF, STOP, OFF, false },
		{ OFF, TICK_FEW, OFF, false },
		{ OFF, TICK_ENOUGH, OFF, false },
		{ OFF, TICK_EARLY, OFF, false },
		{ OFF, FORCE, OFF, false },
		{ OFF, HOLD, OFF, true },
		/* Refused or ended before the host's worker got to it. */
		{ OFF, REFUSE, BACK, false },
		{ WATCH, START, WATCH, false },
		{ WATCH, STOP, OFF, false },
		{ WATCH, TICK_FEW, WATCH, false },
		{ WATCH, TICK_ENOUGH, PREP, true },
		{ WATCH, TICK_EARLY, WATCH, false },
		{ WATCH, FORCE, PREP, true },
		{ WATCH, HOLD, BACK, true },
		{ PREP, START, PREP, false },
		{ PREP, STOP, PREP, false },
		{ PREP, TICK_FEW, PREP, false },
		{ PREP, TICK_ENOUGH, PREP, false },
		{ PREP, TICK_EARLY, PREP, false },
		{ PREP, FORCE, PREP, false },
		{ PREP, HOLD, PREP, false },
		{ PREP, ENGAGE, ENGAGED, false },
		{ PREP, REFUSE, BACK, false },
		{ ENGAGED, START, ENGAGED, false },
		{ ENGAGED, STOP, ENGAGED, false },
		{ ENGAGED, TICK_FEW, ENGAGED, false },
		{ ENGAGED, TICK_ENOUGH, ENGAGED, false },
		{ ENGAGED, TICK_EARLY, ENGAGED, false },
		{ ENGAGED, FORCE, ENGAGED, false },
		{ ENGAGED, HOLD, ENGAGED, false },
		{ ENGAGED, DISENGAGE, BACK, false },
		{ BACK, START, BACK, false },
		{ BACK, STOP, OFF, false },
		/* not_before is NOW: watching again, from a new window on */
		{ BACK, TICK_FEW, WATCH, false },
		{ BACK, TICK_ENOUGH, WATCH, false },
		{ BACK, TICK_EARLY, BACK, false },
		{ BACK, FORCE, PREP, true },
		{ BACK, HOLD, BACK, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(row); i++) {
		struct dmp_policy policy = {
			.state = row[i].from,
			.window_start = NOW - WINDOW,
			.not_before = NOW,
		};
		bool answer = apply(&policy, row[i].event, NOW);

		if (policy.state == row[i].to && answer == row[i].answer)
			continue;
		fail_msg("%s, %s: %s and %d, not %s and %d",
			 dmp_state_name(row[i].from), event_name[row[i].event],
			 dmp_state_name(policy.state), answer,
			 dmp_state_name(row[i].to), row[i].answer);
	}
}

/* What each call may change besides the state. */
static void test_effects(void **state)
{
	struct dmp_policy policy = { .state = PREP };

	(void)state;
	dmp_policy_refused(&policy, NOW, DMP_REASON_BROKEN, 3);
	assert_int_equal(policy.reason, DMP_REASON_BROKEN);
	assert_int_equal(policy.detail, 3);
	assert_true(policy.refusals == 1 && policy.disengagements == 0);
	assert_true(policy.by_reason[DMP_REASON_BROKEN] == 1);
	assert_true(dmp_policy_force(&policy));
	dmp_policy_engaged(&policy, NOW + 1);
	assert_true(policy.engagements == 1 && policy.since == NOW + 1);
	/* The last reason stays to be seen. */
	assert_int_equal(policy.reason, DMP_REASON_BROKEN);
	dmp_policy_disengaged(&policy, NOW + 2, DMP_REASON_REQUEST, 0);
	assert_int_equal(policy.reason, DMP_REASON_REQUEST);
	assert_int_equal(policy.detail, 0);
	assert_true(policy.refusals == 1 && policy.disengagements == 1);
	assert_true(policy.by_reason[DMP_REASON_REQUEST] == 1);
	/* Starting anew forgives. */
	assert_true(policy.backoff == 2);
	dmp_policy_stop(&policy);
	dmp_policy_start(&policy);
	assert_true(policy.backoff == 0 && policy.state == WATCH);
}

/* The first tick opens the window: faults before it do not count. */
static void test_rate(void **state)
{
	static const struct {
		u64 elapsed, faults;
		bool answer;
	} row[] = {
		{ 0, 1000000, false },
		{ WINDOW - 1, 1000000, false },
		{ WINDOW, ENOUGH, true },
		{ WINDOW, ENOUGH - 1, false },
		/* Rates are exact: one nanosecond more and it is too slow. */
		{ WINDOW + 1, ENOUGH, false },
		{ WINDOW + 1, ENOUGH + 1, true },
		{ SECOND, DMP_POLICY_RATE, true },
		{ SECOND, DMP_POLICY_RATE - 1, false },
		{ 3600 * SECOND, 3600ull * DMP_POLICY_RATE, true },
		{ 3600 * SECOND, 3600ull * DMP_POLICY_RATE - 1, false },
		{ WINDOW, 0, false },
		/* Both products stay below 2^64 for a vCPU halted this long. */
		{ 365ull * 86400 * SECOND, 1000000, false },
		{ WINDOW, 0xffffffffull, true },
	};
	const u64 before = 12345;
	size_t i;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(row); i++) {
		struct dmp_policy policy = { 0 };

		dmp_policy_start(&policy);
		assert_false(dmp_policy_tick(&policy, NOW, before));
		if (dmp_policy_tick(&policy, NOW + row[i].elapsed,
				    before + row[i].faults) != row[i].answer)
			fail_msg("%llu faults in %llu ns: not %d",
				 (unsigned long long)row[i].faults,
				 (unsigned long long)row[i].elapsed, row[i].answer);
	}
}

/* A slow window is followed by a new one: old idleness dilutes nothing. */
static void test_windows(void **state)
{
	struct dmp_policy policy = { 0 };

	(void)state;
	dmp_policy_start(&policy);
	assert_false(dmp_policy_tick(&policy, NOW, 0));
	assert_false(dmp_policy_tick(&policy, NOW + 3600 * SECOND, 10));
	assert_false(dmp_policy_tick(&policy, NOW + 3600 * SECOND + WINDOW - 1,
				     10 + ENOUGH));
	assert_true(dmp_policy_tick(&policy, NOW + 3600 * SECOND + WINDOW,
				    10 + ENOUGH));
}

static u64 backoff_ns(unsigned int doublings)
{
	u64 ns = BACKOFF;

	while (doublings--)
		ns *= 2;
	return ns;
}

static void test_doubling(void **state)
{
	struct dmp_policy policy = { .state = WATCH };
	unsigned int i, doublings;

	(void)state;
	for (i = 0; i < 100; i++) {
		doublings = i < DMP_POLICY_BACKOFF_MAX ? i : DMP_POLICY_BACKOFF_MAX;
		assert_true(dmp_policy_force(&policy));
		dmp_policy_refused(&policy, NOW, DMP_REASON_PIN, 0);
		assert_true(policy.not_before == NOW + backoff_ns(doublings));
		/* Faults do not end it, and time does to the nanosecond. */
		dmp_policy_tick(&policy, policy.not_before - 1, 1000000);
		assert_int_equal(policy.state, BACK);
		dmp_policy_tick(&policy, policy.not_before, 1000000);
		assert_int_equal(policy.state, WATCH);
	}
	assert_true(policy.by_reason[DMP_REASON_PIN] == 100);
	/* 102.4 s at most, as policy.h has it. */
	assert_true(backoff_ns(DMP_POLICY_BACKOFF_MAX) == 1024 * SECOND / 10);
}

/* Held back is until the later of two times; why it was backed off stays to be seen. */
static void test_hold(void **state)
{
	struct dmp_policy policy = { .state = PREP };

	(void)state;
	dmp_policy_refused(&policy, NOW, DMP_REASON_PIN, 0);
	assert_true(policy.not_before == NOW + BACKOFF);
	assert_true(dmp_policy_hold(&policy, NOW + BACKOFF - 1));
	assert_true(policy.not_before == NOW + BACKOFF);
	assert_true(dmp_policy_hold(&policy, NOW + SECOND));
	assert_true(policy.not_before == NOW + SECOND);
	assert_true(policy.reason == DMP_REASON_PIN && policy.backoff == 1);
	dmp_policy_tick(&policy, NOW + SECOND - 1, 0);
	assert_int_equal(policy.state, BACK);
	dmp_policy_tick(&policy, NOW + SECOND, 0);
	assert_int_equal(policy.state, WATCH);
	/* Neither a vCPU on machine tables nor the host's worker is stopped by it. */
	policy = (struct dmp_policy){ .state = ENGAGED, .not_before = NOW };
	assert_false(dmp_policy_hold(&policy, NOW + SECOND));
	assert_true(policy.state == ENGAGED && policy.not_before == NOW);
}

static void test_forgiving(void **state)
{
	static const struct {
		u64 engaged;
		unsigned int doublings;	/* used by the end of it */
	} row[] = {
		{ 0, 5 }, { DMP_POLICY_FORGIVE_NS - 1, 5 },
		{ DMP_POLICY_FORGIVE_NS, 0 }, { 3600 * SECOND, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(row); i++) {
		struct dmp_policy policy = { .state = PREP, .backoff = 5 };
		u64 end = NOW + row[i].engaged;

		dmp_policy_engaged(&policy, NOW);
		dmp_policy_disengaged(&policy, end, DMP_REASON_MEMSLOTS, 0);
		assert_true(policy.not_before ==
			    end + backoff_ns(row[i].doublings));
		assert_true(policy.backoff == row[i].doublings + 1);
	}
}

/* A refusal is not forgiven by how long ago the last engagement began. */
static void test_refusals_add_up(void **state)
{
	struct dmp_policy policy = { .state = PREP };

	(void)state;
	dmp_policy_engaged(&policy, NOW);
	dmp_policy_disengaged(&policy, NOW + 1, DMP_REASON_MEMSLOTS, 0);
	assert_true(dmp_policy_force(&policy));
	dmp_policy_refused(&policy, NOW + 3600 * SECOND, DMP_REASON_VCPUS, 0);
	assert_true(policy.not_before == NOW + 3600 * SECOND + 2 * BACKOFF);
}

static void test_names(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < DMP_REASONS; i++) {
		assert_non_null(dmp_reason_name(i));
		for (k = 0; k < i; k++)
			assert_string_not_equal(dmp_reason_name(i),
						dmp_reason_name(k));
	}
	for (i = 0; i < DMP_STATES; i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(dmp_state_name(i),
						dmp_state_name(k));
	assert_string_equal(dmp_reason_name(DMP_REASONS), "unknown");
	assert_string_equal(dmp_state_name(DMP_STATES), "unknown");
}

/*
 * ---- Random histories ----
 */

static u64 rng;

/* xorshift64*, Vigna 2016 */
static u64 rnd(u64 below)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (rng * 0x2545f4914f6cdd1dull >> 16) % below;
}

struct history {
	struct dmp_policy policy;
	u64 now, faults;
	u64 engagements, refusals, disengagements;
	u64 reasons;			/* sum over by_reason */
};

/* From a nanosecond to minutes, often just at an edge. */
static u64 some_time(const struct dmp_policy *policy, u64 now)
{
	switch (rnd(6)) {
	case 0:
		return rnd(3);
	case 1:
		return WINDOW - 1 + rnd(3);
	case 2:
		return policy->not_before > now ? policy->not_before - now - rnd(2) : 0;
	case 3:
		return DMP_POLICY_FORGIVE_NS - 1 + rnd(3);
	case 4:
		return rnd(200 * SECOND);
	default:
		return rnd(WINDOW);
	}
}

/* What a host may do in this state, and what must come of it. */
static void step(struct history *h)
{
	struct dmp_policy *policy = &h->policy;
	enum dmp_state was = policy->state;
	u32 backoff = policy->backoff;
	enum dmp_reason why = 1 + rnd(DMP_REASONS - 1);
	bool go;

	h->now += some_time(policy, h->now);
	h->faults += rnd(2) ? rnd(3 * ENOUGH) : 0;
	switch (rnd(16)) {
	case 0:
		dmp_policy_start(policy);
		assert_true(policy->state == (was == OFF ? WATCH : was));
		return;
	case 1:
		dmp_policy_stop(policy);
		assert_true(policy->state ==
			    (was == PREP || was == ENGAGED ? was : OFF));
		return;
	case 2:
		go = dmp_policy_force(policy);
		assert_true(go == (was == WATCH || was == BACK));
		assert_true(policy->state == (go ? PREP : was));
		return;
	case 3 ... 6:
		if (was == PREP && rnd(2)) {
			dmp_policy_engaged(policy, h->now);
			h->engagements++;
			assert_true(policy->state == ENGAGED);
			return;
		}
		if (was == PREP) {
			dmp_policy_refused(policy, h->now, why, 0);
			h->refusals++;
		} else if (was == ENGAGED) {
			if (h->now - policy->since >= DMP_POLICY_FORGIVE_NS)
				backoff = 0;
			dmp_policy_disengaged(policy, h->now, why, 0);
			h->disengagements++;
		} else {
			return;
		}
		h->reasons++;
		assert_true(policy->state == BACK && policy->reason == why);
		assert_true(policy->not_before == h->now + backoff_ns(backoff));
		return;
	default:
		go = dmp_policy_tick(policy, h->now, h->faults);
		/* Preparing only after watching, and never out of the blue. */
		assert_true(go == (policy->state == PREP && was != PREP));
		assert_true(!go || was == WATCH);
		if (was == BACK)
			assert_true(policy->state ==
				    (h->now < policy->not_before ? BACK : WATCH));
		else if (was != WATCH)
			assert_true(policy->state == was);
	}
}

static void check(const struct history *h)
{
	const struct dmp_policy *policy = &h->policy;
	u64 reasons = 0;
	unsigned int i;

	for (i = 0; i < DMP_REASONS; i++)
		reasons += policy->by_reason[i];
	assert_true(policy->state < DMP_STATES);
	assert_true(policy->reason < DMP_REASONS);
	assert_true(policy->backoff <= DMP_POLICY_BACKOFF_MAX);
	assert_true(policy->engagements == h->engagements);
	assert_true(policy->refusals == h->refusals);
	assert_true(policy->disengagements == h->disengagements);
	assert_true(reasons == h->reasons);
	assert_true(policy->by_reason[DMP_REASON_NONE] == 0);
	/* Engaged is exactly: one more began than ended. */
	assert_true(policy->engagements - policy->disengagements ==
		    (policy->state == ENGAGED));
}

static void test_histories(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	u64 first = seed ? strtoull(seed, NULL, 0) : 1, i;
	u64 n = rounds ? strtoull(rounds, NULL, 0) : 2000;
	u64 engaged = 0, backed_off = 0;
	int steps;

	(void)state;
	for (i = first; i < first + n; i++) {
		struct history h = { .now = NOW };

		rng = i * 0x9e3779b97f4a7c15ull | 1;
		/* A failure's replay is SEED of the last line, ROUNDS=1. */
		if (seed)
			printf("history: seed %llu\n", (unsigned long long)i);
		for (steps = 0; steps < 500; steps++) {
			step(&h);
			check(&h);
		}
		engaged += h.engagements;
		backed_off += h.reasons;
	}
	printf("%llu histories from seed %llu: %llu engagements, %llu back-offs\n",
	       (unsigned long long)n, (unsigned long long)first,
	       (unsigned long long)engaged, (unsigned long long)backed_off);
	assert_true(n < 100 || (engaged > n && backed_off > n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_effects),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_doubling),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_forgiving),
		cmocka_unit_test(test_refusals_add_up),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
