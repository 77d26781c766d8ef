// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coming into the middle of splices, and prologues: on an emulated CPU.
 *
 * DMP_SEED	seed (printed)
 * PROGRAMS	random splices entered, 1500 if unset
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "case.h"

#define BREAKPOINT	3
#define SNAPSHOTS	16

static struct world *world;
static u64 seed;

/* What REF went through, and the stub that DMP is in. */
static struct {
	const struct dmp_stub *stub;
	struct state ref[SNAPSHOTS];
	u32 refs, left;
	const char *problem;
} trail;

static void check_way_out(u64 rip)
{
	struct dmp_implant im = { 0 };
	struct dmp_stub_exit exit;
	struct state at;
	u32 i;

	world_get(world, DMP, &at);
	if (!dmp_stub_leave(trail.stub, &im, (u32)(rip - trail.stub->gva),
			    at.reg, &at.flags, &exit)) {
		trail.problem = "no row";
		return;
	}
	trail.left++;
	for (i = 0; i < trail.refs; i++)
		if (trail.ref[i].rip == exit.rip &&
		    !memcmp(trail.ref[i].reg, at.reg, sizeof(at.reg)) &&
		    trail.ref[i].flags == at.flags)
			return;
	trail.problem = "a state that REF was never in";
}

static void on_step(void *arg, int cpu, u64 rip)
{
	(void)arg;
	if (cpu == DMP) {
		if (rip - trail.stub->gva < trail.stub->code)
			check_way_out(rip);
	} else if (trail.refs < SNAPSHOTS - 1) {
		world_get(world, REF, &trail.ref[trail.refs]);
		trail.ref[trail.refs++].rip = rip;
	}
}

static void random_state(struct state *s, u64 *rng)
{
	int i;

	for (i = 0; i < 16; i++)
		s->reg[i] = below(rng, 3) ? random64(rng) :
			    DATA_GVA + below(rng, 0x100) * 8;
	s->reg[DMP_REG_RSP] = STACK_GVA + PAGE + below(rng, 64) * 8;
	s->flags = FLAGS_FIXED | (random64(rng) & FLAGS_STATUS);
}

/* Run REF from @rip to @stop and note what it goes through. */
static bool run_ref(const struct state *s, u64 rip, u64 stop)
{
	bool ran;

	trail.refs = 0;
	world_set(world, REF, s);
	ran = world_run(world, REF, rip, stop);
	world_get(world, REF, &trail.ref[trail.refs]);
	trail.ref[trail.refs++].rip = stop;
	return ran;
}

static void check_same_end(const struct dmp_stub *stub, bool ref_ran, bool ran,
			   u64 rip)
{
	const struct state *want = &trail.ref[trail.refs - 1];
	struct state got;

	if (trail.problem)
		fail_msg("DMP_SEED=%llu: from %llx, site %llx: %s", seed, rip,
			 stub->site, trail.problem);
	assert_int_equal(ran, ref_ran);
	world_get(world, DMP, &got);
	assert_memory_equal(got.reg, want->reg, sizeof(got.reg));
	assert_int_equal(got.flags, want->flags);
	assert_memory_equal(world->memory[DMP], world->memory[REF],
			    sizeof(struct memory));
}

/* Begin at an instruction under the splice, as after a jump to it. */
static void enter_at(const struct program *p, u32 i, u64 *rng)
{
	u64 rip = p->site + p->plan.insn[i].offset, on;
	bool ref_ran, ran;
	struct state s;

	random_state(&s, rng);
	ref_ran = run_ref(&s, rip, p->stop);
	world_set(world, DMP, &s);
	assert_false(world_run(world, DMP, rip, p->stop));
	assert_int_equal(world->interrupt, BREAKPOINT);
	if (p->plan.insn[i].kind == DMP_SPLICE_PADDING) {
		assert_true(dmp_stub_is_own_int3(&p->stub, rip));
		assert_int_equal(dmp_stub_resume(&p->stub, rip), 0);
		return;
	}
	assert_false(dmp_stub_is_own_int3(&p->stub, rip));
	on = dmp_stub_resume(&p->stub, rip);
	assert_true(on > p->stub.gva && on < p->stub.gva + p->stub.code);
	world_set(world, DMP, &s);
	ran = world_run(world, DMP, on, p->stop);
	check_same_end(&p->stub, ref_ran, ran, rip);
}

