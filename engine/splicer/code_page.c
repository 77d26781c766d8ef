// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of spliced code pages; see code_page.h.
 */
#include "mmu/hold.h"
#include "mmu/leaf.h"
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/walk.h"
#include "splicer/code_page.h"

static struct dmp_leaf *alias_of(struct dmp_code_page *code,
				 const struct dmp_table *table,
				 unsigned int index)
{
	unsigned int i;

	for (i = 0; i < DMP_CODE_ALIASES; i++)
		if (code->alias[i].table == table->id &&
		    code->alias[i].index == index)
			return &code->alias[i];
	return NULL;
}

static struct dmp_code_page *code_by_leaf(const struct dmp_mmu *mmu,
					  const struct dmp_table *table,
					  unsigned int index)
{
	struct dmp_code_page *code = mmu->splicer->code;
	unsigned int i;

	for (i = 0; i < DMP_CODES_MAX; i++, code++)
		if (code->hfn && ((code->table == table->id && code->index == index) ||
				  alias_of(code, table, index)))
			return code;
	return NULL;
}

u64 dmp_code_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		  unsigned int index, u64 machine)
{
	const struct dmp_code_page *code;

	if (machine & (DMP_PTE_NX | DMP_PTE_US))
		return machine;
	code = code_by_leaf(mmu, table, index);
	return code ? (machine & ~DMP_PTE_ADDR) | code->hfn << DMP_PAGE_SHIFT :
		      machine;
}

bool dmp_code_is_copy(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
		      u64 machine)
{
	const struct dmp_code_page *code;

	if (!frame->code)
		return false;
	dmp_for_each_code(code, mmu->splicer)
		if (code->hfn == dmp_pte_gfn(machine))
			return true;
	return false;
}

unsigned int dmp_code_pages_of(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_code_page *code;
	unsigned int n = 0;

	dmp_for_each_code(code, mmu->splicer)
		n += code->gfn == gfn;
	return n;
}

/*
 * Whether the tables by which the loaded root maps @gva map it nowhere else: they
 * have one link each, and that which roots share has all of its own at one index.
 * Marks them: see DMP_TABLE_CODE in link_get().
 */
static bool mark_path(struct dmp_mmu *mmu, u64 gva)
{
	unsigned int levels = mmu->paging.levels;
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva) {
		if (w.level == levels)
			continue;
		if (w.table->flags & DMP_TABLE_TWICE ||
		    (w.table->links != 1 && w.level != levels - 1))
			return false;
		w.table->flags |= DMP_TABLE_CODE;
	}
	return w.level == 1;
}

/* The frame that @gva executes, if it may be spliced. */
static struct dmp_frame *code_frame(struct dmp_mmu *mmu, u64 gva,
				    struct dmp_table *table, unsigned int index,
				    u64 *gfn)
{
	u64 machine = table->entries[index];
	struct dmp_frame *frame;

	if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine) ||
	    machine & (DMP_PTE_NX | DMP_PTE_US))
		return NULL;
	*gfn = table->guest ? dmp_pte_gfn(table->guest[index]) :
			      table->gfn + index;
	frame = dmp_frame_find(mmu, *gfn);
	if (!frame || !dmp_table_may_be(mmu, *gfn) || frame->tables ||
	    !mark_path(mmu, gva))
		return NULL;
	return frame;
}

static struct dmp_code_page *free_code(struct dmp_mmu *mmu)
{
	struct dmp_code_page *code = mmu->splicer->code;
	unsigned int i;

	for (i = 0; i < DMP_CODES_MAX; i++, code++) {
		if (code->hfn)
			continue;
		code->id = i;
		return code;
	}
	return NULL;
}

