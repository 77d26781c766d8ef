// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sites: which instructions trap, and replacing them.
 */
#include "cache.h"
#include "insn.h"
#include "space.h"
#include "splicer.h"
#include "table.h"

const char *dmp_site_state_name(enum dmp_site_state state)
{
	static const char * const name[DMP_SITE_STATES] = {
		[DMP_SITE_FREE]		= "free",
		[DMP_SITE_COUNTING]	= "counting",
		[DMP_SITE_SPLICED]	= "spliced",
		[DMP_SITE_UNDONE]	= "undone",
		[DMP_SITE_REFUSED]	= "refused",
	};

	return state < DMP_SITE_STATES ? name[state] : "unknown";
}

const char *dmp_tactic_name(enum dmp_tactic tactic)
{
	static const char * const name[DMP_TACTICS] = {
		[DMP_TACTIC_NONE]	= "none",
		[DMP_TACTIC_JMP]	= "jmp",
		[DMP_TACTIC_DISPLACED]	= "jmp+displaced",
		[DMP_TACTIC_PROLOGUE]	= "prologue",
	};

	return tactic < DMP_TACTICS ? name[tactic] : "unknown";
}

enum dmp_tactic dmp_site_tactic(const struct dmp_site *site)
{
	const struct dmp_splice_plan *plan = &site->stub.plan;

	if (site->state != DMP_SITE_SPLICED)
		return DMP_TACTIC_NONE;
	if (plan->insn[0].kind != DMP_SPLICE_REPLACED)
		return DMP_TACTIC_PROLOGUE;
	return plan->count > 1 ? DMP_TACTIC_DISPLACED : DMP_TACTIC_JMP;
}

const char *dmp_site_refusal_name(const struct dmp_site *site)
{
	static const char * const name[DMP_SITE_REASONS] = {
		[DMP_SITE_OK]		= "none",
		[DMP_SITE_NO_ROOM]	= "no-room",
		[DMP_SITE_CODE]		= "code-page",
		[DMP_SITE_OVERLAPS]	= "overlaps",
		[DMP_SITE_UNDONE_OFTEN]	= "undone-often",
		[DMP_SITE_ASKED]	= "asked",
	};

	if (site->refusal == DMP_SITE_PLAN)
		return dmp_splice_refusal_name(site->detail);
	if (site->refusal == DMP_SITE_STUB)
		return dmp_stub_refusal_name(site->detail);
	return site->refusal < DMP_SITE_REASONS ? name[site->refusal] : "unknown";
}

static void refuse(struct dmp_site *site, enum dmp_site_refusal why,
		   unsigned int detail)
{
	site->state = DMP_SITE_REFUSED;
	site->refusal = why;
	site->detail = detail;
}

/*
 * ---- Room for stubs ----
 */

#define PAGE_MASK	((u64)DMP_PAGE_SIZE - 1)
#define LARGE_PAGE	(1ull << 21)

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
		refuse(site, DMP_SITE_STUB, why);
	return false;
}

static bool make_in_room(struct dmp_splicer *splicer, struct dmp_site *site,
			 struct dmp_stub_site *at, struct dmp_room *room)
{
	at->stub = room->gva + room->used;
	if (room->used >= DMP_PAGE_SIZE ||
	    !dmp_splice_reaches(at->plan, at->site, at->stub) ||
	    !make_at(splicer, site, at, room->page + room->used,
		     DMP_PAGE_SIZE - room->used))
		return false;
	room->used += (site->stub.size + 15) & ~15u;
	return true;
}

/* A new page of stubs at @gva, if nothing is there. */
static struct dmp_room *add_room(struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_room *room = &splicer->room[splicer->rooms];
	void *page;
	u64 hfn;

	if (splicer->rooms == DMP_ROOMS_MAX ||
	    gva - splicer->public_start >=
	    splicer->public_end - splicer->public_start ||
	    dmp_space_lookup(mmu, gva, &hfn) || !dmp_space_is_free(mmu, gva))
		return NULL;
	page = dmp_splicer_add_page(mmu, gva, DMP_SPACE_X);
	if (!page)
		return NULL;
	*room = (struct dmp_room){ .gva = gva, .page = page };
	__builtin_memset(room->page, DMP_SPLICE_INT3, DMP_PAGE_SIZE);
	splicer->rooms++;
	return room;
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
	gva = (lo + PAGE_MASK) & ~PAGE_MASK;
	/* A few pages, and whatever next 2 MiB. */
	for (; gva < hi; gva = (gva + LARGE_PAGE) & ~(LARGE_PAGE - 1)) {
		room = add_room(mmu, gva);
		if (!room && dmp_space_is_free(mmu, gva) &&
		    gva + DMP_PAGE_SIZE < hi)
			room = add_room(mmu, gva + DMP_PAGE_SIZE);
		if (room || mmu->broken)
			return room;
	}
	return NULL;
}

