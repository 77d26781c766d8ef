// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's address spaces: fork, exit, switching between them.
 */
#include "guest_parts.h"
#include "oracle.h"
#include "mmu/machine.h"

static void copy_kernel_half(struct guest *g, u64 root)
{
	unsigned int i;
	u64 entry;

	for (i = 256; i < DMP_ENTRIES; i++) {
		entry = g_entry_get(g, g->kernel_root, i);
		if (entry && i != TOP_SELF)
			g_entry_set(g, root, i, entry);
	}
}

static int space_new(struct guest *g)
{
	int i;

	for (i = 1; i < G_SPACES; i++)
		if (!g->space[i].used)
			break;
	if (i == G_SPACES || g->nfree < 400)
		return -1;
	g->space[i] = (struct space){ .used = true, .pcid = 1 + i % 8 };
	g->space[i].root = g_frame_alloc(g, G_ROOT);
	copy_kernel_half(g, g->space[i].root);
	return i;
}

void g_switch_to(struct guest *g, int i)
{
	struct space *s = &g->space[i];
	bool noflush = g->pcid_owner[s->pcid] == i && m_chance(&g->m, 60);

	if (g->aged)
		m_flush_all(&g->m);
	g->aged = false;
	g->pcid_owner[s->pcid] = i;
	g->cur = i;
	m_load_cr3(&g->m, s->root, s->pcid, noflush);
}

int g_space_any(struct guest *g)
{
	int used[G_SPACES], n = 0, i;

	for (i = 0; i < G_SPACES; i++)
		if (g->space[i].used)
			used[n++] = i;
	return used[m_below(&g->m, n)];
}

static void space_free(struct guest *g, int i, enum teardown how)
{
	struct space *s = &g->space[i];

	g_table_empty(g, s->root, g_levels_of(g), 256, how);
	g_frame_free(g, s->root);
	s->used = false;
	if (g->pcid_owner[s->pcid] == i)
		g->pcid_owner[s->pcid] = -1;
	/* Of a space that is gone nothing is flushed; its PCID will be. */
	if (!g->shared && !g->aged && m_chance(&g->m, 50))
		g->m.pending = 0;
	else
		m_flush_all(&g->m);
}

/* As fork does: the parent's leaves become read-only, the child's lose A. */
static void copy_tables(struct guest *g, u64 from, u64 to, unsigned int level,
			unsigned int count)
{
	unsigned int i;
	u64 entry, child;

	for (i = 0; i < count; i++) {
		entry = g_entry_get(g, from, i);
		if (!(entry & P))
			continue;
		child = dmp_pte_gfn(entry);
		if (!oracle_leaf(entry, level)) {
			if (child >= M_GFNS || g->type[child] != G_TABLE ||
			    g->nfree < 1500)
				continue;
			child = g_frame_alloc(g, G_TABLE);
			copy_tables(g, dmp_pte_gfn(entry), child, level - 1,
				    DMP_ENTRIES);
			g_entry_set(g, to, i, child << 12 | g_table_flags(g));
		} else if (level == 1 && child < M_GFNS &&
			   g->type[child] == G_DATA && entry & US) {
			entry &= ~RW;
			g_entry_set(g, from, i, entry);
			g_entry_set(g, to, i, entry & ~A);
			g->refs[child]++;
		}
	}
}

void g_op_fork(struct guest *g)
{
	int child;

	if (g->nfree < 1900)
		return;
	child = space_new(g);
	if (child < 0)
		return;
	copy_tables(g, g_current(g)->root, g->space[child].root, g_levels_of(g), 256);
	m_flush_all(&g->m);
	if (m_chance(&g->m, 60))
		g_switch_to(g, child);
}

void g_op_spawn(struct guest *g)
{
	int child = space_new(g);

	if (child >= 0)
		g_switch_to(g, child);
}

/* What no root links any more is no live table, and is let go of. */
void g_op_query(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gfn = m_below(m, M_GFNS), tries;

	for (tries = 0; tries < M_GFNS; tries++, gfn = (gfn + 1) % M_GFNS)
		if (m_is_held(m, gfn) && (g->type[gfn] == G_FREE ||
					  g->type[gfn] == G_DATA))
			break;
	if (m->broken)
		return;
	if (dmp_mmu_is_live_table(m->mmu, gfn)) {
		if (!m_is_linked(m, gfn) && !m->records[gfn].code)
			m_fail(m, "dead table %#llx is said to live", gfn);
	} else if (m_is_held(m, gfn)) {
		m_fail(m, "frame %#llx is held and said to be no table", gfn);
	}
	m_check_tlb(m);
}

void g_op_exit(struct guest *g)
{
	int i = g_space_any(g), other;
	enum teardown how = m_below(&g->m, 3);

	if (!i)
		return;
	if ((unsigned int)i == g->cur) {
		/* Linux tears down lazily: the tables are loaded meanwhile. */
		if (m_chance(&g->m, 50)) {
			g_table_empty(g, g->space[i].root, g_levels_of(g), 256,
				      CLEAR_ALL);
			m_flush_all(&g->m);
		}
		other = g_space_any(g);
		g_switch_to(g, other == i ? 0 : other);
	}
	space_free(g, i, how);
	g_op_query(g);
}

void g_op_switch(struct guest *g)
{
	g_switch_to(g, g_space_any(g));
}

/* They share what the current one has. */
void g_many_roots(struct guest *g, unsigned int n)
{
	unsigned int i, k;
	u64 entry;
	int s;

	for (i = 0; i < n && g->nfree > 800; i++) {
		s = space_new(g);
		if (s < 0)
			return;
		for (k = 0; k < 256; k++) {
			entry = g_entry_get(g, g_current(g)->root, k);
			if (!(entry & P) || dmp_pte_gfn(entry) >= M_GFNS ||
			    g->type[dmp_pte_gfn(entry)] != G_TABLE)
				continue;
			g->refs[dmp_pte_gfn(entry)]++;
			g_entry_set(g, g->space[s].root, k, entry);
			g->shared = true;
		}
		g_switch_to(g, s);
	}
}

void g_switch(struct guest *g)
{
	g_op_switch(g);
}

void g_op_many_roots(struct guest *g)
{
	if (m_chance(&g->m, 15))
		g_many_roots(g, m_below(&g->m, 140));
}
