/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The private region: the window, by which the implant sees the VM's pages, and the
 * records of its frames and tables.
 */
#ifndef DMP_WINDOW_H
#define DMP_WINDOW_H

#include "splicer/start.h"

/* Place it, and show all that there is; the implant then knows where it is. */
enum dmp_start_refusal dmp_window_place(struct dmp_mmu *mmu, const struct dmp_start *start);

/*
 * The page @hfn is the VM's, a machine table, a root's copy, or guest memory: the
 * window shows it. And it is no more: the caller flushes the TLB.
 */
bool dmp_window_show(struct dmp_mmu *mmu, u64 hfn);
void dmp_window_hide(struct dmp_mmu *mmu, u64 hfn);

/* A new page of table records: likewise. */
bool dmp_window_show_chunk(struct dmp_mmu *mmu, u32 chunk);

#endif /* DMP_WINDOW_H */
