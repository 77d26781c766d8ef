// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults on machine tables: the guest's own, hidden ones, and those that
 * need an instruction emulated.
 */
#include "mmu/ad.h"
#include "mmu/drop.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "mmu/walk.h"

/* A walk of the guest's tables: the entries that translate one address. */
struct walk {
	u64 *entry[DMP_LEVEL_MAX + 1];	/* by level */
	u64 value[DMP_LEVEL_MAX + 1];
	u64 table_gfn[DMP_LEVEL_MAX + 1];
	unsigned int leaf;		/* level of the leaf */
	struct dmp_perm perm;
};

enum walk_end { WALK_LEAF, WALK_NOT_PRESENT, WALK_RSVD, WALK_NO_TABLE };

/* SDM vol. 3, 4.5.4; reserved bits are found before permissions count. */
static enum walk_end walk_guest(const struct dmp_mmu *mmu, u64 root_gfn,
				u64 gva, struct walk *walk)
{
	const struct dmp_paging *paging = &mmu->paging;
	unsigned int level = paging->levels;
	const struct dmp_frame *frame;
	u64 gfn = root_gfn, value;

	walk->perm = dmp_perm_all();
	for (;; level--) {
		if (!dmp_table_may_be(mmu, gfn))
			return WALK_NO_TABLE;
		frame = dmp_frame_find(mmu, gfn);
		walk->table_gfn[level] = gfn;
		walk->entry[level] = (u64 *)dmp_hfn_va(mmu, dmp_frame_hfn(frame)) +
				     dmp_index(gva, level);
		value = DMP_READ_ONCE(*walk->entry[level]);
		walk->value[level] = value;
		if (!(value & DMP_PTE_P))
			return WALK_NOT_PRESENT;
		if (dmp_pte_has_rsvd(paging, value, level))
			return WALK_RSVD;
		dmp_perm_add(&walk->perm, value);
		if (dmp_pte_is_leaf(value, level))
			break;
		gfn = dmp_pte_gfn(value);
	}
	walk->leaf = level;
	return WALK_LEAF;
}

static u64 walk_gfn(const struct walk *walk, u64 gva)
{
	u64 mask = dmp_level_pages(walk->leaf) - 1;

	return (dmp_pte_gfn(walk->value[walk->leaf]) & ~mask) |
	       (gva >> DMP_PAGE_SHIFT & mask);
}

/*
 * Set A on the way and, for a write, D in the leaf, as the hardware does; the
 * machine tables follow. Returns what was set in all; false in *@ok when the
 * guest's tables changed meanwhile.
 */
static u64 set_ad(struct dmp_mmu *mmu, struct walk *walk, u32 access, bool *ok)
{
	unsigned int level;
	u64 want, old, set = 0;

	*ok = true;
	for (level = mmu->paging.levels; level >= walk->leaf; level--) {
		old = walk->value[level];
		want = DMP_PTE_A;
		if (level == walk->leaf && access & DMP_ACCESS_WRITE)
			want |= DMP_PTE_D;
		want &= ~old;
		if (!want)
			continue;
		if (!dmp_ad_set(walk->entry[level], old, want)) {
			*ok = false;
			return set;
		}
		set |= want;
		dmp_frame_follow(mmu, walk->table_gfn[level],
				 dmp_index_of(walk->entry[level]), 1, &old,
				 level);
		walk->value[level] |= want;
	}
	return set;
}

/* What the machine tables allow at @gva: false when nothing is mapped. */
static bool machine_allows(const struct dmp_mmu *mmu, u64 gva, u32 access)
{
	struct dmp_perm perm = dmp_perm_all();
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva)
		dmp_perm_add(&perm, w.entry);
	return w.end == DMP_WALK_LEAF && dmp_perm_allows(&mmu->paging, &perm, access);
}

/*
 * Whether @gva is held back only by an A or D that the guest's entry has by
 * now: the VMM sets them when it walks for an instruction that it emulates,
 * and the machine tables learn of it here.
 */
static bool is_behind_vmm(const struct dmp_mmu *mmu, u64 gva)
{
	struct dmp_walk w;

	dmp_for_each_level(&w, mmu, dmp_loaded_top(mmu), gva)
		;
	if (w.end == DMP_WALK_TRAP)
		return dmp_trap_why(w.entry) == DMP_TRAP_LAZY;
	return w.end == DMP_WALK_LEAF && w.entry & DMP_PTE_US && !(w.entry & DMP_PTE_RW);
}

