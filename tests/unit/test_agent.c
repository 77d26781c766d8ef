// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent on the model machine, stopped at each of its steps, and without
 * room in its log at each of its changes; the pool; their audit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "code/agent.h"
#include "agent_case.h"
#include "guest_parts.h"
#include "model_parts.h"
#include "mmu/walk.h"
#include "splicer/pool.h"
#include "splicer_case.h"

/* What is done again and again: @undo makes it possible anew. */
struct deed {
	const char *name;
	void (*make)(u64 table, unsigned int index, u64 gfn);
	void (*undo)(u64 table, unsigned int index, u64 gfn);
	unsigned int level;	/* of the table it is done in */
	unsigned int least;	/* of steps it has */
};

static void clear(u64 table, unsigned int index, u64 gfn)
{
	(void)gfn;
	g_stub_set(guest, table, index, 0);
	m_flush_all(&guest->m);
}

static void make_link(u64 table, unsigned int index, u64 gfn)
{
	g_stub_set(guest, table, index, agent_link(gfn));
}

static void make_lazy(u64 table, unsigned int index, u64 gfn)
{
	g_stub_set(guest, table, index, (gfn << 12 | P | RW | US | D));
}

/* Two writable frames change places. */
static void make_other(u64 table, unsigned int index, u64 gfn)
{
	g_stub_set(guest, table, index, (gfn << 12 | P | RW | US | A | D));
	g_stub_set(guest, table, index, ((gfn ^ 1) << 12 | P | RW | US | A | D));
	m_flush_all(&guest->m);
}

/* A writable frame stays, by another entry: it is counted twice. */
static void make_same(u64 table, unsigned int index, u64 gfn)
{
	g_stub_set(guest, table, index, gfn << 12 | P | RW | A | D);
}

static void undo_same(u64 table, unsigned int index, u64 gfn)
{
	g_stub_set(guest, table, index, gfn << 12 | P | RW | US | A | D);
	m_flush_all(&guest->m);
}

/* 2 MiB that a process has for itself. */
static u64 large_leaf(u64 flags)
{
	u64 gfn = 0;

	while (gfn < M_GFNS && guest->type[gfn] != G_HUGE_FREE)
		gfn += 512;
	assert_true(gfn < M_GFNS);
	return gfn << 12 | P | US | PS | flags;
}

static void make_large(u64 table, unsigned int index, u64 gfn)
{
	(void)gfn;
	g_stub_set(guest, table, index, large_leaf(RW | A | D | NX));
}

static void make_large_read_only(u64 table, unsigned int index, u64 gfn)
{
	(void)gfn;
	g_stub_set(guest, table, index, large_leaf(A | 1 << 12));
	m_flush_all(&guest->m);
}

static void make_large_lazy(u64 table, unsigned int index, u64 gfn)
{
	(void)gfn;
	g_stub_set(guest, table, index, large_leaf(RW | D));
	m_flush_all(&guest->m);
}

/* Another entry links the table, too. */
static void link_twice(u64 table, unsigned int index, u64 gfn)
{
	make_link(table, index + 2, gfn);
	make_link(table, index, gfn);
	m_flush_all(&guest->m);
}

static const struct deed deeds[] = {
	{ "large page", make_large, clear, 2, 1000 },
	{ "large page gone", clear, make_large, 2, 1000 },
	{ "large page read-only", make_large_read_only, make_large, 2, 1000 },
	{ "large page writable", make_large, make_large_read_only, 2, 1000 },
	{ "large page aged", make_large_lazy, make_large, 2, 1000 },
	{ "link", make_link, clear, 2, 15 },
	{ "unlink", clear, make_link, 2, 15 },
	{ "unlink one of two", clear, link_twice, 2, 5 },
	{ "lazy leaf", make_lazy, clear, 1, 3 },
	{ "other leaf", make_other, clear, 1, 5 },
	{ "same frame", make_same, undo_same, 1, 5 },
};

static void attempt(const struct deed *d, const u64 table[3], u64 gfn)
{
	struct machine *m = &guest->m;

	d->make(table[d->level], 7, gfn);
	c_check(m);
	m_check_machine(m);
}

