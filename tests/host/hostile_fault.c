// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of hostile: faults, interrupts, descriptor tables, control
 * registers, and the addresses where an implant may be.
 */
#include "hostile_guest.h"

extern const u8 *const odd_handlers[];
extern const u32 odd_count;

/* Where the implant is, with this guest: 2 MiB at PUBLIC; the filter first. */
#define PUBLIC	((((u64)pf_entry & ~0xfffull) - 0x38000000 + 0x1fffff) & ~0x1fffffull)
#define PRIVATE	0xffff800000000000ull


static void run_bytes(struct cpu *cpu, const u8 *bytes, u32 count)
{
	volatile u8 *to = direct(cpu->cs == SEL_CS ? PA_CODE + 0xe000 : PA_USER);
	u32 i;

	for (i = 0; i < 32; i++)
		to[i] = i < count ? bytes[i] : (i - count) & 1 ? 0x0b : 0x0f;
	cpu->rip = cpu->cs == SEL_CS ? CODE + 0xe000 : USER;
	run(cpu);
	put_run(cpu, cpu->cs == SEL_CS ? CODE + 0xe000 : USER);
}

#define BYTES(...)	(const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ })

static void kernel_bytes(const u8 *bytes, u32 count)
{
	struct cpu cpu;

	start(&cpu, 0);
	cpu.r[RBX] = BARE;
	run_bytes(&cpu, bytes, count);
}

static void user_bytes(const u8 *bytes, u32 count)
{
	struct cpu cpu;

	start_user(&cpu, 0);
	cpu.r[RBX] = BARE;
	run_bytes(&cpu, bytes, count);
}

/* Some faults, of both modes, and a site. */
static void some_faults(u64 rip)
{
	struct cpu cpu;

	kernel_bytes(BYTES(0x48, 0x8b, 0x03));
	kernel_bytes(BYTES(0x48, 0x89, 0x03));
	user_bytes(BYTES(0x48, 0x8b, 0x03));
	user_bytes(BYTES(0xff, 0xe3));
	start(&cpu, rip);
	run(&cpu);
	put_run(&cpu, rip);
	/* A and D of the user's are exact. */
	map(USER + 0x4000, PA_USER + 0x4000, PTE_P | PTE_RW | PTE_US);
	start_user(&cpu, 0);
	cpu.r[RBX] = USER + 0x4010;
	run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
	put(*entry_of(USER + 0x4000, 1));
	start_user(&cpu, 0);
	cpu.r[RBX] = USER + 0x4010;
	run_bytes(&cpu, BYTES(0x48, 0x89, 0x03));
	put(*entry_of(USER + 0x4000, 1));
}

static void user_at(u64 va)
{
	struct cpu cpu;
	u32 i;

	for (i = 0; i < 4; i++) {
		start_user(&cpu, 0);
		cpu.r[RBX] = va;
		if (i == 0)
			run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
		else if (i == 1)
			run_bytes(&cpu, BYTES(0x48, 0x89, 0x03));
		else if (i == 2)
			run_bytes(&cpu, BYTES(0xf0, 0x48, 0xff, 0x03));
		else
			run_bytes(&cpu, BYTES(0xff, 0xe3));
	}
}

