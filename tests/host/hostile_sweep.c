// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of hostile: little but stores to page tables by instructions that
 * are replaced, and faults that the filter sees, over and over, for a host that
 * interrupts it at each instruction of the implant. Few exits, so that most of
 * its time goes there: sites return, user code ends with a division by zero. And
 * NMIs, which find it in its own code, whatever the host has interrupted.
 */
#include <stdbool.h>

#include "hostile_guest.h"

#define ROUNDS		40		/* of a lap */
#define LAPS		1000		/* between two questions to the host */
#define CHILD		(PA_SPARE + 0x6000)	/* a table, linked and not */

/* Shapes, and where in them the instruction that is replaced is. */
static const struct { u8 shape, at; } kinds[] = {
	{ 0, 0 }, { 1, 0 }, { 3, 0 }, { 5, 0 }, { 6, 3 }, { 7, 0 }, { 9, 0 },
	{ 10, 0 }, { 11, 0 }, { 12, 0 }, { 13, 0 }, { 14, 0 },
};
/* And the flush, which is not one of them. */
#define SITES	(ARRAY_SIZE(kinds) + 1)
static u64 site[SITES], store_site, compare_site, sum;

static const struct shape *shape_of(u32 i)
{
	return i < ARRAY_SIZE(kinds) ? &shapes[kinds[i].shape] : &cr3_shape;
}

/* Inside of @shape, which is at @at, but not where an instruction begins. */
static bool is_within(u64 rip, u64 at, const struct shape *shape)
{
	return at && rip - at < shape->len && !(shape->entries >> (rip - at) & 1);
}

static bool is_own(u64 rip)
{
	u32 i;

	for (i = 0; i < SITES; i++)
		if (is_within(rip, site[i], shape_of(i)))
			return false;
	return !is_within(rip, store_site, &shapes[2]) &&
	       (rip - KERNEL < KERNEL_BYTES || rip - CODE < CODE_PAGES * 4096 ||
		rip - USER < USER_PAGES * 4096);
}

void nmi_seen(u64 rip)
{
	shared->nmis++;
	if (is_own(rip))
		return;
	shared->strays++;
	shared->stray = rip;
}

static void fold(u64 word) { sum = (sum ^ word) * 0x9e3779b97f4a7c15ull; }

/* By the site "mov %rsi, (%rdi); ret". */
static void store(u64 *entry, u64 value)
{
	__asm__ volatile("call *%0" :: "r"(store_site), "D"(entry), "S"(value)
			 : "memory");
}

static void use(u64 va, u64 word)
{
	flush_page(va);
	fold(*(volatile u64 *)va);
	*(volatile u64 *)(va + 8) = word;
}

static void leaf(u32 round)
{
	u64 va = WINDOW + (16 + round % 8) * 4096, *entry = entry_of(va, 1);

	store(entry, pte_value(round));
	use(va, sum);
	store(entry, pte_value(round) & ~PTE_RW);
	flush_page(va);
	fold(*(volatile u64 *)va);
	store(entry, 0);
}

/* A level-1 table comes and goes, filled before and after it is linked. */
static void links(u32 round)
{
	u64 va = WINDOW + 0x400000, *link = entry_of(va, 2), *table = direct(CHILD);

	store(&table[round & 7], pte_value(round));
	store(link, CHILD | PTE_LINK);
	use(va + (round & 7) * 4096, sum);
	store(&table[8], pte_value(round + 3));
	use(va + 8 * 4096, sum);
	store(&table[8], 0);
	store(&table[round & 7], 0);
	store(link, 0);
	flush_page(va);
}

/* movb (%rbx), %al, or to it: A, then D, then nothing to be done. */
static void users(u32 round)
{
	u64 va = USER + 0x4000, *entry = entry_of(va, 1);
	struct cpu cpu;
	u32 i;

	for (i = 0; i < 6; i++) {
		if (i % 3 == 0) {
			store(entry, 0);
			store(entry, (PA_USER + 0x4000) | PTE_P | PTE_US |
			      (round & 1 ? PTE_RW : 0) | (round & 2 ? PTE_D : 0));
			flush_page(va);
		}
		start_user(&cpu, USER + (i & 1) * 8);
		cpu.r[RBX] = va + round % 4096;
		run(&cpu);
		fold(cpu.vector | cpu.error << 16);
		fold(cpu.rip);
		fold(*entry);
	}
}

