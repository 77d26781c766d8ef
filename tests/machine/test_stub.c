// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every form of instruction that stubs serve, against the original on an
 * emulated CPU. One test for each form and operand size.
 *
 * DMP_SEED	seed (printed)
 * CASES	executions for each form, 2500 if unset
 * FORM		only the forms whose names begin so
 * PROGRAM	from this program on; with CASES=EACH, it alone
 * EACH		cases a program, 25 if unset; 100 when there are many
 * PART		i/n: only each nth form, from the ith on
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
/* Below, some kind of case may not have come up. */
#define MEANINGFUL		1000
#define MANY			100000
#define MANY_A_PROGRAM		100

static struct world *world;
static u64 seed;

/* A stream of numbers of its own for each program, so that it can be replayed. */
static u64 program_seed(const struct form *form, u64 program)
{
	u64 rng = seed + (u64)(form - forms) * 1000003 + (program << 32);

	return random64(&rng);
}

static void fail_case(const struct program *p, u64 program, const char *why)
{
	char hex[3 * DMP_SPLICE_BYTES_MAX + 1];
	u32 i;

	for (i = 0; i < p->plan.len; i++)
		sprintf(hex + 3 * i, "%02x ", p->bytes[i]);
	print_error("ERROR: DMP_SEED=%llu FORM=%s PROGRAM=%llu (see EACH): %sat %llx, stub %llx: %s\n",
		    seed, p->form->name, program, hex, p->site, p->stub.gva, why);
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

	print_message("  %llu cases: %llu hits, %llu slow (%llu done by the agent), %llu faults; %llu left (%llu/%llu/%llu, %llu counted, %llu in the agent), %llu rows\n ",
		      t->cases, t->hits, t->slow, t->agent_done, t->faults,
		      t->interrupted, t->phases[0], t->phases[1], t->phases[2],
		      t->counted, t->agent_left, t->rows);
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

	assert_true(t->paths[PATH_MISS]);
	assert_true(t->most[PATH_CLEAR] <= 44 + part);
	assert_true(t->most[PATH_NEW] <= 54 + part);
	assert_true(t->most[PATH_PROTECT] <= 57 + part);
	assert_true(t->most[PATH_MISS] <= 40);
}

static void make_program(struct program *p, const struct form *form, u64 nth,
			 u64 *rng)
{
	*rng = program_seed(form, nth);
	while (!program_make(p, form, nth % WISHES, world, rng))
		;
	case_fill(world, rng);
}

/* Every kind of case there can be, and left from wherever it often was. */
static void check_cover(const struct form *form, const struct tally *t)
{
	unsigned int i;

	for (i = 0; i < COVERS; i++)
		if (cover_applies(i, form) && !t->cover[i] &&
		    (t->cases >= MANY || !cover_is_rare(i)))
			fail_msg("DMP_SEED=%llu FORM=%s: never %s", seed,
				 form->name, cover_name(i));
	/* A step is the one to stop at in some 4 of 1000 cases. */
	for (i = 2; i < CASE_STEPS; i++)
		if (t->reached[i] > 10000 && !t->stopped[i])
			fail_msg("DMP_SEED=%llu FORM=%s: never left at step %u",
				 seed, form->name, i);
}

/* In a long run, each program serves more of them. */
static u64 cases_a_program(u64 cases)
{
	if (cases < MANY)
		return CASES_A_PROGRAM;
	return MANY_A_PROGRAM;
}

static void run_cases(const struct form *form, u64 cases, struct tally *tally)
{
	u64 program = number_of("PROGRAM", 0), rng = 0, i, began = time(NULL);
	u64 each = number_of("EACH", cases_a_program(cases));
	struct program p;
	const char *why;

	for (i = 0; i < cases; i++) {
		if (i % each == 0)
			make_program(&p, form, program++, &rng);
		why = case_run(world, &p, &rng, tally, NULL);
		if (why)
			fail_case(&p, program - 1, why);
	}
	if (cases > DEFAULT_CASES)
		fprintf(stderr, "%s: %llu cases, %llu programs, %llu s\n",
			form->name, cases, program, time(NULL) - began);
}

static u64 covered[COVERS], agent_done;

static void test_form(void **state)
{
	const struct form *form = *state;
	u64 cases = number_of("CASES", DEFAULT_CASES);
	struct tally tally = { 0 };
	unsigned int i;

	run_cases(form, cases, &tally);
	print_tally(&tally);
	for (i = 0; i < COVERS; i++)
		covered[i] += tally.cover[i];
	agent_done += tally.agent_done;
	if (cases < MEANINGFUL || getenv("PROGRAM"))
		return;
	check_budget(form, &tally);
	check_cover(form, &tally);
	assert_true(tally.hits > cases / 6);
	assert_true(tally.misses > cases / 10);
	assert_true(tally.interrupted > cases / 15);
	/* Of cmpxchg one in 95: most of what it does it leaves as it was. */
	assert_true(tally.agent_left > cases / 1000);
}

