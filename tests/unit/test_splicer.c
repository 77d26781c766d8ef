// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splicing on the model machine: where the implant is, which sites are spliced.
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
#include "splicer/leave.h"
#include "splicer/overlay.h"
#include "splicer/site.h"
#include "splicer/site_names.h"
#include "splicer/space.h"
#include "splicer/start.h"

/*
 * ---- The implant's place ----
 */

static void test_place(void **state)
{
	struct text t;
	unsigned int seed, i;

	(void)state;
	for (seed = 1; seed <= 8; seed++) {
		c_begin(&t, seed, seed & 1 ? 5 : 4);
		c_check(&guest->m);
		m_check_space(&guest->m);
		g_many_roots(guest, 5);
		for (i = 0; i < 6; i++) {
			g_switch(guest);
			m_check_space(&guest->m);
			m_check_machine(&guest->m);
			c_check(&guest->m);
		}
		c_end();
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

/* By 2 MiB what is the VM's whole, by 4 KiB what is beside others'. */
static void test_window(void **state)
{
	const u64 large = DMP_ENTRIES;
	struct text t;
	u64 window;

	(void)state;
	c_begin(&t, 3, 5);	/* guest memory in order, from the first page on */
	m_check_space(&guest->m);
	window = guest->m.splicer->implant->window;
	assert_false(m_machine_leaf(&guest->m, window + (1 << DMP_PAGE_SHIFT)) &
		     DMP_PTE_PS);
	assert_true(m_machine_leaf(&guest->m, window + (large << DMP_PAGE_SHIFT)) &
		    DMP_PTE_PS);
	assert_non_null(dmp_mmu_at(guest->m.mmu, window + 2 * DMP_PAGE_SIZE - 1, 1));
	assert_null(dmp_mmu_at(guest->m.mmu, window + 2 * DMP_PAGE_SIZE - 1, 2));
	assert_null(dmp_mmu_at(guest->m.mmu, window + (large << DMP_PAGE_SHIFT), 1));
	c_end();
}

/* Memory that is in two slots, in one of them as a large page. */
static void test_window_of_aliases(void **state)
{
	struct dmp_frame *frames = calloc(DMP_ENTRIES, sizeof(*frames));
	struct dmp_mmu *mmu;
	struct guest *g;
	struct text t;
	u64 i, is;

	(void)state;
	guest = g = calloc(1, sizeof(*g));
	assert_non_null(frames);
	assert_non_null(g);
	g_boot(g, 1, 5);
	g_text(g, &t);
	mmu = g->m.mmu;
	for (i = 0; i < DMP_ENTRIES; i++)
		frames[i] = dmp_frame_make(DMP_ENTRIES + i, 0);
	mmu->slot[mmu->slots++] = (struct dmp_slot){ M_GFNS, DMP_ENTRIES, 0, frames };
	m_engage(&g->m);
	assert_int_equal(m_splice(&g->m, t.handler, t.gate), DMP_START_OK);
	for (i = 0; i < DMP_ENTRIES; i++) {
		assert_true(dmp_space_lookup(mmu, mmu->splicer->implant->window +
				((DMP_ENTRIES + i) << DMP_PAGE_SHIFT), &is));
		assert_int_equal(is, DMP_ENTRIES + i);
	}
	mmu->slots--;
	m_disengage(&g->m);
	g_shutdown(g);
	free(g);
	free(frames);
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
		c_begin(&t, levels, levels);
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
			c_check(&g->m);
			/* A large one, of nothing that is there. */
			g_entry_set(g, next, 400, P | RW | (level > 3 ? 0 : PS) |
				    (level > 3 ? g_frame_alloc(g, G_TABLE) << 12 : 0) | A);
			m_check_space(&g->m);
			c_check(&g->m);
			table = next;
		}
		/* Taken back: the overlay is whole again. */
		next = g_entry_get(g, g->kernel_root, top);
		g_entry_set(g, g->kernel_root, top, 0);
		m_flush_all(&g->m);
		m_check_space(&g->m);
		c_check(&g->m);
		g_entry_set(g, g->kernel_root, top, next);
		m_check_space(&g->m);
		/* The very address. */
		next = levels == 4 ? PS : g_frame_alloc(g, G_TABLE) << 12;
		g_entry_set(g, table, dmp_index(gva, 2), next | P | RW | A);
		c_expect_broken(DMP_BROKEN_ADDRESS);
		m_flush_all(&g->m);
		c_end();
	}
}

