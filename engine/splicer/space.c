// SPDX-License-Identifier: GPL-2.0-only
/*
 * The implant's own tree of page tables; see space.h.
 */
#include "mmu/page.h"
#include "splicer/space.h"

/* Software bits of the tree's entries (SDM vol. 3, 4.5.4: 11:9 ignored). */
#define OWNED	(1ull << 9)	/* what the entry points to is freed with it */

#define LARGE_SHIFT	21

/*
 * ---- Beginning and end ----
 */

bool dmp_space_start(struct dmp_mmu *mmu)
{
	mmu->splicer->space.root_hfn = dmp_page_alloc(mmu);
	mmu->splicer->space.version = 1;
	return mmu->splicer->space.root_hfn;
}

static void free_tree(struct dmp_mmu *mmu, u64 hfn, unsigned int level)
{
	u64 *table = dmp_hfn_va(mmu, hfn);
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES; i++) {
		if (!(table[i] & OWNED))
			continue;
		if (level > 1)
			free_tree(mmu, dmp_pte_gfn(table[i]), level - 1);
		else
			dmp_page_free(mmu, dmp_pte_gfn(table[i]));
	}
	dmp_page_free(mmu, hfn);
}

void dmp_space_destroy(struct dmp_mmu *mmu)
{
	struct dmp_space *space = &mmu->splicer->space;
	unsigned int level;

	if (space->root_hfn)
		free_tree(mmu, space->root_hfn, mmu->paging.levels);
	for (level = 0; level < DMP_LEVEL_MAX; level++)
		if (space->zero_hfn[level])
			dmp_page_free(mmu, space->zero_hfn[level]);
	__builtin_memset(space, 0, sizeof(*space));
}

/*
 * ---- The tree ----
 */

static u64 link_to(u64 hfn)
{
	return hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_RW | DMP_PTE_A;
}

/* The level-1 table that maps @gva, if it is the one found last; else NULL. */
static u64 *same_table(const struct dmp_mmu *mmu, u64 gva)
{
	const struct dmp_space *space = &mmu->splicer->space;

	return (gva ^ space->table_gva) >> LARGE_SHIFT ? NULL : space->table;
}

/* The entry for @gva at @level, with the tables above it; NULL: no memory. */
static u64 *make_entry(struct dmp_mmu *mmu, u64 gva, unsigned int level)
{
	unsigned int at = mmu->paging.levels;
	u64 *entry, *table = level == 1 ? same_table(mmu, gva) : NULL;
	u64 hfn;

	if (table)
		return &table[dmp_index(gva, 1)];
	for (table = dmp_space_top(mmu);; at--) {
		entry = &table[dmp_index(gva, at)];
		if (at == level)
			break;
		if (!*entry) {
			hfn = dmp_page_alloc(mmu);
			if (!hfn)
				return NULL;
			*entry = link_to(hfn) | OWNED;
			mmu->splicer->space.grown = true;
		}
		/* Not into what zero_table() shares, nor into a large page. */
		if (!(*entry & OWNED)) {
			dmp_break(mmu, DMP_BROKEN_ADDRESS);
			return NULL;
		}
		table = dmp_space_page(mmu, *entry);
	}
	if (level == 1) {
		mmu->splicer->space.table = table;
		mmu->splicer->space.table_gva = gva;
	}
	return entry;
}

bool dmp_space_map(struct dmp_mmu *mmu, u64 gva, u64 hfn, u32 flags)
{
	u64 *entry = make_entry(mmu, gva, 1);

	if (!entry)
		return false;
	*entry = hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A | DMP_PTE_D |
		 (flags & DMP_SPACE_RW ? DMP_PTE_RW : 0) |
		 (flags & DMP_SPACE_OWNED ? OWNED : 0) |
		 (!(flags & DMP_SPACE_X) && mmu->paging.flags & DMP_PAGING_NX ?
		  DMP_PTE_NX : 0);
	return true;
}

