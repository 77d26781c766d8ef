// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest; see guest.h. How it starts, and what it does at each step.
 */
#include <string.h>

#include "guest_parts.h"

static const struct op {
	const char *name;
	void (*run)(struct guest *g);
	unsigned int weight;
} ops[] = {
	{ "touch", g_op_touch, 30 },
	{ "unmap", g_op_unmap, 6 },
	{ "unmap wide", g_op_unmap_wide, 3 },
	{ "protect", g_op_protect, 5 },
	{ "age", g_op_age, 5 },
	{ "upper flags", g_op_upper, 4 },
	{ "reserved bit", g_op_reserved, 2 },
	{ "map odd", g_op_map_odd, 4 },
	{ "move table", g_op_move_table, 3 },
	{ "share table", g_op_share_table, 1 },
	{ "huge", g_op_huge, 4 },
	{ "vmalloc", g_op_vmalloc, 5 },
	{ "alias", g_op_alias, 4 },
	{ "direct map", g_op_dmap, 3 },
	{ "self map", g_op_self_map, 2 },
	{ "garbage", g_op_garbage, 6 },
	{ "dma", g_op_dma, 3 },
	{ "vmm walk", g_op_vmm_walk, 1 },
	{ "query", g_op_query, 4 },
	{ "top again", g_op_top_again, 3 },
	{ "link nowhere", g_op_link_nowhere, 2 },
	{ "speculate", g_op_speculate, 10 },
	{ "fork", g_op_fork, 4 },
	{ "spawn", g_op_spawn, 2 },
	{ "exit", g_op_exit, 5 },
	{ "switch", g_op_switch, 8 },
	{ "many roots", g_op_many_roots, 1 },
};

void g_step(struct guest *g)
{
	unsigned int total = 0, i;
	u64 pick;

	for (i = 0; i < DMP_ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	pick = m_below(&g->m, total);
	for (i = 0; pick >= ops[i].weight; i++)
		pick -= ops[i].weight;
	g->m.op = ops[i].name;
	ops[i].run(g);
	if (g->m.pending && !g->aged)
		m_flush_all(&g->m);
	if (g->m.broken)
		g->m.pending = 0;
	m_check_tlb(&g->m);
	g->m.step++;
}

/*
 * ---- Boot ----
 */

static u64 boot_frame(struct guest *g)
{
	static const u64 zero[8];
	u64 gfn = g_find_free(g);
	unsigned int i;

	g->type[gfn] = G_KERNEL;
	g->nfree--;
	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		m_vmm_write(&g->m, gfn << 12 | i, zero, 64);
	return gfn;
}

static void boot_set(struct guest *g, u64 table, unsigned int index, u64 value)
{
	m_vmm_write(&g->m, table << 12 | index * 8, &value, 8);
}

/* The level-2 table under @top (first entries all the way). */
static u64 boot_chain(struct guest *g, unsigned int top, unsigned int i3)
{
	u64 table = g->kernel_root, next;
	unsigned int level, index;

	for (level = g_levels_of(g); level > 2; level--) {
		index = level == g_levels_of(g) ? top : level == 3 ? i3 : 0;
		next = boot_frame(g);
		boot_set(g, table, index, next << 12 | P | RW | A);
		table = next;
	}
	return table;
}

void g_boot(struct guest *g, u64 seed, unsigned int levels)
{
	static const u16 modes[] = {
		DMP_PAGING_NX | DMP_PAGING_SMEP | DMP_PAGING_SMAP | DMP_PAGING_GBPAGES |
		DMP_PAGING_PCIDS,
		DMP_PAGING_NX | DMP_PAGING_GBPAGES | DMP_PAGING_AMD,
		DMP_PAGING_NX | DMP_PAGING_SMEP,
		0,
	};
	u64 gfn, l3, kernel;
	unsigned int i;

	memset(g, 0, sizeof(*g));
	m_start(&g->m, seed, levels, modes[seed % 4]);
	for (gfn = 0; gfn < M_GFNS; gfn++) {
		if (m_is_rom(gfn) || !m_is_ram(&g->m, gfn))
			g->type[gfn] = G_KERNEL;
		else if (gfn >= M_GFNS - 1024)
			g->type[gfn] = gfn % 512 ? G_KERNEL : G_HUGE_FREE;
		else
			g->nfree++;
	}
	for (i = 0; i < 16; i++)
		g->pcid_owner[i] = -1;
	g->dmap_1g = g->m.mmu->paging.flags & DMP_PAGING_GBPAGES && seed % 4 == 1;
	g->kernel_root = boot_frame(g);
	g->dmap_l2 = boot_chain(g, TOP_DMAP, 0);
	for (i = 0; i < M_GFNS / 512; i++)
		boot_set(g, g->dmap_l2, i, (u64)i * 512 << 12 | P | RW | PS | G |
			 (i & 1 ? A | D : 0));
	if (g->dmap_1g) {
		l3 = g->kernel_root;
		for (i = levels; i > 3; i--)
			l3 = dmp_pte_gfn(g_entry_get(g, l3, i == levels ? TOP_DMAP : 0));
		boot_set(g, l3, 0, P | RW | PS | G | A);
	}
	g->vmalloc_l2 = boot_chain(g, TOP_VMALLOC, 0);
	kernel = boot_chain(g, TOP_KERNEL, 510);
	boot_set(g, kernel, 8, P | RW | PS | G | A | D);
	g->space[0] = (struct space){ .used = true, .root = g->kernel_root };
	g->m.cr3_gfn = g->kernel_root;
}

void g_shutdown(struct guest *g)
{
	m_stop(&g->m);
}
