// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine tables: lookup, promotion of frames to tables, and following what
 * the guest writes.
 */
#include "mmu/ad.h"
#include "mmu/tenant.h"
#include "mmu/walk.h"

_Static_assert(sizeof(struct dmp_frame) == 24,
	       "frames are counted against 1 % of guest memory");

const struct dmp_slot *dmp_slot_find(const struct dmp_mmu *mmu, u64 gfn)
{
	unsigned int i;

	for (i = 0; i < mmu->slots; i++)
		if (gfn - mmu->slot[i].base_gfn < mmu->slot[i].npages)
			return &mmu->slot[i];
	return NULL;
}

struct dmp_frame *dmp_frame_find(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, gfn);
	struct dmp_frame *frame;

	if (!slot)
		return NULL;
	frame = &slot->frames[gfn - slot->base_gfn];
	return frame->leaf ? frame : NULL;
}

bool dmp_table_may_be(const struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, gfn);

	return slot && !(slot->flags & DMP_SLOT_RO) &&
	       slot->frames[gfn - slot->base_gfn].leaf;
}

struct dmp_table *dmp_table_walk(const struct dmp_mmu *mmu, u64 gva,
				 unsigned int *index)
{
	struct dmp_walk w;

	*index = dmp_index(gva, 1);
	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva)
		if (w.level == 1)
			return w.table;
	return NULL;
}

struct dmp_table *dmp_table_find(const struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	u32 id = frame ? frame->tables : 0;

	while (id && dmp_table_of(mmu, id)->level != level)
		id = dmp_table_of(mmu, id)->next;
	return id ? dmp_table_of(mmu, id) : NULL;
}

static void frame_add_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, table->gfn);

	if (frame->tables || frame->code)
		dmp_tenant_frame_shared(mmu, frame);
	if (frame->tables) {
		table->flags |= DMP_TABLE_MIXED;
		dmp_table_of(mmu, frame->tables)->flags |= DMP_TABLE_MIXED;
		mmu->mixed = true;
	}
	table->next = frame->tables;
	frame->tables = table->id;
}

/*
 * ---- Leaves ----
 */

/* The guest entry that stands for @index of @table. */
static u64 guest_entry(const struct dmp_table *table, unsigned int index)
{
	return table->guest ? DMP_READ_ONCE(table->guest[index]) : table->attr;
}

/* The gfn that entry @index maps when the guest's entry is @guest. */
static u64 leaf_gfn(const struct dmp_table *table, unsigned int index, u64 guest)
{
	return table->guest ? dmp_pte_gfn(guest) :
			      table->gfn + index * dmp_level_pages(table->level);
}

u64 dmp_table_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		   unsigned int index, u64 guest, struct dmp_frame **frame)
{
	u64 machine;

	*frame = NULL;
	if (!(guest & DMP_PTE_P))
		return 0;
	if (dmp_pte_has_rsvd(&mmu->paging, guest,
			     table->guest ? table->level : 2))
		return dmp_make_trap(&mmu->paging, DMP_TRAP_RSVD);
	*frame = dmp_frame_find(mmu, leaf_gfn(table, index, guest));
	machine = dmp_translate_leaf(&mmu->paging, guest,
				     *frame ? (*frame)->leaf : 0);
	if (dmp_is_trap(&mmu->paging, machine)) {
		*frame = NULL;
		return machine;
	}
	return (*frame)->code ? dmp_tenant_leaf(mmu, table, index, machine) :
				machine;
}

/* The choke point: every machine entry changes here and nowhere else. */
static void entry_set(struct dmp_table *table, unsigned int index, u64 machine)
{
	DMP_WRITE_ONCE(table->entries[index], machine);
}

void dmp_table_overlay(struct dmp_table *table, unsigned int index, u64 machine)
{
	entry_set(table, index, machine);
}

static bool maps_writable(const struct dmp_mmu *mmu, u64 machine)
{
	return machine & DMP_PTE_P && machine & DMP_PTE_RW &&
	       !dmp_is_trap(&mmu->paging, machine);
}

