/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which tables an address space still links.
 */
#ifndef DMP_LIVE_H
#define DMP_LIVE_H

#include "mmu/state.h"

enum dmp_life { DMP_DEAD, DMP_LIVE, DMP_LIVE_LOADED, DMP_LIFE_UNKNOWN };

/*
 * Of the tables that the frame @gfn is: whether the loaded root reaches one, whether
 * another root does, or none. UNKNOWN: one may be reached, or not.
 */
enum dmp_life dmp_frame_life(struct dmp_mmu *mmu, u64 gfn);

/* Whether the loaded root surely reaches @table. */
bool dmp_table_is_loaded(struct dmp_mmu *mmu, struct dmp_table *table);

#endif /* DMP_LIVE_H */
