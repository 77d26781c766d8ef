// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splicing on the model machine: where the implant is, code pages, sites, what
 * stubs know of tables. Histories of guests with splices: test_spliced.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "guest_text.h"
#include "table.h"

static struct guest *volatile guest;	/* for the leak check, on failure */

static void begin(struct text *t, u64 seed, unsigned int levels)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	assert_non_null(g);
	g_boot(g, seed, levels);
	g_text(g, t);
	m_engage(&g->m);
	g->m.op = "splice";
	if (m_splice(&g->m, t->handler, t->gate) != DMP_START_OK)
		m_fail(&g->m, "not started: the handler's site is %s, %s",
		       dmp_site_state_name(g->m.splicer->prologue.state),
		       dmp_site_refusal_name(&g->m.splicer->prologue));
}

static void check(struct machine *m)
{
	m_audit(m);
	m_check_code(m);
	m_check_cache(m);
}

static void end(void)
{
	struct guest *g = guest;

	if (!g->m.broken)
		m_audit(&g->m);
	m_disengage(&g->m);
	g_shutdown(g);
	free(g);
}

/* The kernel's table of the vmalloc region, where sites store. */
static u64 some_table(struct guest *g, struct text *t)
{
	(void)g;
	return t->alias_table;
}

static struct dmp_site *site_of(struct machine *m, u64 rip)
{
	unsigned int i;

	for (i = 0; i < m->splicer->sites; i++)
		if (m->splicer->site[i].rip == rip)
			return &m->splicer->site[i];
	return NULL;
}

/* Trap at @rip @n times, by storing what is there. */
static struct dmp_site *trap(struct text *t, u64 rip, unsigned int n)
{
	struct guest *g = guest;

	while (n--) {
		m_flush_all(&g->m);
		g_store(g, rip, some_table(g, t), 500, 0);
	}
	return site_of(&g->m, rip);
}

static void expect_broken(enum dmp_broken why)
{
	struct machine *m = &guest->m;

	if (!m->broken || m->mmu->broken != why)
		m_fail(m, "broken: %s, not %s", dmp_broken_name(m->mmu->broken),
		       dmp_broken_name(why));
}

/*
 * ---- The implant's place ----
 */

static void test_place(void **state)
{
	struct text t;
	unsigned int seed, i;

	(void)state;
	for (seed = 1; seed <= 8; seed++) {
		begin(&t, seed, seed & 1 ? 5 : 4);
		check(&guest->m);
		m_check_space(&guest->m);
		g_many_roots(guest, 5);
		for (i = 0; i < 6; i++) {
			g_switch(guest);
			m_check_space(&guest->m);
			m_check_machine(&guest->m);
			check(&guest->m);
		}
		end();
	}
}

static void test_start_refused(void **state)
{
	static const struct {
		u64 handler, gate;
	} rows[] = {
		{ 1ull << 40, 0 },	/* no kernel's */
		{ 0x40, 0 },		/* INT3: nothing to displace */
		{ 0, 16 },		/* no gate is there */
		{ 0, -8ull & 4095 },	/* a gate on two pages */
	};
	unsigned int i;
	struct guest *g;
	struct text t;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(rows); i++) {
		guest = g = calloc(1, sizeof(*g));
		g_boot(g, i + 1, 4);
		g_text(g, &t);
		m_engage(&g->m);
		if (rows[i].handler >> 40)
			t.handler = rows[i].handler;
		else
			t.handler += rows[i].handler;
		if (rows[i].gate == 16)
			t.gate += 1 << 20;
		else if (rows[i].gate)
			t.gate = t.idt + rows[i].gate;
		if (m_splice(&g->m, t.handler, t.gate) != DMP_START_HANDLER)
			m_fail(&g->m, "row %u was not refused", i);
		m_disengage(&g->m);
		g_shutdown(g);
		free(g);
	}
}

