// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spliced code on the model machine, and the gate of the #PF handler.
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
#include "splicer/site.h"
#include "splicer/site_names.h"
#include "splicer/start.h"

/*
 * ---- Code ----
 */

static void test_code_written(void **state)
{
	struct dmp_site *mov, *xchg;
	struct machine *m;
	struct text t;
	u64 leaf;

	(void)state;
	c_begin(&t, 1, 4);
	m = &guest->m;
	c_write_code(&t, 1, 0x800, "before", 6);
	mov = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	xchg = c_trap(&t, g_site(&t, 1, TEXT_XCHG), 2);
	c_check(m);
	/* Other mappings show the guest's page; none may write it. */
	leaf = m_machine_leaf(m, t.alias + DMP_PAGE_SIZE);
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	assert_false(leaf & DMP_PTE_RW);
	leaf = m_machine_leaf(m, g_dmap(guest, t.gfn[1]));
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	assert_false(leaf & DMP_PTE_RW);

	/* Beside, just before and just behind a splice. */
	c_write_code(&t, 1, 0x801, "beside", 6);
	c_write_code(&t, 1, (mov->rip & 4095) + mov->stub.plan.len, "b", 1);
	c_write_code(&t, 1, (xchg->rip & 4095) - 1, "b", 1);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	assert_int_equal(xchg->state, DMP_SITE_SPLICED);
	c_check(m);
	/* The same again is no change. */
	c_write_code(&t, 1, mov->rip & 4095, "\x48\x89\x37\xc3", 4);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	/* Its last byte. */
	c_write_code(&t, 1, (xchg->rip & 4095) + 4, "\x90", 1);
	assert_int_equal(xchg->state, DMP_SITE_UNDONE);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	c_check(m);
	m_speculate(m, t.gva + DMP_PAGE_SIZE);
	c_write_code(&t, 1, mov->rip & 4095, "\x90", 1);
	assert_int_equal(mov->state, DMP_SITE_UNDONE);
	c_check(m);
	/* What it has shown may be written back: the page stays watched. */
	assert_false(m_machine_leaf(m, t.alias + DMP_PAGE_SIZE) & DMP_PTE_RW);
	/* The handler. */
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	c_write_code(&t, 0, t.handler & 4095, "\xcc", 1);
	c_expect_broken(DMP_BROKEN_HANDLER);
	c_end();
}

static void test_text_mapped_anew(void **state)
{
	struct dmp_site *mov, *other;
	struct machine *m;
	struct guest *g;
	struct text t;
	u64 leaf, was;

	(void)state;
	c_begin(&t, 1, 5);
	g = guest;
	m = &g->m;
	mov = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	other = c_trap(&t, g_site(&t, 2, TEXT_MOV), 2);
	was = g_entry_get(g, t.table, 1);
	/* Writable and back, by one store each: it is the same code. */
	g_entry_set(g, t.table, 1, was | RW);
	c_check(m);
	g_entry_set(g, t.table, 1, was);
	c_check(m);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	/* Data for a while. */
	g_entry_set(g, t.table, 1, was | NX);
	m_flush_all(m);
	leaf = m_machine_leaf(m, t.gva + DMP_PAGE_SIZE);
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	m_audit(m);
	g_entry_set(g, t.table, 1, was);
	c_check(m);
	/* Another frame, and none. */
	g_entry_set(g, t.table, 1, (was & ~DMP_PTE_ADDR) | t.gfn[3] << 12);
	m_flush_all(m);
	assert_int_equal(mov->state, DMP_SITE_COUNTING);
	c_check(m);
	/* The copy is given back at once, cached or not. */
	m_speculate(m, t.gva + 2 * DMP_PAGE_SIZE);
	g_entry_set(g, t.table, 2, 0);
	m_flush_all(m);
	assert_int_equal(other->state, DMP_SITE_COUNTING);
	c_check(m);
	/* All of it. */
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	g_entry_set(g, t.l2, 9, 0);
	m_flush_all(m);
	c_expect_broken(DMP_BROKEN_HANDLER);
	c_end();
}