/* Everything as if the agent had not been there, wherever it stops. */
static void stop_everywhere(const struct deed *d, unsigned int levels, bool log)
{
	struct machine *m;
	u64 table[3], gfn, stops, dones;
	unsigned int n;
	struct text t;

	agent_begin(&t, 2, levels, table, &gfn);
	m = &guest->m;
	m->op = d->name;
	/* In the loops of large pages one step in some is enough. */
	for (n = 1;; n += n < 40 || log ? 1 : 29) {
		d->undo(table[d->level], 7, gfn);
		stops = m->agent_stops + m->agent_asks;
		dones = m->agent_dones;
		/* A way that stubs have not gone yet: it is to be marked. */
		dmp_table_of(m->mmu, m->records[gfn].dmap_table)->flags &=
			~DMP_TABLE_PATH;
		/* Large pages need tables: none that was left by the last stop. */
		m->in_engine = true;
		dmp_pool_settle(m->mmu);
		m_after_call(m);
		m->agent_stop = log ? 0 : n;
		m->agent_room = log ? n : 0;
		attempt(d, table, gfn);
		m->agent_stop = 0;
		m->agent_room = 0;
		if (m->agent_stops + m->agent_asks == stops)
			break;
		assert_true(n < 2200);
	}
	printf("  %s, %u levels: %s at each of %u\n", d->name, levels,
	       log ? "log full" : "stopped", n - 1);
	if (m->agent_dones == dones)
		m_fail(m, "%s: the agent was never asked", d->name);
	assert_true(n > (log ? d->least % 1000 / 3 : d->least));
	c_end();
}

static void test_stops(void **state)
{
	unsigned int i, levels;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(deeds); i++)
		for (levels = 4; levels <= 5; levels++) {
			stop_everywhere(&deeds[i], levels, false);
			stop_everywhere(&deeds[i], levels, true);
		}
}

/*
 * A large page's A, then its D, by accesses: in the guest, now and then stopped;
 * most often nobody else does it.
 */
static void test_large_faults(void **state)
{
	u64 table[3], gfn, gva, entry, resolved, faults, word = 5;
	unsigned int i;
	struct machine *m;
	struct text t;
	u32 error;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	gva = g_gva_of(guest, 9, 0, 0, 7, 300);
	resolved = m->agent_answers[DMP_AGENT_RESOLVED];
	faults = m->faults[DMP_FAULT_RESOLVED];
	for (i = 0; i < 40; i++) {
		agent_store(table[2], 7, large_leaf(RW), false);
		assert_int_equal(m_access(m, gva, DMP_ACCESS_USER, &word, 8, &error),
				 ACCESS_DONE);
		c_check(m);
		entry = g_entry_get(guest, table[2], 7);
		assert_int_equal(entry & (A | D), A);
		assert_int_equal(m_access(m, gva ^ 0x5000, DMP_ACCESS_USER |
					  DMP_ACCESS_WRITE, &word, 8, &error),
				 ACCESS_DONE);
		c_check(m);
		entry = g_entry_get(guest, table[2], 7);
		assert_int_equal(entry & (A | D), A | D);
		g_stub_set(guest, table[2], 7, 0);
		m_flush_all(m);
		c_check(m);
	}
	resolved = m->agent_answers[DMP_AGENT_RESOLVED] - resolved;
	faults = m->faults[DMP_FAULT_RESOLVED] - faults;
	printf("  %llu in the guest, %llu by the VMM\n", resolved, faults);
	assert_true(resolved >= 10);
	c_end();
}

/* What the guest's tables forbid it is told in the guest; not the kernel's fetches. */
static void test_fetches(void **state)
{
	u64 table[3], gfn, told, word = 5;
	struct machine *m;
	unsigned int i;
	struct text t;
	u32 error;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	assert_true(m->mmu->paging.flags & DMP_PAGING_NX);
	told = m->agent_answers[DMP_AGENT_DELIVER];
	for (i = 0; i < 40; i++)
		assert_int_equal(m_access(m, t.idt, DMP_ACCESS_FETCH,
					  &word, 8, &error), ACCESS_FAULT);
	assert_int_equal(m->agent_answers[DMP_AGENT_DELIVER], told);
	for (i = 0; i < 40; i++)
		assert_int_equal(m_access(m, g_dmap(guest, gfn), DMP_ACCESS_USER,
					  &word, 8, &error), ACCESS_FAULT);
	assert_true(m->agent_answers[DMP_AGENT_DELIVER] > told);
	c_end();
}

