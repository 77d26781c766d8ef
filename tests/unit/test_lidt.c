// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where LIDT cannot exit: lidt.h.
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
#include "mmu/record.h"
#include "splicer/lidt.h"

static struct text t;

/* Where no site is, in page @page of the text. */
static u64 place(unsigned int page, unsigned int nth)
{
	return t.gva + page * DMP_PAGE_SIZE + 0x800 + nth * 0x80;
}

/* The VM's memory before it is engaged. */
static void put_before(u64 gva, const void *bytes, unsigned int count)
{
	u64 page = (gva - t.gva) / DMP_PAGE_SIZE;

	m_vmm_write(&guest->m, t.gfn[page] << 12 | (gva & 4095), bytes, count);
}

static void begin(unsigned int levels)
{
	guest = calloc(1, sizeof(*guest));
	assert_non_null(guest);
	g_boot(guest, 3, levels);
	guest->m.no_lidt_exit = true;
	g_text(guest, &t);
}

static void engage(void)
{
	c_engage(&t);
	c_check(&guest->m);
}

static bool is_watched(u64 rip)
{
	u8 byte;

	c_read_code(rip, &byte, 1);
	assert_true(!dmp_lidt_is_at(guest->m.splicer, rip) || byte == 0xcc);
	return dmp_lidt_is_at(guest->m.splicer, rip);
}

#define PUT(gva, ...)	put_before(gva, (const u8[]){ __VA_ARGS__ }, \
				   sizeof((const u8[]){ __VA_ARGS__ }))

/* Each form that compilers make, among other instructions. */
static void test_found(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 4; i <= 5; i++) {
		begin(i);
		/* push %rbp; mov %rsp,%rbp; lidt (%rdi); pop; ret */
		PUT(place(1, 0), 0x55, 0x48, 0x89, 0xe5, 0x0f, 0x01, 0x1f, 0x5d, 0xc3);
		PUT(place(1, 1), 0x0f, 0x01, 0x1d, 1, 2, 3, 0, 0xc3);
		PUT(place(1, 2), 0x0f, 0x01, 0x5c, 0x24, 0x08, 0xc3);
		PUT(place(1, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0x01,
		    0x1f, 0, 0, 0, 0, 0, 0xc3);
		PUT(place(2, 0), 0x90, 0x41, 0x0f, 0x01, 0x18, 0xc3);
		/* Of the same group: lgdt, sidt, and with a register. */
		PUT(place(2, 1), 0x0f, 0x01, 0x17, 0xc3);
		PUT(place(2, 2), 0x0f, 0x01, 0x0f, 0xc3);
		PUT(place(2, 3), 0x0f, 0x01, 0xdf, 0xc3);
		/* mov $0x1f010f, %eax; and in a displacement. */
		PUT(place(3, 0), 0xb8, 0x0f, 0x01, 0x1f, 0, 0xc3);
		PUT(place(3, 1), 0x48, 0x8b, 0x87, 0x0f, 0x01, 0x1f, 0, 0xc3);
		engage();
		assert_int_equal(guest->m.splicer->lidts.count, 5);
		assert_true(is_watched(place(1, 0) + 4));
		assert_true(is_watched(place(1, 1)));
		assert_true(is_watched(place(1, 2)));
		assert_true(is_watched(place(1, 3) + 16));
		assert_true(is_watched(place(2, 0) + 1));
		assert_true(guest->m.splicer->lidts.pages >= TEXT_PAGES);
		assert_int_equal(guest->m.splicer->lidts.doubtful, 0);
		c_end();
	}
}

/* Nothing before it. */
static void test_first(void **state)
{
	(void)state;
	begin(4);
	PUT(t.gva, 0x0f, 0x01, 0x1f, 0xc3);
	engage();
	assert_true(is_watched(t.gva));
	c_end();
}

static u64 leaf_of(unsigned int page)
{
	return t.gfn[page] << 12 | P | A | D | G;
}

/* On two pages, of which either comes later. */
static void test_two_pages(void **state)
{
	u64 rip;
	unsigned int i;

	(void)state;
	for (i = 1; i <= 6; i++) {
		begin(4);
		rip = t.gva + 2 * DMP_PAGE_SIZE - i;
		PUT(rip, 0x0f);
		PUT(rip + 1, 0x01);
		PUT(rip + 2, 0x1d);
		g_entry_set(guest, t.table, 2, 0);
		engage();
		assert_false(is_watched(rip));
		g_entry_set(guest, t.table, 2, leaf_of(2));
		assert_true(is_watched(rip));
		g_entry_set(guest, t.table, 1, 0);
		assert_int_equal(guest->m.splicer->lidts.count, 0);
		g_entry_set(guest, t.table, 1, leaf_of(1));
		assert_true(is_watched(rip));
		c_check(&guest->m);
		c_end();
	}
}

/* Elsewhere it is nobody's business. */
static void test_not_asked(void **state)
{
	(void)state;
	begin(4);
	guest->m.no_lidt_exit = false;
	PUT(place(1, 0), 0x0f, 0x01, 0x1f, 0xc3);
	engage();
	assert_int_equal(guest->m.splicer->lidts.count, 0);
	assert_int_equal(guest->m.splicer->lidts.pages, 0);
	c_end();
}

