/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Splicing a guest: the implant's beginning and end. The parts: window.h and public.h
 * (where it is, in space.h), gate.h (the guest's #PF handler), code_page.h (the guest's
 * code as it sees it executed), site.h (what is replaced), cache.h (what stubs know),
 * view.h (what they know of a root), leave.h and finish.h (taking a vCPU out of it);
 * splice.h, stub.h and filter.h of code/ are what is written.
 *
 * Calls as in mmu/machine.h: vCPUs outside of the guest, one lock.
 */
#ifndef DMP_SPLICER_H
#define DMP_SPLICER_H

#include "splicer/start.h"

/**
 * dmp_splicer_start() - place the implant and splice the #PF handler
 * @mmu: engaged, with a root loaded
 * @splicer: zeroed but for .implant, .implant_hfn, .hypercall, .threshold,
 *	.relics, .targets, .guarded
 * @start: see there
 *
 * On a refusal nothing has changed, and it may be tried again later: a guest
 * that boots has other handlers first. Unless mmu->broken.
 */
enum dmp_start_refusal dmp_splicer_start(struct dmp_mmu *mmu,
					 struct dmp_splicer *splicer,
					 const struct dmp_start *start);

/* Give back what the engine allocated; the splicer itself is the host's. */
void dmp_splicer_destroy(struct dmp_mmu *mmu);

/* For tenant.c: at the end of each call from outside. */
void dmp_splicer_settle(struct dmp_mmu *mmu);

/* For the audit: what is wrong, and with which frame; NULL: nothing. */
const char *dmp_splicer_audit(struct dmp_mmu *mmu, u64 *gfn);

#endif /* DMP_SPLICER_H */
