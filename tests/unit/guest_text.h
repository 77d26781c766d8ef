/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest kernel's text: pages of its own, with a #PF handler and some
 * instructions that write page tables, a writable alias of them, and an IDT.
 */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include "guest.h"

#define TEXT_PAGES	4

/* Sites, by their place in each page but the first. */
enum text_site {
	TEXT_MOV,		/* mov %rsi, (%rdi); ret; int3, int3 */
	TEXT_XCHG,		/* xchg %rax, (%rdi); ret; int3 */
	TEXT_IMM,		/* movq $0, (%rdi) */
	TEXT_MOV_RET,		/* mov %rsi, 8(%rdi); ret */
	TEXT_NOP,		/* mov %rsi, (%rdi), and a NOP of 5 bytes */
	TEXT_MOV_MOV,		/* two movs of 3 bytes, then ret */
	TEXT_FAR,		/* mov %rsi to where no stub reaches */
	TEXT_WORD,		/* mov %si, (%rdi), which has no stub */
	TEXT_FLUSH,		/* mov %cr3,%rax; mov %rax,%cr3; ret */
	TEXT_CR3,		/* mov %rdi,%cr3, and a NOP of 4 bytes; ret */
	TEXT_SITES
};

struct text {
	u64 gva, alias, idt;	/* of the first page; of the IDT */
	u64 handler, gate;	/* gva */
	u64 gfn[TEXT_PAGES], idt_gfn;
	u64 table, alias_table;	/* level 1; frame */
	u64 l2;			/* level 2, with the kernel's image */
};

/* Before the guest is engaged. */
void g_text(struct guest *g, struct text *t);

u64 g_site(const struct text *t, unsigned int page, enum text_site site);

/* Store an entry by the instruction at @rip. */
void g_store(struct guest *g, u64 rip, u64 table, unsigned int index, u64 value);

#define G_SITE_BYTES	64	/* from one to the next */

#endif /* GUEST_TEXT_H */