/* One present entry replaced by another, or made writable, asks the VMM: rare. */
static void call_site(u64 rip, u64 value, u32 present)
{
	u64 ax = value, cx = value >> 7, dx = value ^ PTE_RW, bx = DIRECT + PA_DATA,
	    si = rip == compare_site && !present ? 0 : value, flags;
	register u64 r8 __asm__("r8") = value >> 3;
	register u64 r9 __asm__("r9") = value >> 5;
	register u64 r10 __asm__("r10") = value >> 9;
	register u64 r11 __asm__("r11") = 0;

	store(&TARGET[0], present ? value ^ PTE_RW : 0);
	store(&TARGET[2], present ? value : 0);
	__asm__ volatile("call *%[rip]\n\tpushfq\n\tpopq %[flags]"
			 : "+a"(ax), "+c"(cx), "+d"(dx), "+b"(bx), "+S"(si),
			   "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r11),
			   [flags] "=&r"(flags)
			 : [rip] "r"(rip), "D"(TARGET) : "memory", "cc");
	fold(ax);
	fold(cx);
	fold(dx);
	fold(bx);
	fold(si);
	fold(r8);
	fold(r9);
	fold(r10);
	fold(r11);
	fold(flags);
	fold(*TARGET & ~(PTE_A | PTE_D));
	fold(TARGET[2] & ~(PTE_A | PTE_D));	/* that of shape 0 */
}

/* Each lap is as the one before. */
static u64 lap(void)
{
	u32 i, k;

	sum = 0;
	for (i = 0; i < DATA_PAGES; i++)
		for (k = 0; k < 2; k++)
			((volatile u64 *)direct(PA_DATA + i * 4096))[k] = i;
	for (i = 0; i < ROUNDS; i++) {
		leaf(i);
		links(i);
		users(i);
		for (k = 0; k < SITES; k++)
			call_site(site[k], pte_value(i + k), (i + k) % 16 == 0);
	}
	return sum;
}

/* With a RET in the place of its UD2. */
static u64 place_returning(const struct shape *shape, u64 at, u64 skip)
{
	u64 rip = place(shape, at);
	volatile u8 *end = direct(PA_CODE + at + (shape->end - shape->code));

	end[-2] = 0xc3;
	end[-1] = 0xcc;
	train(rip + skip);
	want_site(rip + skip, WANT_SPLICED);
	return rip;
}

void test_sweep(void)
{
	/* mov (%rbx), %al; xor %ecx, %ecx; div %ecx; the other way round; ... */
	static const u8 code[] = { 0x8a, 0x03, 0x31, 0xc9, 0xf7, 0xf1, 0x0f, 0x0b,
				   0x88, 0x03, 0x31, 0xc9, 0xf7, 0xf1, 0x0f, 0x0b };
	u64 first, odd = 0;
	u32 i;

	tss.ist[2] = (u64)nmi_stack + STACK_BYTES;
	set_gate(&idt[2], nmi_entry, 3, 0);
	engage();
	memcpy(direct(PA_USER), code, sizeof(code));
	store_site = place_and_train(&shapes[2], 0);
	for (i = 0; i < SITES; i++)
		site[i] = place_returning(shape_of(i), 0x1000 + i * 0x100,
					  i < ARRAY_SIZE(kinds) ? kinds[i].at : 0);
	compare_site = site[4];
	lap();				/* the first may find other A and D */
	first = lap();
	ask_with(PORT_SWEEP, SWEEP_BEGIN, 0);
	for (;;) {
		ask_with(PORT_SWEEP, SWEEP_MORE, 0);
		if (!shared->ready)
			break;
		for (i = 0; i < LAPS; i++)
			odd += lap() != first;
	}
	ask_with(PORT_SWEEP, SWEEP_END, 0);
	mark(1);
	put(first);
	mark(2);
	put(odd);
	for (i = 0; i < 8; i++) {
		mark(3 + i);
		put_memory(direct(PA_DATA + i * 8 * 4096), 8 * 4096);
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}