/* By the entries alone, without the tables' records: it is on the way of an exit. */
const void *dmp_mmu_at(const struct dmp_mmu *mmu, u64 gva, unsigned int count)
{
	unsigned int offset = gva % DMP_PAGE_SIZE, level;
	const u64 *entries;
	u64 machine;

	if (mmu->broken || !mmu->loaded || count > DMP_PAGE_SIZE - offset)
		return NULL;
	entries = dmp_loaded_top(mmu)->entries;
	for (level = mmu->paging.levels;; level--) {
		machine = entries[dmp_index(gva, level)];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine))
			return NULL;
		if (dmp_pte_is_leaf(machine, level))
			break;
		entries = dmp_hfn_va(mmu, dmp_pte_gfn(machine));
	}
	return level == 1 ? (char *)dmp_hfn_va(mmu, dmp_pte_gfn(machine)) + offset : NULL;
}

/* The machine entry is weaker than the guest's for no known reason. */
static void repair(struct dmp_mmu *mmu, const struct walk *walk)
{
	struct dmp_table *table;
	unsigned int level;
	u64 value;

	for (level = mmu->paging.levels; level >= walk->leaf; level--) {
		table = dmp_table_find(mmu, walk->table_gfn[level], level);
		/* Read again: a level above may have set A and D in it. */
		value = DMP_READ_ONCE(*walk->entry[level]);
		if (table)
			dmp_table_follow(mmu, table,
					 dmp_index_of(walk->entry[level]),
					 value, value, DMP_REACH_LOADED);
	}
}

static enum dmp_fault_kind guest_fault(struct dmp_mmu *mmu,
				       struct dmp_fault *fault, u32 cause)
{
	fault->error_code = dmp_error_code(&mmu->paging, fault->access, cause);
	mmu->stats.guest_faults++;
	return DMP_FAULT_GUEST;
}

/* The access is the guest's right: what, then, is in its way? */
static enum dmp_fault_kind allowed(struct dmp_mmu *mmu, struct dmp_fault *fault,
				   const struct walk *walk, u64 set)
{
	u64 gfn = walk_gfn(walk, fault->gva);
	const struct dmp_slot *slot = dmp_slot_find(mmu, gfn);
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	bool write = fault->access & DMP_ACCESS_WRITE;

	fault->gpa = gfn << DMP_PAGE_SHIFT |
		     (fault->gva & (DMP_PAGE_SIZE - 1));
	if (!frame) {
		mmu->stats.no_ram++;
		return DMP_FAULT_EMULATE;
	}
	if (write && slot->flags & DMP_SLOT_RO) {
		mmu->stats.ro_writes++;
		return DMP_FAULT_EMULATE;
	}
	if (write && frame->held &&
	    (frame->code || dmp_root_unlinks(mmu, fault->gpa) ||
	     dmp_mmu_is_live_table(mmu, gfn))) {
		mmu->stats.table_writes++;
		return DMP_FAULT_TABLE;
	}
	if (machine_allows(mmu, fault->gva, fault->access)) {
		if (set & DMP_PTE_D)
			mmu->stats.lazy_d++;
		else if (set & DMP_PTE_A)
			mmu->stats.lazy_a++;
		else
			mmu->stats.spurious++;
		return DMP_FAULT_RESOLVED;
	}
	if (is_behind_vmm(mmu, fault->gva))
		mmu->stats.lazy_vmm++;
	else
		mmu->stats.repaired++;
	repair(mmu, walk);
	if (machine_allows(mmu, fault->gva, fault->access))
		return DMP_FAULT_RESOLVED;
	dmp_break(mmu, DMP_BROKEN_STUCK);
	return DMP_FAULT_BROKEN;
}

static enum dmp_fault_kind classify(struct dmp_mmu *mmu,
				    struct dmp_fault *fault)
{
	struct walk walk;
	bool ok;
	u64 set;

	switch (walk_guest(mmu, mmu->loaded->gfn, fault->gva, &walk)) {
	case WALK_NOT_PRESENT:
		return guest_fault(mmu, fault, 0);
	case WALK_RSVD:
		return guest_fault(mmu, fault, DMP_PF_P | DMP_PF_RSVD);
	case WALK_NO_TABLE:
		dmp_break(mmu, DMP_BROKEN_TABLE_NOT_RAM);
		return DMP_FAULT_BROKEN;
	case WALK_LEAF:
		break;
	}
	if (!dmp_perm_allows(&mmu->paging, &walk.perm, fault->access))
		return guest_fault(mmu, fault, DMP_PF_P);
	set = set_ad(mmu, &walk, fault->access, &ok);
	/* Somebody else writes the guest's tables: let the CPU try again. */
	if (!ok)
		return DMP_FAULT_RESOLVED;
	return mmu->broken ? DMP_FAULT_BROKEN :
			     allowed(mmu, fault, &walk, set);
}

enum dmp_fault_kind dmp_mmu_fault(struct dmp_mmu *mmu, struct dmp_fault *fault)
{
	enum dmp_fault_kind kind;

	if (mmu->broken || !mmu->loaded)
		return DMP_FAULT_BROKEN;
	kind = classify(mmu, fault);
	dmp_mmu_settle(mmu);
	return mmu->broken ? DMP_FAULT_BROKEN : kind;
}