/* More are above one another by 64 KiB to 16 MiB: enough to find some room. */
#define WINDOWS_MAX	4096

static bool make_stub(struct dmp_mmu *mmu, struct dmp_site *site,
		      struct dmp_stub_site *at)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_room *room;
	unsigned int i;
	u64 lo, hi, nth;

	for (i = 0; i < splicer->rooms; i++)
		if (make_in_room(splicer, site, at, &splicer->room[i]))
			return true;
	for (nth = 0; nth < WINDOWS_MAX && site->state != DMP_SITE_REFUSED; nth++) {
		if (!dmp_splice_window(at->plan, at->site, nth, &lo, &hi))
			break;
		room = room_in_window(mmu, lo, hi);
		if (mmu->broken)
			return false;
		if (room && make_in_room(splicer, site, at, room))
			return true;
	}
	if (site->state != DMP_SITE_REFUSED)
		refuse(site, DMP_SITE_NO_ROOM, 0);
	return false;
}

/*
 * ---- Installing and undoing ----
 */

static bool overlaps(const struct dmp_site *site, u64 rip, u64 end)
{
	return site->state == DMP_SITE_SPLICED && site->rip < end &&
	       rip < site->rip + site->stub.plan.len;
}

static bool is_taken(const struct dmp_splicer *splicer, u64 rip, u64 end)
{
	unsigned int i;

	for (i = 0; i < splicer->sites; i++)
		if (overlaps(&splicer->site[i], rip, end))
			return true;
	return overlaps(&splicer->prologue, rip, end);
}

/* For whoever asks: what is there, and what it is. */
static void note_insn(struct dmp_site *site, const u8 *bytes, u32 avail)
{
	struct dmp_insn insn;

	site->insn_len = 0;
	site->form = DMP_FORM_OTHER;
	if (dmp_insn_decode(bytes, avail, &insn) != DMP_INSN_OK)
		return;
	site->insn_len = insn.length;
	site->form = insn.form;
	__builtin_memcpy(site->insn, bytes, insn.length);
}

/*
 * Replace the instructions at site->rip. vCPUs are outside of the guest, and
 * entering it serializes (APM vol. 2, 15.5; SDM vol. 3, 26.3): the order of
 * writes does not matter to them, only that all are done or none.
 *
 * 1. the code page's copy, so that the frame is read-only from now on;
 * 2. the plan, by the guest's own bytes; 3. the stub; 4. the splice.
 */
void dmp_site_install(struct dmp_mmu *mmu, struct dmp_site *site, u32 flags)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int offset = site->rip & PAGE_MASK;
	enum dmp_splice_refusal why;
	struct dmp_splice_plan plan;
	struct dmp_stub_site at = {
		.site = site->rip, .plan = &plan, .implant = splicer->implant_gva,
	};
	struct dmp_code_page *code = dmp_code_get(mmu, site->rip);
	bool shown = site->shown;

	if (!code) {
		refuse(site, DMP_SITE_CODE, 0);
		return;
	}
	at.bytes = code->pristine + offset;
	note_insn(site, at.bytes, DMP_PAGE_SIZE - offset);
	__builtin_memcpy(at.hypercall, splicer->hypercall, sizeof(at.hypercall));
	why = dmp_splice_plan(at.bytes, DMP_PAGE_SIZE - offset, site->rip, flags,
			      &plan);
	if (why != DMP_SPLICE_OK) {
		refuse(site, DMP_SITE_PLAN, why);
	} else if (is_taken(splicer, site->rip, site->rip + plan.len)) {
		refuse(site, DMP_SITE_OVERLAPS, 0);
	} else if (make_stub(mmu, site, &at)) {
		if (dmp_splice_bytes(&plan, site->rip, site->stub.gva,
				     site->bytes)) {
			__builtin_memcpy(site->original, at.bytes, plan.len);
			site->shown = plan.len;
			__builtin_memcpy(code->copy + offset, site->bytes,
					 plan.len);
			/* Counted since it was first shown. */
			code->sites -= shown;
			site->code = code->id;
			site->state = DMP_SITE_SPLICED;
			splicer->stubs++;
			dmp_space_sync(mmu);
			return;
		}
		refuse(site, DMP_SITE_NO_ROOM, 0);
	}
	dmp_code_put(mmu, code);
}

