// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest; see guest.h. Everything it writes it writes through its own
 * mappings, so that the engine sees what it would see of a real one.
 */
#include <string.h>

#include "guest.h"
#include "oracle.h"

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

static u64 gva_of(const struct guest *g, unsigned int top, unsigned int i4,
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

static u64 dmap(const struct guest *g, u64 gfn)
{
	return gva_of(g, TOP_DMAP, 0, 0, gfn >> 9, gfn & 511);
}

static u64 user_gva(struct guest *g)
{
	static const u16 top[] = { 0, 0, 0, 1, 255 };
	static const u16 upper[] = { 0, 0, 1, 511 };
	static const u16 leaf[] = { 0, 1, 2, 3, 4, 5, 6, 7, 510, 511 };
	struct machine *m = &g->m;

	return gva_of(g, top[m_below(m, 5)], upper[m_below(m, 4)],
		      upper[m_below(m, 4)], m_below(m, 4), leaf[m_below(m, 10)]);
}

static struct space *current(struct guest *g)
{
	return &g->space[g->cur];
}

static unsigned int levels_of(const struct guest *g)
{
	return g->m.mmu->paging.levels;
}

/*
 * ---- Memory ----
 */

static void kwrite(struct guest *g, u64 gfn, unsigned int offset,
		   const void *data, unsigned int bytes)
{
	u32 error = 0;

	if (m_access(&g->m, dmap(g, gfn) + offset, DMP_ACCESS_WRITE, data,
		     bytes, &error) != ACCESS_DONE)
		m_fail(&g->m, "the guest's write to frame %#llx fails (%#x)",
		       gfn, error);
}

static void kzero(struct guest *g, u64 gfn)
{
	static const u8 zero[64];
	unsigned int i;

	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		kwrite(g, gfn, i, zero, 64);
}

static u64 entry_get(struct guest *g, u64 table, unsigned int index)
{
	return m_ref(&g->m, table)[index];
}

/* Stores one entry, now and then in pieces that keep it consistent. */
static void entry_set(struct guest *g, u64 table, unsigned int index, u64 value)
{
	u64 old = entry_get(g, table, index);
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
		kwrite(g, table, index * 8 + 4, (char *)&value + 4, 4);
		bytes = 4;
	} else if (bytes == 8 && m_chance(m, 5) && !(value & P)) {
		kwrite(g, table, index * 8, &value, 4);
		kwrite(g, table, index * 8 + 4, (char *)&value + 4, 4);
		return;
	}
	kwrite(g, table, index * 8, &value, bytes);
}

static u64 find_free(struct guest *g)
{
	u64 gfn = m_below(&g->m, M_GFNS), tries;

	for (tries = 0; tries < M_GFNS; tries++, gfn = (gfn + 1) % M_GFNS)
		if (g->type[gfn] == G_FREE && m_is_ram(&g->m, gfn))
			return gfn;
	m_fail(&g->m, "the guest is out of memory");
}

/* Prefers frames freed lately: they are what the engine may still know. */
static u64 frame_alloc(struct guest *g, enum frame_type type)
{
	u64 gfn, pick, tries;
	u64 word[4];
	int i;

	gfn = find_free(g);
	for (tries = 0; tries < 4; tries++) {
		pick = m_below(&g->m, M_GFNS);
		if (g->type[pick] == G_FREE && m_is_ram(&g->m, pick) &&
		    g->refs[pick])
			gfn = pick;
	}
	g->type[gfn] = type;
	g->refs[gfn] = 1;
	g->nfree--;
	if (type == G_TABLE || type == G_ROOT) {
		kzero(g, gfn);
	} else {
		for (i = 0; i < 4; i++)
			word[i] = m_random(&g->m);
		kwrite(g, gfn, 8 * m_below(&g->m, 508), word, sizeof(word));
	}
	return gfn;
}

/* Type FREE with refs nonzero: freed once. */
static void frame_free(struct guest *g, u64 gfn)
{
	g->type[gfn] = G_FREE;
	g->refs[gfn] = 1;
	g->nfree++;
}

static void data_put(struct guest *g, u64 gfn)
{
	if (gfn >= M_GFNS || g->type[gfn] != G_DATA)
		return;
	if (--g->refs[gfn] == 0)
		frame_free(g, gfn);
}

static void flush(struct guest *g, u64 gva)
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

struct place {
	u64 table;
	unsigned int index, level;
};

