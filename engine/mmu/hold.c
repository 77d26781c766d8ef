// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holding frames: nothing maps them writable while there is a reason.
 */
#include "mmu/hold.h"
#include "mmu/leaf.h"
#include "mmu/record.h"
#include "mmu/tenant.h"

static void protect_frame(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	struct dmp_table *pair;

	frame->leaf &= ~DMP_PTE_RW;
	if (frame->writable && frame->dmap_table)
		dmp_table_refresh_leaf(mmu, dmp_table_of(mmu, frame->dmap_table),
				       frame->dmap_index);
	pair = frame->writable ? dmp_table_pair(mmu, frame) : NULL;
	if (pair) {
		frame->paired = 1;
		dmp_table_refresh_leaf(mmu, pair, frame->dmap_index);
	}
	if (frame->writable) {
		frame->aliased = 1;
		dmp_leaf_refresh_all(mmu, frame);
	}
	if (frame->writable)
		dmp_break(mmu, DMP_BROKEN_ALIAS);
	dmp_flush(mmu);
}

/* No flush: mappings only become stronger. */
static void unprotect_frame(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	struct dmp_table *pair = frame->paired ? dmp_table_pair(mmu, frame) : NULL;

	frame->leaf |= DMP_PTE_RW;
	if (frame->aliased || (frame->paired && !pair)) {
		dmp_leaf_refresh_all(mmu, frame);
	} else {
		if (frame->dmap_table)
			dmp_table_refresh_leaf(mmu, dmp_table_of(mmu, frame->dmap_table),
					       frame->dmap_index);
		if (pair)
			dmp_table_refresh_leaf(mmu, pair, frame->dmap_index);
	}
	frame->aliased = 0;
	frame->paired = 0;
}

void dmp_frame_hold(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	if (frame->held == DMP_HELD_MAX)
		dmp_break(mmu, DMP_BROKEN_COUNT);
	else if (frame->held++ == 0)
		protect_frame(mmu, frame);
}

void dmp_frame_release(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	if (--frame->held == 0)
		unprotect_frame(mmu, frame);
}

void dmp_table_hold(struct dmp_mmu *mmu, struct dmp_table *table)
{
	table->flags |= DMP_TABLE_HELD;
	dmp_frame_hold(mmu, dmp_frame_find(mmu, table->gfn));
}

void dmp_table_release(struct dmp_mmu *mmu, struct dmp_table *table)
{
	dmp_tenant_table_released(mmu, table);
	table->flags &= ~DMP_TABLE_HELD;
	dmp_frame_release(mmu, dmp_frame_find(mmu, table->gfn));
}
