// SPDX-License-Identifier: GPL-2.0-only
/*
 * MOV to and from CR3 replaced, on an emulated CPU: runs of them with any
 * register, alone and behind a store, plain on REF and spliced on DMP, where a
 * hook serves the hypercalls as the VMM does; in most programs the CPU lets some
 * values pass. At every instruction of the stub its way out is tried; in half of
 * the runs one is taken for good.
 *
 * DMP_SEED	seed (printed)
 * PROGRAMS	random programs, 4000 if unset
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "case.h"

#define SNAPSHOTS	16
#define TO_CR3		0x22
#define FROM_CR3	0x20

static struct world *world;
static u64 seed;

struct snapshot {
	struct state s;
	u64 cr3;
};

/* One program: what REF went through, and how far DMP is. */
static struct {
	struct program p;
	struct snapshot ref[SNAPSHOTS];
	u32 refs;
	u64 cr3;		/* DMP's, as the VMM sees it */
	u32 steps, stop_at;	/* leave before this one; 0: never */
	bool stopped;
	u32 calls, passed, left, reads, writes;
	char problem[200];
} run;

static void __attribute__((format(printf, 1, 2))) problem(const char *format, ...)
{
	va_list args;

	if (run.problem[0])
		return;
	va_start(args, format);
	vsnprintf(run.problem, sizeof(run.problem), format, args);
	va_end(args);
}

static u64 ref_cr3(void)
{
	u64 cr3 = 0;

	uc_reg_read(world->uc[REF], UC_X86_REG_CR3, &cr3);
	return cr3;
}

static void note_ref(u64 rip)
{
	struct snapshot *now = &run.ref[run.refs++];

	if (run.refs > SNAPSHOTS)
		abort();
	world_get(world, REF, &now->s);
	now->s.rip = rip;
	now->cr3 = ref_cr3();
}

static struct dmp_implant *implant(void)
{
	return &world->private->implant;
}

/* What the implant says, and the CPU has, is one thing or the other's. */
static void check_target(void)
{
	const struct dmp_cr3_target *target = NULL;
	u64 cr3 = 0;
	u32 i;

	uc_reg_read(world->uc[DMP], UC_X86_REG_CR3, &cr3);
	for (i = 0; i < run.p.targets; i++)
		if (cr3 == implant()->target[i].machine)
			target = &implant()->target[i];
	if (!target)
		return;
	if (implant()->root != target->root ||
	    implant()->guest_root != target->guest_root ||
	    implant()->guest_cr3 != 0 - target->minus_cr3 ||
	    implant()->walk_tag != ~0ull ||
	    (run.p.guarded && (implant()->private != target->private ||
			       implant()->here != cr3)))
		problem("the implant is not as it is to be with CR3 %llx", cr3);
}

/* REF was once where DMP is, with the same registers, flags and CR3. */
static void check_state(const struct state *at)
{
	u32 i, k;

	for (i = 0; i < run.refs && run.ref[i].s.rip != at->rip; i++)
		;
	if (i == run.refs) {
		problem("REF was never at %llx", at->rip);
		return;
	}
	for (k = 0; k < 16; k++)
		if (at->reg[k] != run.ref[i].s.reg[k])
			problem("register %u is %llx, not %llx, at %llx", k,
				at->reg[k], run.ref[i].s.reg[k], at->rip);
	if (at->flags != run.ref[i].s.flags)
		problem("flags are %llx, not %llx, at %llx", at->flags,
			run.ref[i].s.flags, at->rip);
	if (run.cr3 != run.ref[i].cr3)
		problem("CR3 is %llx, not %llx, at %llx", run.cr3,
			run.ref[i].cr3, at->rip);
}

static bool leave(u64 rip, struct state *at, struct dmp_stub_exit *exit)
{
	const struct dmp_stub *stub = &run.p.stub;

	if (!dmp_stub_leave(stub, &world->private->implant, (u32)(rip - stub->gva),
			    at->reg, &at->flags, exit)) {
		problem("no row for stub+%llx", rip - stub->gva);
		return false;
	}
	at->rip = exit->rip;
	run.cr3 = implant()->guest_cr3;
	check_state(at);
	check_target();
	return true;
}

/* What stands at @rip of the stub; NONE: no hypercall for CR3. */
static u8 call_at(u64 rip)
{
	const struct dmp_stub *stub = &run.p.stub;
	u32 i;

	for (i = 0; i < stub->plan.count; i++)
		if (stub->cr3[i] != DMP_REG_NONE &&
		    rip == stub->gva + stub->call[i])
			return stub->cr3[i];
	return DMP_REG_NONE;
}

