/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting what exits at which instruction: when it is time, it is replaced.
 */
#ifndef DMP_SITE_TRAP_H
#define DMP_SITE_TRAP_H

#include "splicer/state.h"

/*
 * An instruction of the kernel's at @rip has written the guest table at @gfn
 * by @gva, and trapped. Counts, and splices when it is time.
 */
void dmp_site_trap(struct dmp_mmu *mmu, u64 rip, u64 gva, u64 gfn);

/*
 * An instruction of the kernel's at @rip has read or written CR3, and exited.
 * Counts, and splices when it is time: what stands before it, if that is one of
 * them, too, and its splice would reach over this one.
 */
void dmp_site_trap_cr3(struct dmp_mmu *mmu, u64 rip);

#endif /* DMP_SITE_TRAP_H */