/* The guest comes to use what the implant has, more and more of it. */
static void test_address_used(void **state)
{
	unsigned int levels, top, level;
	u64 table, next, gva;
	struct guest *g;
	struct text t;

	(void)state;
	for (levels = 4; levels <= 5; levels++) {
		begin(&t, levels, levels);
		g = guest;
		gva = g->m.splicer->frames_gva;
		top = dmp_index(gva, levels);
		table = g->kernel_root;
		g->m.may_break = 1u << DMP_BROKEN_ADDRESS;
		/* A table in the same entry, another entry in use: pushed down. */
		for (level = levels; level > 2; level--) {
			next = g_frame_alloc(g, G_TABLE);
			g_entry_set(g, table, level == levels ? top :
				    dmp_index(gva, level), next << 12 | P | RW | A);
			if (g->m.broken)
				m_fail(&g->m, "broken at level %u", level);
			m_check_space(&g->m);
			check(&g->m);
			/* A large one, of nothing that is there. */
			g_entry_set(g, next, 400, P | RW | (level > 3 ? 0 : PS) |
				    (level > 3 ? g_frame_alloc(g, G_TABLE) << 12 : 0) | A);
			m_check_space(&g->m);
			check(&g->m);
			table = next;
		}
		/* Taken back: the overlay is whole again. */
		next = g_entry_get(g, g->kernel_root, top);
		g_entry_set(g, g->kernel_root, top, 0);
		m_flush_all(&g->m);
		m_check_space(&g->m);
		check(&g->m);
		g_entry_set(g, g->kernel_root, top, next);
		m_check_space(&g->m);
		/* The very address. */
		g_entry_set(g, table, dmp_index(gva, 2), P | RW | PS | A);
		expect_broken(DMP_BROKEN_ADDRESS);
		m_flush_all(&g->m);
		end();
	}
}

/*
 * ---- Sites ----
 */

