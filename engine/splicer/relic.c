// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left of splices of earlier engagements; see relic.h.
 */
#include "splicer/code_page.h"
#include "splicer/relic.h"

static u64 entry_of(const struct dmp_site *site)
{
	return site->landing ? site->landing : site->stub.gva;
}

void dmp_relic_note(struct dmp_relics *relics, const struct dmp_site *site)
{
	struct dmp_relic *relic;
	unsigned int i;

	if (!relics)
		return;
	for (i = 0; i < DMP_RELICS_MAX; i++) {
		relic = &relics->relic[i];
		if (relic->entry == entry_of(site) && relic->rip == site->rip)
			break;
	}
	if (i == DMP_RELICS_MAX)
		relic = &relics->relic[relics->noted++ % DMP_RELICS_MAX];
	relic->rip = site->rip;
	relic->insn_len = site->stub.plan.insn[0].length;
	relic->len = site->shown;
	relic->is_cr3 = site->is_cr3;
	__builtin_memcpy(relic->bytes, site->bytes, sizeof(relic->bytes));
	__builtin_memcpy(relic->original, site->original, sizeof(relic->original));
	relic->entry = entry_of(site);
}

const struct dmp_relic *dmp_relic_at(const struct dmp_relics *relics, u64 entry)
{
	unsigned int i;

	for (i = 0; relics && i < DMP_RELICS_MAX; i++)
		if (relics->relic[i].entry == entry && entry)
			return &relics->relic[i];
	return NULL;
}

/* Of the JMP that its first byte would be of, before what was replaced. */
static u64 stray_target(const struct dmp_relic *relic)
{
	s32 rel;

	__builtin_memcpy(&rel, relic->original + 1, sizeof(rel));
	return relic->rip + DMP_SPLICE_JMP + (s64)rel;
}

const struct dmp_relic *dmp_relic_astray(const struct dmp_relics *relics, u64 gva)
{
	unsigned int i;

	for (i = 0; relics && i < DMP_RELICS_MAX; i++)
		if (relics->relic[i].entry && stray_target(&relics->relic[i]) == gva)
			return &relics->relic[i];
	return NULL;
}

bool dmp_relic_is_astray(const struct dmp_relic *relic, const u8 *now)
{
	return now[0] == relic->bytes[0] && now[0] != relic->original[0] &&
	       !__builtin_memcmp(now + 1, relic->original + 1, relic->len - 1);
}

bool dmp_relic_is_there(const struct dmp_relic *relic, const u8 *now)
{
	unsigned int i;

	for (i = 0; i < relic->len; i++)
		if (now[i] != relic->original[i] && now[i] != relic->bytes[i] &&
		    now[i] != DMP_SPLICE_INT3)
			return false;
	return true;
}

bool dmp_relics_hold(const struct dmp_relics *relics, u64 gva, u64 bytes, u64 rip)
{
	const struct dmp_relic *relic;
	unsigned int i;

	for (i = 0; relics && i < DMP_RELICS_MAX; i++) {
		relic = &relics->relic[i];
		if (relic->entry && relic->rip != rip &&
		    relic->entry < gva + bytes && gva < relic->entry + DMP_SPLICE_JMP)
			return true;
	}
	return false;
}

static bool is_watched(const struct dmp_splicer *splicer, u64 rip)
{
	unsigned int i;

	for (i = 0; i < splicer->sites; i++)
		if (splicer->site[i].rip == rip)
			return true;
	return splicer->prologue.rip == rip;
}

/* As a site that was spliced, and is undone; its stub is gone. */
static void watch(struct dmp_mmu *mmu, const struct dmp_relic *relic)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_code_page *code;
	struct dmp_site *site;

	code = dmp_code_get(mmu, relic->rip);
	if (!code)
		return;
	if (!dmp_relic_is_there(relic, code->pristine + (relic->rip & DMP_PAGE_OFFSET))) {
		dmp_code_put(mmu, code);
		return;
	}
	site = &splicer->site[splicer->sites++];
	*site = (struct dmp_site){
		.rip = relic->rip, .state = DMP_SITE_UNDONE, .is_cr3 = relic->is_cr3,
		.code = code->id, .shown = relic->len,
	};
	__builtin_memcpy(site->bytes, relic->bytes, sizeof(site->bytes));
	__builtin_memcpy(site->original, relic->original, sizeof(site->original));
}

void dmp_relics_watch(struct dmp_mmu *mmu)
{
	const struct dmp_relics *relics = mmu->splicer->relics;
	const struct dmp_relic *relic;
	u32 n;

	/* The latest first: one of several at the same place. */
	for (n = 1; relics && n <= DMP_RELICS_MAX && n <= relics->noted; n++) {
		if (mmu->broken || mmu->splicer->sites == DMP_RELICS_WATCHED)
			return;
		relic = &relics->relic[(relics->noted - n) % DMP_RELICS_MAX];
		if (!is_watched(mmu->splicer, relic->rip))
			watch(mmu, relic);
	}
}
