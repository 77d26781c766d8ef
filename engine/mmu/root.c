// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: which guest tables are tops, and which tables are live.
 *
 * A root stays held, and followed, when another is loaded: switching between
 * known roots then costs nothing. But a guest frees roots without clearing
 * them, so the first write to a root that is not loaded lets go of it: a copy
 * is kept of the entries its machine root was made from. Entries that differ
 * from the copy are dropped whenever somebody needs to know, and made anew
 * when the root is loaded again.
 */
#include "mmu/ad.h"
#include "mmu/page.h"
#include "mmu/tenant.h"

_Static_assert(sizeof(struct dmp_root) << DMP_ROOT_CHUNK_SHIFT <= DMP_PAGE_SIZE, "");

/* The root of whatever address space has its top at @gfn; NULL: none is kept. */
static struct dmp_root *root_find(const struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = mmu->root_hash[gfn % DMP_ROOT_HASH];

	while (root && root->gfn != gfn)
		root = root->next;
	return root;
}

struct dmp_root *dmp_root_of(struct dmp_mmu *mmu, const struct dmp_table *table)
{
	struct dmp_root *root = root_find(mmu, table->gfn);

	return root && root->table == table->id ? root : NULL;
}

static struct dmp_table *root_table(const struct dmp_mmu *mmu,
				    const struct dmp_root *root)
{
	return dmp_table_of(mmu, root->table);
}

/* Not memcpy(), which moves bytes where that is said to be fast: words. */
static void copy_entries(u64 *to, const u64 *from)
{
	unsigned long n = DMP_ENTRIES;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/* The first entry that differs, from @i on; DMP_ENTRIES: none does. */
static unsigned int next_change(const u64 *a, const u64 *b, unsigned int i)
{
	const u64 *x = a + i, *y = b + i, *end = a + DMP_ENTRIES;
	const unsigned int group = 16;
	unsigned int k;
	u64 any = 0;

	for (; i % group; i++, x++, y++)
		if (DMP_READ_ONCE(*x) != *y)
			return i;
	for (; x < end; x += group, y += group) {
#pragma GCC unroll 16
		for (k = 0; k < group; k++)
			any |= x[k] ^ y[k];
		if (any)
			break;
	}
	for (; x < end && DMP_READ_ONCE(*x) == *y; x++)
		y++;
	return x - a;
}

/*
 * Drop what a root that is not loaded linked and links no longer. Never reads
 * the new entries as entries: the page may be anything by now.
 */
static void drop_changed(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = root_table(mmu, root);
	unsigned int i;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = next_change(table->guest, root->copy, 0);
	     i < DMP_ENTRIES && !mmu->broken;
	     i = next_change(table->guest, root->copy, i + 1)) {
		if (table->entries[i])
			dmp_table_follow(mmu, table, i, root->copy[i], 0);
		root->copy[i] = 0;
	}
}

static bool is_gone(const struct dmp_mmu *mmu, const struct dmp_root *root)
{
	return root && root->table &&
	       !(root_table(mmu, root)->flags & DMP_TABLE_HELD);
}

static void drop_changed_all(struct dmp_mmu *mmu)
{
	struct dmp_root *root;
	unsigned int i;

	for (i = 0; i < mmu->root_end; i++) {
		root = dmp_root_nth(mmu, i);
		if (is_gone(mmu, root))
			drop_changed(mmu, root);
	}
}

/* In the root that @gfn hung from last, and in the one beside: see dmp_root_twin(). */
static void drop_changed_above(struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	const struct dmp_table *table, *parent;
	struct dmp_root *root;
	unsigned int i;
	u64 top;

	if (!frame->tables)
		return;
	table = dmp_table_of(mmu, frame->tables);
	while (!(table->flags & DMP_TABLE_ROOT)) {
		parent = dmp_table_of(mmu, table->parent);
		if (!parent->id || parent->level != table->level + 1u)
			return;
		table = parent;
	}
	top = table->gfn;
	for (i = 0; i < 2; i++) {
		root = root_find(mmu, top ^ i);
		if (is_gone(mmu, root))
			drop_changed(mmu, root);
	}
}