/*
 * A level-1 entry changes from mapping @old_frame to mapping @frame. When it
 * does not map @old_frame, the guest's table was changed unseen.
 */
static void leaf_set(struct dmp_mmu *mmu, struct dmp_table *table,
		     unsigned int index, u64 machine,
		     struct dmp_frame *old_frame, struct dmp_frame *frame)
{
	u64 was = table->entries[index];

	if (was & DMP_PTE_P && !dmp_is_trap(&mmu->paging, was) &&
	    (!old_frame || (dmp_frame_hfn(old_frame) != dmp_pte_gfn(was) &&
			    !dmp_tenant_is_copy(mmu, old_frame, was)))) {
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		return;
	}
	if (maps_writable(mmu, was))
		old_frame->writable--;
	if (maps_writable(mmu, machine))
		frame->writable++;
	entry_set(table, index, machine);
}

/* Translate a level-1 entry again; the guest's entry has not changed. */
void dmp_table_refresh_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
			    unsigned int index)
{
	struct dmp_frame *frame;
	u64 guest = guest_entry(table, index);
	u64 machine = dmp_table_leaf(mmu, table, index, guest, &frame);

	leaf_set(mmu, table, index, machine,
		 dmp_frame_find(mmu, leaf_gfn(table, index, guest)), frame);
}

static bool leaf_maps(const struct dmp_mmu *mmu, const struct dmp_table *table,
		      unsigned int index, const struct dmp_frame *frame)
{
	u64 machine = table->entries[index];

	return machine & DMP_PTE_P &&
	       dmp_pte_gfn(machine) == dmp_frame_hfn(frame) &&
	       !dmp_is_trap(&mmu->paging, machine);
}

/*
 * A guest may map part of its memory twice for good (Linux: what its image
 * leaves when the initial parts are freed). Both mappings come from tables
 * that are alike, index for index: remember such pairs of tables, or each
 * promotion there would take a search. The pair of the dmap leaf's table,
 * when it does map @frame; else NULL.
 */
struct dmp_table *dmp_table_pair(const struct dmp_mmu *mmu,
				 const struct dmp_frame *frame)
{
	struct dmp_table *pair;
	u32 id;

	if (!frame->dmap_table)
		return NULL;
	id = dmp_table_of(mmu, frame->dmap_table)->pair;
	pair = id ? dmp_table_of(mmu, id) : NULL;
	if (!pair || pair->id != id || pair->level != 1 ||
	    !leaf_maps(mmu, pair, frame->dmap_index, frame))
		return NULL;
	return pair;
}

static void note_pair(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
		      const struct dmp_table *table, unsigned int index)
{
	if (frame->dmap_table && frame->dmap_table != table->id &&
	    frame->dmap_index == index && !dmp_table_pair(mmu, frame))
		dmp_table_of(mmu, frame->dmap_table)->pair = table->id;
}

/*
 * @gfn is held, and user space may write it: a page table no more, as a rule, and
 * is looked at when the call ends. Where there are too many the filter is to ask
 * about each write of user space's to a page that is present.
 */
static void note_suspect(struct dmp_mmu *mmu, u64 gfn)
{
	u32 i;

	for (i = 0; i < mmu->suspects; i++)
		if (mmu->suspect[i] == gfn)
			return;
	if (i < DMP_SUSPECTS)
		mmu->suspect[mmu->suspects++] = gfn;
	else
		mmu->lazy_d = true;
}

/*
 * Refresh every leaf that maps @frame, wherever it is. Of a frame that has lost
 * its direct mapping and is mapped by the kernel still, that mapping becomes it:
 * or each promotion would search.
 */
