// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roots that the guest loads without an exit; see target.h.
 */
#include "mmu/drop.h"
#include "mmu/record.h"
#include "splicer/cache.h"
#include "splicer/gate.h"
#include "splicer/hidden.h"
#include "splicer/target.h"

/* Whether @target's root is what it was, and may be loaded just so. */
static bool is_ready(const struct dmp_mmu *mmu, const struct dmp_target *target)
{
	const struct dmp_root *root = target->root;
	const struct dmp_table *table;

	if (!root->table || root->gfn != target->gfn ||
	    root->version != mmu->splicer->space.version)
		return false;
	table = dmp_root_table(mmu, root);
	return table->hfn == target->hfn && table->flags & DMP_TABLE_HELD &&
	       dmp_cache_suits(mmu, table);
}

/* Nothing is left to be done before another root is loaded. */
static bool is_calm(const struct dmp_mmu *mmu)
{
	return mmu->loaded && !mmu->broken && !mmu->waiting && !mmu->owed.suspects &&
	       !mmu->owed.lazy_d && !mmu->splicer->unsettled && !mmu->splicer->space.grown;
}

static void drop(struct dmp_splicer *splicer, u32 i)
{
	splicer->target[i] = splicer->target[--splicer->targets_used];
	splicer->targets_version++;
}

static void drop_stale(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	bool calm = is_calm(mmu);
	u32 i = 0;

	while (i < splicer->targets_used) {
		if (calm && is_ready(mmu, &splicer->target[i]))
			i++;
		else
			drop(splicer, i);
	}
}

/*
 * Whether @a's place is to be taken rather than @b's. A root without user space is one
 * whose process has ended, or the kernel's own.
 */
static bool is_worse(const struct dmp_mmu *mmu, const struct dmp_root *a,
		     const struct dmp_root *b)
{
	bool user = dmp_root_has_user(mmu, a);

	return user == dmp_root_has_user(mmu, b) ? a->stamp < b->stamp : !user;
}

/*
 * A place for @root: a free one, that of a root without user space, or that of the
 * root loaded longest ago. NULL: one that has no user space itself takes no other's
 * that has: a process that ends goes by it, once.
 */
static struct dmp_target *place(struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_target *worst = &splicer->target[0];
	u32 i;

	if (splicer->targets_used < splicer->targets) {
		splicer->targets_version++;
		return &splicer->target[splicer->targets_used++];
	}
	for (i = 1; i < splicer->targets_used; i++)
		if (is_worse(mmu, splicer->target[i].root, worst->root))
			worst = &splicer->target[i];
	if (!dmp_root_has_user(mmu, root) && dmp_root_has_user(mmu, worst->root))
		return NULL;
	splicer->targets_version++;
	return worst;
}

/* The guest loads @root with @cr3. */
static void name(struct dmp_mmu *mmu, struct dmp_root *root, u64 cr3)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_target named = {
		.root = root, .gfn = root->gfn,
		.hfn = dmp_root_table(mmu, root)->hfn,
		.cr3 = cr3,
	}, *target;
	u32 i;

	if (cr3 >> DMP_PAGE_SHIFT != root->gfn || !is_ready(mmu, &named) ||
	    dmp_slot_find(mmu, named.hfn))
		return;
	for (i = 0; i < splicer->targets_used; i++)
		if (splicer->target[i].root == root)
			break;
	target = i == splicer->targets_used ? place(mmu, root) :
					      &splicer->target[i];
	if (target)
		*target = named;
}

/*
 * And its twin, if it has one, before that has been loaded: which it will be with a like
 * value. If not, what is named is not used.
 */
static void name_loaded(struct dmp_mmu *mmu)
{
	struct dmp_root *twin = dmp_root_twin(mmu, mmu->loaded);
	u64 cr3 = mmu->splicer->implant->guest_cr3;

	name(mmu, mmu->loaded, cr3);
	if (twin && dmp_gate_suits(mmu, dmp_root_table(mmu, twin)))
		name(mmu, twin, cr3 ^ 1ull << DMP_PAGE_SHIFT);
}

/*
 * Where the private region is, for roots that do not show it: the root loaded last
 * of those in the list that do.
 */
static u64 private_value(const struct dmp_mmu *mmu)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_target *best = NULL, *target;
	u32 i;

	for (i = 0; i < splicer->targets_used; i++) {
		target = &splicer->target[i];
		if (!dmp_space_hides(mmu, dmp_root_table(mmu, target->root)) &&
		    (!best || target->root->stamp > best->root->stamp))
			best = target;
	}
	return best ? dmp_target_value(best) : DMP_PRIVATE_NOWHERE;
}

