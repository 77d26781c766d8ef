/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two emulated CPUs (Unicorn) over two copies of one memory: REF runs the
 * guest's code as it is, DMP runs it spliced. Paging is off, so addresses are
 * what they are mapped at here:
 *
 *	code	the guest's, with the site; then a page of NOPs
 *	tables	guest tables, as the guest addresses them. DMP may not write
 *		them there: only by their aliases in the window
 *	data	pages that are no tables; one of them read-only
 *	window	DMP: aliases of the guest tables, and the machine tables
 *	agent	DMP: its code, with a NOP for its hypercall, the VMM's part being
 *		played by hooks, and the records of the machine tables
 */
#ifndef DMP_TEST_WORLD_H
#define DMP_TEST_WORLD_H

#include <unicorn/unicorn.h>
#include "mmu/state.h"
#include "code/stub.h"

enum { REF, DMP, CPUS };

#define PAGE		4096ull
#define CODE_GVA	0xffffffff81000000ull
#define CODE_PAGES	2
#define STOP_GVA	(CODE_GVA + PAGE + 0x800)
#define IMPLANT_GVA	0xffffffff60000000ull
#define FILTER_GVA	0xffffffff60010000ull
#define AGENT_GVA	(IMPLANT_GVA - DMP_AGENT_DISTANCE)
#define STACK_GVA	0xffffc90000000000ull
#define STACK_PAGES	2
#define DMAP_GVA	0xffff888000100000ull
#define DATA_GVA	(DMAP_GVA + 0x200 * PAGE)	/* two pages */
#define BELOW_GVA	(DMAP_GVA - PAGE)		/* data page 3 */
#define FIXED_GVA	(DMAP_GVA + 0x280 * PAGE)	/* data page 4, read-only */
#define HOLE_GVA	(DMAP_GVA + 0x300 * PAGE)	/* nothing there */
#define KERNEL_GVA	0xffffffff82000000ull	/* table 3, then data page 2 */
#define GUEST_GVA	0xffffa00000000000ull
#define MACHINE_GVA	0xffffa00001000000ull
#define FRAMES_GVA	0xffffe90000000000ull
#define RECORDS_GVA	0xffffe90001000000ull

#define TABLES		4
#define DATA_PAGES	5
#define FRAMES		1024u
#define PHYS_BITS	40

/* A vCPU as the guest sees it; general registers as encoded. */
struct state {
	u64 reg[16];
	u64 rip;
	u64 flags;
};

/* What an access came to that the CPU refused. */
struct refused {
	int type;		/* uc_mem_type; 0: no access was refused */
	u64 gva;
};

struct memory {
	u64 table[TABLES][DMP_ENTRIES];
	u8 data[DATA_PAGES][PAGE];
	u64 stack[STACK_PAGES][DMP_ENTRIES];
};

/* What only DMP has. */
struct private {
	u64 machine[TABLES][DMP_ENTRIES];
	struct dmp_frame frame[FRAMES];
	struct dmp_implant implant;
	union {
		struct dmp_table record[TABLES + 1];	/* by id: the table's + 1 */
		u8 records[PAGE];
	};
};

struct world {
	struct uc_struct *uc[CPUS];
	struct memory *memory[CPUS];
	struct memory *start;		/* what both were, before a case */
	struct private *private;	/* as it is */
	struct private *expected;	/* as it should be; implant: unused */
	u8 *agent;			/* its code */
	u8 *code[CPUS];
	u8 *stub;
	u64 stub_page;			/* where that is mapped; 0: nowhere */
	u8 *landing;			/* two pages, in INT3s */
	u64 landing_gva, landing_page;	/* in the first; where that is mapped */
	u32 reloads;
	struct dmp_paging paging;
	/* Called before each instruction, with its address; may be NULL. */
	void (*hook)(void *arg, int cpu, u64 rip);
	void *arg;
	uc_err err;			/* of the last run, */
	int interrupt;			/*   and what it raised; -1: nothing */
	struct refused refused[CPUS];
};

struct world *world_make(void);
void world_free(struct world *w);

/*
 * Run what is in w->code now, and in w->stub, the page of which is that of
 * @stub; 0: none. Likewise w->landing, by w->landing_gva. To be called before
 * anything is run, and when that changes.
 */
void world_reload(struct world *w, u64 stub);

/* The word that DMP has at @gva, of what is in w->private; NULL: none. */
u64 *world_private(struct world *w, u64 gva);

/* Where the guest addresses table @t. */
u64 world_table_gva(unsigned int t);

/* What the guest addresses by @gva; NULL: nothing, or code. */
u8 *world_byte(struct memory *memory, u64 gva);

/* Whether there is anything. */
bool world_has(u64 gva);

void world_get(struct world *w, int cpu, struct state *s);
void world_set(struct world *w, int cpu, const struct state *s);

/* Run from @rip to @stop; true unless it faulted. */
bool world_run(struct world *w, int cpu, u64 rip, u64 stop);

u64 random64(u64 *rng);
u32 below(u64 *rng, u32 n);
u64 number_of(const char *name, u64 otherwise);
/* DMP_SEED, or one that no run had before; printed. */
u64 seed_of_run(void);

#define FLAG_CF		0x001ull
#define FLAGS_STATUS	0x8d5ull
#define FLAGS_FIXED	0x202ull	/* IF, and what is always set */

#endif /* DMP_TEST_WORLD_H */
