/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's parts, among each other: guest_*.c and guest.c include this.
 */
#ifndef GUEST_PARTS_H
#define GUEST_PARTS_H

#include "guest.h"

#define P	DMP_PTE_P
#define RW	DMP_PTE_RW
#define US	DMP_PTE_US
#define A	DMP_PTE_A
#define D	DMP_PTE_D
#define PS	DMP_PTE_PS
#define G	DMP_PTE_G
#define NX	DMP_PTE_NX

#define TOP_DMAP	273
#define TOP_VMALLOC	402
#define TOP_SELF	480
#define TOP_KERNEL	511

/* Where an entry is. */
struct place {
	u64 table;
	unsigned int index, level;
};

enum teardown { CLEAR_ALL, CLEAR_BELOW_TOP, CLEAR_NONE };

/* guest_memory.c */
u64 g_gva_of(const struct guest *g, unsigned int top, unsigned int i4,
	     unsigned int i3, unsigned int i2, unsigned int i1);
u64 g_dmap(const struct guest *g, u64 gfn);
u64 g_user_gva(struct guest *g);
struct space *g_current(struct guest *g);
unsigned int g_levels_of(const struct guest *g);
void g_kwrite(struct guest *g, u64 gfn, unsigned int offset,
	      const void *data, unsigned int bytes);
u64 g_entry_get(struct guest *g, u64 table, unsigned int index);
void g_entry_set(struct guest *g, u64 table, unsigned int index, u64 value);
u64 g_find_free(struct guest *g);
u64 g_frame_alloc(struct guest *g, enum frame_type type);
void g_frame_free(struct guest *g, u64 gfn);
void g_data_put(struct guest *g, u64 gfn);
void g_flush(struct guest *g, u64 gva);
u64 g_table_flags(struct guest *g);
void g_link_table(struct guest *g, u64 parent, unsigned int index,
		  u64 entry, unsigned int last, u64 value);
struct place g_place_of(struct guest *g, u64 root, u64 gva,
			unsigned int level, bool make);
void g_huge_put(struct guest *g, u64 gfn);
void g_table_empty(struct guest *g, u64 table, unsigned int level,
		   unsigned int count, enum teardown how);

/* guest_space.c */
void g_switch_to(struct guest *g, int i);
int g_space_any(struct guest *g);
void g_op_fork(struct guest *g);
void g_op_spawn(struct guest *g);
void g_op_query(struct guest *g);
void g_op_exit(struct guest *g);
void g_op_switch(struct guest *g);
void g_op_many_roots(struct guest *g);

/* guest_user.c */
void g_touch(struct guest *g, u64 gva, u32 access);
void g_huge_split(struct guest *g, struct place at, u64 gva);
void g_op_touch(struct guest *g);
void g_op_unmap(struct guest *g);
void g_op_unmap_wide(struct guest *g);
void g_op_protect(struct guest *g);
void g_op_age(struct guest *g);
void g_op_upper(struct guest *g);
void g_op_reserved(struct guest *g);
void g_op_map_odd(struct guest *g);
void g_op_move_table(struct guest *g);
void g_op_share_table(struct guest *g);
void g_op_huge(struct guest *g);

/* guest_process.c */
/* Stores the whole entry, by an instruction that is spliced if any is. */
void g_stub_set(struct guest *g, u64 table, unsigned int index, u64 value);
/* A new table, zeroed, of a frame that is mapped by its direct mapping alone. */
u64 g_plain_table(struct guest *g);
void g_op_exec(struct guest *g);
void g_op_vmap(struct guest *g);
void g_op_many_tables(struct guest *g);

/* guest_kernel.c */
void g_op_vmalloc(struct guest *g);
void g_op_alias(struct guest *g);
void g_op_dmap(struct guest *g);
void g_op_self_map(struct guest *g);

/* guest_odd.c */
void g_op_garbage(struct guest *g);
void g_op_dma(struct guest *g);
void g_op_vmm_walk(struct guest *g);
void g_op_top_again(struct guest *g);
void g_op_link_nowhere(struct guest *g);
void g_op_speculate(struct guest *g);

#endif /* GUEST_PARTS_H */
