// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the agent had begun when its vCPU was stopped, taken back by its log.
 */
#include "mmu/record.h"
#include "splicer/finish.h"
#include "splicer/space.h"

static bool take_back_word(struct dmp_mmu *mmu, const struct dmp_agent_change *change)
{
	u64 *word, hfn;

	if (!dmp_space_lookup(mmu, change->at, &hfn))
		return false;
	word = (u64 *)((u8 *)dmp_hfn_va(mmu, hfn) +
		       (change->at & (DMP_PAGE_SIZE - 1)));
	DMP_WRITE_ONCE(*word, change->old);
	return true;
}

static bool take_back_counts(struct dmp_mmu *mmu, u64 gfn, u64 progress, u32 by)
{
	u32 i, n = progress >> 32;
	struct dmp_frame *frame;

	for (i = 0; i < n; i++) {
		frame = dmp_frame_find(mmu, gfn + i);
		if (!frame)
			return false;
		frame->writable = i == n - 1 ? (u32)progress : frame->writable - by;
	}
	return true;
}

static bool take_back_filling(struct dmp_mmu *mmu, u64 id)
{
	if (!id || id >= (u64)mmu->chunks << DMP_CHUNK_SHIFT ||
	    dmp_table_of(mmu, id)->id != id)
		return false;
	dmp_table_empty(dmp_table_of(mmu, id));
	return true;
}

static bool take_back(struct dmp_mmu *mmu, const struct dmp_agent_change *change)
{
	u64 number = change->at >> DMP_AGENT_KIND_SHIFT;

	switch (change->at & DMP_AGENT_KINDS) {
	case DMP_AGENT_ADDED:
		return take_back_counts(mmu, number, change->old, 1);
	case DMP_AGENT_TAKEN:
		return take_back_counts(mmu, number, change->old, -1u);
	case DMP_AGENT_FILLED:
		return take_back_filling(mmu, number);
	default:
		return take_back_word(mmu, change);
	}
}

void dmp_agent_take_back(struct dmp_mmu *mmu)
{
	struct dmp_agent *agent = &mmu->splicer->implant->agent;

	if (!agent->logged)
		return;
	while (agent->logged)
		if (!take_back(mmu, &agent->log[--agent->logged])) {
			dmp_break(mmu, DMP_BROKEN_UNTRACKED);
			return;
		}
	/* The CPU may have seen what was writable meanwhile. */
	dmp_flush(mmu);
}
