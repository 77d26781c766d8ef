// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest saw of splices and writes back; see site_shown.h.
 */
#include "splicer/site.h"
#include "splicer/site_shown.h"

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

void dmp_site_restore_shown(struct dmp_mmu *mmu, unsigned int code,
			    unsigned int *first, unsigned int *end)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *page = &splicer->code[code];
	struct dmp_site *site;
	struct range written;
	unsigned int begin;
	bool is_latest;

	dmp_for_each_splice(site, splicer) {
		begin = site->rip & DMP_PAGE_OFFSET;
		if (!site->shown || (site->rip & ~DMP_PAGE_OFFSET) != page->gva ||
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
	unsigned int offset;

	dmp_for_each_site(site, splicer) {
		if (!site->written_back ||
		    (site->rip & ~DMP_PAGE_OFFSET) != page->gva)
			continue;
		site->written_back = false;
		if (site->code != code || !may_show(site))
			continue;
		/* The second of a run may have been replaced by itself meanwhile. */
		offset = site->rip & DMP_PAGE_OFFSET;
		dmp_site_undo_range(mmu, code, offset, offset + site->shown);
		if (site->stub.gva)
			dmp_site_reinstate(mmu, site);
		else
			dmp_site_install(mmu, site,
					 site->is_cr3 ? DMP_SPLICE_SETTLED : 0);
	}
}
