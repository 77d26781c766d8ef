// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sites: which instructions trap, and replacing them.
 */
#include "splicer/cache.h"
#include "insn/insn.h"
#include "splicer/room.h"
#include "splicer/space.h"
#include "splicer/splicer.h"
#include "mmu/state.h"

const char *dmp_site_state_name(enum dmp_site_state state)
{
	static const char * const name[DMP_SITE_STATES] = {
		[DMP_SITE_FREE]		= "free",
		[DMP_SITE_COUNTING]	= "counting",
		[DMP_SITE_SPLICED]	= "spliced",
		[DMP_SITE_UNDONE]	= "undone",
		[DMP_SITE_REFUSED]	= "refused",
		[DMP_SITE_COVERED]	= "covered",
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

const char *dmp_start_refusal_name(enum dmp_start_refusal why)
{
	static const char * const name[DMP_START_REASONS] = {
		[DMP_START_OK]		= "none",
		[DMP_START_HANDLER]	= "page-fault-handler",
		[DMP_START_NO_ROOM]	= "no-room",
		[DMP_START_LAYOUT]	= "memory-layout",
		[DMP_START_BROKEN]	= "broken",
		[DMP_START_UNTRUSTED]	= "not-trusted",
		[DMP_START_MAKER]	= "maker-not-privileged",
		[DMP_START_LOCKDOWN]	= "host-locked-down",
		[DMP_START_CPU]		= "host-cpu",
		[DMP_START_DEBUG]	= "kernel-breakpoint",
		[DMP_START_DEBUGGER]	= "debugger",
		[DMP_START_CODE]	= "code-mapped-twice",
		[DMP_START_EXPOSED]	= "not-isolated",
	};

	return why < DMP_START_REASONS ? name[why] : "unknown";
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
		[DMP_SITE_ENTERED]	= "entered-inside",
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
	gva = (lo + PAGE_MASK) & ~PAGE_MASK;
	/* A few pages, and whatever next 2 MiB. */
	for (; gva < hi; gva = (gva + LARGE_PAGE) & ~(LARGE_PAGE - 1)) {
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

static bool make_stub(struct dmp_mmu *mmu, struct dmp_site *site,
		      struct dmp_stub_site *at)
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
		refuse(site, DMP_SITE_NO_ROOM, 0);
	return false;
}

/*
 * @site is about to have another stub. That of a former splice stays known, in a
 * place of its own: who comes there is sent home. False: there is no place.
 */
static bool bury_stub(struct dmp_splicer *splicer, struct dmp_site *site)
{
	if (!site->stub.gva)
		return true;
	if (splicer->sites == DMP_SITES_MAX) {
		refuse(site, DMP_SITE_NO_ROOM, 0);
		return false;
	}
	splicer->site[splicer->sites++] = (struct dmp_site){
		.state = DMP_SITE_FREE, .stub = site->stub, .landing = site->landing,
	};
	site->stub.gva = 0;
	site->landing = 0;
	return true;
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

/* Whether there is a stub for it, before any room is made for one. */
static bool has_stub(const struct dmp_stub_site *at, enum dmp_stub_refusal *why)
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

/* What the site has shown is about to be something else. */
static void note_past(struct dmp_site *site)
{
	struct dmp_site_past *past = &site->past[site->pasts];

	if (!site->shown || site->pasts == DMP_ARRAY_SIZE(site->past))
		return;
	__builtin_memcpy(past->bytes, site->bytes, site->shown);
	__builtin_memcpy(past->original, site->original, site->shown);
	past->shown = site->shown;
	site->pasts++;
}

/*
 * Those that stand in the splice of @site: when it comes they are replaced with
 * it, and when it goes they are on their own again.
 */
static void mark_covered(struct dmp_splicer *splicer, const struct dmp_site *site,
			 enum dmp_site_state from, enum dmp_site_state to)
{
	const struct dmp_splice_plan *plan = &site->stub.plan;
	struct dmp_site *other;
	unsigned int i, k;

	for (i = 0; i < splicer->sites; i++) {
		other = &splicer->site[i];
		for (k = 1; k < plan->count && other->state == from; k++)
			if (plan->insn[k].kind == DMP_SPLICE_REPLACED &&
			    other->rip == site->rip + plan->insn[k].offset)
				other->state = to;
	}
}

/* Let the VMM know the hypercalls by which @site's stub loads CR3. */
static void note_cr3_calls(struct dmp_splicer *splicer,
			   const struct dmp_site *site)
{
	const struct dmp_stub *stub = &site->stub;
	unsigned int i;

	for (i = 0; i < stub->plan.count; i++) {
		if (stub->cr3[i] == DMP_REG_NONE)
			continue;
		splicer->cr3_call[splicer->cr3_calls++ % DMP_CR3_CALLS] =
			(struct dmp_cr3_call){
				.rip = stub->gva + stub->call[i],
				.home = site->rip + stub->plan.insn[i].offset,
				.reg = stub->cr3[i],
			};
	}
}

/*
 * Replace the instructions at site->rip. vCPUs are outside of the guest, and
 * entering it serializes (APM vol. 2, 15.5; SDM vol. 3, 26.3): the order of
 * writes does not matter to them, only that all are done or none.
 *
 * 1. the code page's copy, so that the frame is read-only from now on;
 * 2. the plan, by the guest's own bytes; 3. the stub; 4. the landing; 5. the
 * splice.
 */
void dmp_site_install(struct dmp_mmu *mmu, struct dmp_site *site, u32 flags)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int offset = site->rip & PAGE_MASK;
	enum dmp_splice_refusal why;
	enum dmp_stub_refusal no_stub;
	struct dmp_splice_plan plan;
	struct dmp_stub_site at = {
		.site = site->rip, .plan = &plan, .implant = splicer->implant_gva,
		.agent = splicer->agent_gva, .landing = site->landing,
		.targets = splicer->targets, .guarded = splicer->guarded,
	};
	struct dmp_code_page *code = dmp_code_get(mmu, site->rip);
	u8 bytes[DMP_SPLICE_BYTES_MAX];
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
	} else if (!has_stub(&at, &no_stub)) {
		refuse(site, DMP_SITE_STUB, no_stub);
	} else if (is_taken(splicer, site->rip, site->rip + plan.len)) {
		refuse(site, DMP_SITE_OVERLAPS, 0);
	} else if (bury_stub(splicer, site) && make_stub(mmu, site, &at)) {
		if (dmp_splice_bytes(&plan, site->rip, dmp_stub_entry(&at),
				     bytes)) {
			if (site->landing)
				dmp_landing_write(splicer, site->landing,
						  site->stub.gva);
			note_past(site);
			__builtin_memcpy(site->original, at.bytes, plan.len);
			__builtin_memcpy(site->bytes, bytes, plan.len);
			site->shown = plan.len;
			__builtin_memcpy(code->copy + offset, site->bytes,
					 plan.len);
			/* Counted since it was first shown. */
			code->sites -= shown;
			site->code = code->id;
			site->state = DMP_SITE_SPLICED;
			mark_covered(splicer, site, DMP_SITE_COUNTING,
				     DMP_SITE_COVERED);
			note_cr3_calls(splicer, site);
			splicer->stubs++;
			dmp_relic_note(splicer->relics, site);
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
	mark_covered(mmu->splicer, site, DMP_SITE_COVERED, DMP_SITE_COUNTING);
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

/* Bytes [first, end) of a page. */
struct range {
	unsigned int first, end;
};

/*
 * Of @now, what the guest has at a site, @written was written. What is @past's
 * there becomes the guest's own, if the place is @past's all over: what it
 * showed, what it replaced, or INT3. False: it is not.
 */
static bool put_back(const struct dmp_site_past *past, u8 *now,
		     const struct range *written)
{
	bool is_shown = false;
	unsigned int i;

	for (i = 0; i < past->shown; i++) {
		if (now[i] == past->original[i] || now[i] == DMP_SPLICE_INT3)
			continue;
		if (now[i] != past->bytes[i])
			return false;
		is_shown |= i >= written->first && i < written->end;
	}
	for (i = written->first; is_shown && i < written->end && i < past->shown; i++)
		if (now[i] == past->bytes[i])
			now[i] = past->original[i];
	return is_shown;
}

/* The @nth that @site has shown, the latest first; false: there is none. */
static bool shown_nth(const struct dmp_site *site, unsigned int nth,
		      struct dmp_site_past *past)
{
	if (nth > site->pasts)
		return false;
	if (nth) {
		*past = site->past[site->pasts - nth];
		return true;
	}
	past->shown = site->shown;
	__builtin_memcpy(past->bytes, site->bytes, sizeof(past->bytes));
	__builtin_memcpy(past->original, site->original, sizeof(past->original));
	return true;
}

/*
 * Likewise, of all that @site has shown. What is there whole goes whole: a byte
 * that was the same before has been written, too, and is not in @written.
 */
static void put_back_any(const struct dmp_site *site, u8 *now,
			 struct range *written)
{
	struct dmp_site_past past;
	unsigned int nth;

	for (nth = 0; shown_nth(site, nth, &past); nth++) {
		if (__builtin_memcmp(now, past.bytes, past.shown))
			continue;
		__builtin_memcpy(now, past.original, past.shown);
		written->first = 0;
		if (written->end < past.shown)
			written->end = past.shown;
		return;
	}
	for (nth = 0; shown_nth(site, nth, &past); nth++)
		if (put_back(&past, now, written))
			return;
}

/* What was @written of @now is what @site showed last, and not what was there. */
static bool is_shown(const struct dmp_site *site, const u8 *now,
		     const struct range *written)
{
	unsigned int i, end = written->end;
	bool differs = false;

	if (end > site->shown)
		end = site->shown;
	for (i = written->first; i < end; i++) {
		if (now[i] != site->bytes[i])
			return false;
		differs |= now[i] != site->original[i];
	}
	return differs;
}

void dmp_site_remember(struct dmp_mmu *mmu, unsigned int code,
		       unsigned int *first, unsigned int *end)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *page = &splicer->code[code];
	struct dmp_site *site;
	struct range written;
	unsigned int i, begin;
	bool is_latest;

	for (i = 0; i <= splicer->sites; i++) {
		site = i < splicer->sites ? &splicer->site[i] : &splicer->prologue;
		begin = site->rip & PAGE_MASK;
		if (!site->shown || (site->rip & ~PAGE_MASK) != page->gva ||
		    *end <= begin || *first >= begin + DMP_SPLICE_BYTES_MAX)
			continue;
		written.first = *first > begin ? *first - begin : 0;
		written.end = *end - begin;
		is_latest = is_shown(site, page->pristine + begin, &written);
		put_back_any(site, page->pristine + begin, &written);
		site->written_back = is_latest &&
			!__builtin_memcmp(page->pristine + begin,
					  site->original, site->shown);
		if (*first > begin + written.first)
			*first = begin + written.first;
		if (*end < begin + written.end)
			*end = begin + written.end;
	}
}

/* Its stub is there, and it was not refused for what it is. */
static bool may_show(const struct dmp_site *site)
{
	return site->state == DMP_SITE_UNDONE ||
	       (site->state == DMP_SITE_REFUSED &&
		(site->refusal == DMP_SITE_UNDONE_OFTEN ||
		 site->refusal == DMP_SITE_ASKED));
}

void dmp_site_show_again(struct dmp_mmu *mmu, unsigned int code)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *page = &splicer->code[code];
	struct dmp_site *site;
	unsigned int i, offset;

	for (i = 0; i < splicer->sites; i++) {
		site = &splicer->site[i];
		if (!site->written_back ||
		    (site->rip & ~PAGE_MASK) != page->gva)
			continue;
		site->written_back = false;
		if (site->code != code || !may_show(site))
			continue;
		/* The second of a run may have been replaced by itself meanwhile. */
		offset = site->rip & PAGE_MASK;
		dmp_splicer_undo_range(mmu, code, offset, offset + site->shown);
		if (!site->stub.gva) {
			dmp_site_install(mmu, site,
					 site->is_cr3 ? DMP_SPLICE_SETTLED : 0);
			continue;
		}
		__builtin_memcpy(page->copy + offset, site->bytes, site->shown);
		site->state = DMP_SITE_SPLICED;
		if (site->undos)
			site->undos--;
		mark_covered(splicer, site, DMP_SITE_COUNTING, DMP_SITE_COVERED);
		note_cr3_calls(splicer, site);
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
	unsigned int i;

	for (i = 0; i < splicer->sites; i++) {
		site = &splicer->site[i];
		if (site->state == DMP_SITE_COUNTING && site->is_cr3 &&
		    (rip - site->rip == 3 || rip - site->rip == 4))
			return site;
	}
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
