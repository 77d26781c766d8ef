// SPDX-License-Identifier: GPL-2.0-only
/*
 * The implant's own tree of page tables, and laying it over the machine
 * tables; see space.h.
 */
#include "splicer/space.h"
#include "splicer/splicer.h"
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/walk.h"

/* Software bits of the tree's entries (SDM vol. 3, 4.5.4: 11:9 ignored). */
#define OWNED	(1ull << 9)	/* what the entry points to is freed with it */

#define LARGE_SHIFT	21

static u64 *page_of(const struct dmp_mmu *mmu, u64 entry)
{
	return dmp_hfn_va(mmu, dmp_pte_gfn(entry));
}

static u64 *tree_root(const struct dmp_mmu *mmu)
{
	return mmu->splicer->space.root_hfn ?
	       dmp_hfn_va(mmu, mmu->splicer->space.root_hfn) : NULL;
}

/*
 * ---- What user mode may not read ----
 */

static bool is_private_top(const struct dmp_mmu *mmu, unsigned int index)
{
	const struct dmp_splicer *splicer = mmu->splicer;

	return dmp_top_gva(mmu->paging.levels, index) - splicer->private_gva <
	       splicer->private_bytes;
}

bool dmp_space_hides(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	return mmu->splicer && mmu->splicer->guarded && table->flags & DMP_TABLE_USER;
}

/*
 * A root has user mode's code where an entry of that half is user mode's and not NX.
 * By the guest's own entries, whether A is set or not. What is executable in the
 * kernel's half, as Linux's vsyscall page may be, is code that the kernel chose.
 */
static bool is_user_code(const struct dmp_mmu *mmu, u64 entry)
{
	const u64 user = DMP_PTE_P | DMP_PTE_US;

	return (entry & user) == user &&
	       !(entry & DMP_PTE_NX && mmu->paging.flags & DMP_PAGING_NX);
}

static bool has_user_code(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	unsigned int i;

	for (i = dmp_entries_next(table->guest, 0); i < DMP_ENTRIES / 2;
	     i = dmp_entries_next(table->guest, i + 1))
		if (is_user_code(mmu, DMP_READ_ONCE(table->guest[i])))
			return true;
	return false;
}

/* What is kept of a root that was let go of is not its guest's table any more. */
static void look_at_all(struct dmp_mmu *mmu)
{
	struct dmp_root *root;
	struct dmp_table *table;
	u32 i;

	for (i = 0; i < mmu->root_end; i++) {
		root = dmp_root_nth(mmu, i);
		table = root->table ? dmp_table_of(mmu, root->table) : NULL;
		if (table && table->flags & DMP_TABLE_HELD)
			dmp_space_look(mmu, table);
	}
}

bool dmp_space_knows(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	return table->flags & DMP_TABLE_USER || !has_user_code(mmu, table);
}

static void hide_private(struct dmp_mmu *mmu, struct dmp_table *table)
{
	const u64 *tree = tree_root(mmu);
	unsigned int i;

	for (i = DMP_ENTRIES / 2; tree && i < DMP_ENTRIES; i++)
		if (is_private_top(mmu, i) && tree[i] && table->entries[i] == tree[i])
			dmp_entry_set(table, i, 0);
	dmp_flush(mmu);
}

void dmp_space_look(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_root *root;

	if (!mmu->splicer || !mmu->splicer->guarded ||
	    has_user_code(mmu, table) == !!(table->flags & DMP_TABLE_USER))
		return;
	table->flags ^= DMP_TABLE_USER;
	root = dmp_root_of(mmu, table);
	if (dmp_space_hides(mmu, table))
		hide_private(mmu, table);
	else if (root)
		root->version = 0;	/* shown when it is laid over again */
	else
		mmu->splicer->space.grown = true;
}

void dmp_space_look_at(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index)
{
	if (is_user_code(mmu, DMP_READ_ONCE(table->guest[index])) !=
	    !!(table->flags & DMP_TABLE_USER))
		dmp_space_look(mmu, table);
}

/*
 * ---- Beginning and end ----
 */

