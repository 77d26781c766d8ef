// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages for stubs and landings; see room.h.
 */
#include "splicer/overlay.h"
#include "splicer/public.h"
#include "splicer/relic.h"
#include "splicer/room.h"
#include "splicer/space.h"

/* A page of INT3 at @gva, if it is the implant's to use and nothing is there. */
static bool open_page(struct dmp_mmu *mmu, u64 gva, struct dmp_room *room)
{
	struct dmp_splicer *splicer = mmu->splicer;
	u64 hfn;
	u8 *page;

	if (gva - splicer->public_start >=
	    splicer->public_end - splicer->public_start ||
	    dmp_space_lookup(mmu, gva, &hfn) || !dmp_space_is_free(mmu, gva))
		return false;
	page = dmp_public_add_page(mmu, gva, DMP_SPACE_X);
	if (!page)
		return false;
	__builtin_memset(page, DMP_SPLICE_INT3, DMP_PAGE_SIZE);
	*room = (struct dmp_room){ .gva = gva, .page = page };
	return true;
}

struct dmp_room *dmp_room_add(struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_room *room = &splicer->room[splicer->rooms];

	if (splicer->rooms == DMP_ROOMS_MAX ||
	    dmp_relics_hold(splicer->relics, gva, DMP_PAGE_SIZE, 0) ||
	    !open_page(mmu, gva, room))
		return NULL;
	splicer->rooms++;
	return room;
}

static struct dmp_room *landing_page(struct dmp_splicer *splicer, u64 gva)
{
	u32 i;

	for (i = 0; i < splicer->landings; i++)
		if (splicer->landing[i].gva == (gva & ~DMP_PAGE_OFFSET))
			return &splicer->landing[i];
	return NULL;
}

static bool add_landing_page(struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_splicer *splicer = mmu->splicer;

	if (landing_page(splicer, gva))
		return true;
	if (splicer->landings == DMP_LANDINGS_MAX ||
	    !open_page(mmu, gva & ~DMP_PAGE_OFFSET, &splicer->landing[splicer->landings]))
		return false;
	splicer->landings++;
	return true;
}

static u8 *landing_byte(struct dmp_splicer *splicer, u64 at)
{
	return &landing_page(splicer, at)->page[at & DMP_PAGE_OFFSET];
}

/* Pages there are, and no other's landing, now or in an earlier engagement. */
static bool is_usable(struct dmp_mmu *mmu, u64 landing, u64 rip)
{
	u32 i;

	if (dmp_relics_hold(mmu->splicer->relics, landing, DMP_SPLICE_JMP, rip))
		return false;
	if (!add_landing_page(mmu, landing) ||
	    !add_landing_page(mmu, landing + DMP_SPLICE_JMP - 1))
		return false;
	for (i = 0; i < DMP_SPLICE_JMP; i++)
		if (*landing_byte(mmu->splicer, landing + i) != DMP_SPLICE_INT3)
			return false;
	return true;
}

u64 dmp_landing_add(struct dmp_mmu *mmu, u64 rip,
		    const struct dmp_splice_plan *plan, u64 own)
{
	u64 landing;
	u32 nth;

	for (nth = 0; nth < DMP_SPLICE_LANDINGS && !mmu->broken; nth++) {
		landing = dmp_splice_landing(plan, rip, nth);
		if (landing == own || is_usable(mmu, landing, rip))
			return landing;
	}
	return 0;
}

void dmp_landing_write(struct dmp_splicer *splicer, u64 landing, u64 stub)
{
	u64 rel = stub - (landing + DMP_SPLICE_JMP);
	u32 i;

	*landing_byte(splicer, landing) = DMP_SPLICE_OPCODE;
	for (i = 1; i < DMP_SPLICE_JMP; i++, rel >>= 8)
		*landing_byte(splicer, landing + i) = (u8)rel;
}