/* Frames that are no plain memory: a table among them, code, none at all. */
static void test_large_left(void **state)
{
	u64 table[3], gfn, leaf;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	leaf = table[1] << 12 & ~0x1fffffull;
	agent_store(table[2], 7, leaf | P | US | PS | RW | A | D, true);
	c_check(&guest->m);
	/* Not all of its entries are as writable as the first. */
	g_stub_set(guest, table[2], 7, 0);
	c_check(&guest->m);
	leaf = large_leaf(0);
	agent_store(table[2], 7, leaf | RW | A | D, false);
	agent_store(table[2], 7, leaf | A | D | 1ull << 14, true);
	agent_store(table[2], 7, leaf | RW | A, true);
	agent_store(table[2], 7, 0, false);
	agent_store(table[2], 7, (M_GFNS << 12) | P | US | PS | A, true);
	/* Such a one was made by the VMM, and has no records. */
	agent_store(table[2], 7, 0, true);
	leaf = t.gfn[1] << 12 & ~0x1fffffull;
	agent_store(table[2], 7, leaf | P | US | PS | A, true);
	agent_store(table[2], 7, 0, true);
	c_check(&guest->m);
	c_end();
}

/*
 * ---- What is left to the VMM ----
 */

static void store(u64 table, u64 value, bool asks)
{
	agent_store(table, 7, value, asks);
}

static void test_leaves_left(void **state)
{
	u64 table[3], gfn, leaf;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	leaf = t.gfn[1] << 12 | P | US | A;
	assert_true(guest->m.records[t.gfn[1]].code);
	store(table[1], gfn << 12 | P | RW | US | D, false);
	store(table[1], leaf, true);
	/* Which copy of it was mapped is not for the agent to know. */
	store(table[1], gfn << 12 | P | RW | US | D, true);
	c_check(&guest->m);
	store(table[1], leaf | NX, true);
	c_check(&guest->m);
	store(table[1], leaf | 1ull << 45, true);
	c_check(&guest->m);
	c_end();
}

/* Below another top-level entry than all that stubs know. */
static void test_other_top(void **state)
{
	u64 table[3], gfn, gva, value;
	unsigned int i, asks = 0;
	struct machine *m;
	struct text t;
	u32 error;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	gva = t.alias + 100 * DMP_PAGE_SIZE;
	g_entry_set(guest, t.alias_table, 100, table[2] << 12 | P | RW | A | D);
	for (i = 0; i < 4; i++) {
		value = i & 1 ? agent_link(gfn) : 0;
		asks = m->agent_asks;
		m->rip = guest->rip[0];
		assert_int_equal(m_access(m, gva + 7 * 8, DMP_ACCESS_WRITE,
					  &value, 8, &error), ACCESS_DONE);
		m->rip = 0;
		m_flush_all(m);
		c_check(m);
	}
	assert_int_equal(m->agent_asks, asks + 1);
	assert_int_equal(m->splicer->cache_top, TOP_VMALLOC);
	c_end();
}

