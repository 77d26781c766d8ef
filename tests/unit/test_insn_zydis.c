// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder against Zydis: random bytes, all opcodes, and the whole text of
 * real kernels.
 *
 * DMP_SEED		seed of the random bytes (printed; to replay a failure)
 * DMP_INSN_STRINGS	number of random strings, 10000000 if unset
 * DMP_TEXT_FILES	ELF files, separated by spaces or colons
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "elf_text.h"
#include "insn_oracle.h"

#define DEFAULT_STRINGS		10000000ul
#define STRING_MAX		24	/* bytes */
#define MESSAGES_MAX		20
/* Of a kernel's instructions at most one in this many may be refused. */
#define TEXT_REFUSED_SHARE	1000

struct tally {
	const char *what;
	unsigned long compared;	/* both decoded */
	unsigned long refused[DMP_INSN_STATUS_COUNT];
	unsigned long needless;	/* ours refused what Zydis decodes */
	unsigned long neither;
	unsigned long disagreed;
	unsigned long forms[DMP_FORM_COUNT];	/* of those compared */
};

static void report(const u8 *bytes, size_t avail, u64 where,
		   const struct insn_comparison *cmp)
{
	char hex[3 * DMP_INSN_LEN_MAX + 1];
	size_t n = avail < DMP_INSN_LEN_MAX ? avail : DMP_INSN_LEN_MAX;

	insn_oracle_hex(bytes, n, hex);
	print_message("  %#llx: %s (%zu bytes): %s\n", where, hex, avail,
		      cmp->message);
}

static void tally_one(struct tally *t, const u8 *bytes, size_t avail,
		      u64 where, struct insn_comparison *cmp)
{
	insn_oracle_compare(bytes, avail, cmp);
	switch (cmp->verdict) {
	case INSN_AGREE:
		t->compared++;
		t->forms[cmp->insn.form]++;
		break;
	case INSN_REFUSED:
		t->refused[cmp->status]++;
		if (cmp->zydis_length)
			t->needless++;
		else
			t->neither++;
		break;
	case INSN_DISAGREE:
		if (t->disagreed++ < MESSAGES_MAX)
			report(bytes, avail, where, cmp);
		break;
	}
}

static void print_tally(const struct tally *t)
{
	u32 i;

	print_message("  %s: %lu compared, %lu disagree\n", t->what,
		      t->compared, t->disagreed);
	print_message("  refused: %lu that Zydis decodes, %lu that it does not\n",
		      t->needless, t->neither);
	print_message("  by reason:");
	for (i = 0; i < DMP_INSN_STATUS_COUNT; i++)
		if (t->refused[i])
			print_message(" %s %lu", dmp_insn_status_name(i),
				      t->refused[i]);
	print_message("\n");
}

/* splitmix64: any seed will do. */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u32 below(u64 *state, u32 n)
{
	return (u32)(next_random(state) >> 32) % n;
}

