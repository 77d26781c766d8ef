// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every form of instruction that stubs serve, against the original on an
 * emulated CPU. One test for each form and operand size.
 *
 * DMP_SEED	seed (printed)
 * CASES	executions for each form, 2500 if unset
 * FORM		only the forms whose names begin so
 * FIRST	1: end at the first failure
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "case.h"

#define DEFAULT_CASES		2500
#define CASES_A_PROGRAM		25

static struct world *world;
static u64 seed;

static void fail_case(const struct program *p, u64 rng, const char *why)
{
	char hex[3 * DMP_SPLICE_BYTES_MAX + 1];
	u32 i;

	for (i = 0; i < p->plan.len; i++)
		sprintf(hex + 3 * i, "%02x ", p->bytes[i]);
	print_error("ERROR: DMP_SEED=%llu FORM=%s (state %llu): %sat %llx, stub %llx: %s\n",
		    seed, p->form->name, rng, hex, p->site, p->stub.gva, why);
	if (number_of("FIRST", 0))
		exit(1);
	fail();
}

static void print_tally(const struct tally *t)
{
	static const char *const names[PATHS] = {
		"clear", "new", "protect", "other", "miss",
	};
	int i;

	print_message("  %llu cases: %llu hits, %llu slow, %llu faults; %llu left (%llu/%llu/%llu, %llu counted), %llu rows\n ",
		      t->cases, t->hits, t->slow, t->faults, t->interrupted,
		      t->phases[0], t->phases[1], t->phases[2], t->counted,
		      t->rows);
	for (i = 0; i < PATHS; i++)
		if (t->paths[i])
			print_message(" %s %u-%u", names[i], t->least[i],
				      t->most[i]);
	print_message("\n");
}

/* Instructions that a stub may cost, from the splice to the way back. */
static void check_budget(const struct form *form, const struct tally *t)
{
	u32 part = form->size == 8 ? 0 : 3;	/* to find the entry's word */

	assert_true(t->most[PATH_CLEAR] <= 44 + part);
	assert_true(t->most[PATH_NEW] <= 54 + part);
	assert_true(t->most[PATH_PROTECT] <= 57 + part);
	assert_true(t->most[PATH_MISS] <= 40);
}

static void test_form(void **state)
{
	const struct form *form = *state;
	u64 cases = number_of("CASES", DEFAULT_CASES), rng, at;
	struct tally tally = { 0 };
	struct program p;
	const char *why;
	u64 i;

	rng = seed + (u64)(form - forms) * 1000003;
	for (i = 0; i < cases; i++) {
		at = rng;
		if (i % CASES_A_PROGRAM == 0) {
			while (!program_make(&p, form, world, &rng))
				;
			case_fill(world, &rng);
		}
		why = case_run(world, &p, &rng, &tally);
		if (why)
			fail_case(&p, at, why);
	}
	print_tally(&tally);
	check_budget(form, &tally);
	assert_true(tally.hits > cases / 5);
	assert_true(tally.misses > cases / 10);
	assert_true(tally.interrupted > cases / 10);
}

int main(void)
{
	const char *only = getenv("FORM");
	struct CMUnitTest *tests = calloc(forms_count, sizeof(*tests));
	unsigned int i, n = 0;
	int failed;

	seed = number_of("DMP_SEED", (u64)time(NULL));
	printf("DMP_SEED=%llu\n", seed);
	world = world_make();
	for (i = 0; i < forms_count; i++)
		if (!only || !strncmp(forms[i].name, only, strlen(only)))
			tests[n++] = (struct CMUnitTest){
				.name = forms[i].name,
				.test_func = test_form,
				.initial_state = (void *)&forms[i],
			};
	failed = _cmocka_run_group_tests("stub", tests, n, NULL, NULL);
	world_free(world);
	free(tests);
	return failed;
}
