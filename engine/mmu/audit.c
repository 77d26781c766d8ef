// SPDX-License-Identifier: GPL-2.0-only
/*
 * The audit: every machine entry against the guest's, every count against
 * what it counts.
 *
 * Counts are checked without memory of their own: each thing counted takes one
 * from its count, all counts must then be zero, and each puts its one back.
 */
#include "mmu/leaf.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/tenant.h"

static bool found(struct dmp_mmu *mmu, const char *what,
		  const struct dmp_table *table, unsigned int index, u64 guest)
{
	mmu->finding = (struct dmp_finding){
		.what = what,
		.gfn = table->gfn,
		.guest = guest,
		.machine = table->entries[index],
		.index = index,
		.level = table->level,
	};
	return false;
}

static bool found_frame(struct dmp_mmu *mmu, const char *what, u64 gfn)
{
	mmu->finding = (struct dmp_finding){ .what = what, .gfn = gfn };
	return false;
}

/*
 * The guest entry that machine entry @index of @table was made from, as far
 * as the engine may know it.
 */
static u64 source_entry(struct dmp_mmu *mmu, const struct dmp_table *table,
			unsigned int index)
{
	if (!table->guest)
		return table->attr;
	if (table->flags & DMP_TABLE_HELD)
		return table->guest[index];
	return dmp_root_of(mmu, table)->copy[index];
}

static u64 source_gfn(const struct dmp_table *table, unsigned int index, u64 guest)
{
	return table->guest ? dmp_pte_gfn(guest) : table->gfn + index;
}

static bool is_mapping(const struct dmp_mmu *mmu, u64 machine)
{
	return machine & DMP_PTE_P && !dmp_is_trap(&mmu->paging, machine);
}

/*
 * Whether @table's entry @guest may be weaker than it could be, until the next
 * fault: the VMM's own page walks set A and D in user entries. So does, in
 * supervisor entries, the same frame as a table of another level.
 */
static bool may_be_lazy(const struct dmp_table *table, u64 guest)
{
	return guest & DMP_PTE_US || table->flags & DMP_TABLE_MIXED;
}

static bool is_lazy(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    u64 machine, u64 want, u64 guest)
{
	if (!may_be_lazy(table, guest))
		return false;
	return machine == dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY) ||
	       machine == (want & ~DMP_PTE_RW);
}

static bool check_leaf(struct dmp_mmu *mmu, struct dmp_table *table,
		       unsigned int index)
{
	u64 guest = source_entry(mmu, table, index);
	u64 machine = table->entries[index];
	struct dmp_frame *frame;
	u64 want = dmp_table_leaf(mmu, table, index, guest, &frame);

	if (is_mapping(mmu, machine)) {
		frame = dmp_frame_find(mmu, source_gfn(table, index, guest));
		if (!frame || (dmp_frame_hfn(frame) != dmp_pte_gfn(machine) &&
			       !dmp_tenant_is_copy(mmu, frame, machine)))
			return found(mmu, "leaf maps another frame", table,
				     index, guest);
		if (machine & DMP_PTE_RW && frame->held)
			return found(mmu, "table mapped writable", table,
				     index, guest);
	}
	if (machine != want && !is_lazy(mmu, table, machine, want, guest))
		return found(mmu, "leaf differs from its translation", table,
			     index, guest);
	return true;
}

static bool check_child(struct dmp_mmu *mmu, const struct dmp_table *table,
			unsigned int index, u64 guest)
{
	const u64 ad = DMP_PTE_A | DMP_PTE_D;
	u64 machine = table->entries[index];
	struct dmp_table *child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));

	if (!child || child->flags & DMP_TABLE_POOL ||
	    child->level != table->level - 1)
		return found(mmu, "link to no table", table, index, guest);
	if (machine != dmp_translate_link(guest, child->hfn))
		return found(mmu, "link differs from its translation", table,
			     index, guest);
	if (child->parent_index != index && !(child->flags & DMP_TABLE_TWICE))
		return found(mmu, "second index of a link not noted", table,
			     index, guest);
	if (table->guest && !dmp_pte_is_leaf(guest, table->level))
		return child->guest && child->gfn == dmp_pte_gfn(guest) ? true :
		       found(mmu, "link to another table", table, index, guest);
	if (child->guest || (child->attr | ad) != (guest | ad) ||
	    child->gfn != ((source_gfn(table, index * dmp_level_pages(table->level), guest)) &
			   ~(dmp_level_pages(table->level) - 1)))
		return found(mmu, "large leaf split wrongly", table, index, guest);
	return true;
}

static bool is_overlay(const struct dmp_mmu *mmu, const struct dmp_table *table,
		       unsigned int index)
{
	u64 machine = table->entries[index];

	return machine && machine == dmp_tenant_absent(mmu, table, index);
}

