/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Letting go of roots that are not loaded, and of what they no longer link.
 */
#ifndef DMP_DROP_H
#define DMP_DROP_H

#include "mmu/state.h"

struct dmp_write;

/* Whether @root, NULL or a free place, too, is one that was let go of. */
bool dmp_root_is_let_go(const struct dmp_mmu *mmu, const struct dmp_root *root);

/*
 * Of each such root, drop what it linked and links no longer. What is in its page by now
 * is compared, and never read as entries.
 */
void dmp_drop_changed_all(struct dmp_mmu *mmu);

/*
 * @gfn is about to be written: no longer hold it for a root not loaded. Who frees one of
 * two frees both. False: it is none, or loaded, or let go of already.
 */
bool dmp_root_let_go(struct dmp_mmu *mmu, u64 gfn);

/* @root, not the loaded one, and what only it links are given back. */
void dmp_root_evict(struct dmp_mmu *mmu, struct dmp_root *root);

/* The least recently loaded root that is not loaded now; NULL: there is none. */
struct dmp_root *dmp_root_oldest(struct dmp_mmu *mmu);

/* Where @root has an entry for user space; DMP_ENTRIES: nowhere. */
unsigned int dmp_root_find_user(const struct dmp_mmu *mmu, const struct dmp_root *root);

/*
 * Whether @root has lost all of user space that it had: its process has ended,
 * and its page will be freed, and written, when it is no longer loaded.
 */
bool dmp_root_is_left(const struct dmp_mmu *mmu, struct dmp_root *root);

/* @root, which may have been left while nobody looked, is let go of if it was. */
void dmp_root_leave(struct dmp_mmu *mmu, struct dmp_root *root);

/*
 * Whether the entry at @gpa, about to be written, is one of a held root that links
 * user space: who frees a root has taken that away before, so this is somebody who
 * takes it away, and to be followed, whether the root is loaded or not.
 */
bool dmp_root_unlinks(struct dmp_mmu *mmu, u64 gpa);

/*
 * @write is done, and not followed yet. Where it links anything in a root that is not
 * loaded that root is let go of, as it was before: what is there may be data by now.
 */
void dmp_root_written(struct dmp_mmu *mmu, const struct dmp_write *write);

#endif /* DMP_DROP_H */