static u64 table_flags(struct guest *g)
{
	return P | RW | US | (m_chance(&g->m, 60) ? A : 0) |
	       (m_chance(&g->m, 30) ? D : 0);
}

/*
 * Links the new table @table at @index of @parent, while another CPU writes
 * entry @last of it through the direct map: before, or after, never lost.
 */
static void link_table(struct guest *g, u64 parent, unsigned int index,
		       u64 entry, unsigned int last, u64 value)
{
	u64 table = dmp_pte_gfn(entry), gva = dmap(g, table) + last * 8;
	struct machine *m = &g->m;

	m_speculate(m, gva);
	m->race_gva = gva;
	m->race_value = value;
	m->race_armed = true;
	entry_set(g, parent, index, entry);
	if (m->race_armed)
		kwrite(g, table, last * 8, &value, 8);
	m->race_armed = false;
	m->race_gva = 0;
}

/*
 * Where the entry for @gva at @level is. Without @make, stops where a table
 * is missing; always stops at a large leaf.
 */
static struct place place_of(struct guest *g, u64 root, u64 gva,
			     unsigned int level, bool make)
{
	struct place at = { .table = root, .level = levels_of(g) };
	u64 entry, table;

	for (;; at.level--) {
		at.index = dmp_index(gva, at.level);
		if (at.level == level)
			return at;
		entry = entry_get(g, at.table, at.index);
		if (!(entry & P)) {
			if (!make)
				return at;
			table = frame_alloc(g, G_TABLE);
			entry = table << 12 | table_flags(g);
			if (at.level == 2)
				link_table(g, at.table, at.index, entry, 300,
					   (u64)M_ROM << 12 | P | US | A);
			else
				entry_set(g, at.table, at.index, entry);
		} else if (oracle_leaf(entry, at.level)) {
			return at;
		}
		at.table = dmp_pte_gfn(entry);
	}
}

static void huge_put(struct guest *g, u64 gfn)
{
	if (gfn < M_GFNS && g->type[gfn] == G_HUGE)
		g->type[gfn] = G_HUGE_FREE;
}

enum teardown { CLEAR_ALL, CLEAR_BELOW_TOP, CLEAR_NONE };

/* Frees what @table links below it. The table's own frame stays. */
static void table_empty(struct guest *g, u64 table, unsigned int level,
			unsigned int count, enum teardown how)
{
	bool top = level == levels_of(g);
	unsigned int i;
	u64 entry, gfn;

	for (i = 0; i < count; i++) {
		entry = entry_get(g, table, i);
		if (!(entry & P))
			continue;
		gfn = dmp_pte_gfn(entry);
		if (how == CLEAR_ALL || (how == CLEAR_BELOW_TOP && !top))
			entry_set(g, table, i, 0);
		if (oracle_leaf(entry, level)) {
			if (level > 1)
				huge_put(g, gfn);
			else
				data_put(g, gfn);
			continue;
		}
		if (gfn >= M_GFNS || g->type[gfn] != G_TABLE)
			continue;
		if (--g->refs[gfn])
			continue;
		table_empty(g, gfn, level - 1, DMP_ENTRIES, how);
		frame_free(g, gfn);
	}
}

/*
 * ---- Address spaces ----
 */

static void copy_kernel_half(struct guest *g, u64 root)
{
	unsigned int i;
	u64 entry;

	for (i = 256; i < DMP_ENTRIES; i++) {
		entry = entry_get(g, g->kernel_root, i);
		if (entry && i != TOP_SELF)
			entry_set(g, root, i, entry);
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
	g->space[i].root = frame_alloc(g, G_ROOT);
	copy_kernel_half(g, g->space[i].root);
	return i;
}

static void switch_to(struct guest *g, int i)
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

static int space_any(struct guest *g)
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

	table_empty(g, s->root, levels_of(g), 256, how);
	frame_free(g, s->root);
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
		entry = entry_get(g, from, i);
		if (!(entry & P))
			continue;
		child = dmp_pte_gfn(entry);
		if (!oracle_leaf(entry, level)) {
			if (child >= M_GFNS || g->type[child] != G_TABLE ||
			    g->nfree < 1500)
				continue;
			child = frame_alloc(g, G_TABLE);
			copy_tables(g, dmp_pte_gfn(entry), child, level - 1,
				    DMP_ENTRIES);
			entry_set(g, to, i, child << 12 | table_flags(g));
		} else if (level == 1 && child < M_GFNS &&
			   g->type[child] == G_DATA && entry & US) {
			entry &= ~RW;
			entry_set(g, from, i, entry);
			entry_set(g, to, i, entry & ~A);
			g->refs[child]++;
		}
	}
}