/* User space finds nothing where the implant is. */
void test_addresses_read(void)
{
	u64 rip, i;

	engage();
	rip = place_and_train(&shapes[1], 0);
	for (i = 0; i < 8; i++) {
		mark(i);
		user_at(PUBLIC + i * 0x1000 + 8);
	}
	for (i = 0; i < 1024; i += 37) {
		mark(0x100 | i);
		user_at(PUBLIC + i * 0x20000);
	}
	mark(0x2000);
	user_at(PRIVATE);
	user_at(PRIVATE + PA_DATA);
	user_at(PRIVATE + (1ull << 39));
	user_at(PRIVATE + (1ull << 39) + 24 * 100);
	user_at(PRIVATE + (2ull << 39));
	user_at(KERNEL);
	user_at(DIRECT);
	mark(0x3000);
	some_faults(rip);
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

/* The guest wants the addresses for itself. */
static void use_address(u64 va, u32 order)
{
	u64 *pd = direct(PA_SPARE + 0x1000), *l1 = direct(PA_SPARE + 0x2000);
	u64 *pdpt = direct(PA_SPARE + 0x3000);
	u32 top = va >> 39 == PRIVATE >> 39 || va >> 39 == (PRIVATE >> 39) + 1;
	u32 i;

	memset(pd, 0, 4096);
	memset(l1, 0, 4096);
	memset(pdpt, 0, 4096);
	for (i = 0; i < 3; i++) {
		switch (order ? 2 - i : i) {
		case 0:
			l1[va >> 12 & 511] = (PA_DATA + 0x5000) | PTE_KERNEL;
			break;
		case 1:
			pd[va >> 21 & 511] = (PA_SPARE + 0x2000) | PTE_LINK;
			break;
		case 2:
			pdpt[va >> 30 & 511] = (PA_SPARE + 0x1000) | PTE_LINK;
			if (top)
				*(volatile u64 *)entry_of(va, 4) =
					(PA_SPARE + 0x3000) | PTE_LINK;
			else
				*(volatile u64 *)entry_of(va, 3) =
					(PA_SPARE + 0x1000) | PTE_LINK;
			break;
		}
	}
	for (i = 0; i < 512; i++)
		((volatile u64 *)va)[i] = i * 77 + order;
	put_memory((void *)va, 4096);
	put_memory(direct(PA_DATA + 0x5000), 4096);
}

static void unuse_address(u64 va)
{
	u32 top = va >> 39 == PRIVATE >> 39 || va >> 39 == (PRIVATE >> 39) + 1;

	*(volatile u64 *)entry_of(va, top ? 4 : 3) = 0;
	write_cr3(read_cr3());
}

static void conflict(u64 va, enum want_state want)
{
	u32 order;
	u64 rip;

	for (order = 0; order < 2; order++) {
		mark((va >> 12 & 0xffff) | order << 16);
		engage();
		rip = place_and_train(&shapes[1], 0);
		use_address(va, order);
		want_state(want);
		some_faults(rip);
		/* Elsewhere now, as long as the guest has something there. */
		engage();
		rip = place_and_train(&shapes[2], 0x200);
		put_memory((void *)va, 4096);
		((volatile u64 *)va)[3] = 0x4711;
		put_memory(direct(PA_DATA + 0x5000), 4096);
		some_faults(rip);
		want_state(STATE_ENGAGED);
		ask(PORT_AUDIT);
		unuse_address(va);
		some_faults(rip);
	}
}

void test_addresses_public(void)
{
	conflict(PUBLIC, STATE_ADDRESS);
	conflict(PUBLIC + 0x1000, STATE_ADDRESS);
}

void test_addresses_private(void)
{
	/* The window shows no memory that the VM does not use: both have room. */
	conflict(PRIVATE, STATE_ENGAGED);
	conflict(PRIVATE + (1ull << 39) + 0x3000, STATE_ADDRESS);
}

/*
 * ---- The IDT ----
 */

/* LIDT: a copy with the same gate, one with another handler, a short one. */
void test_idt_copy(void)
{
	u64 rip;
	u32 i;

	for (i = 0; i < 3; i++) {
		mark(i);
		memcpy(idt2, idt, 4096);
		if (i)
			set_gate(&idt2[14], pf_entry_b, 0, 0);
		engage();
		rip = place_and_train(&shapes[1], i * 0x100);
		load_idt(idt2, i == 2 ? 15 * 16 - 1 : 4095);
		want_state(STATE_HANDLER);
		some_faults(rip);
		engage();
		some_faults(rip);
		train(rip);
		some_faults(rip);
		want_state(STATE_ENGAGED);
		load_idt(idt, 4095);
		some_faults(rip);
	}
}

/* The gate, and its neighbours, written in place. */
void test_idt_gate(void)
{
	volatile u32 *gate = (void *)&idt[14];
	struct gate b;
	u64 rip, i;

	set_gate(&b, pf_entry_b, 0, 0);
	for (i = 0; i < 5; i++) {
		mark(i);
		engage();
		rip = place_and_train(&shapes[1], i * 0x100);
		switch (i) {
		case 0:			/* others */
			idt[13] = idt[13];
			set_gate(&idt[15], landing, 1, 0);
			set_gate(&idt[0x80], landing, 1, 3);
			user_bytes(BYTES(0xcd, 0x80));
			break;
		case 1:			/* the same */
			idt[14] = idt[14];
			break;
		case 2:
			idt[14] = b;
			break;
		case 3:			/* where it leads to, its first half */
			gate[0] = (gate[0] & 0xffff0000) | ((u32)(u64)pf_entry & 0xffff);
			break;
		case 4:			/* an IST */
			((volatile u8 *)gate)[4] = 2;
			break;
		}
		some_faults(rip);
		want_state(i < 2 ? STATE_ENGAGED : STATE_HANDLER);
		engage();
		some_faults(rip);
		train(rip);
		some_faults(rip);
		want_state(STATE_ENGAGED);
		ask(PORT_AUDIT);
	}
	set_gate(&idt[14], pf_entry, 0, 0);
}

/* Another frame where the IDT is. */
void test_idt_page(void)
{
	struct gate *copy = direct(PA_SPARE + 0x4000);
	u64 rip, was = *entry_of((u64)idt, 1);
	u32 i;

	for (i = 0; i < 4; i++) {
		mark(i);
		memcpy(copy, idt, 4096);
		if (i & 1)
			set_gate(&copy[14], pf_entry_b, 0, 0);
		engage();
		rip = place_and_train(&shapes[1], i * 0x100);
		if (i & 2) {
			/* Changed by the direct map only: the same frame. */
			struct gate *alias = direct(PA_KERNEL + ((u64)idt - KERNEL));

			alias[14] = copy[14];
		} else {
			map((u64)idt, PA_SPARE + 0x4000, PTE_KERNEL);
		}
		some_faults(rip);
		want_state(i == 2 ? STATE_ENGAGED : STATE_HANDLER);
		engage();
		some_faults(rip);
		ask(PORT_AUDIT);
		map((u64)idt, was & PTE_ADDR, PTE_KERNEL);
		set_gate(&idt[14], pf_entry, 0, 0);
		some_faults(rip);
	}
}

void test_idt_ist(void)
{
	u64 rip;

	set_gate(&idt[14], pf_entry, 2, 0);
	engage();
	rip = place_and_train(&shapes[1], 0);
	some_faults(rip);
	train(rip);
	some_faults(rip);
	/* The handler's stack is on a page of its own, lost and found. */
	*(volatile u64 *)pf_stack = 0;
	some_faults(rip);
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
	set_gate(&idt[14], pf_entry, 0, 0);
}

/*
 * User mode may enter the handler by INT $14, which pushes no error code. A
 * handler that is for it is not the one that is spliced.
 */
void test_idt_dpl(void)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		mark(i);
		set_gate(&idt[14], i ? soft_entry : pf_entry, 0, 3);
		engage_loose();
		train(place(&shapes[1], 0));
		user_bytes(BYTES(0xcd, 0x0e));
		user_bytes(BYTES(0x48, 0x8b, 0x03));
		user_bytes(BYTES(0xcd, 0x0e));
		kernel_bytes(BYTES(0xcd, 0x0e));
		want_state(STATE_ANY);
	}
	set_gate(&idt[14], pf_entry, 0, 0);
}