struct dmp_code_page *dmp_code_get(struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_table *table;
	struct dmp_frame *frame;
	struct dmp_code_page *code;
	unsigned int index;
	u64 gfn, hfn;

	gva &= ~(u64)(DMP_PAGE_SIZE - 1);
	table = dmp_table_walk(mmu, gva, &index);
	if (!table)
		return NULL;
	code = code_by_leaf(mmu, table, index);
	if (code) {
		code->sites++;
		return code;
	}
	frame = code_frame(mmu, gva, table, index, &gfn);
	code = frame ? free_code(mmu) : NULL;
	if (!code)
		return NULL;
	hfn = dmp_page_alloc(mmu);
	if (!hfn)
		return NULL;
	*code = (struct dmp_code_page){
		.gva = gva, .gfn = gfn, .hfn = hfn, .table = table->id,
		.index = index, .sites = 1, .id = code->id,
		.copy = dmp_hfn_va(mmu, hfn),
		.pristine = dmp_hfn_va(mmu, dmp_frame_hfn(frame)),
	};
	/* Read-only first: no write may come between the copy and that. */
	if (!frame->code)
		dmp_frame_hold(mmu, frame);
	frame->code = 1;
	__builtin_memcpy(code->copy, code->pristine, DMP_PAGE_SIZE);
	dmp_table_refresh_leaf(mmu, table, index);
	/* Other roots may map it by other leaves: dmp_code_sync(). */
	mmu->splicer->space.grown = true;
	/* Not that a stale translation shows the handler unspliced. */
	dmp_flush(mmu);
	return code;
}

/* @table maps, at @index, what @code is the copy of, for the kernel to execute. */
static bool executes(const struct dmp_mmu *mmu, const struct dmp_code_page *code,
		     const struct dmp_table *table, unsigned int index)
{
	u64 machine = table->entries[index];

	return machine & DMP_PTE_P && !dmp_is_trap(&mmu->paging, machine) &&
	       !(machine & (DMP_PTE_NX | DMP_PTE_US)) &&
	       (table->guest ? dmp_pte_gfn(table->guest[index]) :
			       table->gfn + index) == code->gfn;
}

static void add_alias(struct dmp_mmu *mmu, struct dmp_code_page *code,
		      struct dmp_table *table, unsigned int index)
{
	unsigned int i;

	for (i = 0; i < DMP_CODE_ALIASES && code->alias[i].table; i++)
		;
	if (i == DMP_CODE_ALIASES || !mark_path(mmu, code->gva)) {
		dmp_break(mmu, DMP_BROKEN_CODE);
		return;
	}
	code->alias[i] = (struct dmp_leaf){ table->id, index };
	dmp_table_refresh_leaf(mmu, table, index);
	dmp_flush(mmu);
}

void dmp_code_sync(struct dmp_mmu *mmu)
{
	struct dmp_code_page *code;
	struct dmp_table *table;
	unsigned int index;

	dmp_for_each_code(code, mmu->splicer) {
		if (!code->table || mmu->broken)
			continue;
		table = dmp_table_walk(mmu, code->gva, &index);
		if (table && executes(mmu, code, table, index) &&
		    code_by_leaf(mmu, table, index) != code)
			add_alias(mmu, code, table, index);
	}
}

void dmp_code_release(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);

	if (frame->lidt || dmp_code_pages_of(mmu, gfn) || dmp_gate_is_in(mmu->splicer, gfn))
		return;
	frame->code = 0;
	dmp_frame_release(mmu, frame);
}

void dmp_code_put(struct dmp_mmu *mmu, struct dmp_code_page *code)
{
	struct dmp_leaf leaf = { code->table, code->index };
	u64 hfn = code->hfn;
	unsigned int i;

	if (--code->sites)
		return;
	code->table = 0;
	for (i = 0;; i++) {
		if (leaf.table)
			dmp_table_refresh_leaf(mmu, dmp_table_of(mmu, leaf.table),
					       leaf.index);
		if (i == DMP_CODE_ALIASES)
			break;
		leaf = code->alias[i];
		code->alias[i].table = 0;
	}
	code->hfn = 0;
	dmp_code_release(mmu, code->gfn);
	dmp_flush(mmu);
	dmp_page_free(mmu, hfn);
}

void dmp_code_leaf_gone(struct dmp_mmu *mmu, const struct dmp_table *table,
			unsigned int index)
{
	struct dmp_code_page *code = code_by_leaf(mmu, table, index);
	struct dmp_leaf *leaf;

	/* No #PF goes by what was spliced any more. */
	if (table->id == mmu->splicer->gate_table &&
	    index == mmu->splicer->gate_index)
		dmp_break(mmu, DMP_BROKEN_HANDLER);
	if (!code)
		return;
	leaf = alias_of(code, table, index);
	if (leaf) {
		leaf->table = 0;
		return;
	}
	code->table = 0;
	mmu->splicer->unsettled = true;
}
