/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames that the guest may not write unseen.
 */
#ifndef DMP_HOLD_H
#define DMP_HOLD_H

#include "mmu/state.h"

/*
 * One more, one less reason for @frame, no ROM, to be read-only everywhere. A
 * TLB flush is owed by the first; a vCPU of the guest's may not write it then.
 */
void dmp_frame_hold(struct dmp_mmu *mmu, struct dmp_frame *frame);
void dmp_frame_release(struct dmp_mmu *mmu, struct dmp_frame *frame);

/* The same for the frame of @table, which notes it. */
void dmp_table_hold(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_table_release(struct dmp_mmu *mmu, struct dmp_table *table);

#endif /* DMP_HOLD_H */
