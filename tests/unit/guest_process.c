// SPDX-License-Identifier: GPL-2.0-only
/*
 * What exec, exit and vmalloc do to page tables, as Linux does it: tables are
 * linked while they are empty, and emptied before they are unlinked, all of it
 * by stores of whole entries; what is freed is used again at once.
 */
#include <string.h>

#include "guest_parts.h"
#include "oracle.h"
#include "splicer/leave.h"

/* Frames unlinked, not free before the flush. */
struct gone {
	u64 gfn[512];
	unsigned int count;
};

static u64 spliced_rip(struct guest *g)
{
	unsigned int i, first = g->rips ? m_below(&g->m, g->rips) : 0;
	const struct dmp_site *site;
	u64 rip;

	for (i = 0; i < g->rips; i++) {
		rip = g->rip[(first + i) % g->rips];
		site = g->m.splicer ? dmp_splicer_site(g->m.splicer, rip) : NULL;
		if (site && site->rip == rip)
			return rip;
	}
	return g->rips ? g->rip[first] : 0;
}

void g_stub_set(struct guest *g, u64 table, unsigned int index, u64 value)
{
	u64 old = g_entry_get(g, table, index);

	if (old & P && value != old)
		g->m.pending++;
	g->m.rip = spliced_rip(g);
	g_kwrite(g, table, index * 8, &value, 8);
	g->m.rip = 0;
}

static bool is_plain(struct guest *g, u64 gfn)
{
	const struct dmp_frame *frame = &g->m.records[gfn];

	return g->type[gfn] == G_FREE && m_is_ram(&g->m, gfn) && !frame->held &&
	       frame->writable == 1 && frame->dmap_table;
}

u64 g_plain_table(struct guest *g)
{
	u64 gfn = m_below(&g->m, M_GFNS), tries;
	static const u8 zero[64];
	unsigned int i;

	for (tries = 0; tries < M_GFNS && !is_plain(g, gfn); tries++)
		gfn = (gfn + 1) % M_GFNS;
	if (tries == M_GFNS)
		return g_frame_alloc(g, G_TABLE);
	g->type[gfn] = G_TABLE;
	g->refs[gfn] = 1;
	g->nfree--;
	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		g_kwrite(g, gfn, i, zero, 64);
	return gfn;
}

static void put_gone(struct guest *g, struct gone *gone)
{
	u64 word[8];
	unsigned int i;

	m_flush_all(&g->m);
	g->aged = false;
	while (gone->count--) {
		g_frame_free(g, gone->gfn[gone->count]);
		if (m_chance(&g->m, 70))
			continue;
		/* Data, of whoever has it next. */
		for (i = 0; i < 8; i++)
			word[i] = m_random(&g->m);
		g_kwrite(g, gone->gfn[gone->count], 64 * m_below(&g->m, 64),
			 word, sizeof(word));
	}
	gone->count = 0;
}

static void forget(struct guest *g, struct gone *gone, u64 gfn)
{
	gone->gfn[gone->count++] = gfn;
	if (gone->count == DMP_ARRAY_SIZE(gone->gfn))
		put_gone(g, gone);
}

/* Entry @index of @table, of @level, links an empty table from now on. */
static u64 link_empty(struct guest *g, u64 table, unsigned int index, u64 flags)
{
	u64 child = g_frame_alloc(g, G_TABLE);

	g_stub_set(g, table, index, child << 12 | flags);
	return child;
}

static void fill(struct guest *g, u64 table, u64 gva, u64 flags)
{
	unsigned int n = 1 + m_below(&g->m, 6), index;

	while (n--) {
		index = m_below(&g->m, 32);
		if (g_entry_get(g, table, index) & P || g->nfree < 500)
			continue;
		g_stub_set(g, table, index, g_frame_alloc(g, G_DATA) << 12 | flags);
		m_speculate(&g->m, gva | index << 12);
	}
}

/* A tree below entry @index of @table, which is of @level. */
static void grow(struct guest *g, u64 table, unsigned int index,
		 unsigned int level, u64 gva)
{
	u64 flags = P | RW | US | (m_chance(&g->m, 90) ? A : 0), child;
	unsigned int n = 1 + m_below(&g->m, 4);

	gva |= (u64)index << (12 + 9 * (level - 1));
	if (g_entry_get(g, table, index) & P || g->nfree < 600)
		return;
	child = link_empty(g, table, index, flags | (m_chance(&g->m, 40) ? D : 0));
	if (level == 2) {
		fill(g, child, gva, P | US | A | (m_chance(&g->m, 70) ? RW | D : 0));
		return;
	}
	while (n--)
		grow(g, child, m_below(&g->m, 8), level - 1, gva);
}

