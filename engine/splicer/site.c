// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replacing instructions, and taking that back; see site.h.
 */
#include "insn/insn.h"
#include "splicer/code_page.h"
#include "splicer/overlay.h"
#include "splicer/relic.h"
#include "splicer/room.h"
#include "splicer/site.h"
#include "splicer/site_stub.h"

static bool overlaps(const struct dmp_site *site, u64 rip, u64 end)
{
	return site->state == DMP_SITE_SPLICED && site->rip < end &&
	       rip < site->rip + site->stub.plan.len;
}

static bool is_taken(const struct dmp_splicer *splicer, u64 rip, u64 end)
{
	const struct dmp_site *site;

	dmp_for_each_splice(site, splicer)
		if (overlaps(site, rip, end))
			return true;
	return false;
}

/* For whoever asks: what is there, and what it is. */
static void note_insn(struct dmp_site *site, const u8 *bytes, u32 avail)
{
	struct dmp_insn insn;

	site->insn_len = 0;
	site->form = DMP_FORM_OTHER;
	if (dmp_insn_decode(bytes, avail, &insn) != DMP_INSN_OK)
		return;
	site->insn_len = insn.length;
	site->form = insn.form;
	__builtin_memcpy(site->insn, bytes, insn.length);
}

/* What the site has shown is about to be something else. */
static void note_past(struct dmp_site *site)
{
	struct dmp_site_past *past = &site->past[site->pasts];

	if (!site->shown || site->pasts == DMP_ARRAY_SIZE(site->past))
		return;
	__builtin_memcpy(past->bytes, site->bytes, site->shown);
	__builtin_memcpy(past->original, site->original, site->shown);
	past->shown = site->shown;
	site->pasts++;
}

/*
 * Those that stand in the splice of @site: when it comes they are replaced with
 * it, and when it goes they are on their own again.
 */
static void mark_covered(struct dmp_splicer *splicer, const struct dmp_site *site,
			 enum dmp_site_state from, enum dmp_site_state to)
{
	const struct dmp_splice_plan *plan = &site->stub.plan;
	struct dmp_site *other;
	unsigned int k;

	dmp_for_each_site(other, splicer)
		for (k = 1; k < plan->count && other->state == from; k++)
			if (plan->insn[k].kind == DMP_SPLICE_REPLACED &&
			    other->rip == site->rip + plan->insn[k].offset)
				other->state = to;
}

/* Let the VMM know the hypercalls by which @site's stub loads CR3. */
static void note_cr3_calls(struct dmp_splicer *splicer,
			   const struct dmp_site *site)
{
	const struct dmp_stub *stub = &site->stub;
	unsigned int i;

	for (i = 0; i < stub->plan.count; i++) {
		if (stub->cr3[i] == DMP_REG_NONE)
			continue;
		splicer->cr3_call[splicer->cr3_calls++ % DMP_CR3_CALLS] =
			(struct dmp_cr3_call){
				.rip = stub->gva + stub->call[i],
				.home = site->rip + stub->plan.insn[i].offset,
				.reg = stub->cr3[i],
			};
	}
}

/* Its stub is there: @bytes, @len of them, are what the guest's CPU sees from now on. */
static void show_splice(struct dmp_mmu *mmu, struct dmp_site *site,
			struct dmp_code_page *code, const u8 *bytes, unsigned int len)
{
	unsigned int offset = site->rip & DMP_PAGE_OFFSET;
	struct dmp_splicer *splicer = mmu->splicer;

	if (site->landing)
		dmp_landing_write(splicer, site->landing, site->stub.gva);
	note_past(site);
	/* Counted since it was first shown. */
	code->sites -= !!site->shown;
	__builtin_memcpy(site->original, code->pristine + offset, len);
	__builtin_memcpy(site->bytes, bytes, len);
	__builtin_memcpy(code->copy + offset, bytes, len);
	site->shown = len;
	site->code = code->id;
	site->state = DMP_SITE_SPLICED;
	mark_covered(splicer, site, DMP_SITE_COUNTING, DMP_SITE_COVERED);
	note_cr3_calls(splicer, site);
	splicer->stubs++;
	dmp_relic_note(splicer->relics, site);
	dmp_space_sync(mmu);
}

/*
 * Replace the instructions at site->rip. vCPUs are outside of the guest, and
 * entering it serializes (APM vol. 2, 15.5; SDM vol. 3, 26.3): the order of
 * writes does not matter to them, only that all are done or none.
 *
 * 1. the code page's copy, so that the frame is read-only from now on;
 * 2. the plan, by the guest's own bytes; 3. the stub; 4. the landing; 5. the
 * splice.
 */
