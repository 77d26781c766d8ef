// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stubs know of tables on the model machine, and pages that never wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "splicer_case.h"
#include "mmu/machine.h"
#include "mmu/record.h"

/*
 * ---- What stubs know ----
 */

/* A table of user space, cached by a page of the kernel's; its leaf. */
static u64 cache_one(struct text *t, u64 *table, u64 top_flags)
{
	struct guest *g = guest;
	u64 gva = t->alias + 100 * DMP_PAGE_SIZE, value = 0;
	u32 error;

	*table = g_place_of(g, g_current(g)->root, g_gva_of(g, 0, 0, 0, 1, 0), 1, true).table;
	g_touch(g, g_gva_of(g, 0, 0, 0, 1, 0), DMP_ACCESS_USER);
	g_entry_set(g, t->alias_table, 100, *table << 12 | P | RW | A | D | top_flags);
	g->m.rip = g_site(t, 1, TEXT_MOV);
	m_access(&g->m, gva + 300 * 8, DMP_ACCESS_WRITE, &value, 8, &error);
	g->m.rip = 0;
	return gva;
}

static bool is_cached(u64 gva)
{
	const struct dmp_implant *implant = guest->m.splicer->implant;
	unsigned int slot = dmp_cache_slot(gva);

	return implant->cache[slot].tag == gva ||
	       implant->cache[dmp_cache_other(slot)].tag == gva;
}

static void test_cache(void **state)
{
	struct machine *m;
	struct guest *g;
	struct text t;
	u64 table, gva, root;

	(void)state;
	c_begin(&t, 2, 4);	/* no SMAP */
	g = guest;
	m = &g->m;
	c_trap(&t, g_site(&t, 1, TEXT_MOV), 3);
	gva = cache_one(&t, &table, 0);
	assert_true(is_cached(gva));
	c_check(m);
	/* Its leaf, what links the leaf's table, the root. */
	g_entry_set(g, t.alias_table, 100, 0);
	assert_false(is_cached(gva));
	cache_one(&t, &table, 0);
	assert_true(is_cached(gva));
	g_entry_set(g, g->vmalloc_l2, 3, 0);
	assert_false(is_cached(gva));
	g_entry_set(g, g->vmalloc_l2, 3, t.alias_table << 12 | P | RW | A);
	m_flush_all(m);
	cache_one(&t, &table, 0);
	assert_true(is_cached(gva));
	root = g_current(g)->root;
	g_many_roots(g, 1);
	assert_true(is_cached(gva));
	g_entry_set(g, g_current(g)->root, TOP_VMALLOC, 0);
	m_flush_all(m);
	assert_false(is_cached(gva));
	m_load_cr3(m, root, 0, false);
	cache_one(&t, &table, 0);
	assert_true(is_cached(gva));
	m_load_cr3(m, g_current(g)->root, 0, false);
	assert_false(is_cached(gva));
	m_load_cr3(m, root, 0, false);
	/* By a leaf of user mode's: never. */
	cache_one(&t, &table, US);
	assert_false(is_cached(gva));
	/* The gate's page as a table: its writes are not for stubs. */
	g_entry_set(g, g->vmalloc_l2, 8, t.idt_gfn << 12 | P | RW | A);
	m->rip = g_site(&t, 1, TEXT_MOV);
	g_kwrite(g, t.idt_gfn, 300 * 8, &(u64){ 0 }, 8);
	m->rip = 0;
	assert_false(is_cached(g_dmap(g, t.idt_gfn)));
	c_check(m);
	c_end();
}

