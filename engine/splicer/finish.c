// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a vCPU had begun when it was taken out of the implant; see finish.h.
 */
#include "mmu/record.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/target.h"

/*
 * The guest entry @index of @table was @old: follow it, at each level that its
 * frame is a table of. @walked: as of dmp_frame_follow().
 */
static void finish_entry(struct dmp_mmu *mmu, struct dmp_table *table,
			 u32 index, u64 old, unsigned int walked)
{
	if (!table || !table->id || !table->guest ||
	    !(table->flags & DMP_TABLE_HELD) || index >= DMP_ENTRIES) {
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		return;
	}
	dmp_frame_follow(mmu, table->gfn, index, 1, &old, walked);
}

static void uncount(struct dmp_mmu *mmu, const struct dmp_table *table,
		    const struct dmp_stub_exit *stub)
{
	struct dmp_frame *frame;

	if (!stub->counted)
		return;
	frame = dmp_frame_find(mmu, dmp_pte_gfn(stub->counted > 0 ?
				       DMP_READ_ONCE(table->guest[stub->index]) :
				       stub->old));
	if (frame)
		frame->writable -= stub->counted;
	else
		dmp_break(mmu, DMP_BROKEN_COUNT);
}

/* What an entry was left at, which is in .left. */
static void finish_left(struct dmp_mmu *mmu, const struct dmp_left *left)
{
	struct dmp_table *table;
	struct dmp_frame *frame;

	mmu->splicer->finished++;
	dmp_agent_take_back(mmu);
	if (left->kind == DMP_LEFT_UNWIND) {
		table = dmp_table_by_hfn(mmu, left->filter.table);
		frame = dmp_frame_find(mmu, left->filter.gfn);
		if (left->filter.kind == DMP_FILTER_LEFT_FOLLOW)
			finish_entry(mmu, table, left->filter.index,
				     left->filter.old, 1);
		else if (frame)
			frame->writable++;
	} else if (left->kind == DMP_LEFT_HOME) {
		left->site->finished++;
		table = left->stub.at.table < mmu->chunks << DMP_CHUNK_SHIFT ?
			dmp_table_of(mmu, left->stub.at.table) : NULL;
		if (table && table->guest)
			uncount(mmu, table, &left->stub);
		finish_entry(mmu, table, left->stub.index, left->stub.old, 0);
	}
}

void dmp_splicer_finish(struct dmp_mmu *mmu, const struct dmp_left *left)
{
	if (mmu->broken)
		return;
	if (left->switched)
		dmp_target_follow(mmu);
	if (left->switched != DMP_SWITCHED_ONLY && !mmu->broken)
		finish_left(mmu, left);
	if (left->switched && !mmu->broken)
		dmp_target_leave(mmu);
	dmp_mmu_settle(mmu);
}
