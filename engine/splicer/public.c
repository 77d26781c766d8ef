// SPDX-License-Identifier: GPL-2.0-only
/*
 * The public region; see public.h.
 */
#include "code/agent.h"
#include "mmu/page.h"
#include "splicer/overlay.h"
#include "splicer/public.h"
#include "splicer/relic.h"
#include "splicer/space.h"
#include "splicer/start.h"

void *dmp_public_add_page(struct dmp_mmu *mmu, u64 gva, u32 flags)
{
	u64 hfn = dmp_page_alloc(mmu);

	if (!hfn)
		return NULL;
	if (!dmp_space_map(mmu, gva, hfn, flags | DMP_SPACE_OWNED)) {
		dmp_page_free(mmu, hfn);
		return NULL;
	}
	return dmp_hfn_va(mmu, hfn);
}

/* The agent's code, its pages before the filter's. */
static bool place_agent(struct dmp_mmu *mmu)
{
	u8 *page[DMP_AGENT_CODE_BYTES / DMP_PAGE_SIZE];
	struct dmp_splicer *splicer = mmu->splicer;
	u32 i;

	for (i = 0; i < DMP_ARRAY_SIZE(page); i++) {
		page[i] = dmp_public_add_page(mmu, splicer->agent_gva +
					       i * DMP_PAGE_SIZE, DMP_SPACE_X);
		if (!page[i])
			return false;
	}
	dmp_agent_install(page, splicer->hypercall);
	return true;
}

/* The filter, its page before the implant's at the distance it asks for. */
enum dmp_start_refusal dmp_public_place(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	const u32 pages = DMP_IMPLANT_BYTES / DMP_PAGE_SIZE;
	struct dmp_filter_place place;
	u64 gva, *slow;
	u32 i;

	gva = (splicer->public_start + DMP_LARGE_PAGE - 1) & ~(DMP_LARGE_PAGE - 1);
	while (!dmp_space_is_free(mmu, gva) ||
	       dmp_relics_hold(splicer->relics, gva, DMP_LARGE_PAGE, 0)) {
		gva += DMP_LARGE_PAGE;
		if (gva >= splicer->public_end)
			return DMP_START_NO_ROOM;
	}
	splicer->agent_gva = gva;
	splicer->implant_gva = gva + DMP_AGENT_DISTANCE;
	splicer->filter_gva = splicer->implant_gva - DMP_FILTER_DISTANCE;
	for (i = 0; i < pages; i++)
		if (!dmp_space_map(mmu, splicer->implant_gva + i * DMP_PAGE_SIZE,
				   splicer->implant_hfn + i, DMP_SPACE_RW))
			return DMP_START_BROKEN;
	/* Present, and the kernel's: a stub leaves such an entry to the VMM. */
	splicer->slow_gva = splicer->implant_gva + DMP_IMPLANT_BYTES;
	slow = dmp_public_add_page(mmu, splicer->slow_gva, 0);
	splicer->filter = dmp_public_add_page(mmu, splicer->filter_gva, DMP_SPACE_X);
	if (!slow || !splicer->filter || !place_agent(mmu))
		return DMP_START_BROKEN;
	splicer->implant->agent.slow = splicer->slow_gva;
	splicer->implant->agent.public_start = splicer->public_start;
	splicer->implant->agent.public_end = splicer->public_end;
	for (i = 0; i < DMP_ENTRIES; i++)
		slow[i] = DMP_PTE_P;
	place = (struct dmp_filter_place){
		.filter = splicer->filter_gva,
		.implant = splicer->implant_gva,
		.public_start = splicer->public_start,
		.public_end = splicer->public_end,
		.guarded = splicer->guarded,
	};
	__builtin_memcpy(place.hypercall, splicer->hypercall,
			 sizeof(place.hypercall));
	return dmp_filter_install(splicer->filter, DMP_PAGE_SIZE, &place) ==
	       DMP_FILTER_INSTALLED ? DMP_START_OK : DMP_START_NO_ROOM;
}
