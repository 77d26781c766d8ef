// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engage and disengage state machine; see policy.h.
 */
#include "watch/policy.h"

const char *dmp_state_name(enum dmp_state state)
{
	static const char * const name[DMP_STATES] = {
		[DMP_STATE_OFF]		= "off",
		[DMP_STATE_WATCHING]	= "watching",
		[DMP_STATE_PREPARING]	= "preparing",
		[DMP_STATE_ENGAGED]	= "engaged",
		[DMP_STATE_BACKED_OFF]	= "backed-off",
	};

	return state < DMP_STATES ? name[state] : "unknown";
}

const char *dmp_reason_name(enum dmp_reason reason)
{
	static const char * const name[DMP_REASONS] = {
		[DMP_REASON_NONE]		= "none",
		[DMP_REASON_REQUEST]		= "request",
		[DMP_REASON_NESTED_PAGING]	= "nested-paging",
		[DMP_REASON_VCPUS]		= "several-vcpus",
		[DMP_REASON_PAGING_MODE]	= "paging-mode",
		[DMP_REASON_NESTED_GUEST]	= "nested-guest",
		[DMP_REASON_SMM]		= "smm",
		[DMP_REASON_DIRTY_LOGGING]	= "dirty-logging",
		[DMP_REASON_MEMSLOTS]		= "memory-slots",
		[DMP_REASON_HOST_CPU]		= "host-cpu",
		[DMP_REASON_PIN]		= "cannot-pin",
		[DMP_REASON_NO_MEMORY]		= "no-memory",
		[DMP_REASON_MEMORY_CHANGED]	= "memory-changed",
		[DMP_REASON_EMULATION]		= "cannot-emulate",
		[DMP_REASON_BROKEN]		= "broken",
		[DMP_REASON_DOUBLE_FAULT]	= "double-fault",
		[DMP_REASON_IDT]		= "handler-changed",
		[DMP_REASON_ADDRESS]		= "implant-address-used",
		[DMP_REASON_DEBUG]		= "kernel-breakpoint",
		[DMP_REASON_DEBUGGER]		= "debugger",
		[DMP_REASON_CODE]		= "code-mapped-twice",
		[DMP_REASON_MEMLOCK]		= "memlock-limit",
		[DMP_REASON_WORK]		= "too-much-work",
		[DMP_REASON_EXPOSED]		= "not-isolated",
		[DMP_REASON_TABLES]		= "too-many-tables",
		[DMP_REASON_NOT_RAM]		= "table-not-in-ram",
	};

	return reason < DMP_REASONS ? name[reason] : "unknown";
}

void dmp_policy_start(struct dmp_policy *policy)
{
	if (policy->state == DMP_STATE_OFF)
		policy->state = DMP_STATE_WATCHING;
	policy->window_start = 0;
	policy->backoff = 0;
}

void dmp_policy_stop(struct dmp_policy *policy)
{
	if (policy->state == DMP_STATE_WATCHING ||
	    policy->state == DMP_STATE_BACKED_OFF)
		policy->state = DMP_STATE_OFF;
}

static void window_open(struct dmp_policy *policy, u64 now, u64 faults)
{
	policy->window_start = now;
	policy->window_faults = faults;
}

bool dmp_policy_tick(struct dmp_policy *policy, u64 now, u64 faults)
{
	u64 elapsed;

	if (policy->state == DMP_STATE_BACKED_OFF && now >= policy->not_before) {
		policy->state = DMP_STATE_WATCHING;
		policy->window_start = 0;
	}
	if (policy->state != DMP_STATE_WATCHING)
		return false;
	if (!policy->window_start) {
		window_open(policy, now, faults);
		return false;
	}
	elapsed = now - policy->window_start;
	if (elapsed < DMP_POLICY_WINDOW_NS)
		return false;
	/* faults / seconds >= rate, without dividing */
	if ((faults - policy->window_faults) * 1000000000ull >=
	    elapsed * DMP_POLICY_RATE) {
		policy->state = DMP_STATE_PREPARING;
		return true;
	}
	window_open(policy, now, faults);
	return false;
}

bool dmp_policy_force(struct dmp_policy *policy)
{
	if (policy->state != DMP_STATE_WATCHING &&
	    policy->state != DMP_STATE_BACKED_OFF)
		return false;
	policy->state = DMP_STATE_PREPARING;
	return true;
}

bool dmp_policy_hold(struct dmp_policy *policy, u64 until)
{
	if (policy->state == DMP_STATE_OFF)
		return true;
	if (policy->state != DMP_STATE_WATCHING &&
	    policy->state != DMP_STATE_BACKED_OFF)
		return false;
	policy->state = DMP_STATE_BACKED_OFF;
	if (policy->not_before < until)
		policy->not_before = until;
	return true;
}

void dmp_policy_engaged(struct dmp_policy *policy, u64 now)
{
	policy->state = DMP_STATE_ENGAGED;
	policy->since = now;
	policy->engagements++;
}

static void back_off(struct dmp_policy *policy, u64 now, enum dmp_reason why,
		     u32 detail)
{
	policy->state = DMP_STATE_BACKED_OFF;
	policy->reason = why;
	policy->detail = detail;
	policy->by_reason[why]++;
	policy->not_before = now + (DMP_POLICY_BACKOFF_NS << policy->backoff);
	if (policy->backoff < DMP_POLICY_BACKOFF_MAX)
		policy->backoff++;
}

void dmp_policy_refused(struct dmp_policy *policy, u64 now,
			enum dmp_reason why, u32 detail)
{
	policy->refusals++;
	back_off(policy, now, why, detail);
}

void dmp_policy_disengaged(struct dmp_policy *policy, u64 now,
			   enum dmp_reason why, u32 detail)
{
	policy->disengagements++;
	if (now - policy->since >= DMP_POLICY_FORGIVE_NS)
		policy->backoff = 0;
	back_off(policy, now, why, detail);
}
