// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user mode may not read; see hidden.h.
 */
#include "mmu/record.h"
#include "mmu/scan.h"
#include "splicer/hidden.h"
#include "splicer/space.h"

bool dmp_hidden_has(const struct dmp_mmu *mmu, unsigned int index)
{
	const struct dmp_splicer *splicer = mmu->splicer;

	return dmp_top_gva(mmu->paging.levels, index) - splicer->private_gva <
	       splicer->private_bytes;
}

bool dmp_space_hides(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	return mmu->splicer->guarded && table->flags & DMP_TABLE_USER;
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

bool dmp_space_knows(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	return table->flags & DMP_TABLE_USER || !has_user_code(mmu, table);
}

static void hide_private(struct dmp_mmu *mmu, struct dmp_table *table)
{
	const u64 *tree = dmp_space_top(mmu);
	unsigned int i;

	for (i = DMP_ENTRIES / 2; tree && i < DMP_ENTRIES; i++)
		if (dmp_hidden_has(mmu, i) && tree[i] && table->entries[i] == tree[i])
			dmp_entry_set(table, i, 0);
	dmp_flush(mmu);
}

void dmp_space_look(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_root *root;

	if (!mmu->splicer->guarded ||
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

/* What is kept of a root that was let go of is not its guest's table any more. */
void dmp_hidden_start(struct dmp_mmu *mmu)
{
	struct dmp_root *root;
	struct dmp_table *table;
	u32 i;

	dmp_for_each_root(root, i, mmu) {
		table = dmp_root_table(mmu, root);
		if (table->flags & DMP_TABLE_HELD)
			dmp_space_look(mmu, table);
	}
}