void test_soft_int(void)
{
	u64 rip;
	u32 i;

	engage();
	rip = place_and_train(&shapes[1], 0);
	set_gate(&idt[0x80], landing, 1, 3);
	for (i = 0; i < 2; i++) {
		void (*bytes)(const u8 *, u32) = i ? user_bytes : kernel_bytes;

		mark(i << 8);
		bytes(BYTES(0xcc));
		bytes(BYTES(0xcd, 0x03));
		bytes(BYTES(0xf1));
		mark(i << 8 | 1);
		bytes(BYTES(0x66, 0xcc));
		bytes(BYTES(0xf3, 0xcc));
		bytes(BYTES(0x48, 0xcc));
		mark(i << 8 | 2);
		bytes(BYTES(0x66, 0xcd, 0x03));
		bytes(BYTES(0x48, 0xcd, 0x03));
		bytes(BYTES(0xcd, 0x20));
		bytes(BYTES(0xcd, 0x80));
		bytes(BYTES(0xcd, 0x0d));
		bytes(BYTES(0xcd, 0x08));
		mark(i << 8 | 3);
		bytes(BYTES(0xcd, 0x0e));
		bytes(BYTES(0x90, 0xcd, 0x0e));
		bytes(BYTES(0x66, 0xcd, 0x0e));
		mark(i << 8 | 4);
		some_faults(rip);
	}
	set_gate(&idt[0x80], landing, 1, 0);
	want_state(STATE_ANY);
}

