/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roots that the guest loads without an exit. VT-x lets MOV to CR3 pass where the
 * value is one of a few that the VMM has named (SDM vol. 3C, 24.6.7): machine
 * roots here, the last ones that were loaded. What stands for each is in
 * dmp_implant.target, by the guest's own value; stubs look there
 * (stub_cr3.c). What the VMM knows of the loaded root follows when it looks
 * again.
 *
 * INV: a named value is none that the guest may load itself: its frame is not
 * RAM of the guest's, and PWT is set.
 * INV: to any root in there the guest may switch by itself with nothing else to
 * be done: what dmp_mmu_switch_root() asks of one.
 */
#ifndef DMP_TARGET_H
#define DMP_TARGET_H

#include "splicer/state.h"

/* What the CPU is told to let pass; SDM vol. 3, 4.5: PWT. */
#define DMP_CR3_PWT	(1ull << 3)

static inline u64 dmp_target_value(const struct dmp_target *target)
{
	return target->hfn << DMP_PAGE_SHIFT | DMP_CR3_PWT;
}

/*
 * After each operation of the engine's, before the guest runs, with
 * implant->guest_cr3 the loaded root's: drops what may not be there any more,
 * and names the loaded root. When .targets_version has changed, the CPU has
 * to be told anew: of .targets_used values.
 */
void dmp_target_settle(struct dmp_mmu *mmu);

/* @root is let go of, or no more: take it out, at once. */
void dmp_target_forget(struct dmp_mmu *mmu, const struct dmp_root *root);

/*
 * The guest has loaded implant->guest_cr3 by itself: that root is the loaded one
 * now. Before the engine does anything else.
 */
void dmp_target_follow(struct dmp_mmu *mmu);

/*
 * After that, when all that is unfinished is done: lets go of those whose processes have
 * ended, as loading another root by an exit does.
 */
void dmp_target_leave(struct dmp_mmu *mmu);

/* The filter has raised LAZY_D, for which of the roots is not known. */
void dmp_target_raised(struct dmp_mmu *mmu);

/* For the audit: what is wrong; NULL: nothing. */
const char *dmp_target_audit(const struct dmp_mmu *mmu);

#endif /* DMP_TARGET_H */