/* What is noted of the direct mapping is no longer so. */
static void test_dmap_gone(void **state)
{
	u64 table[3], gfn, other;
	struct dmp_table *dmap;
	struct dmp_frame *frame;
	struct machine *m;
	struct text t;
	u32 parent;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	frame = &m->records[gfn];
	dmap = dmp_table_of(m->mmu, frame->dmap_table);
	parent = dmap->parent;
	dmap->parent = dmp_root_nth(m->mmu, 0)->table;
	store(table[2], agent_link(gfn), true);
	dmap->parent = parent;
	c_check(m);
	store(table[2], 0, false);
	frame->dmap_index ^= 1;
	store(table[2], agent_link(gfn), true);
	frame->dmap_index ^= 1;
	c_check(m);
	store(table[2], 0, true);	/* its leaf was found as an alias */
	/* The kernel takes the page out of its direct mapping. */
	other = gfn / 512;
	g_huge_split(guest, (struct place){ .table = guest->dmap_l2,
					    .index = other, .level = 2 },
		     g_dmap(guest, gfn));
	m_flush_all(m);
	clear(table[2], 7, 0);	/* stubs have to learn of it anew */
	store(table[2], agent_link(gfn), false);
	other = dmp_pte_gfn(g_entry_get(guest, guest->dmap_l2, other));
	parent = g_entry_get(guest, other, gfn % 512) & 0xfff;
	g_entry_set(guest, other, gfn % 512, 0);
	m_flush_all(m);
	assert_false(frame->dmap_table);
	store(table[2], 0, true);
	c_check(m);
	g_entry_set(guest, other, gfn % 512, gfn << 12 | parent);
	c_check(m);
	c_end();
}

/* In the kernel's half of a root, where the implant itself shows. */
static void test_kernel_half(void **state)
{
	u64 table[3], gfn, root, asks;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	root = g_current(guest)->root;
	g_stub_set(guest, root, 420, 0);
	g_stub_set(guest, root, 420, 0);
	asks = guest->m.agent_asks;
	g_stub_set(guest, root, 420, gfn << 12 | P | RW | A);
	assert_int_equal(guest->m.agent_asks, asks + 1);
	c_check(&guest->m);
	g_stub_set(guest, root, 420, 0);
	assert_int_equal(guest->m.agent_asks, asks + 2);
	m_flush_all(&guest->m);
	c_check(&guest->m);
	c_end();
}

/* An address in the log that is no memory of the implant's: it is over. */
static void test_strange_log(void **state)
{
	u64 table[3], gfn;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	m->may_break = 1u << DMP_BROKEN_UNTRACKED;
	m->splicer->implant->agent.log[0].at = 0x1000;
	m->splicer->implant->agent.logged = 1;
	m->in_engine = true;
	dmp_agent_take_back(m->mmu);
	m_after_call(m);
	c_expect_broken(DMP_BROKEN_UNTRACKED);
	c_end();
}

/* The pool is filled again before it is empty, and takes what is given back. */
static void test_pool(void **state)
{
	struct dmp_agent *agent;
	u64 table[3], gfn, asks, frame[DMP_POOL_MAX + 8];
	unsigned int i, n = 0;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	agent = &guest->m.splicer->implant->agent;
	assert_true(agent->ready_count >= DMP_POOL_MAX / 4);
	assert_false(dmp_pool_is_due(guest->m.mmu));
	for (i = 0; i < DMP_ARRAY_SIZE(frame); i++)
		frame[i] = g_plain_table(guest);
	asks = guest->m.agent_asks;
	for (i = 0; i < DMP_ARRAY_SIZE(frame); i++) {
		n += !agent->ready_count;
		g_stub_set(guest, table[2], 16 + i, agent_link(frame[i]));
		c_check(&guest->m);
	}
	assert_int_equal(n, guest->m.agent_asks - asks);
	assert_true(n);
	asks = guest->m.agent_asks;
	for (i = 0, n = 0; i < DMP_ARRAY_SIZE(frame); i++) {
		n += agent->freed_count == DMP_POOL_MAX;
		assert_int_equal(dmp_pool_is_due(guest->m.mmu),
				 agent->ready_count < DMP_POOL_MAX / 4 ||
				 agent->freed_count > DMP_POOL_MAX / 2);
		clear(table[2], 16 + i, 0);
		c_check(&guest->m);
	}
	assert_int_equal(n, guest->m.agent_asks - asks);
	assert_true(n);
	c_end();
}

/* A free frame, zeroed, whose page has the places of the one at @gfn in the cache. */
static u64 find_rival(u64 gfn)
{
	static const u8 zero[64];
	unsigned int i;
	u64 rival;

	for (rival = gfn % DMP_CACHE_SLOTS; rival < M_GFNS; rival += DMP_CACHE_SLOTS)
		if (guest->type[rival] == G_FREE && m_is_ram(&guest->m, rival))
			break;
	assert_true(rival < M_GFNS);
	guest->type[rival] = G_TABLE;
	for (i = 0; i < DMP_PAGE_SIZE; i += 64)
		g_kwrite(guest, rival, i, zero, 64);
	return rival;
}