bool dmp_space_map_large(struct dmp_mmu *mmu, u64 gva, u64 hfn)
{
	u64 *entry = make_entry(mmu, gva, 2);

	if (!entry || *entry)
		return false;
	*entry = link_to(hfn) | DMP_PTE_D | DMP_PTE_PS |
		 (mmu->paging.flags & DMP_PAGING_NX ? DMP_PTE_NX : 0);
	mmu->splicer->space.grown = true;
	return true;
}

/* The leaf that maps @gva, and its level; NULL: nothing does. */
static u64 *find_leaf(const struct dmp_mmu *mmu, u64 gva, unsigned int *level)
{
	u64 *table = same_table(mmu, gva), *entry;

	*level = table ? 1 : mmu->paging.levels;
	if (!table)
		table = dmp_space_top(mmu);
	for (; table; (*level)--) {
		entry = &table[dmp_index(gva, *level)];
		if (!(*entry & DMP_PTE_P))
			break;
		if (dmp_pte_is_leaf(*entry, *level))
			return entry;
		table = dmp_space_page(mmu, *entry);
	}
	return NULL;
}

bool dmp_space_lookup(const struct dmp_mmu *mmu, u64 gva, u64 *hfn)
{
	unsigned int level;
	const u64 *leaf = find_leaf(mmu, gva, &level);

	if (leaf)
		*hfn = dmp_pte_gfn(*leaf) +
		       (gva >> DMP_PAGE_SHIFT & (dmp_level_pages(level) - 1));
	return leaf;
}

void dmp_space_unmap(struct dmp_mmu *mmu, u64 gva)
{
	unsigned int level;
	u64 *leaf = find_leaf(mmu, gva, &level);

	if (!leaf)
		return;
	if (level > 1 || *leaf & OWNED) {
		dmp_break(mmu, DMP_BROKEN_ADDRESS);
		return;
	}
	DMP_WRITE_ONCE(*leaf, 0);
}

/* The one table of @level (0: a page) that shows zeroes all over. */
static u64 zero_table(struct dmp_mmu *mmu, unsigned int level)
{
	u64 hfn = mmu->splicer->space.zero_hfn[level], below, *table;
	unsigned int i;

	if (hfn)
		return hfn;
	below = level ? zero_table(mmu, level - 1) : 0;
	if (level && !below)
		return 0;
	hfn = dmp_page_alloc(mmu);
	if (!hfn)
		return 0;
	table = dmp_hfn_va(mmu, hfn);
	for (i = 0; level && i < DMP_ENTRIES; i++)
		table[i] = below << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A |
			   (level == 1 ? DMP_PTE_D : 0);
	mmu->splicer->space.zero_hfn[level] = hfn;
	return hfn;
}

/*
 * Fill the highest entry that lies in [gva, end) whole and is empty; the bytes
 * that are done, 0 without memory.
 */
static u64 fill_one(struct dmp_mmu *mmu, u64 gva, u64 end)
{
	unsigned int level = mmu->paging.levels - 1;
	u64 *entry, span, hfn;

	for (;; level--) {
		span = dmp_level_pages(level) << DMP_PAGE_SHIFT;
		if (gva & (span - 1) || end - gva < span)
			continue;
		entry = make_entry(mmu, gva, level);
		if (!entry)
			return 0;
		if (!*entry || level == 1)
			break;
	}
	if (*entry)
		return span;
	hfn = zero_table(mmu, level - 1);
	*entry = hfn ? hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A |
		       (level == 1 ? DMP_PTE_D : 0) : 0;
	return hfn ? span : 0;
}

bool dmp_space_fill(struct dmp_mmu *mmu, u64 gva, u64 end)
{
	u64 done;

	for (; gva < end; gva += done) {
		done = fill_one(mmu, gva, end);
		if (!done)
			return false;
	}
	return true;
}