static bool check_link(struct dmp_mmu *mmu, struct dmp_table *table,
		       unsigned int index)
{
	u64 guest = source_entry(mmu, table, index);
	u64 machine = table->entries[index];
	enum dmp_trap why;

	if (is_overlay(mmu, table, index))
		return !(guest & DMP_PTE_P) ? true :
		       found(mmu, "implant over the guest's own", table, index,
			     guest);
	if (is_mapping(mmu, machine)) {
		if (guest & DMP_PTE_P && guest & DMP_PTE_A)
			return check_child(mmu, table, index, guest);
		return found(mmu, "link where the guest has none", table, index,
			     guest);
	}
	/* A root that is not held drops what it may; see root.c. */
	if (!machine && !(table->flags & DMP_TABLE_HELD) && table->guest)
		return true;
	if (!(guest & DMP_PTE_P))
		return !machine ? true :
		       found(mmu, "trap where the guest has nothing", table,
			     index, guest);
	if (!machine)
		return found(mmu, "link missing", table, index, guest);
	why = dmp_trap_why(machine);
	if (why == DMP_TRAP_NO_RAM)
		return !dmp_pte_is_leaf(guest, table->level) &&
		       !dmp_table_may_be(mmu, dmp_pte_gfn(guest)) ? true :
		       found(mmu, "a table taken for none", table, index, guest);
	if (dmp_pte_has_rsvd(&mmu->paging, guest, table->level) ?
	    why != DMP_TRAP_RSVD : why != DMP_TRAP_LAZY)
		return found(mmu, "wrong trap", table, index, guest);
	if (why == DMP_TRAP_LAZY && guest & DMP_PTE_A && !may_be_lazy(table, guest))
		return found(mmu, "supervisor entry lazy", table, index, guest);
	return true;
}

static bool check_entries(struct dmp_mmu *mmu)
{
	struct dmp_table *table;
	unsigned int i;
	u32 id = 0;

	while ((table = dmp_table_next(mmu, &id))) {
		if (!table->links)
			return found(mmu, "table that nothing links", table, 0, 0);
		if (table->flags & DMP_TABLE_ROOT && !dmp_root_of(mmu, table))
			return found(mmu, "root that is forgotten", table, 0, 0);
		for (i = 0; i < DMP_ENTRIES; i++)
			if (table->level == 1 ? !check_leaf(mmu, table, i) :
						!check_link(mmu, table, i))
				return false;
	}
	return true;
}

/* Add @sign for all that is counted: -1 takes it away, +1 puts it back. */
static void add_counts(struct dmp_mmu *mmu, int sign)
{
	struct dmp_table *table, *child;
	struct dmp_frame *frame;
	u64 machine, guest;
	unsigned int i;
	u32 id = 0;

	while ((table = dmp_table_next(mmu, &id))) {
		if (table->flags & DMP_TABLE_ROOT)
			table->links += sign;
		if (table->flags & DMP_TABLE_HELD)
			dmp_frame_find(mmu, table->gfn)->held += sign;
		for (i = 0; i < DMP_ENTRIES; i++) {
			machine = table->entries[i];
			if (!is_mapping(mmu, machine) ||
			    (table->level > 1 && is_overlay(mmu, table, i)))
				continue;
			if (table->level > 1) {
				child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
				child->links += sign;
			} else if (machine & DMP_PTE_RW) {
				guest = source_entry(mmu, table, i);
				frame = dmp_frame_find(mmu, source_gfn(table, i, guest));
				frame->writable += sign;
			}
		}
	}
}

static bool counts_are_zero(struct dmp_mmu *mmu)
{
	const struct dmp_frame *frame;
	struct dmp_table *table;
	unsigned int s;
	u32 id = 0;
	u64 i;

	while ((table = dmp_table_next(mmu, &id)))
		if (table->links)
			return found(mmu, "links miscounted", table, 0, 0);
	for (s = 0; s < mmu->slots; s++)
		for (i = 0; i < mmu->slot[s].npages; i++) {
			frame = &mmu->slot[s].frames[i];
			if (frame->writable)
				return found_frame(mmu, "writable miscounted",
						   mmu->slot[s].base_gfn + i);
			if (frame->held != frame->code)
				return found_frame(mmu, "held miscounted",
						   mmu->slot[s].base_gfn + i);
		}
	return true;
}

