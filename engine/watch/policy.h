/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When to run on machine tables: the engage and disengage state machine.
 *
 *	watching --(rate)--> preparing --> engaged
 *	    ^                    |            |
 *	    +---(time) backed off <-----------+
 *
 * Pure bookkeeping: the host says what happens and asks what to do. Times are
 * in nanoseconds of any clock that does not go back. Not locked: the host
 * makes all calls under one lock.
 */
#ifndef DMP_POLICY_H
#define DMP_POLICY_H

#include "arch/types.h"

enum dmp_state {
	DMP_STATE_OFF,		/* machine tables are not asked for */
	DMP_STATE_WATCHING,	/* KVM's paging; waiting for a rate that pays */
	DMP_STATE_PREPARING,	/* the host is making ready */
	DMP_STATE_ENGAGED,
	DMP_STATE_BACKED_OFF,	/* KVM's paging, not to be tried yet */
	DMP_STATES
};

/* Why an engagement was refused or ended. */
enum dmp_reason {
	DMP_REASON_NONE,
	DMP_REASON_REQUEST,		/* somebody asked for it */
	DMP_REASON_NESTED_PAGING,	/* the host needs no shadow paging */
	DMP_REASON_VCPUS,		/* more vCPUs than are supported */
	DMP_REASON_PAGING_MODE,		/* not long mode with CR0.WP */
	DMP_REASON_NESTED_GUEST,
	DMP_REASON_SMM,
	DMP_REASON_DIRTY_LOGGING,
	DMP_REASON_MEMSLOTS,		/* memory slots changed, or too many */
	DMP_REASON_HOST_CPU,		/* no reserved bit, memory encryption */
	DMP_REASON_PIN,			/* guest memory could not be pinned */
	DMP_REASON_NO_MEMORY,
	DMP_REASON_MEMORY_CHANGED,	/* other memory behind guest frames */
	DMP_REASON_EMULATION,		/* a trapped write KVM cannot emulate */
	DMP_REASON_BROKEN,		/* an invariant; see enum dmp_broken */
	DMP_REASON_DOUBLE_FAULT,	/* a #DF while spliced */
	DMP_REASON_IDT,			/* the guest has another #PF handler */
	DMP_REASON_ADDRESS,		/* it uses addresses of the implant's */
	DMP_REASON_DEBUG,		/* it has a breakpoint in its kernel */
	DMP_REASON_DEBUGGER,		/* the host's user space debugs it */
	DMP_REASON_CODE,		/* spliced code is mapped twice */
	DMP_REASON_MEMLOCK,		/* more than the VM's maker may lock */
	DMP_REASON_WORK,		/* the guest's tables would take too long */
	DMP_REASON_EXPOSED,		/* user mode could read what the implant maps */
	DMP_REASON_TABLES,		/* it has more page tables than are followed */
	DMP_REASON_NOT_RAM,		/* it has one that is not in RAM */
	DMP_REASONS
};

const char *dmp_state_name(enum dmp_state state);
const char *dmp_reason_name(enum dmp_reason reason);

/* Page-fault exits a second that make it worth while, over a window. */
#define DMP_POLICY_RATE		500u
#define DMP_POLICY_WINDOW_NS	(200ull * 1000 * 1000)
/* Backing off: first, at most; and how long engaged forgives the past. */
#define DMP_POLICY_BACKOFF_NS	(100ull * 1000 * 1000)
#define DMP_POLICY_BACKOFF_MAX	10u	/* doublings: 102 s */
#define DMP_POLICY_FORGIVE_NS	(5000ull * 1000 * 1000)

struct dmp_policy {
	enum dmp_state state;
	enum dmp_reason reason;		/* of the last refusal or end */
	u32 detail;			/* BROKEN: enum dmp_broken */
	u32 backoff;			/* doublings so far */
	u64 not_before;			/* BACKED_OFF: when to watch again */
	u64 window_start, window_faults;
	u64 since;			/* ENGAGED: when it began */
	u64 engagements, refusals, disengagements;
	u64 by_reason[DMP_REASONS];
};

/* OFF to WATCHING and back; OFF only while not ENGAGED or PREPARING. */
void dmp_policy_start(struct dmp_policy *policy);
void dmp_policy_stop(struct dmp_policy *policy);

/*
 * @faults page-fault exits have been since start. True: it is time to make
 * ready; the state is PREPARING and the host goes on to one of the next three.
 */
bool dmp_policy_tick(struct dmp_policy *policy, u64 now, u64 faults);

/* As tick() that says yes; false unless WATCHING or BACKED_OFF. */
bool dmp_policy_force(struct dmp_policy *policy);

/*
 * Not before @until: WATCHING waits for it, as BACKED_OFF does. False: the VM is ENGAGED,
 * or the host is making ready; it has to be disengaged first.
 */
bool dmp_policy_hold(struct dmp_policy *policy, u64 until);

void dmp_policy_engaged(struct dmp_policy *policy, u64 now);
void dmp_policy_refused(struct dmp_policy *policy, u64 now,
			enum dmp_reason why, u32 detail);
void dmp_policy_disengaged(struct dmp_policy *policy, u64 now,
			   enum dmp_reason why, u32 detail);

#endif /* DMP_POLICY_H */
