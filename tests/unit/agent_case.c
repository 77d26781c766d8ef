// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tests of the agent have in common; see agent_case.h.
 */
#include "agent_case.h"
#include "guest_parts.h"
#include "model_parts.h"

u64 agent_link(u64 gfn)
{
	return gfn << 12 | P | RW | US | A;
}

/* Two free frames that differ in their lowest bit only; zeroed. */
static u64 find_pair(struct guest *g)
{
	static const u8 zero[64];
	unsigned int i;
	u64 gfn;

	for (gfn = 512; gfn < M_GFNS; gfn += 2)
		if (g->type[gfn] == G_FREE && g->type[gfn + 1] == G_FREE &&
		    m_is_ram(&g->m, gfn) && m_is_ram(&g->m, gfn + 1))
			break;
	if (gfn >= M_GFNS)
		m_fail(&g->m, "no two free frames");
	g->type[gfn] = G_TABLE;
	g->type[gfn + 1] = G_DATA;
	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		g_kwrite(g, gfn, i, zero, 64);
	return gfn;
}

static void clear(u64 table)
{
	g_stub_set(guest, table, 7, 0);
	m_flush_all(&guest->m);
}

void agent_begin(struct text *t, u64 seed, unsigned int levels, u64 table[3],
		 u64 *gfn)
{
	struct guest *g;
	unsigned int level;

	c_begin(t, seed, levels);
	g = guest;
	g->rip[g->rips++] = g_site(t, 1, TEXT_MOV);
	if (c_trap(t, g->rip[0], 3)->state != DMP_SITE_SPLICED)
		m_fail(&g->m, "the site is not spliced");
	table[2] = g_current(g)->root;
	for (level = levels; level > 2; level--) {
		g_stub_set(g, table[2], level == levels ? 9 : 0,
			   agent_link(g_frame_alloc(g, G_TABLE)));
		table[2] = dmp_pte_gfn(g_entry_get(g, table[2],
						   level == levels ? 9 : 0));
	}
	table[1] = g_frame_alloc(g, G_TABLE);
	g_stub_set(g, table[2], 0, agent_link(table[1]));
	*gfn = find_pair(g);
	/* Known to stubs, by a trap if not by having been linked. */
	g->m.calm = true;
	clear(table[2]);
	clear(table[1]);
	clear(table[2]);
	clear(table[1]);
}

void agent_store(u64 table, unsigned int index, u64 value, bool asks)
{
	struct machine *m = &guest->m;
	u64 before = m->agent_asks, dones = m->agent_dones;

	g_stub_set(guest, table, index, value);
	if (m->agent_asks != before + asks || m->agent_dones != dones + !asks)
		m_fail(m, "the agent %s for %#llx",
		       asks ? "does not ask" : "asks", value);
	m_flush_all(m);
}
