// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's memory: frames, page-table entries, tables and their teardown. All
 * that is written here is written through the guest's own mappings, so that the
 * engine sees what it would see of a real one.
 */
#include "guest_parts.h"
#include "oracle.h"

u64 g_gva_of(const struct guest *g, unsigned int top, unsigned int i4,
	     unsigned int i3, unsigned int i2, unsigned int i1)
{
	unsigned int levels = g->m.mmu->paging.levels;
	u64 gva;

	if (levels == 5)
		gva = (u64)top << 48 | (u64)i4 << 39;
	else
		gva = (u64)top << 39;
	gva |= (u64)i3 << 30 | (u64)i2 << 21 | (u64)i1 << 12;
	if (top & 256)
		gva |= ~0ull << (levels == 5 ? 57 : 48);
	return gva;
}

u64 g_dmap(const struct guest *g, u64 gfn)
{
	return g_gva_of(g, TOP_DMAP, 0, 0, gfn >> 9, gfn & 511);
}

u64 g_user_gva(struct guest *g)
{
	static const u16 top[] = { 0, 0, 0, 1, 255 };
	static const u16 upper[] = { 0, 0, 1, 511 };
	static const u16 leaf[] = { 0, 1, 2, 3, 4, 5, 6, 7, 510, 511 };
	struct machine *m = &g->m;

	return g_gva_of(g, top[m_below(m, 5)], upper[m_below(m, 4)],
			upper[m_below(m, 4)], m_below(m, 4), leaf[m_below(m, 10)]);
}

struct space *g_current(struct guest *g)
{
	return &g->space[g->cur];
}

unsigned int g_levels_of(const struct guest *g)
{
	return g->m.mmu->paging.levels;
}

/*
 * ---- Memory ----
 */

void g_kwrite(struct guest *g, u64 gfn, unsigned int offset,
	      const void *data, unsigned int bytes)
{
	bool by_site = g->rips && bytes == 8 && !g->m.rip;
	u32 error = 0;

	if (by_site)
		g->m.rip = g->rip[m_below(&g->m, g->rips)];
	if (m_access(&g->m, g_dmap(g, gfn) + offset, DMP_ACCESS_WRITE, data,
		     bytes, &error) != ACCESS_DONE)
		m_fail(&g->m, "the guest's write to frame %#llx fails (%#x)",
		       gfn, error);
	if (by_site)
		g->m.rip = 0;
}

static void kzero(struct guest *g, u64 gfn)
{
	static const u8 zero[64];
	unsigned int i;

	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		g_kwrite(g, gfn, i, zero, 64);
}

u64 g_entry_get(struct guest *g, u64 table, unsigned int index)
{
	return m_ref(&g->m, table)[index];
}

/* Stores one entry, now and then in pieces that keep it consistent. */
void g_entry_set(struct guest *g, u64 table, unsigned int index, u64 value)
{
	u64 old = g_entry_get(g, table, index);
	unsigned int bytes = 8;
	struct machine *m = &g->m;

	if (old & P && value != old)
		m->pending++;
	if (m_chance(m, 20)) {
		if (!((old ^ value) >> 8))
			bytes = 1;
		else if (!((old ^ value) >> 16))
			bytes = 2;
		else if (!((old ^ value) >> 32))
			bytes = 4;
	}
	if (bytes == 8 && m_chance(m, 5) && !(old & P)) {
		/* High half first, then the half with P. */
		g_kwrite(g, table, index * 8 + 4, (char *)&value + 4, 4);
		bytes = 4;
	} else if (bytes == 8 && m_chance(m, 5) && !(value & P)) {
		g_kwrite(g, table, index * 8, &value, 4);
		g_kwrite(g, table, index * 8 + 4, (char *)&value + 4, 4);
		return;
	}
	g_kwrite(g, table, index * 8, &value, bytes);
}

u64 g_find_free(struct guest *g)
{
	u64 gfn = m_below(&g->m, M_GFNS), tries;

	for (tries = 0; tries < M_GFNS; tries++, gfn = (gfn + 1) % M_GFNS)
		if (g->type[gfn] == G_FREE && m_is_ram(&g->m, gfn))
			return gfn;
	m_fail(&g->m, "the guest is out of memory");
}

