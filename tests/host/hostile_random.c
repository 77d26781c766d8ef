// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of hostile: a random mixture, the same for the same seed.
 */
#include "hostile_guest.h"

#define SPOTS	24		/* places for code */
#define STEPS	1500

static u64 spot_at(u32 i) { return (i & 7) * 4096 + (i >> 3) * 0x400 + (i & 3) * 3; }

static u8 *code_byte(u64 at) { return direct(PA_CODE + at); }

static void enter(u64 rip, u64 flags)
{
	struct cpu cpu;
	u32 i;

	start(&cpu, rip);
	cpu.r[RDI] = (u64)TARGET + rnd() % 8 * 8;
	cpu.r[RSI] = pte_value(rnd());
	cpu.rflags |= flags;
	run(&cpu);
	for (i = 0; flags & TF && cpu.vector == 1 && i < 5; i++) {
		cpu.rflags |= TF;
		run(&cpu);
	}
	put_run(&cpu, rip);
}

/* A byte of an instruction that is a boundary of @shape, or its beginning. */
static u32 boundary(const struct shape *shape)
{
	static const u8 at[] = { 0, 0, 0, 0, 3 };

	return shape == &shapes[1] || shape == &shapes[5] ||
	       shape == &shapes[6] ? at[rnd() % 5] : 0;
}

/* What was put at a place before is known; else the guest would run anything. */
static u8 shape_of[SPOTS];

static void random_spot(u32 i)
{
	shape_of[i] = rnd() % 7;
	place(&shapes[shape_of[i]], spot_at(i));
}

static void random_step(void)
{
	u32 i = rnd() % SPOTS, n, k;
	u64 at = spot_at(i), rip = CODE + at;
	u8 byte;

	switch (rnd() % 12) {
	case 0:
		random_spot(i);
		break;
	case 1:				/* an int3, run, and away */
		byte = *code_byte(at);
		*code_byte(at) = 0xcc;
		enter(rip, 0);
		*code_byte(at) = byte;
		break;
	case 2:
		enter(rip + boundary(&shapes[shape_of[i]]), TF);
		break;
	case 3:				/* the page goes and comes */
		map(rip & ~0xfffull, 0, 0);
		enter(rip, 0);
		map(rip & ~0xfffull, PA_CODE + (at & ~0xfffull), PTE_P | PTE_A);
		break;
	case 4:				/* copied, with what it shows */
		memcpy(code_byte(at), code_byte(at), 64);
		break;
	case 5:
		map(CODE2 + (at & ~0xfffull), PA_CODE + (at & ~0xfffull),
		    rnd() & 1 ? PTE_P | PTE_A : 0);
		enter(CODE2 + at, 0);
		break;
	case 6:
		write_cr3(read_cr3());
		break;
	default:
		n = rnd() % 30;
		for (k = 0; k < n; k++)
			enter(rip + boundary(&shapes[shape_of[i]]), 0);
		break;
	}
}

void test_random(void)
{
	u32 i;

	for (i = 0; i < SPOTS; i++)
		random_spot(i);
	engage();
	for (i = 0; i < STEPS; i++) {
		mark(i);
		random_step();
		if (i % 100 == 0) {
			put_memory(direct(PA_CODE), 8 * 4096);
			ask(PORT_AUDIT);
		}
	}
	want_state(STATE_ANY);
}
