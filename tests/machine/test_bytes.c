// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every byte of every kind of splice is entered: by a jump, a return and an
 * interrupt return, which an emulated CPU executes. All tactics, all lengths,
 * all ways of dividing the bytes into instructions, deterministically.
 *
 * Where an instruction of the guest's begins, the vCPU goes on as if there were
 * no splice: at the site by its stub, else after a #BP of the VMM's. A byte that
 * is in the middle of an instruction is nobody's: it raises #BP or, with a landing,
 * #UD, and the VMM puts the guest's own bytes back. Without a landing that is so
 * from the 6th on.
 *
 * DMP_SEED	seed of registers and of stubs' addresses (printed)
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
#define SITE_GVA	(CODE_GVA + 0x700)
#define LAUNCH_GVA	(CODE_GVA + 0x200)
#define CS_64		8

enum entry { BY_JUMP, BY_RET, BY_IRET, ENTRIES };

static const char *const entry_names[ENTRIES] = { "jump", "ret", "iret" };

static struct world *world;
static u64 seed;

/* What is spliced: instructions of given lengths. */
struct shape {
	enum { SHAPE_JMP, SHAPE_DISPLACED, SHAPE_PROLOGUE } tactic;
	u8 lengths[DMP_SPLICE_INSNS];
	u8 count;
	u8 end;			/* of the last: 0, 0xc3 (RET) or 0xe9 (JMP) */
	bool landing;		/* the splice leads to one */
};

static struct {
	u64 entered[ENTRIES], at_site, at_boundary, inside, undefined, padding, behind;
	u32 lengths[3];		/* bit: length in bytes; by tactic */
	u64 shapes;
} done;

/*
 * ---- Code ----
 */

/* Of no effect but on registers; DS is ignored in 64-bit mode. */
static u32 put_plain(u8 *bytes, u32 length)
{
	static const u8 insn[3][3] = {
		{ 0xf9 },			/* stc */
		{ 0x89, 0xf8 },			/* mov %edi,%eax */
		{ 0x48, 0x89, 0xd8 },		/* mov %rbx,%rax */
	};
	u32 n = length < 3 ? length : 3;

	memset(bytes, 0x3e, length - n);
	memcpy(bytes + length - n, insn[n - 1], n);
	return length;
}

/* A store by RDI; of 2 bytes and more. */
static u32 put_store(u8 *bytes, u32 length)
{
	static const u8 insn[3][4] = {
		{ 0x88, 0x07 }, { 0x48, 0x89, 0x37 }, { 0x48, 0x89, 0x77, 0x08 },
	};
	u32 n = length < 4 ? length : 4;

	memset(bytes, 0x3e, length - n);
	memcpy(bytes + length - n, insn[n - 2], n);
	return length;
}

static u32 put_shape(const struct shape *s, u8 *bytes, u64 *stop)
{
	u32 n = 0, i, rel;

	*stop = STOP_GVA;
	for (i = 0; i < s->count; i++) {
		if (i + 1 == s->count && s->end == 0xc3) {
			bytes[n++] = 0xc3;
		} else if (i + 1 == s->count && s->end == 0xe9) {
			rel = (u32)(STOP_GVA - (SITE_GVA + n + 5));
			bytes[n++] = 0xe9;
			memcpy(bytes + n, &rel, 4);
			n += 4;
		} else if (!i && s->tactic != SHAPE_PROLOGUE) {
			n += put_store(bytes, s->lengths[0]);
		} else {
			n += put_plain(bytes + n, s->lengths[i]);
		}
	}
	if (!s->end)
		*stop = SITE_GVA + n;
	return n;
}

/*
 * ---- Splices ----
 */

struct spliced {
	struct dmp_splice_plan plan;
	struct dmp_stub stub;
	u64 stop;
};

static void void_cache(void)
{
	struct dmp_implant *im = &world->private->implant;
	const struct dmp_cache_entry none = {
		.tag = DMP_CACHE_VOID, .guest = DMP_CACHE_VOID,
	};
	unsigned int i;

	for (i = 0; i < DMP_CACHE_SLOTS; i++)
		im->cache[i] = none;
	im->last[0] = im->last[1] = none;
}

