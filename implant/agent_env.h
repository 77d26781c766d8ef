/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the agent reaches things, in the guest. Tests that run it elsewhere have
 * a file of this name of their own.
 */
#ifndef DMP_AGENT_ENV_H
#define DMP_AGENT_ENV_H

#include "mmu/state.h"

/* Stores before it are done before those behind it: x86 needs no more. */
#define agent_barrier()	__asm__ volatile("" ::: "memory")

/* The page of host memory @hfn. */
static inline volatile u64 *agent_page(const struct dmp_implant *implant, u64 hfn)
{
	return (volatile u64 *)(implant->window + (hfn << DMP_PAGE_SHIFT));
}

/* The record of a frame, of those that implant->frame_mask allows. */
static inline struct dmp_frame *agent_frame(const struct dmp_implant *implant,
					    u64 gfn)
{
	return (struct dmp_frame *)implant->frames + gfn;
}

/* The record of a machine table. */
static inline struct dmp_table *agent_table(const struct dmp_implant *implant,
					    u32 id)
{
	u64 chunk = implant->agent.tables +
		    (id >> DMP_CHUNK_SHIFT << DMP_PAGE_SHIFT);

	return (struct dmp_table *)chunk + (id & ((1u << DMP_CHUNK_SHIFT) - 1));
}

/* No translation of @gva is used that was cached before. */
static inline void agent_invlpg(u64 gva)
{
	__asm__ volatile("invlpg (%0)" :: "r" (gva) : "memory");
}

#endif /* DMP_AGENT_ENV_H */