bool dmp_space_start(struct dmp_mmu *mmu)
{
	mmu->splicer->space.root_hfn = dmp_page_alloc(mmu);
	mmu->splicer->space.version = 1;
	look_at_all(mmu);
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
	for (table = tree_root(mmu);; at--) {
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
		table = page_of(mmu, *entry);
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
		table = tree_root(mmu);
	for (; table; (*level)--) {
		entry = &table[dmp_index(gva, *level)];
		if (!(*entry & DMP_PTE_P))
			break;
		if (dmp_pte_is_leaf(*entry, *level))
			return entry;
		table = page_of(mmu, *entry);
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

/*
 * ---- Overlays ----
 */

static const struct dmp_overlay *overlay_find(const struct dmp_mmu *mmu,
					      const struct dmp_table *table,
					      unsigned int index)
{
	const struct dmp_overlay *o = mmu->splicer->space.overlay;
	unsigned int i;

	for (i = 0; i < mmu->splicer->space.overlays; i++, o++)
		if (o->table == table->id && o->index == index)
			return o;
	return NULL;
}

/* The tree's top, but for what a root is not to show. */
static u64 top_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		     unsigned int index)
{
	return dmp_space_hides(mmu, table) && is_private_top(mmu, index) ? 0 :
	       tree_root(mmu)[index];
}

/* A root shows the tree's top wherever it has nothing; others what is noted. */
u64 dmp_space_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index)
{
	const struct dmp_overlay *o;

	if (table->flags & DMP_TABLE_ROOT && mmu->splicer->space.root_hfn)
		return top_entry(mmu, table, index);
	if (!(table->flags & DMP_TABLE_OVERLAID))
		return 0;
	o = overlay_find(mmu, table, index);
	return o ? o->machine : 0;
}

void dmp_space_forget_table(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	struct dmp_space *space = &mmu->splicer->space;
	unsigned int i = 0;

	if (!(table->flags & DMP_TABLE_OVERLAID))
		return;
	while (i < space->overlays) {
		if (space->overlay[i].table != table->id) {
			i++;
			continue;
		}
		space->overlay[i] = space->overlay[--space->overlays];
		/* What it showed has to show where it was linked, now. */
		space->grown = true;
	}
}

static bool overlay_add(struct dmp_mmu *mmu, struct dmp_table *table,
			unsigned int index, u64 machine)
{
	struct dmp_space *space = &mmu->splicer->space;

	if (!(table->flags & DMP_TABLE_ROOT)) {
		if (space->overlays == DMP_OVERLAYS_MAX)
			return false;
		space->overlay[space->overlays++] = (struct dmp_overlay){
			.machine = machine, .table = table->id, .index = index,
		};
		table->flags |= DMP_TABLE_OVERLAID;
	}
	dmp_entry_set(table, index, machine);
	return true;
}

static bool lay_over(struct dmp_mmu *mmu, struct dmp_table *table,
		     const u64 *tree)
{
	struct dmp_table *child;
	unsigned int i;
	u64 machine;

	for (i = 0; i < DMP_ENTRIES; i++) {
		if (!tree[i] || (table->flags & DMP_TABLE_ROOT &&
				 !top_entry(mmu, table, i)))
			continue;
		machine = table->entries[i];
		if (machine == tree[i])
			continue;
		if (!machine) {
			if (!overlay_add(mmu, table, i, tree[i]))
				return false;
			continue;
		}
		if (dmp_is_trap(&mmu->paging, machine) || table->level <= 2 ||
		    tree[i] & DMP_PTE_PS)
			return false;
		child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
		if (!child || !child->guest ||
		    !lay_over(mmu, child, page_of(mmu, tree[i])))
			return false;
	}
	return true;
}

bool dmp_space_sync(struct dmp_mmu *mmu)
{
	struct dmp_space *space = &mmu->splicer->space;
	struct dmp_root *root = mmu->loaded;

	if (mmu->broken || !space->root_hfn || !root)
		return !mmu->broken;
	if (space->grown) {
		space->grown = false;
		space->version++;
	}
	if (root->version == space->version)
		return true;
	root->version = space->version;
	if (lay_over(mmu, dmp_table_of(mmu, root->table), tree_root(mmu))) {
		dmp_code_sync(mmu);
		return !mmu->broken;
	}
	dmp_break(mmu, DMP_BROKEN_ADDRESS);
	return false;
}

unsigned int dmp_space_free_tops(const struct dmp_mmu *mmu, unsigned int count)
{
	const struct dmp_table *root = dmp_loaded_top(mmu);
	const u64 *tree = tree_root(mmu);
	unsigned int i, run = 0;

	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES && run < count; i++)
		run = root->guest[i] || tree[i] ? 0 : run + 1;
	return run == count ? i - count : 0;
}

bool dmp_space_is_free(const struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva) {
		if (!w.table->guest)
			return false;
		if (!w.entry || w.entry == dmp_space_entry(mmu, w.table, w.index))
			return !w.table->guest[w.index];
		if (w.level == 2)
			return false;
	}
	return false;
}
