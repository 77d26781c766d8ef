// SPDX-License-Identifier: GPL-2.0-only
/*
 * What splices have shown, and guests write back: dmp_site_restore_shown(). A guest
 * here reads its text where it is executed, as kprobes does, and writes by the
 * text's alias. What it is to find in its memory afterwards is said by each
 * test; the plain MMU's copy is set to that, so that all else is compared, too.
 *
 * DMP_SEED	seed of the random histories (else 1 to DMP_SEEDS, 4)
 * DMP_STEPS	their length, 300
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "splicer/room.h"
#include "splicer/site_names.h"
#include "splicer_case.h"

#define INT3	"\xcc"

static struct text t;

static bool is_int3(const u8 *bytes, unsigned int count)
{
	while (count--)
		if (*bytes++ != 0xcc)
			return false;
	return true;
}

static void begin(u64 seed)
{
	c_begin(&t, seed, seed & 1 ? 5 : 4);
}

/*
 * ---- Probes ----
 */

/*
 * kprobes: saves the first byte, writes INT3, writes it back, and looks whether
 * it is there: Linux's text_poke() has a BUG() for that. As often as it likes.
 */
static void test_probe(void **state)
{
	u8 saved, original, is;
	struct dmp_site *site;
	unsigned int i;
	u64 rip;

	(void)state;
	begin(1);
	rip = g_site(&t, 1, TEXT_MOV);
	original = c_text(&guest->m, &t, 1)[rip & 4095];
	site = c_splice(&t, rip);
	c_read_code(rip, &saved, 1);
	assert_int_equal(saved, 0xe9);
	c_put_code(&t, rip, INT3, INT3, 1);
	assert_int_equal(site->state, DMP_SITE_UNDONE);
	for (i = 0; i < 2 * DMP_SITE_UNDOS_MAX; i++) {
		c_put_code(&t, rip, &saved, &original, 1);
		c_read_code(rip, &is, 1);
		assert_int_equal(is, saved);
		assert_int_equal(site->state, DMP_SITE_SPLICED);
		c_put_code(&t, rip, INT3, INT3, 1);
		c_read_code(rip, &is, 1);
		assert_int_equal(is, 0xcc);
		assert_int_equal(site->state, DMP_SITE_UNDONE);
	}
	c_put_code(&t, rip, &original, &original, 1);
	assert_int_equal(site->state, DMP_SITE_UNDONE);
	c_end();
}

/* What has taken its place meanwhile makes way; what was undone by request comes back. */
static void test_probe_then_other(void **state)
{
	struct dmp_site *site, *other;
	u8 saved, original, is;
	u64 rip;

	(void)state;
	begin(4);
	rip = g_site(&t, 1, TEXT_MOV_MOV);
	original = c_text(&guest->m, &t, 1)[rip & 4095];
	site = c_splice(&t, rip);
	c_read_code(rip, &saved, 1);
	c_put_code(&t, rip, INT3, INT3, 1);
	other = c_splice(&t, rip + 3);
	assert_int_equal(other->state, DMP_SITE_SPLICED);
	c_put_code(&t, rip, &saved, &original, 1);
	c_read_code(rip, &is, 1);
	assert_int_equal(is, saved);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	assert_int_equal(other->state, DMP_SITE_UNDONE);
	c_put_code(&t, rip, INT3, INT3, 1);
	site->state = DMP_SITE_REFUSED;
	site->refusal = DMP_SITE_ASKED;
	c_put_code(&t, rip, &saved, &original, 1);
	c_read_code(rip, &is, 1);
	assert_int_equal(is, saved);
	c_end();
}

