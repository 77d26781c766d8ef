// SPDX-License-Identifier: GPL-2.0-only
/*
 * The audit of what splicing adds: copies of code, overlays, what stubs know.
 */
#include "mmu/record.h"
#include "mmu/walk.h"
#include "splicer/cache.h"
#include "splicer/code_page.h"
#include "splicer/hidden.h"
#include "splicer/lidt.h"
#include "splicer/overlay.h"
#include "splicer/splicer.h"
#include "splicer/target.h"

/*
 * ---- Code ----
 */

/* Whether byte @offset of code page @code belongs to a splice. */
static bool is_spliced(const struct dmp_splicer *splicer, unsigned int code,
		       unsigned int offset)
{
	u64 gva = splicer->code[code].gva + offset;
	const struct dmp_site *site;

	dmp_for_each_splice(site, splicer)
		if (site->state == DMP_SITE_SPLICED && site->code == code &&
		    gva - site->rip < site->stub.plan.len)
			return true;
	return false;
}

static const char *check_sites(const struct dmp_splicer *splicer,
			       unsigned int code)
{
	const struct dmp_code_page *page = &splicer->code[code];
	const struct dmp_site *site;
	unsigned int sites = 0;
	u64 offset;

	dmp_for_each_splice(site, splicer) {
		if (!site->shown || site->code != code)
			continue;
		/* Past ones, too: see dmp_site_restore_shown(). */
		sites++;
		if (site->state != DMP_SITE_SPLICED)
			continue;
		offset = site->rip - page->gva;
		if (offset + site->stub.plan.len > DMP_PAGE_SIZE)
			return "splice outside of its page";
		if (__builtin_memcmp(page->copy + offset, site->bytes,
				     site->stub.plan.len))
			return "splice not shown";
	}
	sites += dmp_lidt_count(splicer, code);
	return sites == page->sites ? NULL : "sites miscounted";
}

static const char *check_copy(const struct dmp_splicer *splicer,
			      unsigned int code)
{
	const struct dmp_code_page *page = &splicer->code[code];
	unsigned int i;

	for (i = 0; i < DMP_PAGE_SIZE; i++)
		if (page->copy[i] != page->pristine[i] &&
		    !is_spliced(splicer, code, i) && !dmp_lidt_has(splicer, code, i))
			return "copy of code differs where nothing is spliced";
	return NULL;
}

static const char *check_code_leaf(const struct dmp_mmu *mmu,
				   const struct dmp_code_page *code,
				   const struct dmp_leaf *leaf)
{
	const struct dmp_table *table;
	u64 machine;

	/* Lost: until the next settling. */
	if (!leaf->table)
		return NULL;
	table = dmp_table_of(mmu, leaf->table);
	if (!table->id || table->level != 1)
		return "code page in no table";
	machine = table->entries[leaf->index];
	if (machine & DMP_PTE_RW)
		return "code page writable";
	return !(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine) ||
	       machine & (DMP_PTE_NX | DMP_PTE_US) ||
	       dmp_pte_gfn(machine) == code->hfn ? NULL :
	       "code page does not show its copy";
}

static const char *check_code(const struct dmp_mmu *mmu, const struct dmp_code_page *code)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, code->gfn);
	struct dmp_leaf leaf = { code->table, code->index };
	const char *what;
	unsigned int k;

	if (!frame || !frame->code || !frame->held)
		return "code page of a frame that is not held";
	if (code->pristine != dmp_hfn_va(mmu, dmp_frame_hfn(frame)))
		return "code page of another frame";
	what = check_sites(mmu->splicer, code->id);
	if (!what)
		what = check_copy(mmu->splicer, code->id);
	if (!what)
		what = check_code_leaf(mmu, code, &leaf);
	for (k = 0; k < DMP_CODE_ALIASES && !what; k++)
		what = check_code_leaf(mmu, code, &code->alias[k]);
	return what;
}

/* Frames that are held for code have some, or are watched, or the handler's gate. */
static const char *check_code_frames(const struct dmp_mmu *mmu, u64 *gfn)
{
	const struct dmp_slot *slot;
	u64 i;

	for (slot = mmu->slot; slot < mmu->slot + mmu->slots; slot++)
		for (i = 0; i < slot->npages; i++) {
			*gfn = slot->base_gfn + i;
			if (slot->frames[i].code && !slot->frames[i].lidt &&
			    !dmp_code_pages_of(mmu, *gfn) &&
			    !dmp_gate_is_in(mmu->splicer, *gfn))
				return "frame held for code that is gone";
		}
	return NULL;
}

/*
 * ---- Overlays ----
 */

static const char *check_overlays(const struct dmp_mmu *mmu)
{
	const struct dmp_overlay *o = mmu->splicer->space.overlay;
	const struct dmp_table *table;
	unsigned int i;

	for (i = 0; i < mmu->splicer->space.overlays; i++, o++) {
		table = dmp_table_of(mmu, o->table);
		if (!table->id || table->flags & DMP_TABLE_ROOT ||
		    !(table->flags & DMP_TABLE_OVERLAID))
			return "overlay of a table that has none";
	}
	return NULL;
}

/* Whether @table shows all of the implant's @tree, where that has anything. */
static bool shows(const struct dmp_mmu *mmu, const struct dmp_table *table,
		  const u64 *tree)
{
	const struct dmp_table *child;
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES; i++) {
		if (!tree[i] || table->entries[i] == tree[i])
			continue;
		if (table->flags & DMP_TABLE_ROOT && !dmp_space_entry(mmu, table, i))
			continue;
		if (table->level <= 2 || tree[i] & DMP_PTE_PS)
			return false;
		child = dmp_table_by_hfn(mmu, dmp_pte_gfn(table->entries[i]));
		if (!child || !shows(mmu, child,
				     dmp_hfn_va(mmu, dmp_pte_gfn(tree[i]))))
			return false;
	}
	return true;
}