static void op_fork(struct guest *g)
{
	int child;

	if (g->nfree < 1900)
		return;
	child = space_new(g);
	if (child < 0)
		return;
	copy_tables(g, current(g)->root, g->space[child].root, levels_of(g), 256);
	m_flush_all(&g->m);
	if (m_chance(&g->m, 60))
		switch_to(g, child);
}

static void op_spawn(struct guest *g)
{
	int child = space_new(g);

	if (child >= 0)
		switch_to(g, child);
}

/* What no root links any more is no live table, and is let go of. */
static void op_query(struct guest *g)
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
		if (!m_is_linked(m, gfn))
			m_fail(m, "dead table %#llx is said to live", gfn);
	} else if (m_is_held(m, gfn)) {
		m_fail(m, "frame %#llx is held and said to be no table", gfn);
	}
	m_check_tlb(m);
}

static void op_exit(struct guest *g)
{
	int i = space_any(g), other;
	enum teardown how = m_below(&g->m, 3);

	if (!i)
		return;
	if ((unsigned int)i == g->cur) {
		/* Linux tears down lazily: the tables are loaded meanwhile. */
		if (m_chance(&g->m, 50)) {
			table_empty(g, g->space[i].root, levels_of(g), 256,
				    CLEAR_ALL);
			m_flush_all(&g->m);
		}
		other = space_any(g);
		switch_to(g, other == i ? 0 : other);
	}
	space_free(g, i, how);
	op_query(g);
}

static void op_switch(struct guest *g)
{
	switch_to(g, space_any(g));
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
			entry = entry_get(g, current(g)->root, k);
			if (!(entry & P) || dmp_pte_gfn(entry) >= M_GFNS ||
			    g->type[dmp_pte_gfn(entry)] != G_TABLE)
				continue;
			g->refs[dmp_pte_gfn(entry)]++;
			entry_set(g, g->space[s].root, k, entry);
			g->shared = true;
		}
		switch_to(g, s);
	}
}

void g_switch(struct guest *g)
{
	op_switch(g);
}

static void op_many_roots(struct guest *g)
{
	if (m_chance(&g->m, 15))
		g_many_roots(g, m_below(&g->m, 140));
}

/*
 * ---- User memory ----
 */

/* The guest's page-fault handler; false: nothing it would mend. */
static bool handle_fault(struct guest *g, u64 gva, u32 error)
{
	struct machine *m = &g->m;
	struct place at;
	u64 entry, gfn;

	if (error & DMP_PF_RSVD)
		return false;
	at = place_of(g, current(g)->root, gva, 1, false);
	entry = entry_get(g, at.table, at.index);
	if (!(error & DMP_PF_P)) {
		if (g->nfree < 600)
			return false;
		at = place_of(g, current(g)->root, gva, 1, true);
		if (at.level != 1 || entry_get(g, at.table, at.index) & P)
			return false;
		gfn = frame_alloc(g, G_DATA);
		entry = gfn << 12 | P | US | (m_chance(m, 80) ? A : 0);
		if (error & DMP_PF_W || m_chance(m, 60))
			entry |= RW | (m_chance(m, 60) ? D : 0);
		if (!(error & DMP_PF_I) && m_chance(m, 50) &&
		    m->mmu->paging.flags & DMP_PAGING_NX)
			entry |= NX;
		entry_set(g, at.table, at.index, entry);
		return true;
	}
	if (at.level != 1 || !(error & DMP_PF_W) || entry & RW || !(entry & US))
		return false;
	gfn = dmp_pte_gfn(entry);
	if (gfn >= M_GFNS || g->type[gfn] != G_DATA)
		return false;
	if (g->refs[gfn] > 1) {
		g->refs[gfn]--;
		gfn = frame_alloc(g, G_DATA);
	}
	entry_set(g, at.table, at.index,
		  gfn << 12 | (entry & NX) | P | RW | US | A | D);
	flush(g, gva);
	return true;
}

static void touch(struct guest *g, u64 gva, u32 access)
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

static void op_touch(struct guest *g)
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
		touch(g, user_gva(g), kind[m_below(&g->m, 9)]);
}

static void op_unmap(struct guest *g)
{
	u64 gva = user_gva(g), entry;
	struct place at = place_of(g, current(g)->root, gva, 1, false);

	entry = entry_get(g, at.table, at.index);
	if (at.level != 1 || !(entry & P))
		return;
	entry_set(g, at.table, at.index, m_chance(&g->m, 30) ?
		  m_random(&g->m) & ~P : 0);
	flush(g, gva);
	data_put(g, dmp_pte_gfn(entry));
}

