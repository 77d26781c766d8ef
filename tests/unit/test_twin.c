// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that were a root's and are something else by now: not taken for the other of two
 * roots, nor is what they link followed, whoever has written them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent_case.h"
#include "guest_parts.h"
#include "model_parts.h"
#include "mmu/machine.h"
#include "mmu/record.h"

#define LINK	((u64)(P | RW | US | A))

static u64 link_new(void)
{
	return g_frame_alloc(guest, G_TABLE) << 12 | LINK;
}

/* Two roots side by side, another one loaded. */
static u64 begin(struct text *t, u64 root[2])
{
	c_begin(t, 2, 4);
	c_roots_side_by_side(root);
	return g_current(guest)->root;
}

/* The page of root @gfn is data now, some of which looks like an entry that links @victim. */
static void use_as_data(u64 gfn, u64 victim)
{
	unsigned int i, traps = guest->m.faults[DMP_FAULT_TABLE];

	g_kwrite(guest, gfn, 8 * 100, &(u64){ victim << 12 | LINK }, 8);
	for (i = 0; i < 512; i++)
		if (i != 100)
			g_kwrite(guest, gfn, 8 * i, &(u64){ 0x1234567890003 + i * 2 }, 8);
	m_flush_all(&guest->m);
	c_check(&guest->m);
	assert_false(m_is_held(&guest->m, gfn));
	assert_false(m_is_held(&guest->m, victim));
	assert_in_range(guest->m.faults[DMP_FAULT_TABLE] - traps, 0, 2);
}

/* Entries not accessed yet, at one index: as traps they are alike. */
static void test_traps_alike(void **state)
{
	u64 root[2];
	struct text t;
	unsigned int i;

	(void)state;
	begin(&t, root);
	for (i = 0; i < 2; i++)
		g_entry_set(guest, root[i], 40, link_new() & ~(u64)A);
	m_load_cr3(&guest->m, root[1], 0, false);
	m_load_cr3(&guest->m, root[0], 0, false);
	use_as_data(root[1], g_frame_alloc(guest, G_DATA));
	c_end();
}

/* A kernel that does not clear roots: the table of one's user space is its neighbour's now. */
static void test_not_cleared(void **state)
{
	u64 other, root[2], link;
	struct machine *m;
	struct text t;

	(void)state;
	other = begin(&t, root);
	m = &guest->m;
	link = link_new();
	g_entry_set(guest, root[1], 40, link);
	m_load_cr3(m, root[1], 0, false);
	m_load_cr3(m, other, 0, false);
	g_kwrite(guest, root[1], 8 * 300, &(u64){ 0xffff888000777001 }, 8);
	m_flush_all(m);
	assert_false(m_is_held(m, root[1]));

	g_entry_set(guest, root[0], 40, link);
	m_load_cr3(m, root[0], 0, false);
	c_check(m);
	use_as_data(root[1], g_frame_alloc(guest, G_DATA));
	c_end();
}

/* User space's page now, in which it puts what its own root has, and more. */
static void test_users(void **state)
{
	u64 other, root[2], l3, l2, l1, gva, victim;
	struct machine *m;
	struct text t;
	u32 error;

	(void)state;
	other = begin(&t, root);
	m = &guest->m;
	g_entry_set(guest, root[1], 41, link_new());
	m_load_cr3(m, root[1], 0, false);
	m_load_cr3(m, other, 0, false);
	g_entry_set(guest, root[1], 41, 0);
	m_flush_all(m);
	assert_false(m_is_held(m, root[1]));

	l3 = g_frame_alloc(guest, G_TABLE);
	l2 = g_frame_alloc(guest, G_TABLE);
	l1 = g_frame_alloc(guest, G_TABLE);
	victim = g_frame_alloc(guest, G_DATA);
	g_entry_set(guest, root[0], 40, l3 << 12 | LINK);
	g_entry_set(guest, l3, 0, l2 << 12 | LINK);
	g_entry_set(guest, l2, 0, l1 << 12 | LINK);
	g_entry_set(guest, l1, 0, root[1] << 12 | LINK | D);
	m_load_cr3(m, root[0], 0, false);
	gva = g_gva_of(guest, 40, 0, 0, 0, 0);
	assert_int_equal(m_access(m, gva + 8 * 40, DMP_ACCESS_WRITE | DMP_ACCESS_USER,
				  &(u64){ l3 << 12 | LINK }, 8, &error), ACCESS_DONE);
	assert_int_equal(m_access(m, gva + 8 * 50, DMP_ACCESS_WRITE | DMP_ACCESS_USER,
				  &(u64){ victim << 12 | LINK }, 8, &error), ACCESS_DONE);

	/* The root comes back the long way. */
	m_load_cr3(m, other, 0, false);
	assert_false(dmp_mmu_is_live_table(m->mmu, root[0]));
	m_load_cr3(m, root[0], 0, false);
	c_check(m);
	assert_false(m_is_held(m, root[1]));
	assert_false(m_is_held(m, victim));
	c_end();
}