/*
 * ---- Stacks ----
 */

void test_stack(void)
{
	static const u64 rsp[] = {
		BARE, BARE + 0xff8, 0x0000900000000000ull, 0x10, KERNEL,
		0xffffffffffffffffull,
	};
	struct cpu cpu;
	u64 rip, i;

	for (i = 0; i < 2 * ARRAY_SIZE(rsp) + 2; i++) {
		/* KVM gives #GP where hardware, and mode on, have a #DF. */
		if (i == 4)
			continue;
		mark(i);
		engage();
		rip = place_and_train(&shapes[1], 0);
		start(&cpu, 0);
		cpu.r[RBX] = BARE + 0x2000;
		cpu.rsp = i < 2 * ARRAY_SIZE(rsp) ? rsp[i / 2] : PUBLIC + 0x800;
		if (i & 1)
			run_bytes(&cpu, BYTES(0x53));
		else
			run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
		want_state(STATE_ANY);
		some_faults(rip);
	}
}

/* The kernel's stack is a page table; the CPU itself writes it. */
void test_stack_table(void)
{
	struct cpu cpu;
	u32 i;
	u64 rip;

	for (i = 0; i < 4; i++) {
		mark(i);
		engage();
		rip = place_and_train(&shapes[1], 0);
		start(&cpu, 0);
		cpu.r[RBX] = BARE + 0x2000;
		cpu.rsp = DIRECT + PA_WINDOW_L1 + 0x800;
		if (i == 0)
			run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
		else if (i == 1)
			run_bytes(&cpu, BYTES(0x53, 0x53, 0x59, 0xcc));
		else if (i == 2)
			run_bytes(&cpu, BYTES(0x48, 0x89, 0x37, 0x48, 0x8b, 0x03));
		else
			run_bytes(&cpu, BYTES(0x9c, 0xe8, 0, 0, 0, 0, 0x5a, 0xcc));
		put_memory(direct(PA_WINDOW_L1 + 0x7c0), 0x40);
		memset(direct(PA_WINDOW_L1 + 0x780), 0, 0x100);
		want_state(STATE_ANY);
		some_faults(rip);
	}
}

/*
 * ---- User mode ----
 */