/* Several entries by one store. */
static void op_unmap_wide(struct guest *g)
{
	u64 gva = user_gva(g), entry[8], gfn[8];
	struct place at = place_of(g, current(g)->root, gva, 1, false);
	unsigned int n = 2u << m_below(&g->m, 3), i, put = 0;

	if (at.level != 1)
		return;
	at.index &= ~(n - 1);
	for (i = 0; i < n; i++) {
		entry[i] = entry_get(g, at.table, at.index + i);
		if (entry[i] & P && m_chance(&g->m, 60)) {
			gfn[put++] = dmp_pte_gfn(entry[i]);
			entry[i] = 0;
			g->m.pending++;
		}
	}
	kwrite(g, at.table, at.index * 8, entry, n * 8);
	m_flush_all(&g->m);
	while (put--)
		data_put(g, gfn[put]);
}

static void op_protect(struct guest *g)
{
	u64 gva = user_gva(g), entry, change = 0;
	struct place at = place_of(g, current(g)->root, gva, 1, false);

	entry = entry_get(g, at.table, at.index);
	if (!(entry & P) || at.level > 2)
		return;
	if (m_chance(&g->m, 50))
		change |= RW;
	if (m_chance(&g->m, 30) && g->m.mmu->paging.flags & DMP_PAGING_NX)
		change |= NX;
	if (m_chance(&g->m, 10))
		change |= US;
	entry_set(g, at.table, at.index, entry ^ change);
	flush(g, gva);
}

static void op_age(struct guest *g)
{
	u64 gva = user_gva(g), entry, clear = A;
	struct place at = place_of(g, current(g)->root, gva, 1, false);
	unsigned int i, n = 1 + m_below(&g->m, 8);
	bool dirty = m_chance(&g->m, 30);

	if (at.level != 1)
		return;
	if (dirty)
		clear |= D;
	for (i = at.index; i < at.index + n && i < DMP_ENTRIES; i++) {
		entry = entry_get(g, at.table, i);
		if (entry & P)
			entry_set(g, at.table, i, entry & ~clear);
	}
	if (dirty || m_chance(&g->m, 50))
		m_flush_all(&g->m);
	else
		g->aged = true;
}

/* Flags of an entry that links a table. */
static void op_upper(struct guest *g)
{
	static const u64 flag[] = { A, A, RW, US, D };
	u64 gva = user_gva(g), entry;
	unsigned int level = 2 + m_below(&g->m, levels_of(g) - 1);
	struct place at = place_of(g, current(g)->root, gva, level, false);

	entry = entry_get(g, at.table, at.index);
	if (!(entry & P))
		return;
	entry_set(g, at.table, at.index, entry ^ flag[m_below(&g->m, 5)]);
	flush(g, gva);
	touch(g, gva, DMP_ACCESS_USER);
	if (m_chance(&g->m, 80)) {
		entry_set(g, at.table, at.index,
			  entry_get(g, at.table, at.index) | RW | US);
		flush(g, gva);
	}
}

static void op_reserved(struct guest *g)
{
	u64 gva = user_gva(g), entry;
	unsigned int level = 1 + m_below(&g->m, levels_of(g));
	struct place at = place_of(g, current(g)->root, gva, level, false);

	entry = entry_get(g, at.table, at.index);
	if (!(entry & P))
		return;
	entry_set(g, at.table, at.index, entry | 1ull << (40 + m_below(&g->m, 12)));
	m_flush_all(&g->m);
	touch(g, gva, DMP_ACCESS_USER | DMP_ACCESS_WRITE);
	entry_set(g, at.table, at.index, entry);
	m_flush_all(&g->m);
}