/* Code of a large page, which the guest splits then. */
static void test_large_text(void **state)
{
	static const u8 code[] = { 0x48, 0x89, 0x37, 0xc3, 0xcc, 0xcc };
	struct dmp_site *site;
	struct machine *m;
	struct guest *g;
	struct text t;
	struct place at;
	u64 gva;

	(void)state;
	c_begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	gva = (t.gva & ~0x1fffffull) - 0x200000 + 0x123000;
	m_vmm_write(m, 0x123040, code, sizeof(code));
	site = c_trap(&t, gva + 0x40, 2);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	c_check(m);
	at = g_place_of(g, g->kernel_root, gva, 2, false);
	g_huge_split(g, at, gva);
	m_flush_all(m);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	c_check(m);
	c_trap(&t, site->rip, 4);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	c_check(m);
	c_end();
}

/* A frame of code becomes a page table, a table's frame is no code. */
static void test_code_and_table(void **state)
{
	struct dmp_site *site;
	struct machine *m;
	struct guest *g;
	struct text t;

	(void)state;
	c_begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	site = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	g_entry_set(g, g->vmalloc_l2, 7, t.gfn[1] << 12 | P | RW | A);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	c_check(m);
	site = c_trap(&t, g_site(&t, 1, TEXT_XCHG), 2);
	assert_string_equal(dmp_site_refusal_name(site), "code-page");
	g_entry_set(g, g->vmalloc_l2, 7, 0);
	m_flush_all(m);
	c_check(m);
	c_end();
}

static void map_for_user(struct text *t, unsigned int index)
{
	g_entry_set(guest, t->alias_table, index, t->gfn[index] << 12 | P | RW | US | A | D);
	m_flush_all(&guest->m);
}

/* User mode may write a page of code: it asks the VMM, mapped then or before. */
static void test_code_of_user(void **state)
{
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	for (i = 0; i < 2; i++) {
		c_begin(&t, 1, 4);
		m = &guest->m;
		if (i)
			map_for_user(&t, 1);
		assert_false(m->mmu->loaded->lazy_d);
		c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
		if (!i) {
			assert_false(m->mmu->loaded->lazy_d);
			map_for_user(&t, 1);
		}
		assert_true(m->mmu->loaded->lazy_d);
		assert_true(m->splicer->implant->state & DMP_IMPLANT_LAZY_D);
		c_check(m);
		c_end();
	}
}

/* One page of code at two addresses, once by its leaf and once by its table. */
static void test_code_mapped_twice(void **state)
{
	struct dmp_site *one, *two;
	struct machine *m;
	struct guest *g;
	struct text t;

	(void)state;
	c_begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	one = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	g_entry_set(g, t.table, 10, t.gfn[1] << 12 | P | A | D);
	c_check(m);
	two = c_trap(&t, one->rip + 9 * DMP_PAGE_SIZE, 2);
	assert_int_equal(two->state, DMP_SITE_SPLICED);
	c_check(m);
	assert_int_not_equal(one->landing, two->landing);
	c_write_code(&t, 1, one->rip & 4095, "\x90", 1);
	assert_int_equal(one->state, DMP_SITE_UNDONE);
	assert_int_equal(two->state, DMP_SITE_UNDONE);
	c_check(m);
	m->may_break = 1u << DMP_BROKEN_CODE;
	g_entry_set(g, t.l2, 20, g_entry_get(g, t.l2, 9));
	c_expect_broken(DMP_BROKEN_CODE);
	c_end();
}

/*
 * The same by the table below the roots' entry, which may have many links: linked
 * by another entry before anything is spliced, or after.
 */