void test_user(void)
{
	static const u64 to[] = {
		KERNEL, CODE, 0, 0x0000800000000000ull, 0x8000000000000000ull,
		BARE, WINDOW, DIRECT + PA_DATA, (u64)pf_entry, (u64)landing,
	};
	static const u64 rights[] = {
		PTE_P | PTE_US, PTE_P | PTE_US | PTE_NX, PTE_P | PTE_RW,
		PTE_P | PTE_RW | PTE_US, PTE_RW | PTE_US, PTE_P,
		PTE_P | PTE_RW | PTE_US | 1ull << 51, PTE_P | PTE_RW | PTE_US | PTE_A,
		PTE_P | PTE_RW | PTE_US | PTE_NX | PTE_A | PTE_D,
		PTE_P | PTE_US | PTE_D,
	};
	struct cpu cpu;
	u64 rip, i, k;

	engage();
	rip = place_and_train(&shapes[1], 0);
	for (i = 0; i < ARRAY_SIZE(to); i++) {
		mark(i);
		start_user(&cpu, to[i]);
		run(&cpu);
		put_run(&cpu, to[i]);
		start_user(&cpu, 0);
		cpu.r[RBX] = to[i];
		run_bytes(&cpu, BYTES(0xff, 0xe3));
	}
	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		for (k = 0; k < 5; k++) {
			mark(0x100 | i << 4 | k);
			map(USER + 0x4000, PA_USER + 0x4000, rights[i]);
			start_user(&cpu, 0);
			cpu.r[RBX] = USER + 0x4018;
			if (k == 3)
				cpu.cs = SEL_UCS32;	/* INC EAX; MOV (EBX), EAX */
			if (k == 4) {
				cpu.cs = SEL_CS;	/* the kernel does it */
				cpu.ss = SEL_SS;
				cpu.rsp = (u64)run_stack + STACK_BYTES - 64;
			}
			if (k == 0 || k == 4)
				run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
			else if (k == 1)
				run_bytes(&cpu, BYTES(0x48, 0x01, 0x03));
			else if (k == 2)
				run_bytes(&cpu, BYTES(0xff, 0xe3));
			else
				run_bytes(&cpu, BYTES(0x40, 0x8b, 0x03, 0x89, 0x03));
			put(*entry_of(USER + 0x4000, 1) &
			    ~(rights[i] & PTE_US ? 0 : PTE_A | PTE_D));
		}
	}
	some_faults(rip);
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

/* One page of VA's by its entry of level 2; the L1 behind has U, D and no A. */
#define FETCH_VA	(USER + 0x400000)
#define FETCH_L1	(PA_SPARE + 0x6000)

static void fetch(u64 i, u64 link, u64 rip)
{
	u64 *l1 = direct(FETCH_L1);
	struct cpu cpu;
	u32 k;

	*(volatile u64 *)entry_of(FETCH_VA, 2) = FETCH_L1 | link;
	write_cr3(read_cr3());
	for (k = 0; k < 20; k++) {
		start_user(&cpu, rip);
		run(&cpu);
	}
	put_run(&cpu, FETCH_VA);
	put(l1[i]);
	put(l1[i + 1]);
}

static void fetches(void)
{
	u64 *l1 = direct(FETCH_L1), i;

	for (i = 0; i < 512; i++)
		l1[i] = (PA_USER + i % USER_PAGES * 4096) | PTE_P | PTE_RW | PTE_US | PTE_D;
	/* Where user mode may not fetch. */
	for (i = 0; i < 64; i++) {
		mark(i);
		fetch(i, PTE_P | PTE_RW | PTE_A, FETCH_VA + i * 4096 + i);
	}
	/* INT $0x80 at the end of a page: nothing is fetched behind it. */
	for (i = 64; i < 512; i += USER_PAGES) {
		mark(i);
		fetch(i, PTE_P | PTE_RW | PTE_US | PTE_A, FETCH_VA + i * 4096 + 4096 - 2);
	}
	*(volatile u64 *)entry_of(FETCH_VA, 2) = 0;
	write_cr3(read_cr3());
}

/*
 * A is set where the CPU has fetched, and nowhere else, whoever looks at what is
 * there (the monitor does): before the VM is engaged, and then.
 */
void test_fetches(void)
{
	u64 rip;

	memcpy(direct(PA_USER + 4096 - 2), "\xcd\x80", 2);
	set_gate(&idt[0x80], landing, 1, 3);
	fetches();
	engage();
	rip = place_and_train(&shapes[1], 0);
	fetches();
	some_faults(rip);
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
	set_gate(&idt[0x80], landing, 1, 0);
}