/* The filter of a prologue: to where the handler goes on. */
static void put_filter(u64 filter, u8 *at, u64 deliver)
{
	struct dmp_emit e = { .bytes = at, .size = 16, .ip = filter };

	dmp_emit_jump(&e, DMP_JMP, deliver);
	assert_false(e.failed);
}

/* With a landing the stub may be anywhere. */
static void place(const struct shape *s, const struct dmp_splice_plan *plan,
		  struct dmp_stub_site *site, u64 *rng)
{
	const struct dmp_splice_plan any = { .len = plan->len };
	struct dmp_emit e;

	do
		site->stub = program_place(s->landing ? &any : plan, SITE_GVA, rng);
	while (!site->stub);
	site->landing = s->landing ? dmp_splice_landing(plan, SITE_GVA,
					below(rng, DMP_SPLICE_LANDINGS)) : 0;
	world->landing_gva = site->landing;
	if (!site->landing)
		return;
	/* Nor are the two in each other's way. */
	if (site->stub - site->landing + 4 * PAGE < 8 * PAGE)
		site->stub += 16 * PAGE;
	memset(world->landing, 0xcc, 2 * PAGE);
	e = (struct dmp_emit){ .bytes = world->landing + site->landing % PAGE,
			       .size = PAGE, .ip = site->landing };
	dmp_emit_jump(&e, DMP_JMP, site->stub);
	assert_false(e.failed);
}

static void make_spliced(const struct shape *s, struct spliced *sp, u64 *rng)
{
	u8 bytes[PROGRAM_BYTES], *code = world->code[DMP] + (SITE_GVA - CODE_GVA);
	struct dmp_stub_site site = {
		.site = SITE_GVA, .bytes = bytes, .plan = &sp->plan,
		.implant = IMPLANT_GVA, .agent = AGENT_GVA,
		.hypercall = { 0x0f, 0x1f, 0x00 },
	};
	u64 page, filter;

	memset(bytes, s->end ? 0xcc : 0x90, sizeof(bytes));
	put_shape(s, bytes, &sp->stop);
	assert_int_equal(dmp_splice_plan(bytes, sizeof(bytes), SITE_GVA,
				s->tactic == SHAPE_PROLOGUE ?
				DMP_SPLICE_PROLOGUE : 0, &sp->plan),
			 DMP_SPLICE_OK);
	place(s, &sp->plan, &site, rng);
	page = site.stub & ~(PAGE - 1);
	filter = page + PAGE + 0x800;
	memset(world->stub, 0xcc, 2 * PAGE);
	if (s->tactic == SHAPE_PROLOGUE) {
		assert_int_equal(dmp_stub_make_prologue(&site, filter,
				world->stub + (site.stub - page),
				DMP_STUB_BYTES_MAX, &sp->stub), DMP_STUB_OK);
		put_filter(filter, world->stub + PAGE + 0x800,
			   sp->stub.gva + sp->stub.deliver);
	} else {
		assert_int_equal(dmp_stub_make(&site, world->stub +
				(site.stub - page), DMP_STUB_BYTES_MAX,
				&sp->stub), DMP_STUB_OK);
	}
	memset(world->code[REF], 0x90, CODE_PAGES * PAGE);
	memcpy(world->code[REF] + (SITE_GVA - CODE_GVA), bytes, sizeof(bytes));
	memcpy(world->code[DMP], world->code[REF], CODE_PAGES * PAGE);
	assert_true(dmp_splice_bytes(&sp->plan, SITE_GVA, dmp_stub_entry(&site), code));
	world_reload(world, site.stub);
}

/*
 * ---- Entering ----
 */

static void put_launch(enum entry how, u64 to)
{
	u32 rel = (u32)(to - (LAUNCH_GVA + 5));
	u8 code[8] = { 0xe9 };
	int cpu;

	memcpy(code + 1, &rel, 4);
	if (how == BY_RET)
		code[0] = 0xc3;
	if (how == BY_IRET)
		memcpy(code, "\x48\xcf", 2);
	for (cpu = 0; cpu < CPUS; cpu++) {
		memcpy(world->code[cpu] + (LAUNCH_GVA - CODE_GVA), code, 8);
		uc_ctl_remove_cache(world->uc[cpu], LAUNCH_GVA, LAUNCH_GVA + 8);
	}
}

