/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The public region: pages that the guest executes, and what those have to do with.
 */
#ifndef DMP_PUBLIC_H
#define DMP_PUBLIC_H

#include "splicer/start.h"

/*
 * A page of the engine's, zeroed, at @gva of the implant; NULL, and broken,
 * without memory. @flags: DMP_SPACE_*.
 */
void *dmp_public_add_page(struct dmp_mmu *mmu, u64 gva, u32 flags);

/* Place filter, agent and implant. */
enum dmp_start_refusal dmp_public_place(struct dmp_mmu *mmu);

#endif /* DMP_PUBLIC_H */
