// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's user space does: page faults, small and large pages, tables
 * that move or are shared.
 */
#include "guest_parts.h"
#include "mmu/live.h"
#include "mmu/record.h"

/* The guest's page-fault handler; false: nothing it would mend. */
static bool handle_fault(struct guest *g, u64 gva, u32 error)
{
	struct machine *m = &g->m;
	struct place at;
	u64 entry, gfn;

	if (error & DMP_PF_RSVD)
		return false;
	at = g_place_of(g, g_current(g)->root, gva, 1, false);
	entry = g_entry_get(g, at.table, at.index);
	if (!(error & DMP_PF_P)) {
		if (g->nfree < 600)
			return false;
		at = g_place_of(g, g_current(g)->root, gva, 1, true);
		if (at.level != 1 || g_entry_get(g, at.table, at.index) & P)
			return false;
		gfn = g_frame_alloc(g, G_DATA);
		entry = gfn << 12 | P | US | (m_chance(m, 80) ? A : 0);
		if (error & DMP_PF_W || m_chance(m, 60))
			entry |= RW | (m_chance(m, 60) ? D : 0);
		if (!(error & DMP_PF_I) && m_chance(m, 50) &&
		    m->mmu->paging.flags & DMP_PAGING_NX)
			entry |= NX;
		g_entry_set(g, at.table, at.index, entry);
		return true;
	}
	if (at.level != 1 || !(error & DMP_PF_W) || entry & RW || !(entry & US))
		return false;
	gfn = dmp_pte_gfn(entry);
	if (gfn >= M_GFNS || g->type[gfn] != G_DATA)
		return false;
	if (g->refs[gfn] > 1) {
		g->refs[gfn]--;
		gfn = g_frame_alloc(g, G_DATA);
	}
	g_entry_set(g, at.table, at.index,
		    gfn << 12 | (entry & NX) | P | RW | US | A | D);
	g_flush(g, gva);
	return true;
}

void g_touch(struct guest *g, u64 gva, u32 access)
{
	u64 data[8];
	unsigned int i, bytes, tries;
	u32 error;

	for (i = 0; i < 8; i++)
		data[i] = m_random(&g->m);
	bytes = 1u << m_below(&g->m, 7);
	gva = (gva & ~4095ull) + m_below(&g->m, 4096 / bytes) * bytes;
	for (tries = 0; tries < 3; tries++)
		if (m_access(&g->m, gva, access, data, bytes, &error) !=
		    ACCESS_FAULT || !handle_fault(g, gva, error))
			return;
}

void g_op_touch(struct guest *g)
{
	static const u32 kind[] = {
		DMP_ACCESS_USER, DMP_ACCESS_USER | DMP_ACCESS_WRITE,
		DMP_ACCESS_USER | DMP_ACCESS_WRITE,
		DMP_ACCESS_USER | DMP_ACCESS_FETCH,
		DMP_ACCESS_AC | DMP_ACCESS_WRITE, DMP_ACCESS_AC,
		DMP_ACCESS_WRITE, 0, DMP_ACCESS_FETCH,
	};
	unsigned int n = 1 + m_below(&g->m, 6);

	while (n--)
		g_touch(g, g_user_gva(g), kind[m_below(&g->m, 9)]);
}

void g_op_unmap(struct guest *g)
{
	u64 gva = g_user_gva(g), entry;
	struct place at = g_place_of(g, g_current(g)->root, gva, 1, false);

	entry = g_entry_get(g, at.table, at.index);
	if (at.level != 1 || !(entry & P))
		return;
	g_entry_set(g, at.table, at.index, m_chance(&g->m, 30) ?
		    m_random(&g->m) & ~P : 0);
	g_flush(g, gva);
	g_data_put(g, dmp_pte_gfn(entry));
}

