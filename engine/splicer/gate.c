// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way to the guest's #PF handler; see gate.h.
 */
#include "mmu/hold.h"
#include "mmu/record.h"
#include "mmu/walk.h"
#include "splicer/code_page.h"
#include "splicer/gate.h"
#include "splicer/site.h"
#include "splicer/start.h"

/* The gate that leads to the handler may not change unseen. */
static bool watch_gate(struct dmp_mmu *mmu, u64 gate)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_table *table;
	struct dmp_frame *frame;
	unsigned int index;
	u64 gfn;

	table = dmp_table_walk(mmu, gate, &index);
	if (!table || !(table->entries[index] & DMP_PTE_P) ||
	    dmp_is_trap(&mmu->paging, table->entries[index]))
		return false;
	gfn = table->guest ? dmp_pte_gfn(table->guest[index]) :
			     table->gfn + index;
	frame = dmp_frame_find(mmu, gfn);
	if (!frame || !dmp_table_may_be(mmu, gfn) ||
	    (gate & DMP_PAGE_OFFSET) > DMP_PAGE_SIZE - DMP_GATE_BYTES)
		return false;
	splicer->gate_gfn = gfn;
	splicer->gate_offset = gate & DMP_PAGE_OFFSET;
	splicer->gate_table = table->id;
	splicer->gate_index = index;
	if (!frame->code)
		dmp_frame_hold(mmu, frame);
	frame->code = 1;
	return true;
}

static void unwatch_gate(struct dmp_mmu *mmu)
{
	mmu->splicer->gate_table = 0;
	dmp_code_release(mmu, mmu->splicer->gate_gfn);
}

enum dmp_start_refusal dmp_gate_splice(struct dmp_mmu *mmu, const struct dmp_start *start)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_site *prologue = &splicer->prologue;

	if (!watch_gate(mmu, start->gate))
		return DMP_START_HANDLER;
	prologue->rip = start->handler;
	prologue->state = DMP_SITE_COUNTING;
	dmp_site_install(mmu, prologue, DMP_SPLICE_PROLOGUE | DMP_SPLICE_MAY_CALL);
	if (prologue->state != DMP_SITE_SPLICED) {
		unwatch_gate(mmu);
		return DMP_START_HANDLER;
	}
	splicer->deliver_gva = prologue->stub.gva + prologue->stub.deliver;
	if (!dmp_filter_deliver(splicer->filter, splicer->guarded,
				splicer->filter_gva, splicer->deliver_gva))
		return DMP_START_NO_ROOM;
	splicer->handler_link = dmp_loaded_top(mmu)->
		entries[dmp_index(prologue->rip, mmu->paging.levels)];
	return DMP_START_OK;
}

bool dmp_gate_suits(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	u64 gva = splicer->prologue.rip;
	struct dmp_walk w;

	if (table->entries[dmp_index(gva, table->level)] == splicer->handler_link)
		return true;
	dmp_for_each_level(&w, mmu, table, gva)
		if (w.entry & DMP_PTE_NX)
			return true;
	return w.end != DMP_WALK_LEAF ||
	       dmp_pte_gfn(w.entry) == splicer->code[splicer->prologue.code].hfn;
}
