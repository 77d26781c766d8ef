// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves: the entries of level 1, and all that a frame has to do with those that map it.
 */
#include "mmu/ad.h"
#include "mmu/leaf.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/tenant.h"

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
	*frame = dmp_frame_find(mmu, dmp_leaf_gfn(table, index, guest));
	machine = dmp_translate_leaf(&mmu->paging, guest,
				     *frame ? (*frame)->leaf : 0);
	if (dmp_is_trap(&mmu->paging, machine)) {
		*frame = NULL;
		return machine;
	}
	return (*frame)->code ? dmp_tenant_leaf(mmu, table, index, machine) :
				machine;
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
	dmp_entry_set(table, index, machine);
}

/* Translate a level-1 entry again; the guest's entry has not changed. */
void dmp_table_refresh_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
			    unsigned int index)
{
	struct dmp_frame *frame;
	u64 guest = dmp_guest_entry(table, index);
	u64 machine = dmp_table_leaf(mmu, table, index, guest, &frame);

	leaf_set(mmu, table, index, machine,
		 dmp_frame_find(mmu, dmp_leaf_gfn(table, index, guest)), frame);
}

/*
 * ---- All leaves of a frame ----
 */

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

	for (i = 0; i < mmu->owed.suspects; i++)
		if (mmu->owed.suspect[i] == gfn)
			return;
	if (i < DMP_SUSPECTS)
		mmu->owed.suspect[mmu->owed.suspects++] = gfn;
	else
		mmu->owed.lazy_d = true;
}

void dmp_leaf_refresh_all(struct dmp_mmu *mmu, struct dmp_frame *frame)
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
			guest = dmp_guest_entry(table, index);
			if (!frame->dmap_table && guest & DMP_PTE_RW &&
			    !(guest & DMP_PTE_US)) {
				frame->dmap_table = table->id;
				frame->dmap_index = index;
			}
			note_pair(mmu, frame, table, index);
			if (frame->held && guest & DMP_PTE_US)
				note_suspect(mmu, dmp_leaf_gfn(table, index, guest));
		}
	}
}

/*
 * ---- Following the guest's entries ----
 */

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
			note_suspect(mmu, dmp_leaf_gfn(table, index, guest));
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
		old_frame = dmp_frame_find(mmu, dmp_leaf_gfn(table, index, old));
		if (old_frame && is_dmap(old_frame, table, index))
			old_frame->dmap_table = 0;
		if (old_frame && old_frame->held && table->flags & DMP_TABLE_PATH)
			dmp_tenant_path_left(mmu, old_frame);
	}
	machine = dmp_table_leaf(mmu, table, index, new, &frame);
	if (frame)
		note_mapping(mmu, table, index, new, frame);
	mmu->owed.lazy_d |= is_lazy_d(new);
	leaf_set(mmu, table, index, machine, old_frame, frame);
	if (old_frame && old_frame->lidt && dmp_pte_is_code(old))
		dmp_tenant_watched_gone(mmu, dmp_leaf_gfn(table, index, old));
	if (dmp_pte_is_code(new))
		dmp_tenant_code_came(mmu);
	if (old_frame && old_frame->code && frame != old_frame)
		dmp_tenant_code_gone(mmu, table, index);
}

void dmp_leaf_follow(struct dmp_mmu *mmu, struct dmp_table *table,
		     unsigned int index, u64 old, u64 new, enum dmp_reach reach)
{
	mmu->stats.entries_followed++;
	new = dmp_ad_set_supervisor(mmu, table, index, new, reach);
	if (!mmu->broken)
		follow_leaf(mmu, table, index, old, new);
}

/*
 * ---- New tables ----
 */

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
	dmp_entry_set(table, index, machine);
}

/*
 * Fill a new level-1 table for its large leaf: what following each entry does,
 * in a tenth of the instructions. Most of engaging is this.
 */
void dmp_split_fill(struct dmp_mmu *mmu, struct dmp_table *table, enum dmp_reach reach)
{
	const struct dmp_slot *slot = dmp_slot_find(mmu, table->gfn);
	struct dmp_frame *frame;
	unsigned int i;
	u64 most, least;

	if (!slot || table->gfn + DMP_ENTRIES > slot->base_gfn + slot->npages) {
		for (i = 0; i < DMP_ENTRIES && !mmu->broken; i++)
			dmp_leaf_follow(mmu, table, i, 0, table->attr, reach);
		return;
	}
	/* Such a leaf has A: the two are all that depends on it. */
	mmu->owed.lazy_d |= is_lazy_d(table->attr);
	if (dmp_pte_is_code(table->attr))
		dmp_tenant_code_came(mmu);
	most = dmp_translate_leaf(&mmu->paging, table->attr, ~0ull);
	least = dmp_translate_leaf(&mmu->paging, table->attr, DMP_PTE_P);
	frame = &slot->frames[table->gfn - slot->base_gfn];
	for (i = 0; i < DMP_ENTRIES; i++, frame++) {
		if (!frame->leaf) {
			dmp_leaf_follow(mmu, table, i, 0, table->attr, reach);
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
void dmp_leaves_fill(struct dmp_mmu *mmu, struct dmp_table *table, enum dmp_reach reach)
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
			dmp_entry_set(table, i, lazy);
			continue;
		}
		if (!frame || !frame->leaf || guest & rsvd ||
		    !(guest & DMP_PTE_P) || !(guest & DMP_PTE_A) ||
		    dmp_pte_wants_ad(guest, true)) {
			dmp_leaf_follow(mmu, table, i, 0, guest, reach);
			continue;
		}
		mmu->owed.lazy_d |= is_lazy_d(guest);
		if (dmp_pte_is_code(guest))
			dmp_tenant_code_came(mmu);
		machine = dmp_translate_leaf(&mmu->paging, guest, frame->leaf);
		leaf_make(mmu, table, i, guest, machine, frame);
	}
}
