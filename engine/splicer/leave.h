/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU in the implant: whether it is in there, and taking it out.
 *
 * The host calls these under any lock, or none, as long as the splicer stays: what they
 * read of it changes only while all vCPUs are outside of the guest. They write nothing,
 * but for dmp_splicer_leave(), which writes what it is given, and the implant.
 */
#ifndef DMP_LEAVE_H
#define DMP_LEAVE_H

#include "splicer/state.h"

enum dmp_left_kind {
	DMP_LEFT_OUTSIDE,	/* it was not in the implant */
	DMP_LEFT_HOME,		/* registers are the guest's own */
	/*
	 * At the guest's #PF handler, with the frame the CPU made: the fault
	 * has to be looked at (the filter asks), or may be left to the filter
	 * as long as there is one (it had only begun).
	 */
	DMP_LEFT_FAULT_ASKED,
	DMP_LEFT_FAULT_BEGUN,
	/*
	 * The fault is resolved: unwind the frame at RSP (no error code).
	 */
	DMP_LEFT_UNWIND,
};

/* Whether the guest has loaded another root by itself; target.h. */
enum dmp_switched {
	DMP_SWITCHED_NOT,
	DMP_SWITCHED_ONLY,	/* and nothing else is unfinished */
	DMP_SWITCHED_TOO
};

struct dmp_left {
	enum dmp_left_kind kind;
	/* Then dmp_splicer_finish() has to be called, before anything else. */
	bool unfinished;
	u8 switched;		/* enum dmp_switched: the host's, with .unfinished */
	bool away;		/* CR3 may not be the loaded root's: load it */
	struct dmp_stub_exit stub;
	struct dmp_filter_left filter;
	struct dmp_site *site;
};

/* Whether @rip is in the implant, or about to enter it by the guest's #PF handler. */
static inline bool dmp_splicer_has(const struct dmp_splicer *splicer, u64 rip)
{
	return rip - splicer->public_start <
	       splicer->public_end - splicer->public_start ||
	       rip == splicer->prologue.rip;
}

/*
 * Code of the implant's at @rip has faulted at @gva, in the private region: the loaded
 * root does not show it, where .guarded says so.
 */
static inline bool dmp_splicer_is_exposed(const struct dmp_splicer *splicer, u64 rip,
					  u64 gva)
{
	return splicer->guarded && dmp_splicer_has(splicer, rip) &&
	       gva - splicer->private_gva < splicer->private_bytes;
}

static inline bool dmp_splicer_in_agent(const struct dmp_splicer *splicer,
					u64 rip)
{
	return rip - splicer->agent_gva < DMP_AGENT_CODE_BYTES;
}

/* Take the vCPU out of it, if it is in there. @hypercall: the exit is for that at RIP. */
void dmp_splicer_leave(struct dmp_splicer *splicer, struct dmp_filter_regs *regs,
		       bool hypercall, struct dmp_left *left);

/*
 * Where to go on after a #BP at @rip: in a stub, when a splice is there;
 * 0: it is the guest's own INT3.
 */
u64 dmp_splicer_breakpoint(struct dmp_splicer *splicer, u64 rip);

/*
 * Whether @rip is in the middle of an instruction under a splice, so that a #BP
 * there is not the guest's; then *@site is the site's address.
 */
bool dmp_splicer_is_within(struct dmp_splicer *splicer, u64 rip, u64 *site);

/*
 * Whether @rip is inside of @site's splice: then where it goes on in the stub,
 * which saves a vCPU that is about to run there a #BP; else 0.
 */
u64 dmp_site_resume(const struct dmp_site *site, u64 rip);

/* The site whose splice @rip is in, its first byte included; NULL: none. */
struct dmp_site *dmp_splicer_site(struct dmp_splicer *splicer, u64 rip);

/*
 * The hypercall at @rip, if it stands for a MOV to CR3; NULL: it does not, or
 * is not known because a later one has taken its place. The guest goes on
 * DMP_STUB_HYPERCALL bytes behind it.
 */
static inline const struct dmp_cr3_call *
dmp_splicer_cr3_call(const struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_cr3_call *call = splicer->cr3_call;
	const struct dmp_cr3_call *end = call + DMP_CR3_CALLS;

	for (; call < end && call->rip; call++)
		if (call->rip == rip)
			return call;
	return NULL;
}

/* The guest's address of what runs at @rip, should that be a stub's. */
u64 dmp_splicer_home(struct dmp_splicer *splicer, u64 rip);

#endif /* DMP_LEAVE_H */
