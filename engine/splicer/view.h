/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the implant says of the root that it runs on.
 */
#ifndef DMP_VIEW_H
#define DMP_VIEW_H

#include "splicer/state.h"

/* It runs on @root, of @table, from now on. */
void dmp_view_show(struct dmp_mmu *mmu, struct dmp_root *root, const struct dmp_table *table);

/*
 * Bring the implant up to date for the root @root, of @table, which is about to
 * be the loaded one, if there is nothing else to do for it; else false, and
 * nothing has changed. For dmp_mmu_switch_root().
 */
bool dmp_view_try_root(struct dmp_mmu *mmu, struct dmp_root *root,
		       const struct dmp_table *table);

#endif /* DMP_VIEW_H */
