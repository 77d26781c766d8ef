// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest has kept of splices whose engagement is over: relic.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "splicer/relic.h"
#include "splicer/room.h"
#include "splicer_case.h"

#define INT3	"\xcc"

static struct text t;

static void engage_again(void)
{
	m_disengage(&guest->m);
	c_engage(&t);
	c_check(&guest->m);
}

static u64 entry_of(const struct dmp_site *site)
{
	return site->landing ? site->landing : site->stub.gva;
}

/* A kprobe: made while spliced; armed then, or later; taken away in the end. */
static void probe(unsigned int kind, bool armed_before, unsigned int engagements)
{
	u8 saved, original, is;
	unsigned int i;
	u64 rip;

	c_begin(&t, kind, kind & 1 ? 5 : 4);
	rip = g_site(&t, 1, kind);
	original = c_text(&guest->m, &t, 1)[rip & 4095];
	c_splice(&t, rip);
	c_read_code(rip, &saved, 1);
	assert_int_equal(saved, DMP_SPLICE_OPCODE);
	if (armed_before)
		c_put_code(&t, rip, INT3, INT3, 1);
	for (i = 0; i < engagements; i++)
		engage_again();
	assert_int_equal(c_site_of(&guest->m, rip)->state, DMP_SITE_UNDONE);
	if (!armed_before)
		c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip, &saved, &original, 1);
	/* text_poke() looks. */
	c_read_code(rip, &is, 1);
	assert_int_equal(is, saved);
	assert_int_equal(c_site_of(&guest->m, rip)->state, DMP_SITE_SPLICED);
	/* And it works as any other. */
	c_trap(&t, rip, 1);
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip, &saved, &original, 1);
	assert_int_equal(c_site_of(&guest->m, rip)->state, DMP_SITE_SPLICED);
	c_end();
}

static void test_probe(void **state)
{
	(void)state;
	probe(TEXT_MOV, true, 1);
	probe(TEXT_MOV, false, 1);
	probe(TEXT_MOV_MOV, true, 3);
	probe(TEXT_IMM, false, 2);
}

/*
 * As probe(), on the first of a run: what it stands for is emulated in another
 * engagement, the second exits by itself there, and is replaced by itself.
 */
static void test_probe_of_run(void **state)
{
	struct dmp_site *second;
	u8 saved, original, is;
	u64 rip;

	(void)state;
	c_begin(&t, 5, 4);
	rip = g_site(&t, 2, TEXT_FLUSH);
	original = c_text(&guest->m, &t, 2)[rip & 4095];
	assert_int_equal(c_trap_cr3(rip, 2)->state, DMP_SITE_SPLICED);
	c_read_code(rip, &saved, 1);
	c_put_code(&t, rip, INT3, INT3, 1);
	engage_again();
	second = c_trap_cr3(rip + 3, 2);
	assert_int_equal(second->state, DMP_SITE_SPLICED);
	c_put_code(&t, rip, &saved, &original, 1);
	c_read_code(rip, &is, 1);
	assert_int_equal(is, saved);
	assert_int_equal(c_site_of(&guest->m, rip)->state, DMP_SITE_SPLICED);
	assert_int_equal(second->state, DMP_SITE_UNDONE);
	/* Without it the second may be by itself again. */
	c_put_code(&t, rip, INT3, INT3, 1);
	c_trap_cr3(rip + 3, 8);
	assert_int_equal(second->state, DMP_SITE_SPLICED);
	c_put_code(&t, rip, &saved, &original, 1);
	assert_int_equal(c_site_of(&guest->m, rip)->state, DMP_SITE_SPLICED);
	c_end();
}

/* The first byte is written back while nobody looks: where the guest goes then. */
static void test_astray(void **state)
{
	const struct dmp_relic *relic;
	u8 now[DMP_SPLICE_BYTES_MAX];
	const u8 *original;
	struct machine *m;
	s32 rel;
	u64 rip;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	rip = g_site(&t, 1, TEXT_MOV_MOV);
	original = c_text(m, &t, 1) + (rip & 4095);
	c_splice(&t, rip);
	memcpy(&rel, original + 1, sizeof(rel));
	relic = dmp_relic_astray(&m->relics, rip + 5 + (u64)(s64)rel);
	assert_non_null(relic);
	assert_int_equal(relic->rip, rip);
	assert_null(dmp_relic_astray(&m->relics, rip + 4 + (u64)(s64)rel));
	assert_null(dmp_relic_astray(&m->relics, 0));
	memcpy(now, original, relic->len);
	assert_false(dmp_relic_is_astray(relic, now));
	now[0] = DMP_SPLICE_OPCODE;
	assert_true(dmp_relic_is_astray(relic, now));
	now[relic->len - 1] ^= 1;
	assert_false(dmp_relic_is_astray(relic, now));
	now[relic->len - 1] ^= 1;
	now[1] ^= 1;
	assert_false(dmp_relic_is_astray(relic, now));
	now[1] ^= 1;
	now[0] = INT3[0];
	assert_false(dmp_relic_is_astray(relic, now));
	c_end();
}

