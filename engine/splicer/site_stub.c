// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stub for a site; see site_stub.h.
 */
#include "insn/insn.h"
#include "splicer/overlay.h"
#include "splicer/room.h"
#include "splicer/site_stub.h"

/* Try the stub at @gva, whose page has room for @size bytes there. */
static bool make_at(struct dmp_splicer *splicer, struct dmp_site *site,
		    const struct dmp_stub_site *at, u8 *code, u32 size)
{
	enum dmp_stub_refusal why;

	why = at->plan->insn[0].kind == DMP_SPLICE_REPLACED ?
	      dmp_stub_make(at, code, size, &site->stub) :
	      dmp_stub_make_prologue(at, splicer->filter_gva, code, size,
				     &site->stub);
	if (why == DMP_STUB_OK)
		return true;
	/* Nothing of it may be taken for what will be there: site_at(). */
	__builtin_memset(&site->stub, 0, sizeof(site->stub));
	__builtin_memset(code, DMP_SPLICE_INT3, size);
	if (why != DMP_STUB_NO_ROOM)
		dmp_site_refuse(site, DMP_SITE_STUB, why);
	return false;
}

static bool make_in_room(struct dmp_splicer *splicer, struct dmp_site *site,
			 struct dmp_stub_site *at, struct dmp_room *room)
{
	at->stub = room->gva + room->used;
	if (room->used >= DMP_PAGE_SIZE ||
	    !dmp_splice_reaches(at->plan, at->site, dmp_stub_entry(at)) ||
	    !make_at(splicer, site, at, room->page + room->used,
		     DMP_PAGE_SIZE - room->used))
		return false;
	room->used += (site->stub.size + 15) & ~15u;
	site->landing = at->landing;
	return true;
}

/* The part of [lo, hi) that begins a page, or the address itself. */
static struct dmp_room *room_in_window(struct dmp_mmu *mmu, u64 lo, u64 hi)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_room *room;
	u64 gva;

	if (lo < splicer->public_start)
		lo = splicer->public_start;
	if (hi > splicer->public_end)
		hi = splicer->public_end;
	if (lo >= hi)
		return NULL;
	gva = (lo + DMP_PAGE_OFFSET) & ~DMP_PAGE_OFFSET;
	/* A few pages, and whatever next 2 MiB. */
	for (; gva < hi; gva = (gva + DMP_LARGE_PAGE) & ~(DMP_LARGE_PAGE - 1)) {
		room = dmp_room_add(mmu, gva);
		if (!room && dmp_space_is_free(mmu, gva) &&
		    gva + DMP_PAGE_SIZE < hi)
			room = dmp_room_add(mmu, gva + DMP_PAGE_SIZE);
		if (room || mmu->broken)
			return room;
	}
	return NULL;
}

/* More are above one another by 64 KiB to 16 MiB: enough to find some room. */
#define WINDOWS_MAX	4096

/* Where a stub may be: with a landing, anywhere. */
static bool nth_window(const struct dmp_splicer *splicer,
		       const struct dmp_stub_site *at, u64 nth, u64 *lo, u64 *hi)
{
	if (!at->landing)
		return dmp_splice_window(at->plan, at->site, nth, lo, hi);
	*lo = splicer->public_start;
	*hi = splicer->public_end;
	return !nth;
}

bool dmp_site_make_stub(struct dmp_mmu *mmu, struct dmp_site *site, struct dmp_stub_site *at)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_room *room;
	unsigned int i;
	u64 lo, hi, nth;

	at->landing = dmp_landing_add(mmu, site->rip, at->plan, at->landing);
	for (i = 0; i < splicer->rooms && !mmu->broken; i++)
		if (make_in_room(splicer, site, at, &splicer->room[i]))
			return true;
	for (nth = 0; nth < WINDOWS_MAX && !mmu->broken; nth++) {
		if (site->state == DMP_SITE_REFUSED ||
		    !nth_window(splicer, at, nth, &lo, &hi))
			break;
		room = room_in_window(mmu, lo, hi);
		if (mmu->broken)
			return false;
		if (room && make_in_room(splicer, site, at, room))
			return true;
	}
	if (site->state != DMP_SITE_REFUSED)
		dmp_site_refuse(site, DMP_SITE_NO_ROOM, 0);
	return false;
}

bool dmp_site_bury_stub(struct dmp_splicer *splicer, struct dmp_site *site)
{
	if (!site->stub.gva)
		return true;
	if (splicer->sites == DMP_SITES_MAX) {
		dmp_site_refuse(site, DMP_SITE_NO_ROOM, 0);
		return false;
	}
	splicer->site[splicer->sites++] = (struct dmp_site){
		.state = DMP_SITE_FREE, .stub = site->stub, .landing = site->landing,
	};
	site->stub.gva = 0;
	site->landing = 0;
	return true;
}

bool dmp_site_has_stub(const struct dmp_stub_site *at, enum dmp_stub_refusal *why)
{
	const struct dmp_splice_insn *first = &at->plan->insn[0];
	struct dmp_insn insn;

	*why = DMP_STUB_OK;
	if (first->kind != DMP_SPLICE_REPLACED)
		return true;
	*why = dmp_insn_decode(at->bytes, first->length, &insn) == DMP_INSN_OK ?
	       dmp_stub_check(&insn) : DMP_STUB_DECODE;
	return *why == DMP_STUB_OK;
}