static void enter_everywhere(const struct program *p, u64 *rng)
{
	const u8 *bytes = world->code[DMP] + (p->site - CODE_GVA);
	u32 i, offset, entered = 0;

	trail.stub = &p->stub;
	trail.problem = NULL;
	world->hook = on_step;
	memcpy(world->memory[DMP], world->memory[REF], sizeof(struct memory));
	for (i = 1; i < p->plan.count; i++) {
		offset = p->plan.insn[i].offset;
		assert_int_equal(bytes[offset], DMP_SPLICE_INT3);
		enter_at(p, i, rng);
		entered |= 1u << offset;
	}
	/* The rest are no instructions. */
	for (offset = 1; offset < p->plan.len; offset++) {
		if (entered >> offset & 1)
			continue;
		assert_int_equal(dmp_stub_resume(&p->stub, p->site + offset), 0);
		assert_false(dmp_stub_is_own_int3(&p->stub, p->site + offset));
	}
	assert_int_equal(dmp_stub_resume(&p->stub, p->site), p->stub.gva);
	assert_int_equal(dmp_stub_resume(&p->stub, p->site + p->plan.len), 0);
}

static void test_random_splices(void **unused)
{
	u64 programs = number_of("PROGRAMS", 1500), rng = seed, i, at;
	u32 kinds[DMP_SPLICE_PADDING + 1] = { 0 }, k;
	struct program p;

	(void)unused;
	case_fill(world, &rng);
	for (i = 0; i < programs; i++) {
		at = rng;
		if (!program_make(&p, &forms[below(&rng, forms_count)],
				  WISH_NONE, world, &rng) || p.plan.count < 2)
			continue;
		enter_everywhere(&p, &rng);
		for (k = 0; k < p.plan.count; k++)
			kinds[p.plan.insn[k].kind]++;
		if (rng == at)
			fail_msg("no progress");
	}
	print_message("  moved %u, ret %u, jump %u, padding %u; %u ways out\n",
		      kinds[DMP_SPLICE_MOVED], kinds[DMP_SPLICE_RET],
		      kinds[DMP_SPLICE_JUMP], kinds[DMP_SPLICE_PADDING],
		      trail.left);
	/* The rarest kind comes up in one program of 80. */
	for (k = 0; k <= DMP_SPLICE_PADDING && programs >= 1000; k++)
		assert_true(kinds[k] || k == DMP_SPLICE_KIND_CALL);
}

/* Code behind a RET: instructions of the next function. */
static void test_behind_the_end(void **unused)
{
	static const u8 bytes[] = {
		0x88, 0x07, 0xc3, 0x50, 0x48, 0x89, 0xd8,
	};
	u64 rng = seed;
	struct program p = { .stop = CODE_GVA + 0x807 };
	const char *why;

	(void)unused;
	why = program_set(&p, bytes, sizeof(bytes), CODE_GVA + 0x800, world,
			  &rng);
	assert_null(why);
	assert_int_equal(p.plan.count, 4);
	assert_int_equal(p.plan.trap, 0xe);
	enter_everywhere(&p, &rng);
}

/*
 * ---- Prologues ----
 */

#define HANDLER_GVA	(CODE_GVA + 0x400)

struct handler {
	const char *what;
	u8 n;
	u8 bytes[20];
	u64 stop;
};