/* Of pages that share their places two are known at a time. */
static void test_places(void **state)
{
	const u64 page = 0xffff888000123000ull;
	const u64 step = (u64)DMP_CACHE_SLOTS * DMP_PAGE_SIZE;
	unsigned int i, first = dmp_cache_slot(page), other;
	static struct dmp_implant implant;

	(void)state;
	for (i = 0; i < DMP_CACHE_SLOTS; i++)
		implant.cache[i].tag = DMP_CACHE_VOID;
	other = dmp_cache_other(first);
	assert_int_not_equal(first, other);
	assert_int_equal(dmp_cache_other(other), first);
	assert_int_equal(dmp_cache_place(&implant, page + 8), first);
	implant.cache[first].tag = page;
	assert_int_equal(dmp_cache_place(&implant, page + 8), first);
	assert_int_equal(dmp_cache_place(&implant, page + step), other);
	implant.cache[other].tag = page + step;
	assert_int_equal(dmp_cache_place(&implant, page), first);
	assert_int_equal(dmp_cache_place(&implant, page + step), other);
	assert_int_equal(dmp_cache_place(&implant, page + 2 * step), first);
	/* The one there stays where it is when the first place is free. */
	implant.cache[first].tag = DMP_CACHE_VOID;
	assert_int_equal(dmp_cache_place(&implant, page + step), other);
	assert_int_equal(dmp_cache_place(&implant, page), first);
}

/*
 * ---- Supervisor pages are never lazy ----
 */

static void test_supervisor_never_lazy(void **state)
{
	u64 table, gva, leaf, root;
	struct machine *m;
	struct guest *g;
	struct text t;

	(void)state;
	c_begin(&t, 4, 4);
	g = guest;
	m = &g->m;
	/* A table that two entries link: none says that it is live. */
	table = g_frame_alloc(g, G_TABLE);
	gva = g_gva_of(g, TOP_VMALLOC, 0, 0, 20, 7);
	g_entry_set(g, g->vmalloc_l2, 20, table << 12 | P | RW | A);
	g_entry_set(g, g->vmalloc_l2, 21, table << 12 | P | RW | A);
	g_entry_set(g, table, 7, g_frame_alloc(g, G_DATA) << 12 | P | RW);
	leaf = m_machine_leaf(m, gva);
	if (!(leaf & DMP_PTE_RW))
		m_fail(m, "a kernel's page is lazy: %#llx", leaf);
	m_audit(m);
	/* One that is filled while another root is loaded. */
	m_flush_all(m);
	root = g->space[g->cur].root;
	g_many_roots(g, 1);
	assert_int_not_equal(g->space[g->cur].root, root);
	gva = g_gva_of(g, 30, 0, 0, 0, 7);
	table = g_place_of(g, g->space[g->cur].root, gva, 1, true).table;
	g_touch(g, gva, DMP_ACCESS_USER);
	assert_true(m_machine_leaf(m, gva));
	m_load_cr3(m, root, 0, false);
	g_entry_set(g, table, 8, g_frame_alloc(g, G_DATA) << 12 | P | RW);
	m_load_cr3(m, g->space[g->cur].root, 0, false);
	leaf = m_machine_leaf(m, gva + 4096);
	if (!(leaf & DMP_PTE_RW))
		m_fail(m, "a kernel's page is lazy in another root: %#llx", leaf);
	c_end();
}

/*
 * ---- Roots ----
 */

/* A guest of two roots; the second is loaded, and has no user space. */
static void begin_two(struct text *t, u64 *first, u64 *second)
{
	c_begin(t, 2, 4);
	*first = g_current(guest)->root;
	g_many_roots(guest, 1);
	*second = g_current(guest)->root;
}

/* What the filter says of D is its root's, whichever is loaded next. */
static void test_lazy_d_of_root(void **state)
{
	struct machine *m;
	unsigned int i, way;
	u64 root, other;
	struct text t;

	(void)state;
	begin_two(&t, &root, &other);
	m = &guest->m;
	for (way = 0; way < 2; way++) {
		m_load_cr3(m, root, 0, false);
		for (i = 0; i < m->mmu->root_end; i++)
			dmp_root_nth(m->mmu, i)->lazy_d = false;
		m->splicer->implant->state = DMP_IMPLANT_LAZY_D;
		/* The short way, and the one that settles all there is. */
		if (way)
			assert_int_not_equal(dmp_mmu_load_root(m->mmu, other), 0);
		else
			assert_int_not_equal(dmp_mmu_switch_root(m->mmu, other), 0);
		m_load_cr3(m, other, 0, false);
		assert_int_equal(m->splicer->implant->state, 0);
		m_load_cr3(m, root, 0, false);
		assert_int_equal(m->splicer->implant->state, DMP_IMPLANT_LAZY_D);
	}
	c_end();
}

