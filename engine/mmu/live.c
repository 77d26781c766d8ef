// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which tables are live: climbing from a table to the root that it hangs from.
 */
#include "mmu/live.h"
#include "mmu/record.h"

/*
 * Climb from @table to the root it hangs from. All that is held is followed;
 * only a root that was let go of may have changed unseen.
 * DMP_LIFE_UNKNOWN where several parents link a table and the loaded root is not
 * plainly one of them.
 */
static enum dmp_life climb(struct dmp_mmu *mmu, struct dmp_table *table)
{
	struct dmp_table *parent;
	struct dmp_root *root;
	unsigned int index = 0;

	while (!(table->flags & DMP_TABLE_ROOT)) {
		index = table->parent_index;
		if (mmu->loaded &&
		    dmp_table_links(mmu, dmp_loaded_top(mmu), index, table))
			return DMP_LIVE_LOADED;
		parent = dmp_table_parent(mmu, table);
		if (table->links != 1 || !parent ||
		    !dmp_table_links(mmu, parent, index, table))
			return DMP_LIFE_UNKNOWN;
		table = parent;
	}
	root = dmp_root_of(mmu, table);
	if (root == mmu->loaded)
		return DMP_LIVE_LOADED;
	if (table->flags & DMP_TABLE_HELD)
		return DMP_LIVE;
	return DMP_READ_ONCE(table->guest[index]) == root->copy[index] ?
	       DMP_LIVE : DMP_DEAD;
}

enum dmp_life dmp_frame_life(struct dmp_mmu *mmu, u64 gfn)
{
	const struct dmp_frame *frame = dmp_frame_find(mmu, gfn);
	enum dmp_life life, found = DMP_DEAD;
	struct dmp_table *table;
	u32 id;

	for (id = frame ? frame->tables : 0; id; id = table->next) {
		table = dmp_table_of(mmu, id);
		if (!(table->flags & DMP_TABLE_HELD))
			continue;
		life = climb(mmu, table);
		if (life == DMP_LIVE_LOADED)
			return life;
		if (found == DMP_DEAD || life == DMP_LIFE_UNKNOWN)
			found = life;
	}
	return found;
}

bool dmp_table_is_loaded(struct dmp_mmu *mmu, struct dmp_table *table)
{
	return climb(mmu, table) == DMP_LIVE_LOADED;
}