/* An optimized one: INT3, the rest of a jump, its opcode; and the way back. */
static void test_optimized_probe(void **state)
{
	static const u8 jump[] = { 0xe9, 0x11, 0x22, 0x33, 0x44 };
	u8 saved[5], original[5];
	u64 rip;

	(void)state;
	begin(2);
	rip = g_site(&t, 1, TEXT_MOV);
	memcpy(original, c_text(&guest->m, &t, 1) + (rip & 4095), 5);
	c_splice(&t, rip);
	c_read_code(rip, saved, 5);
	assert_memory_not_equal(saved, original, 5);
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip + 1, jump + 1, jump + 1, 4);
	/* The opcode is that of the splice: the guest means its own jump. */
	c_put_code(&t, rip, jump, jump, 1);
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip + 1, saved + 1, original + 1, 4);
	c_put_code(&t, rip, saved, original, 1);
	c_splice(&t, rip);
	c_end();
}

/* INT3 by itself is the guest's, though the splice has one there. */
static void test_probe_of_displaced(void **state)
{
	struct dmp_site *site;
	u8 saved[7], original;
	u64 rip;

	(void)state;
	begin(3);
	rip = g_site(&t, 1, TEXT_MOV_MOV);
	original = c_text(&guest->m, &t, 1)[(rip & 4095) + 3];
	site = c_splice(&t, rip);
	c_read_code(rip, saved, 7);
	assert_int_equal(saved[3], 0xcc);
	c_put_code(&t, rip + 3, INT3, INT3, 1);
	assert_int_equal(site->state, DMP_SITE_UNDONE);
	/* While it is there another is taken away from the site. */
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip, saved, "\x48", 1);
	c_put_code(&t, rip + 3, &original, &original, 1);
	c_end();
}

/*
 * ---- Parts ----
 */

/* Every part of the splice written back, in one write or byte by byte. */
static void test_partial(void **state)
{
	unsigned int from, to, i, len;
	u8 saved[32], original[32];
	struct dmp_site *site;
	u64 rip;

	(void)state;
	for (from = 0; from < 7; from++)
		for (to = from + 1; to <= 7; to++) {
			begin(from * 8 + to);
			rip = g_site(&t, 2, TEXT_IMM);
			memcpy(original, c_text(&guest->m, &t, 2) + (rip & 4095), 32);
			site = c_splice(&t, rip);
			len = site->stub.plan.len;
			assert_int_equal(len, 7);
			c_read_code(rip, saved, 32);
			assert_memory_equal(saved, site->bytes, len);
			assert_memory_equal(saved + len, original + len, 32 - len);
			/* All of it away; then that part, as it was read. */
			c_put_code(&t, rip, "\x0f\x0b\x0f\x0b\x0f\x0b\x90",
				   "\x0f\x0b\x0f\x0b\x0f\x0b\x90", 7);
			c_put_code(&t, rip, original, original, len);
			if (!is_int3(saved + from, to - from))
				c_put_code(&t, rip + from, saved + from,
					   original + from, to - from);
			for (i = from; i < to; i++)
				if (saved[i] != 0xcc)
					c_put_code(&t, rip + i, saved + i,
						   original + i, 1);
			/* With what is before and behind. */
			c_put_code(&t, rip - 4, "abcd", "abcd", 4);
			memcpy(saved + 8, original + 8, 8);
			c_put_code(&t, rip, saved, original, 16);
			c_end();
		}
}

/* One write over the splices of two sites, back to back, and what is behind. */
static void test_two_sites(void **state)
{
	static const u8 code[16] = {
		0x48, 0x89, 0x37, 0xc3, 0xcc, 0x48, 0x89, 0x77, 0x08, 0xc3,
		0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	};
	u8 saved[16], want[16];
	unsigned int way;
	u64 rip;

	(void)state;
	for (way = 0; way < 3; way++) {
		begin(5 + way);
		rip = t.gva + DMP_PAGE_SIZE + 0x805;
		c_put_code(&t, rip, code, code, 16);
		c_splice(&t, rip);
		c_splice(&t, rip + 5);
		c_read_code(rip, saved, 16);
		assert_int_equal(saved[5], 0xe9);
		memcpy(want, code, 16);
		/* Both, the first's end and the second's beginning, and more. */
		c_put_code(&t, rip, INT3, INT3, 1);
		c_put_code(&t, rip + 5, INT3, INT3, 1);
		saved[12] = want[12] = 0x77;	/* new, and no site's */
		if (way == 1)
			c_put_code(&t, rip + 1, saved + 1, want + 1, 9);
		if (way == 2)
			c_put_code(&t, rip, want, want, 5);
		c_put_code(&t, rip, saved, want, 16);
		c_splice(&t, rip);
		c_splice(&t, rip + 5);
		c_end();
	}
}

