/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Overlays: machine tables link parts of the implant's tree wherever the guest's own
 * tables have nothing. A guest that comes to use such an address itself pushes the
 * overlay one level down, and where that cannot be the set of machine tables is broken
 * (DMP_BROKEN_ADDRESS).
 */
#ifndef DMP_OVERLAY_H
#define DMP_OVERLAY_H

#include "splicer/state.h"

/*
 * Lay the tree over the tables of the loaded root, if it or they have changed.
 * False, and broken: something is in the way.
 */
bool dmp_space_sync(struct dmp_mmu *mmu);

/*
 * The first of @count top-level entries, one after the other, that neither the
 * loaded root nor the implant uses, in the kernel's half; 0: there are none.
 */
unsigned int dmp_space_free_tops(const struct dmp_mmu *mmu, unsigned int count);

/*
 * Whether the guest leaves the 2 MiB at @gva alone, as seen from the loaded
 * root, so that pages of the implant could be there.
 */
bool dmp_space_is_free(const struct dmp_mmu *mmu, u64 gva);

/*
 * For tenant.c: what entry @index of @table is while the guest's is not
 * present; whether @machine there is an overlay; @table is no more.
 */
u64 dmp_space_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index);
void dmp_space_forget_table(struct dmp_mmu *mmu, const struct dmp_table *table);

#endif /* DMP_OVERLAY_H */
