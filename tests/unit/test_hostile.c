// SPDX-License-Identifier: GPL-2.0-only
/*
 * Code that does what code seldom does, at and around splices, on the model
 * machine: it writes itself, stands at several addresses, crosses pages, is
 * freed and used for something else.
 *
 * DMP_TEST	only the test of that name
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
#include "splicer/leave.h"
#include "splicer/site.h"
#include "splicer/site_names.h"

static struct text t;

static u8 *text_at(u64 gva)
{
	return (u8 *)m_real(&guest->m, t.gfn[(gva - t.gva) / DMP_PAGE_SIZE]) +
	       (gva & 4095);
}

static u64 alias_of(u64 gva)
{
	return gva - t.gva + t.alias;
}

/* By the instruction at @rip; 0: one that is no site. */
static void write_by(u64 rip, u64 gva, const void *bytes, unsigned int count)
{
	struct machine *m = &guest->m;
	u32 error;

	m->rip = rip;
	if (m_access(m, alias_of(gva), DMP_ACCESS_WRITE, bytes, count, &error) !=
	    ACCESS_DONE)
		m_fail(m, "text cannot be written");
	m->rip = 0;
	if (memcmp(text_at(gva), bytes, count))
		m_fail(m, "%#llx: not what was written", gva);
	m_check_memory(m);
	c_check(m);
}

static struct dmp_site *trap_until(u64 rip, enum dmp_site_state state)
{
	struct dmp_site *site = NULL;
	unsigned int i;

	for (i = 0; i < 100; i++) {
		site = c_trap(&t, rip, 1);
		if (site->state == state)
			return site;
	}
	m_fail(&guest->m, "%#llx is %s, %s", rip, dmp_site_state_name(site->state),
	       dmp_site_refusal_name(site));
}

static const struct dmp_code_page *page_of(const struct dmp_site *site)
{
	return &guest->m.splicer->code[site->code];
}

/* What is executed at @gva: the guest's own all over, or the splice. */
static void check_shown(const struct dmp_site *site, bool spliced)
{
	const u8 *copy = page_of(site)->copy + (site->rip & 4095);
	unsigned int len = site->stub.plan.len;

	if (spliced)
		assert_memory_equal(copy, site->bytes, len);
	else
		assert_memory_equal(copy, text_at(site->rip), len);
	assert_int_equal(!!dmp_splicer_site(guest->m.splicer, site->rip), spliced);
}

/*
 * ---- Self-modifying ----
 */

static const enum text_site served[] = {
	TEXT_MOV, TEXT_XCHG, TEXT_IMM, TEXT_MOV_RET, TEXT_MOV_MOV,
};

/*
 * Each byte from two before a splice to two behind, by the spliced instruction
 * itself or by another: the splice goes exactly if it is one of its own.
 */
static void test_each_byte(void **state)
{
	struct dmp_site *site;
	unsigned int i, own;
	int offset, len;
	u8 byte;
	u64 rip;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(served); i++)
		for (own = 0; own < 2; own++)
			for (offset = -2, len = 8; offset < len + 2; offset++) {
				c_begin(&t, i + 1, 4 + (i & 1));
				rip = g_site(&t, 1 + i % 3, served[i]);
				site = trap_until(rip, DMP_SITE_SPLICED);
				len = site->stub.plan.len;
				check_shown(site, true);
				byte = *text_at(rip + offset) ^ 0x11;
				write_by(own ? rip : 0, rip + offset, &byte, 1);
				assert_int_equal(site->state, offset >= 0 && offset < len ?
						 DMP_SITE_UNDONE : DMP_SITE_SPLICED);
				check_shown(site, site->state == DMP_SITE_SPLICED);
				byte ^= 0x11;
				write_by(0, rip + offset, &byte, 1);
				trap_until(rip, DMP_SITE_SPLICED);
				check_shown(site, true);
				c_end();
			}
}