/* The kernel patches its code. */
static void test_written(void **state)
{
	static const u8 lidt[] = { 0x0f, 0x01, 0x1f }, nop[] = { 0x0f, 0x1f, 0x00 };
	unsigned int i;

	(void)state;
	begin(5);
	PUT(place(2, 4), 0x0f, 0x01, 0x1f, 0xc3);
	engage();
	for (i = 0; i < 3; i++) {
		assert_false(is_watched(place(1, 0)));
		c_put_code(&t, place(1, 0), lidt, lidt, 3);
		c_check(&guest->m);
		assert_true(is_watched(place(1, 0)));
		assert_true(is_watched(place(2, 4)));
		c_put_code(&t, place(1, 0) + 0x40, nop, nop, 3);
		assert_true(is_watched(place(1, 0)));
		c_put_code(&t, place(1, 0), nop, nop, 3);
		c_check(&guest->m);
	}
	assert_int_equal(guest->m.splicer->lidts.count, 1);
	c_end();
}

/* A module: written, then code, then gone. */
static void test_module(void **state)
{
	static const u8 lidt[] = { 0x0f, 0x01, 0x1f, 0xc3 };
	struct machine *m;
	u64 gfn, gva, leaf;
	unsigned int i;

	(void)state;
	begin(4);
	engage();
	m = &guest->m;
	gva = t.gva + 100 * DMP_PAGE_SIZE;
	gfn = t.gfn[3];
	for (i = 0; i < 3; i++) {
		leaf = gfn << 12 | P | A | D | G;
		assert_false(dmp_lidt_is_at(m->splicer, gva + 0x123));
		g_entry_set(guest, t.table, 3, 0);
		g_entry_set(guest, t.table, 100, leaf | RW | NX);
		c_write_code(&t, 3, 0x123, lidt, sizeof(lidt));
		c_check(m);
		assert_false(dmp_lidt_is_at(m->splicer, gva + 0x123));
		g_entry_set(guest, t.table, 100, leaf);
		c_check(m);
		assert_true(is_watched(gva + 0x123));
		assert_true(dmp_frame_find(m->mmu, gfn)->held);
		g_entry_set(guest, t.table, 100, 0);
		c_check(m);
		assert_false(dmp_frame_find(m->mmu, gfn)->held);
		assert_int_equal(m->splicer->lidts.count, 0);
	}
	c_end();
}

/* Pages of code that come with their table. */
static void test_table(void **state)
{
	u64 table, entry;

	(void)state;
	begin(5);
	PUT(place(3, 0), 0x0f, 0x01, 0x1f, 0xc3);
	g_entry_set(guest, t.table, 3, 0);
	engage();
	assert_int_equal(guest->m.splicer->lidts.count, 0);
	table = g_frame_alloc(guest, G_TABLE);
	entry = leaf_of(3);
	g_kwrite(guest, table, 77 * 8, &entry, 8);
	g_entry_set(guest, t.l2, dmp_index(t.gva, 2) + 1, table << 12 | P | RW | A);
	assert_true(is_watched((t.gva & ~0x1fffffull) + 0x200000 + 77 * DMP_PAGE_SIZE + 0x800));
	c_check(&guest->m);
	g_entry_set(guest, t.l2, dmp_index(t.gva, 2) + 1, 0);
	assert_int_equal(guest->m.splicer->lidts.count, 0);
	c_end();
}

/* Or with a large leaf. */
static void test_large(void **state)
{
	u8 code[256];
	u64 gva, gfn = 0;

	(void)state;
	begin(4);
	memset(code, 0x90, sizeof(code));
	memcpy(code + 128, "\x0f\x01\x1f\xc3", 4);
	gva = (t.gva & ~0x1fffffull) + 0x200000;
	while (gfn < M_GFNS && guest->type[gfn] != G_HUGE_FREE)
		gfn++;
	assert_true(gfn < M_GFNS);
	m_vmm_write(&guest->m, (gfn + 300) << 12 | 0x780, code, sizeof(code));
	engage();
	g_entry_set(guest, t.l2, dmp_index(gva, 2), gfn << 12 | P | A | D | PS);
	assert_true(is_watched(gva + 300 * DMP_PAGE_SIZE + 0x800));
	c_check(&guest->m);
	g_entry_set(guest, t.l2, dmp_index(gva, 2), 0);
	assert_int_equal(guest->m.splicer->lidts.count, 0);
	c_end();
}

/* More mappings go at once than are noted; one comes back elsewhere, not written. */
static void test_many(void **state)
{
	u64 table, entry;
	unsigned int i;

	(void)state;
	begin(4);
	PUT(place(3, 0), 0x0f, 0x01, 0x1f, 0xc3);
	g_entry_set(guest, t.table, 3, 0);
	engage();
	table = g_frame_alloc(guest, G_TABLE);
	for (i = 0; i <= DMP_LIDT_LEFT_MAX; i++) {
		entry = leaf_of(i < DMP_LIDT_LEFT_MAX ? 2 : 3);
		g_kwrite(guest, table, i * 8, &entry, 8);
	}
	g_entry_set(guest, t.l2, dmp_index(t.gva, 2) + 1, table << 12 | P | RW | A);
	assert_int_equal(guest->m.splicer->lidts.count, 1);
	g_entry_set(guest, t.l2, dmp_index(t.gva, 2) + 1, 0);
	assert_int_equal(guest->m.splicer->lidts.count, 0);
	c_check(&guest->m);
	g_entry_set(guest, t.table, 3, leaf_of(3));
	assert_true(is_watched(place(3, 0)));
	c_check(&guest->m);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_two_pages),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_module),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_many),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