/* Several entries by one store. */
void g_op_unmap_wide(struct guest *g)
{
	u64 gva = g_user_gva(g), entry[8], gfn[8];
	struct place at = g_place_of(g, g_current(g)->root, gva, 1, false);
	unsigned int n = 2u << m_below(&g->m, 3), i, put = 0;

	if (at.level != 1)
		return;
	at.index &= ~(n - 1);
	for (i = 0; i < n; i++) {
		entry[i] = g_entry_get(g, at.table, at.index + i);
		if (entry[i] & P && m_chance(&g->m, 60)) {
			gfn[put++] = dmp_pte_gfn(entry[i]);
			entry[i] = 0;
			g->m.pending++;
		}
	}
	g_kwrite(g, at.table, at.index * 8, entry, n * 8);
	m_flush_all(&g->m);
	while (put--)
		g_data_put(g, gfn[put]);
}

void g_op_protect(struct guest *g)
{
	u64 gva = g_user_gva(g), entry, change = 0;
	struct place at = g_place_of(g, g_current(g)->root, gva, 1, false);

	entry = g_entry_get(g, at.table, at.index);
	if (!(entry & P) || at.level > 2)
		return;
	if (m_chance(&g->m, 50))
		change |= RW;
	if (m_chance(&g->m, 30) && g->m.mmu->paging.flags & DMP_PAGING_NX)
		change |= NX;
	if (m_chance(&g->m, 10))
		change |= US;
	g_entry_set(g, at.table, at.index, entry ^ change);
	g_flush(g, gva);
}

void g_op_age(struct guest *g)
{
	u64 gva = g_user_gva(g), entry, clear = A;
	struct place at = g_place_of(g, g_current(g)->root, gva, 1, false);
	unsigned int i, n = 1 + m_below(&g->m, 8);
	bool dirty = m_chance(&g->m, 30);

	if (at.level != 1)
		return;
	if (dirty)
		clear |= D;
	for (i = at.index; i < at.index + n && i < DMP_ENTRIES; i++) {
		entry = g_entry_get(g, at.table, i);
		if (entry & P)
			g_entry_set(g, at.table, i, entry & ~clear);
	}
	if (dirty || m_chance(&g->m, 50))
		m_flush_all(&g->m);
	else
		g->aged = true;
}

/* Flags of an entry that links a table. */
void g_op_upper(struct guest *g)
{
	static const u64 flag[] = { A, A, RW, US, D };
	u64 gva = g_user_gva(g), entry;
	unsigned int level = 2 + m_below(&g->m, g_levels_of(g) - 1);
	struct place at = g_place_of(g, g_current(g)->root, gva, level, false);

	entry = g_entry_get(g, at.table, at.index);
	if (!(entry & P))
		return;
	g_entry_set(g, at.table, at.index, entry ^ flag[m_below(&g->m, 5)]);
	g_flush(g, gva);
	g_touch(g, gva, DMP_ACCESS_USER);
	if (m_chance(&g->m, 80)) {
		g_entry_set(g, at.table, at.index,
			    g_entry_get(g, at.table, at.index) | RW | US);
		g_flush(g, gva);
	}
}

void g_op_reserved(struct guest *g)
{
	u64 gva = g_user_gva(g), entry;
	unsigned int level = 1 + m_below(&g->m, g_levels_of(g));
	struct place at = g_place_of(g, g_current(g)->root, gva, level, false);

	entry = g_entry_get(g, at.table, at.index);
	if (!(entry & P))
		return;
	g_entry_set(g, at.table, at.index, entry | 1ull << (40 + m_below(&g->m, 12)));
	m_flush_all(&g->m);
	g_touch(g, gva, DMP_ACCESS_USER | DMP_ACCESS_WRITE);
	g_entry_set(g, at.table, at.index, entry);
	m_flush_all(&g->m);
}