struct dmp_root *dmp_root_twin(const struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_root *other = root_find(mmu, root->gfn ^ 1);

	return other && root_table(mmu, root)->pair == other->table &&
	       root_table(mmu, other)->pair == root->table ? other : NULL;
}

static void let_go_of(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = root_table(mmu, root);

	dmp_tenant_root_left(mmu, root);
	copy_entries(root->copy, table->guest);
	dmp_table_release(mmu, table);
	table->pair = 0;
}

/*
 * @gfn is about to be written: no longer hold it for a root not loaded. Who frees one of
 * two frees both. False: it is none, or loaded, or let go of already.
 */
static bool let_go(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_table *table = dmp_table_find(mmu, gfn, mmu->paging.levels);
	struct dmp_root *root, *other;

	if (!table || !(table->flags & DMP_TABLE_HELD))
		return false;
	root = dmp_root_of(mmu, table);
	other = dmp_root_twin(mmu, root);
	if (root == mmu->loaded || (other && other == mmu->loaded))
		return false;
	if (other)
		let_go_of(mmu, other);
	let_go_of(mmu, root);
	return true;
}

/* Whether what @machine links, from a root, is what the guest's @entry says. */
static bool is_of_entry(const struct dmp_mmu *mmu, u64 machine, u64 entry)
{
	const struct dmp_table *child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));

	return entry & DMP_PTE_P && entry & DMP_PTE_A &&
	       child && child->guest && machine == dmp_translate_link(entry, child->hfn) &&
	       child->gfn == dmp_pte_gfn(entry);
}

/*
 * A device may have written the page of a root that is held, and free by now: the VMM's
 * process does, and no write protection is in its way. What the copy says then is not
 * what links were made from. They go.
 */
static void drop_unlike(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = root_table(mmu, root);
	unsigned int i;
	u64 machine;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = dmp_entries_next(table->entries, 0); i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->entries, i + 1)) {
		machine = table->entries[i];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine) ||
		    machine == dmp_tenant_absent(mmu, table, i) ||
		    is_of_entry(mmu, machine, root->copy[i]))
			continue;
		dmp_table_follow(mmu, table, i, root->copy[i], 0);
		root->copy[i] = 0;
	}
}

/* The same for the root at @gfn, and the one beside, which have been let go of. */
static void drop_unlike_both(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		root = root_find(mmu, gfn ^ i);
		if (is_gone(mmu, root))
			drop_unlike(mmu, root);
	}
}

static void hash_root(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_root **head = &mmu->root_hash[root->gfn % DMP_ROOT_HASH];

	root->next = *head;
	*head = root;
}

static void unhash_root(struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_root **link = &mmu->root_hash[root->gfn % DMP_ROOT_HASH];

	while (*link && *link != root)
		link = &(*link)->next;
	if (*link)
		*link = root->next;
}

static void evict(struct dmp_mmu *mmu, struct dmp_root *root)
{
	dmp_tenant_root_left(mmu, root);
	dmp_table_put(mmu, root_table(mmu, root));
	unhash_root(mmu, root);
	/* With the table a flush is owed. */
	dmp_tenant_page_gone(mmu, root->copy_hfn);
	dmp_page_free(mmu, root->copy_hfn);
	*root = (struct dmp_root){ 0 };
	mmu->roots--;
	mmu->stats.root_evictions++;
}

/* Where @root has an entry for user space; DMP_ENTRIES: nowhere. */
static unsigned int find_user(const struct dmp_mmu *mmu,
			      const struct dmp_root *root)
{
	unsigned int i;

	if (dmp_root_has_user(mmu, root))
		return root->user;
	i = dmp_entries_next(root_table(mmu, root)->entries, 0);
	return i < DMP_ENTRIES / 2 ? i : DMP_ENTRIES;
}

/*
 * Whether @root has lost all of user space that it had: its process has ended,
 * and its page will be freed, and written, when it is no longer loaded.
 */
static bool is_left(const struct dmp_mmu *mmu, struct dmp_root *root)
{
	unsigned int user = find_user(mmu, root);

	if (user < DMP_ENTRIES)
		root->user = (u16)user;
	return root->user < DMP_ENTRIES && user == DMP_ENTRIES;
}

void dmp_root_leave(struct dmp_mmu *mmu, struct dmp_root *root)
{
	if (is_left(mmu, root))
		let_go(mmu, root->gfn);
}