static u64 env_number(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static u64 seed_of_run(void)
{
	return env_number("DMP_SEED", env_number("DMP_RUN_SEED", (u64)time(NULL)));
}

static u32 add_prefixes(u64 *state, u8 *bytes)
{
	static const u8 prefixes[] = {
		0x66, 0x66, 0xf2, 0xf3, 0xf3, 0xf0, 0xf0, 0x67,
		0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x65, 0x66,
	};
	u32 n = 0, count = below(state, 4) * below(state, 2);

	if (!below(state, 64))
		count = below(state, 14);
	while (n < count)
		bytes[n++] = prefixes[below(state, sizeof(prefixes))];
	if (below(state, 2))
		bytes[n++] = 0x40 | below(state, 16);
	return n;
}

/*
 * The bytes that lead to an opcode map: one, two, three bytes, VEX, EVEX, XOP;
 * and some opcodes that would be hit too seldom.
 */
static void add_escape(u64 *state, u8 *bytes)
{
	static const struct {
		u8 n;
		u8 bytes[3];
	} escapes[] = {
		{ 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } },
		{ 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } },
		{ 1, { 0x0f } }, { 1, { 0x0f } }, { 1, { 0x0f } },
		{ 1, { 0x0f } }, { 1, { 0x0f } }, { 1, { 0x0f } },
		{ 2, { 0x0f, 0x38 } }, { 2, { 0x0f, 0x38 } },
		{ 2, { 0x0f, 0x3a } }, { 2, { 0x0f, 0x3a } },
		{ 2, { 0x0f, 0x00 } }, { 2, { 0x0f, 0x01 } },
		{ 2, { 0x0f, 0xc7 } }, { 2, { 0x0f, 0xae } },
		{ 2, { 0x0f, 0x1e } }, { 3, { 0x0f, 0x38, 0x80 } },
		{ 3, { 0x0f, 0x38, 0x81 } }, { 3, { 0x0f, 0x38, 0x82 } },
		{ 3, { 0x0f, 0x1e, 0xfa } }, { 1, { 0xff } },
		{ 2, { 0x0f, 0x0f } }, { 1, { 0xc4 } }, { 1, { 0xc5 } },
		{ 1, { 0x62 } }, { 1, { 0x8f } },
	};
	u32 i = below(state, DMP_ARRAY_SIZE(escapes));

	memcpy(bytes, escapes[i].bytes, escapes[i].n);
}

/* One string in eight is plain noise; returns how many bytes to offer. */
static size_t make_string(u64 *state, u8 *bytes)
{
	u32 i, n = 0;
	u64 noise[3];

	for (i = 0; i < 3; i++)
		noise[i] = next_random(state);
	memcpy(bytes, noise, 24);
	if (below(state, 8)) {
		n = add_prefixes(state, bytes);
		add_escape(state, bytes + n);
	}
	return below(state, 4) ? STRING_MAX : below(state, 17);
}

/* A form that was never compared was not tested. */
static void check_coverage(const struct tally *t)
{
	u32 i, rarest = 0, missing = 0;

	for (i = 0; i < DMP_FORM_COUNT; i++) {
		if (t->forms[i] < t->forms[rarest])
			rarest = i;
		if (t->forms[i])
			continue;
		print_message("  never seen: %s\n", dmp_insn_form_name(i));
		missing++;
	}
	print_message("  rarest form: %s, %lu times\n",
		      dmp_insn_form_name(rarest), t->forms[rarest]);
	assert_int_equal(missing, 0);
}

static void test_random(void **unused)
{
	static struct tally tally = { .what = "random" };
	u64 seed = seed_of_run();
	u64 count = env_number("DMP_INSN_STRINGS", DEFAULT_STRINGS);
	u8 bytes[32], *buffer = malloc(STRING_MAX);
	struct insn_comparison cmp;
	u64 state = seed, i;

	(void)unused;
	assert_non_null(buffer);
	print_message("  DMP_SEED=%llu DMP_INSN_STRINGS=%llu\n", seed, count);
	for (i = 0; i < count; i++) {
		size_t avail = make_string(&state, bytes);
		/* At the end of the buffer, where ASan sees an over-read. */
		u8 *at = buffer + STRING_MAX - avail;

		memcpy(at, bytes, avail);
		tally_one(&tally, at, avail, i, &cmp);
	}
	free(buffer);
	print_tally(&tally);
	assert_int_equal(tally.disagreed, 0);
	assert_true(tally.compared > count / 4);
	if (count >= DEFAULT_STRINGS)
		check_coverage(&tally);
}

/*
 * Every opcode of the four maps, with every ModRM, after these prefixes, and
 * random bytes.
 */
static const struct {
	u8 n;
	u8 bytes[3];
} prefix_sets[] = {
	{ 0, { 0 } }, { 1, { 0x66 } }, { 1, { 0xf2 } }, { 1, { 0xf3 } },
	{ 1, { 0xf0 } }, { 1, { 0x48 } }, { 1, { 0x41 } }, { 1, { 0x44 } },
	{ 1, { 0x67 } }, { 2, { 0x66, 0x48 } }, { 2, { 0x66, 0xf2 } },
	{ 2, { 0x66, 0xf3 } }, { 2, { 0xf0, 0x48 } }, { 2, { 0xf2, 0x48 } },
	{ 2, { 0xf3, 0x48 } }, { 3, { 0x65, 0x67, 0x4f } },
};

