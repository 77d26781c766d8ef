/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What user mode may not read, where the host's CPU would let it (dmp_splicer.guarded): a
 * root that user mode can run on does not show the private region.
 */
#ifndef DMP_HIDDEN_H
#define DMP_HIDDEN_H

#include "splicer/state.h"

/* Which roots are such, at the beginning. */
void dmp_hidden_start(struct dmp_mmu *mmu);

/*
 * Entries of the root @table have changed: can user mode run on it? The private region
 * comes and goes with that where it has to be hidden. And: entry @index, of user
 * space's half, has.
 */
void dmp_space_look(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_space_look_at(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index);

/* Whether the root @table shows nothing of the private region. */
bool dmp_space_hides(const struct dmp_mmu *mmu, const struct dmp_table *table);

/* Whether entry @index of a root that dmp_space_hides() is of the private region. */
bool dmp_hidden_has(const struct dmp_mmu *mmu, unsigned int index);

/*
 * For the audit: whether user mode can run on @table only if it was said to. The agent
 * takes user mode's code away without saying so.
 */
bool dmp_space_knows(const struct dmp_mmu *mmu, const struct dmp_table *table);

#endif /* DMP_HIDDEN_H */
