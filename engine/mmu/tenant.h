/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What machine tables tell the tenant that lives on them, and ask it: the splicer, if
 * there is one (dmp_mmu.splicer). Who builds an engine without one provides these
 * functions, empty; splicer/tenant.c has ours.
 *
 * Each is called under the lock of the call that it is part of. Without a tenant those
 * that answer say what is given as "without one", and the others do nothing.
 */
#ifndef DMP_TENANT_H
#define DMP_TENANT_H

#include "mmu/state.h"

struct dmp_write;

/*
 * ---- Pages ----
 * What the guest may write by itself has to be where the tenant shows it.
 */

/* The page @hfn is the VM's now. False, and broken, without memory. Without one: true. */
bool dmp_tenant_page_added(struct dmp_mmu *mmu, u64 hfn);

/* It is about to be given back; a TLB flush is owed already. */
void dmp_tenant_page_gone(struct dmp_mmu *mmu, u64 hfn);

/* As page_added(), of page @chunk of table records. */
bool dmp_tenant_chunk_added(struct dmp_mmu *mmu, u32 chunk);

/*
 * ---- Tables in no use ----
 */

/* One that the tenant has: empty, in the hash. NULL: none. Without one: NULL. */
struct dmp_table *dmp_tenant_spare(struct dmp_mmu *mmu);

/*
 * @table is linked by nothing any more. True: the tenant keeps it, else it is unmade.
 * Without one: false.
 */
bool dmp_tenant_keeps(struct dmp_mmu *mmu, struct dmp_table *table);

/*
 * ---- Tables ----
 */

/* @table, of part of a large leaf, is new, and still empty. */
void dmp_tenant_split_made(struct dmp_mmu *mmu, const struct dmp_table *table);

/* @table follows the guest's from now on; and no longer. */
void dmp_tenant_table_held(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_tenant_table_released(struct dmp_mmu *mmu, struct dmp_table *table);

/* @table is about to be freed. */
void dmp_tenant_table_gone(struct dmp_mmu *mmu, const struct dmp_table *table);

/* @frame, which is a table already, or is .code, becomes one more table. */
void dmp_tenant_frame_shared(struct dmp_mmu *mmu, const struct dmp_frame *frame);

/*
 * ---- Entries ----
 */

/* What entry @index of @table is while the guest's is not present. Without one: 0. */
u64 dmp_tenant_absent(const struct dmp_mmu *mmu, const struct dmp_table *table,
		      unsigned int index);

/* Such an entry has been replaced by one of the guest's. */
void dmp_tenant_overlaid(struct dmp_mmu *mmu);

/* Link @index of @table, which is DMP_TABLE_PATH, has changed. */
void dmp_tenant_path_changed(struct dmp_mmu *mmu, const struct dmp_table *table,
			     unsigned int index);

/* A leaf of a table that is DMP_TABLE_PATH maps the held @frame no longer. */
void dmp_tenant_path_left(struct dmp_mmu *mmu, const struct dmp_frame *frame);

/*
 * The leaf for a frame that is .code, which by the guest's entry alone were @machine;
 * and whether @machine is such a one, of @frame. Without one: @machine; false.
 */
u64 dmp_tenant_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		    unsigned int index, u64 machine);
bool dmp_tenant_is_copy(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
			u64 machine);

/* A leaf that maps code (dmp_pte_is_code()) has come. */
void dmp_tenant_code_came(struct dmp_mmu *mmu);

/* Leaf @index of @table has mapped the frame @gfn, of .lidt; one of .code. It is gone. */
void dmp_tenant_watched_gone(struct dmp_mmu *mmu, u64 gfn);
void dmp_tenant_code_gone(struct dmp_mmu *mmu, const struct dmp_table *table,
			  unsigned int index);

/*
 * ---- Roots ----
 */

/* Any entries of the root @table have changed; entry @index, of user space's half, has. */
void dmp_tenant_root_changed(struct dmp_mmu *mmu, struct dmp_table *table);
void dmp_tenant_user_changed(struct dmp_mmu *mmu, struct dmp_table *table,
			     unsigned int index);

/* @root is let go of, or no more. */
void dmp_tenant_root_left(struct dmp_mmu *mmu, const struct dmp_root *root);

/*
 * @root, of @table, is about to be the loaded one: true when that is all, and done; else
 * nothing has changed. Without one: false.
 */
bool dmp_tenant_may_switch(struct dmp_mmu *mmu, struct dmp_root *root,
			   const struct dmp_table *table);

/*
 * ---- Calls from outside ----
 */

/* @write is done, and has been followed. */
void dmp_tenant_written(struct dmp_mmu *mmu, const struct dmp_write *write);

/* A call is about to end: what it has left to do is done. */
void dmp_tenant_settle(struct dmp_mmu *mmu);

/* The set of machine tables is about to go; the tenant goes. */
void dmp_tenant_destroy(struct dmp_mmu *mmu);

/* NULL, or what is wrong with what is the tenant's; *@gfn: where. Without one: NULL. */
const char *dmp_tenant_audit(struct dmp_mmu *mmu, u64 *gfn);

#endif /* DMP_TENANT_H */