void dmp_root_followed(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index)
{
	if (index >= DMP_ENTRIES / 2)
		return;
	dmp_tenant_user_changed(mmu, table, index);
	if (!table->entries[index] && mmu->loaded && mmu->loaded->table != table->id)
		mmu->emptied = table->id;
}

/*
 * A root that is not loaded has lost an entry of user space. Once it has none left it is
 * freed, without a further write to it that would say so: as left roots are.
 */
static void settle_emptied(struct dmp_mmu *mmu)
{
	struct dmp_table *table = dmp_table_of(mmu, mmu->emptied);
	struct dmp_root *root = dmp_root_of(mmu, table), *other;

	mmu->emptied = 0;
	if (!root || find_user(mmu, root) < DMP_ENTRIES)
		return;
	other = dmp_root_twin(mmu, root);
	if (!other || find_user(mmu, other) == DMP_ENTRIES)
		let_go(mmu, root->gfn);
}

bool dmp_root_unlinks(struct dmp_mmu *mmu, u64 gpa)
{
	struct dmp_table *table = dmp_table_find(mmu, gpa >> DMP_PAGE_SHIFT,
						 mmu->paging.levels);
	unsigned int index = gpa / 8 % DMP_ENTRIES;

	return table && table->flags & DMP_TABLE_HELD && index < DMP_ENTRIES / 2 &&
	       table->entries[index] & DMP_PTE_P &&
	       !dmp_is_trap(&mmu->paging, table->entries[index]);
}

void dmp_root_written(struct dmp_mmu *mmu, const struct dmp_write *write)
{
	struct dmp_table *table = dmp_table_find(mmu, write->gfn, mmu->paging.levels);
	unsigned int i;
	u64 any = 0;

	if (!table || !(table->flags & DMP_TABLE_HELD))
		return;
	for (i = 0; i < write->count; i++)
		if (table->guest[write->first + i] != write->old[i])
			any |= table->guest[write->first + i];
	if (!(any & DMP_PTE_P) || !let_go(mmu, write->gfn))
		return;
	for (i = 0; i < write->count; i++)
		dmp_root_of(mmu, table)->copy[write->first + i] = write->old[i];
	drop_unlike_both(mmu, write->gfn);
}

/*
 * Whether entry @user, which one of them has for user space, links the same in both. By
 * the guest's entries: the machine's are alike where both are traps.
 */
static bool is_of_one(const struct dmp_mmu *mmu, const struct dmp_root *a,
		      const struct dmp_root *b, unsigned int user)
{
	return !((DMP_READ_ONCE(root_table(mmu, a)->guest[user]) ^
		  DMP_READ_ONCE(root_table(mmu, b)->guest[user])) &
		 (DMP_PTE_ADDR | DMP_PTE_P));
}

/* @root is loaded after @last. */
static void note_twin(struct dmp_mmu *mmu, struct dmp_root *last,
		      struct dmp_root *root)
{
	if (!last || (last->gfn ^ root->gfn) != 1 || root->user == DMP_ENTRIES)
		return;
	root->twin = is_of_one(mmu, last, root, root->user);
	last->twin = root->twin;
	if (!root->twin)
		return;
	root_table(mmu, last)->pair = root->table;
	root_table(mmu, root)->pair = last->table;
}

/* The least recently loaded root that is not loaded now; NULL: there is none. */
static struct dmp_root *oldest_root(struct dmp_mmu *mmu)
{
	struct dmp_root *oldest = NULL, *root;
	u32 i;

	for (i = 0; i < mmu->root_end; i++) {
		root = dmp_root_nth(mmu, i);
		if (root->table && root != mmu->loaded &&
		    (!oldest || root->stamp < oldest->stamp))
			oldest = root;
	}
	return oldest;
}

/* Behind the last one; NULL and broken without memory. */
static struct dmp_root *root_add(struct dmp_mmu *mmu)
{
	u32 c = mmu->root_end >> DMP_ROOT_CHUNK_SHIFT;
	u64 hfn;

	if (!mmu->root_chunk[c]) {
		hfn = dmp_page_alloc(mmu);
		if (!hfn)
			return NULL;
		mmu->root_chunk[c] = dmp_hfn_va(mmu, hfn);
	}
	return dmp_root_nth(mmu, mmu->root_end++);
}

