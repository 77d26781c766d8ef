// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who in the splicer hears what machine tables tell; see mmu/tenant.h. Nothing is done
 * here.
 */
#include "mmu/machine.h"
#include "mmu/tenant.h"
#include "splicer/cache.h"
#include "splicer/code_change.h"
#include "splicer/code_page.h"
#include "splicer/hidden.h"
#include "splicer/lidt.h"
#include "splicer/overlay.h"
#include "splicer/pool.h"
#include "splicer/splicer.h"
#include "splicer/target.h"
#include "splicer/view.h"
#include "splicer/window.h"

bool dmp_tenant_page_added(struct dmp_mmu *mmu, u64 hfn)
{
	return !mmu->splicer || dmp_window_show(mmu, hfn);
}

void dmp_tenant_page_gone(struct dmp_mmu *mmu, u64 hfn)
{
	if (mmu->splicer)
		dmp_window_hide(mmu, hfn);
}

bool dmp_tenant_chunk_added(struct dmp_mmu *mmu, u32 chunk)
{
	return !mmu->splicer || dmp_window_show_chunk(mmu, chunk);
}

struct dmp_table *dmp_tenant_spare(struct dmp_mmu *mmu)
{
	return mmu->splicer ? dmp_pool_take(mmu) : NULL;
}

bool dmp_tenant_keeps(struct dmp_mmu *mmu, struct dmp_table *table)
{
	return mmu->splicer && dmp_pool_keep(mmu, table);
}

void dmp_tenant_split_made(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	if (mmu->splicer)
		dmp_split_note(mmu->splicer->implant, table->hfn, table->id);
}

void dmp_tenant_table_held(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (mmu->splicer)
		dmp_cache_learn(mmu, table);
}

void dmp_tenant_table_released(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (mmu->splicer)
		dmp_cache_drop_table(mmu, table);
}

void dmp_tenant_table_gone(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	if (mmu->splicer)
		dmp_space_forget_table(mmu, table);
}

void dmp_tenant_frame_shared(struct dmp_mmu *mmu, const struct dmp_frame *frame)
{
	if (!mmu->splicer)
		return;
	dmp_cache_drop_frame(mmu, frame);
	/* A and D are set in tables: no copy of them would follow. */
	if (frame->code)
		mmu->splicer->unsettled = true;
}

u64 dmp_tenant_absent(const struct dmp_mmu *mmu, const struct dmp_table *table,
		      unsigned int index)
{
	return mmu->splicer ? dmp_space_entry(mmu, table, index) : 0;
}

void dmp_tenant_overlaid(struct dmp_mmu *mmu)
{
	if (mmu->splicer)
		mmu->splicer->space.grown = true;
}

void dmp_tenant_path_changed(struct dmp_mmu *mmu, const struct dmp_table *table,
			     unsigned int index)
{
	if (mmu->splicer)
		dmp_cache_path_changed(mmu, table, index);
}

void dmp_tenant_path_left(struct dmp_mmu *mmu, const struct dmp_frame *frame)
{
	if (mmu->splicer)
		dmp_cache_drop_frame(mmu, frame);
}

u64 dmp_tenant_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index, u64 machine)
{
	return mmu->splicer ? dmp_code_leaf(mmu, table, index, machine) : machine;
}

bool dmp_tenant_is_copy(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
			u64 machine)
{
	return mmu->splicer && dmp_code_is_copy(mmu, frame, machine);
}

void dmp_tenant_code_came(struct dmp_mmu *mmu)
{
	if (mmu->splicer)
		dmp_lidt_come(mmu);
}

void dmp_tenant_watched_gone(struct dmp_mmu *mmu, u64 gfn)
{
	if (mmu->splicer)
		dmp_lidt_gone(mmu, gfn);
}

void dmp_tenant_code_gone(struct dmp_mmu *mmu, const struct dmp_table *table,
			  unsigned int index)
{
	if (mmu->splicer)
		dmp_code_leaf_gone(mmu, table, index);
}

void dmp_tenant_root_changed(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (mmu->splicer)
		dmp_space_look(mmu, table);
}

void dmp_tenant_user_changed(struct dmp_mmu *mmu, struct dmp_table *table,
			     unsigned int index)
{
	if (mmu->splicer)
		dmp_space_look_at(mmu, table, index);
}

void dmp_tenant_root_left(struct dmp_mmu *mmu, const struct dmp_root *root)
{
	if (mmu->splicer)
		dmp_target_forget(mmu, root);
}

bool dmp_tenant_may_switch(struct dmp_mmu *mmu, struct dmp_root *root,
			   const struct dmp_table *table)
{
	return mmu->splicer && dmp_view_try_root(mmu, root, table);
}

void dmp_tenant_written(struct dmp_mmu *mmu, const struct dmp_write *write)
{
	if (mmu->splicer)
		dmp_code_written(mmu, write);
}

void dmp_tenant_settle(struct dmp_mmu *mmu)
{
	if (mmu->splicer)
		dmp_splicer_settle(mmu);
}

void dmp_tenant_destroy(struct dmp_mmu *mmu)
{
	if (mmu->splicer)
		dmp_splicer_destroy(mmu);
}

const char *dmp_tenant_audit(struct dmp_mmu *mmu, u64 *gfn)
{
	const char *what;

	if (!mmu->splicer)
		return NULL;
	what = dmp_pool_audit(mmu);
	return what ? what : dmp_splicer_audit(mmu, gfn);
}