/* Registers and the stack; RSP is the same behind each kind of entry. */
static void prepare(struct state *s, enum entry how, u64 to, u64 *rng)
{
	struct memory *m = world->memory[REF];
	uc_x86_mmr gdtr = { .base = STACK_GVA, .limit = 23 };
	u64 rsp = STACK_GVA + PAGE + 0x400, *top;
	unsigned int i;

	for (i = 0; i < 16; i++)
		s->reg[i] = random64(rng);
	s->reg[DMP_REG_RDI] = DATA_GVA + below(rng, 0x1e0) * 8;
	s->flags = FLAGS_FIXED | (random64(rng) & FLAGS_STATUS);
	for (i = 0; i < DMP_ENTRIES; i++)
		m->stack[1][i] = STOP_GVA;
	m->stack[0][0] = 0;
	m->stack[0][1] = 0x00af9b000000ffffull;	/* 64-bit code */
	m->stack[0][2] = 0x00cf93000000ffffull;
	top = &m->stack[1][0x400 / 8];
	if (how == BY_RET) {
		*--top = to;
		s->reg[DMP_REG_RSP] = rsp - 8;
	} else if (how == BY_IRET) {
		*--top = 16;
		*--top = rsp;
		*--top = s->flags;
		*--top = CS_64;
		*--top = to;
		s->reg[DMP_REG_RSP] = rsp - 40;
	} else {
		s->reg[DMP_REG_RSP] = rsp;
	}
	memcpy(world->memory[DMP], m, sizeof(*m));
	uc_reg_write(world->uc[REF], UC_X86_REG_GDTR, &gdtr);
	uc_reg_write(world->uc[DMP], UC_X86_REG_GDTR, &gdtr);
}

static void check_same(const struct shape *s, enum entry how, u32 offset)
{
	struct state ref, dmp;

	world_get(world, REF, &ref);
	world_get(world, DMP, &dmp);
	if (memcmp(ref.reg, dmp.reg, sizeof(ref.reg)) || ref.flags != dmp.flags ||
	    memcmp(world->memory[REF], world->memory[DMP], sizeof(struct memory)))
		fail_msg("DMP_SEED=%llu: tactic %d, first %u, of %u, end %x: by %s to byte %u: differs",
			 seed, s->tactic, s->lengths[0], s->count, s->end,
			 entry_names[how], offset);
}

static const struct dmp_splice_insn *insn_at(const struct spliced *sp, u32 offset)
{
	u32 i;

	for (i = 0; i < sp->plan.count; i++)
		if (sp->plan.insn[i].offset == offset)
			return &sp->plan.insn[i];
	return NULL;
}

/* Enter DMP by a #BP, which has to be; the address to go on at. */
static u64 breakpoint_at(const struct spliced *sp, u64 to)
{
	assert_false(world_run(world, DMP, LAUNCH_GVA, sp->stop));
	assert_int_equal(world->interrupt, BREAKPOINT);
	return dmp_stub_resume(&sp->stub, to);
}

/* Enter DMP by a #UD, which has to be. */
static void undefined_at(u64 to)
{
	struct state after;

	assert_false(world_run(world, DMP, LAUNCH_GVA, STOP_GVA));
	assert_int_equal(world->err, UC_ERR_INSN_INVALID);
	world_get(world, DMP, &after);
	assert_int_equal(after.rip, to);
	done.undefined++;
}

static void enter(const struct shape *s, const struct spliced *sp, enum entry how,
		  u32 offset, u64 *rng)
{
	const struct dmp_splice_insn *insn = insn_at(sp, offset);
	u64 to = SITE_GVA + offset, on;
	struct state state;

	put_launch(how, to);
	prepare(&state, how, to, rng);
	world_set(world, DMP, &state);
	done.entered[how]++;
	if (offset < sp->plan.len && !insn) {
		/* In the middle of an instruction: of the JMP's, or INT3. */
		done.inside++;
		if (offset >= DMP_SPLICE_JMP)
			assert_int_equal(breakpoint_at(sp, to), 0);
		else if (s->landing)
			undefined_at(to);
		assert_int_equal(dmp_stub_resume(&sp->stub, to), 0);
		assert_false(dmp_stub_is_own_int3(&sp->stub, to));
		return;
	}
	if (insn && insn->kind == DMP_SPLICE_PADDING) {
		done.padding++;
		assert_int_equal(breakpoint_at(sp, to), 0);
		assert_true(dmp_stub_is_own_int3(&sp->stub, to));
		return;
	}
	world_set(world, REF, &state);
	assert_true(world_run(world, REF, LAUNCH_GVA, sp->stop));
	if (offset && offset < sp->plan.len) {
		done.at_boundary++;
		on = breakpoint_at(sp, to);
		assert_true(on > sp->stub.gva && on < sp->stub.gva + sp->stub.code);
		assert_true(world_run(world, DMP, on, sp->stop));
	} else {
		done.at_site += !offset;
		done.behind += !!offset;
		assert_true(world_run(world, DMP, LAUNCH_GVA, sp->stop));
	}
	check_same(s, how, offset);
}

