// SPDX-License-Identifier: GPL-2.0-only
/*
 * The #PF filter on an emulated CPU: random faults and tables, against an
 * oracle; taken out at each of its instructions; its cost.
 *
 * DMP_SEED and DMP_STEPS (cases) replay; both are printed.
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
#include "code/filter_blob.h"

#define ARITHMETIC_FLAGS	0x8d5ull	/* OF, SF, ZF, AF, PF, CF */
#define CASES			100000

static u64 seed;

static unsigned long long env(const char *name, unsigned long long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

/* Which of the two filters: a test's initial state. */
static bool guarded_too[2] = { false, true };

static bool is_guarded(void **state)
{
	return *(bool *)*state;
}

/* A case under way. */
struct trial {
	struct world *world;
	struct filter_case c;
	struct expected want;
	u32 writable;		/* before, of want.gfn */
	u64 number;
	enum dmp_filter_left_kind stage;
	unsigned int hits[DMP_FILTER_LEFT_NOWHERE];
};

static void complain(const struct trial *t, const char *what, unsigned int offset)
{
	fprintf(stderr, "case %llu, offset %u: %s\nreplay: DMP_SEED=%llu DMP_STEPS=%llu\n",
		t->number, offset, what, seed, t->number + 1);
	case_print(&t->c, &t->want);
	fail();
}

#define CHECK(t, offset, condition) do { \
	if (!(condition)) \
		complain(t, #condition, offset); \
} while (0)

static u32 writable_now(const struct trial *t)
{
	return t->world->records[t->want.gfn].writable;
}

static bool stack_is_whole(const struct trial *t)
{
	const struct fault *fault = &t->c.fault;
	const char *at = (const char *)t->world->stack + fault->regs.gpr[4] - STACK_GVA;

	return !memcmp(at, fault->frame, sizeof(fault->frame));
}

/* The registers are the fault's; @popped: less the error code. */
static void check_regs(const struct trial *t, unsigned int offset,
		       const struct dmp_filter_regs *regs, bool popped)
{
	const struct dmp_filter_regs *was = &t->c.fault.regs;
	unsigned int i;

	for (i = 0; i < 16; i++)
		CHECK(t, offset, regs->gpr[i] == was->gpr[i] + (popped && i == 4 ? 8 : 0));
	CHECK(t, offset, !((regs->rflags ^ was->rflags) & ~ARITHMETIC_FLAGS));
	CHECK(t, offset, stack_is_whole(t));
}

/* The tables have nothing of the resolution in them, or all of it. */
static void check_before(const struct trial *t, unsigned int offset)
{
	CHECK(t, offset, *case_guest_leaf(t->world, &t->c) == t->c.tables.guest[1]);
	CHECK(t, offset, *case_machine_leaf(t->world, &t->c) == t->c.tables.machine[1]);
	CHECK(t, offset, writable_now(t) == t->writable);
}

static void check_after(const struct trial *t, unsigned int offset)
{
	CHECK(t, offset, t->want.outcome == RESOLVED);
	CHECK(t, offset, *case_guest_leaf(t->world, &t->c) == t->want.guest);
	CHECK(t, offset, *case_machine_leaf(t->world, &t->c) == t->want.machine);
	CHECK(t, offset, writable_now(t) ==
	      (t->want.by_agent ? t->writable : t->want.writable));
	CHECK(t, offset, t->world->implant->state == t->want.state);
}

/* What the VMM does, told by @left. */
static void finish(const struct trial *t, unsigned int offset,
		   const struct dmp_filter_left *left)
{
	const struct world *world = t->world;
	u64 guest, *machine;
	struct dmp_frame *frame;

	if (left->kind == DMP_FILTER_LEFT_FOLLOW) {
		CHECK(t, offset, left->table == TABLE_HFN);
		CHECK(t, offset, left->index == dmp_index(t->c.tables.gva, 1));
		CHECK(t, offset, left->old == t->c.tables.guest[1]);
		machine = &world->memory[left->table][left->index];
		CHECK(t, offset, *machine == t->c.tables.machine[1]);
		guest = *case_guest_leaf(t->world, &t->c);
		frame = &world->records[dmp_pte_gfn(guest)];
		*machine = dmp_translate_leaf(&t->c.paging, guest, frame->leaf);
		frame->writable += !!(*machine & DMP_PTE_RW);
	} else if (left->kind == DMP_FILTER_LEFT_COUNT) {
		CHECK(t, offset, left->gfn == t->want.gfn);
		world->records[left->gfn].writable++;
	}
}

static void check_left(const struct trial *t, unsigned int offset,
		       const struct dmp_filter_regs *regs,
		       const struct dmp_filter_left *left, u64 lazy_a)
{
	bool out = left->kind != DMP_FILTER_LEFT_FAULT;

	CHECK(t, offset, left->kind != DMP_FILTER_LEFT_NOWHERE);
	check_regs(t, offset, regs, out);
	CHECK(t, offset, regs->rip == FILTER_GVA + (out ? t->world->blob->iretq : 0));
	CHECK(t, offset, lazy_a == (out && !t->want.by_agent));
	if (out)
		check_after(t, offset);
	else
		check_before(t, offset);
}

static struct walk walk_now(const struct world *world)
{
	const struct dmp_implant *implant = world->implant;

	return (struct walk){ implant->walk_tag, implant->walk_machine,
			      implant->walk_guest, implant->walk_denied };
}

/*
 * What is remembered is what was, or is right; what a guest entry that is no
 * table led to is denied.
 */
static void check_walk(const struct trial *t)
{
	struct walk now = walk_now(t->world);

	if (!memcmp(&now, &t->c.walk, sizeof(now)))
		return;
	if (t->c.walkable)
		CHECK(t, 0, !memcmp(&now, &t->c.right, sizeof(now)));
	else
		CHECK(t, 0, now.tag == t->c.right.tag && now.denied & t->c.leaf_mask);
}

/* At each instruction: what if the VMM took the vCPU out here? */
static void leave_on_paper(struct world *world, unsigned int offset)
{
	static struct dmp_implant copy;
	struct trial *t = world->on_step_data;
	u64 machine = *case_machine_leaf(world, &t->c);
	u32 writable = writable_now(t);
	struct dmp_filter_left left;
	struct dmp_filter_regs regs;

	memcpy(&copy, world->implant, offsetof(struct dmp_implant, cache));
	copy.agent.done = world->implant->agent.done;
	world_get_regs(world, &regs);
	CHECK(t, offset, regs.rip == FILTER_GVA + offset);
	dmp_filter_leave(world->guarded, offset, &copy, &regs, &left);
	CHECK(t, offset, world_is_where_it_says(world));
	CHECK(t, offset, left.kind <= DMP_FILTER_LEFT_RESOLVED && left.kind >= t->stage);
	CHECK(t, offset, left.kind == DMP_FILTER_LEFT_RESOLVED || !world->agent_done);
	t->stage = left.kind;
	t->hits[left.kind]++;
	finish(t, offset, &left);
	check_left(t, offset, &regs, &left, copy.lazy_a);
	CHECK(t, offset, copy.walk_tag == ~0ull);
	*case_machine_leaf(world, &t->c) = machine;
	world->records[t->want.gfn].writable = writable;
}

static void trial_start(struct trial *t)
{
	case_make(t->world, &t->c);
	t->want = case_expect(t->world, &t->c);
	t->writable = writable_now(t);
	t->stage = DMP_FILTER_LEFT_FAULT;
	t->world->implant->lazy_a = 0;
	t->world->agent_done = false;
	t->world->stop_at = 0;
}

static void check_end(const struct trial *t, enum outcome outcome)
{
	struct dmp_filter_regs regs;

	CHECK(t, 0, outcome == t->want.outcome);
	CHECK(t, 0, !t->world->implant->away && world_is_where_it_says(t->world));
	/* Another root is loaded only where there is one, and it is needed. */
	CHECK(t, 0, !t->world->cr3_loads || t->c.private == PRIVATE_CR3);
	world_get_regs(t->world, &regs);
	check_regs(t, 0, &regs, outcome == RESOLVED);
	CHECK(t, 0, t->world->implant->state == t->want.state);
	CHECK(t, 0, t->world->implant->lazy_a ==
	      (outcome == RESOLVED && !t->want.by_agent));
	if (outcome == RESOLVED)
		check_after(t, 0);
	else
		check_before(t, 0);
}

/* All of host memory and all records, but for what a resolution changes. */
struct rest {
	u64 memory[HFNS][DMP_ENTRIES];
	struct dmp_frame records[GFNS];
};

static void rest_take(const struct trial *t, struct rest *rest)
{
	memcpy(rest->memory, t->world->memory, sizeof(rest->memory));
	memcpy(rest->records, t->world->records, sizeof(rest->records));
}

static void rest_check(const struct trial *t, struct rest *rest)
{
	u64 *now = (u64 *)t->world->memory, *was = (u64 *)rest->memory;
	size_t guest = case_guest_leaf(t->world, &t->c) - now;
	size_t machine = case_machine_leaf(t->world, &t->c) - now;

	was[guest] = now[guest];
	was[machine] = now[machine];
	rest->records[t->want.gfn].writable = writable_now(t);
	CHECK(t, 0, !memcmp(rest->memory, t->world->memory, sizeof(rest->memory)));
	CHECK(t, 0, !memcmp(rest->records, t->world->records, sizeof(rest->records)));
}

/* Every byte of code was executed; the hypercall and its ud2 cannot be here. */
static void check_all_ran(const struct world *world)
{
	unsigned int i;

	for (i = 0; i < world->blob->code_end; i++) {
		if (i >= world->blob->hypercall && i < world->blob->hypercall + 5u)
			continue;
		if (i == world->blob->iretq || i == world->blob->iretq + 1u)
			continue;
		if (!world->ran[i])
			fail_msg("no case came to offset %u", i);
	}
}

/* Outcome, registers and tables, at the end and from each instruction. */
static void test_cases(void **state)
{
	static struct rest rest;
	struct trial t = { .world = world_new(seed, is_guarded(state)) };
	u64 cases = env("DMP_STEPS", CASES);
	unsigned int count[OUTCOMES] = { 0 };
	enum outcome outcome;

	t.world->on_step_data = &t;
	for (t.number = 0; t.number < cases; t.number++) {
		trial_start(&t);
		rest_take(&t, &rest);
		t.world->on_step = leave_on_paper;
		outcome = world_run(t.world);
		t.world->on_step = NULL;
		check_end(&t, outcome);
		check_walk(&t);
		rest_check(&t, &rest);
		count[outcome]++;
		case_remove(t.world, &t.c);
	}
	print_message("  %llu cases: %u delivered, %u hypercalls, %u resolved\n", cases,
		      count[DELIVERED], count[HYPERCALL], count[RESOLVED]);
	print_message("  left before %u, to follow %u, to count %u, after %u\n",
		      t.hits[DMP_FILTER_LEFT_FAULT], t.hits[DMP_FILTER_LEFT_FOLLOW], t.hits[DMP_FILTER_LEFT_COUNT],
		      t.hits[DMP_FILTER_LEFT_RESOLVED]);
	if (cases >= CASES)
		check_all_ran(t.world);
	world_free(t.world);
}

/* Take the vCPU out for good, as the VMM does, and let it go on. */
static enum outcome interrupt(struct trial *t)
{
	struct world *world = t->world;
	struct dmp_filter_left left;
	struct dmp_filter_regs regs;
	unsigned int offset;
	enum outcome outcome;

	world->stop_at = 1 + world_random(world) % 160;
	outcome = world_run(world);
	if (outcome != LOST)
		return outcome;
	world_get_regs(world, &regs);
	offset = regs.rip - FILTER_GVA;
	CHECK(t, offset, offset < world->blob->code_end);
	dmp_filter_leave(world->guarded, offset, world->implant, &regs, &left);
	world_come_back(world);
	finish(t, offset, &left);
	/* Whatever else uses the slots meanwhile: they are nobody's now. */
	memset(world->implant->save, 0x5a, sizeof(world->implant->save));
	world_set_regs(world, &regs);
	if (left.kind != DMP_FILTER_LEFT_FAULT)
		return RESOLVED;
	return world_one_in(world, 4) ? interrupt(t) : (world->stop_at = 0, world_run(world));
}

static void test_interrupted(void **state)
{
	struct trial t = { .world = world_new(seed + 1, is_guarded(state)) };
	u64 cases = env("DMP_STEPS", CASES);

	for (t.number = 0; t.number < cases; t.number++) {
		trial_start(&t);
		check_end(&t, interrupt(&t));
		case_remove(t.world, &t.c);
	}
	world_free(t.world);
}

/*
 * Another vCPU sets a software bit of the leaf while the filter is at it: the
 * bit stays, and the machine entry is right for what the guest's is then.
 */
static void test_raced(void **state)
{
	struct trial t = { .world = world_new(seed + 2, is_guarded(state)) };
	u64 cases = env("DMP_STEPS", CASES), entry;
	unsigned int lost = 0;
	enum outcome outcome;

	for (t.number = 0; t.number < cases; t.number++) {
		trial_start(&t);
		/* Who loses is seen by the hypercall. */
		t.c.answer = DMP_AGENT_ASK;
		t.world->implant->agent.answer = t.c.answer;
		t.want = case_expect(t.world, &t.c);
		t.world->stop_at = 30 + world_random(t.world) % 100;
		outcome = world_run(t.world);
		entry = *case_guest_leaf(t.world, &t.c);
		if (outcome != LOST || entry != t.c.tables.guest[1]) {
			case_remove(t.world, &t.c);
			continue;
		}
		*case_guest_leaf(t.world, &t.c) ^= 1ull << 10;
		t.world->stop_at = 0;
		outcome = world_run(t.world);
		t.c.tables.guest[1] ^= 1ull << 10;
		t.want.guest ^= 1ull << 10;
		if (outcome == HYPERCALL && t.want.outcome == RESOLVED) {
			lost++;
			t.want.outcome = HYPERCALL;
			t.want.state = t.world->implant->state;
		}
		check_end(&t, outcome);
		case_remove(t.world, &t.c);
	}
	print_message("  %u races lost\n", lost);
	assert_true(lost > 0 || cases < CASES);
	world_free(t.world);
}

/*
 * ---- Cost ----
 */

struct path {
	const char *name;
	u32 error_code;
	u64 leaf;		/* the guest's, besides P and US */
	u64 rip;
	unsigned int levels;
	enum memory memory;
	enum outcome outcome;
	unsigned int most;	/* instructions, with the jump in and iretq */
};

/* Two loads of CR3, and what belongs to them. */
#define GO_AND_COME_BACK	16

#define LAZY_READ	(DMP_PF_U | DMP_PF_RSVD)
#define KERNEL_RIP	0xffffffff81234567ull

#define RW_D		(DMP_PTE_RW | DMP_PTE_D)

static const struct path paths[] = {
	{ "user, not present", DMP_PF_U | DMP_PF_W, 0, 0, 4, 0, DELIVERED, 6 },
	{ "user, write to a page present", DMP_PF_U | DMP_PF_W | DMP_PF_P, 0, 0, 4, 0,
	  DELIVERED, 18 },
	{ "kernel, not present", 0, 0, KERNEL_RIP, 4, 0, DELIVERED, 12 },
	{ "kernel, present, but for the agent", DMP_PF_P | DMP_PF_W, 0, KERNEL_RIP, 4, 0,
	  HYPERCALL, 20 },
	{ "lazy A, read, read-only, walk remembered", LAZY_READ, 0, 0, 4, MEMORY_RIGHT,
	  RESOLVED, 64 },
	{ "lazy A, read, dirty, walk remembered", LAZY_READ, RW_D, 0, 5, MEMORY_RIGHT,
	  RESOLVED, 66 },
	{ "lazy A, read, clean, walk remembered", LAZY_READ, DMP_PTE_RW, 0, 4, MEMORY_RIGHT,
	  RESOLVED, 69 },
	{ "lazy A, write, walk remembered", LAZY_READ | DMP_PF_W, DMP_PTE_RW, 0, 4, MEMORY_RIGHT,
	  RESOLVED, 68 },
	{ "lazy A, read, dirty, walk of 4 levels", LAZY_READ, RW_D, 0, 4, MEMORY_OTHER,
	  RESOLVED, 129 },
	{ "lazy A, read, dirty, walk of 5 levels", LAZY_READ, RW_D, 0, 5, MEMORY_OTHER,
	  RESOLVED, 147 },
};

/* A calm case of @path's, which the agent has no part in. */
static void path_make(struct trial *t, const struct path *path)
{
	struct filter_case *c = &t->c;

	do {
		case_make(t->world, c);
		c->state = 0;
		c->private = t->world->guarded ? PRIVATE_CR3 : 0;
		c->answer = DMP_AGENT_ASK;
		c->tables.guest[1] &= ~(DMP_PTE_RW | DMP_PTE_D | DMP_PTE_A);
		c->tables.guest[1] |= path->leaf;
		c->fault.frame[0] = path->error_code;
		c->fault.frame[1] = path->rip;
		t->want = case_expect(t->world, c);
	} while (c->tables.levels != path->levels || t->want.outcome != path->outcome);
	case_remember(t->world, c, path->memory);
	case_place(t->world, c);
	t->writable = writable_now(t);
	t->world->implant->lazy_a = 0;
}

static void test_cost(void **state)
{
	struct trial t = { .world = world_new(seed + 3, is_guarded(state)) };
	unsigned int i, cost, most;
	enum outcome outcome;

	for (i = 0; i < DMP_ARRAY_SIZE(paths); i++) {
		path_make(&t, &paths[i]);
		outcome = world_run(t.world);
		check_end(&t, outcome);
		/* The jump in, and the iretq, which the run stops before. */
		cost = t.world->steps + 1 + (outcome == RESOLVED);
		most = paths[i].most + (t.world->guarded ? GO_AND_COME_BACK : 0);
		print_message("  %-45s %3u instructions\n", paths[i].name, cost);
		if (cost > most)
			fail_msg("%s: %u instructions, at most %u", paths[i].name, cost, most);
	}
	world_free(t.world);
}

/* The iretq, too, back to where the fault was. */
static void test_return(void **state)
{
	static const u64 frame[5] = { DELIVER_GVA + 8, 0x23, 0x202, 0x00007ffdeadbeef8, 0x1b };
	struct trial t = { .world = world_new(seed + 4, is_guarded(state)) };
	struct dmp_filter_regs regs;

	path_make(&t, &paths[4]);
	memcpy(&t.c.fault.frame[1], frame, sizeof(frame));
	world_set_fault(t.world, &t.c.fault);
	assert_true(world_run(t.world) == RESOLVED);
	assert_true(world_iretq(t.world));
	world_get_regs(t.world, &regs);
	assert_true(regs.rip == frame[0] && regs.gpr[4] == frame[3]);
	assert_true((regs.rflags & 0x202) == 0x202);
	world_free(t.world);
}

/*
 * ---- Installation ----
 */

static void install(const struct dmp_filter_place *good)
{
	const struct dmp_filter_blob *blob = &dmp_filter_blobs[good->guarded];
	static u8 code[DMP_PAGE_SIZE], was[DMP_PAGE_SIZE];
	struct dmp_filter_place place = *good;

	assert_int_equal(dmp_filter_install(code, sizeof(code), good), DMP_FILTER_INSTALLED);
	assert_int_equal(dmp_filter_hypercall_offset(good->guarded), blob->hypercall);
	assert_memory_equal(code + blob->hypercall, good->hypercall, 3);
	assert_memory_equal(code + blob->hypercall + 3, "\x0f\x0b", 2);
	assert_int_equal(code[sizeof(code) - 1], 0xcc);
	assert_int_equal(dmp_filter_install(code, blob->bytes, good), DMP_FILTER_INSTALLED);
	assert_int_equal(dmp_filter_install(code, blob->bytes - 1, good), DMP_FILTER_NO_ROOM);
	place.filter += 16;
	assert_int_equal(dmp_filter_install(code, sizeof(code), &place), DMP_FILTER_DISPLACED);
	place = *good;
	place.public_start = FILTER_GVA + 1;
	assert_int_equal(dmp_filter_install(code, sizeof(code), &place), DMP_FILTER_RANGE);
	place = *good;
	place.public_end = FILTER_GVA + 100;
	assert_int_equal(dmp_filter_install(code, sizeof(code), &place), DMP_FILTER_RANGE);
	place = *good;
	place.public_start -= 1ull << 32;
	assert_int_equal(dmp_filter_install(code, sizeof(code), &place), DMP_FILTER_RANGE);
	place = *good;	/* up to the boundary, exclusive */
	place.public_end = 0;
	assert_int_equal(dmp_filter_install(code, sizeof(code), &place), DMP_FILTER_INSTALLED);
	assert_true(dmp_filter_deliver(code, good->guarded, FILTER_GVA, DELIVER_GVA));
	memcpy(was, code, sizeof(code));
	assert_false(dmp_filter_deliver(code, good->guarded, FILTER_GVA,
					FILTER_GVA + (1ull << 31) + 4096));
	assert_false(dmp_filter_deliver(code, good->guarded, FILTER_GVA,
					DELIVER_GVA - (1ull << 32)));
	assert_memory_equal(code, was, sizeof(code));
}

static void test_install(void **state)
{
	struct dmp_filter_place good = {
		.filter = FILTER_GVA,
		.implant = IMPLANT_GVA,
		.public_start = PUBLIC_START,
		.public_end = PUBLIC_END,
		.hypercall = { 0x0f, 0x01, 0xd9 },	/* AMD-V's */
	};

	(void)state;
	install(&good);
	good.hypercall[2] = 0xc1;	/* VT-x's */
	install(&good);
	good.guarded = true;
	install(&good);
}

/* No row for what is not code; rows sorted, the first at the entry. */
static void test_rows(void **state)
{
	static struct dmp_implant implant;
	struct dmp_filter_regs regs = { .rip = 1234 };
	const struct dmp_filter_blob *blob;
	struct dmp_filter_left left;
	unsigned int i, k;

	(void)state;
	for (k = 0; k < DMP_ARRAY_SIZE(dmp_filter_blobs); k++) {
		blob = &dmp_filter_blobs[k];
		dmp_filter_leave(k, blob->code_end, &implant, &regs, &left);
		assert_int_equal(left.kind, DMP_FILTER_LEFT_NOWHERE);
		dmp_filter_leave(k, ~0u, &implant, &regs, &left);
		assert_int_equal(left.kind, DMP_FILTER_LEFT_NOWHERE);
		assert_true(regs.rip == 1234);
		assert_int_equal(blob->row[0].offset, 0);
		for (i = 1; i < blob->rows; i++)
			assert_true(blob->row[i].offset > blob->row[i - 1].offset);
		assert_true(blob->row[i - 1].offset < blob->code_end);
	}
}

#define BOTH(test) \
	{ #test, test, NULL, NULL, &guarded_too[0] }, \
	{ #test ", without the private region", test, NULL, NULL, &guarded_too[1] }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_install),
		cmocka_unit_test(test_rows),
		BOTH(test_cost),
		BOTH(test_return),
		BOTH(test_cases),
		BOTH(test_interrupted),
		BOTH(test_raced),
	};

	seed = env("DMP_SEED", env("DMP_RUN_SEED", (unsigned long long)time(NULL)));
	print_message("DMP_SEED=%llu DMP_STEPS=%llu\n", seed, env("DMP_STEPS", CASES));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