/* A free place, the least recently loaded root's if need be. */
static struct dmp_root *root_place(struct dmp_mmu *mmu)
{
	u32 max = mmu->roots_max ? mmu->roots_max : DMP_ROOTS_MAX, i;
	struct dmp_root *root;

	if (mmu->roots >= max) {
		root = oldest_root(mmu);
		evict(mmu, root);
		return root;
	}
	for (i = 0; i < mmu->root_end; i++)
		if (!dmp_root_nth(mmu, i)->table)
			return dmp_root_nth(mmu, i);
	return root_add(mmu);
}

/* Of so many tables as there may be, roots that are not loaded have their share. */
static void make_room(struct dmp_mmu *mmu)
{
	u32 most = mmu->tables_max - mmu->tables_max / 4;
	struct dmp_root *root;

	if (mmu->tables > most)
		drop_changed_all(mmu);
	while (mmu->tables > most && !mmu->broken) {
		root = oldest_root(mmu);
		if (!root)
			return;
		evict(mmu, root);
	}
}

static struct dmp_root *root_build(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = root_place(mmu);
	struct dmp_table *table;

	if (mmu->broken)
		return NULL;
	root->copy_hfn = dmp_page_alloc(mmu);
	if (!root->copy_hfn)
		return NULL;
	if (!dmp_tenant_page_added(mmu, root->copy_hfn))
		return NULL;
	mmu->roots++;
	root->copy = dmp_hfn_va(mmu, root->copy_hfn);
	root->gfn = gfn;
	root->user = DMP_ENTRIES;
	mmu->stats.root_builds++;
	table = dmp_table_get(mmu, gfn, mmu->paging.levels,
			      DMP_TABLE_ROOT | DMP_TABLE_HELD);
	if (!table)
		return NULL;
	root->table = table->id;
	table->attr = root->copy_hfn;
	hash_root(mmu, root);
	return root;
}

/* A root let go of comes back: protect it, then follow what has changed. */
static void root_return(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_table *table = root_table(mmu, root);
	unsigned int i;
	u64 guest;

	dmp_table_hold(mmu, table);
	for (i = next_change(table->guest, root->copy, 0);
	     i < DMP_ENTRIES && !mmu->broken;
	     i = next_change(table->guest, root->copy, i + 1)) {
		guest = DMP_READ_ONCE(table->guest[i]);
		mmu->stats.root_syncs++;
		dmp_table_follow(mmu, table, i, root->copy[i], guest);
	}
	if (mmu->broken)
		return;
	dmp_tenant_root_changed(mmu, table);
	dmp_tenant_table_held(mmu, table);
}

/*
 * The page beside that of @root, which is loaded, was a root and was let go of. Where it
 * is one again, of the same user space, it is the other of two, and loaded next. Only
 * where they have been two before: other pages may have anything by now, what user
 * space likes, too.
 */
static void return_twin(struct dmp_mmu *mmu, struct dmp_root *root)
{
	struct dmp_root *other = root_find(mmu, root->gfn ^ 1);
	unsigned int user = root->user;

	if (!is_gone(mmu, other) || !other->twin || !root->twin ||
	    user == DMP_ENTRIES || !is_of_one(mmu, root, other, user))
		return;
	root_return(mmu, other);
	if (mmu->broken)
		return;
	other->user = (u16)find_user(mmu, other);
	other->stamp = root->stamp;
	note_twin(mmu, root, other);
}

u64 dmp_mmu_load_root(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = mmu->loaded, *last = root, *left = NULL;

	if (mmu->broken)
		return 0;
	if (root && root->gfn == gfn)
		return root_table(mmu, root)->hfn;
	if (root && is_left(mmu, root))
		left = root;

	mmu->loaded = NULL;
	mmu->trusted = true;
	root = root_find(mmu, gfn);
	if (!root)
		root = root_build(mmu, gfn);
	else if (!(root_table(mmu, root)->flags & DMP_TABLE_HELD))
		root_return(mmu, root);
	mmu->trusted = false;
	if (mmu->broken)
		return 0;
	root->lazy_d |= mmu->lazy_d;
	mmu->lazy_d = false;
	root->stamp = ++mmu->stamp;
	mmu->loaded = root;
	root->user = (u16)find_user(mmu, root);
	note_twin(mmu, last, root);
	return_twin(mmu, root);
	mmu->look = mmu->waiting;
	/* Saves the trap by which it would be let go of. */
	if (left && left->table && left != root)
		let_go(mmu, left->gfn);
	mmu->stats.root_loads++;
	dmp_mmu_settle(mmu);
	return mmu->broken ? 0 : root_table(mmu, root)->hfn;
}