static bool is_cached(u64 gfn)
{
	const struct dmp_implant *implant = guest->m.splicer->implant;
	u64 gva = g_dmap(guest, gfn);

	return implant->cache[dmp_cache_place(implant, gva)].tag == gva;
}

/* Tables whose pages share their places: stubs know both, and neither is left. */
static void test_two_places(void **state)
{
	u64 table[3], gfn, rival, first;
	unsigned int round;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	rival = find_rival(gfn);
	for (round = 0; round < 4; round++) {
		first = round & 1 ? rival : gfn;
		agent_store(table[2], 7, agent_link(first), false);
		agent_store(table[2], 8, agent_link(first ^ gfn ^ rival), false);
		assert_true(is_cached(gfn) && is_cached(rival));
		c_check(m);
		/* By the agent, or by the VMM, from either place. */
		m->agent_room = round & 2;
		clear(table[2], 8, 0);
		c_check(m);
		clear(table[2], 7, 0);
		m->agent_room = 0;
		assert_false(is_cached(gfn) || is_cached(rival));
		c_check(m);
	}
	c_end();
}

/*
 * ---- What INVLPG does not drop ----
 */

/* A translation of the frame's direct mapping that may write, by another PCID. */
static void cache_by_other_pcid(u64 gfn)
{
	u64 root = g_current(guest)->root;

	m_load_cr3(&guest->m, root, 1, false);
	m_speculate(&guest->m, g_dmap(guest, gfn));
	m_load_cr3(&guest->m, root, 2, true);
}

static void test_pcids(void **state)
{
	u64 table[3], gfn, large;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	m->splicer->implant->state |= DMP_IMPLANT_PCIDS;
	cache_by_other_pcid(gfn);
	agent_store(table[2], 7, agent_link(gfn), false);
	clear(table[2], 7, 0);
	/* What is not global an INVLPG drops for one PCID. */
	large = g_entry_get(guest, guest->dmap_l2, gfn / 512);
	g_entry_set(guest, guest->dmap_l2, gfn / 512, large & ~G);
	m_flush_all(m);
	clear(table[2], 7, 0);
	m->mmu->paging.flags |= DMP_PAGING_PCIDS;
	cache_by_other_pcid(gfn);
	assert_true(m->splicer->implant->state & DMP_IMPLANT_PCIDS);
	g_stub_set(guest, table[2], 7, 0);
	g_stub_set(guest, table[2], 7, 0);
	m_check_tlb(m);
	agent_store(table[2], 7, agent_link(gfn), true);
	m_check_tlb(m);
	c_check(m);
	c_end();
}

/* A table of the direct mapping is linked twice: another address is not known. */
static void test_linked_twice(void **state)
{
	u64 table[3], gfn, other = 100;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	g_huge_split(guest, (struct place){ .table = guest->dmap_l2,
		     .index = gfn / 512, .level = 2 }, g_dmap(guest, gfn));
	g_entry_set(guest, guest->dmap_l2, other,
		    g_entry_get(guest, guest->dmap_l2, gfn / 512));
	m_flush_all(m);
	clear(table[2], 7, 0);
	clear(table[2], 7, 0);
	m_speculate(m, g_dmap(guest, gfn));
	m_speculate(m, g_dmap(guest, other * 512 + gfn % 512));
	agent_store(table[2], 7, agent_link(gfn), true);
	m_check_tlb(m);
	c_check(m);
	c_end();
}

/* The pool of empty tables takes no more: what is dropped from here on is gone. */
static void fill_pool(u64 table, unsigned int first)
{
	const struct dmp_agent *agent = &guest->m.splicer->implant->agent;
	unsigned int i;

	for (i = first; i < first + DMP_POOL_MAX; i++)
		g_stub_set(guest, table, i, agent_link(g_frame_alloc(guest, G_TABLE)));
	for (i = first; i < first + DMP_POOL_MAX; i++)
		clear(table, i, 0);
	/* Exits, for what the agent has freed. */
	g_entry_set(guest, table, first, agent_link(g_frame_alloc(guest, G_TABLE)));
	g_entry_set(guest, table, first, 0);
	assert_int_equal(agent->ready_count, DMP_POOL_MAX);
}