static void refresh_aliases(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	struct dmp_table *table;
	unsigned int index;
	u64 guest;
	u32 id = 0;

	mmu->stats.alias_searches++;
	/* What is no leaf's table is passed over; but there may be many. */
	if (!dmp_work(mmu, DMP_ENTRIES))
		return;
	while ((table = dmp_table_next(mmu, &id))) {
		if (table->level != 1)
			continue;
		if (!dmp_work(mmu, DMP_ENTRIES))
			return;
		for (index = 0; index < DMP_ENTRIES; index++) {
			if (!leaf_maps(mmu, table, index, frame))
				continue;
			dmp_table_refresh_leaf(mmu, table, index);
			guest = guest_entry(table, index);
			if (!frame->dmap_table && guest & DMP_PTE_RW &&
			    !(guest & DMP_PTE_US)) {
				frame->dmap_table = table->id;
				frame->dmap_index = index;
			}
			note_pair(mmu, frame, table, index);
			if (frame->held && guest & DMP_PTE_US)
				note_suspect(mmu, leaf_gfn(table, index, guest));
		}
	}
}

static bool is_dmap(const struct dmp_frame *frame,
		    const struct dmp_table *table, unsigned int index)
{
	return frame->dmap_table == table->id && frame->dmap_index == index;
}

/*
 * Note a leaf that is or would be writable. The first supervisor one is taken
 * for the frame's direct mapping; one of the same index replaces it, since
 * that is what a split or joined large page looks like while both are there.
 * Any other one that is read-only because the frame is held has to be found
 * again when it no longer is; and when it is user space that is about to
 * write there, the frame may not be a table any more.
 */
static void note_mapping(struct dmp_mmu *mmu, struct dmp_table *table,
			 unsigned int index, u64 guest, struct dmp_frame *frame)
{
	if (!(guest & DMP_PTE_RW))
		return;
	if (!(guest & DMP_PTE_US) &&
	    (!frame->dmap_table || frame->dmap_index == index)) {
		if (frame->dmap_table && frame->dmap_table != table->id) {
			/* Both may be there to stay: see dmp_table_pair(). */
			if (!table->pair)
				table->pair = frame->dmap_table;
			frame->aliased |= !!frame->held;
		}
		frame->dmap_table = table->id;
		frame->dmap_index = index;
	} else if (frame->held && !is_dmap(frame, table, index)) {
		frame->aliased = 1;
		if (guest & DMP_PTE_US)
			note_suspect(mmu, leaf_gfn(table, index, guest));
	}
}

/* Whether the machine's leaf is read-only for nothing but D of the guest's. */
static bool is_lazy_d(u64 guest)
{
	const u64 writable = DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_A;

	return (guest & (writable | DMP_PTE_D)) == writable;
}

static void follow_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
			unsigned int index, u64 old, u64 new)
{
	struct dmp_frame *old_frame = NULL, *frame;
	u64 machine;

	if (old & DMP_PTE_P) {
		old_frame = dmp_frame_find(mmu, leaf_gfn(table, index, old));
		if (old_frame && is_dmap(old_frame, table, index))
			old_frame->dmap_table = 0;
		if (old_frame && old_frame->held && table->flags & DMP_TABLE_PATH)
			dmp_tenant_path_left(mmu, old_frame);
	}
	machine = dmp_table_leaf(mmu, table, index, new, &frame);
	if (frame)
		note_mapping(mmu, table, index, new, frame);
	mmu->lazy_d |= is_lazy_d(new);
	leaf_set(mmu, table, index, machine, old_frame, frame);
	if (old_frame && old_frame->lidt && dmp_pte_is_code(old))
		dmp_tenant_watched_gone(mmu, leaf_gfn(table, index, old));
	if (dmp_pte_is_code(new))
		dmp_tenant_code_came(mmu);
	if (old_frame && old_frame->code && frame != old_frame)
		dmp_tenant_code_gone(mmu, table, index);
}

/*
 * As follow_leaf(), of an entry that was none, to @machine, which maps @frame; but for
 * code, which the caller has to tell of. Inline: when it was called, engaging took half
 * as long again.
 */
static inline void leaf_make(struct dmp_mmu *mmu, struct dmp_table *table,
			     unsigned int index, u64 guest, u64 machine,
			     struct dmp_frame *frame)
{
	note_mapping(mmu, table, index, guest, frame);
	frame->writable += !!(machine & DMP_PTE_RW);
	entry_set(table, index, machine);
}