/* A site writes over what comes behind it; the next splice is of the new code. */
static void test_new_code(void **state)
{
	static const struct {
		u8 bytes[8];
		const char *refusal;	/* NULL: none */
	} rows[] = {
		{ { 0x48, 0x89, 0x37, 0x0f, 0x1f, 0x44, 0, 0 }, "nop" },
		{ { 0x48, 0x89, 0x37, 0xe8, 0, 0, 0, 0 }, "call" },
		{ { 0x48, 0x89, 0x37, 0xeb, 0x10, 0xcc, 0xcc, 0xcc }, "jmp-short" },
		{ { 0x48, 0x89, 0x37, 0xfa, 0xfb, 0xc3, 0xcc, 0xcc }, "privileged" },
		{ { 0xcc, 0x89, 0x37, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc }, "form" },
		{ { 0x66, 0x89, 0x37, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc }, "size" },
		{ { 0x06, 0x89, 0x37, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc }, "decode" },
		{ { 0x48, 0x89, 0x77, 0x08, 0xc3, 0xcc, 0xcc, 0xcc }, NULL },
		{ { 0x48, 0x87, 0x07, 0x48, 0x89, 0xd8, 0xc3, 0xcc }, NULL },
	};
	struct dmp_site *site;
	unsigned int i;
	u64 rip;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(rows); i++) {
		c_begin(&t, i + 1, 4 + (i & 1));
		rip = g_site(&t, 2, TEXT_MOV);
		site = trap_until(rip, DMP_SITE_SPLICED);
		write_by(rip, rip, rows[i].bytes, 8);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
		trap_until(rip, rows[i].refusal ? DMP_SITE_REFUSED :
						  DMP_SITE_SPLICED);
		if (rows[i].refusal)
			assert_string_equal(dmp_site_refusal_name(site),
					    rows[i].refusal);
		check_shown(site, !rows[i].refusal);
		c_check(&guest->m);
		c_end();
	}
}

/* Instructions that overlap: each byte of a splice is a site, too. */
static void test_overlapping(void **state)
{
	struct dmp_site *site, *other;
	struct machine *m;
	unsigned int i, len;
	u64 rip;

	(void)state;
	c_begin(&t, 3, 5);
	m = &guest->m;
	rip = g_site(&t, 1, TEXT_MOV_MOV);
	site = trap_until(rip, DMP_SITE_SPLICED);
	len = site->stub.plan.len;
	for (i = 1; i < len; i++) {
		other = c_trap(&t, rip + i, 3);
		assert_int_equal(other->state, DMP_SITE_REFUSED);
	}
	/* One that begins before, and reaches into it. */
	other = c_trap(&t, rip - 2, 3);
	assert_int_equal(other->state, DMP_SITE_REFUSED);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	c_check(m);
	/* Undone, the other instruction's is made; the first is in its way. */
	dmp_site_undo(m->mmu, site, DMP_SITE_OK);
	assert_int_equal(trap_until(rip, DMP_SITE_SPLICED), site);
	c_end();

	c_begin(&t, 4, 4);
	other = trap_until(rip + 3, DMP_SITE_SPLICED);
	site = trap_until(rip, DMP_SITE_REFUSED);
	assert_string_equal(dmp_site_refusal_name(site), "overlaps");
	check_shown(other, true);
	c_check(&guest->m);
	c_end();
}

/*
 * ---- Pages ----
 */

/* Code at two addresses: splices at both, or at one and the plain code at one. */
static void test_two_addresses(void **state)
{
	struct dmp_site *site, *other;
	unsigned int both;
	struct machine *m;
	u64 rip, at, leaf;
	int offset;
	u8 byte;

	(void)state;
	for (both = 0; both < 2; both++)
		for (offset = -1; offset < 6; offset++) {
			c_begin(&t, 5 + both, 4 + both);
			m = &guest->m;
			rip = g_site(&t, 1, TEXT_MOV);
			at = rip + 9 * DMP_PAGE_SIZE;
			g_entry_set(guest, t.table, 10, t.gfn[1] << 12 | P | A | D);
			site = trap_until(rip, DMP_SITE_SPLICED);
			other = both ? trap_until(at, DMP_SITE_SPLICED) : NULL;
			leaf = m_machine_leaf(m, at);
			assert_int_equal(dmp_pte_gfn(leaf), both ?
					 page_of(other)->hfn : m->hfn_of[t.gfn[1]]);
			assert_false(leaf & DMP_PTE_RW);
			byte = *text_at(rip + offset) ^ 0x11;
			write_by(offset & 1 ? at : rip, rip + offset, &byte, 1);
			assert_int_equal(site->state, offset >= 0 && offset < 5 ?
					 DMP_SITE_UNDONE : DMP_SITE_SPLICED);
			if (both)
				assert_int_equal(other->state, site->state);
			/* One address goes; the other one's stays. */
			byte ^= 0x11;
			write_by(0, rip + offset, &byte, 1);
			trap_until(rip, DMP_SITE_SPLICED);
			if (both)
				trap_until(at, DMP_SITE_SPLICED);
			g_entry_set(guest, t.table, 10, 0);
			m_flush_all(m);
			assert_int_equal(site->state, DMP_SITE_SPLICED);
			c_check(m);
			check_shown(site, true);
			c_end();
		}
}