/* The VMM's process writes guest memory as a device does: nobody is told. */
static void dma(u64 gfn, const u64 *page)
{
	memcpy(m_real(&guest->m, gfn), page, 4096);
	memcpy(m_ref(&guest->m, gfn), page, 4096);
}

/*
 * A root with two entries of user space, left for another without being cleared; a device
 * has written @page there, and @tables are linked by what it overwrote.
 */
static u64 begin_dma(struct text *t, u64 tables[2], const u64 *page)
{
	u64 other, root;
	unsigned int i;

	c_begin(t, 2, 4);
	other = g_current(guest)->root;
	root = c_another_root();
	for (i = 0; i < 2; i++) {
		tables[i] = g_frame_alloc(guest, G_TABLE);
		g_entry_set(guest, root, 40 + i, tables[i] << 12 | LINK);
	}
	m_load_cr3(&guest->m, root, 0, false);
	m_load_cr3(&guest->m, other, 0, false);
	assert_true(m_is_held(&guest->m, root));
	dma(root, page);
	return root;
}

/* What the device overwrote is not linked any more, and the page is a root again. */
static void end_dma(u64 root, const u64 tables[2])
{
	struct machine *m = &guest->m;
	unsigned int i;

	m_flush_all(m);
	c_check(m);
	assert_false(m_is_held(m, root));
	assert_false(m_is_held(m, tables[0]));
	assert_false(m_is_held(m, tables[1]));
	for (i = 256; i < 512; i++)
		g_entry_set(guest, root, i, g_entry_get(guest, guest->kernel_root, i));
	m_load_cr3(m, root, 0, false);
	c_check(m);
}

/* Zeroes from a disk. */
static void test_dma(void **state)
{
	u64 root, tables[2], page[512] = { 0 };
	struct text t;

	(void)state;
	root = begin_dma(&t, tables, page);
	g_kwrite(guest, root, 8 * 300, &(u64){ 2 }, 8);
	end_dma(root, tables);
	assert_int_equal(dmp_table_find(guest->m.mmu, root, 4)->entries[40], 0);
	c_end();
}

/* An entry, by chance, which links a table when the page is a root again. */
static void test_dma_entry(void **state)
{
	u64 root, table, tables[2], page[512] = { 0 };
	struct text t;

	(void)state;
	root = begin_dma(&t, tables, page);
	table = g_frame_alloc(guest, G_TABLE);
	page[40] = table << 12 | LINK;
	dma(root, page);
	g_kwrite(guest, root, 8 * 300, &(u64){ 2 }, 8);
	end_dma(root, tables);
	assert_true(m_is_held(&guest->m, table));
	assert_int_equal(dmp_pte_gfn(dmp_table_find(guest->m.mmu, root, 4)->entries[40]),
			 dmp_table_find(guest->m.mmu, table, 3)->hfn);
	c_end();
}

/* Zeroes; and what is written first is where an entry was, and has P set. */
static void test_dma_written(void **state)
{
	u64 root, tables[2], page[512] = { 0 };
	struct text t;

	(void)state;
	root = begin_dma(&t, tables, page);
	g_kwrite(guest, root, 8 * 41, &(u64){ 0x1234567890003 }, 8);
	m_flush_all(&guest->m);
	assert_false(m_is_held(&guest->m, root));
	g_kwrite(guest, root, 8 * 41, &(u64){ 0 }, 8);
	end_dma(root, tables);
	assert_int_equal(dmp_table_find(guest->m.mmu, root, 4)->entries[40], 0);
	c_end();
}

/* Of two roots one is written by a device, the other by the CPU: both are let go of. */
static void test_dma_twin(void **state)
{
	u64 other, root[2], both, one, page[512] = { 0 };
	struct machine *m;
	struct text t;
	unsigned int i;

	(void)state;
	other = begin(&t, root);
	m = &guest->m;
	both = link_new();
	one = g_frame_alloc(guest, G_TABLE);
	for (i = 0; i < 2; i++)
		g_entry_set(guest, root[i], 40, both);
	g_entry_set(guest, root[1], 41, one << 12 | LINK);
	for (i = 0; i < 3; i++)
		m_load_cr3(m, root[i % 2], 0, false);
	m_load_cr3(m, other, 0, false);
	assert_true(m_is_held(m, one));
	dma(root[1], page);
	g_kwrite(guest, root[0], 8 * 300, &(u64){ 2 }, 8);
	m_flush_all(m);
	c_check(m);
	assert_false(m_is_held(m, root[0]));
	assert_false(m_is_held(m, root[1]));
	assert_false(m_is_held(m, one));
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traps_alike),
		cmocka_unit_test(test_not_cleared),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_dma),
		cmocka_unit_test(test_dma_entry),
		cmocka_unit_test(test_dma_written),
		cmocka_unit_test(test_dma_twin),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