/*
 * ---- New tables ----
 */

/*
 * Fill a new level-1 table for its large leaf: what following each entry does,
 * in a tenth of the instructions. Most of engaging is this.
 */
static void split_fill(struct dmp_mmu *mmu, struct dmp_table *table)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, table->gfn);
	struct dmp_frame *frame;
	unsigned int i;
	u64 most, least;

	if (!slot || table->gfn + DMP_ENTRIES > slot->base_gfn + slot->npages) {
		for (i = 0; i < DMP_ENTRIES && !mmu->broken; i++)
			dmp_table_follow(mmu, table, i, 0, table->attr);
		return;
	}
	/* Such a leaf has A: the two are all that depends on it. */
	mmu->lazy_d |= is_lazy_d(table->attr);
	if (dmp_pte_is_code(table->attr))
		dmp_tenant_code_came(mmu);
	most = dmp_translate_leaf(&mmu->paging, table->attr, ~0ull);
	least = dmp_translate_leaf(&mmu->paging, table->attr, DMP_PTE_P);
	frame = &slot->frames[table->gfn - slot->base_gfn];
	for (i = 0; i < DMP_ENTRIES; i++, frame++) {
		if (!frame->leaf) {
			dmp_table_follow(mmu, table, i, 0, table->attr);
			continue;
		}
		leaf_make(mmu, table, i, table->attr,
			  (frame->leaf & most) | least, frame);
	}
}

/* A user leaf of RAM that waits for its A, as all of a process just forked. */
static bool is_plainly_lazy(const struct dmp_frame *frame, u64 guest, u64 rsvd)
{
	return frame->leaf && (guest & (DMP_PTE_P | DMP_PTE_US | DMP_PTE_A |
					rsvd)) == (DMP_PTE_P | DMP_PTE_US);
}

/*
 * Fill a new level-1 table from the guest's. Most entries of most tables map
 * plain memory of one slot: for them what following each does, in a quarter
 * of the instructions.
 */
static void leaves_fill(struct dmp_mmu *mmu, struct dmp_table *table)
{
	u64 guest, gfn, machine, rsvd = dmp_pte_rsvd_page(&mmu->paging);
	u64 lazy = dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
	const struct dmp_slot *slot = NULL;
	struct dmp_frame *frame;
	unsigned int i;

	for (i = 0; !mmu->broken; i++) {
		i = dmp_entries_next(table->guest, i);
		if (i == DMP_ENTRIES)
			break;
		guest = DMP_READ_ONCE(table->guest[i]);
		gfn = dmp_pte_gfn(guest);
		if (!slot || gfn - slot->base_gfn >= slot->npages)
			slot = dmp_slot_find(mmu, gfn);
		frame = slot ? &slot->frames[gfn - slot->base_gfn] : NULL;
		if (frame && is_plainly_lazy(frame, guest, rsvd)) {
			entry_set(table, i, lazy);
			continue;
		}
		if (!frame || !frame->leaf || guest & rsvd ||
		    !(guest & DMP_PTE_P) || !(guest & DMP_PTE_A) ||
		    dmp_pte_wants_ad(guest, true)) {
			dmp_table_follow(mmu, table, i, 0, guest);
			continue;
		}
		mmu->lazy_d |= is_lazy_d(guest);
		if (dmp_pte_is_code(guest))
			dmp_tenant_code_came(mmu);
		machine = dmp_translate_leaf(&mmu->paging, guest, frame->leaf);
		leaf_make(mmu, table, i, guest, machine, frame);
	}
}

/*
 * ---- Links ----
 */