/*
 * The same by another parent's entry of the same index. When that one has gone,
 * the table has one address again, but not the parent by which it was linked last.
 */
static void test_linked_by_two_parents(void **state)
{
	const unsigned int other = 100;
	u64 table[3], gfn, top, parent, entry;
	const struct dmp_table *child;
	unsigned int index;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	parent = g_frame_alloc(guest, G_TABLE);
	top = dmp_pte_gfn(g_entry_get(guest, g_current(guest)->root, TOP_DMAP));
	g_huge_split(guest, (struct place){ .table = guest->dmap_l2,
		     .index = gfn / 512, .level = 2 }, g_dmap(guest, gfn));
	entry = g_entry_get(guest, guest->dmap_l2, gfn / 512);
	g_entry_set(guest, parent, gfn / 512, entry);
	assert_false(g_entry_get(guest, top, other));
	g_entry_set(guest, top, other, parent << 12 | P | RW | A);
	m_flush_all(m);
	clear(table[2], 7, 0);
	clear(table[2], 7, 0);
	m_speculate(m, g_dmap(guest, gfn));
	m_speculate(m, g_dmap(guest, gfn) + ((u64)other << 30));
	agent_store(table[2], 7, agent_link(gfn), true);
	m_check_tlb(m);
	c_check(m);
	clear(table[2], 7, 0);
	fill_pool(table[2], 100);
	child = dmp_table_walk(m->mmu, g_dmap(guest, gfn), &index);
	assert_int_equal(dmp_table_of(m->mmu, child->parent)->gfn, parent);
	g_entry_set(guest, top, other, 0);
	m_flush_all(m);
	clear(table[2], 7, 0);
	clear(table[2], 7, 0);
	assert_int_equal(dmp_table_of(m->mmu, child->parent)->id, 0);
	agent_store(table[2], 7, agent_link(gfn), true);
	c_check(m);
	c_end();
}

/*
 * The table below the roots' entry for the direct mapping is linked by a second of
 * them, too. Roots share it, so that it has many links says nothing.
 */
static void test_linked_at_two_tops(void **state)
{
	const unsigned int other = 300;
	unsigned int levels;
	u64 table[3], gfn, root, entry;
	struct machine *m;
	struct text t;

	(void)state;
	for (levels = 4; levels <= 5; levels++) {
		agent_begin(&t, levels - 2, levels, table, &gfn);
		m = &guest->m;
		g_many_roots(guest, 1);
		root = g_current(guest)->root;
		assert_false(g_entry_get(guest, root, other));
		entry = g_entry_get(guest, root, TOP_DMAP);
		g_entry_set(guest, root, other, entry);
		/* Linked last by the usual one. */
		g_entry_set(guest, root, TOP_DMAP, entry ^ 1ull << 58);
		m_flush_all(m);
		clear(table[2], 7, 0);
		clear(table[2], 7, 0);
		m_speculate(m, g_dmap(guest, gfn));
		m_speculate(m, g_dmap(guest, gfn) +
			    ((u64)(other - TOP_DMAP) << (3 + 9 * levels)));
		agent_store(table[2], 7, agent_link(gfn), true);
		m_check_tlb(m);
		c_check(m);
		c_end();
	}
}

/*
 * ---- The audit finds what is wrong ----
 */

static void expect(const char *what)
{
	struct dmp_mmu *mmu = guest->m.mmu;

	assert_false(dmp_mmu_audit(mmu));
	assert_string_equal(mmu->finding.what, what);
	mmu->broken = DMP_BROKEN_NOT;
}

#define WITH(word, value, what) do {					\
	__typeof__(word) was_ = (word);					\
									\
	(word) = (value);						\
	expect(what);							\
	(word) = was_;							\
	c_check(&guest->m);						\
} while (0)