u64 dmp_mmu_switch_root(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_root *root = root_find(mmu, gfn);
	const struct dmp_table *table;

	if (mmu->broken || !root)
		return 0;
	table = root_table(mmu, root);
	if (!(table->flags & DMP_TABLE_HELD))
		return 0;
	/* What dmp_mmu_settle() would have to look after. */
	if (mmu->waiting || mmu->suspects || mmu->lazy_d ||
	    (mmu->loaded && is_left(mmu, mmu->loaded)) ||
	    !dmp_tenant_may_switch(mmu, root, table))
		return 0;
	root->stamp = ++mmu->stamp;
	mmu->loaded = root;
	mmu->stats.root_loads++;
	return table->hfn;
}

/*
 * ---- Liveness ----
 */

enum life { DEAD, LIVE, LIVE_LOADED, UNKNOWN };

static bool links(const struct dmp_mmu *mmu, const struct dmp_table *parent,
		  unsigned int index, const struct dmp_table *table)
{
	u64 machine = parent->entries[index];

	return machine & DMP_PTE_P && !dmp_is_trap(&mmu->paging, machine) &&
	       dmp_pte_gfn(machine) == table->hfn;
}

/*
 * Climb from @table to the root it hangs from. All that is held is followed;
 * only a root that was let go of may have changed unseen.
 * UNKNOWN where several parents link a table and the loaded root is not
 * plainly one of them.
 */
static enum life climb(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_table *parent;
	struct dmp_root *root;
	unsigned int index = 0;

	while (!(table->flags & DMP_TABLE_ROOT)) {
		index = table->parent_index;
		if (mmu->loaded &&
		    links(mmu, root_table(mmu, mmu->loaded), index, table))
			return LIVE_LOADED;
		parent = dmp_table_of(mmu, table->parent);
		if (table->links != 1 || !parent->id ||
		    !links(mmu, parent, index, table))
			return UNKNOWN;
		table = parent;
	}
	root = dmp_root_of(mmu, table);
	if (root == mmu->loaded)
		return LIVE_LOADED;
	if (table->flags & DMP_TABLE_HELD)
		return LIVE;
	return DMP_READ_ONCE(table->guest[index]) == root->copy[index] ?
	       LIVE : DEAD;
}

static enum life frame_life(struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	enum life life, found = DEAD;
	struct dmp_table *table;
	u32 id;

	for (id = frame ? frame->tables : 0; id; id = table->next) {
		table = dmp_table_of(mmu, id);
		if (!(table->flags & DMP_TABLE_HELD))
			continue;
		life = climb(mmu, table);
		if (life == LIVE_LOADED)
			return life;
		if (found == DEAD || life == UNKNOWN)
			found = life;
	}
	return found;
}

static bool is_held(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);

	return frame && frame->held;
}

/* The life of @gfn once no table is kept that nothing links. */
static enum life settle_life(struct dmp_mmu *mmu, u64 gfn)
{
	enum life life;

	if (let_go(mmu, gfn))
		drop_unlike_both(mmu, gfn);
	if (!is_held(mmu, gfn))
		return DEAD;
	life = frame_life(mmu, gfn);
	if (life == LIVE || life == LIVE_LOADED)
		return life;
	drop_changed_above(mmu, gfn);
	if (is_held(mmu, gfn))
		drop_changed_all(mmu);
	if (is_held(mmu, gfn))
		return LIVE;
	mmu->stats.stale_found++;
	return DEAD;
}

bool dmp_mmu_is_live_table(struct dmp_mmu *mmu, u64 gfn)
{
	return settle_life(mmu, gfn) != DEAD;
}

bool dmp_table_is_loaded(struct dmp_mmu *mmu, struct dmp_table *table)
{
	return climb(mmu, table) == LIVE_LOADED;
}

