/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exit monitor: which guest instruction causes the VM exits.
 *
 * Each exit is charged to a key (RIP, CPL, exit code, kind, argument). The
 * keys are kept in a set-associative table of fixed size; within a set the
 * replacement rule is Space-Saving (Metwally, Agrawal, El Abbadi 2005): a key
 * that finds no slot takes over the slot with the lightest weight and inherits
 * that weight as its possible overestimate.
 *
 * Ageing: a monitor epoch is DMP_MONITOR_EPOCH charges. At each epoch every
 * weight halves (lazily, when its set is next touched or read), so a key that
 * has gone cold gives way to one that is hot now.
 *
 * Bounds, for each key at any time, w = its true weight (its exits, halved
 * once per epoch since they happened):
 *   listed:	weight - over - 1 <= w <= weight + 1
 *   unlisted:	w <= (lightest weight of its set) + 1, which is at most
 *		the set's total weight / DMP_MONITOR_WAYS + 1
 * (the 1 is what halving integers rounds off).
 * `hits` is not aged: the exact number of charges since the key was admitted.
 * With DMP_ENTRY_EXACT set it was admitted to a slot nobody had used before
 * in a set that has never evicted, so `hits` is all the exits it ever had.
 *
 * One table belongs to one vCPU. Charging takes no lock and may be called
 * with preemption disabled; readers on other CPUs take a snapshot that may
 * tear between entries but not within a field.
 */
#ifndef DMP_MONITOR_H
#define DMP_MONITOR_H

#include "types.h"

#define DMP_MONITOR_WAYS	8
#define DMP_MONITOR_EPOCH	(1u << 16)	/* charges an epoch */
#define DMP_INSN_MAX		15		/* bytes; SDM vol. 2, 2.3.11 */

/* What an exit turned out to be, once it has been handled. */
enum dmp_exit_kind {
	DMP_KIND_NONE,		/* the exit code says it all */
	DMP_KIND_PF_GUEST,	/* the guest's own fault, injected */
	DMP_KIND_PF_HIDDEN,	/* exists only because of virtualization */
	DMP_KIND_PF_TABLE,	/* write to a guest page table, emulated */
	DMP_KIND_PF_MMIO,	/* access to no memory */
	DMP_KIND_COUNT
};

/* Whom an exit is charged to. */
struct dmp_exit_key {
	u64 rip;		/* guest RIP at the exit (gva) */
	u32 code;		/* hardware exit code (APM2 app. C, SDM3 app. C) */
	u32 arg;		/* port, MSR index, CR number, vector; else 0 */
	u8 cpl;			/* 0..3 */
	u8 kind;		/* enum dmp_exit_kind */
};

#endif /* DMP_MONITOR_H */