/* MOV %rdx or %rbx to CR3, of the stub's own. */
static bool is_load(u64 rip)
{
	const struct dmp_stub *stub = &run.p.stub;
	const u8 *code = world->stub + (rip - (stub->gva & ~(PAGE - 1)));

	return run.p.targets && code[0] == 0x0f && code[1] == TO_CR3;
}

static void on_stub(u64 rip)
{
	struct dmp_implant was = *implant();
	struct dmp_stub_exit exit;
	struct state at;
	bool load;
	u8 reg;

	if (++run.steps == run.stop_at) {
		run.stopped = true;
		uc_emu_stop(world->uc[DMP]);
		return;
	}
	world_get(world, DMP, &at);
	reg = call_at(rip);
	load = is_load(rip);
	if (!leave(rip, &at, &exit))
		return;
	*implant() = was;
	run.passed += load;
	if (load ? exit.cr3 == DMP_REG_NONE : exit.cr3 != reg)
		problem("register %u, not %u, at stub+%llx", exit.cr3, reg,
			rip - run.p.stub.gva);
	if (reg == DMP_REG_NONE)
		return;
	run.calls++;
	run.cr3 = at.reg[reg];
	implant()->guest_cr3 = run.cr3;
	/* Whatever it was, it is not a target any more. */
	uc_reg_write(world->uc[DMP], UC_X86_REG_CR3, &(u64){ 0 });
}

static void on_step(void *arg, int cpu, u64 rip)
{
	(void)arg;
	if (cpu == REF)
		note_ref(rip);
	else if (!run.stopped && rip - run.p.stub.gva < run.p.stub.code)
		on_stub(rip);
}

/* MOV between CR3 and a register. */
static u32 put_cr3(u8 *bytes, u64 *rng)
{
	u8 reg = below(rng, 16), n = 0;

	if (reg & 8 || !below(rng, 4))
		bytes[n++] = 0x40 | (reg & 8 ? DMP_REX_B : 0) |
			     (below(rng, 2) ? DMP_REX_W : 0);
	bytes[n++] = 0x0f;
	bytes[n++] = below(rng, 2) ? TO_CR3 : FROM_CR3;
	bytes[n++] = 0xc0 | 3 << 3 | (reg & 7);
	return n;
}

/* None uses the stack: RSP may be anything. */
static u32 put_follower(u8 *bytes, u64 *rng)
{
	static const struct {
		u8 n, bytes[4];
	} some[] = {
		{ 1, { 0x90 } }, { 4, { 0x0f, 0x1f, 0x40, 0 } },
		{ 3, { 0x48, 0x89, 0xd8 } }, { 2, { 0x85, 0xc0 } },
		{ 1, { 0xf9 } }, { 3, { 0x4c, 0x89, 0xe4 } },
	};
	u32 i = below(rng, DMP_ARRAY_SIZE(some));

	memcpy(bytes, some[i].bytes, some[i].n);
	return some[i].n;
}

static void make_program(u64 *rng)
{
	static const u8 store[] = { 0x48, 0x89, 0x37 };	/* mov %rsi,(%rdi) */
	u8 bytes[PROGRAM_BYTES];
	const char *why;
	u32 n = 0;

	run.p.targets = below(rng, DMP_TARGETS_MAX + 1);
	run.p.guarded = below(rng, 2);
	memset(bytes, 0x90, sizeof(bytes));
	if (!below(rng, 6)) {
		memcpy(bytes, store, sizeof(store));
		n += sizeof(store);
	}
	n += put_cr3(bytes + n, rng);
	while (n < DMP_SPLICE_JMP)
		n += below(rng, 2) ? put_cr3(bytes + n, rng) :
				     put_follower(bytes + n, rng);
	why = program_set(&run.p, bytes, sizeof(bytes),
			  CODE_GVA + 0x100 + below(rng, 0xe00), world, rng);
	if (why)
		fail_msg("DMP_SEED=%llu: no program: %s", seed, why);
	run.p.stop = run.p.site + run.p.plan.len;
}

static void random_state(struct state *s, u64 *rng)
{
	int i;

	for (i = 0; i < 16; i++)
		s->reg[i] = random64(rng) & 0x7ffffffffffff018;
	s->reg[DMP_REG_RDI] = DATA_GVA + below(rng, 0x100) * 8;
	s->flags = FLAGS_FIXED | (random64(rng) & FLAGS_STATUS);
}

