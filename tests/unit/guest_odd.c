// SPDX-License-Identifier: GPL-2.0-only
/*
 * What else happens to a guest: frames that are nobody's, devices, the VMM's own
 * walks, tables that come again or link nowhere, a CPU that speculates.
 */
#include "guest_parts.h"

void g_op_garbage(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gfn = g_find_free(g), word[8];
	unsigned int i, n = 1 + m_below(m, 16);

	while (n--) {
		for (i = 0; i < 8; i++)
			word[i] = m_chance(m, 50) ? m_random(m) :
				  m_below(m, M_GFNS + 8) << 12 |
				  (m_random(m) & 0xfff);
		g_kwrite(g, gfn, m_below(m, 64) * 64, word, 64);
	}
}

void g_op_dma(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gfn = g_find_free(g), word[8];
	unsigned int i, bytes = 1 + m_below(m, 64);

	for (i = 0; i < 8; i++)
		word[i] = m_random(m);
	m_vmm_write(m, gfn << 12 | m_below(m, 4097 - bytes), word, bytes);
}

void g_op_vmm_walk(struct guest *g)
{
	m_vmm_walk(&g->m, g_user_gva(g), m_chance(&g->m, 30));
	g->m.unsynced = true;
}

/* A root that is not loaded loses an entry and gets the same one again. */
void g_op_top_again(struct guest *g)
{
	int i = g_space_any(g);
	u64 root = g->space[i].root, entry;
	unsigned int index = m_below(&g->m, 2);

	entry = g_entry_get(g, root, index);
	if ((unsigned int)i == g->cur || !(entry & P) ||
	    g->type[dmp_pte_gfn(entry)] != G_TABLE)
		return;
	g_entry_set(g, root, index, 0);
	if (m_chance(&g->m, 70))
		g_kwrite(g, dmp_pte_gfn(entry), 8 * 400, &(u64){ 0x100 }, 8);
	g_entry_set(g, root, index, entry);
	m_flush_all(&g->m);
	if (m_chance(&g->m, 70))
		g_switch_to(g, i);
}

/* An upper entry that points nowhere, and that nobody walks. */
void g_op_link_nowhere(struct guest *g)
{
	u64 gva = g_user_gva(g), entry, nowhere;
	unsigned int level = 2 + m_below(&g->m, g_levels_of(g) - 1);
	struct place at = g_place_of(g, g_current(g)->root, gva, level, false);

	entry = g_entry_get(g, at.table, at.index);
	if (at.level != level || entry & P)
		return;
	nowhere = m_chance(&g->m, 50) ? M_MMIO : M_ROM;
	g_entry_set(g, at.table, at.index, nowhere << 12 | P | RW | US | A);
	m_audit(&g->m);
	g_entry_set(g, at.table, at.index, entry);
	m_flush_all(&g->m);
	g->aged = false;
}

void g_op_speculate(struct guest *g)
{
	unsigned int n = 1 + m_below(&g->m, 24);

	while (n--)
		m_speculate(&g->m, m_chance(&g->m, 50) ? g_user_gva(g) :
			    g_dmap(g, m_below(&g->m, M_GFNS)));
}
