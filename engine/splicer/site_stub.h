/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stub for a site: whether there is one, and room for it.
 */
#ifndef DMP_SITE_STUB_H
#define DMP_SITE_STUB_H

#include "splicer/state.h"

/* @site is refused, for @why; @detail: of DMP_SITE_PLAN and DMP_SITE_STUB. */
static inline void dmp_site_refuse(struct dmp_site *site, enum dmp_site_refusal why,
				   unsigned int detail)
{
	site->state = DMP_SITE_REFUSED;
	site->refusal = why;
	site->detail = detail;
}

/* Whether there is a stub for it, before any room is made for one. */
bool dmp_site_has_stub(const struct dmp_stub_site *at, enum dmp_stub_refusal *why);

/*
 * @site is about to have another stub. That of a former splice stays known, in a
 * place of its own: who comes there is sent home. False: there is no place.
 */
bool dmp_site_bury_stub(struct dmp_splicer *splicer, struct dmp_site *site);

/*
 * Make the stub of @site as @at says, which learns where it is. False: @site is refused, or
 * the engine broken.
 */
bool dmp_site_make_stub(struct dmp_mmu *mmu, struct dmp_site *site, struct dmp_stub_site *at);

#endif /* DMP_SITE_STUB_H */
