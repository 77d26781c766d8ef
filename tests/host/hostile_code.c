// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of hostile: what it does to code that is spliced.
 */
#include "hostile_guest.h"

static u8 *code_byte(u64 at) { return direct(PA_CODE + at); }

static void put8(u64 at, u8 value) { *(volatile u8 *)code_byte(at) = value; }

/* One run of what is at @rip. */
static void try_at(u64 rip, u64 base)
{
	struct cpu cpu;

	*TARGET = pte_value(3);
	start(&cpu, rip);
	run(&cpu);
	put_run(&cpu, base);
}

/* Each shape entered everywhere, by IRETQ, JMP and RET. */
void test_jumps(void)
{
	struct cpu cpu;
	u32 s, k, way;
	u64 rip;

	engage();
	for (s = 0; s < shape_count; s++) {
		rip = place_and_train(&shapes[s], (s & 7) * 512 + (s >> 3) * 64);
		for (k = 0; k < shapes[s].len; k++) {
			if (!(shapes[s].entries >> k & 1))
				continue;
			for (way = 0; way < 3; way++) {
				mark(s << 16 | k << 8 | way);
				*TARGET = pte_value(3);
				start(&cpu, rip + k);
				jump_target = rip + k;
				if (way)
					cpu.rip = (u64)(way == 1 ? jump_to : return_to);
				run(&cpu);
				put_run(&cpu, rip);
			}
		}
		mark(s << 16 | 0xff00);
		put_memory(code_byte(0), 4096);
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

/* And with single steps. */
void test_steps(void)
{
	u32 s, k, step;
	struct cpu cpu;
	u64 rip;

	engage();
	for (s = 0; s < shape_count; s++) {
		rip = place_and_train(&shapes[s], (s & 7) * 512 + (s >> 3) * 64);
		for (k = 0; k < shapes[s].len; k++) {
			if (!(shapes[s].entries >> k & 1))
				continue;
			*TARGET = pte_value(3);
			start(&cpu, rip + k);
			for (step = 0; step < 8; step++) {
				mark(s << 16 | k << 8 | step);
				cpu.rflags |= TF;
				run(&cpu);
				put_run(&cpu, rip);
				if (cpu.vector != 1)
					break;
			}
		}
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

static void spell(u64 at, const u8 *bytes, u32 count)
{
	while (count--)
		put8(at++, *bytes++);
}

static void write64(u64 va, u64 value) { *(volatile u64 *)va = value; }

/* The shape "mov %rsi, (%rdi); mov %rdx, %rax; inc %rcx". */
void test_rewrite(void)
{
	static const u8 other[] = { 0x48, 0x89, 0x17 };		/* mov %rdx, (%rdi) */
	static const u8 longer[] = { 0x48, 0xc7, 0x47, 0x08, 0x77, 0x06, 0, 0 };
	static const u8 nops[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	const struct shape *shape = &shapes[1];
	u64 rip, at, i;
	u32 what;
	u8 was;

	engage();
	for (what = 0; what < 14; what++) {
		at = 0x1000 + what * 0x100 + (what == 9 ? 0x1000 - 0x900 - 4 : 0);
		if (what == 13)
			at = 0x3000;
		rip = place_and_train(shape, at);
		mark(what << 8);
		switch (what) {
		case 0:			/* another operand, one byte */
			put8(at + 2, 0x17);
			break;
		case 1:			/* a probe, and away again */
			was = *code_byte(at);
			put8(at, 0xcc);
			try_at(rip, rip);
			put8(at, was);
			break;
		case 2:			/* longer */
			spell(at, longer, sizeof(longer));
			break;
		case 3:			/* what is displaced */
			put8(at + 5, 0xd8);
			break;
		case 4:			/* a neighbour, and the byte behind */
			put8(at + 0x20, 0x90);
			put8(at + 6, 0x48);
			break;
		case 5:			/* twice */
			put8(at + 2, 0x17);
			put8(at + 2, 0x37);
			try_at(rip, rip);
			put8(at + 2, 0x17);
			break;
		case 6:			/* what is read where it is executed */
			was = *(volatile u8 *)rip;
			put8(at, 0xcc);
			put8(at, was);
			break;
		case 7:			/* all at once, as text_poke does */
			put8(at, 0xcc);
			spell(at + 1, other + 1, 2);
			put8(at, other[0]);
			break;
		case 8:			/* 8 bytes, unaligned */
			write64(DIRECT + PA_CODE + at - 3, 0x9090903748909090ull);
			break;
		case 9:			/* it crosses a page */
			break;
		case 10:		/* locked */
			__asm__ volatile("lock xorb $0x20, %0"
					 : "+m"(*code_byte(at + 2)));
			break;
		case 11:		/* the same bytes */
			for (i = 0; i < 6; i++)
				put8(at + i, *code_byte(at + i));
			break;
		case 12:		/* NOPs */
			spell(at, nops, sizeof(nops));
			break;
		case 13:		/* the end of one page, the beginning of its */
			write64(DIRECT + PA_CODE + at - 4, 0x1789489090909090ull);
			break;
		}
		mark(what << 8 | 1);
		try_at(rip, rip);
		try_at(rip + 3, rip);
		mark(what << 8 | 2);
		put_memory(code_byte(at & ~0xfffull), 4096);
		ask(PORT_AUDIT);
		train(rip);
		try_at(rip, rip);
		put_memory(code_byte(at & ~0xfffull), 4096);
	}
	want_state(STATE_ENGAGED);
}

/* Byte by byte, the INT3 that fill a splice would be taken for the guest's own. */
static void copy_words(u64 to, u64 from, u64 n)
{
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) :: "memory");
}

/* Whole pages of spliced code written by string instructions. */
void test_whole_page(void)
{
	u64 rip[4], from, to;
	u32 i, round;

	engage();
	for (round = 0; round < 6; round++) {
		for (i = 0; i < 4; i++)
			rip[i] = place_and_train(&shapes[i], round * 4096 + i * 0x200);
		mark(round);
		from = DIRECT + PA_SPARE;
		to = DIRECT + PA_CODE + round * 4096;
		switch (round) {
		case 0:
			memcpy((void *)from, (void *)to, 4096);
			memcpy((void *)to, (void *)from, 4096);
			break;
		case 1:
			memset((void *)to, 0xcc, 4096);
			break;
		case 2:			/* from where it is executed: splices */
			memcpy((void *)from, (void *)(CODE + round * 4096), 4096);
			copy_words(to, from, 512);
			break;
		case 3:			/* from another page with the same code */
			memcpy((void *)to, (void *)(to - 4096), 4096);
			break;
		case 4:			/* shifted */
			memcpy((void *)to, (void *)(to - 4096 * 2 + 1), 4000);
			break;
		case 5: {
			u64 n = 512, at = to + 4088;

			__asm__ volatile("std; rep stosq; cld" : "+D"(at), "+c"(n)
					 : "a"(0xcccccccccccccccc) : "memory");
			break;
		}
		}
		mark(round | 0x100);
		put_memory((void *)to, 4096);
		for (i = 0; i < 4; i++)
			try_at(rip[i], rip[i]);
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}

/* A site that writes its page, and itself; by the alias, and where it runs. */
void test_own_page(void)
{
	u64 rip, at, where;
	struct cpu cpu;
	u32 i;

	/* Now code is writable where it is executed, too. */
	for (i = 0; i < CODE_PAGES; i++)
		map(CODE + i * 4096, PA_CODE + i * 4096, PTE_KERNEL | PTE_G);
	engage();
	for (i = 0; i < 8; i++) {
		at = i * 4096 + 0x100 * (i + 1);
		if (i == 5 || i == 6)
			at = i * 4096;
		rip = place_and_train(&shapes[1], at);
		where = i & 1 ? CODE + at : DIRECT + PA_CODE + at;
		mark(i);
		start(&cpu, rip);
		cpu.r[RDI] = where + (i < 2 ? 0x40 : i < 4 ? 0 : i == 5 ? -4 :
				      i == 6 ? 0xffc : 3);
		cpu.r[RSI] = 0x9090909090c08948ull;
		run(&cpu);
		put_run(&cpu, rip);
		put_memory(code_byte(at & ~0xfffull), 4096);
		mark(i | 0x100);
		try_at(rip, rip);
		try_at(rip + 3, rip);
		train(rip);
		try_at(rip, rip);
		put_memory(code_byte(at & ~0xfffull), 4096);
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}

/* Code that is one thing from its byte 0 and another from byte k. */
void test_overlap(void)
{
	static const struct {
		u8 bytes[16];
		u8 size, other;
	} code[] = {
		/* movq $0x0b0f3789, 8(%rdi): mov %esi, (%rdi) at 5 */
		{ { 0x48, 0xc7, 0x47, 0x08, 0x90, 0x89, 0x37, 0x0f, 0x0b, 0x0f,
		    0x0b }, 11, 5 },
		/* mov %rsi, (%rdi) behind a CMP's immediate; 48 89 37 at 1 */
		{ { 0x3d, 0x48, 0x89, 0x37, 0x90, 0xff, 0xc1, 0x0f, 0x0b }, 9, 1 },
		/* movq $imm, 0(%rdi) with a REX that is not needed */
		{ { 0x40, 0x48, 0x89, 0x37, 0x48, 0x89, 0xd0, 0x0f, 0x0b }, 9, 1 },
	};
	u32 i, order, round;
	u64 at, rip;

	engage();
	for (i = 0; i < ARRAY_SIZE(code); i++) {
		for (order = 0; order < 3; order++) {
			at = i * 4096 + order * 0x200;
			rip = CODE + at;
			memset(code_byte(at), 0xcc, 64);
			memcpy(code_byte(at), code[i].bytes, code[i].size);
			mark(i << 16 | order << 8);
			/* Trained at one, then the other; or by turns. */
			for (round = 0; round < 2 * TRAPS; round++)
				try_at(rip + (order == 0 ? round >= TRAPS :
					      order == 1 ? round < TRAPS :
					      round & 1) * code[i].other, rip);
			want_site(rip, WANT_KNOWN);
			want_site(rip + code[i].other, WANT_KNOWN);
			mark(i << 16 | order << 8 | 1);
			try_at(rip, rip);
			try_at(rip + code[i].other, rip);
			put_memory(code_byte(at), 64);
		}
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}

/*
 * Entered in the middle of its instruction, where the operand of the JMP lies: what
 * stands there in the guest's memory is run, whether it faults or not.
 */
void test_inside(void)
{
	/* movq $0x90909090, 8(%rdi); inc %rcx; ud2: NOPs from byte 4 on */
	static const u8 code[] = { 0x48, 0xc7, 0x47, 0x08, 0x90, 0x90, 0x90, 0x90,
				   0x48, 0xff, 0xc1, 0x0f, 0x0b };
	struct cpu cpu;
	u32 k, way;
	u64 at, rip;

	engage();
	for (k = 1; k < 5; k++) {
		for (way = 0; way < 3; way++) {
			at = k * 4096 + way * 0x200;
			rip = CODE + at;
			memset(code_byte(at), 0xcc, 64);
			memcpy(code_byte(at), code, sizeof(code));
			train(rip);
			want_site(rip, WANT_SPLICED);
			mark(k << 8 | way);
			*TARGET = pte_value(3);
			start(&cpu, rip + k);
			jump_target = rip + k;
			if (way)
				cpu.rip = (u64)(way == 1 ? jump_to : return_to);
			run(&cpu);
			put_run(&cpu, rip);
			/* And is not replaced again. */
			want_site(rip, WANT_NOT);
			train(rip);
			want_site(rip, WANT_NOT);
			try_at(rip, rip);
			put_memory(code_byte(at), 64);
		}
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}

/* One frame of code at two addresses, and changed by a third. */
void test_alias(void)
{
	u64 one, two;
	u32 i;

	map(CODE2, PA_CODE, PTE_P | PTE_A);
	engage();
	one = place_and_train(&shapes[1], 0x80);
	two = CODE2 + 0x80;
	try_at(two, two);
	for (i = 0; i < 6; i++) {
		mark(i);
		if (i == 1 || i == 4) {
			/* One that was undone asks for twice the traps. */
			train(two);
			train(two);
			want_site(two, WANT_SPLICED);
		}
		if (i == 2)		/* mov %rdx, (%rdi) */
			put8(0x82, 0x17);
		if (i == 3)
			put8(0x82, 0x37);
		if (i == 5) {
			map(CODE2, 0, 0);
			try_at(two, two);
			try_at(one, one);
			ask(PORT_AUDIT);
			map(CODE2, PA_CODE, PTE_P | PTE_A);
		}
		try_at(one, one);
		try_at(two, two);
		try_at(one + 3, one);
		try_at(two + 3, two);
		put_memory(code_byte(0), 4096);
		ask(PORT_AUDIT);
		train(one);
	}
	mark(0x100);
	/* Elsewhere, then the first is another frame. */
	map(CODE, PA_CODE + 0x5000, PTE_P | PTE_A);
	place(&shapes[3], 0x5080);
	try_at(one, one);
	try_at(two, two);
	map(CODE, PA_CODE, PTE_P | PTE_A);
	try_at(one, one);
	try_at(two, two);
	ask(PORT_AUDIT);
	want_state(STATE_ENGAGED);
}

/* A site used mostly for memory that is no table: fast, and faults as ever. */
void test_ordinary(void)
{
	volatile u64 *memory = direct(PA_DATA);
	struct cpu cpu;
	u64 rip;
	u32 i;

	engage();
	rip = place_and_train(&shapes[2], 0);
	for (i = 0; i < 8 * TRAPS; i++) {
		start(&cpu, rip);
		cpu.r[RDI] = (u64)&memory[i];
		run(&cpu);
	}
	ask_with(PORT_EXITS, 0, 0);
	for (i = 0; i < 4096; i++) {
		/* The way back is by RET to C, not by a trap. */
		__asm__ volatile("call *%0" :: "r"(rip), "D"(&memory[i * 61 % 30000]),
				 "S"(i * 0x123456789ull) : "memory");
	}
	ask_with(PORT_EXITS, 20, 0);
	put_memory((void *)memory, 65536 * 3);
	/* Tables and memory by turns. */
	ask_with(PORT_EXITS, 0, 0);
	for (i = 0; i < 1000; i++) {
		__asm__ volatile("call *%0" :: "r"(rip), "D"(&memory[i]),
				 "S"(i * 3ull) : "memory");
		__asm__ volatile("call *%0" :: "r"(rip), "D"(TARGET + i % 100),
				 "S"(pte_value(i)) : "memory");
	}
	/* 17 to 22 were measured; not one a turn. */
	ask_with(PORT_EXITS, 60, 0);
	put_memory((void *)memory, 65536);
	for (i = 0; i < 8; i++) {
		static const u64 bad[] = {
			BARE, BARE + 0xffc, 0x0000900000000000ull, 0, ~0ull - 3,
			KERNEL - 4096, 0x8000000000000008ull, 0xffff7ffffffffff9ull,
		};

		mark(i);
		start(&cpu, rip);
		cpu.r[RDI] = bad[i];
		run(&cpu);
		put_run(&cpu, rip);
	}
	/* By RSP or RBP it is #SS. */
	rip = place_and_train(&shapes[11], 0x200);
	for (i = 0; i < 4; i++) {
		mark(0x100 | i);
		start(&cpu, rip + (i & 1) * 4);
		cpu.r[R11] = i & 2 ? 0x0000700000000000ull : 0;
		run(&cpu);
		put_run(&cpu, rip);
	}
	want_state(STATE_ENGAGED);
	ask(PORT_AUDIT);
}

static void fxsave_to(void *at)
{
	write_cr4(read_cr4() | 0x200);		/* OSFXSR: with XMM registers */
	__asm__ volatile("movq %0, %%xmm0\n\tmovq %1, %%xmm7\n\tmovq %2, %%xmm15"
			 :: "r"(pte_value(0)), "r"(pte_value(7)), "r"(pte_value(15)));
	__asm__ volatile("fxsave64 (%0)" :: "r"(at) : "memory");
}

static void ins_to(void *at, u64 count)
{
	__asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(PORT_TABLE) : "memory");
}

/* Stores that the VMM emulates in ways of their own, to a page table in use. */
void test_stores(void)
{
	volatile u64 *memory = direct(PA_DATA), *table = direct(PA_WINDOW_L1);
	u64 i, entry;
	u32 what;

	for (i = 0; i < DATA_PAGES; i++)
		memory[i * 512 + 1] = 0xda7a0000 + i;
	engage();
	place_and_train(&shapes[1], 0);
	for (what = 0; what < 5; what++) {
		mark(what);
		switch (what) {
		case 0:
			__asm__ volatile("sgdt (%0)" :: "r"(&table[64]) : "memory");
			break;
		case 1:
			__asm__ volatile("sidt (%0)" :: "r"(&table[66]) : "memory");
			break;
		case 2:
			ins_to((void *)&table[128], 256);
			break;
		case 3:			/* to the table's end, and behind it */
			ins_to((void *)&table[480], 128);
			break;
		case 4:			/* KVM 6.1 has no such in 64-bit mode */
			fxsave_to((void *)table);
			break;
		}
		for (i = 0; i < 512; i++) {
			entry = table[i];
			put(entry);
			flush_page(WINDOW + i * 4096);
			if ((entry & ~PTE_ADDR) == PTE_KERNEL)
				put(*(volatile u64 *)(WINDOW + i * 4096 + 8));
		}
		put_memory((void *)&table[512], 512);
		want_state(what < 4 ? STATE_ENGAGED : STATE_ANY);
		ask(PORT_AUDIT);
	}
}

/* The frame of spliced code becomes data, a page table, user memory. */
void test_reuse(void)
{
	struct cpu cpu;
	u64 rip, *table, pa;
	u32 i, round;

	engage();
	for (round = 0; round < 6; round++) {
		pa = PA_CODE + round * 4096;
		rip = place_and_train(&shapes[1 + round], round * 4096 + 0x40);
		mark(round << 8);
		map(CODE + round * 4096, 0, 0);
		try_at(rip, rip);
		table = direct(pa);
		switch (round) {
		case 0:			/* data */
			for (i = 0; i < 512; i++)
				table[i] = i * 0x0101010101010101ull;
			break;
		case 1:			/* a table, zeroed first */
		case 2:			/* and with what is in it, where it is used */
			if (round == 1)
				memset(table, 0, 4096);
			table[7] = pte_value(40);
			*(volatile u64 *)entry_of(WINDOW + 0x200000, 2) = pa | PTE_LINK;
			put(*(volatile u64 *)(WINDOW + 0x200000 + 7 * 4096));
			for (i = 0; i < 20; i++) {
				table[9] = pte_value(i);
				flush_page(WINDOW + 0x200000 + 9 * 4096);
				*(volatile u64 *)(WINDOW + 0x209008) = i;
				put(*(volatile u64 *)(DIRECT + PA_DATA + i * 4096 + 8));
			}
			*(volatile u64 *)entry_of(WINDOW + 0x200000, 2) = 0;
			write_cr3(read_cr3());
			break;
		case 3:			/* a table while it is still code */
			map(CODE + round * 4096, pa, PTE_P | PTE_A);
			train(rip);
			table[100] = pte_value(41);
			*(volatile u64 *)entry_of(WINDOW + 0x200000, 2) = pa | PTE_LINK;
			put(*(volatile u64 *)(WINDOW + 0x200000 + 100 * 4096));
			try_at(rip, rip);
			table[101] = pte_value(42);
			put(*(volatile u64 *)(WINDOW + 0x200000 + 101 * 4096));
			try_at(rip, rip);
			*(volatile u64 *)entry_of(WINDOW + 0x200000, 2) = 0;
			write_cr3(read_cr3());
			break;
		case 4:			/* the user's memory, and its code */
			map(USER + 0x3000, pa, PTE_KERNEL | PTE_US);
			start_user(&cpu, USER + 0x3043);
			run(&cpu);
			put_run(&cpu, USER);
			*(volatile u64 *)(USER + 0x3000) = 0x1234;
			start_user(&cpu, USER + 0x3040);
			cpu.r[RDI] = USER + 0x3100;
			run(&cpu);
			put_run(&cpu, USER);
			break;
		case 5:			/* the user's while it is the kernel's code */
			map(CODE + round * 4096, pa, PTE_P | PTE_A);
			train(rip);
			map(USER + 0x3000, pa, PTE_KERNEL | PTE_US);
			start_user(&cpu, USER + 0x3040);
			cpu.r[RDI] = USER + 0x3200;
			run(&cpu);
			put_run(&cpu, USER);
			start_user(&cpu, USER + 0x3040);
			cpu.r[RDI] = USER + 0x3042;
			cpu.r[RSI] = 0x9090909090909016ull;
			run(&cpu);
			put_run(&cpu, USER);
			try_at(rip, rip);
			break;
		}
		mark(round << 8 | 1);
		put_memory(table, 4096);
		ask(PORT_AUDIT);
		place(&shapes[3], round * 4096 + 0x40);
		map(CODE + round * 4096, pa, PTE_P | PTE_A);
		try_at(rip, rip);
		train(rip);
		try_at(rip, rip);
		put_memory(table, 4096);
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}

/* Another frame at the address of spliced code. */
void test_remap(void)
{
	u64 rip, va, old, *entry;
	u32 round;

	engage();
	for (round = 0; round < 8; round++) {
		va = CODE + round * 4096;
		rip = place_and_train(&shapes[1], round * 4096 + 0x40);
		place(&shapes[3], 0xf000 + 0x40);
		entry = entry_of(va, 1);
		old = *entry;
		mark(round);
		switch (round & 3) {
		case 0:			/* with INVLPG */
			*(volatile u64 *)entry = (PA_CODE + 0xf000) | PTE_P | PTE_A;
			flush_page(va);
			break;
		case 1:			/* CR3 */
			*(volatile u64 *)entry = (PA_CODE + 0xf000) | PTE_P | PTE_A;
			write_cr3(read_cr3());
			break;
		case 2:			/* from not present: none is needed */
			map(va, 0, 0);
			try_at(rip, rip);
			*(volatile u64 *)entry = (PA_CODE + 0xf000) | PTE_P | PTE_A;
			break;
		case 3: {		/* the table above it is another */
			u64 *copy = direct(PA_SPARE), *l1, *l2 = entry_of(va, 2);
			u32 i;

			l1 = direct(*l2 & PTE_ADDR);
			for (i = 0; i < 512; i++)
				copy[i] = l1[i];
			copy[va >> 12 & 511] = (PA_CODE + 0xf000) | PTE_P | PTE_A;
			old = *l2;
			entry = l2;
			*(volatile u64 *)l2 = PA_SPARE | PTE_LINK;
			write_cr3(read_cr3());
			break;
		}
		}
		try_at(rip, rip);
		try_at(rip + 5, rip);
		mark(round | 0x100);
		train(rip);
		try_at(rip, rip);
		*(volatile u64 *)entry = old;
		write_cr3(read_cr3());
		if (round & 4)		/* not executable for a while */
			map(va, PA_CODE + round * 4096, PTE_P | PTE_A | PTE_NX);
		try_at(rip, rip);
		map(va, PA_CODE + round * 4096, PTE_P | PTE_A);
		try_at(rip, rip);
		try_at(rip + 3, rip);
		put_memory(code_byte(round * 4096), 4096);
		ask(PORT_AUDIT);
	}
	want_state(STATE_ENGAGED);
}