static const struct handler handlers[] = {
	{ "nop3 cld call", 9,
	  { 0x0f, 0x1f, 0, 0xfc, 0xe8, 0xf7, 0x13, 0, 0 }, STOP_GVA },
	{ "three nops cld call", 9,
	  { 0x90, 0x90, 0x90, 0xfc, 0xe8, 0xf7, 0x13, 0, 0 }, STOP_GVA },
	{ "endbr64 nop3", 7, { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0 },
	  HANDLER_GVA + 7 },
	{ "call", 5, { 0xe8, 0xfb, 0x13, 0, 0 }, STOP_GVA },
	{ "push jmp", 6, { 0x53, 0xe9, 0xfa, 0x13, 0, 0 }, STOP_GVA },
};

/* The filter: goes on at once, by way of @deliver. */
static void put_filter(u64 filter, u64 page, u64 deliver)
{
	struct dmp_emit e = {
		.bytes = world->stub + (filter - page),
		.size = 16,
		.ip = filter,
	};

	dmp_emit_byte(&e, 0x90);
	dmp_emit_jump(&e, DMP_JMP, deliver);
	assert_false(e.failed);
}

static void run_handler(const struct handler *h, u64 *rng)
{
	u8 *code = world->code[DMP] + (HANDLER_GVA - CODE_GVA);
	struct dmp_splice_plan plan;
	struct dmp_stub stub;
	struct dmp_stub_site site = {
		.site = HANDLER_GVA, .bytes = h->bytes, .plan = &plan,
		.implant = IMPLANT_GVA,
	};
	u64 page, filter;
	bool ref_ran, ran;
	struct state s;

	assert_int_equal(dmp_splice_plan(h->bytes, h->n, HANDLER_GVA,
					 DMP_SPLICE_PROLOGUE | DMP_SPLICE_MAY_CALL,
					 &plan), DMP_SPLICE_OK);
	do
		site.stub = program_place(&plan, HANDLER_GVA, rng);
	while (!site.stub);
	page = site.stub & ~(PAGE - 1);
	filter = page + PAGE + 0x800;
	memset(world->stub, 0xcc, 2 * PAGE);
	assert_int_equal(dmp_stub_make_prologue(&site, filter, world->stub +
						(site.stub - page),
						DMP_STUB_BYTES_MAX, &stub),
			 DMP_STUB_OK);
	put_filter(filter, page, stub.gva + stub.deliver);
	memset(world->code[REF], 0x90, CODE_PAGES * PAGE);
	memcpy(world->code[REF] + (HANDLER_GVA - CODE_GVA), h->bytes, h->n);
	memcpy(world->code[DMP], world->code[REF], CODE_PAGES * PAGE);
	assert_true(dmp_splice_bytes(&plan, HANDLER_GVA, site.stub, code));
	world_reload(world, site.stub);

	trail.stub = &stub;
	trail.problem = NULL;
	world->hook = on_step;
	random_state(&s, rng);
	memcpy(world->memory[DMP], world->memory[REF], sizeof(struct memory));
	ref_ran = run_ref(&s, HANDLER_GVA, h->stop);
	world_set(world, DMP, &s);
	ran = world_run(world, DMP, HANDLER_GVA, h->stop);
	check_same_end(&stub, ref_ran, ran, HANDLER_GVA);
	assert_true(ref_ran);
	/* A vCPU sent back to the entry goes on behind the filter. */
	assert_int_equal(dmp_stub_resume(&stub, HANDLER_GVA),
			 stub.gva + stub.deliver);
}

static void test_prologues(void **unused)
{
	u64 rng = seed;
	unsigned int i, times;

	(void)unused;
	for (i = 0; i < DMP_ARRAY_SIZE(handlers); i++)
		for (times = 0; times < 20; times++)
			run_handler(&handlers[i], &rng);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_splices),
		cmocka_unit_test(test_behind_the_end),
		cmocka_unit_test(test_prologues),
	};
	int failed;

	seed = seed_of_run();
	world = world_make();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_free(world);
	return failed;
}
