/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spliced code that the guest writes, or maps no more.
 */
#ifndef DMP_CODE_CHANGE_H
#define DMP_CODE_CHANGE_H

#include "splicer/state.h"

struct dmp_write;

/* @write is done, and may be of code pages: their splices go, and copies follow. */
void dmp_code_written(struct dmp_mmu *mmu, const struct dmp_write *write);

/*
 * Code that the guest maps there no more takes its splices along, and so does
 * code whose frame has become a page table.
 */
void dmp_code_drop_lost(struct dmp_mmu *mmu);

#endif /* DMP_CODE_CHANGE_H */