/* Where a splice led nothing else ever is, and what it replaced is known. */
static void test_entry(void **state)
{
	const struct dmp_relic *relic;
	struct dmp_splice_plan plan;
	struct machine *m;
	u64 rip, entry, other;
	unsigned int i;

	(void)state;
	c_begin(&t, 2, 4);
	m = &guest->m;
	rip = g_site(&t, 1, TEXT_MOV_MOV);
	entry = entry_of(c_splice(&t, rip));
	plan = c_site_of(m, rip)->stub.plan;
	assert_int_equal(dmp_splice_landing(&plan, rip, 0), entry);
	for (i = 0; i < 2; i++) {
		relic = dmp_relic_at(&m->relics, entry);
		assert_non_null(relic);
		assert_int_equal(relic->rip, rip);
		assert_int_equal(relic->insn_len, 3);
		assert_memory_equal(relic->original, c_text(m, &t, 1) + (rip & 4095),
				    relic->len);
		assert_true(dmp_relic_is_there(relic, c_text(m, &t, 1) + (rip & 4095)));
		assert_null(dmp_relic_at(&m->relics, entry + 1));
		engage_again();
		/* It would be some bytes further, if there were no relic. */
		other = dmp_landing_add(m->mmu, rip + 3 - i, &plan, 0);
		assert_true(other + DMP_SPLICE_JMP <= entry ||
			    entry + DMP_SPLICE_JMP <= other);
	}
	/* Nor a page of stubs. */
	engage_again();
	assert_null(dmp_room_add(m->mmu, entry & ~4095ull));
	assert_non_null(dmp_room_add(m->mmu, (entry & ~4095ull) + DMP_PAGE_SIZE));
	assert_null(dmp_relic_at(&m->relics, 0));
	/* The same one again leads there again. */
	engage_again();
	assert_int_equal(entry_of(c_splice(&t, rip)), entry);
	c_end();
}

/* Other code is there by now: it is not watched, and the relic says so. */
static void test_other_code(void **state)
{
	static const u8 other[] = { 0x48, 0x01, 0x37, 0x48, 0xff, 0xc1, 0xc3, 0x90 };
	const struct dmp_relic *relic;
	struct machine *m;
	u8 saved[5], *now;
	u64 rip, entry;

	(void)state;
	c_begin(&t, 3, 5);
	m = &guest->m;
	rip = g_site(&t, 1, TEXT_MOV);
	entry = entry_of(c_splice(&t, rip));
	c_read_code(rip, saved, 5);
	m_disengage(m);
	now = c_text(m, &t, 1) + (rip & 4095);
	memcpy(now, other, sizeof(other));
	memcpy((u8 *)m_ref(m, t.gfn[1]) + (rip & 4095), other, sizeof(other));
	c_engage(&t);
	assert_null(c_site_of(m, rip));
	relic = dmp_relic_at(&m->relics, entry);
	assert_false(dmp_relic_is_there(relic, now));
	/* Nor is what is written there anything but the guest's. */
	c_put_code(&t, rip, saved, saved, 5);
	c_end();
}

/* The last ones are kept; one that comes again takes no place. */
static void test_most(void **state)
{
	struct dmp_relics *relics = calloc(1, sizeof(*relics));
	struct dmp_site *site = calloc(1, sizeof(*site));
	u64 i;

	(void)state;
	assert_non_null(relics);
	assert_non_null(site);
	site->shown = 5;
	for (i = 1; i <= DMP_RELICS_MAX + 10; i++) {
		site->rip = i * 0x1000;
		site->landing = i * 0x100;
		dmp_relic_note(relics, site);
		dmp_relic_note(relics, site);
	}
	for (i = 1; i <= DMP_RELICS_MAX + 10; i++)
		assert_int_equal(dmp_relic_at(relics, i * 0x100) ? 1 : 0, i > 10);
	assert_true(dmp_relics_hold(relics, 11 * 0x100 - 1, 2, 0));
	assert_true(dmp_relics_hold(relics, 11 * 0x100 + 4, 1, 0));
	assert_false(dmp_relics_hold(relics, 11 * 0x100 + 5, 0xfb, 0));
	assert_false(dmp_relics_hold(relics, 11 * 0x100, 5, 11 * 0x1000));
	assert_false(dmp_relics_hold(NULL, 11 * 0x100, 5, 0));
	dmp_relic_note(NULL, site);
	free(site);
	free(relics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_probe_of_run),
		cmocka_unit_test(test_astray),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_other_code),
		cmocka_unit_test(test_most),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
