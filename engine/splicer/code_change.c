// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spliced code that the guest writes, or maps no more.
 */
#include "mmu/machine.h"
#include "mmu/record.h"
#include "splicer/code_change.h"
#include "splicer/code_page.h"
#include "splicer/lidt.h"
#include "splicer/site.h"
#include "splicer/site_shown.h"

/* Splices that bytes [first, end) of the page touch go; the rest is copied. */
static void page_written(struct dmp_mmu *mmu, struct dmp_code_page *code,
			 unsigned int first, unsigned int end)
{
	dmp_site_undo_range(mmu, code->id, first, end);
	if (code->hfn)
		__builtin_memcpy(code->copy + first, code->pristine + first,
				 end - first);
}

void dmp_code_written(struct dmp_mmu *mmu, const struct dmp_write *write)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, write->gfn);
	const u8 *was = (const u8 *)write->old, *now;
	unsigned int first, end, base = write->first * 8;
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *code;

	if (!frame || !frame->code)
		return;
	now = (const u8 *)dmp_hfn_va(mmu, dmp_frame_hfn(frame)) + base;
	end = write->count * 8;
	for (first = 0; first < end && now[first] == was[first]; first++)
		;
	while (end > first && now[end - 1] == was[end - 1])
		end--;
	if (first < end && dmp_gate_is_in(splicer, write->gfn) &&
	    base + first < splicer->gate_offset + DMP_GATE_BYTES &&
	    splicer->gate_offset < base + end)
		dmp_break(mmu, DMP_BROKEN_HANDLER);
	if (first >= end)
		return;
	first += base;
	end += base;
	/* What any of its pages has shown, before the first is copied. */
	dmp_for_each_code(code, splicer)
		if (code->gfn == write->gfn)
			dmp_site_restore_shown(mmu, code->id, &first, &end);
	dmp_for_each_code(code, splicer)
		if (code->gfn == write->gfn)
			page_written(mmu, code, first, end);
	dmp_for_each_code(code, splicer)
		if (code->gfn == write->gfn)
			dmp_site_show_again(mmu, code->id);
	if (frame->lidt)
		dmp_lidt_written(mmu, write->gfn);
}

/* Other code may come to the same addresses. */
static void forget_sites(struct dmp_splicer *splicer, unsigned int code)
{
	struct dmp_site *site;

	dmp_for_each_site(site, splicer)
		if (site->shown && site->code == code)
			*site = (struct dmp_site){
				.rip = site->rip, .state = DMP_SITE_COUNTING,
			};
}

static bool is_lost(const struct dmp_mmu *mmu, const struct dmp_code_page *code)
{
	return !code->table || dmp_frame_find(mmu, code->gfn)->tables;
}

void dmp_code_drop_lost(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *code;

	splicer->unsettled = false;
	dmp_for_each_code(code, splicer) {
		if (!is_lost(mmu, code))
			continue;
		dmp_site_undo_range(mmu, code->id, 0, DMP_PAGE_SIZE);
		forget_sites(splicer, code->id);
		dmp_lidt_forget(splicer, code->id);
		code->sites = 1;
		dmp_code_put(mmu, code);
	}
}