/* Page tables in use are user space's memory, too: the root, and one of level 1. */
void test_user_tables(void)
{
	static const u64 rights[] = {
		PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D, PTE_P | PTE_RW | PTE_US | PTE_A,
		PTE_P | PTE_RW | PTE_US, PTE_P | PTE_US | PTE_A,
	};
	/* Of RAX, to where RBX is. */
	static const u8 mov[] = { 0x48, 0x89, 0x03 }, xchg[] = { 0x48, 0x87, 0x03 };
	volatile u64 *memory = direct(PA_DATA), *table = direct(PA_WINDOW_L1);
	u64 rip, i, k, root = read_cr3() & PTE_ADDR;
	struct cpu cpu;

	for (i = 0; i < DATA_PAGES; i++)
		memory[i * 512 + 1] = 0xda7a0000 + i;
	engage();
	rip = place_and_train(&shapes[1], 0);
	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		for (k = 0; k < 8; k++) {
			mark(i << 8 | k);
			map(USER + 0x4000, k & 1 ? root : PA_WINDOW_L1, rights[i]);
			start_user(&cpu, 0);
			/* Entry 100 of the window's; the root has none there. */
			cpu.r[RBX] = USER + 0x4000 + 100 * 8;
			cpu.r[RAX] = k & 1 ? 0 : pte_value(i * 8 + k);
			run_bytes(&cpu, k & 2 ? xchg : mov, 3);
			put(table[100]);
			put(((u64 *)direct(root))[100]);
			flush_page(WINDOW + 100 * 4096);
			if (table[100] & PTE_P)
				put(*(volatile u64 *)(WINDOW + 100 * 4096 + 8));
		}
		put(*entry_of(USER + 0x4000, 1));
		some_faults(rip);
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

/*
 * ---- Control registers and flags ----
 */

#define MSR_EFER	0xc0000080u

static void efer(u32 clear, u32 set)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_EFER));
	__asm__ volatile("wrmsr" :: "c"(MSR_EFER), "a"((low & ~clear) | set), "d"(high)
			 : "memory");
}

static u32 cpuid7(void)
{
	u32 a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return b;
}

void test_control(void)
{
	u64 rip, i, cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
	u64 *copy = direct(PA_SPARE + 0x5000), *root = direct(cr3 & PTE_ADDR);
	u32 features = cpuid7();
	struct cpu cpu;

	for (i = 0; i < 9; i++) {
		mark(i);
		engage();
		rip = place_and_train(&shapes[1], 0);
		map(USER + 0x4000, PA_USER + 0x4000, PTE_P | PTE_US | PTE_A);
		switch (i) {
		case 0:
			write_cr0(cr0 & ~0x10000ull);
			*(volatile u64 *)(USER + 0x4000) = 0x55;
			some_faults(rip);
			write_cr0(cr0);
			break;
		case 1:
			write_cr4(cr4 ^ 0x80);
			some_faults(rip);
			write_cr4(cr4);
			break;
		case 2:			/* SMEP */
			if (features & 1 << 7)
				write_cr4(cr4 | 1 << 20);
			start(&cpu, USER + 0x10);
			run(&cpu);
			put_run(&cpu, USER);
			some_faults(rip);
			write_cr4(cr4);
			break;
		case 3:			/* SMAP; with AC, too */
			if (features & 1 << 20)
				write_cr4(cr4 | 1 << 21);
			start(&cpu, 0);
			cpu.r[RBX] = USER + 0x4000;
			run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
			start(&cpu, 0);
			cpu.r[RBX] = USER + 0x4000;
			cpu.rflags |= 1 << 18;
			run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
			start(&cpu, rip);
			cpu.rflags |= 1 << 18;
			run(&cpu);
			put_run(&cpu, rip);
			write_cr4(cr4);
			break;
		case 4:			/* NXE off: NX is a reserved bit */
			start(&cpu, CODE + 0xe000);
			cpu.r[RBX] = DIRECT + PA_DATA;
			memcpy(direct(PA_CODE + 0xe000), "\x48\x8b\x03\x0f\x0b", 5);
			efer(1 << 11, 0);
			run(&cpu);
			efer(0, 1 << 11);
			put_run(&cpu, CODE);
			break;
		case 5:
			write_cr3(cr3 | 0x18);
			put(read_cr3());
			some_faults(rip);
			write_cr3(cr3 | 0xfe7);
			put(read_cr3());
			some_faults(rip);
			write_cr3(cr3);
			break;
		case 6:			/* reserved */
			start(&cpu, 0);
			cpu.r[RBX] = cr3 | 1ull << 60;
			run_bytes(&cpu, BYTES(0x0f, 0x22, 0xdb));
			put(read_cr3());
			break;
		case 7:			/* another root */
			memcpy(copy, root, 4096);
			write_cr3(PA_SPARE + 0x5000);
			some_faults(rip);
			train(rip);
			write_cr3(cr3);
			some_faults(rip);
			write_cr3(PA_SPARE + 0x5000);
			some_faults(rip);
			write_cr3(cr3);
			memset(copy, 0x5a, 4096);
			break;
		case 8:			/* a root that is not RAM, or has nothing */
			some_faults(rip);
			break;
		}
		mark(i | 0x100);
		some_faults(rip);
		want_state(STATE_ANY);
	}
}