/* The page stays read-only: what it has shown may be written back. */
void dmp_site_undo(struct dmp_mmu *mmu, struct dmp_site *site,
		   enum dmp_site_refusal why)
{
	struct dmp_code_page *code = &mmu->splicer->code[site->code];
	unsigned int offset = site->rip & PAGE_MASK;

	if (site->state != DMP_SITE_SPLICED)
		return;
	__builtin_memcpy(code->copy + offset, code->pristine + offset,
			 site->stub.plan.len);
	mmu->splicer->undone++;
	site->undos++;
	site->traps = 0;
	site->state = DMP_SITE_UNDONE;
	if (why != DMP_SITE_OK)
		refuse(site, why, 0);
	else if (site->undos >= DMP_SITE_UNDOS_MAX)
		refuse(site, DMP_SITE_UNDONE_OFTEN, 0);
	if (site == &mmu->splicer->prologue)
		dmp_break(mmu, DMP_BROKEN_HANDLER);
}

/* The part of [first, end) of its page that @site's splice takes or took. */
static bool shown_range(const struct dmp_site *site, unsigned int *first,
			unsigned int *end)
{
	unsigned int begin = site->rip & PAGE_MASK;

	if (*first < begin)
		*first = begin;
	if (*end > begin + site->shown)
		*end = begin + site->shown;
	return *first < *end;
}

void dmp_site_remember(struct dmp_mmu *mmu, unsigned int code,
		       unsigned int first, unsigned int end)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *page = &splicer->code[code];
	unsigned int i, from, to, begin;
	struct dmp_site *site;

	for (i = 0; i <= splicer->sites; i++) {
		site = i < splicer->sites ? &splicer->site[i] : &splicer->prologue;
		from = first;
		to = end;
		if ((site->rip & ~PAGE_MASK) != page->gva ||
		    !shown_range(site, &from, &to))
			continue;
		begin = site->rip & PAGE_MASK;
		if (!__builtin_memcmp(page->pristine + from,
				      site->bytes + from - begin, to - from))
			__builtin_memcpy(page->pristine + from,
					 site->original + from - begin,
					 to - from);
	}
}

void dmp_splicer_undo_range(struct dmp_mmu *mmu, unsigned int code,
			    unsigned int first, unsigned int end)
{
	struct dmp_splicer *splicer = mmu->splicer;
	u64 gva = splicer->code[code].gva;
	struct dmp_site *site;
	unsigned int i;

	for (i = 0; i <= splicer->sites; i++) {
		site = i < splicer->sites ? &splicer->site[i] : &splicer->prologue;
		if (site->code == code && overlaps(site, gva + first, gva + end))
			dmp_site_undo(mmu, site, DMP_SITE_OK);
	}
}

/*
 * ---- Counting ----
 */

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
	unsigned int i;

	for (i = 0; i < splicer->sites; i++) {
		site = &splicer->site[i];
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

void dmp_site_trap(struct dmp_mmu *mmu, u64 rip, u64 gva, u64 gfn)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_site *site;

	if (!splicer || !splicer->active || mmu->broken || !(rip >> 63))
		return;
	site = site_of(splicer, rip);
	if (!site)
		return;
	if (site->state == DMP_SITE_SPLICED) {
		site->since++;
	} else {
		site->traps++;
		if (site->state != DMP_SITE_REFUSED &&
		    site->traps >= (u64)splicer->threshold << site->undos)
			dmp_site_install(mmu, site, 0);
	}
	if (site->state == DMP_SITE_SPLICED && !mmu->broken)
		dmp_cache_fill(mmu, gva, gfn);
}