/* Some of what the registers hold the CPU lets pass. */
static void random_targets(const struct state *s, u64 *rng)
{
	struct dmp_cr3_target *target = implant()->target;
	u64 cr3 = 0;
	u32 i, k;

	uc_reg_write(world->uc[DMP], UC_X86_REG_CR3, &cr3);
	memset(target, 0, sizeof(implant()->target));
	for (i = 0; i < run.p.targets; i++) {
		cr3 = below(rng, 8) ? s->reg[below(rng, 16)] : random64(rng);
		for (k = 0; k < i && target[k].minus_cr3 != 0 - cr3; k++)
			;
		if (k < i)
			cr3 = random64(rng);
		target[i] = (struct dmp_cr3_target){
			0 - cr3, (i + 1) << 12 | 8, random64(rng), random64(rng),
			random64(rng),
		};
	}
	implant()->walk_tag = 7;
}

/* Left in the middle: the rest runs from where the guest is sent. */
static void go_on(void)
{
	struct dmp_stub_exit exit;
	struct state at;
	u64 rip;

	world_get(world, DMP, &at);
	if (!leave(at.rip, &at, &exit))
		return;
	run.left++;
	run.stopped = false;
	world_set(world, DMP, &at);
	rip = at.rip == run.p.stop ? at.rip : dmp_stub_resume(&run.p.stub, at.rip);
	if (!rip)
		problem("no way back to %llx", at.rip);
	else if (rip != run.p.stop && !world_run(world, DMP, rip, run.p.stop))
		problem("the rest faults");
}

static void run_both(u64 *rng)
{
	u64 cr3 = random64(rng) & 0x7ffffffff018;
	struct state s;

	random_state(&s, rng);
	run.refs = 0;
	run.steps = 0;
	run.stopped = false;
	run.stop_at = below(rng, 2) ? 1 + below(rng, run.p.targets ? 40 : 6) : 0;
	uc_reg_write(world->uc[REF], UC_X86_REG_CR3, &cr3);
	run.cr3 = cr3;
	implant()->guest_cr3 = cr3;
	random_targets(&s, rng);
	world_set(world, REF, &s);
	assert_true(world_run(world, REF, run.p.site, run.p.stop));
	note_ref(run.p.stop);

	world_set(world, DMP, &s);
	if (!world_run(world, DMP, run.p.site, run.p.stop))
		problem("DMP faults: %s", uc_strerror(world->err));
	if (run.stopped)
		go_on();
	world_get(world, DMP, &s);
	s.rip = run.p.stop;
	run.cr3 = implant()->guest_cr3;
	check_state(&s);
	check_target();
	if (memcmp(world->memory[DMP], world->memory[REF], sizeof(struct memory)))
		problem("memory differs");
}

static void count_kinds(void)
{
	const struct dmp_splice_plan *plan = &run.p.plan;
	u32 i;

	for (i = 0; i < plan->count; i++) {
		if (plan->insn[i].kind != DMP_SPLICE_REPLACED ||
		    (!i && run.p.bytes[0] == 0x48 && run.p.bytes[1] == 0x89))
			continue;
		if (run.p.stub.cr3[i] == DMP_REG_NONE)
			run.reads++;
		else
			run.writes++;
	}
}

static void fail_program(void)
{
	char hex[3 * DMP_SPLICE_BYTES_MAX + 1] = "";
	u32 i;

	for (i = 0; i < run.p.plan.len; i++)
		sprintf(hex + 3 * i, "%02x ", run.p.bytes[i]);
	fail_msg("DMP_SEED=%llu: %sat %llx, stub %llx: %s", seed, hex, run.p.site,
		 run.p.stub.gva, run.problem);
}

static void test_programs(void **unused)
{
	u64 programs = number_of("PROGRAMS", 4000), rng = seed, i, k;

	(void)unused;
	world->hook = on_step;
	case_fill(world, &rng);
	memcpy(world->memory[DMP], world->memory[REF], sizeof(struct memory));
	for (i = 0; i < programs; i++) {
		make_program(&rng);
		count_kinds();
		for (k = 0; k < 8 && !run.problem[0]; k++)
			run_both(&rng);
		if (run.problem[0])
			fail_program();
	}
	print_message("  %u reads and %u writes replaced, %u hypercalls, %u passed, %u left in the middle\n",
		      run.reads, run.writes, run.calls, run.passed, run.left);
	assert_true(run.reads > programs / 3 && run.writes > programs / 3);
	assert_true(run.calls > programs && run.passed > programs / 4 &&
		    run.left > programs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs),
	};
	int failed;

	seed = seed_of_run();
	world = world_make();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_free(world);
	return failed;
}