static void test_sites(void **state)
{
	struct dmp_site *site;
	struct machine *m;
	struct text t;

	(void)state;
	begin(&t, 1, 4);
	m = &guest->m;
	site = trap(&t, g_site(&t, 1, TEXT_MOV), 1);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	trap(&t, site->rip, 1);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	check(m);
	assert_int_equal(trap(&t, g_site(&t, 1, TEXT_XCHG), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(trap(&t, g_site(&t, 2, TEXT_IMM), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(trap(&t, g_site(&t, 2, TEXT_MOV_MOV), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(trap(&t, g_site(&t, 1, TEXT_MOV_RET), 2)->state, DMP_SITE_SPLICED);
	check(m);
	m_check_space(m);
	/* In the middle of a splice: from its stub; in the bytes behind: #BP. */
	site = site_of(m, g_site(&t, 2, TEXT_MOV_MOV));
	assert_true(dmp_splicer_breakpoint(m->splicer, site->rip + 3));
	assert_false(dmp_splicer_breakpoint(m->splicer, site->rip));
	assert_false(dmp_splicer_breakpoint(m->splicer, site->rip + 2));
	assert_ptr_equal(dmp_splicer_site(m->splicer, site->rip + 3), site);

	/* Why not. */
	site = trap(&t, site->rip + 3, 3);
	assert_string_equal(dmp_site_refusal_name(site), "overlaps");
	site = trap(&t, g_site(&t, 1, TEXT_NOP), 3);
	assert_string_equal(dmp_site_refusal_name(site), "nop");
	site = trap(&t, g_site(&t, 1, TEXT_WORD), 3);
	assert_string_equal(dmp_site_refusal_name(site), "size");
	site = trap(&t, g_site(&t, 1, TEXT_FAR), 3);
	assert_string_equal(dmp_site_refusal_name(site), "reach");
	/* What comes to be where its stub was tried is not taken for it. */
	assert_int_equal(trap(&t, g_site(&t, 3, TEXT_MOV), 40)->state, DMP_SITE_SPLICED);
	site = trap(&t, t.gva + 2 * DMP_PAGE_SIZE - 3, 3);
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	site = trap(&t, t.gva + 100 * DMP_PAGE_SIZE, 3);
	assert_string_equal(dmp_site_refusal_name(site), "code-page");
	site = trap(&t, t.idt, 3);
	if (m->mmu->paging.flags & DMP_PAGING_NX)
		assert_string_equal(dmp_site_refusal_name(site), "code-page");
	assert_null(trap(&t, 0x400000, 3));
	check(m);

	/* An undone site asks for more. */
	site = site_of(m, g_site(&t, 1, TEXT_MOV));
	for (int i = 1; i <= 3; i++) {
		dmp_site_undo(m->mmu, site, DMP_SITE_OK);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
		check(m);
		trap(&t, site->rip, (2 << i) - 1);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
		trap(&t, site->rip, 1);
		assert_int_equal(site->state, DMP_SITE_SPLICED);
		check(m);
	}
	dmp_site_undo(m->mmu, site, DMP_SITE_OK);
	assert_string_equal(dmp_site_refusal_name(site), "undone-often");
	trap(&t, site->rip, 50);
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	site = site_of(m, g_site(&t, 2, TEXT_IMM));
	dmp_site_undo(m->mmu, site, DMP_SITE_ASKED);
	assert_string_equal(dmp_site_refusal_name(site), "asked");
	check(m);
	end();
}

/* More places that trap than there are records: who traps most is served. */
static void test_many_sites(void **state)
{
	struct machine *m;
	struct text t;
	unsigned int i;

	(void)state;
	begin(&t, 2, 5);
	m = &guest->m;
	m->splicer->threshold = 3;
	for (i = 0; i < DMP_SITES_MAX + 20; i++)
		trap(&t, t.gva + 64 * DMP_PAGE_SIZE + 16 * i, 1);
	assert_int_equal(m->splicer->sites, DMP_SITES_MAX);
	assert_int_equal(trap(&t, g_site(&t, 3, TEXT_MOV), 3)->state, DMP_SITE_SPLICED);
	/* Refused ones are forgotten when places are short. */
	for (i = 0; i < DMP_SITES_MAX + 20; i++)
		trap(&t, t.gva + 64 * DMP_PAGE_SIZE + 16 * i, 3);
	assert_int_equal(trap(&t, g_site(&t, 3, TEXT_XCHG), 3)->state, DMP_SITE_SPLICED);
	assert_int_equal(site_of(m, g_site(&t, 3, TEXT_MOV))->state, DMP_SITE_SPLICED);
	check(m);
	end();
}

/*
 * ---- Code ----
 */

static void write_code(struct text *t, unsigned int page, unsigned int offset,
		       const void *data, unsigned int bytes)
{
	u32 error;

	if (m_access(&guest->m, t->alias + page * DMP_PAGE_SIZE + offset,
		     DMP_ACCESS_WRITE, data, bytes, &error) != ACCESS_DONE)
		m_fail(&guest->m, "text cannot be written");
}

static void test_code_written(void **state)
{
	struct dmp_site *mov, *xchg;
	struct machine *m;
	struct text t;
	u64 leaf;

	(void)state;
	begin(&t, 1, 4);
	m = &guest->m;
	write_code(&t, 1, 0x800, "before", 6);
	mov = trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	xchg = trap(&t, g_site(&t, 1, TEXT_XCHG), 2);
	check(m);
	/* Other mappings show the guest's page; none may write it. */
	leaf = m_machine_leaf(m, t.alias + DMP_PAGE_SIZE);
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	assert_false(leaf & DMP_PTE_RW);
	leaf = m_machine_leaf(m, g_dmap(guest, t.gfn[1]));
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	assert_false(leaf & DMP_PTE_RW);

	/* Beside, just before and just behind a splice. */
	write_code(&t, 1, 0x801, "beside", 6);
	write_code(&t, 1, (mov->rip & 4095) + mov->stub.plan.len, "b", 1);
	write_code(&t, 1, (xchg->rip & 4095) - 1, "b", 1);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	assert_int_equal(xchg->state, DMP_SITE_SPLICED);
	check(m);
	/* The same again is no change. */
	write_code(&t, 1, mov->rip & 4095, "\x48\x89\x37\xc3", 4);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	/* Its last byte. */
	write_code(&t, 1, (xchg->rip & 4095) + 4, "\x90", 1);
	assert_int_equal(xchg->state, DMP_SITE_UNDONE);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	check(m);
	write_code(&t, 1, mov->rip & 4095, "\x90", 1);
	assert_int_equal(mov->state, DMP_SITE_UNDONE);
	check(m);
	/* What it has shown may be written back: the page stays watched. */
	assert_false(m_machine_leaf(m, t.alias + DMP_PAGE_SIZE) & DMP_PTE_RW);
	/* The handler. */
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	write_code(&t, 0, t.handler & 4095, "\xcc", 1);
	expect_broken(DMP_BROKEN_HANDLER);
	end();
}

static void test_text_mapped_anew(void **state)
{
	struct dmp_site *mov, *other;
	struct machine *m;
	struct guest *g;
	struct text t;
	u64 leaf, was;

	(void)state;
	begin(&t, 1, 5);
	g = guest;
	m = &g->m;
	mov = trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	other = trap(&t, g_site(&t, 2, TEXT_MOV), 2);
	was = g_entry_get(g, t.table, 1);
	/* Writable and back, by one store each: it is the same code. */
	g_entry_set(g, t.table, 1, was | RW);
	check(m);
	g_entry_set(g, t.table, 1, was);
	check(m);
	assert_int_equal(mov->state, DMP_SITE_SPLICED);
	/* Data for a while. */
	g_entry_set(g, t.table, 1, was | NX);
	m_flush_all(m);
	leaf = m_machine_leaf(m, t.gva + DMP_PAGE_SIZE);
	assert_int_equal(dmp_pte_gfn(leaf), m->hfn_of[t.gfn[1]]);
	m_audit(m);
	g_entry_set(g, t.table, 1, was);
	check(m);
	/* Another frame, and none. */
	g_entry_set(g, t.table, 1, (was & ~DMP_PTE_ADDR) | t.gfn[3] << 12);
	m_flush_all(m);
	assert_int_equal(mov->state, DMP_SITE_COUNTING);
	check(m);
	g_entry_set(g, t.table, 2, 0);
	m_flush_all(m);
	assert_int_equal(other->state, DMP_SITE_COUNTING);
	check(m);
	/* All of it. */
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	g_entry_set(g, t.l2, 9, 0);
	m_flush_all(m);
	expect_broken(DMP_BROKEN_HANDLER);
	end();
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
	begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	gva = (t.gva & ~0x1fffffull) - 0x200000 + 0x123000;
	m_vmm_write(m, 0x123040, code, sizeof(code));
	site = trap(&t, gva + 0x40, 2);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	check(m);
	at = g_place_of(g, g->kernel_root, gva, 2, false);
	g_huge_split(g, at, gva);
	m_flush_all(m);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	check(m);
	trap(&t, site->rip, 4);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	check(m);
	end();
}

/* A frame of code becomes a page table, a table's frame is no code. */
static void test_code_and_table(void **state)
{
	struct dmp_site *site;
	struct machine *m;
	struct guest *g;
	struct text t;

	(void)state;
	begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	site = trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	g_entry_set(g, g->vmalloc_l2, 7, t.gfn[1] << 12 | P | RW | A);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	check(m);
	site = trap(&t, g_site(&t, 1, TEXT_XCHG), 2);
	assert_string_equal(dmp_site_refusal_name(site), "code-page");
	g_entry_set(g, g->vmalloc_l2, 7, 0);
	m_flush_all(m);
	check(m);
	end();
}

/* One page of code at two addresses, once by its leaf and once by its table. */
static void test_code_mapped_twice(void **state)
{
	struct dmp_site *one, *two;
	struct machine *m;
	struct guest *g;
	struct text t;

	(void)state;
	begin(&t, 1, 4);
	g = guest;
	m = &g->m;
	one = trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	g_entry_set(g, t.table, 10, t.gfn[1] << 12 | P | A | D);
	check(m);
	two = trap(&t, one->rip + 9 * DMP_PAGE_SIZE, 2);
	assert_int_equal(two->state, DMP_SITE_SPLICED);
	check(m);
	assert_memory_not_equal(one->bytes, two->bytes, 5);
	write_code(&t, 1, one->rip & 4095, "\x90", 1);
	assert_int_equal(one->state, DMP_SITE_UNDONE);
	assert_int_equal(two->state, DMP_SITE_UNDONE);
	check(m);
	m->may_break = 1u << DMP_BROKEN_CODE;
	g_entry_set(g, t.l2, 20, g_entry_get(g, t.l2, 9));
	expect_broken(DMP_BROKEN_CODE);
	end();
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
		begin(&t, 1, 4 + i % 2);
		m = &guest->m;
		write_gate(guest, &t, 13, 15);
		write_gate(guest, &t, 15, 0);
		check(m);
		m->may_break = 1u << DMP_BROKEN_HANDLER;
		if (i < 3)
			write_gate(guest, &t, 14, byte[i]);
		else	/* another page of gates */
			g_entry_set(guest, t.table, 32, t.gfn[3] << 12 | P | A | D);
		expect_broken(DMP_BROKEN_HANDLER);
		m_flush_all(m);
		end();
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
	begin(&t, 1, 4);
	m = &guest->m;
	g_entry_set(guest, t.table, 40, t.idt_gfn << 12 | P | A | D);
	g_kwrite(guest, t.idt_gfn, 0x800, code, sizeof(code));
	site = trap(&t, t.gva + 40 * DMP_PAGE_SIZE + 0x800, 2);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	check(m);
	dmp_site_undo(m->mmu, site, DMP_SITE_OK);
	check(m);
	m->may_break = 1u << DMP_BROKEN_HANDLER;
	write_gate(guest, &t, 14, 3);
	expect_broken(DMP_BROKEN_HANDLER);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_address_used),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_many_sites),
		cmocka_unit_test(test_code_written),
		cmocka_unit_test(test_text_mapped_anew),
		cmocka_unit_test(test_large_text),
		cmocka_unit_test(test_code_and_table),
		cmocka_unit_test(test_code_mapped_twice),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_beside_code),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
