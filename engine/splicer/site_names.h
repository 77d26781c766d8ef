/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sites are called.
 */
#ifndef DMP_SITE_NAMES_H
#define DMP_SITE_NAMES_H

#include "splicer/state.h"

const char *dmp_site_state_name(enum dmp_site_state state);

/* How a site is diverted. */
enum dmp_tactic {
	DMP_TACTIC_NONE,	/* it is not */
	DMP_TACTIC_JMP,		/* JMP over the instruction */
	DMP_TACTIC_DISPLACED,	/* and over some that follow, which are moved */
	DMP_TACTIC_PROLOGUE,	/* all are moved: what stands before a handler */
	DMP_TACTICS
};

const char *dmp_tactic_name(enum dmp_tactic tactic);

/* That of a site which is spliced; DMP_TACTIC_NONE of others. */
enum dmp_tactic dmp_site_tactic(const struct dmp_site *site);

/* The reason as text: the site's, or that of the part that refused it. */
const char *dmp_site_refusal_name(const struct dmp_site *site);

#endif /* DMP_SITE_NAMES_H */