/* User space maps what is no RAM, or what is a table. */
static void op_map_odd(struct guest *g)
{
	u64 gva = user_gva(g), gfn, old;
	struct place at;
	unsigned int n;

	if (g->nfree < 600)
		return;
	at = place_of(g, current(g)->root, gva, 1, true);
	if (at.level != 1)
		return;
	old = entry_get(g, at.table, at.index);
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
	entry_set(g, at.table, at.index, gfn << 12 | P | RW | US |
		  (m_chance(&g->m, 50) ? A | D : 0));
	for (n = 0; n < 3; n++) {
		/* Only reads of a table: what is in it must make sense. */
		touch(g, gva, DMP_ACCESS_USER | (m_chance(&g->m, 50) &&
		      gfn != at.table ? DMP_ACCESS_WRITE : 0));
		if (gfn == at.table)
			m_access(&g->m, gva + at.index * 8,
				 DMP_ACCESS_USER | DMP_ACCESS_WRITE,
				 &m_ref(&g->m, gfn)[at.index], 8, &(u32){ 0 });
	}
	/* The next one may be left behind by an exit. */
	if (m_chance(&g->m, 20) && gfn != at.table)
		return;
	entry_set(g, at.table, at.index, 0);
	flush(g, gva);
}

/* As mremap: a whole last-level table changes its place. */
static void op_move_table(struct guest *g)
{
	u64 from = user_gva(g), to = user_gva(g), entry;
	struct place a = place_of(g, current(g)->root, from, 2, false), b;

	if (a.level != 2 || g->nfree < 600)
		return;
	b = place_of(g, current(g)->root, to, 2, true);
	entry = entry_get(g, a.table, a.index);
	if (b.level != 2 || !(entry & P) || entry & PS ||
	    entry_get(g, b.table, b.index) & P)
		return;
	if (m_chance(&g->m, 50)) {
		entry_set(g, a.table, a.index, 0);
		entry_set(g, b.table, b.index, entry);
	} else {
		entry_set(g, b.table, b.index, entry);
		entry_set(g, a.table, a.index, 0);
	}
	m_flush_all(&g->m);
}