/*
 * ---- Several splices of one site ----
 */

/* Undone and spliced anew, each time with another stub: all are remembered. */
static void test_versions(void **state)
{
	u8 saved[DMP_SITE_UNDOS_MAX][6], original[6], other[6];
	struct dmp_site *site = NULL;
	unsigned int n, i;
	u64 rip;

	(void)state;
	begin(7);
	c_splice(&t, g_site(&t, 3, TEXT_MOV));	/* so that the copy stays */
	rip = g_site(&t, 3, TEXT_MOV_MOV);
	memcpy(original, c_text(&guest->m, &t, 3) + (rip & 4095), 6);
	for (n = 0; n < DMP_SITE_UNDOS_MAX; n++) {
		if (site)	/* or it would have the same bytes again */
			site->landing = 0;
		site = c_splice(&t, rip);
		assert_int_equal(site->pasts, n);
		c_read_code(rip, saved[n], 6);
		for (i = 0; i < n; i++)
			assert_memory_not_equal(saved[i], saved[n], 6);
		c_put_code(&t, rip, INT3, INT3, 1);
		assert_int_equal(site->undos, n + 1);
		/* Each that was ever shown, whole and in part. */
		for (i = 0; i <= n; i++) {
			c_put_code(&t, rip + 1, saved[i] + 1, original + 1, 5);
			c_put_code(&t, rip, saved[i], original, 1);
			c_put_code(&t, rip, INT3, INT3, 1);
			c_put_code(&t, rip, saved[i], original, 6);
			c_put_code(&t, rip, INT3, INT3, 1);
			/* Its end was there before, as the guest's own. */
			memset(other, 0x55, 5);
			other[5] = saved[i][5];
			c_put_code(&t, rip, other, other, 6);
			c_write_code(&t, 3, rip & 4095, saved[i], 5);
			c_want_code(&t, rip, saved[i], original, 6);
			c_put_code(&t, rip, INT3, INT3, 1);
		}
		c_put_code(&t, rip, original, original, 1);
	}
	/* That is all of them: there is no other splice. */
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	assert_string_equal(dmp_site_refusal_name(site), "undone-often");
	assert_int_equal(site->pasts, DMP_ARRAY_SIZE(site->past));
	c_trap(&t, rip, 100);
	assert_int_equal(site->state, DMP_SITE_REFUSED);
	for (i = 0; i < DMP_SITE_UNDOS_MAX; i++) {
		c_put_code(&t, rip, "\x0f\x0b", "\x0f\x0b", 2);
		c_put_code(&t, rip, original, original, 2);
		c_put_code(&t, rip, saved[i], original, 6);
	}
	c_end();
}

/* Code that has changed between: what was there when that splice was shown. */
static void test_old_code(void **state)
{
	static const u8 other[] = { 0x48, 0x89, 0x77, 0x10, 0xc3 };
	u8 first[5], second[5], original[5];
	u64 rip;

	(void)state;
	begin(8);
	rip = g_site(&t, 1, TEXT_MOV);
	memcpy(original, c_text(&guest->m, &t, 1) + (rip & 4095), 5);
	c_splice(&t, rip);
	c_read_code(rip, first, 5);
	c_put_code(&t, rip, other, other, 5);
	c_splice(&t, rip);
	c_read_code(rip, second, 5);
	c_put_code(&t, rip, first, original, 5);
	c_put_code(&t, rip, second, other, 5);
	c_end();
}

/*
 * One frame at two addresses: what each shows is remembered there; what the
 * other one shows is not what this one showed, but memory is one.
 */