static void test_code_at_two_tops(void **state)
{
	const unsigned int other = 300;
	struct machine *m;
	struct text t;
	unsigned int after, top;

	(void)state;
	for (after = 0; after < 2; after++) {
		guest = calloc(1, sizeof(*guest));
		assert_non_null(guest);
		m = &guest->m;
		g_boot(guest, 1, 5 - after);
		g_text(guest, &t);
		top = dmp_index(t.gva, 5 - after);
		if (after) {
			c_engage(&t);
			m->may_break = 1u << DMP_BROKEN_CODE;
		}
		g_entry_set(guest, guest->kernel_root, other,
			    g_entry_get(guest, guest->kernel_root, top));
		if (after) {
			c_expect_broken(DMP_BROKEN_CODE);
		} else {
			m_engage(m);
			assert_int_equal(m_splice(m, t.handler, t.gate),
					 DMP_START_HANDLER);
		}
		c_end();
	}
}

/*
 * ---- The handler's gate ----
 */

static void write_gate(struct guest *g, struct text *t, unsigned int vector,
		       unsigned int byte)
{
	g_kwrite(g, t->idt_gfn, vector * 16 + byte, "\x81", 1);
}

static void test_gate(void **state)
{
	static const u8 byte[] = { 0, 6, 15 };
	struct machine *m;
	unsigned int i;
	struct text t;

	(void)state;
	for (i = 0; i < 4; i++) {
		c_begin(&t, 1, 4 + i % 2);
		m = &guest->m;
		write_gate(guest, &t, 13, 15);
		write_gate(guest, &t, 15, 0);
		c_check(m);
		m->may_break = 1u << DMP_BROKEN_HANDLER;
		if (i < 3)
			write_gate(guest, &t, 14, byte[i]);
		else	/* another page of gates */
			g_entry_set(guest, t.table, 32, t.gfn[3] << 12 | P | A | D);
		c_expect_broken(DMP_BROKEN_HANDLER);
		m_flush_all(m);
		c_end();
	}
}

/* The page of gates has code, too, whose splices come and go. */
static void test_gate_beside_code(void **state)
{
	static const u8 code[] = { 0x48, 0x89, 0x37, 0xc3, 0xcc, 0xcc };
	struct dmp_site *site;
	struct machine *m;
	struct text t;

	(void)state;
	c_begin(&t, 1, 4);
	m = &guest->m;
	g_entry_set(guest, t.table, 40, t.idt_gfn << 12 | P | A | D);
	g_kwrite(guest, t.idt_gfn, 0x800, code, sizeof(code));
	site = c_trap(&t, t.gva + 40 * DMP_PAGE_SIZE + 0x800, 2);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	c_check(m);
	dmp_site_undo(m->mmu, site, DMP_SITE_OK);
	c_check(m);
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	write_gate(guest, &t, 14, 3);
	c_expect_broken(DMP_BROKEN_HANDLER);
	c_end();
}

/*
 * A root whose tables for the handler are its own, as the user half of a pair with
 * page-table isolation: there the filter would not run.
 */
static void test_handler_elsewhere(void **state)
{
	u64 root, table, child;
	unsigned int level, i;
	struct machine *m;
	struct text t;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	root = table = g_frame_alloc(guest, G_ROOT);
	for (level = 4; level > 1; level--) {
		child = g_frame_alloc(guest, G_TABLE);
		g_entry_set(guest, table, dmp_index(t.gva, level),
			    child << 12 | P | RW | A);
		table = child;
	}
	/* Not while the handler is not mapped there. */
	m_load_cr3(m, root, 0, false);
	assert_false(m->broken);
	m_load_cr3(m, guest->kernel_root, 0, false);
	for (i = 0; i < TEXT_PAGES; i++)
		g_entry_set(guest, table, dmp_index(t.gva, 1) + i,
			    g_entry_get(guest, t.table, i));
	assert_int_equal(dmp_mmu_switch_root(m->mmu, root), 0);
	m->may_break = 1u << DMP_BROKEN_CODE;
	m_load_cr3(m, root, 0, false);
	c_expect_broken(DMP_BROKEN_CODE);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code_written),
		cmocka_unit_test(test_text_mapped_anew),
		cmocka_unit_test(test_large_text),
		cmocka_unit_test(test_code_and_table),
		cmocka_unit_test(test_code_of_user),
		cmocka_unit_test(test_code_mapped_twice),
		cmocka_unit_test(test_code_at_two_tops),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_beside_code),
		cmocka_unit_test(test_handler_elsewhere),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