/*
 * ---- What stubs know ----
 */

static const char *check_cached(const struct dmp_mmu *mmu,
				const struct dmp_cache_entry *e, u64 *gfn)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_implant *implant = splicer->implant;
	const struct dmp_table *table, *path, *root;
	const struct dmp_frame *frame;
	unsigned int index;

	if (e->tag == DMP_CACHE_VOID)
		return e->guest == DMP_CACHE_VOID ? NULL : "cached without a tag";
	table = e->table < (u64)mmu->chunks << DMP_CHUNK_SHIFT ?
		dmp_table_of(mmu, e->table) : NULL;
	if (!table || !table->id || !(table->flags & DMP_TABLE_HELD))
		return "cached table that is not held";
	*gfn = table->gfn;
	frame = dmp_frame_find(mmu, table->gfn);
	if (e->guest != implant->window + (frame->leaf & DMP_PTE_ADDR))
		return "cached where the guest's table is not";
	if (e->machine != splicer->slow_gva &&
	    (e->machine != implant->window + (table->hfn << DMP_PAGE_SHIFT) ||
	     table->level != 1 || frame->tables != table->id || table->next))
		return "cached machine table of another";
	/* KPTI's user half. */
	root = mmu->loaded ? dmp_loaded_top(mmu) : NULL;
	if (root && splicer->cache_top && dmp_cache_suits(mmu, root) &&
	    root->entries[splicer->cache_top] != splicer->cache_link)
		return NULL;
	path = mmu->loaded ? dmp_table_walk(mmu, e->tag, &index) : NULL;
	if (!path || path->entries[index] & DMP_PTE_US ||
	    dmp_pte_gfn(path->entries[index]) != dmp_frame_hfn(frame))
		return "cached by an address that is not the table's";
	return NULL;
}

static const char *check_cache(const struct dmp_mmu *mmu, u64 *gfn)
{
	const struct dmp_implant *implant = mmu->splicer->implant;
	const char *what = NULL;
	unsigned int i;

	for (i = 0; i < DMP_CACHE_SLOTS && !what; i++)
		what = check_cached(mmu, &implant->cache[i], gfn);
	for (i = 0; i < DMP_ARRAY_SIZE(implant->last) && !what; i++)
		what = check_cached(mmu, &implant->last[i], gfn);
	return what;
}

/* What the filter and the stubs go by is the loaded root's. */
static const char *check_root(const struct dmp_mmu *mmu, u64 *gfn)
{
	const struct dmp_implant *implant = mmu->splicer->implant;
	const struct dmp_table *table;

	if (!mmu->loaded)
		return NULL;
	table = dmp_loaded_top(mmu);
	*gfn = table->gfn;
	if (implant->root != implant->window + (table->hfn << DMP_PAGE_SHIFT) ||
	    implant->guest_root != implant->window +
		(dmp_frame_find(mmu, table->gfn)->leaf & DMP_PTE_ADDR))
		return "implant runs on another root";
	/* 0: the host has not shown it yet. */
	if (implant->guest_cr3 && dmp_pte_gfn(implant->guest_cr3) != table->gfn)
		return "CR3 as the guest reads it is not the loaded root";
	return NULL;
}

/* Whether user mode can run on roots is known, and those show nothing private. */
static const char *check_hidden(const struct dmp_mmu *mmu, u64 *gfn)
{
	const u64 *tree = dmp_hfn_va(mmu, mmu->splicer->space.root_hfn);
	const struct dmp_table *table;
	const struct dmp_root *root;
	unsigned int k;
	u32 i;

	if (!mmu->splicer->guarded)
		return NULL;
	dmp_for_each_root(root, i, mmu) {
		table = dmp_root_table(mmu, root);
		if (!(table->flags & DMP_TABLE_HELD))
			continue;
		*gfn = root->gfn;
		if (!dmp_space_knows(mmu, table))
			return "user mode can run on a root, which is not known";
		for (k = 0; k < DMP_ENTRIES; k++)
			if (tree[k] && table->entries[k] == tree[k] &&
			    !dmp_space_entry(mmu, table, k))
				return "private region in a root of user mode's";
	}
	return NULL;
}

const char *dmp_splicer_audit(struct dmp_mmu *mmu, u64 *gfn)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_space *space = &mmu->splicer->space;
	const struct dmp_code_page *code;
	const char *what;

	*gfn = 0;
	if (!splicer->active)
		return NULL;
	dmp_for_each_code(code, mmu->splicer) {
		*gfn = code->gfn;
		what = check_code(mmu, code);
		if (what)
			return what;
	}
	what = check_code_frames(mmu, gfn);
	if (!what)
		what = check_overlays(mmu);
	if (!what && mmu->loaded && !space->grown &&
	    mmu->loaded->version == space->version &&
	    !shows(mmu, dmp_loaded_top(mmu),
		   dmp_hfn_va(mmu, space->root_hfn)))
		what = "implant not all there";
	if (!what)
		what = check_root(mmu, gfn);
	if (!what)
		what = check_hidden(mmu, gfn);
	if (!what)
		what = dmp_target_audit(mmu);
	if (!what)
		what = check_cache(mmu, gfn);
	return what ? what : dmp_lidt_audit(mmu);
}