/* A leaf that waits for its D may be of any root but when one is loaded. */
static void note_lazy_d(struct dmp_mmu *mmu)
{
	unsigned int i;

	for (i = 0; i < mmu->root_end; i++)
		dmp_root_nth(mmu, i)->lazy_d = true;
	mmu->lazy_d = false;
}

/*
 * ---- Supervisor entries that wait for their A and D ----
 *
 * INV: none that the loaded root reaches does, or an exception frame could be
 * pushed onto a page that faults. What is followed in a table that is not
 * surely live waits: here is found out what the loaded root does reach, when
 * another one is loaded, or a link is made. That takes long; kernels set A and
 * D in entries of their own, so it is rare.
 */

static void mark_reached(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_table *child;
	unsigned int i;
	u64 machine;

	if (table->flags & DMP_TABLE_REACHED)
		return;
	table->flags |= DMP_TABLE_REACHED;
	for (i = 0; table->level > 1 && i < DMP_ENTRIES; i++) {
		machine = table->entries[i];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine))
			continue;
		child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
		if (child)
			mark_reached(mmu, child);
	}
}

/* False: one entry still waits. */
static bool set_waiting(struct dmp_mmu *mmu, struct dmp_table *table)
{
	bool reached = table->flags & DMP_TABLE_REACHED, all = true;
	unsigned int i;
	u64 old, want;

	for (i = 0; table->guest && i < DMP_ENTRIES && !mmu->broken; i++) {
		old = DMP_READ_ONCE(table->guest[i]);
		want = dmp_ad_lacks(mmu, table, old);
		all &= !want || reached;
		if (!want || !reached)
			continue;
		if (!dmp_ad_set(&table->guest[i], old, want))
			dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		else
			dmp_frame_follow(mmu, table->gfn, i, 1, &old,
					 table->level);
	}
	return all;
}

static void settle_waiting(struct dmp_mmu *mmu)
{
	struct dmp_table *table;
	bool all = true;
	u32 id;

	/* Again, when links were made: to tables that may be waiting. */
	while (mmu->look && !mmu->broken) {
		mmu->look = false;
		for (id = 0; (table = dmp_table_next(mmu, &id));)
			table->flags &= ~DMP_TABLE_REACHED;
		mark_reached(mmu, root_table(mmu, mmu->loaded));
		all = true;
		id = 0;
		while ((table = dmp_table_next(mmu, &id)) &&
		       dmp_work(mmu, DMP_ENTRIES))
			all &= set_waiting(mmu, table);
	}
	mmu->waiting = !all;
}

/*
 * A freed frame is a table of another level by now. What it was may be kept, for
 * a root that was let go of: that is out of date as soon as this one is written,
 * and for as long as it is there the agent leaves A and D to the VMM.
 */
static void settle_mixed(struct dmp_mmu *mmu)
{
	const struct dmp_table *table;
	struct dmp_root *root;
	unsigned int i;

	mmu->mixed = false;
	drop_changed_all(mmu);
	for (i = 0; i < mmu->root_end && !mmu->broken; i++) {
		root = dmp_root_nth(mmu, i);
		if (!root->table)
			continue;
		table = root_table(mmu, root);
		if (!(table->flags & DMP_TABLE_HELD) &&
		    table->flags & DMP_TABLE_MIXED)
			evict(mmu, root);
	}
}

void dmp_mmu_settle(struct dmp_mmu *mmu)
{
	if (mmu->emptied && !mmu->broken)
		settle_emptied(mmu);
	if (mmu->mixed && !mmu->broken)
		settle_mixed(mmu);
	if (mmu->tables_max && mmu->roots > 1 && mmu->loaded)
		make_room(mmu);
	if (mmu->look && mmu->loaded && !mmu->broken)
		settle_waiting(mmu);
	/* User space's write to what stays held is to reach the VMM. */
	while (mmu->suspects && !mmu->broken)
		if (settle_life(mmu, mmu->suspect[--mmu->suspects]) != DEAD)
			mmu->lazy_d = true;
	if (mmu->lazy_d)
		note_lazy_d(mmu);
	if (!mmu->broken)
		dmp_tenant_settle(mmu);
}
