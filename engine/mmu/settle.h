/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of each call from outside.
 */
#ifndef DMP_SETTLE_H
#define DMP_SETTLE_H

#include "mmu/state.h"

/*
 * What a call has found out and left for its end, since it drops tables: roots without
 * user space, frames that are no tables any more, room for others; A and D of supervisor
 * entries. Then the tenant's.
 */
void dmp_mmu_settle(struct dmp_mmu *mmu);

#endif /* DMP_SETTLE_H */