/* Empty it, then unlink it: munmap, then free_pgtables(). */
static void shrink(struct guest *g, u64 table, unsigned int index,
		   unsigned int level, struct gone *gone)
{
	u64 entry = g_entry_get(g, table, index), gfn = dmp_pte_gfn(entry);
	unsigned int i;

	if (!(entry & P))
		return;
	if (oracle_leaf(entry, level)) {
		g_stub_set(g, table, index, 0);
		m_flush_all(&g->m);
		if (level > 1)
			g_huge_put(g, gfn & ~511ull);
		else
			g_data_put(g, gfn);
		return;
	}
	if (gfn < M_GFNS && g->type[gfn] == G_TABLE && g->refs[gfn] == 1)
		for (i = 0; i < DMP_ENTRIES; i++)
			shrink(g, gfn, i, level - 1, gone);
	g_stub_set(g, table, index, 0);
	m_check_tlb(&g->m);
	if (gfn < M_GFNS && g->type[gfn] == G_TABLE && !--g->refs[gfn])
		forget(g, gone, gfn);
}

/* What maps a program, and its end. */
void g_op_exec(struct guest *g)
{
	u64 root = g_current(g)->root;
	unsigned int top = 2 + m_below(&g->m, 6), n = 1 + m_below(&g->m, 3), i;
	struct gone gone = { .count = 0 };

	if (g->nfree < 900)
		return;
	if (m_chance(&g->m, 10))	/* all of the old one goes */
		for (i = 0; i < DMP_ENTRIES / 2; i++)
			shrink(g, root, i, g_levels_of(g), &gone);
	put_gone(g, &gone);
	while (n--) {
		grow(g, root, top, g_levels_of(g), 0);
		m_audit(&g->m);
		if (m_chance(&g->m, 60))
			g_touch(g, g_gva_of(g, top, 0, 0, m_below(&g->m, 8),
					    m_below(&g->m, 32)), DMP_ACCESS_USER);
		if (m_chance(&g->m, 80))
			shrink(g, root, top, g_levels_of(g), &gone);
		m_audit(&g->m);
		put_gone(g, &gone);
	}
}

/* A mapping of the kernel's, with its table, which goes with it. */
void g_op_vmap(struct guest *g)
{
	unsigned int index = 32 + m_below(&g->m, 16);
	u64 gva = g_gva_of(g, TOP_VMALLOC, 0, 0, index, 0);
	struct gone gone = { .count = 0 };
	u64 child;

	if (g->nfree < 600)
		return;
	if (!(g_entry_get(g, g->vmalloc_l2, index) & P)) {
		child = link_empty(g, g->vmalloc_l2, index, P | RW | A);
		fill(g, child, gva, P | RW | A | D | (m_chance(&g->m, 50) ? G : 0));
	}
	m_audit(&g->m);
	if (m_chance(&g->m, 70))
		shrink(g, g->vmalloc_l2, index, 2, &gone);
	put_gone(g, &gone);
}

/*
 * More tables than the pool has, linked and then unlinked without an exit in
 * between but those that the agent needs.
 */
void g_op_many_tables(struct guest *g)
{
	unsigned int top = 10, i, level, n = DMP_POOL_MAX + m_below(&g->m, 24);
	u64 root = g_current(g)->root, table = root;
	struct gone gone = { .count = 0 };

	if (g->nfree < 900 || g_entry_get(g, root, top) & P)
		return;
	for (level = g_levels_of(g); level > 2; level--)
		table = link_empty(g, table, level == g_levels_of(g) ? top : 0,
				   P | RW | US | A);
	g->m.calm = true;
	for (i = 0; i < n; i++)
		g_stub_set(g, table, i, g_plain_table(g) << 12 | P | RW | US | A);
	m_audit(&g->m);
	for (i = 0; i < n; i++)
		shrink(g, table, i, 2, &gone);
	m_audit(&g->m);
	g->m.calm = false;
	shrink(g, root, top, g_levels_of(g), &gone);
	put_gone(g, &gone);
}