/* Level 3 of the kernel's image. */
static u64 image_l3(struct guest *g, const struct text *t)
{
	u64 table = g->kernel_root;
	unsigned int level;

	for (level = g_levels_of(g); level > 3; level--)
		table = dmp_pte_gfn(g_entry_get(g, table, dmp_index(t->gva, level)));
	return table;
}

/* The public region shows in a table of the guest's, which then goes. */
static void test_table_below_public_gone(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	u64 table[2], l3, gva;
	struct text t;
	u32 i, index;

	(void)state;
	guest = g;
	g_boot(g, 1, 4);
	g_text(g, &t);
	l3 = image_l3(g, &t);
	for (i = 0; i < 2; i++) {
		index = dmp_index(t.handler - (i ? 896ull : 768) * 0x100000, 3);
		if (g_entry_get(g, l3, index))
			continue;
		table[i] = g_frame_alloc(g, G_TABLE);
		g_entry_set(g, l3, index, table[i] << 12 | P | RW | A);
	}
	m_engage(&g->m);
	assert_int_equal(m_splice(&g->m, t.handler, t.gate), DMP_START_OK);
	m_check_space(&g->m);
	gva = g->m.splicer->implant_gva;
	assert_true(g_entry_get(g, l3, dmp_index(gva, 3)));
	assert_true(g->m.mmu->splicer->space.overlays);
	g_entry_set(g, l3, dmp_index(gva, 3), 0);
	m_flush_all(&g->m);
	m_check_space(&g->m);
	c_check(&g->m);
	c_end();
}

/* Zeroes over a long range: each part by the largest entry that fits. */
static void test_fill(void **state)
{
	static const u64 offset[] = { 0, 4096, 1 << 21, 3ull << 30, (5ull << 30) + 8192 };
	unsigned int top, i;
	struct machine *m;
	struct text t;
	u64 gva, hfn;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	top = dmp_space_free_tops(m->mmu, 2);
	g_entry_set(guest, guest->kernel_root, top,
		    g_frame_alloc(guest, G_TABLE) << 12 | P | RW | A);
	assert_true(dmp_space_free_tops(m->mmu, 2) > top);
	top = dmp_space_free_tops(m->mmu, 2);
	gva = ~0ull << 48 | (u64)top << 39;
	assert_true(dmp_space_fill(m->mmu, gva + 4096, gva + (5ull << 30) + 8192));
	for (i = 0; i < DMP_ARRAY_SIZE(offset); i++) {
		assert_int_equal(dmp_space_lookup(m->mmu, gva + offset[i], &hfn), i % 4 != 0);
		if (i % 4)
			assert_int_equal(hfn, m->mmu->splicer->space.zero_hfn[0]);
	}
	assert_true(dmp_space_sync(m->mmu));
	m_check_space(m);
	c_check(m);
	c_end();
}

/*
 * ---- Sites ----
 */