/* A machine table for the large guest leaf @guest at @index of @parent. */
static struct dmp_table *split_make(struct dmp_mmu *mmu,
				    struct dmp_table *parent,
				    unsigned int index, u64 guest)
{
	struct dmp_table *table;
	unsigned int i;

	table = dmp_table_alloc(mmu, parent->level - 1, DMP_TABLE_SPLIT);
	if (!table)
		return NULL;
	table->gfn = leaf_gfn(parent, index, guest) &
		     ~(dmp_level_pages(parent->level) - 1);
	table->attr = guest;
	table->links = 1;
	mmu->stats.splits++;
	dmp_tenant_split_made(mmu, table);
	if (table->level == 1)
		split_fill(mmu, table);
	for (i = 0; table->level > 1 && i < DMP_ENTRIES && !mmu->broken; i++)
		dmp_table_follow(mmu, table, i, 0, guest);
	return table;
}

/* Whether the entry is a supervisor's and weaker than its translation. */
static bool is_weak(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index)
{
	u64 guest = DMP_READ_ONCE(table->guest[index]);
	struct dmp_frame *frame;

	if (!(guest & DMP_PTE_P) || guest & DMP_PTE_US)
		return false;
	if (table->level == 1)
		return table->entries[index] !=
		       dmp_table_leaf(mmu, table, index, guest, &frame);
	return guest & DMP_PTE_A && table->entries[index] ==
	       dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
}

/*
 * No table of another level is on @table's frame any more. It is as others are,
 * when what was set in its entries for that one has been followed.
 */
static void unmix(struct dmp_mmu *mmu, struct dmp_table *table)
{
	unsigned int i;

	if (!(table->flags & DMP_TABLE_HELD))
		return;
	for (i = 0; i < DMP_ENTRIES; i++)
		if (is_weak(mmu, table, i))
			return;
	table->flags &= ~DMP_TABLE_MIXED;
}

static void frame_del_table(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, table->gfn);
	u32 *at = &frame->tables;

	while (*at != table->id)
		at = &dmp_table_of(mmu, *at)->next;
	*at = table->next;
	if (frame->tables && !dmp_table_of(mmu, frame->tables)->next)
		unmix(mmu, dmp_table_of(mmu, frame->tables));
}

static void table_destroy(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_root *root = table->flags & DMP_TABLE_ROOT &&
				!(table->flags & DMP_TABLE_HELD) ?
				dmp_root_of(mmu, table) : NULL;
	unsigned int i;

	dmp_work(mmu, DMP_ENTRIES);
	for (i = dmp_entries_next(table->entries, 0); i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->entries, i + 1))
		dmp_table_follow(mmu, table, i, root ? root->copy[i] :
				 guest_entry(table, i), 0);
	if (mmu->broken)
		return;
	if (table->flags & DMP_TABLE_HELD)
		dmp_table_release(mmu, table);
	if (table->guest) {
		frame_del_table(mmu, table);
		mmu->stats.demotions++;
	}
	dmp_table_free(mmu, table);
}

void dmp_table_put(struct dmp_mmu *mmu, struct dmp_table *table)
{
	if (!table->links) {
		dmp_break(mmu, DMP_BROKEN_COUNT);
		return;
	}
	if (--table->links == 0)
		table_destroy(mmu, table);
}

/* The machine entry that links what the guest's entry @new points to. */
static u64 link_get(struct dmp_mmu *mmu, struct dmp_table *table,
		    unsigned int index, u64 new)
{
	struct dmp_table *child;

	if (!(new & DMP_PTE_P))
		return dmp_tenant_absent(mmu, table, index);
	if (dmp_pte_has_rsvd(&mmu->paging, new,
			     table->guest ? table->level : 3))
		return dmp_make_trap(&mmu->paging, DMP_TRAP_RSVD);
	if (!(new & DMP_PTE_A))
		return dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
	if (!table->guest || dmp_pte_is_leaf(new, table->level)) {
		child = split_make(mmu, table, index, new);
	} else {
		if (!dmp_table_may_be(mmu, dmp_pte_gfn(new)))
			return dmp_make_trap(&mmu->paging, DMP_TRAP_NO_RAM);
		child = dmp_table_get(mmu, dmp_pte_gfn(new), table->level - 1,
				      DMP_TABLE_HELD);
	}
	if (!child)
		return 0;
	if (child->links > 1 && child->parent_index != index) {
		child->flags |= DMP_TABLE_TWICE;
		/* A splice's displacement holds at one address only. */
		if (child->flags & DMP_TABLE_CODE)
			dmp_break(mmu, DMP_BROKEN_CODE);
	}
	mmu->look |= mmu->waiting;
	child->parent = table->id;
	child->parent_index = index;
	return dmp_translate_link(new, child->hfn);
}

