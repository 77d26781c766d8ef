/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent works on, how it gets to each part of it, and the log by which all of
 * it can be taken back.
 */
#ifndef DMP_AGENT_WORK_H
#define DMP_AGENT_WORK_H

#include "code/agent.h"
#include "agent_env.h"
#include "mmu/state.h"

/* A guest entry whose frame has a record: see struct dmp_implant. */
#define KEPT		(DMP_PTE_NX | DMP_PTE_G | DMP_PTE_US)

/* What an entry's translation is when it is none: no entry at all. */
#define NO_ENTRY	DMP_PTE_PS

struct work {
	struct dmp_implant *implant;
	struct dmp_agent *agent;
	struct dmp_table *table;
	volatile u64 *guest, *machine;	/* the entries */
	u64 old, new, was;
	u32 index;
};

static struct dmp_agent_change *log_change(const struct work *w, u64 at, u64 old)
{
	struct dmp_agent *agent = w->agent;
	u32 n = agent->logged;

	if (n == DMP_AGENT_LOG_MAX)
		return NULL;
	agent->log[n].at = at;
	agent->log[n].old = old;
	agent_barrier();
	agent->logged = n + 1;
	agent_barrier();
	return &agent->log[n];
}

/* The word at @at is about to be changed. False: the log is full. */
static bool change(const struct work *w, const volatile void *at)
{
	u64 *word = (u64 *)((u64)at & ~7ull);

	return log_change(w, (u64)word, *word);
}

/* What @kind says is about to be done to @number. NULL: the log is full. */
static struct dmp_agent_change *note(const struct work *w, u64 number, u32 kind)
{
	return log_change(w, number << DMP_AGENT_KIND_SHIFT | kind, 0);
}

/* One store: the log is void, the work done. */
static bool commit(const struct work *w)
{
	agent_barrier();
	*(volatile u64 *)&w->agent->logged = 1ull << 32;
	return true;
}

/* The record of the frame that @entry names; NULL when there is none. */
static struct dmp_frame *frame_of(const struct work *w, u64 entry)
{
	if (entry & DMP_PTE_ADDR & ~w->implant->frame_mask)
		return NULL;
	return agent_frame(w->implant, dmp_pte_gfn(entry));
}

static struct dmp_table *table_of(const struct work *w, u32 id)
{
	return agent_table(w->implant, id);
}

static volatile u64 *host_page(const struct work *w, u64 hfn)
{
	return agent_page(w->implant, hfn);
}

/* What is at @gva of the window. */
static volatile u64 *in_window(const struct work *w, u64 gva)
{
	return host_page(w, (gva - w->implant->window) >> DMP_PAGE_SHIFT);
}

/* The guest's table of @table. */
static volatile u64 *guest_page(const struct work *w,
				const struct dmp_table *table)
{
	return host_page(w, ((u64)table->guest - w->agent->va_base) >>
			    DMP_PAGE_SHIFT);
}

static bool is_trap(const struct work *w, u64 machine)
{
	return machine & w->implant->trap;
}

static bool is_mapping(const struct work *w, u64 machine)
{
	return machine & DMP_PTE_P && !is_trap(w, machine);
}

/*
 * Half of what the agent does in an exec is this: so one instruction an entry, which
 * reading it as volatile would not be.
 */
static bool is_empty(const volatile u64 *page)
{
	const u64 *entries = (const u64 *)page;
	u64 any = 0;
	u32 i, k;

	for (i = 0; i < DMP_ENTRIES && !any; i += 32) {
#pragma GCC unroll 32
		for (k = 0; k < 32; k++)
			any |= entries[i + k];
	}
	return !any;
}

#endif /* DMP_AGENT_WORK_H */