/* The direct mapping noted for a frame must be one. */
static bool check_dmap(struct dmp_mmu *mmu, const struct dmp_frame *frame, u64 gfn)
{
	const struct dmp_table *table;
	u64 guest;

	if (!frame->dmap_table)
		return true;
	table = dmp_table_of(mmu, frame->dmap_table);
	if (!table->id || table->flags & DMP_TABLE_POOL || table->level != 1)
		return found_frame(mmu, "direct mapping in no table", gfn);
	guest = source_entry(mmu, table, frame->dmap_index);
	if (!(guest & DMP_PTE_P) || !(guest & DMP_PTE_RW) || guest & DMP_PTE_US ||
	    source_gfn(table, frame->dmap_index, guest) != gfn)
		return found_frame(mmu, "direct mapping is none", gfn);
	return true;
}

/* The list of a frame's tables: each is there, of its gfn, once a level. */
static bool check_frame_tables(struct dmp_mmu *mmu, const struct dmp_frame *frame,
			       u64 gfn)
{
	const struct dmp_table *table;
	unsigned int levels = 0, held = 0;
	u32 id;

	for (id = frame->tables; id; id = table->next) {
		table = dmp_table_of(mmu, id);
		if (!table->id || table->flags & DMP_TABLE_POOL ||
		    table->gfn != gfn || !table->guest ||
		    levels & 1u << table->level)
			return found_frame(mmu, "list of tables broken", gfn);
		levels |= 1u << table->level;
		held += !!(table->flags & DMP_TABLE_HELD);
	}
	return held + frame->code == frame->held ? true :
	       found_frame(mmu, "held tables miscounted", gfn);
}

/* INV: writable is what is not held; stubs and the agent ask nothing else. */
static bool check_strength(struct dmp_mmu *mmu, const struct dmp_slot *slot,
			   const struct dmp_frame *frame, u64 gfn)
{
	bool writable = !frame->held && !(slot->flags & DMP_SLOT_RO);

	return !frame->leaf || !!(frame->leaf & DMP_PTE_RW) == writable ? true :
	       found_frame(mmu, frame->held ? "held frame writable" :
					      "frame not writable", gfn);
}

static bool check_frames(struct dmp_mmu *mmu)
{
	const struct dmp_frame *frame;
	unsigned int s;
	u64 i, gfn;

	for (s = 0; s < mmu->slots; s++)
		for (i = 0; i < mmu->slot[s].npages; i++) {
			frame = &mmu->slot[s].frames[i];
			gfn = mmu->slot[s].base_gfn + i;
			if (!check_strength(mmu, &mmu->slot[s], frame, gfn) ||
			    !check_dmap(mmu, frame, gfn) ||
			    !check_frame_tables(mmu, frame, gfn))
				return false;
		}
	return true;
}

static bool is_hashed(const struct dmp_mmu *mmu, const struct dmp_root *root)
{
	const struct dmp_root *at = mmu->root_hash[root->gfn % DMP_ROOT_HASH];
	unsigned int steps = 0;

	while (at && at != root && steps++ < DMP_ROOTS_MAX)
		at = at->next;
	return at == root;
}

static bool check_roots(struct dmp_mmu *mmu)
{
	const struct dmp_table *table;
	const struct dmp_root *root;
	unsigned int i, hashed = 0;

	for (i = 0; i < DMP_ROOTS_MAX; i++) {
		if (!mmu->root_chunk[i >> DMP_ROOT_CHUNK_SHIFT])
			break;
		root = dmp_root_nth(mmu, i);
		if (!root->table)
			continue;
		if (i >= mmu->root_end)
			return found_frame(mmu, "root behind the last", root->gfn);
		table = dmp_table_of(mmu, root->table);
		if (!(table->flags & DMP_TABLE_ROOT) || table->gfn != root->gfn ||
		    !is_hashed(mmu, root) ||
		    (mmu->loaded == root && !(table->flags & DMP_TABLE_HELD)))
			return found(mmu, "root in disorder", table, 0, 0);
	}
	for (i = 0; i < DMP_ROOT_HASH; i++)
		for (root = mmu->root_hash[i]; root && hashed <= DMP_ROOTS_MAX;
		     root = root->next)
			hashed++;
	if (hashed != mmu->roots)
		return found_frame(mmu, "roots miscounted", hashed);
	return true;
}

static bool check_tenant(struct dmp_mmu *mmu)
{
	u64 gfn = 0;
	const char *what = dmp_tenant_audit(mmu, &gfn);

	return !what || found_frame(mmu, what, gfn);
}

bool dmp_mmu_audit(struct dmp_mmu *mmu)
{
	bool ok;

	if (mmu->broken)
		return false;
	ok = check_roots(mmu) && check_frames(mmu) && check_entries(mmu) &&
	     check_tenant(mmu);
	if (ok) {
		add_counts(mmu, -1);
		ok = counts_are_zero(mmu);
		add_counts(mmu, 1);
	}
	if (!ok)
		dmp_break(mmu, DMP_BROKEN_AUDIT);
	return ok;
}
