/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest whose kernel and user code do what no sane guest does: what the
 * program (hostile.c, hostile_vm.c) and the guest (hostile_*.[cS]) both know.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#ifdef __ASSEMBLER__
#define U(x)	x
#else
#define U(x)	x##ull
#endif

#define GUEST_BYTES	U(0x1000000)	/* 16 MiB */

/* Guest-physical. All of it is also at DIRECT, writable, not executable. */
#define PA_SHARED	U(0x8000)
#define PA_TABLES	U(0x10000)	/* the tables the guest starts with */
#define PA_KERNEL	U(0x200000)
#define KERNEL_BYTES	U(0x80000)
#define PA_CODE		U(0x400000)	/* frames for sites */
#define CODE_PAGES	16
#define PA_WINDOW_L1	U(0x500000)	/* the page table that sites write */
#define PA_SPARE	U(0x510000)	/* frames for anything: 16 */
#define PA_DATA		U(0x600000)	/* what the window shows: 64 frames */
#define DATA_PAGES	64
#define PA_USER		U(0x700000)
#define USER_PAGES	8
#define PA_LOG		U(0x800000)
#define LOG_WORDS	U(0x80000)	/* 4 MiB */

#define DIRECT		U(0xffff888000000000)
#define KERNEL		U(0xffffffff81000000)	/* read, write, execute */
#define CODE		U(0xffffffff82000000)	/* PA_CODE, read, execute */
#define CODE2		U(0xffffffff82200000)	/* nothing yet; has an L1 */
#define WINDOW		U(0xffffffffa0000000)	/* by PA_WINDOW_L1 */
#define USER		U(0x400000)		/* all rights */
#define BARE		U(0xffffffffb0000000)	/* never mapped */

#define PTE_P		U(0x001)
#define PTE_RW		U(0x002)
#define PTE_US		U(0x004)
#define PTE_A		U(0x020)
#define PTE_D		U(0x040)
#define PTE_G		U(0x100)
#define PTE_NX		(1ull << 63)
#define PTE_ADDR	U(0x000ffffffffff000)
#define PTE_KERNEL	(PTE_P | PTE_RW | PTE_A | PTE_D)
#define PTE_LINK	(PTE_P | PTE_RW | PTE_A)

#define SEL_CS		0x08
#define SEL_SS		0x10
#define SEL_UCS32	0x1b
#define SEL_UDS		0x23
#define SEL_UCS		0x2b
#define SEL_TSS		0x30

/* An OUT to one of these asks the program; arguments are in struct shared. */
#define PORT_READY	0x20	/* not before AL != 0 in .ready: engaged, spliced */
#define PORT_SITE	0x21	/* is arg[0] spliced? as arg[1] says: enum want */
#define PORT_STATE	0x22	/* still engaged and spliced? or ended? */
#define PORT_EXITS	0x23	/* begin (arg[0] = 0) or end: at most arg[0] since */
#define PORT_AUDIT	0x24
#define PORT_END	0x25
#define PORT_DIED	0x26	/* arg[0]: vector, RIP, CR2, error code */
#define PORT_RELOAD	0x27	/* nothing: only an exit */
#define PORT_SWEEP	0x28	/* arg[0]: enum sweep */
#define PORT_TABLE	0x29	/* an IN: entries of a page table, half by half */

/* The log has marks: MARK | id, so that a difference can be told. */
#define MARK		U(0x4d41524b00000000)

#ifndef __ASSEMBLER__
enum want {
	WANT_SPLICED,
	WANT_NOT,		/* spliced no more */
	WANT_KNOWN,		/* counted, or refused for a reason; printed */
};

enum want_state {
	STATE_ENGAGED,		/* and spliced */
	STATE_ADDRESS,		/* ended: implant-address-used */
	STATE_HANDLER,		/* ended: handler-changed */
	STATE_ANY,		/* ended or not, but not broken by a bug */
};

enum sweep {
	SWEEP_BEGIN,
	SWEEP_MORE,		/* go on? .ready says it */
	SWEEP_END,
};

struct shared {
	unsigned long long test;	/* index of the guest's test */
	unsigned long long seed;
	unsigned long long ready;
	unsigned long long logged;	/* words of the log */
	unsigned long long marks;	/* in the log, for messages: where */
	unsigned long long arg[4];
	unsigned long long nmis;	/* seen by the guest; of these */
	unsigned long long strays;	/*   so many where none of its code is, */
	unsigned long long stray;	/*   the last of them at this RIP */
};

#endif /* __ASSEMBLER__ */

#endif /* HOSTILE_H */
