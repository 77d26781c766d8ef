/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The implant's part of the guest's address space.
 *
 * One tree of page tables, the engine's own, holds everything the implant
 * maps. Machine tables link parts of it wherever the guest's own tables have
 * nothing: an *overlay*. A guest that comes to use such an address itself
 * pushes the overlay one level down, and where that cannot be the set of
 * machine tables is broken (DMP_BROKEN_ADDRESS).
 *
 * All calls as in mmu/machine.h: vCPUs outside of the guest, one lock.
 */
#ifndef DMP_SPACE_H
#define DMP_SPACE_H

#include "mmu/state.h"

/* Part of the implant's space shown in a table that is no root. */
struct dmp_overlay {
	u64 machine;
	u32 table;
	u16 index;
};

#define DMP_OVERLAYS_MAX	64

/* In struct dmp_splicer. */
struct dmp_space {
	u64 root_hfn;			/* 0: there is no implant */
	u64 zero_hfn[DMP_LEVEL_MAX];
	struct dmp_overlay overlay[DMP_OVERLAYS_MAX];
	u32 overlays;
	u32 version;			/* of the tree; see struct dmp_root */
	bool grown;			/* since that version */
	u64 *table;			/* of level 1, found last; and an address */
	u64 table_gva;			/*   that it maps; NULL: none yet */
};

/* What a page of the implant may be used for. */
#define DMP_SPACE_RW	1u
#define DMP_SPACE_X	2u
#define DMP_SPACE_OWNED	4u	/* the page is freed with the tree */

/* Begin with an empty tree. False, and broken, without memory. */
bool dmp_space_start(struct dmp_mmu *mmu);

/* Give the tree and the pages it owns back; the overlays must be gone. */
void dmp_space_destroy(struct dmp_mmu *mmu);

/*
 * Map the page @hfn at @gva, page-aligned and not yet mapped; @flags:
 * DMP_SPACE_*. False, and broken, without memory.
 */
bool dmp_space_map(struct dmp_mmu *mmu, u64 gva, u64 hfn, u32 flags);

/* Nothing is mapped at @gva any more. The caller flushes. */
void dmp_space_unmap(struct dmp_mmu *mmu, u64 gva);

/*
 * Map the 2 MiB of host memory at the aligned @hfn with one entry at the
 * aligned @gva, writable. False when something of it is mapped, or broken.
 */
bool dmp_space_map_large(struct dmp_mmu *mmu, u64 gva, u64 hfn);

/* Whether @gva is mapped; its hfn in *@hfn. */
bool dmp_space_lookup(const struct dmp_mmu *mmu, u64 gva, u64 *hfn);

/* Map zeroes, read-only, wherever nothing is mapped in [gva, end). */
bool dmp_space_fill(struct dmp_mmu *mmu, u64 gva, u64 end);

/*
 * The first of @count top-level entries, one after the other, that neither the
 * loaded root nor the implant uses, in the kernel's half; 0: there are none.
 */
unsigned int dmp_space_free_tops(const struct dmp_mmu *mmu, unsigned int count);

/*
 * Whether the guest leaves the 2 MiB at @gva alone, as seen from the loaded
 * root, so that pages of the implant could be there.
 */
bool dmp_space_is_free(const struct dmp_mmu *mmu, u64 gva);

/*
 * Lay the tree over the tables of the loaded root, if it or they have changed.
 * False, and broken: something is in the way.
 */
bool dmp_space_sync(struct dmp_mmu *mmu);

/*
 * Entries of the root @table have changed: can user mode run on it? The private region
 * comes and goes with that where it has to be hidden. And: entry @index, of user
 * space's half, has.
 */
void dmp_space_look(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_space_look_at(struct dmp_mmu *mmu, struct dmp_table *table, unsigned int index);

/* Whether the root @table shows nothing of the private region. */
bool dmp_space_hides(const struct dmp_mmu *mmu, const struct dmp_table *table);

/*
 * For the audit: whether user mode can run on @table only if it was said to. The agent
 * takes user mode's code away without saying so.
 */
bool dmp_space_knows(const struct dmp_mmu *mmu, const struct dmp_table *table);

/*
 * For tenant.c: what entry @index of @table is while the guest's is not
 * present; whether @machine there is an overlay; @table is no more.
 */
u64 dmp_space_entry(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index);
void dmp_space_forget_table(struct dmp_mmu *mmu, const struct dmp_table *table);

#endif /* DMP_SPACE_H */