static void audit_lists(struct dmp_agent *agent)
{
	struct dmp_mmu *mmu = guest->m.mmu;
	struct dmp_table *table = dmp_table_of(mmu, agent->ready[1]);

	WITH(agent->ready_count, DMP_POOL_MAX + 1, "pool of too many tables");
	WITH(agent->freed_count, DMP_POOL_MAX + 1, "pool of too many tables");
	WITH(agent->ready[1], 0, "pool of what is no table");
	WITH(agent->ready[1], mmu->chunks << DMP_CHUNK_SHIFT,
	     "pool of what is no table");
	WITH(agent->ready[1], mmu->free_table, "pool of a table that is gone");
	WITH(agent->ready[1], dmp_root_nth(mmu, 0)->table, "table in use in the pool");
	WITH(agent->ready[1], agent->ready[0], "table twice in the pool");
	WITH(agent->freed[0], agent->ready[0], "table twice in the pool");
	WITH(agent->ready_count, agent->ready_count - 1, "table lost by the pool");
	WITH(table->flags, DMP_TABLE_POOL | DMP_TABLE_HELD,
	     "table in use in the pool");
	WITH(table->links, 1, "table in use in the pool");
	WITH(table->entries[0], 1, "table of the pool not empty");
	WITH(table->entries[DMP_ENTRIES - 1], 2, "table of the pool not empty");
	WITH(table->hfn, table->hfn + 1, "table of the pool not hashed");
}

static void test_audit(void **state)
{
	struct dmp_agent *agent;
	struct dmp_table *child, *parent, *freed;
	struct dmp_frame *frame;
	u64 table[3], gfn, window;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	agent = &guest->m.splicer->implant->agent;
	/* One in each list. */
	make_link(table[2], 7, gfn);
	clear(table[2], 7, gfn);
	make_link(table[2], 7, gfn);
	assert_int_equal(agent->freed_count, 1);
	audit_lists(agent);
	WITH(agent->linked, agent->linked + 1, "tables miscounted");
	WITH(agent->unlinked, agent->unlinked + 1, "tables miscounted");
	WITH(guest->m.mmu->tables, guest->m.mmu->tables + 1, "tables miscounted");
	WITH(agent->logged, 1, "agent's work neither done nor taken back");
	WITH(agent->cache_top, 3, "agent goes by another top-level entry");
	WITH(agent->cache_link, 3, "agent goes by another top-level entry");
	window = guest->m.splicer->implant->window;
	WITH(guest->m.splicer->implant->window, window + (1ull << 45),
	     "table of the pool not in the window");
	/* Linked, or listed, though it is the pool's. */
	frame = &guest->m.records[gfn];
	child = dmp_table_of(guest->m.mmu, frame->tables);
	WITH(child->flags, DMP_TABLE_POOL, "list of tables broken");
	parent = dmp_table_of(guest->m.mmu, child->parent);
	freed = dmp_table_of(guest->m.mmu, agent->freed[0]);
	assert_int_equal(freed->gfn, gfn);
	WITH(parent->entries[7], (parent->entries[7] & ~DMP_PTE_ADDR) |
	     freed->hfn << DMP_PAGE_SHIFT, "link to no table");
	/* What a table needs is what is asked of its frame. */
	WITH(frame->leaf, frame->leaf | DMP_PTE_RW, "held frame writable");
	frame = &guest->m.records[gfn + 1];
	WITH(frame->leaf, frame->leaf & ~DMP_PTE_RW, "frame not writable");
	assert_true(frame->dmap_table);
	freed->level = 1;
	WITH(frame->dmap_table, freed->id, "direct mapping in no table");
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_large_faults),
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_large_left),
		cmocka_unit_test(test_leaves_left),
		cmocka_unit_test(test_other_top),
		cmocka_unit_test(test_dmap_gone),
		cmocka_unit_test(test_kernel_half),
		cmocka_unit_test(test_strange_log),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_two_places),
		cmocka_unit_test(test_pcids),
		cmocka_unit_test(test_linked_twice),
		cmocka_unit_test(test_linked_by_two_parents),
		cmocka_unit_test(test_linked_at_two_tops),
		cmocka_unit_test(test_audit),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