/*
 * A root that has lost user space while it was loaded is let go of when another
 * is loaded, whichever way: its page is free then, and written.
 */
static void test_left_root(void **state)
{
	u64 first, second, gva;
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	begin_two(&t, &first, &second);
	m = &guest->m;
	gva = g_gva_of(guest, 40, 0, 0, 0, 7);
	for (i = 0; i < 6; i++) {
		/* Of one that never had any nothing is to be expected. */
		m_load_cr3(m, first, 0, false);
		assert_true(m_is_held(m, second));
		m_load_cr3(m, second, 0, false);
		assert_true(m_is_held(m, first));
	}
	assert_int_equal(g_place_of(guest, second, gva, 1, true).level, 1);
	g_touch(guest, gva, DMP_ACCESS_USER);
	m_load_cr3(m, first, 0, false);
	m_load_cr3(m, second, 0, false);
	g_entry_set(guest, second, 40, 0);
	m_flush_all(m);
	assert_int_equal(dmp_mmu_switch_root(m->mmu, first), 0);
	m_load_cr3(m, first, 0, false);
	assert_false(m_is_held(m, second));
	c_check(m);
	m_load_cr3(m, second, 0, false);
	assert_true(m_is_held(m, second));
	/* It was given user space while it was not loaded, and has lost it since. */
	m_load_cr3(m, first, 0, false);
	g_entry_set(guest, second, 40, g_frame_alloc(guest, G_TABLE) << 12 | P | RW | US | A);
	m_load_cr3(m, second, 0, false);
	g_entry_set(guest, second, 40, 0);
	m_flush_all(m);
	m_load_cr3(m, first, 0, false);
	assert_false(m_is_held(m, second));
	c_end();
}

/*
 * Two roots side by side, loaded one after the other: where their user space is one,
 * the guest goes on writing that which is not loaded, and frees both together.
 */
static void test_twin_roots(void **state)
{
	u64 other, root[2], link[2];
	struct machine *m;
	unsigned int i, same;
	struct text t;

	(void)state;
	for (same = 0; same < 2; same++) {
		c_begin(&t, 2, 4);
		m = &guest->m;
		other = g_current(guest)->root;
		c_roots_side_by_side(root);
		for (i = 0; i < 2; i++)
			link[i] = g_frame_alloc(guest, G_TABLE) << 12 | P | RW | US | A;
		for (i = 0; i < 2; i++)
			g_entry_set(guest, root[i], 40, link[same ? 0 : i]);
		m_load_cr3(m, root[0], 0, false);
		m_load_cr3(m, root[1], 0, false);
		m_load_cr3(m, root[0], 0, false);
		c_check(m);
		g_entry_set(guest, root[1], 41, link[1]);
		c_check(m);
		assert_int_equal(m_is_held(m, root[1]), same);
		m_load_cr3(m, root[1], 0, false);
		g_entry_set(guest, root[1], 41, 0);
		c_check(m);
		m_load_cr3(m, other, 0, false);
		assert_true(m_is_held(m, root[0]) && m_is_held(m, root[1]));
		g_entry_set(guest, root[0], 40, 0);
		c_check(m);
		assert_int_equal(m_is_held(m, root[0]), same);
		assert_true(m_is_held(m, root[1]));
		g_entry_set(guest, root[1], 40, 0);
		c_check(m);
		assert_false(m_is_held(m, root[0]) || m_is_held(m, root[1]));
		/* As any root that comes back; the pair is to be found anew. */
		m_load_cr3(m, root[1], 0, false);
		g_entry_set(guest, root[0], 40, link[0]);
		m_load_cr3(m, root[0], 0, false);
		assert_true(m_is_held(m, root[0]) && m_is_held(m, root[1]));
		c_check(m);
		c_end();
	}
}

/*
 * A root that is not loaded: what is taken away from it is followed, until nothing is
 * left. What links something is not: it may be data that the guest has there by now.
 */
