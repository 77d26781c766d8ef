/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a vCPU had begun when it was taken out of the implant. Under the lock, as in
 * mmu/machine.h.
 */
#ifndef DMP_FINISH_H
#define DMP_FINISH_H

#include "splicer/leave.h"

/* Take back what the agent began to follow, before the VMM follows it. */
void dmp_agent_take_back(struct dmp_mmu *mmu);

/* Make the machine tables follow what a vCPU was doing when it left. */
void dmp_splicer_finish(struct dmp_mmu *mmu, const struct dmp_left *left);

#endif /* DMP_FINISH_H */