/* What stubs and the filter are to know. */
static void show(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_implant *implant = splicer->implant;
	const struct dmp_table *table;
	struct dmp_cr3_target shown;
	bool lazy_d = mmu->loaded && mmu->loaded->lazy_d;
	u64 private = private_value(mmu);
	u32 i;

	/* A loaded root that is not in the list cannot be gone back to. */
	implant->here = 0;
	if (implant->private)
		implant->private = DMP_PRIVATE_NOWHERE;

	for (i = 0; i < DMP_TARGETS_MAX; i++) {
		const struct dmp_target *target = &splicer->target[i];

		shown = (struct dmp_cr3_target){ 0 };
		if (i < splicer->targets_used) {
			table = dmp_root_table(mmu, target->root);
			lazy_d |= target->root->lazy_d;
			shown.minus_cr3 = 0 - target->cr3;
			shown.machine = dmp_target_value(target);
			shown.root = implant->window +
				     (target->hfn << DMP_PAGE_SHIFT);
			shown.guest_root = implant->window +
				(u64)((char *)table->guest - mmu->va_base);
			shown.private = dmp_space_hides(mmu, table) ? private : 0;
			if (target->root == mmu->loaded) {
				implant->here = shown.machine;
				implant->private = shown.private;
			}
		}
		implant->target[i] = shown;
	}
	implant->state = (implant->state & (DMP_IMPLANT_WAITING | DMP_IMPLANT_PCIDS |
					    DMP_IMPLANT_NO_FETCH | DMP_IMPLANT_GUARDED)) |
			 (lazy_d ? DMP_IMPLANT_LAZY_ANY : 0) |
			 DMP_IMPLANT_TARGETS;
}

/* What the filter has raised since the last show(). */
static void note_raised(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;

	if (splicer->implant->state & DMP_IMPLANT_LAZY_D && splicer->filter_root)
		splicer->filter_root->lazy_d = true;
	dmp_target_raised(mmu);
}

void dmp_target_settle(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;

	if (!splicer || !splicer->targets || !splicer->active || mmu->broken)
		return;
	note_raised(mmu);
	drop_stale(mmu);
	if (is_calm(mmu))
		name_loaded(mmu);
	show(mmu);
}

void dmp_target_forget(struct dmp_mmu *mmu, const struct dmp_root *root)
{
	struct dmp_splicer *splicer = mmu->splicer;
	u32 i;

	for (i = 0; i < splicer->targets_used; i++) {
		if (splicer->target[i].root != root)
			continue;
		note_raised(mmu);
		drop(splicer, i);
		show(mmu);
	}
}

void dmp_target_raised(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	const u32 raised = DMP_IMPLANT_LAZY_D | DMP_IMPLANT_TARGETS;
	u32 i;

	if ((splicer->implant->state & raised) != raised)
		return;
	for (i = 0; i < splicer->targets_used; i++)
		splicer->target[i].root->lazy_d = true;
}

void dmp_target_follow(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	u64 cr3 = splicer->implant->guest_cr3;
	struct dmp_root *root;
	u32 i;

	for (i = 0; i < splicer->targets_used; i++)
		if (splicer->target[i].cr3 == cr3)
			break;
	if (i == splicer->targets_used) {
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		return;
	}
	root = splicer->target[i].root;
	note_raised(mmu);
	splicer->filter_root = root;
	root->stamp = ++mmu->stamp;
	mmu->loaded = root;
	mmu->stats.root_loads++;
}

/* From the last one on: letting go of one moves it into its place, and may take two. */
void dmp_target_leave(struct dmp_mmu *mmu)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	u32 i;

	for (i = splicer->targets_used; i-- > 0 && !mmu->broken;)
		if (i < splicer->targets_used)
			dmp_root_leave(mmu, splicer->target[i].root);
}

const char *dmp_target_audit(const struct dmp_mmu *mmu)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	u32 i;

	if (splicer->targets_used > splicer->targets)
		return "more CR3 targets than there may be";
	for (i = 0; i < splicer->targets_used; i++) {
		if (dmp_slot_find(mmu, splicer->target[i].hfn))
			return "CR3 target that the guest may load itself";
		if (splicer->target[i].cr3 >> DMP_PAGE_SHIFT != splicer->target[i].gfn)
			return "CR3 target of another root";
	}
	return NULL;
}