void test_flags(void)
{
	static const u64 flags[] = {
		1 << 18, 1 << 10, 1 << 14, 3 << 12, 1 << 16, 1 << 21, 0x8d5,
		1 << 9, 1 << 18 | 1 << 10 | 1 << 14 | 0x8d5,
	};
	struct cpu cpu;
	u64 rip, i;

	engage();
	rip = place_and_train(&shapes[1], 0);
	place_and_train(&shapes[3], 0x100);
	place_and_train(&shapes[6], 0x200);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		mark(i);
		start(&cpu, rip);
		cpu.rflags |= flags[i];
		run(&cpu);
		put_run(&cpu, rip);
		start(&cpu, CODE + 0x100);
		cpu.rflags |= flags[i];
		run(&cpu);
		put_run(&cpu, rip);
		start(&cpu, CODE + 0x200);
		cpu.rflags |= flags[i];
		run(&cpu);
		put_run(&cpu, rip);
		mark(i | 0x100);
		/* A table is written by what is no site yet; faults of its own. */
		start(&cpu, 0);
		cpu.rflags |= flags[i];
		cpu.r[RBX] = BARE;
		run_bytes(&cpu, BYTES(0x48, 0x89, 0x37, 0x48, 0x8b, 0x03));
		start(&cpu, 0);
		cpu.rflags |= flags[i];
		cpu.rsp -= 1;
		run_bytes(&cpu, BYTES(0x48, 0x89, 0x37, 0x53, 0xcc));
		start_user(&cpu, 0);
		cpu.rflags |= flags[i];
		cpu.r[RBX] = BARE;
		run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03));
		map(USER + 0x4000, PA_USER + 0x4000, PTE_P | PTE_RW | PTE_US);
		start_user(&cpu, 0);
		cpu.rflags |= flags[i];
		cpu.r[RBX] = USER + 0x4000;
		run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03, 0x48, 0x89, 0x03));
		map(USER + 0x4000, PA_USER + 0x4000, PTE_P | PTE_RW | PTE_US);
		start_user(&cpu, 0);
		cpu.rflags |= flags[i] | TF;
		cpu.r[RBX] = USER + 0x4000;
		run_bytes(&cpu, BYTES(0x48, 0x8b, 0x03, 0x48, 0x89, 0x03));
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

void test_handler_odd(void)
{
	u64 rip;
	u32 i;

	for (i = 0; i < odd_count; i++) {
		mark(i);
		set_gate(&idt[14], odd_handlers[i], 0, 0);
		engage_loose();
		rip = place(&shapes[1], i * 0x100);
		train(rip);
		some_faults(rip);
		train(rip);
		some_faults(rip);
		want_state(STATE_ANY);
	}
	set_gate(&idt[14], pf_entry, 0, 0);
}