static void test_two_addresses(void **state)
{
	u8 one[5], two[5], original[5];
	struct dmp_site *site;
	u64 rip, other, landing;

	(void)state;
	begin(9);
	rip = g_site(&t, 1, TEXT_MOV);
	other = rip + 9 * DMP_PAGE_SIZE;
	memcpy(original, c_text(&guest->m, &t, 1) + (rip & 4095), 5);
	g_entry_set(guest, t.table, 10, t.gfn[1] << 12 | P | A | D);
	site = c_splice(&t, rip);
	/* Not spliced there: the guest's own is what it reads. */
	c_read_code(other, two, 5);
	assert_memory_equal(two, original, 5);
	/* Its first landing is taken, so that the bytes are not the same. */
	landing = dmp_landing_add(guest->m.mmu, other, &site->stub.plan, 0);
	assert_true(landing);
	dmp_landing_write(guest->m.splicer, landing, landing);
	c_splice(&t, other);
	c_read_code(rip, one, 5);
	c_read_code(other, two, 5);
	assert_memory_not_equal(one, two, 5);
	c_put_code(&t, rip, one, original, 5);
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip, two, original, 5);
	c_put_code(&t, rip, INT3, INT3, 1);
	c_put_code(&t, rip, one, original, 5);
	c_end();
}

/* Not known: no site's, or a site's place at another page. Stored as it is. */
static void test_not_remembered(void **state)
{
	u8 saved[5];
	u64 rip;

	(void)state;
	begin(10);
	rip = g_site(&t, 1, TEXT_MOV);
	c_splice(&t, rip);
	c_read_code(rip, saved, 5);
	c_put_code(&t, rip + 0x800, saved, saved, 5);
	c_put_code(&t, rip + DMP_PAGE_SIZE, saved, saved, 5);
	/* Off by one. */
	c_put_code(&t, rip + 1, saved, saved, 5);
	c_end();
}

/*
 * ---- Random ----
 */

/* Bytes of its own, or what it has read there once, any part of it. */
static void random_history(u64 seed, u64 steps)
{
	u8 pool[64][8], original[8], bytes[8];
	unsigned int known = 0, from, count, len, put_back = 0;
	struct machine *m;
	u64 rip;

	begin(seed);
	m = &guest->m;
	rip = g_site(&t, 1 + seed % 3, seed & 1 ? TEXT_MOV_MOV : TEXT_IMM);
	memcpy(original, c_text(m, &t, 1 + seed % 3) + (rip & 4095), 8);
	for (m->step = 1; m->step <= steps; m->step++) {
		m->op = "remember";
		c_trap(&t, rip, 1 + m_below(m, 20));
		c_read_code(rip, pool[known < 64 ? known++ : m_below(m, 64)], 8);
		from = m_below(m, 7);
		count = 1 + m_below(m, 8 - from);
		memcpy(bytes, pool[m_below(m, known)], 8);
		/* As probes do it: INT3, the rest, the opcode; then as it was. */
		c_put_code(&t, rip, INT3, INT3, 1);
		len = c_site_of(m, rip)->shown;
		if (from && from < len &&
		    !is_int3(bytes + from, count < len - from ? count : len - from)) {
			c_put_code(&t, rip + from, bytes + from, original + from,
				   count);
			put_back++;
		}
		c_put_code(&t, rip, bytes, original, 1);
		assert_memory_equal(c_text(m, &t, 1 + seed % 3) + (rip & 4095),
				    original, 7);
	}
	printf("  seed %llu: %u written back\n", seed, put_back);
	assert_true(put_back > steps / 3);
	c_end();
}

static u64 env(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void test_random(void **state)
{
	u64 seed = env("DMP_SEED", 0), steps = env("DMP_STEPS", 300);

	(void)state;
	if (seed) {
		random_history(seed, steps);
		return;
	}
	for (seed = 1; seed <= env("DMP_SEEDS", 4); seed++)
		random_history(seed, steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_probe_then_other),
		cmocka_unit_test(test_optimized_probe),
		cmocka_unit_test(test_probe_of_displaced),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_two_sites),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_old_code),
		cmocka_unit_test(test_two_addresses),
		cmocka_unit_test(test_not_remembered),
		cmocka_unit_test(test_random),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