void dmp_site_install(struct dmp_mmu *mmu, struct dmp_site *site, u32 flags)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int offset = site->rip & DMP_PAGE_OFFSET;
	enum dmp_splice_refusal why;
	enum dmp_stub_refusal no_stub;
	struct dmp_splice_plan plan;
	struct dmp_stub_site at = {
		.site = site->rip, .plan = &plan, .implant = splicer->implant_gva,
		.agent = splicer->agent_gva, .landing = site->landing,
		.targets = splicer->targets, .guarded = splicer->guarded,
	};
	struct dmp_code_page *code = dmp_code_get(mmu, site->rip);
	u8 bytes[DMP_SPLICE_BYTES_MAX];

	if (!code) {
		dmp_site_refuse(site, DMP_SITE_CODE, 0);
		return;
	}
	at.bytes = code->pristine + offset;
	note_insn(site, at.bytes, DMP_PAGE_SIZE - offset);
	__builtin_memcpy(at.hypercall, splicer->hypercall, sizeof(at.hypercall));
	why = dmp_splice_plan(at.bytes, DMP_PAGE_SIZE - offset, site->rip, flags,
			      &plan);
	if (why != DMP_SPLICE_OK) {
		dmp_site_refuse(site, DMP_SITE_PLAN, why);
	} else if (!dmp_site_has_stub(&at, &no_stub)) {
		dmp_site_refuse(site, DMP_SITE_STUB, no_stub);
	} else if (is_taken(splicer, site->rip, site->rip + plan.len)) {
		dmp_site_refuse(site, DMP_SITE_OVERLAPS, 0);
	} else if (dmp_site_bury_stub(splicer, site) && dmp_site_make_stub(mmu, site, &at)) {
		if (dmp_splice_bytes(&plan, site->rip, dmp_stub_entry(&at), bytes)) {
			show_splice(mmu, site, code, bytes, plan.len);
			return;
		}
		dmp_site_refuse(site, DMP_SITE_NO_ROOM, 0);
	}
	dmp_code_put(mmu, code);
}

void dmp_site_reinstate(struct dmp_mmu *mmu, struct dmp_site *site)
{
	__builtin_memcpy(mmu->splicer->code[site->code].copy + (site->rip & DMP_PAGE_OFFSET),
			 site->bytes, site->shown);
	site->state = DMP_SITE_SPLICED;
	if (site->undos)
		site->undos--;
	mark_covered(mmu->splicer, site, DMP_SITE_COUNTING, DMP_SITE_COVERED);
	note_cr3_calls(mmu->splicer, site);
}

/*
 * ---- Undoing ----
 */

/* The page stays read-only: what it has shown may be written back. */
void dmp_site_undo(struct dmp_mmu *mmu, struct dmp_site *site,
		   enum dmp_site_refusal why)
{
	struct dmp_code_page *code = &mmu->splicer->code[site->code];
	unsigned int offset = site->rip & DMP_PAGE_OFFSET;

	if (site->state != DMP_SITE_SPLICED)
		return;
	__builtin_memcpy(code->copy + offset, code->pristine + offset,
			 site->stub.plan.len);
	mark_covered(mmu->splicer, site, DMP_SITE_COVERED, DMP_SITE_COUNTING);
	mmu->splicer->undone++;
	site->undos++;
	site->traps = 0;
	site->state = DMP_SITE_UNDONE;
	if (why != DMP_SITE_OK)
		dmp_site_refuse(site, why, 0);
	else if (site->undos >= DMP_SITE_UNDOS_MAX)
		dmp_site_refuse(site, DMP_SITE_UNDONE_OFTEN, 0);
	if (site == &mmu->splicer->prologue)
		dmp_break(mmu, DMP_BROKEN_HANDLER);
}

enum dmp_undo dmp_sites_undo(struct dmp_mmu *mmu, u64 rip, enum dmp_site_refusal why)
{
	struct dmp_splicer *splicer = mmu->splicer;
	enum dmp_undo undo = DMP_UNDO_NONE;
	struct dmp_site *site;

	if (rip && rip == splicer->prologue.rip)
		return DMP_UNDO_HANDLER;
	dmp_for_each_site(site, splicer) {
		if (site->state != DMP_SITE_SPLICED || (rip && site->rip != rip) ||
		    mmu->broken)
			continue;
		dmp_site_undo(mmu, site, why);
		undo = DMP_UNDO_DONE;
	}
	return undo;
}

void dmp_site_undo_range(struct dmp_mmu *mmu, unsigned int code,
			 unsigned int first, unsigned int end)
{
	struct dmp_splicer *splicer = mmu->splicer;
	u64 gva = splicer->code[code].gva;
	struct dmp_site *site;

	dmp_for_each_splice(site, splicer)
		if (site->code == code && overlaps(site, gva + first, gva + end))
			dmp_site_undo(mmu, site, DMP_SITE_OK);
}