static void test_emptied(void **state)
{
	u64 first, second, table[2];
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	begin_two(&t, &first, &second);
	m = &guest->m;
	for (i = 0; i < 2; i++) {
		table[i] = g_frame_alloc(guest, G_TABLE);
		g_entry_set(guest, second, 40 + i, table[i] << 12 | P | RW | US | A);
	}
	m_load_cr3(m, second, 0, false);
	m_load_cr3(m, first, 0, false);
	for (i = 0; i < 2; i++) {
		assert_true(m_is_held(m, second));
		g_entry_set(guest, second, 40 + i, 0);
		m_flush_all(m);
		assert_false(m_is_held(m, table[i]));
		c_check(m);
	}
	assert_false(m_is_held(m, second));
	g_entry_set(guest, second, 40, table[0] << 12 | P | RW | US | A);
	m_load_cr3(m, second, 0, false);
	m_load_cr3(m, first, 0, false);
	assert_true(m_is_held(m, second) && m_is_held(m, table[0]));
	g_entry_set(guest, second, 40, table[1] << 12 | P | RW | US | A);
	m_flush_all(m);
	assert_false(m_is_held(m, second) || m_is_held(m, table[1]));
	c_check(m);
	assert_false(dmp_mmu_is_live_table(m->mmu, table[0]));
	assert_false(m_is_held(m, table[0]));
	m_load_cr3(m, second, 0, false);
	assert_true(m_is_held(m, table[1]));
	c_check(m);
	c_end();
}

/* A table that only a root that was let go of links is found without all others. */
static void test_left_table(void **state)
{
	u64 root[20], table[2], before;
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	for (i = 0; i < DMP_ARRAY_SIZE(root); i++) {
		root[i] = c_another_root();
		m_load_cr3(m, root[i], 0, false);
	}
	for (i = 0; i < 2; i++)
		table[i] = g_frame_alloc(guest, G_TABLE);
	g_entry_set(guest, root[7], 40, table[0] << 12 | P | RW | US | A);
	g_entry_set(guest, table[0], 3, table[1] << 12 | P | RW | US | A);
	m_load_cr3(m, root[7], 0, false);
	m_load_cr3(m, g_current(guest)->root, 0, false);
	for (i = 0; i < DMP_ARRAY_SIZE(root); i++)
		assert_false(dmp_mmu_is_live_table(m->mmu, root[i]));
	g_entry_set(guest, root[7], 40, 0);
	assert_true(m_is_held(m, table[1]));
	before = m->mmu->work;
	assert_false(dmp_mmu_is_live_table(m->mmu, table[1]));
	assert_true(m->mmu->work - before <= 4 * DMP_ENTRIES);
	assert_false(m_is_held(m, table[0]));
	c_check(m);
	c_end();
}

/*
 * ---- Frames that come back as tables of another level ----
 */

#define LINK	((u64)(P | RW | US | A))

/* Frame @gfn, empty by now, as a table of pages that wait for A: at @gva, of @root. */
static void use_as_leaves(u64 root, u64 gfn, u64 gva)
{
	u64 l2 = g_place_of(guest, root, gva, 2, true).table;
	unsigned int i;

	/* Accessed, so that it is followed. */
	g_entry_set(guest, g_place_of(guest, root, gva, 3, true).table,
		    dmp_index(gva, 3), l2 << 12 | LINK);
	/* Linked first: a write could be what shows that it is no other one. */
	g_entry_set(guest, l2, dmp_index(gva, 2), gfn << 12 | LINK);
	for (i = 0; i < 64; i++)
		g_entry_set(guest, gfn, i, g_frame_alloc(guest, G_DATA) << 12 | P | RW | US | D);
}

static unsigned int touch_all(u64 gva)
{
	u64 resolved = guest->m.agent_answers[DMP_AGENT_RESOLVED];
	unsigned int i;

	for (i = 0; i < 64; i++)
		g_touch(guest, gva + i * DMP_PAGE_SIZE, DMP_ACCESS_USER);
	return guest->m.agent_answers[DMP_AGENT_RESOLVED] - resolved;
}