/* Of all forms together, every kind: to come last. */
static void test_cover(void **unused)
{
	unsigned int i;

	(void)unused;
	for (i = 0; i < COVERS; i++)
		print_message("  %s %llu\n", cover_name(i), covered[i]);
	for (i = 0; i < COVERS; i++)
		assert_true(covered[i]);
	print_message("  done by the agent: %llu\n", agent_done);
	assert_true(agent_done > number_of("CASES", DEFAULT_CASES) / 2);
}

/*
 * ---- Every offset ----
 */

/* How often a stub is run to find offsets where it has not been left yet. */
#define SWEEP_CASES	400

/* A program of each form, left at each of its instructions that is reached. */
static void test_offsets(void **unused)
{
	static struct sweep sweep;
	u64 seen = 0, left = 0, rng;
	struct tally tally = { 0 };
	struct program p;
	unsigned int f, i;
	const char *why;

	(void)unused;
	for (f = 0; f < forms_count; f++) {
		memset(sweep.left, 0, sizeof(sweep.left));
		memset(sweep.seen, 0, sizeof(sweep.seen));
		make_program(&p, &forms[f], f % 7 * 11, &rng);
		for (i = 0; i < SWEEP_CASES; i++) {
			why = case_run(world, &p, &rng, &tally, &sweep);
			if (why)
				fail_case(&p, f % 7 * 11, why);
		}
		for (i = 0; i < p.stub.code; i++) {
			seen += sweep.seen[i];
			left += sweep.left[i];
			if (sweep.seen[i] && !sweep.left[i])
				fail_msg("%s: not left at stub+%x",
					 forms[f].name, i);
		}
	}
	print_message("  %llu offsets, left at %llu\n", seen, left);
	assert_true(left > 55 * forms_count);
	for (i = seen = 0; i < DMP_AGENT_CODE_BYTES; i++) {
		seen += sweep.agent_seen[i];
		if (sweep.agent_seen[i] && !sweep.agent_left[i])
			fail_msg("not left at agent+%x", i);
	}
	print_message("  the agent: left at each of %llu\n", seen);
	assert_true(seen > 150);
}

/*
 * ---- The CPUs ----
 */

/* They run what is there, not what was. */
static void test_reload(void **unused)
{
	u64 stub = CODE_GVA - 0x1000000, i;
	struct state s;

	(void)unused;
	for (i = 1; i < 40; i++) {
		memset(world->code[REF], 0x90, CODE_PAGES * PAGE);
		memset(world->stub, 0x90, 2 * PAGE);
		world->code[REF][0] = world->stub[0] = 0xb8;	/* MOV EAX */
		world->code[REF][1] = (u8)i;
		world->stub[1] = (u8)(2 * i);
		memcpy(world->code[DMP], world->code[REF], CODE_PAGES * PAGE);
		world->code[DMP][1] = (u8)(3 * i);
		world_reload(world, stub);
		world->hook = NULL;
		assert_true(world_run(world, REF, CODE_GVA, CODE_GVA + 5));
		world_get(world, REF, &s);
		assert_int_equal(s.reg[DMP_REG_RAX] & 0xff, (u8)i);
		assert_true(world_run(world, DMP, CODE_GVA, CODE_GVA + 5));
		world_get(world, DMP, &s);
		assert_int_equal(s.reg[DMP_REG_RAX] & 0xff, (u8)(3 * i));
		assert_true(world_run(world, DMP, stub, stub + 5));
		world_get(world, DMP, &s);
		assert_int_equal(s.reg[DMP_REG_RAX] & 0xff, (u8)(2 * i));
		stub += i % 3 ? 0 : PAGE;
	}
}

/* PART=i/n: each nth form, from the ith on. */
static bool is_wanted(unsigned int i)
{
	const char *only = getenv("FORM"), *part = getenv("PART");
	unsigned int nth = 0, of = 1;

	if (part && (sscanf(part, "%u/%u", &nth, &of) != 2 || !of)) {
		fprintf(stderr, "PART=%s is not i/n\n", part);
		exit(1);
	}
	return (!only || !strncmp(forms[i].name, only, strlen(only))) &&
	       i % of == nth;
}

int main(void)
{
	struct CMUnitTest *tests = calloc(forms_count + 3, sizeof(*tests));
	unsigned int i, n = 0;
	int failed;

	seed = seed_of_run();
	world = world_make();
	if (!getenv("FORM") && !getenv("PROGRAM")) {
		tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_reload);
		tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_offsets);
	}
	for (i = 0; i < forms_count; i++)
		if (is_wanted(i))
			tests[n++] = (struct CMUnitTest){
				.name = forms[i].name,
				.test_func = test_form,
				.initial_state = (void *)&forms[i],
			};
	if (!getenv("FORM") && !getenv("PROGRAM"))
		tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cover);
	failed = _cmocka_run_group_tests("stub", tests, n, NULL, NULL);
	world_free(world);
	free(tests);
	return failed;
}