/* Prefers frames freed lately: they are what the engine may still know. */
u64 g_frame_alloc(struct guest *g, enum frame_type type)
{
	u64 gfn, pick, tries;
	u64 word[4];
	int i;

	gfn = g_find_free(g);
	for (tries = 0; tries < 4; tries++) {
		pick = m_below(&g->m, M_GFNS);
		if (g->type[pick] == G_FREE && m_is_ram(&g->m, pick) &&
		    g->refs[pick])
			gfn = pick;
	}
	if (g->rips && g->type[g->freed] == G_FREE && m_is_ram(&g->m, g->freed) &&
	    m_chance(&g->m, 50))
		gfn = g->freed;
	g->type[gfn] = type;
	g->refs[gfn] = 1;
	g->nfree--;
	if (type == G_TABLE || type == G_ROOT) {
		kzero(g, gfn);
	} else {
		for (i = 0; i < 4; i++)
			word[i] = m_random(&g->m);
		g_kwrite(g, gfn, 8 * m_below(&g->m, 508), word, sizeof(word));
	}
	return gfn;
}

/* Type FREE with refs nonzero: freed once. */
void g_frame_free(struct guest *g, u64 gfn)
{
	g->type[gfn] = G_FREE;
	g->freed = gfn;
	g->refs[gfn] = 1;
	g->nfree++;
}

void g_data_put(struct guest *g, u64 gfn)
{
	if (gfn >= M_GFNS || g->type[gfn] != G_DATA)
		return;
	if (--g->refs[gfn] == 0)
		g_frame_free(g, gfn);
}

void g_flush(struct guest *g, u64 gva)
{
	struct machine *m = &g->m;

	if (m->pending == 1 && !g->shared && !g->aged && m_chance(m, 70)) {
		m_invlpg(m, gva);
		m->pending = 0;
		return;
	}
	m_flush_all(m);
	g->aged = false;
}

/*
 * ---- Tables ----
 */

u64 g_table_flags(struct guest *g)
{
	return P | RW | US | (m_chance(&g->m, 60) ? A : 0) |
	       (m_chance(&g->m, 30) ? D : 0);
}

/*
 * Links the new table @table at @index of @parent, while another CPU writes
 * entry @last of it through the direct map: before, or after, never lost.
 */
void g_link_table(struct guest *g, u64 parent, unsigned int index,
		  u64 entry, unsigned int last, u64 value)
{
	u64 table = dmp_pte_gfn(entry), gva = g_dmap(g, table) + last * 8;
	struct machine *m = &g->m;

	m_speculate(m, gva);
	m->race_gva = gva;
	m->race_value = value;
	m->race_armed = true;
	g_entry_set(g, parent, index, entry);
	if (m->race_armed)
		g_kwrite(g, table, last * 8, &value, 8);
	m->race_armed = false;
	m->race_gva = 0;
}

/*
 * Where the entry for @gva at @level is. Without @make, stops where a table
 * is missing; always stops at a large leaf, and at a reserved bit.
 */
struct place g_place_of(struct guest *g, u64 root, u64 gva,
			unsigned int level, bool make)
{
	struct place at = { .table = root, .level = g_levels_of(g) };
	u64 entry, table;

	for (;; at.level--) {
		at.index = dmp_index(gva, at.level);
		if (at.level == level)
			return at;
		entry = g_entry_get(g, at.table, at.index);
		if (!(entry & P)) {
			if (!make)
				return at;
			table = g_frame_alloc(g, G_TABLE);
			entry = table << 12 | g_table_flags(g);
			if (at.level == 2)
				g_link_table(g, at.table, at.index, entry, 300,
					     (u64)M_ROM << 12 | P | US | A);
			else
				g_entry_set(g, at.table, at.index, entry);
		} else if (oracle_leaf(entry, at.level) ||
			   dmp_pte_gfn(entry) >= M_GFNS) {	/* reserved */
			return at;
		}
		at.table = dmp_pte_gfn(entry);
	}
}

void g_huge_put(struct guest *g, u64 gfn)
{
	if (gfn < M_GFNS && g->type[gfn] == G_HUGE)
		g->type[gfn] = G_HUGE_FREE;
}

/* Frees what @table links below it. The table's own frame stays. */
void g_table_empty(struct guest *g, u64 table, unsigned int level,
		   unsigned int count, enum teardown how)
{
	bool top = level == g_levels_of(g);
	unsigned int i;
	u64 entry, gfn;

	for (i = 0; i < count; i++) {
		entry = g_entry_get(g, table, i);
		if (!(entry & P))
			continue;
		gfn = dmp_pte_gfn(entry);
		if (how == CLEAR_ALL || (how == CLEAR_BELOW_TOP && !top))
			g_entry_set(g, table, i, 0);
		if (oracle_leaf(entry, level)) {
			if (level > 1)
				g_huge_put(g, gfn);
			else
				g_data_put(g, gfn);
			continue;
		}
		if (gfn >= M_GFNS || g->type[gfn] != G_TABLE)
			continue;
		if (--g->refs[gfn])
			continue;
		g_table_empty(g, gfn, level - 1, DMP_ENTRIES, how);
		g_frame_free(g, gfn);
	}
}