/* It is that table and no other; and A is set by the guest. */
static void want_leaves(u64 gfn, u64 gva)
{
	const struct dmp_frame *frame = dmp_frame_find(guest->m.mmu, gfn);
	const struct dmp_table *table = dmp_table_of(guest->m.mmu, frame->tables);

	assert_int_equal(table->level, 1);
	assert_int_equal(table->next, 0);
	assert_int_equal(frame->held, 1);
	assert_int_equal(table->flags & DMP_TABLE_MIXED, 0);
	assert_true(touch_all(gva) > 16);
	c_check(&guest->m);
}

/* A process ends; a table it had, then its root, are tables of leaves. */
static void test_frames_again(void **state)
{
	u64 first, second, gva, user, l3;
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	begin_two(&t, &first, &second);
	m = &guest->m;
	user = g_gva_of(guest, 40, 0, 0, 0, 7);
	l3 = g_place_of(guest, second, user, 3, true).table;
	g_touch(guest, user, DMP_ACCESS_USER);
	m_load_cr3(m, first, 0, false);
	g_entry_set(guest, l3, dmp_index(user, 3), 0);
	/* The root is let go of, and nobody sees what is written to it then. */
	g_entry_set(guest, second, 39, 0);
	g_entry_set(guest, second, 40, 0);
	m_flush_all(m);
	assert_false(m_is_held(m, second));
	gva = g_gva_of(guest, 41, 0, 0, 3, 0);
	use_as_leaves(first, l3, gva);
	want_leaves(l3, gva);
	for (i = 0; i < DMP_ENTRIES; i++)
		g_entry_set(guest, second, i, 0);
	gva = g_gva_of(guest, 41, 0, 0, 4, 0);
	use_as_leaves(first, second, gva);
	want_leaves(second, gva);
	c_end();
}

/* A chain of tables from @root's entry @top to one of level 2; that. */
static u64 chain(u64 root, unsigned int top)
{
	u64 l3 = g_frame_alloc(guest, G_TABLE), l2 = g_frame_alloc(guest, G_TABLE);

	g_entry_set(guest, root, top, l3 << 12 | LINK);
	g_entry_set(guest, l3, 0, l2 << 12 | LINK);
	return l2;
}

/*
 * A frame is a table of two levels, of two roots. What A is set for one is not seen
 * in the other, which is not loaded: it stays so when it is the only one.
 */
static void test_weak_alone(void **state)
{
	u64 first, second, l3, gfn, page;
	const struct dmp_table *table;
	struct machine *m;
	struct text t;

	(void)state;
	begin_two(&t, &first, &second);
	m = &guest->m;
	m_load_cr3(m, first, 0, false);
	gfn = g_frame_alloc(guest, G_TABLE);
	page = g_frame_alloc(guest, G_TABLE);
	l3 = g_frame_alloc(guest, G_TABLE);
	g_entry_set(guest, first, 46, l3 << 12 | LINK);
	g_entry_set(guest, l3, 0, gfn << 12 | LINK);
	g_entry_set(guest, first, 47, gfn << 12 | LINK);
	m_load_cr3(m, second, 0, false);
	g_entry_set(guest, chain(second, 45), 0, gfn << 12 | LINK);
	m_load_cr3(m, first, 0, false);
	/* Of three the first is gone. */
	g_entry_set(guest, first, 47, 0);
	m_flush_all(m);
	assert_null(dmp_table_find(m->mmu, gfn, 3));
	g_entry_set(guest, gfn, 5, page << 12 | P | RW);
	assert_int_equal(g_entry_get(guest, gfn, 5) & (A | D), A);
	m_audit(m);
	/* Of two. */
	g_entry_set(guest, l3, 0, 0);
	m_flush_all(m);
	table = dmp_table_find(m->mmu, gfn, 1);
	assert_non_null(table);
	assert_int_equal(table->next, 0);
	assert_int_not_equal(table->flags & DMP_TABLE_MIXED, 0);
	m_audit(m);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_supervisor_never_lazy),
		cmocka_unit_test(test_lazy_d_of_root),
		cmocka_unit_test(test_left_root),
		cmocka_unit_test(test_twin_roots),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_left_table),
		cmocka_unit_test(test_frames_again),
		cmocka_unit_test(test_weak_alone),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