static void follow_link(struct dmp_mmu *mmu, struct dmp_table *table,
			unsigned int index, u64 new)
{
	u64 was = table->entries[index];
	u64 machine = link_get(mmu, table, index, new);
	struct dmp_table *child;

	if (mmu->broken)
		return;
	/* Linked before unlinked: what both link is not made anew. */
	entry_set(table, index, machine);
	if (table->flags & DMP_TABLE_ROOT)
		dmp_root_followed(mmu, table, index);
	if (!(was & DMP_PTE_P) || dmp_is_trap(&mmu->paging, was))
		return;
	if (was == dmp_tenant_absent(mmu, table, index)) {
		if (machine != was)
			dmp_tenant_overlaid(mmu);
		return;
	}
	if (table->flags & DMP_TABLE_PATH && machine != was)
		dmp_tenant_path_changed(mmu, table, index);
	child = dmp_table_by_hfn(mmu, dmp_pte_gfn(was));
	if (child)
		dmp_table_put(mmu, child);
	else
		dmp_break(mmu, DMP_BROKEN_COUNT);
}

/*
 * Set the A and D that supervisor entries have set at once. Only in tables
 * that the loaded root reaches: others may be memory that the guest has
 * freed and uses for data by now, where no bit may be touched.
 */
static u64 set_supervisor_ad(struct dmp_mmu *mmu, struct dmp_table *table,
			     unsigned int index, u64 guest)
{
	u64 want;

	want = dmp_ad_lacks(mmu, table, guest);
	mmu->waiting |= want && !mmu->trusted;
	mmu->look |= want && !mmu->trusted;
	if (!want || !mmu->trusted)
		return guest;
	if (!dmp_ad_set(&table->guest[index], guest, want))
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
	return guest | want;
}

void dmp_table_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		      unsigned int index, u64 old, u64 new)
{
	mmu->stats.entries_followed++;
	new = set_supervisor_ad(mmu, table, index, new);
	if (mmu->broken)
		return;
	if (table->level == 1)
		follow_leaf(mmu, table, index, old, new);
	else
		follow_link(mmu, table, index, new);
}

/*
 * Level by level, lower levels first: following at a higher level may take
 * tables of this very frame away (a self-map), and what it takes must match
 * the guest's memory, which has changed already. Each level reads the entries
 * again, since the one before may have set A and D in them.
 *
 * What is trusted is a matter of each level: a frame that is a live table at
 * one may still be a dead one at another.
 */
void dmp_frame_follow(struct dmp_mmu *mmu, u64 gfn, unsigned int first,
		      unsigned int count, const u64 *old, unsigned int walked)
{
	struct dmp_table *table;
	unsigned int level, i;
	u64 new;

	for (level = 1; level <= mmu->paging.levels; level++) {
		table = dmp_table_find(mmu, gfn, level);
		if (!table || !(table->flags & DMP_TABLE_HELD))
			continue;
		mmu->trusted = level == walked ||
			       dmp_table_is_loaded(mmu, table);
		for (i = 0; i < count && !mmu->broken; i++) {
			new = DMP_READ_ONCE(table->guest[first + i]);
			if (new != old[i])
				dmp_table_follow(mmu, table, first + i, old[i],
						 new);
		}
		mmu->trusted = false;
	}
}

/*
 * ---- Promotion ----
 *
 * In this order: take away every writable mapping of the frame, flush the
 * TLBs, then read the new table, then (the caller) publish the entry that
 * links it. Otherwise a write could land between the reading and the
 * protecting, and the machine table would miss it for good.
 */