/* User space maps what is no RAM, or what is a table. */
void g_op_map_odd(struct guest *g)
{
	u64 gva = g_user_gva(g), gfn, old;
	struct place at;
	unsigned int n;

	if (g->nfree < 600)
		return;
	at = g_place_of(g, g_current(g)->root, gva, 1, true);
	if (at.level != 1)
		return;
	old = g_entry_get(g, at.table, at.index);
	if (old & P)
		return;
	switch (m_below(&g->m, 4)) {
	case 0:
		gfn = M_MMIO + m_below(&g->m, 16);
		break;
	case 1:
		gfn = M_ROM + m_below(&g->m, M_ROM_PAGES);
		break;
	case 2:
		gfn = M_HOLE + m_below(&g->m, M_HOLE_PAGES);
		break;
	default:
		gfn = at.table;
	}
	g_entry_set(g, at.table, at.index, gfn << 12 | P | RW | US |
		    (m_chance(&g->m, 50) ? A | D : 0));
	for (n = 0; n < 3; n++) {
		/* Only reads of a table: what is in it must make sense. */
		g_touch(g, gva, DMP_ACCESS_USER | (m_chance(&g->m, 50) &&
			gfn != at.table ? DMP_ACCESS_WRITE : 0));
		if (gfn == at.table)
			m_access(&g->m, gva + at.index * 8,
				 DMP_ACCESS_USER | DMP_ACCESS_WRITE,
				 &m_ref(&g->m, gfn)[at.index], 8, &(u32){ 0 });
	}
	/* The next one may be left behind by an exit. */
	if (m_chance(&g->m, 20) && gfn != at.table)
		return;
	g_entry_set(g, at.table, at.index, 0);
	g_flush(g, gva);
}

/* As mremap: a whole last-level table changes its place. */
void g_op_move_table(struct guest *g)
{
	u64 from = g_user_gva(g), to = g_user_gva(g), entry;
	struct place a = g_place_of(g, g_current(g)->root, from, 2, false), b;

	if (a.level != 2 || g->nfree < 600)
		return;
	b = g_place_of(g, g_current(g)->root, to, 2, true);
	entry = g_entry_get(g, a.table, a.index);
	if (b.level != 2 || !(entry & P) || entry & PS ||
	    g_entry_get(g, b.table, b.index) & P)
		return;
	if (m_chance(&g->m, 50)) {
		g_entry_set(g, a.table, a.index, 0);
		g_entry_set(g, b.table, b.index, entry);
	} else {
		g_entry_set(g, b.table, b.index, entry);
		g_entry_set(g, a.table, a.index, 0);
	}
	m_flush_all(&g->m);
}

void g_op_share_table(struct guest *g)
{
	unsigned int level = 2 + m_below(&g->m, 2);
	int other = g_space_any(g);
	u64 gva = g_user_gva(g), entry;
	struct place a, b;

	a = g_place_of(g, g_current(g)->root, gva, level, false);
	if (a.level != level || g->nfree < 600)
		return;
	entry = g_entry_get(g, a.table, a.index);
	if (!(entry & P) || entry & PS || g->type[dmp_pte_gfn(entry)] != G_TABLE)
		return;
	b = g_place_of(g, g->space[other].root, g_user_gva(g), level, true);
	if (b.level != level || g_entry_get(g, b.table, b.index) & P)
		return;
	g->refs[dmp_pte_gfn(entry)]++;
	g->shared = true;
	g_entry_set(g, b.table, b.index, entry);
}

/*
 * ---- Large user pages ----
 */

static u64 huge_alloc(struct guest *g)
{
	u64 gfn;

	for (gfn = 0; gfn < M_GFNS; gfn += 512)
		if (g->type[gfn] == G_HUGE_FREE) {
			g->type[gfn] = G_HUGE;
			return gfn;
		}
	return 0;
}

/* A table in place of the large leaf at @at; written before it is linked. */
/*
 * A table of the kernel's is new below the level-2 table @parent. Where the
 * engine knows that the loaded root reaches it, A and D are set at once: no
 * supervisor page may take a hidden fault.
 */
static void check_new_table(struct machine *m, u64 parent, u64 table)
{
	const u64 *entry = m_real(m, table);
	struct dmp_table *above;
	unsigned int i;

	above = m->broken ? NULL : dmp_table_find(m->mmu, parent, 2);
	if (!above || !dmp_table_is_loaded(m->mmu, above))
		return;
	for (i = 0; i < DMP_ENTRIES; i++)
		if ((entry[i] & (A | D)) != (A | D))
			m_fail(m, "entry %u of the new table %#llx lacks A or D",
			       i, table);
}