/* Spliced code is freed: its frame is data, a table, other code, and code again. */
static void test_freed(void **state)
{
	static const u8 code[] = { 0x48, 0x89, 0x77, 0x10, 0xc3, 0xcc };
	struct dmp_site *site;
	struct machine *m;
	unsigned int i;
	u64 rip, was;
	u8 junk[64];

	(void)state;
	for (i = 0; i < 8; i++) {
		c_begin(&t, 7 + i, 4 + (i & 1));
		m = &guest->m;
		rip = g_site(&t, 1, TEXT_MOV);
		site = trap_until(rip, DMP_SITE_SPLICED);
		m_speculate(m, rip);
		was = g_entry_get(guest, t.table, 1);
		g_entry_set(guest, t.table, 1, 0);
		m_flush_all(m);
		assert_int_equal(site->state, DMP_SITE_COUNTING);
		memset(junk, 0x5a, sizeof(junk));
		if (i & 2) {	/* a table for a while */
			memset(junk, 0, sizeof(junk));
			c_write_code(&t, 1, 0, junk, sizeof(junk));
			g_entry_set(guest, guest->vmalloc_l2, 7,
				    t.gfn[1] << 12 | P | RW | A);
			c_check(m);
			g_entry_set(guest, guest->vmalloc_l2, 7, 0);
			m_flush_all(m);
		}
		c_write_code(&t, 1, rip & 4095, junk, sizeof(junk));
		c_write_code(&t, 1, rip & 4095, code, sizeof(code));
		/* And code once more: there, or at another address. */
		if (i & 4) {
			rip += 9 * DMP_PAGE_SIZE;
			g_entry_set(guest, t.table, 10, was);
		} else {
			g_entry_set(guest, t.table, 1, was);
		}
		m_flush_all(m);
		site = trap_until(rip, DMP_SITE_SPLICED);
		assert_memory_equal(site->original, code, site->shown);
		c_check(m);
		c_end();
	}
}

/*
 * Where a page ends. What fits is spliced; what does not is refused, and the
 * reason says that it is the page.
 */
static void test_page_end(void **state)
{
	static const struct {
		u8 length, bytes[12];
		int fits;	/* bytes a splice takes */
	} rows[] = {
		{ 7, { 0x48, 0xc7, 0x07, 0, 0, 0, 0 }, 7 },
		{ 3, { 0x48, 0x89, 0x37 }, 6 },	/* and three NOPs */
		{ 4, { 0x48, 0x89, 0x77, 0x08 }, 5 },
		{ 7, { 0x48, 0x89, 0xb7, 0, 1, 0, 0 }, 7 },
	};
	u8 code[16], next[16];
	struct dmp_site *site;
	unsigned int i;
	int before;
	u64 rip;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(rows); i++)
		for (before = 1; before <= 10; before++) {
			c_begin(&t, i + 1, 4);
			rip = t.gva + 2 * DMP_PAGE_SIZE - before;
			memset(code, 0x90, sizeof(code));
			memcpy(code, rows[i].bytes, rows[i].length);
			memcpy(next, code + before, 16 - before);
			c_write_code(&t, 1, rip & 4095, code, before);
			c_write_code(&t, 2, 0, next, 16 - before);
			site = c_trap(&t, rip, 3);
			if (before >= rows[i].fits || (i == 1 && before >= 5)) {
				assert_int_equal(site->state, DMP_SITE_SPLICED);
				check_shown(site, true);
			} else {
				assert_int_equal(site->state, DMP_SITE_REFUSED);
				assert_string_equal(dmp_site_refusal_name(site),
						    "page-cross");
			}
			c_check(&guest->m);
			c_end();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_new_code),
		cmocka_unit_test(test_overlapping),
		cmocka_unit_test(test_two_addresses),
		cmocka_unit_test(test_freed),
		cmocka_unit_test(test_page_end),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