static u32 map_escape(u32 map, u8 *bytes)
{
	static const u8 escapes[DMP_MAP_COUNT][2] = {
		{ 0 }, { 0x0f }, { 0x0f, 0x38 }, { 0x0f, 0x3a },
	};
	static const u8 size[DMP_MAP_COUNT] = { 0, 1, 2, 2 };

	memcpy(bytes, escapes[map], size[map]);
	return size[map];
}

static void walk_map(struct tally *t, u32 set, u32 map, u64 *state)
{
	struct insn_comparison cmp;
	u8 bytes[24];
	u32 n, i;
	u64 tail;

	n = prefix_sets[set].n;
	memcpy(bytes, prefix_sets[set].bytes, n);
	n += map_escape(map, bytes + n);
	for (i = 0; i < 0x10000; i++) {
		bytes[n] = (u8)(i >> 8);
		bytes[n + 1] = (u8)i;
		tail = next_random(state);
		memcpy(bytes + n + 2, &tail, 8);
		tail = next_random(state);
		memcpy(bytes + n + 10, &tail, 8);
		tally_one(t, bytes, n + 18, i, &cmp);
	}
}

static void test_maps(void **unused)
{
	static struct tally tally = { .what = "all opcodes" };
	u64 seed = seed_of_run();
	u64 state = seed;
	u32 set, map;

	(void)unused;
	print_message("  DMP_SEED=%llu\n", seed);
	for (set = 0; set < DMP_ARRAY_SIZE(prefix_sets); set++)
		for (map = 0; map < DMP_MAP_COUNT; map++)
			walk_map(&tally, set, map, &state);
	print_tally(&tally);
	assert_int_equal(tally.disagreed, 0);
	check_coverage(&tally);
}

/* Follow Zydis' lengths; where it fails, go on at the next byte. */
static void walk_section(struct tally *t, const struct elf_section *s)
{
	struct insn_comparison cmp;
	size_t at = 0;

	while (at < s->size) {
		tally_one(t, s->bytes + at, s->size - at, s->address + at,
			  &cmp);
		if (cmp.verdict == INSN_REFUSED && cmp.zydis_length &&
		    t->needless <= MESSAGES_MAX) {
			snprintf(cmp.message, sizeof(cmp.message),
				 "refused: %s",
				 dmp_insn_status_name(cmp.status));
			report(s->bytes + at, cmp.zydis_length,
			       s->address + at, &cmp);
		}
		at += cmp.zydis_length ? cmp.zydis_length : 1;
	}
}

static void walk_file(const char *path)
{
	struct tally tally = { .what = path };
	struct elf_section section;
	struct elf_text elf;
	const char *problem = elf_text_open(&elf, path);

	if (problem)
		fail_msg("%s: %s", path, problem);
	while (elf_text_next(&elf, &section))
		walk_section(&tally, &section);
	elf_text_close(&elf);
	print_tally(&tally);
	print_message("  refused share: %.5f%%\n",
		      100.0 * (double)tally.needless /
		      (double)(tally.needless + tally.compared));
	assert_int_equal(tally.disagreed, 0);
	assert_true(tally.compared > 0);
	assert_true(tally.needless * TEXT_REFUSED_SHARE <= tally.compared);
}

static void test_text(void **unused)
{
	const char *files = getenv("DMP_TEXT_FILES");
	static char *list;	/* static: a failure below is no leak */
	char *path, *rest = NULL;

	(void)unused;
	if (!files || !*files) {
		print_message("SKIP: DMP_TEXT_FILES names no ELF files\n");
		skip();
	}
	list = strdup(files);
	assert_non_null(list);
	for (path = strtok_r(list, ": ", &rest); path;
	     path = strtok_r(NULL, ": ", &rest))
		walk_file(path);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
