/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sites: the instructions that are replaced.
 */
#ifndef DMP_SITE_H
#define DMP_SITE_H

#include "splicer/state.h"

/*
 * Replace the instructions at site->rip; site->state says whether it was done.
 * @flags: as of dmp_splice_plan().
 */
void dmp_site_install(struct dmp_mmu *mmu, struct dmp_site *site, u32 flags);

/* Undo one splice. */
void dmp_site_undo(struct dmp_mmu *mmu, struct dmp_site *site,
		   enum dmp_site_refusal why);

enum dmp_undo {
	DMP_UNDO_NONE,		/* nothing is spliced there */
	DMP_UNDO_DONE,
	DMP_UNDO_HANDLER	/* it is the #PF handler's, which stays with the implant */
};

/* Undo the splice at @rip, or with 0 all but the handler's, for @why. */
enum dmp_undo dmp_sites_undo(struct dmp_mmu *mmu, u64 rip, enum dmp_site_refusal why);

/* Splices that bytes [first, end) of code page @code touch are undone. */
void dmp_site_undo_range(struct dmp_mmu *mmu, unsigned int code,
			 unsigned int first, unsigned int end);

/* The splice of @site, which was undone and has its stub, is shown again as it was. */
void dmp_site_reinstate(struct dmp_mmu *mmu, struct dmp_site *site);

#endif /* DMP_SITE_H */
