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
#include "table.h"

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

/* What the filter says of D is its root's, whichever is loaded next. */
static void test_lazy_d_of_root(void **state)
{
	struct machine *m;
	unsigned int i, way;
	u64 root, other;
	struct text t;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	root = g_current(guest)->root;
	g_many_roots(guest, 1);
	other = g_current(guest)->root;
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
	c_begin(&t, 2, 4);
	m = &guest->m;
	first = g_current(guest)->root;
	g_many_roots(guest, 1);
	second = g_current(guest)->root;
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
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