static void test_sites(void **state)
{
	struct dmp_site *site;
	struct machine *m;
	struct text t;
	u64 within;

	(void)state;
	c_begin(&t, 1, 4);
	m = &guest->m;
	site = c_trap(&t, g_site(&t, 1, TEXT_MOV), 1);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	c_trap(&t, site->rip, 1);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	c_check(m);
	assert_int_equal(c_trap(&t, g_site(&t, 1, TEXT_XCHG), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(c_trap(&t, g_site(&t, 2, TEXT_IMM), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(c_trap(&t, g_site(&t, 2, TEXT_MOV_MOV), 2)->state, DMP_SITE_SPLICED);
	assert_int_equal(c_trap(&t, g_site(&t, 1, TEXT_MOV_RET), 2)->state, DMP_SITE_SPLICED);
	c_check(m);
	m_check_space(m);
	/* In the middle of a splice: from its stub; in the bytes behind: #BP. */
	site = c_site_of(m, g_site(&t, 2, TEXT_MOV_MOV));
	assert_true(dmp_splicer_breakpoint(m->splicer, site->rip + 3));
	assert_false(dmp_splicer_breakpoint(m->splicer, site->rip));
	assert_false(dmp_splicer_breakpoint(m->splicer, site->rip + 2));
	/* A #BP there is the guest's own only where it has an INT3. */
	assert_true(dmp_splicer_is_within(m->splicer, site->rip + 2, &within));
	assert_true(within == site->rip);
	assert_false(dmp_splicer_is_within(m->splicer, site->rip, &within));
	assert_false(dmp_splicer_is_within(m->splicer, site->rip + 3, &within));
	assert_ptr_equal(dmp_splicer_site(m->splicer, site->rip + 3), site);

	/* Why not. */
	site = c_trap(&t, site->rip + 3, 3);
	assert_string_equal(dmp_site_refusal_name(site), "overlaps");
	site = c_trap(&t, g_site(&t, 1, TEXT_NOP), 3);
	assert_string_equal(dmp_site_refusal_name(site), "nop");
	site = c_trap(&t, g_site(&t, 1, TEXT_WORD), 3);
	assert_string_equal(dmp_site_refusal_name(site), "size");
	site = c_trap(&t, g_site(&t, 1, TEXT_FAR), 3);
	assert_string_equal(dmp_site_refusal_name(site), "reach");
	/* What comes to be where its stub was tried is not taken for it. */
	assert_int_equal(c_trap(&t, g_site(&t, 3, TEXT_MOV), 40)->state, DMP_SITE_SPLICED);
	site = c_trap(&t, t.gva + 2 * DMP_PAGE_SIZE - 3, 3);
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	site = c_trap(&t, t.gva + 100 * DMP_PAGE_SIZE, 3);
	assert_string_equal(dmp_site_refusal_name(site), "code-page");
	site = c_trap(&t, t.idt, 3);
	if (m->mmu->paging.flags & DMP_PAGING_NX)
		assert_string_equal(dmp_site_refusal_name(site), "code-page");
	assert_null(c_trap(&t, 0x400000, 3));
	c_check(m);

	/* An undone site asks for more. */
	site = c_site_of(m, g_site(&t, 1, TEXT_MOV));
	for (int i = 1; i <= 3; i++) {
		dmp_site_undo(m->mmu, site, DMP_SITE_OK);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
		c_check(m);
		c_trap(&t, site->rip, (2 << i) - 1);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
		c_trap(&t, site->rip, 1);
		assert_int_equal(site->state, DMP_SITE_SPLICED);
		c_check(m);
	}
	dmp_site_undo(m->mmu, site, DMP_SITE_OK);
	assert_string_equal(dmp_site_refusal_name(site), "undone-often");
	c_trap(&t, site->rip, 50);
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	site = c_site_of(m, g_site(&t, 2, TEXT_IMM));
	dmp_site_undo(m->mmu, site, DMP_SITE_ASKED);
	assert_string_equal(dmp_site_refusal_name(site), "asked");
	c_check(m);
	c_end();
}

/* By its address, or all but the handler's: `dmp undo`. */
static void test_undo(void **state)
{
	struct dmp_site *one, *two;
	struct machine *m;
	struct text t;
	u64 handler;

	(void)state;
	c_begin(&t, 1, 4);
	m = &guest->m;
	handler = m->splicer->prologue.rip;
	assert_int_equal(dmp_sites_undo(m->mmu, 0, DMP_SITE_ASKED), DMP_UNDO_NONE);
	one = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2);
	two = c_trap(&t, g_site(&t, 2, TEXT_IMM), 2);
	assert_int_equal(dmp_sites_undo(m->mmu, handler, DMP_SITE_ASKED), DMP_UNDO_HANDLER);
	assert_int_equal(dmp_sites_undo(m->mmu, one->rip + 1, DMP_SITE_ASKED), DMP_UNDO_NONE);
	assert_true(one->state == DMP_SITE_SPLICED && two->state == DMP_SITE_SPLICED);
	assert_int_equal(dmp_sites_undo(m->mmu, one->rip, DMP_SITE_ASKED), DMP_UNDO_DONE);
	assert_string_equal(dmp_site_refusal_name(one), "asked");
	assert_int_equal(two->state, DMP_SITE_SPLICED);
	assert_int_equal(dmp_sites_undo(m->mmu, one->rip, DMP_SITE_ASKED), DMP_UNDO_NONE);
	c_check(m);
	assert_int_equal(dmp_sites_undo(m->mmu, 0, DMP_SITE_ASKED), DMP_UNDO_DONE);
	assert_string_equal(dmp_site_refusal_name(two), "asked");
	assert_int_equal(m->splicer->prologue.state, DMP_SITE_SPLICED);
	assert_false(m->mmu->broken);
	c_check(m);
	c_end();
}

/* More places that trap than there are records: who traps most is served. */
static void test_many_sites(void **state)
{
	struct machine *m;
	struct text t;
	unsigned int i;

	(void)state;
	c_begin(&t, 2, 5);
	m = &guest->m;
	m->splicer->threshold = 3;
	for (i = 0; i < DMP_SITES_MAX + 20; i++)
		c_trap(&t, t.gva + 64 * DMP_PAGE_SIZE + 16 * i, 1);
	assert_int_equal(m->splicer->sites, DMP_SITES_MAX);
	assert_int_equal(c_trap(&t, g_site(&t, 3, TEXT_MOV), 3)->state, DMP_SITE_SPLICED);
	/* Refused ones are forgotten when places are short. */
	for (i = 0; i < DMP_SITES_MAX + 20; i++)
		c_trap(&t, t.gva + 64 * DMP_PAGE_SIZE + 16 * i, 3);
	assert_int_equal(c_trap(&t, g_site(&t, 3, TEXT_XCHG), 3)->state, DMP_SITE_SPLICED);
	assert_int_equal(c_site_of(m, g_site(&t, 3, TEXT_MOV))->state, DMP_SITE_SPLICED);
	c_check(m);
	c_end();
}

/*
 * ---- Tombstones ----
 */

/*
 * A vCPU that comes to @stub, wherever in it, is sent home: to its site or what
 * stands there, with what the stub keeps of its registers. (Who is to finish an
 * entry there, has one to finish: test_spliced.c.)
 */
static void expect_sent_home(struct machine *m, const struct dmp_stub *stub)
{
	const struct dmp_stub_row *row;
	struct dmp_filter_regs regs;
	struct dmp_left left;
	unsigned int i, k;
	u64 rip;

	for (i = 0; i < stub->rows; i++) {
		row = &stub->row[i];
		if (row->offset >= stub->code)
			break;
		rip = stub->gva + row->offset;
		for (k = 0; k < 16; k++) {
			regs.gpr[k] = m->splicer->implant->save[k] = 100 + k;
			if (row->saved >> k & 1)
				regs.gpr[k] = 0;
		}
		if (row->flags & DMP_ROW_RAX_IN_VALUE)
			regs.gpr[stub->value] = 100 + DMP_REG_RAX;
		regs.rip = rip;
		dmp_splicer_leave(m->splicer, &regs, false, &left);
		if (left.kind != DMP_LEFT_HOME || regs.rip != stub->site + row->resume ||
		    left.unfinished != (row->phase == DMP_STUB_FINISH))
			m_fail(m, "a stub left at row %u of %u, as kind %d, to %#llx", i,
			       stub->rows, left.kind, regs.rip);
		for (k = 0; k < 16; k++)
			if (row->saved >> k & 1)
				assert_int_equal(regs.gpr[k], 100 + k);
		assert_true(dmp_splicer_home(m->splicer, rip) == stub->site + row->resume);
	}
	assert_true(i > 3);
}

/* Stubs outlive their splices: the guest may have kept a jump there. */
static void test_tombstone(void **state)
{
	static const enum text_site kinds[] = {
		TEXT_MOV, TEXT_XCHG, TEXT_IMM, TEXT_MOV_RET, TEXT_MOV_MOV,
	};
	struct dmp_site *site;
	struct dmp_stub first;
	struct machine *m;
	struct text t;
	unsigned int i, k;

	(void)state;
	c_begin(&t, 1, 4);
	m = &guest->m;
	for (k = 0; k < DMP_ARRAY_SIZE(kinds); k++) {
		site = c_trap(&t, g_site(&t, 1 + k % 3, kinds[k]), 2);
		assert_int_equal(site->state, DMP_SITE_SPLICED);
		first = site->stub;
		expect_sent_home(m, &first);
		for (i = 1; i <= 3; i++) {
			dmp_site_undo(m->mmu, site, DMP_SITE_OK);
			assert_int_equal(site->state, DMP_SITE_UNDONE);
			expect_sent_home(m, &first);
			c_trap(&t, site->rip, 2 << i);
			assert_int_equal(site->state, DMP_SITE_SPLICED);
			expect_sent_home(m, &site->stub);
			expect_sent_home(m, &first);
		}
		dmp_site_undo(m->mmu, site, DMP_SITE_OK);
		assert_int_equal(site->state, DMP_SITE_REFUSED);
		expect_sent_home(m, &first);
		c_check(m);
	}
	c_end();
}

/* And the site's code, which has been replaced since by other code. */
static void test_tombstone_of_old_code(void **state)
{
	static const u8 longer[] = { 0x48, 0x89, 0x77, 0x00, 0xc3, 0xcc, 0xcc };
	u8 text[DMP_PAGE_SIZE];
	struct dmp_stub stub[4];
	struct dmp_site *site;
	struct machine *m;
	struct text t;
	unsigned int i, k, offset;

	(void)state;
	c_begin(&t, 1, 5);
	m = &guest->m;
	memcpy(text, m_ref(m, t.gfn[1]), sizeof(text));
	offset = g_site(&t, 1, TEXT_MOV) & 4095;
	for (i = 0; i < DMP_ARRAY_SIZE(stub); i++) {
		site = c_trap(&t, g_site(&t, 1, TEXT_MOV), 2 << i);
		assert_int_equal(site->state, DMP_SITE_SPLICED);
		stub[i] = site->stub;
		for (k = 0; k <= i; k++)
			expect_sent_home(m, &stub[k]);
		assert_true(!i || stub[i].gva != stub[i - 1].gva);
		c_write_code(&t, 1, offset, i & 1 ? &text[offset] : longer,
			     sizeof(longer));
		assert_int_equal(site->state, i < 3 ? DMP_SITE_UNDONE : DMP_SITE_REFUSED);
		c_check(m);
		for (k = 0; k <= i; k++)
			expect_sent_home(m, &stub[k]);
	}
	/* Where there is no place for another, the old one stays. */
	site = c_trap(&t, g_site(&t, 3, TEXT_MOV), 2);
	stub[0] = site->stub;
	c_write_code(&t, 3, site->rip & 4095, longer, sizeof(longer));
	assert_int_equal(site->state, DMP_SITE_UNDONE);
	m->splicer->threshold = 4;
	for (i = 0; m->splicer->sites < DMP_SITES_MAX; i++)
		c_trap(&t, t.gva + 64 * DMP_PAGE_SIZE + 16 * i, 1);
	c_trap(&t, site->rip, 8);
	assert_string_equal(dmp_site_refusal_name(site), "no-room");
	expect_sent_home(m, &stub[0]);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_of_aliases),
		cmocka_unit_test(test_address_used),
		cmocka_unit_test(test_table_below_public_gone),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_many_sites),
		cmocka_unit_test(test_tombstone),
		cmocka_unit_test(test_tombstone_of_old_code),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
