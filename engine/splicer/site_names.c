// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sites are called.
 */
#include "splicer/site_names.h"

const char *dmp_site_state_name(enum dmp_site_state state)
{
	static const char * const name[DMP_SITE_STATES] = {
		[DMP_SITE_FREE]		= "free",
		[DMP_SITE_COUNTING]	= "counting",
		[DMP_SITE_SPLICED]	= "spliced",
		[DMP_SITE_UNDONE]	= "undone",
		[DMP_SITE_REFUSED]	= "refused",
		[DMP_SITE_COVERED]	= "covered",
	};

	return state < DMP_SITE_STATES ? name[state] : "unknown";
}

const char *dmp_tactic_name(enum dmp_tactic tactic)
{
	static const char * const name[DMP_TACTICS] = {
		[DMP_TACTIC_NONE]	= "none",
		[DMP_TACTIC_JMP]	= "jmp",
		[DMP_TACTIC_DISPLACED]	= "jmp+displaced",
		[DMP_TACTIC_PROLOGUE]	= "prologue",
	};

	return tactic < DMP_TACTICS ? name[tactic] : "unknown";
}

enum dmp_tactic dmp_site_tactic(const struct dmp_site *site)
{
	const struct dmp_splice_plan *plan = &site->stub.plan;

	if (site->state != DMP_SITE_SPLICED)
		return DMP_TACTIC_NONE;
	if (plan->insn[0].kind != DMP_SPLICE_REPLACED)
		return DMP_TACTIC_PROLOGUE;
	return plan->count > 1 ? DMP_TACTIC_DISPLACED : DMP_TACTIC_JMP;
}

const char *dmp_site_refusal_name(const struct dmp_site *site)
{
	static const char * const name[DMP_SITE_REASONS] = {
		[DMP_SITE_OK]		= "none",
		[DMP_SITE_NO_ROOM]	= "no-room",
		[DMP_SITE_CODE]		= "code-page",
		[DMP_SITE_OVERLAPS]	= "overlaps",
		[DMP_SITE_UNDONE_OFTEN]	= "undone-often",
		[DMP_SITE_ASKED]	= "asked",
		[DMP_SITE_ENTERED]	= "entered-inside",
	};

	if (site->refusal == DMP_SITE_PLAN)
		return dmp_splice_refusal_name(site->detail);
	if (site->refusal == DMP_SITE_STUB)
		return dmp_stub_refusal_name(site->detail);
	return site->refusal < DMP_SITE_REASONS ? name[site->refusal] : "unknown";
}
