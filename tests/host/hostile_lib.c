// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of hostile: its library and its tests' list.
 */
#include "hostile_guest.h"

volatile struct shared *const shared = (void *)(DIRECT + PA_SHARED);
extern u8 vector_entries[];
extern u64 gdt[];

void ask_with(u16 port, u64 a, u64 b)
{
	shared->arg[0] = a;
	shared->arg[1] = b;
	ask(port);
}

void put(u64 word)
{
	u64 *log = direct(PA_LOG);

	if (shared->logged < LOG_WORDS)
		log[shared->logged++] = word;
}

void mark(u32 what)
{
	put(MARK | what);
	shared->marks++;
}

static u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

void put_memory(const void *at, u64 bytes)
{
	const volatile u8 *byte = at;
	u64 hash = bytes;

	while (bytes--)
		hash = mix(hash, *byte++);
	put(hash);
}

/* Addresses relative to @base, where the guest's own are the same anyway. */
void put_run(const struct cpu *cpu, u64 base)
{
	u32 i;

	put(cpu->vector | cpu->error << 16);
	put(cpu->rip - base);
	/* RF: QEMU's own faults do not push it, those that KVM injects do. */
	put(cpu->rflags & ~0x10000ull);
	put(cpu->rsp);
	put(cpu->cs | cpu->ss << 16);
	if (cpu->vector == 14)
		put(cpu->cr2);
	for (i = 0; i < 16; i++)
		if (i != RSP)
			put(cpu->r[i]);
	/* The engine sets A and D of the kernel's entries at once. */
	put(*TARGET & ~(PTE_A | PTE_D));
}

static void engage_as(u64 loose)
{
	shared->ready = 0;
	while (!shared->ready)
		ask_with(PORT_READY, loose, 0);
}

void engage(void) { engage_as(0); }
void engage_loose(void) { engage_as(1); }

void want_site(u64 rip, enum want want) { ask_with(PORT_SITE, rip, want); }
void want_state(enum want_state want) { ask_with(PORT_STATE, want, 0); }

u64 *entry_of(u64 va, u32 level)
{
	u64 *table = direct(read_cr3() & PTE_ADDR);
	u32 at = 4;

	for (;; at--) {
		u64 *entry = &table[va >> (12 + 9 * (at - 1)) & 511];

		if (at == level)
			return entry;
		table = direct(*entry & PTE_ADDR);
	}
}

void map(u64 va, u64 pa, u64 flags)
{
	*(volatile u64 *)entry_of(va, 1) = pa | flags;
	flush_page(va);
}

void set_gate(struct gate *g, const void *entry, u32 ist, u32 dpl)
{
	u64 at = (u64)entry;

	*g = (struct gate){
		.low = at, .mid = at >> 16, .high = at >> 32,
		.selector = SEL_CS, .ist = ist, .type = 0x8e | dpl << 5,
	};
}

void load_idt(const struct gate *table, u16 limit)
{
	struct pointer p = { limit, (u64)table };

	__asm__ volatile("lidt %0" :: "m"(p) : "memory");
}

static void set_tables(void)
{
	struct pointer p = { 8 * 8 - 1, (u64)gdt };
	u64 base = (u64)&tss;
	u32 i;

	tss.rsp[0] = (u64)trap_stack + STACK_BYTES;
	tss.ist[0] = (u64)trap_stack + STACK_BYTES;
	tss.ist[1] = (u64)pf_stack + STACK_BYTES;
	tss.iomap = sizeof(tss);
	gdt[6] = 0x67 | (base & 0xffffff) << 16 | 0x89ull << 40 |
		 (base >> 24 & 0xff) << 56;
	gdt[7] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %w1" :: "m"(p), "r"(SEL_TSS) : "memory");
	for (i = 0; i < 256; i++)
		set_gate(&idt[i], vector_entries + 16 * i, 1, i == 3 ? 3 : 0);
	set_gate(&idt[14], pf_entry, 0, 0);
	load_idt(idt, 4095);
}

u64 rnd(void)
{
	u64 x = shared->seed;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	shared->seed = x;
	return x;
}

/* Not a compound: the compiler would call memcpy(). */
void start(struct cpu *cpu, u64 rip)
{
	u32 i;

	for (i = 0; i < 16; i++)
		cpu->r[i] = 0x0101010101010101ull * (i + 1);
	cpu->r[RDI] = (u64)TARGET;
	cpu->r[RSI] = pte_value(rip);
	cpu->r[RDX] = pte_value(rip + 1);
	cpu->r[RBX] = DIRECT + PA_DATA + 0xe00;
	cpu->r[R11] = 0;
	cpu->rip = rip;
	cpu->cs = SEL_CS;
	cpu->ss = SEL_SS;
	cpu->rflags = 2;
	cpu->rsp = (u64)run_stack + STACK_BYTES - 64;
	*(volatile u64 *)cpu->rsp = (u64)landing;
	*(volatile u64 *)(cpu->rsp - 8) = 0;
}

void start_user(struct cpu *cpu, u64 rip)
{
	start(cpu, rip);
	cpu->cs = SEL_UCS;
	cpu->ss = SEL_UDS;
	cpu->rsp = USER + 0x1ff0;
}

u64 pte_value(u32 i)
{
	return (PA_DATA + i % DATA_PAGES * 4096) | PTE_KERNEL;
}

static void fill(volatile u8 *at, u8 byte, u64 bytes)
{
	while (bytes--)
		*at++ = byte;
}

u64 place(const struct shape *shape, u64 at)
{
	volatile u8 *to = direct(PA_CODE + at);
	u64 i, size = shape->end - shape->code;

	for (i = 0; i < size; i++)
		to[i] = shape->code[i];
	fill(to + size, 0xcc, 16);
	return CODE + at;
}

void train(u64 rip)
{
	struct cpu cpu;
	u32 i;

	for (i = 0; i < TRAPS; i++) {
		*TARGET = pte_value(i + 9);
		start(&cpu, rip);
		cpu.r[RSI] = cpu.r[RAX] = pte_value(i);
		run(&cpu);
	}
}

u64 place_and_train(const struct shape *shape, u64 at)
{
	u64 rip = place(shape, at), site = rip + (shape == &shapes[6] ? 3 : 0);

	train(site);
	/* Refused: two boundaries that leave no room; what is on two pages. */
	want_site(site, shape == &shapes[NARROW] || (site & 0xfff) > 0xffa ?
			WANT_KNOWN : WANT_SPLICED);
	return rip;
}

/* Order as in hostile.c. */
static void (*const tests[])(void) = {
	test_jumps, test_steps, test_rewrite, test_whole_page, test_own_page,
	test_overlap, test_inside, test_alias, test_ordinary, test_stores, test_reuse, test_remap,
	test_addresses_read, test_addresses_public, test_addresses_private,
	test_idt_copy, test_idt_gate, test_idt_page, test_idt_ist, test_idt_dpl,
	test_soft_int, test_stack, test_stack_table, test_user, test_fetches, test_user_tables, test_control,
	test_flags, test_handler_odd, test_random,
	test_sweep,
};

void guest_main(void)
{
	set_tables();
	tests[shared->test]();
	ask(PORT_END);
	for (;;)
		ask(PORT_RELOAD);
}

/* The compiler's. */
void *memcpy(void *to, const void *from, unsigned long bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) :: "memory");
	return to;
}

void *memset(void *to, int byte, unsigned long bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(byte) : "memory");
	return to;
}
