// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a vCPU out of the implant; see leave.h.
 */
#include "code/agent.h"
#include "splicer/leave.h"

static struct dmp_site *site_at(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site;

	/* Tombstones, too. */
	dmp_for_each_splice(site, splicer)
		if (site->stub.gva && (rip - site->stub.gva < site->stub.size ||
				       (site->landing && rip == site->landing)))
			return site;
	return NULL;
}

/* Where in @site's stub @rip is; a landing is before its beginning. */
static u32 stub_offset(const struct dmp_site *site, u64 rip)
{
	return rip == site->landing ? 0 : rip - site->stub.gva;
}

static void leave_filter(struct dmp_splicer *splicer, bool hypercall,
			 struct dmp_filter_regs *regs, struct dmp_left *left)
{
	unsigned int offset = regs->rip - splicer->filter_gva;

	hypercall &= offset == dmp_filter_hypercall_offset(splicer->guarded);
	dmp_filter_leave(splicer->guarded, offset, splicer->implant, regs, &left->filter);
	switch (left->filter.kind) {
	case DMP_FILTER_LEFT_FAULT:
		/* What the agent had begun is taken back. */
		left->unfinished = splicer->implant->agent.logged;
		regs->rip = splicer->prologue.rip;
		left->kind = hypercall ? DMP_LEFT_FAULT_ASKED :
					 DMP_LEFT_FAULT_BEGUN;
		break;
	case DMP_FILTER_LEFT_FOLLOW:
	case DMP_FILTER_LEFT_COUNT:
		left->unfinished = true;
		left->kind = DMP_LEFT_UNWIND;
		break;
	case DMP_FILTER_LEFT_RESOLVED:
		left->kind = DMP_LEFT_UNWIND;
		break;
	case DMP_FILTER_LEFT_NOWHERE:
		break;
	}
}

static void leave_stub(struct dmp_splicer *splicer, struct dmp_site *site,
		       struct dmp_filter_regs *regs, struct dmp_left *left)
{
	if (!dmp_stub_leave(&site->stub, splicer->implant,
			    stub_offset(site, regs->rip), regs->gpr,
			    &regs->rflags, &left->stub))
		return;
	left->site = site;
	left->unfinished = left->stub.phase == DMP_STUB_FINISH;
	left->kind = site == &splicer->prologue &&
		     left->stub.rip == site->rip ? DMP_LEFT_FAULT_BEGUN :
						   DMP_LEFT_HOME;
	regs->rip = left->stub.rip;
}

/* In the agent: on the way back into the stub, or as if it had not been asked. */
static void leave_agent(struct dmp_splicer *splicer, struct dmp_filter_regs *regs)
{
	const struct dmp_site *site;
	bool done;

	done = dmp_agent_leave(splicer->implant, splicer->agent_gva, regs);
	site = site_at(splicer, regs->rip);
	if (site && !done)
		regs->rip = site->stub.gva + site->stub.ask;
}

void dmp_splicer_leave(struct dmp_splicer *splicer, struct dmp_filter_regs *regs,
		       bool hypercall, struct dmp_left *left)
{
	struct dmp_site *site;

	*left = (struct dmp_left){ .kind = DMP_LEFT_OUTSIDE };
	left->away = splicer->implant->away;
	splicer->implant->away = 0;
	if (!dmp_splicer_has(splicer, regs->rip))
		return;
	if (dmp_splicer_in_agent(splicer, regs->rip))
		leave_agent(splicer, regs);
	site = site_at(splicer, regs->rip);
	if (site)
		leave_stub(splicer, site, regs, left);
	else if (regs->rip - splicer->filter_gva < DMP_PAGE_SIZE)
		leave_filter(splicer, hypercall, regs, left);
	else if (regs->rip == splicer->prologue.rip &&
		 splicer->prologue.state == DMP_SITE_SPLICED)
		left->kind = DMP_LEFT_FAULT_BEGUN;
}

u64 dmp_splicer_home(struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_site *site = dmp_splicer_has(splicer, rip) ? site_at(splicer, rip) : NULL;
	u64 home = site ? dmp_stub_home(&site->stub, stub_offset(site, rip)) : 0;

	return home ? home : rip;
}

/*
 * ---- Inside of a splice ----
 */

struct dmp_site *dmp_splicer_site(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site;

	dmp_for_each_splice(site, splicer)
		if (site->state == DMP_SITE_SPLICED &&
		    rip - site->rip < site->stub.plan.len)
			return site;
	return NULL;
}

u64 dmp_site_resume(const struct dmp_site *site, u64 rip)
{
	return site->state == DMP_SITE_SPLICED && rip > site->rip &&
	       rip - site->rip < site->stub.plan.len ?
	       dmp_stub_resume(&site->stub, rip) : 0;
}

u64 dmp_splicer_breakpoint(struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_site *site = dmp_splicer_site(splicer, rip);

	return site ? dmp_site_resume(site, rip) : 0;
}

bool dmp_splicer_is_within(struct dmp_splicer *splicer, u64 rip, u64 *site)
{
	const struct dmp_site *at = dmp_splicer_site(splicer, rip);

	if (!at || at->rip == rip || dmp_stub_resume(&at->stub, rip) ||
	    dmp_stub_is_own_int3(&at->stub, rip))
		return false;
	*site = at->rip;
	return true;
}