static void op_share_table(struct guest *g)
{
	unsigned int level = 2 + m_below(&g->m, 2);
	int other = space_any(g);
	u64 gva = user_gva(g), entry;
	struct place a, b;

	a = place_of(g, current(g)->root, gva, level, false);
	if (a.level != level || g->nfree < 600)
		return;
	entry = entry_get(g, a.table, a.index);
	if (!(entry & P) || entry & PS || g->type[dmp_pte_gfn(entry)] != G_TABLE)
		return;
	b = place_of(g, g->space[other].root, user_gva(g), level, true);
	if (b.level != level || entry_get(g, b.table, b.index) & P)
		return;
	g->refs[dmp_pte_gfn(entry)]++;
	g->shared = true;
	entry_set(g, b.table, b.index, entry);
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
static void huge_split(struct guest *g, struct place at, u64 gva)
{
	u64 entry = entry_get(g, at.table, at.index), table, flags, word;
	u64 base = dmp_pte_gfn(entry) & ~511ull;
	unsigned int i;

	table = frame_alloc(g, G_TABLE);
	flags = (entry & 0x8000000000000fffull) & ~PS;
	for (i = 0; i < DMP_ENTRIES; i++) {
		word = (base + i) << 12 | flags;
		if (i < DMP_ENTRIES - 1)
			kwrite(g, table, i * 8, &word, 8);
	}
	/* The last entry with another bit, about when it is linked. */
	kwrite(g, table, 511 * 8, &word, 8);
	link_table(g, at.table, at.index,
		   table << 12 | P | RW | A | (entry & US), 511, word ^ G);
	/* One INVLPG is enough for a large page. */
	if (g->m.pending == 1 && !g->shared && !g->aged) {
		m_invlpg(&g->m, gva);
		g->m.pending = 0;
	} else {
		m_flush_all(&g->m);
	}
}

static void op_huge(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gva = user_gva(g), gfn, entry;
	struct place at;
	unsigned int n;

	if (g->nfree < 700)
		return;
	at = place_of(g, current(g)->root, gva, 2, true);
	entry = entry_get(g, at.table, at.index);
	if (at.level != 2)
		return;
	if (entry & P && entry & PS) {
		if (m_chance(m, 50)) {
			huge_split(g, at, gva);
			huge_put(g, dmp_pte_gfn(entry) & ~511ull);
			g->type[dmp_pte_gfn(entry) & ~511ull] = G_HUGE;
		} else {
			entry_set(g, at.table, at.index, 0);
			flush(g, gva);
			huge_put(g, dmp_pte_gfn(entry) & ~511ull);
		}
		return;
	}
	gfn = huge_alloc(g);
	if (!gfn)
		return;
	if (entry & P) {	/* collapse */
		entry_set(g, at.table, at.index, 0);
		m_flush_all(m);
		if (dmp_pte_gfn(entry) < M_GFNS &&
		    g->type[dmp_pte_gfn(entry)] == G_TABLE &&
		    --g->refs[dmp_pte_gfn(entry)] == 0) {
			table_empty(g, dmp_pte_gfn(entry), 1, DMP_ENTRIES,
				    CLEAR_NONE);
			frame_free(g, dmp_pte_gfn(entry));
		}
	}
	entry_set(g, at.table, at.index, gfn << 12 | P | RW | US | PS |
		  (m_chance(m, 70) ? A : 0) | (m_chance(m, 50) ? D : 0) |
		  (m_chance(m, 30) ? 1ull << 12 : 0));
	for (n = 0; n < 4; n++)
		touch(g, gva ^ m_below(m, 512) << 12, DMP_ACCESS_USER |
		      (m_chance(m, 50) ? DMP_ACCESS_WRITE : 0));
	if (m_chance(m, 40)) {	/* an INVLPG for all of it */
		for (n = 0; n < 4; n++)
			m_speculate(m, (gva & ~0x1fffffull) | m_below(m, 512) << 12);
		m_flush_all(m);
		entry = entry_get(g, at.table, at.index);
		entry_set(g, at.table, at.index, entry ^ RW);
		m_invlpg(m, gva);
		m->pending = 0;
		for (n = 0; n < 8; n++)
			touch(g, gva ^ m_below(m, 512) << 12,
			      DMP_ACCESS_USER | DMP_ACCESS_WRITE);
	}
}

/*
 * ---- The kernel's own mappings ----
 */

static void op_vmalloc(struct guest *g)
{
	struct machine *m = &g->m;
	unsigned int i2 = m_below(m, 3), i1 = m_below(m, 32);
	u64 gva = gva_of(g, TOP_VMALLOC, 0, 0, i2, i1), entry, table;
	u32 error;

	entry = entry_get(g, g->vmalloc_l2, i2);
	if (!(entry & P)) {
		table = frame_alloc(g, G_TABLE);
		entry = table << 12 | P | RW | (m_chance(m, 50) ? A : 0);
		entry_set(g, g->vmalloc_l2, i2, entry);
	}
	table = dmp_pte_gfn(entry);
	entry = entry_get(g, table, i1);
	if (entry & P) {
		m_access(m, gva, DMP_ACCESS_WRITE, &entry, 8, &error);
		if (m_chance(m, 30)) {	/* text: read-only, executable */
			entry_set(g, table, i1, (entry & ~(RW | NX)) | P);
		} else {
			entry_set(g, table, i1, 0);
			data_put(g, dmp_pte_gfn(entry));
		}
		m_flush_all(m);
		g->aged = false;
		return;
	}
	if (g->nfree < 500)
		return;
	entry = frame_alloc(g, G_DATA) << 12 | P | RW | G;
	if (m_chance(m, 50))
		entry |= A | D;
	if (m->mmu->paging.flags & DMP_PAGING_NX)
		entry |= NX;
	entry_set(g, table, i1, entry);
	m_access(m, gva, DMP_ACCESS_WRITE, &entry, 8, &error);
}

/* A vmalloc alias, writable, of a frame that is or becomes a table. */
static void op_alias(struct guest *g)
{
	struct machine *m = &g->m;
	u64 entry = entry_get(g, g->vmalloc_l2, 0), table, gfn, alias, gva;
	unsigned int i1 = 64 + m_below(m, 8);
	struct place at = { 0 };
	u32 error;

	if (!(entry & P) || g->nfree < 500)
		return;
	table = dmp_pte_gfn(entry);
	entry = entry_get(g, table, i1);
	alias = gva_of(g, TOP_VMALLOC, 0, 0, 0, i1);
	if (entry & P) {
		/* Written through the alias, to the value that is there. */
		gfn = dmp_pte_gfn(entry);
		if (g->type[gfn] == G_TABLE)
			m_access(m, alias + 8 * i1, DMP_ACCESS_WRITE,
				 &m_ref(m, gfn)[i1], 8, &error);
		entry_set(g, table, i1, 0);
		m_flush_all(m);
		g->aged = false;
		return;
	}
	gfn = m_chance(m, 50) ? find_free(g) : table;
	if (m_chance(m, 60)) {	/* a table of a user's, anywhere */
		gva = user_gva(g);
		at = place_of(g, current(g)->root, gva, 2, true);
		gfn = place_of(g, current(g)->root, gva, 1, true).table;
	}
	/* The same index as in the direct mapping, now and then. */
	entry_set(g, table, m_chance(m, 20) && !(entry_get(g, table, gfn & 511) & P) &&
		  (gfn & 511) >= 64 && (gfn & 511) < 72 ?
		  gfn & 511 : i1, gfn << 12 | P | RW | G |
		  (m_chance(m, 60) ? A | D : 0));
	m_speculate(m, alias);
	/* The table goes, its alias stays. */
	if (at.level != 2 || g->type[gfn] != G_TABLE || g->refs[gfn] != 1 ||
	    dmp_pte_gfn(entry_get(g, at.table, at.index)) != gfn)
		return;
	entry_set(g, at.table, at.index, 0);
	m_flush_all(m);
	g->aged = false;
	table_empty(g, gfn, 1, DMP_ENTRIES, CLEAR_NONE);
	frame_free(g, gfn);
}

/* The direct map is split for protections, and joined again. */
static void op_dmap(struct guest *g)
{
	struct machine *m = &g->m;
	unsigned int i = m_below(m, M_GFNS / 512), k;
	u64 entry, table, word;
	struct place at;

	if (g->dmap_1g)
		return;
	entry = entry_get(g, g->dmap_l2, i);
	if (!(entry & P) || g->nfree < 300)
		return;
	at = (struct place){ .table = g->dmap_l2, .index = i, .level = 2 };
	if (entry & PS) {
		huge_split(g, at, dmap(g, i * 512));
		m_flush_all(m);
		return;
	}
	table = dmp_pte_gfn(entry);
	if (m_chance(m, 50)) {	/* a page read-only, and back */
		k = m_below(m, DMP_ENTRIES);
		if (g->type[i * 512 + k] != G_DATA &&
		    g->type[i * 512 + k] != G_FREE)
			return;
		word = entry_get(g, table, k);
		entry_set(g, table, k, word & ~RW);
		m_flush_all(m);
		touch(g, user_gva(g), DMP_ACCESS_USER);
		if (!(entry_get(g, table, k) & RW)) {
			entry_set(g, table, k, word | RW);
			m_flush_all(m);
		}
		return;
	}
	for (k = 0; k < DMP_ENTRIES; k++)
		if (!(entry_get(g, table, k) & RW) ||
		    !(entry_get(g, table, k) & P))
			return;
	entry_set(g, g->dmap_l2, i, (u64)i * 512 << 12 | P | RW | PS | A | D | G);
	m_flush_all(m);
	frame_free(g, table);
}

static void op_self_map(struct guest *g)
{
	struct machine *m = &g->m;
	struct space *s = current(g);
	u64 entry, self;
	unsigned int i;
	u32 error;

	if (!g->cur)
		return;
	entry = entry_get(g, s->root, TOP_SELF);
	if (!(entry & P)) {
		entry_set(g, s->root, TOP_SELF, s->root << 12 | P | RW |
			  (m_chance(m, 70) ? A | D : 0) |
			  (m->mmu->paging.flags & DMP_PAGING_NX ? NX : 0));
		s->self_map = true;
	}
	for (i = 0; i < 4; i++) {
		static const u16 index[] = { 0, 1, 255, TOP_DMAP, TOP_SELF };

		self = gva_of(g, TOP_SELF, TOP_SELF, TOP_SELF, TOP_SELF, TOP_SELF);
		self += 8 * index[m_below(m, 5)];
		m_access(m, self, 0, NULL, 8, &error);
		entry = m_ref(m, s->root)[(self & 4095) / 8] ^ 0x200;
		if (entry & P)
			m_access(m, self, DMP_ACCESS_WRITE, &entry, 8, &error);
	}
	/* Tables of lower levels, through the self-map. */
	self = gva_of(g, TOP_SELF, 0, 0, 0, 0);
	m_access(m, self + 4096 * m_below(m, 4), 0, NULL, 8, &error);
	if (m_chance(m, 40)) {
		u64 two[2] = { 0, 0 };

		/* With its neighbour, by one store. */
		if (m_chance(m, 50))
			kwrite(g, s->root, TOP_SELF * 8, two, 16);
		else
			entry_set(g, s->root, TOP_SELF, 0);
		m_flush_all(m);
		g->aged = false;
	}
}

/*
 * ---- Frames that are nobody's, devices, the VMM ----
 */

static void op_garbage(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gfn = find_free(g), word[8];
	unsigned int i, n = 1 + m_below(m, 16);

	while (n--) {
		for (i = 0; i < 8; i++)
			word[i] = m_chance(m, 50) ? m_random(m) :
				  m_below(m, M_GFNS + 8) << 12 |
				  (m_random(m) & 0xfff);
		kwrite(g, gfn, m_below(m, 64) * 64, word, 64);
	}
}

static void op_dma(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gfn = find_free(g), word[8];
	unsigned int i, bytes = 1 + m_below(m, 64);

	for (i = 0; i < 8; i++)
		word[i] = m_random(m);
	m_vmm_write(m, gfn << 12 | m_below(m, 4097 - bytes), word, bytes);
}

static void op_vmm_walk(struct guest *g)
{
	m_vmm_walk(&g->m, user_gva(g), m_chance(&g->m, 30));
	g->m.unsynced = true;
}

/* A root that is not loaded loses an entry and gets the same one again. */
static void op_top_again(struct guest *g)
{
	int i = space_any(g);
	u64 root = g->space[i].root, entry;
	unsigned int index = m_below(&g->m, 2);

	entry = entry_get(g, root, index);
	if ((unsigned int)i == g->cur || !(entry & P) ||
	    g->type[dmp_pte_gfn(entry)] != G_TABLE)
		return;
	entry_set(g, root, index, 0);
	if (m_chance(&g->m, 70))
		kwrite(g, dmp_pte_gfn(entry), 8 * 400, &(u64){ 0x100 }, 8);
	entry_set(g, root, index, entry);
	m_flush_all(&g->m);
	if (m_chance(&g->m, 70))
		switch_to(g, i);
}

/* An upper entry that points nowhere, and that nobody walks. */
static void op_link_nowhere(struct guest *g)
{
	u64 gva = user_gva(g), entry, nowhere;
	unsigned int level = 2 + m_below(&g->m, levels_of(g) - 1);
	struct place at = place_of(g, current(g)->root, gva, level, false);

	entry = entry_get(g, at.table, at.index);
	if (at.level != level || entry & P)
		return;
	nowhere = m_chance(&g->m, 50) ? M_MMIO : M_ROM;
	entry_set(g, at.table, at.index, nowhere << 12 | P | RW | US | A);
	m_audit(&g->m);
	entry_set(g, at.table, at.index, entry);
	m_flush_all(&g->m);
	g->aged = false;
}

static void op_speculate(struct guest *g)
{
	unsigned int n = 1 + m_below(&g->m, 24);

	while (n--)
		m_speculate(&g->m, m_chance(&g->m, 50) ? user_gva(g) :
			    dmap(g, m_below(&g->m, M_GFNS)));
}

static const struct op {
	const char *name;
	void (*run)(struct guest *g);
	unsigned int weight;
} ops[] = {
	{ "touch", op_touch, 30 },
	{ "unmap", op_unmap, 6 },
	{ "unmap wide", op_unmap_wide, 3 },
	{ "protect", op_protect, 5 },
	{ "age", op_age, 5 },
	{ "upper flags", op_upper, 4 },
	{ "reserved bit", op_reserved, 2 },
	{ "map odd", op_map_odd, 4 },
	{ "move table", op_move_table, 3 },
	{ "share table", op_share_table, 1 },
	{ "huge", op_huge, 4 },
	{ "vmalloc", op_vmalloc, 5 },
	{ "alias", op_alias, 4 },
	{ "direct map", op_dmap, 3 },
	{ "self map", op_self_map, 2 },
	{ "garbage", op_garbage, 6 },
	{ "dma", op_dma, 3 },
	{ "vmm walk", op_vmm_walk, 1 },
	{ "query", op_query, 4 },
	{ "top again", op_top_again, 3 },
	{ "link nowhere", op_link_nowhere, 2 },
	{ "speculate", op_speculate, 10 },
	{ "fork", op_fork, 4 },
	{ "spawn", op_spawn, 2 },
	{ "exit", op_exit, 5 },
	{ "switch", op_switch, 8 },
	{ "many roots", op_many_roots, 1 },
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
	u64 gfn = find_free(g);
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

	for (level = levels_of(g); level > 2; level--) {
		index = level == levels_of(g) ? top : level == 3 ? i3 : 0;
		next = boot_frame(g);
		boot_set(g, table, index, next << 12 | P | RW | A);
		table = next;
	}
	return table;
}

void g_boot(struct guest *g, u64 seed, unsigned int levels)
{
	static const u16 modes[] = {
		DMP_PAGING_NX | DMP_PAGING_SMEP | DMP_PAGING_SMAP | DMP_PAGING_GBPAGES,
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
			l3 = dmp_pte_gfn(entry_get(g, l3, i == levels ? TOP_DMAP : 0));
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
