// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest kernel's own mappings: vmalloc, aliases, the direct map, a self-map.
 */
#include "guest_parts.h"

void g_op_vmalloc(struct guest *g)
{
	struct machine *m = &g->m;
	unsigned int i2 = m_below(m, 3), i1 = m_below(m, 32);
	u64 gva = g_gva_of(g, TOP_VMALLOC, 0, 0, i2, i1), entry, table;
	u32 error;

	entry = g_entry_get(g, g->vmalloc_l2, i2);
	if (!(entry & P)) {
		table = g_frame_alloc(g, G_TABLE);
		entry = table << 12 | P | RW | (m_chance(m, 50) ? A : 0);
		g_entry_set(g, g->vmalloc_l2, i2, entry);
	}
	table = dmp_pte_gfn(entry);
	entry = g_entry_get(g, table, i1);
	if (entry & P) {
		m_access(m, gva, DMP_ACCESS_WRITE, &entry, 8, &error);
		if (m_chance(m, 30)) {	/* text: read-only, executable */
			g_entry_set(g, table, i1, (entry & ~(RW | NX)) | P);
		} else {
			g_entry_set(g, table, i1, 0);
			g_data_put(g, dmp_pte_gfn(entry));
		}
		m_flush_all(m);
		g->aged = false;
		return;
	}
	if (g->nfree < 500)
		return;
	entry = g_frame_alloc(g, G_DATA) << 12 | P | RW | G;
	if (m_chance(m, 50))
		entry |= A | D;
	if (m->mmu->paging.flags & DMP_PAGING_NX)
		entry |= NX;
	g_entry_set(g, table, i1, entry);
	m_access(m, gva, DMP_ACCESS_WRITE, &entry, 8, &error);
}

/* A vmalloc alias, writable, of a frame that is or becomes a table. */
void g_op_alias(struct guest *g)
{
	struct machine *m = &g->m;
	u64 entry = g_entry_get(g, g->vmalloc_l2, 0), table, gfn, alias, gva;
	unsigned int i1 = 64 + m_below(m, 8);
	struct place at = { 0 };
	u32 error;

	if (!(entry & P) || g->nfree < 500)
		return;
	table = dmp_pte_gfn(entry);
	entry = g_entry_get(g, table, i1);
	alias = g_gva_of(g, TOP_VMALLOC, 0, 0, 0, i1);
	if (entry & P) {
		/* Written through the alias, to the value that is there. */
		gfn = dmp_pte_gfn(entry);
		if (g->type[gfn] == G_TABLE)
			m_access(m, alias + 8 * i1, DMP_ACCESS_WRITE,
				 &m_ref(m, gfn)[i1], 8, &error);
		g_entry_set(g, table, i1, 0);
		m_flush_all(m);
		g->aged = false;
		return;
	}
	gfn = m_chance(m, 50) ? g_find_free(g) : table;
	if (m_chance(m, 60)) {	/* a table of a user's, anywhere */
		gva = g_user_gva(g);
		at = g_place_of(g, g_current(g)->root, gva, 2, true);
		gfn = g_place_of(g, g_current(g)->root, gva, 1, true).table;
	}
	/* The same index as in the direct mapping, now and then. */
	g_entry_set(g, table, m_chance(m, 20) && !(g_entry_get(g, table, gfn & 511) & P) &&
		    (gfn & 511) >= 64 && (gfn & 511) < 72 ?
		    gfn & 511 : i1, gfn << 12 | P | RW | G |
		    (m_chance(m, 60) ? A | D : 0));
	m_speculate(m, alias);
	/* The table goes, its alias stays. */
	if (at.level != 2 || g->type[gfn] != G_TABLE || g->refs[gfn] != 1 ||
	    dmp_pte_gfn(g_entry_get(g, at.table, at.index)) != gfn)
		return;
	g_entry_set(g, at.table, at.index, 0);
	m_flush_all(m);
	g->aged = false;
	g_table_empty(g, gfn, 1, DMP_ENTRIES, CLEAR_NONE);
	g_frame_free(g, gfn);
}

/* The direct map is split for protections, and joined again. */
void g_op_dmap(struct guest *g)
{
	struct machine *m = &g->m;
	unsigned int i = m_below(m, M_GFNS / 512), k;
	u64 entry, table, word;
	struct place at;

	if (g->dmap_1g)
		return;
	entry = g_entry_get(g, g->dmap_l2, i);
	if (!(entry & P) || g->nfree < 300)
		return;
	at = (struct place){ .table = g->dmap_l2, .index = i, .level = 2 };
	if (entry & PS) {
		g_huge_split(g, at, g_dmap(g, i * 512));
		m_flush_all(m);
		return;
	}
	table = dmp_pte_gfn(entry);
	if (m_chance(m, 50)) {	/* a page read-only, and back */
		k = m_below(m, DMP_ENTRIES);
		if (g->type[i * 512 + k] != G_DATA &&
		    g->type[i * 512 + k] != G_FREE)
			return;
		word = g_entry_get(g, table, k);
		g_entry_set(g, table, k, word & ~RW);
		m_flush_all(m);
		g_touch(g, g_user_gva(g), DMP_ACCESS_USER);
		if (!(g_entry_get(g, table, k) & RW)) {
			g_entry_set(g, table, k, word | RW);
			m_flush_all(m);
		}
		return;
	}
	for (k = 0; k < DMP_ENTRIES; k++)
		if (!(g_entry_get(g, table, k) & RW) ||
		    !(g_entry_get(g, table, k) & P))
			return;
	g_entry_set(g, g->dmap_l2, i, (u64)i * 512 << 12 | P | RW | PS | A | D | G);
	m_flush_all(m);
	g_frame_free(g, table);
}

void g_op_self_map(struct guest *g)
{
	struct machine *m = &g->m;
	struct space *s = g_current(g);
	u64 entry, self;
	unsigned int i;
	u32 error;

	if (!g->cur)
		return;
	entry = g_entry_get(g, s->root, TOP_SELF);
	if (!(entry & P)) {
		g_entry_set(g, s->root, TOP_SELF, s->root << 12 | P | RW |
			    (m_chance(m, 70) ? A | D : 0) |
			    (m->mmu->paging.flags & DMP_PAGING_NX ? NX : 0));
		s->self_map = true;
	}
	for (i = 0; i < 4; i++) {
		static const u16 index[] = { 0, 1, 255, TOP_DMAP, TOP_SELF };

		self = g_gva_of(g, TOP_SELF, TOP_SELF, TOP_SELF, TOP_SELF, TOP_SELF);
		self += 8 * index[m_below(m, 5)];
		m_access(m, self, 0, NULL, 8, &error);
		entry = m_ref(m, s->root)[(self & 4095) / 8] ^ 0x200;
		if (entry & P)
			m_access(m, self, DMP_ACCESS_WRITE, &entry, 8, &error);
	}
	/* Tables of lower levels, through the self-map. */
	self = g_gva_of(g, TOP_SELF, 0, 0, 0, 0);
	m_access(m, self + 4096 * m_below(m, 4), 0, NULL, 8, &error);
	if (m_chance(m, 40)) {
		u64 two[2] = { 0, 0 };

		/* With its neighbour, by one store. */
		if (m_chance(m, 50))
			g_kwrite(g, s->root, TOP_SELF * 8, two, 16);
		else
			g_entry_set(g, s->root, TOP_SELF, 0);
		m_flush_all(m);
		g->aged = false;
	}
}
