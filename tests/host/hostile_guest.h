/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of hostile: its library. Freestanding, linked at KERNEL.
 */
#ifndef HOSTILE_GUEST_H
#define HOSTILE_GUEST_H

#include "hostile.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define RFLAGS		0x202ull	/* IF is harmless: there are no interrupts */
#define TF		0x100ull

/* A run of some code: registers before it, and after it with the trap. */
struct cpu {
	u64 r[16];		/* as instructions number them */
	u64 rip, cs, rflags, rsp, ss;	/* .rsp: not r[4] */
	u64 vector, error, cr2;
};
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11 };

/* Run @cpu until its next trap, whatever it is. */
void run(struct cpu *cpu);
extern struct cpu *current;

/* Instructions that write a page table, each with what follows it. */
struct shape {
	const u8 *code, *end;	/* ends in UD2, or has a way out */
	u64 len;		/* up to where it may be entered */
	u64 entries;		/* bit by bit: may be entered here */
};
extern const struct shape shapes[], cr3_shape;
#define NARROW	4		/* that of shapes for which no stub has room */
extern const u32 shape_count;

struct gate {
	u16 low, selector;
	u8 ist, type;
	u16 mid;
	u32 high, zero;
} __attribute__((packed));
struct pointer { u16 limit; u64 base; } __attribute__((packed));
extern struct gate idt[256], idt2[256];
struct tss {
	u32 zero0;
	u64 rsp[3], zero1, ist[7], zero2;
	u16 zero3, iomap;
} __attribute__((packed));
extern struct tss tss;
extern u8 nmi_entry[], pf_entry[], pf_entry_b[], soft_entry[], landing[], jump_to[], return_to[], common[];
extern u64 jump_target;
extern u8 kernel_stack[], trap_stack[], run_stack[], pf_stack[], nmi_stack[];
#define STACK_BYTES	8192

extern volatile struct shared *const shared;

static inline void *direct(u64 pa) { return (void *)(DIRECT + pa); }

static inline void flush_page(u64 va)
{
	__asm__ volatile("invlpg (%0)" :: "r"(va) : "memory");
}

static inline u64 read_cr0(void) { u64 v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline u64 read_cr2(void) { u64 v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline u64 read_cr3(void) { u64 v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static inline u64 read_cr4(void) { u64 v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(u64 v) { __asm__ volatile("mov %0, %%cr0" :: "r"(v) : "memory"); }
static inline void write_cr3(u64 v) { __asm__ volatile("mov %0, %%cr3" :: "r"(v) : "memory"); }
static inline void write_cr4(u64 v) { __asm__ volatile("mov %0, %%cr4" :: "r"(v) : "memory"); }

static inline void ask(u16 port)
{
	__asm__ volatile("outl %%eax, %%dx" :: "a"(0), "d"(port) : "memory");
}

void ask_with(u16 port, u64 a, u64 b);
void put(u64 word);			/* to the log */
void mark(u32 what);
void put_run(const struct cpu *cpu, u64 base);
void put_memory(const void *at, u64 bytes);	/* a hash of it */
void engage(void);			/* mode on: from now on engaged, spliced */
void engage_loose(void);		/* or its handler refused */
void want_site(u64 rip, enum want want);
void want_state(enum want_state want);

u64 *entry_of(u64 va, u32 level);	/* through the direct map */
void map(u64 va, u64 pa, u64 flags);	/* level 1, the tables are there */
void load_idt(const struct gate *table, u16 limit);
void set_gate(struct gate *g, const void *entry, u32 ist, u32 dpl);

u64 rnd(void);
/* Some registers for a run in kernel mode at @rip. */
void start(struct cpu *cpu, u64 rip);
void start_user(struct cpu *cpu, u64 rip);
u64 pte_value(u32 i);
#define TARGET	((u64 *)(DIRECT + PA_WINDOW_L1) + 5)

/*
 * Copies @shape to CODE + @at by the direct map, filled up with INT3; runs it
 * until it should be spliced, and sees to it that it is.
 */
#define TRAPS	12
u64 place(const struct shape *shape, u64 at);
void train(u64 rip);
u64 place_and_train(const struct shape *shape, u64 at);

void *memcpy(void *to, const void *from, unsigned long bytes);
void *memset(void *to, int byte, unsigned long bytes);

/* Each returns nothing: all that counts is in the log. */
void test_jumps(void);
void test_steps(void);
void test_rewrite(void);
void test_whole_page(void);
void test_own_page(void);
void test_overlap(void);
void test_inside(void);
void test_alias(void);
void test_ordinary(void);
void test_stores(void);
void test_reuse(void);
void test_remap(void);
void test_addresses_read(void);
void test_addresses_public(void);
void test_addresses_private(void);
void test_idt_copy(void);
void test_idt_gate(void);
void test_idt_page(void);
void test_idt_ist(void);
void test_idt_dpl(void);
void test_soft_int(void);
void test_stack(void);
void test_stack_table(void);
void test_user(void);
void test_fetches(void);
void test_user_tables(void);
void test_control(void);
void test_flags(void);
void test_handler_odd(void);
void test_random(void);
void test_sweep(void);
void nmi_seen(u64 rip);			/* from nmi_entry */

#endif /* HOSTILE_GUEST_H */
