// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting what exits at which instruction; see site_trap.h.
 */
#include "splicer/cache.h"
#include "splicer/hidden.h"
#include "splicer/site.h"
#include "splicer/site_trap.h"

/*
 * Whose record may go: no vCPU ever comes back to it, nothing is spliced. One
 * that was refused before it had a stub will be tried again, at worst.
 */
static bool is_spare(const struct dmp_site *site)
{
	return site->state == DMP_SITE_COUNTING ||
	       (site->state == DMP_SITE_REFUSED && !site->stub.gva &&
		site->refusal != DMP_SITE_ASKED);
}

/* The site of @rip, or a place for it: the one that trapped least goes. */
static struct dmp_site *site_of(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site, *least = NULL;

	dmp_for_each_site(site, splicer) {
		if (site->rip == rip)
			return site;
		if (is_spare(site) && (!least || site->traps < least->traps))
			least = site;
	}
	if (splicer->sites < DMP_SITES_MAX)
		least = &splicer->site[splicer->sites++];
	if (least)
		*least = (struct dmp_site){ .rip = rip, .state = DMP_SITE_COUNTING };
	return least;
}

static bool is_served(const struct dmp_mmu *mmu, u64 rip)
{
	return mmu->splicer && mmu->splicer->active && !mmu->broken && rip >> 63;
}

/* One more; true: it is time. */
static bool count_trap(const struct dmp_splicer *splicer, struct dmp_site *site)
{
	if (site->state == DMP_SITE_SPLICED || site->state == DMP_SITE_COVERED) {
		site->since++;
		return false;
	}
	site->traps++;
	return site->state != DMP_SITE_REFUSED &&
	       site->traps >= (u64)splicer->threshold << site->undos;
}

void dmp_site_trap(struct dmp_mmu *mmu, u64 rip, u64 gva, u64 gfn)
{
	struct dmp_site *site;

	if (!is_served(mmu, rip))
		return;
	/* Nor could its stub run there. */
	if (mmu->loaded && dmp_space_hides(mmu, dmp_loaded_top(mmu))) {
		dmp_break(mmu, DMP_BROKEN_EXPOSED);
		return;
	}
	site = site_of(mmu->splicer, rip);
	if (!site)
		return;
	if (count_trap(mmu->splicer, site))
		dmp_site_install(mmu, site, 0);
	if (site->state == DMP_SITE_SPLICED && !mmu->broken)
		dmp_cache_fill(mmu, gva, gfn);
}

/* MOV to or from CR3 that ends where @rip begins, and is not replaced yet. */
static struct dmp_site *cr3_site_before(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site;

	dmp_for_each_site(site, splicer)
		if (site->state == DMP_SITE_COUNTING && site->is_cr3 &&
		    (rip - site->rip == 3 || rip - site->rip == 4))
			return site;
	return NULL;
}

/*
 * Linux's entry code has the alternatives of KPTI next to MOV CR3, where a CPU
 * has no PCIDs: nothing that it rewrites later.
 */
void dmp_site_trap_cr3(struct dmp_mmu *mmu, u64 rip)
{
	struct dmp_site *site, *before;

	if (!is_served(mmu, rip))
		return;
	site = site_of(mmu->splicer, rip);
	if (!site)
		return;
	site->is_cr3 = true;
	if (!count_trap(mmu->splicer, site))
		return;
	/* The first of a run has room for all of it. */
	before = cr3_site_before(mmu->splicer, rip);
	if (before)
		dmp_site_install(mmu, before, DMP_SPLICE_SETTLED);
	if (site->state != DMP_SITE_COVERED && !mmu->broken)
		dmp_site_install(mmu, site, DMP_SPLICE_SETTLED);
}