static void protect_frame(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	struct dmp_table *pair;

	frame->leaf &= ~DMP_PTE_RW;
	if (frame->writable && frame->dmap_table)
		dmp_table_refresh_leaf(mmu, dmp_table_of(mmu, frame->dmap_table),
				       frame->dmap_index);
	pair = frame->writable ? dmp_table_pair(mmu, frame) : NULL;
	if (pair) {
		frame->paired = 1;
		dmp_table_refresh_leaf(mmu, pair, frame->dmap_index);
	}
	if (frame->writable) {
		frame->aliased = 1;
		refresh_aliases(mmu, frame);
	}
	if (frame->writable)
		dmp_break(mmu, DMP_BROKEN_ALIAS);
	dmp_flush(mmu);
}

/* No flush: mappings only become stronger. */
static void unprotect_frame(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	struct dmp_table *pair = frame->paired ? dmp_table_pair(mmu, frame) : NULL;

	frame->leaf |= DMP_PTE_RW;
	if (frame->aliased || (frame->paired && !pair)) {
		refresh_aliases(mmu, frame);
	} else {
		if (frame->dmap_table)
			dmp_table_refresh_leaf(mmu, dmp_table_of(mmu, frame->dmap_table),
					       frame->dmap_index);
		if (pair)
			dmp_table_refresh_leaf(mmu, pair, frame->dmap_index);
	}
	frame->aliased = 0;
	frame->paired = 0;
}

void dmp_frame_hold(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	if (frame->held == DMP_HELD_MAX)
		dmp_break(mmu, DMP_BROKEN_COUNT);
	else if (frame->held++ == 0)
		protect_frame(mmu, frame);
}

void dmp_frame_release(struct dmp_mmu *mmu, struct dmp_frame *frame)
{
	if (--frame->held == 0)
		unprotect_frame(mmu, frame);
}

void dmp_table_hold(struct dmp_mmu *mmu, struct dmp_table *table)
{
	table->flags |= DMP_TABLE_HELD;
	dmp_frame_hold(mmu, dmp_frame_find(mmu, table->gfn));
}

void dmp_table_release(struct dmp_mmu *mmu, struct dmp_table *table)
{
	dmp_tenant_table_released(mmu, table);
	table->flags &= ~DMP_TABLE_HELD;
	dmp_frame_release(mmu, dmp_frame_find(mmu, table->gfn));
}

static struct dmp_table *promote(struct dmp_mmu *mmu, u64 gfn,
				 unsigned int level, u32 flags)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	struct dmp_table *table;
	unsigned int i;

	if (!dmp_table_may_be(mmu, gfn)) {
		dmp_break(mmu, DMP_BROKEN_TABLE_NOT_RAM);
		return NULL;
	}
	table = dmp_table_alloc(mmu, level, flags & DMP_TABLE_ROOT);
	if (!table)
		return NULL;
	table->gfn = gfn;
	table->guest = dmp_hfn_va(mmu, dmp_frame_hfn(frame));
	frame_add_table(mmu, table);
	mmu->stats.promotions++;
	if (flags & DMP_TABLE_HELD)
		dmp_table_hold(mmu, table);
	if (level == 1)
		leaves_fill(mmu, table);
	for (i = level > 1 ? dmp_entries_next(table->guest, 0) : DMP_ENTRIES;
	     i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->guest, i + 1))
		dmp_table_follow(mmu, table, i, 0, DMP_READ_ONCE(table->guest[i]));
	if (flags & DMP_TABLE_HELD && !mmu->broken)
		dmp_tenant_table_held(mmu, table);
	return table;
}

struct dmp_table *dmp_table_get(struct dmp_mmu *mmu, u64 gfn,
				unsigned int level, u32 flags)
{
	struct dmp_table *table = dmp_table_find(mmu, gfn, level);

	if (!table)
		table = promote(mmu, gfn, level, flags);
	if (!table || mmu->broken)
		return NULL;
	table->links++;
	return table;
}
