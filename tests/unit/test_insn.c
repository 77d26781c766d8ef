// SPDX-License-Identifier: GPL-2.0-only
/* The decoder on golden rows, and at the edges of its input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "insn_golden.h"
#include "insn_text.h"

#define BYTES_MAX	24

/* Decode from a heap block of exactly n bytes: ASan sees any over-read. */
static enum dmp_insn_status decode_exact(const u8 *bytes, size_t n,
					 size_t avail, struct dmp_insn *insn)
{
	u8 *copy = malloc(n ? n : 1);
	enum dmp_insn_status status;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	/* Of an empty block not even the first byte may be read. */
	status = dmp_insn_decode(n ? copy : copy + 1, avail, insn);
	free(copy);
	return status;
}

static void expect_status(const char *hex, size_t n, enum dmp_insn_status got,
			  enum dmp_insn_status wanted)
{
	if (got != wanted)
		fail_msg("%s (%zu bytes): %s, not %s", hex, n,
			 dmp_insn_status_name(got),
			 dmp_insn_status_name(wanted));
}

static void test_golden(void **unused)
{
	char text[INSN_TEXT_MAX];
	struct dmp_insn insn;
	u8 bytes[BYTES_MAX];
	size_t i, n;

	(void)unused;
	for (i = 0; i < insn_golden_count; i++) {
		const struct insn_golden *row = &insn_golden[i];

		n = insn_bytes(row->hex, bytes, sizeof(bytes));
		expect_status(row->hex, n, decode_exact(bytes, n, n, &insn),
			      DMP_INSN_OK);
		assert_int_equal(insn.length, n);
		insn_text(&insn, text);
		if (strcmp(text, row->text))
			fail_msg("%s: \"%s\", not \"%s\"", row->hex, text,
				 row->text);
	}
	print_message("  %zu rows\n", insn_golden_count);
}

static void test_golden_truncated(void **unused)
{
	struct dmp_insn insn;
	u8 bytes[BYTES_MAX];
	size_t i, n, cut;

	(void)unused;
	for (i = 0; i < insn_golden_count; i++) {
		n = insn_bytes(insn_golden[i].hex, bytes, sizeof(bytes));
		for (cut = 0; cut < n; cut++)
			expect_status(insn_golden[i].hex, cut,
				      decode_exact(bytes, cut, cut, &insn),
				      DMP_INSN_TRUNCATED);
	}
}

/* What follows an instruction makes no difference. */
static void test_golden_followed(void **unused)
{
	static const u8 followers[] = { 0x00, 0x66, 0x90, 0xcc, 0xff };
	char text[INSN_TEXT_MAX];
	struct dmp_insn insn;
	u8 bytes[BYTES_MAX];
	size_t i, j, n;

	(void)unused;
	for (i = 0; i < insn_golden_count; i++) {
		for (j = 0; j < sizeof(followers); j++) {
			memset(bytes, followers[j], sizeof(bytes));
			n = insn_bytes(insn_golden[i].hex, bytes,
				       sizeof(bytes));
			assert_int_equal(dmp_insn_decode(bytes, BYTES_MAX,
							 &insn), DMP_INSN_OK);
			assert_int_equal(insn.length, n);
			insn_text(&insn, text);
			assert_string_equal(text, insn_golden[i].text);
		}
	}
}

static void test_refused(void **unused)
{
	enum dmp_insn_status status;
	struct dmp_insn insn;
	u8 bytes[BYTES_MAX];
	size_t i, n, cut;

	(void)unused;
	for (i = 0; i < insn_refused_count; i++) {
		const struct insn_refused *row = &insn_refused[i];

		n = insn_bytes(row->hex, bytes, sizeof(bytes));
		expect_status(row->hex, n, decode_exact(bytes, n, n, &insn),
			      row->status);
		for (cut = 0; cut < n; cut++) {
			status = decode_exact(bytes, cut, cut, &insn);
			if (status != DMP_INSN_TRUNCATED)
				expect_status(row->hex, cut, status,
					      row->status);
		}
	}
	print_message("  %zu rows\n", insn_refused_count);
}

/* Each form and each refusal has a row. */
static void test_rows_complete(void **unused)
{
	bool has_form[DMP_FORM_COUNT] = { false };
	bool has_status[DMP_INSN_STATUS_COUNT] = { [DMP_INSN_OK] = true };
	struct dmp_insn insn;
	u8 bytes[BYTES_MAX];
	size_t i, n;

	(void)unused;
	for (i = 0; i < insn_golden_count; i++) {
		n = insn_bytes(insn_golden[i].hex, bytes, sizeof(bytes));
		dmp_insn_decode(bytes, n, &insn);
		has_form[insn.form] = true;
	}
	for (i = 0; i < insn_refused_count; i++)
		has_status[insn_refused[i].status] = true;
	for (i = 0; i < DMP_FORM_COUNT; i++)
		if (!has_form[i])
			fail_msg("no row for %s", dmp_insn_form_name(i));
	for (i = 0; i < DMP_INSN_STATUS_COUNT; i++)
		if (!has_status[i])
			fail_msg("no row for %s", dmp_insn_status_name(i));
}

/* At most 15 bytes are read, however many are said to be there. */
static void test_reads_15(void **unused)
{
	static const u8 fillers[] = { 0x66, 0x2e, 0x67, 0xf0, 0xf3 };
	u8 bytes[DMP_INSN_LEN_MAX];
	struct dmp_insn insn;
	size_t i, n;

	(void)unused;
	for (i = 0; i < sizeof(fillers); i++) {
		memset(bytes, fillers[i], sizeof(bytes));
		assert_int_equal(decode_exact(bytes, sizeof(bytes), SIZE_MAX,
					      &insn), DMP_INSN_TOO_LONG);
		for (n = 0; n < sizeof(bytes); n++)
			assert_int_equal(decode_exact(bytes, n, n, &insn),
					 DMP_INSN_TRUNCATED);
	}
}

static void test_target(void **unused)
{
	static const u8 back[] = { 0xe9, 0xfb, 0xff, 0xff, 0xff };
	static const u8 forth[] = { 0x74, 0x10 };
	struct dmp_insn insn;

	(void)unused;
	assert_int_equal(dmp_insn_decode(back, 5, &insn), DMP_INSN_OK);
	assert_true(dmp_insn_target(&insn, 0xffffffff81000000ull) ==
		    0xffffffff81000000ull);
	assert_true(dmp_insn_target(&insn, 0) == 0);
	assert_int_equal(dmp_insn_decode(forth, 2, &insn), DMP_INSN_OK);
	assert_true(dmp_insn_target(&insn, 0xffffffffffffffffull) == 0x11);
}

static void test_names(void **unused)
{
	u32 i, j;

	(void)unused;
	for (i = 0; i < DMP_FORM_COUNT; i++) {
		assert_non_null(dmp_insn_form_name(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(dmp_insn_form_name(i),
						dmp_insn_form_name(j));
	}
	for (i = 0; i < DMP_INSN_STATUS_COUNT; i++) {
		assert_non_null(dmp_insn_status_name(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(dmp_insn_status_name(i),
						dmp_insn_status_name(j));
	}
	assert_string_equal(dmp_insn_form_name(DMP_FORM_COUNT), "?");
	assert_string_equal(dmp_insn_status_name(DMP_INSN_STATUS_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_truncated),
		cmocka_unit_test(test_golden_followed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rows_complete),
		cmocka_unit_test(test_reads_15),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