static void enter_each(const struct shape *s, u64 *rng)
{
	struct spliced sp;
	enum entry how;
	u32 offset;

	make_spliced(s, &sp, rng);
	void_cache();
	world->hook = NULL;
	done.shapes++;
	done.lengths[s->tactic] |= 1u << sp.plan.len;
	for (how = 0; how < ENTRIES; how++)
		for (offset = 0; offset < sp.plan.len + (s->end ? 0u : 1u); offset++)
			enter(s, &sp, how, offset, rng);
}

static void enter_all(struct shape *s, u64 *rng)
{
	s->landing = false;
	enter_each(s, rng);
	s->landing = true;
	enter_each(s, rng);
}

/*
 * ---- Shapes ----
 */

/* All ways to go on from @s, which has @bytes so far. */
static void each_shape(struct shape s, u32 bytes, u64 *rng)
{
	u32 length, from = s.tactic != SHAPE_PROLOGUE && !s.count ? 2 : 1;
	struct shape next;

	if (bytes >= DMP_SPLICE_JMP) {
		enter_all(&s, rng);
		return;
	}
	for (length = from; length <= DMP_INSN_LEN_MAX; length++) {
		if (s.tactic == SHAPE_JMP && !s.count && length < DMP_SPLICE_JMP)
			continue;
		if (s.tactic == SHAPE_DISPLACED && !s.count &&
		    length >= DMP_SPLICE_JMP)
			break;
		next = s;
		next.lengths[next.count++] = length;
		each_shape(next, bytes + length, rng);
	}
	if (!s.count)
		return;
	/* Or with an end; behind it there is padding. */
	s.count++;
	s.end = 0xe9;
	enter_all(&s, rng);
	s.end = 0xc3;
	enter_all(&s, rng);
}

static void run_tactic(int tactic, u32 lengths)
{
	struct shape s = { .tactic = tactic };
	u64 rng = seed + (u64)tactic;

	each_shape(s, 0, &rng);
	assert_int_equal(done.lengths[tactic], lengths);
}

/* Bits @lo to @hi. */
static u32 bits(u32 lo, u32 hi)
{
	return (2u << hi) - (1u << lo);
}

static void test_jmp(void **unused)
{
	(void)unused;
	run_tactic(SHAPE_JMP, bits(5, 15));
}

static void test_displaced(void **unused)
{
	(void)unused;
	run_tactic(SHAPE_DISPLACED, bits(5, 19));
}

static void test_prologue(void **unused)
{
	(void)unused;
	run_tactic(SHAPE_PROLOGUE, bits(5, 19));
}

static void test_all(void **unused)
{
	enum entry how;

	(void)unused;
	print_message("  %llu shapes; at the site %llu, a boundary %llu, behind %llu, padding %llu, inside %llu, of these #UD %llu\n",
		      done.shapes, done.at_site, done.at_boundary, done.behind,
		      done.padding, done.inside, done.undefined);
	for (how = 0; how < ENTRIES; how++)
		assert_int_equal(done.entered[how], done.entered[0]);
	assert_true(done.at_site && done.at_boundary && done.behind &&
		    done.padding && done.inside && done.undefined);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jmp),
		cmocka_unit_test(test_displaced),
		cmocka_unit_test(test_prologue),
		cmocka_unit_test(test_all),
	};
	u64 rng;
	int failed;

	seed = seed_of_run();
	rng = seed;
	world = world_make();
	case_fill(world, &rng);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_free(world);
	return failed;
}
