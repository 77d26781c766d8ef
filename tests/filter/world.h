/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the filter sees when it runs: a window onto some frames of host memory,
 * frame records, its page, a stack with a fault's frame; and the CPU (Unicorn)
 * that runs it there. Addresses are the emulated CPU's physical ones: the
 * filter needs no paging of its own, only CR2.
 */
#ifndef DMP_TEST_WORLD_H
#define DMP_TEST_WORLD_H

#include <unicorn/unicorn.h>

#include "code/filter.h"
#include "mmu/state.h"

#define GFNS		32u	/* guest frames: all that frame_mask can make */
#define HFNS		48u	/* host frames; 0 is not in the window */
#define TABLE_HFN	(HFNS - 8)	/* machine table of level 1; others follow */

#define WINDOW_GVA	0xffff8a0000000000ull
#define RECORDS_GVA	(0xffff8b0000001000ull - GFNS * DMP_FRAME_BYTES)
#define FILTER_GVA	0xffffffff60004000ull
#define IMPLANT_GVA	(FILTER_GVA + DMP_FILTER_DISTANCE)
#define PUBLIC_START	0xffffffff60001000ull
#define PUBLIC_END	0xffffffff60009000ull
#define DELIVER_GVA	0xffffffff81a00000ull
#define STACK_GVA	0xfffffe0000003000ull	/* a page */

#define TRAP_BIT	(1ull << 51)

/* Of the loaded root, and of another that has the private region. */
#define HERE_CR3	0x123008ull
#define PRIVATE_CR3	0x456008ull

/* The registers that the fault found, and the frame of it on the stack. */
struct fault {
	struct dmp_filter_regs regs;
	u64 cr2;
	u64 frame[6];		/* error code, rip, cs, rflags, rsp, ss */
};

enum outcome { DELIVERED, HYPERCALL, RESOLVED, LOST, OUTCOMES };

struct world {
	uc_engine *uc;
	u64 (*memory)[DMP_ENTRIES];	/* by hfn */
	struct dmp_frame *records;	/* by gfn */
	struct dmp_implant *implant;
	const struct dmp_filter_blob *blob;
	bool guarded;
	u8 *code;
	u64 *stack;
	u64 rng;
	void *block[8];
	unsigned int blocks;

	/* Of the run under way. */
	unsigned int steps;		/* instructions begun */
	unsigned int cr3_loads;		/* of them, MOV to CR3 */
	unsigned int stop_at;		/* before this one; 0: only at an end */
	void (*on_step)(struct world *world, unsigned int offset);
	void *on_step_data;
	bool returning;			/* the iretq is to be executed */
	bool agent_lost;	/* it was asked with another stack, or a log */
	bool agent_done;	/* it was asked, and has resolved the fault */
	bool exposed;		/* the private region was touched where it is not */
	u8 ran[DMP_PAGE_SIZE];		/* bytes of code that were executed, ever */
};

struct world *world_new(u64 seed, bool guarded);
void world_free(struct world *world);

/* Put @fault on the CPU and its stack. */
void world_set_fault(struct world *world, const struct fault *fault);

void world_get_regs(struct world *world, struct dmp_filter_regs *regs);
void world_set_regs(struct world *world, const struct dmp_filter_regs *regs);

/*
 * Run from RIP until one of the filter's ends, which is not executed, or
 * until stop_at (then LOST, with RIP inside).
 */
enum outcome world_run(struct world *world);

/* What the VMM does when the vCPU has left: CR3 is the loaded root's again. */
void world_come_back(struct world *world);

/* Whether CR3 is the loaded root's, or `away` says that it may not be. */
bool world_is_where_it_says(struct world *world);

/* Execute the filter's iretq. */
bool world_iretq(struct world *world);

u64 world_random(struct world *world);

/* One time in @n. */
bool world_one_in(struct world *world, unsigned int n);

#endif /* DMP_TEST_WORLD_H */