void g_huge_split(struct guest *g, struct place at, u64 gva)
{
	u64 entry = g_entry_get(g, at.table, at.index), table, flags, word;
	u64 base = dmp_pte_gfn(entry) & ~511ull;
	bool fresh = !(entry & US);
	unsigned int i;

	table = g_frame_alloc(g, G_TABLE);
	flags = (entry & 0x8000000000000fffull) & ~PS;
	for (i = 0; i < DMP_ENTRIES; i++) {
		word = (base + i) << 12 | flags;
		/* Nothing obliges the kernel to keep D of its own pages. */
		if (!(entry & US) && m_chance(&g->m, 5))
			word &= ~D;
		if (i < DMP_ENTRIES - 1)
			g_kwrite(g, table, i * 8, &word, 8);
	}
	/* The last entry with another bit, about when it is linked. */
	g_kwrite(g, table, 511 * 8, &word, 8);
	/* One that the engine still took for a table it had followed before. */
	fresh = fresh && !g->m.broken && !dmp_table_find(g->m.mmu, table, 1);
	g_link_table(g, at.table, at.index,
		     table << 12 | P | RW | A | (entry & US), 511, word ^ G);
	if (fresh)
		check_new_table(&g->m, at.table, table);
	/* One INVLPG is enough for a large page. */
	if (g->m.pending == 1 && !g->shared && !g->aged) {
		m_invlpg(&g->m, gva);
		g->m.pending = 0;
	} else {
		m_flush_all(&g->m);
	}
}

void g_op_huge(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gva = g_user_gva(g), gfn, entry;
	struct place at;
	unsigned int n;

	if (g->nfree < 700)
		return;
	at = g_place_of(g, g_current(g)->root, gva, 2, true);
	entry = g_entry_get(g, at.table, at.index);
	if (at.level != 2)
		return;
	if (entry & P && entry & PS) {
		if (m_chance(m, 50)) {
			g_huge_split(g, at, gva);
			g_huge_put(g, dmp_pte_gfn(entry) & ~511ull);
			g->type[dmp_pte_gfn(entry) & ~511ull] = G_HUGE;
		} else {
			g_entry_set(g, at.table, at.index, 0);
			g_flush(g, gva);
			g_huge_put(g, dmp_pte_gfn(entry) & ~511ull);
		}
		return;
	}
	gfn = huge_alloc(g);
	if (!gfn)
		return;
	if (entry & P) {	/* collapse */
		g_entry_set(g, at.table, at.index, 0);
		m_flush_all(m);
		if (dmp_pte_gfn(entry) < M_GFNS &&
		    g->type[dmp_pte_gfn(entry)] == G_TABLE &&
		    --g->refs[dmp_pte_gfn(entry)] == 0) {
			g_table_empty(g, dmp_pte_gfn(entry), 1, DMP_ENTRIES,
				      CLEAR_NONE);
			g_frame_free(g, dmp_pte_gfn(entry));
		}
	}
	g_entry_set(g, at.table, at.index, gfn << 12 | P | RW | US | PS |
		    (m_chance(m, 70) ? A : 0) | (m_chance(m, 50) ? D : 0) |
		    (m_chance(m, 30) ? 1ull << 12 : 0));
	for (n = 0; n < 4; n++)
		g_touch(g, gva ^ m_below(m, 512) << 12, DMP_ACCESS_USER |
			(m_chance(m, 50) ? DMP_ACCESS_WRITE : 0));
	if (m_chance(m, 40)) {	/* an INVLPG for all of it */
		for (n = 0; n < 4; n++)
			m_speculate(m, (gva & ~0x1fffffull) | m_below(m, 512) << 12);
		m_flush_all(m);
		entry = g_entry_get(g, at.table, at.index);
		g_entry_set(g, at.table, at.index, entry ^ RW);
		m_invlpg(m, gva);
		m->pending = 0;
		for (n = 0; n < 8; n++)
			g_touch(g, gva ^ m_below(m, 512) << 12,
				DMP_ACCESS_USER | DMP_ACCESS_WRITE);
	}
}
