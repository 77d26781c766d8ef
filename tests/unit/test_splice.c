// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splices: plans, windows, bytes. Random bytes beside Zydis, and every store
 * of real kernels.
 *
 * DMP_SEED	seed of the random bytes (printed)
 * DMP_TEXT_FILES	ELF files, separated by spaces or colons
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <Zydis/Zydis.h>
#include "elf_text.h"
#include "insn_text.h"
#include "code/splice.h"
#include "stream.h"
#include "code/stub.h"

#define SITE		0xffffffff81234560ull
#define IMPLANT		(SITE - 0x20000000)
#define RANDOM_PLANS	2000000u

/*
 * ---- Golden ----
 */

static const struct {
	const char *hex;
	u32 flags;
	enum dmp_splice_refusal why;
	u8 len, trap, count;
	const char *kinds;	/* Replaced Moved reT Jump Called Padding */
} golden[] = {
	/* mov %rsi,(%rdi); jmp rel32 */
	{ "48 89 37 e9 00 01 00 00", 0, DMP_SPLICE_OK, 8, 0x4, 2, "RJ" },
	/* mov %rsi,(%rdi); ret; int3 */
	{ "48 89 37 c3 cc", 0, DMP_SPLICE_OK, 5, 0xc, 3, "RTP" },
	/* xchg %rax,(%rdi); ret; next function */
	{ "48 87 07 c3 55 48 89 e5", 0, DMP_SPLICE_OK, 5, 0xc, 3, "RTM" },
	/* lock andb $0xfd,(%rdi); ret */
	{ "f0 80 27 fd c3", 0, DMP_SPLICE_OK, 5, 0x8, 2, "RT" },
	{ "f0 80 27 fd e9 00 00 01 00", 0, DMP_SPLICE_OK, 9, 0x8, 2, "RJ" },
	/* movq $0,(%rdi) */
	{ "48 c7 07 00 00 00 00", 0, DMP_SPLICE_OK, 7, 0, 1, "R" },
	{ "48 89 b7 00 01", 0, DMP_SPLICE_TRUNCATED, 0, 0, 0, "" },
	/* mov %esi,(%rdi); push; push; pop */
	{ "89 37 50 51 58", 0, DMP_SPLICE_OK, 5, 0xe, 4, "RMMM" },
	/* mov %rsi,(%rdi), then: lea by RIP, endbr64, 3-byte nop, clac, cld */
	{ "48 89 37 48 8d 05 00 00 00 00", 0, DMP_SPLICE_OK, 10, 0x4, 2, "RM" },
	{ "48 89 37 f3 0f 1e fa", 0, DMP_SPLICE_OK, 7, 0x4, 2, "RM" },
	{ "48 89 37 0f 1f 00", 0, DMP_SPLICE_OK, 6, 0x4, 2, "RM" },
	{ "48 89 37 0f 01 ca", 0, DMP_SPLICE_OK, 6, 0x4, 2, "RM" },
	{ "48 89 37 fc 90", 0, DMP_SPLICE_OK, 5, 0xc, 3, "RMM" },
	/* MOV to and from CR3, also behind what is replaced */
	{ "0f 22 df 0f 1f 40 00", 0, DMP_SPLICE_OK, 7, 0x4, 2, "RM" },
	{ "41 0f 22 d9 4d 85 e4", 0, DMP_SPLICE_OK, 7, 0x8, 2, "RM" },
	{ "0f 20 d8 0f 22 d8 c3", 0, DMP_SPLICE_OK, 6, 0x4, 2, "RR" },
	{ "0f 20 dc 90 90 90", 0, DMP_SPLICE_OK, 5, 0xc, 3, "RMM" },
	{ "48 89 37 0f 22 d8", 0, DMP_SPLICE_OK, 6, 0x4, 2, "RR" },
	{ "41 0f 20 dc 41 0f 22 dc", 0, DMP_SPLICE_OK, 8, 0x8, 2, "RR" },
	/* Refused: */
	{ "48 89 37 66 90", 0, DMP_SPLICE_NOP, 0, 0, 0, "" },
	{ "48 89 37 0f 1f 44 00 00", 0, DMP_SPLICE_NOP, 0, 0, 0, "" },
	{ "48 89 37 eb 10", 0, DMP_SPLICE_JMP_SHORT, 0, 0, 0, "" },
	{ "48 89 37 74 10", 0, DMP_SPLICE_BRANCH, 0, 0, 0, "" },
	{ "48 89 37 e8 00 01 00 00", 0, DMP_SPLICE_IS_CALL, 0, 0, 0, "" },
	{ "48 89 37 ff e0", 0, DMP_SPLICE_BRANCH, 0, 0, 0, "" },
	{ "48 89 37 ff d0", 0, DMP_SPLICE_BRANCH, 0, 0, 0, "" },
	{ "48 89 37 fa 90", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 fb 90", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 0f 01 f8", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 0f 22 e0", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 0f 20 c0", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 44 0f 20 d8", 0, DMP_SPLICE_DECODE, 0, 0, 0, "" },
	{ "0f 22 df 66 90", 0, DMP_SPLICE_NOP, 0, 0, 0, "" },
	/* the entry code of KPTI: mov %cr3,%rsp; nop5; and mov %cr3,%rdi; jmp */
	{ "0f 20 dc 0f 1f 44 00 00", DMP_SPLICE_SETTLED, DMP_SPLICE_OK, 8, 0x4, 2,
	  "RM" },
	{ "0f 20 df eb 37", DMP_SPLICE_SETTLED, DMP_SPLICE_OK, 5, 0x4, 2, "RJ" },
	{ "0f 22 df 58 5f", DMP_SPLICE_SETTLED, DMP_SPLICE_OK, 5, 0xc, 3, "RMM" },
	{ "90 0f 20 d8 90", 1, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 0f 30", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 0f a2", 0, DMP_SPLICE_PRIVILEGED, 0, 0, 0, "" },
	{ "48 89 37 cc 90", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 9d 90", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 8e d0", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 0f a1", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 d9 37", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 0f 31", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 f3 90", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 0f 0b", 0, DMP_SPLICE_ODD, 0, 0, 0, "" },
	{ "48 89 37 67 8b 05 00 00 00 00", 0, DMP_SPLICE_EIP_REL, 0, 0, 0, "" },
	{ "48 89 37 06", 0, DMP_SPLICE_DECODE, 0, 0, 0, "" },
	/* Prologues. */
	{ "0f 01 ca fc e8 00 01 00 00", 3, DMP_SPLICE_OK, 9, 0xc, 3, "MMC" },
	{ "90 90 90 fc e8 00 01 00 00", 3, DMP_SPLICE_OK, 9, 0xf, 5, "MMMMC" },
	{ "0f 01 ca fc e8 00 01 00 00", 1, DMP_SPLICE_IS_CALL, 0, 0, 0, "" },
	{ "f3 0f 1e fa 0f 01 ca", 1, DMP_SPLICE_OK, 7, 0x8, 2, "MM" },
};

static void check_golden(unsigned int i)
{
	struct dmp_splice_plan plan;
	enum dmp_splice_refusal why;
	u8 bytes[32];
	size_t n = insn_bytes(golden[i].hex, bytes, sizeof(bytes));
	u32 k;

	why = dmp_splice_plan(bytes, n, SITE, golden[i].flags, &plan);
	if (why != golden[i].why)
		fail_msg("%s: %s, not %s", golden[i].hex,
			 dmp_splice_refusal_name(why),
			 dmp_splice_refusal_name(golden[i].why));
	if (why != DMP_SPLICE_OK)
		return;
	if (plan.len != golden[i].len || plan.trap != golden[i].trap ||
	    plan.count != golden[i].count)
		fail_msg("%s: length %u, traps %x, %u instructions",
			 golden[i].hex, plan.len, plan.trap, plan.count);
	for (k = 0; k < plan.count; k++)
		if ("RMTJCP"[plan.insn[k].kind] != golden[i].kinds[k])
			fail_msg("%s: instruction %u is of kind %u",
				 golden[i].hex, k, plan.insn[k].kind);
}

static void test_golden(void **unused)
{
	unsigned int i;

	(void)unused;
	for (i = 0; i < DMP_ARRAY_SIZE(golden); i++)
		check_golden(i);
}

static void test_page_cross(void **unused)
{
	static const u8 bytes[] = { 0x48, 0x89, 0x37, 0xe9, 0, 1, 0, 0 };
	struct dmp_splice_plan plan;

	(void)unused;
	assert_int_equal(dmp_splice_plan(bytes, 8, 0xffffffff81000ff8, 0, &plan),
			 DMP_SPLICE_OK);
	assert_int_equal(dmp_splice_plan(bytes, 8, 0xffffffff81000ff9, 0, &plan),
			 DMP_SPLICE_PAGE_CROSS);
}

static void test_names(void **unused)
{
	int i;

	(void)unused;
	for (i = 0; i < DMP_SPLICE_REASONS; i++)
		assert_string_not_equal(dmp_splice_refusal_name(i), "?");
	for (i = 0; i < DMP_STUB_REASONS; i++)
		assert_string_not_equal(dmp_stub_refusal_name(i), "?");
	assert_string_equal(dmp_splice_refusal_name(DMP_SPLICE_REASONS), "?");
	assert_string_equal(dmp_stub_refusal_name(DMP_STUB_REASONS), "?");
}

/*
 * ---- Windows ----
 */

static const u8 traps[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static u64 count_windows(u8 trap)
{
	u32 lowest, i;
	u64 n = 1;

	if (!trap)
		return 2;
	for (lowest = 0; !(trap >> lowest & 1); lowest++)
		;
	for (i = lowest; i < 4; i++)
		n *= trap >> i & 1 ? 1 : 256;
	return n;
}

/* The splice for @stub is a JMP there, with INT3 where it must be. */
static void check_bytes(const struct dmp_splice_plan *plan, u64 site, u64 stub)
{
	struct dmp_insn jmp;
	u8 bytes[DMP_SPLICE_BYTES_MAX];
	u32 i;

	memset(bytes, 0x5a, sizeof(bytes));
	assert_true(dmp_splice_bytes(plan, site, stub, bytes));
	assert_int_equal(dmp_insn_decode(bytes, sizeof(bytes), &jmp),
			 DMP_INSN_OK);
	assert_int_equal(jmp.form, DMP_FORM_JMP_REL);
	assert_int_equal(jmp.length, DMP_SPLICE_JMP);
	assert_true(dmp_insn_target(&jmp, site) == stub);
	for (i = 0; i < 4; i++)
		if (plan->trap >> i & 1)
			assert_int_equal(bytes[1 + i], DMP_SPLICE_INT3);
	for (i = DMP_SPLICE_JMP; i < plan->len; i++)
		assert_int_equal(bytes[i], DMP_SPLICE_INT3);
	assert_int_equal(bytes[plan->len], 0x5a);
}

static void check_window(const struct dmp_splice_plan *plan, u64 nth, u64 *rng)
{
	u64 lo, hi, before_lo, before_hi, from = SITE + DMP_SPLICE_JMP;

	assert_true(dmp_splice_window(plan, SITE, nth, &lo, &hi));
	if (lo >= hi)
		return;		/* beyond the end of addresses */
	check_bytes(plan, SITE, lo);
	check_bytes(plan, SITE, hi - 1);
	check_bytes(plan, SITE, lo + stream_random(rng) % (hi - lo));
	if (plan->trap) {
		assert_false(dmp_splice_reaches(plan, SITE, lo - 1));
		assert_false(dmp_splice_reaches(plan, SITE, hi));
	}
	if (!nth || !dmp_splice_window(plan, SITE, nth - 1, &before_lo,
				       &before_hi) || before_lo >= before_hi)
		return;
	/* Nearest first; below the site, then above it. */
	if (hi <= from)
		assert_true(hi <= before_lo);
	else
		assert_true(lo >= before_hi || before_hi <= from);
}

static void test_windows(void **unused)
{
	u64 rng = stream_seed(), n, nth, lo, hi;
	unsigned int i;

	(void)unused;
	for (i = 0; i < DMP_ARRAY_SIZE(traps); i++) {
		struct dmp_splice_plan plan = { .len = 7, .trap = traps[i] };

		n = count_windows(traps[i]);
		assert_false(dmp_splice_window(&plan, SITE, n, &lo, &hi));
		for (nth = 0; nth < n; nth += n > 2000 ? 1 + stream_random(&rng) % (n / 500) : 1)
			check_window(&plan, nth, &rng);
		check_window(&plan, n - 1, &rng);
	}
}

/* At both ends of the address space no range wraps around. */
static void test_windows_wrap(void **unused)
{
	struct dmp_splice_plan plan = { .len = 5 };
	u64 lo, hi;

	(void)unused;
	assert_true(dmp_splice_window(&plan, 0xfffffffffffff000, 1, &lo, &hi));
	assert_true(lo == 0xfffffffffffff005 && hi == ~0ull);
	assert_true(dmp_splice_window(&plan, 0x1000, 0, &lo, &hi));
	assert_true(lo >= hi);
	plan.trap = 0xc;
	assert_true(dmp_splice_window(&plan, SITE, 0, &lo, &hi));
	assert_true(hi - lo == 0x10000);
	assert_true(lo == SITE + 5 - 0x33340000);
}

/* As far as rel32 goes, and no farther. */
static void test_reach(void **unused)
{
	const struct dmp_splice_plan plan = { .len = 5 };
	u64 from = 0x7f0000000000 + DMP_SPLICE_JMP;
	u8 bytes[DMP_SPLICE_BYTES_MAX];

	(void)unused;
	assert_true(dmp_splice_reaches(&plan, 0x7f0000000000, from + 0x7fffffff));
	assert_true(dmp_splice_reaches(&plan, 0x7f0000000000, from - 0x80000000));
	assert_false(dmp_splice_reaches(&plan, 0x7f0000000000, from + 0x80000000));
	assert_false(dmp_splice_reaches(&plan, 0x7f0000000000, from - 0x80000001));
	assert_false(dmp_splice_bytes(&plan, 0x7f0000000000, from + 0x80000000,
				      bytes));
}

/*
 * ---- What has no stub ----
 */

static const struct {
	const char *hex;
	enum dmp_stub_refusal why;
} stub_golden[] = {
	{ "48 89 37", DMP_STUB_OK },
	{ "f0 80 27 fd", DMP_STUB_OK },
	{ "48 89 34 24", DMP_STUB_OK },			/* to the stack */
	{ "48 89 05 00 00 00 00", DMP_STUB_OK },	/* by RIP */
	{ "88 27", DMP_STUB_OK },			/* %ah */
	{ "f0 48 0f ba 37 05", DMP_STUB_OK },
	{ "48 8b 37", DMP_STUB_FORM },
	{ "48 01 f7", DMP_STUB_FORM },			/* register to register */
	{ "48 39 37", DMP_STUB_FORM },
	{ "48 d1 27", DMP_STUB_FORM },			/* shl */
	{ "f0 48 0f c7 0f", DMP_STUB_FORM },		/* cmpxchg16b */
	{ "48 ab", DMP_STUB_FORM },
	{ "f3 48 ab", DMP_STUB_REPEATED },
	{ "8f 07", DMP_STUB_FORM },			/* pop (%rdi) */
	{ "66 89 37", DMP_STUB_SIZE },
	{ "f0 48 0f b3 37", DMP_STUB_BIT_BASE },
	{ "65 48 89 37", DMP_STUB_SEGMENT },
	{ "64 48 89 37", DMP_STUB_SEGMENT },
	{ "67 48 89 37", DMP_STUB_ADDR_SIZE },
	{ "48 a3 00 00 00 00 00 00 00 00", DMP_STUB_MOFFS },
};

static void test_stub_check(void **unused)
{
	enum dmp_stub_refusal why;
	struct dmp_insn insn;
	unsigned int i;
	u8 bytes[16];
	size_t n;

	(void)unused;
	for (i = 0; i < DMP_ARRAY_SIZE(stub_golden); i++) {
		n = insn_bytes(stub_golden[i].hex, bytes, sizeof(bytes));
		assert_int_equal(dmp_insn_decode(bytes, n, &insn), DMP_INSN_OK);
		why = dmp_stub_check(&insn);
		if (why != stub_golden[i].why)
			fail_msg("%s: %s, not %s", stub_golden[i].hex,
				 dmp_stub_refusal_name(why),
				 dmp_stub_refusal_name(stub_golden[i].why));
	}
}

/* What goes wrong only when the addresses are known, in a buffer of any size. */
static void test_stub_refused(void **unused)
{
	static const u8 near[] = { 0x48, 0x89, 0x37, 0xe9, 0, 1, 0, 0 };
	static const u8 by_rip[] = { 0x48, 0x89, 0x05, 0, 0, 0, 0x70 };
	static struct dmp_stub stub;
	struct dmp_splice_plan plan;
	struct dmp_stub_site site = {
		.site = SITE, .bytes = near, .plan = &plan, .implant = IMPLANT,
		.stub = SITE + DMP_SPLICE_JMP - 0x333400,
		.agent = IMPLANT - DMP_AGENT_DISTANCE,
	};
	u32 size, needed;
	u8 *code;

	(void)unused;
	assert_int_equal(dmp_splice_plan(near, 8, SITE, 0, &plan), DMP_SPLICE_OK);
	code = malloc(DMP_STUB_BYTES_MAX);
	assert_non_null(code);
	assert_int_equal(dmp_stub_make(&site, code, DMP_STUB_BYTES_MAX, &stub),
			 DMP_STUB_OK);
	needed = stub.size;
	free(code);
	for (size = 0; size <= needed; size += 7) {
		code = malloc(size ? size : 1);
		assert_non_null(code);
		assert_int_equal(dmp_stub_make(&site, code, size, &stub),
				 DMP_STUB_NO_ROOM);
		free(code);
	}
	code = malloc(DMP_STUB_BYTES_MAX);
	assert_non_null(code);
	site.stub -= 0x10000;		/* no trap byte there */
	assert_int_equal(dmp_stub_make(&site, code, DMP_STUB_BYTES_MAX, &stub),
			 DMP_STUB_REACH);
	site.stub += 0x10000;
	site.implant = SITE + 0x90000000;
	assert_int_equal(dmp_stub_make(&site, code, DMP_STUB_BYTES_MAX, &stub),
			 DMP_STUB_REACH);
	site.implant = IMPLANT;
	site.bytes = by_rip;
	assert_int_equal(dmp_splice_plan(by_rip, 7, SITE, 0, &plan),
			 DMP_SPLICE_OK);
	site.stub = SITE - 0x60000000;
	assert_int_equal(dmp_stub_make(&site, code, DMP_STUB_BYTES_MAX, &stub),
			 DMP_STUB_REACH);
	free(code);
}

/*
 * ---- Random bytes ----
 */

static u32 zydis_length(const u8 *bytes, ZydisDecodedInstruction *insn)
{
	static ZydisDecoder decoder;
	static bool ready;

	if (!ready) {
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
				 ZYDIS_STACK_WIDTH_64);
		ready = true;
	}
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes,
							ZYDIS_MAX_INSTRUCTION_LENGTH,
							insn)))
		return 0;
	return insn->length;
}

/* MOV to or from CR3: 0F 20 /3, 0F 22 /3; SDM vol. 2. */
static bool is_cr3(const ZydisDecodedInstruction *insn)
{
	return insn->opcode_map == ZYDIS_OPCODE_MAP_0F &&
	       (insn->opcode & 0xfd) == 0x20 && insn->raw.modrm.reg == 3 &&
	       !insn->raw.rex.R;
}

/* What Zydis thinks of an instruction that is to be displaced. */
static bool may_move(const ZydisDecodedInstruction *insn, u8 kind)
{
	if (kind == DMP_SPLICE_REPLACED || is_cr3(insn))
		return kind == DMP_SPLICE_REPLACED && is_cr3(insn);
	switch (insn->meta.category) {
	case ZYDIS_CATEGORY_RET:
		return kind == DMP_SPLICE_RET;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return kind == DMP_SPLICE_JUMP && insn->length >= 5;
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_X87_ALU:
	case ZYDIS_CATEGORY_IO:
		return false;
	case ZYDIS_CATEGORY_INTERRUPT:
		return kind == DMP_SPLICE_PADDING;
	default:
		return kind == DMP_SPLICE_MOVED &&
		       !(insn->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED &&
			 insn->mnemonic != ZYDIS_MNEMONIC_CLAC &&
			 insn->mnemonic != ZYDIS_MNEMONIC_STAC);
	}
}

static void check_plan(const u8 *bytes, const struct dmp_splice_plan *plan)
{
	ZydisDecodedInstruction insn;
	u8 at = 0, trap = 0, i, k;
	char hex[100] = "";
	bool ended = false;

	for (i = 0; i < 20; i++)
		sprintf(hex + 3 * i, "%02x ", bytes[i]);
	for (k = 0; k < plan->count; k++) {
		if (plan->insn[k].offset != at)
			fail_msg("%s: instruction %u at %u", hex, k,
				 plan->insn[k].offset);
		if (zydis_length(bytes + at, &insn) != plan->insn[k].length)
			fail_msg("%s: instruction %u, length", hex, k);
		if (k && !may_move(&insn, plan->insn[k].kind))
			fail_msg("%s: %s displaced as %u", hex,
				 ZydisMnemonicGetString(insn.mnemonic),
				 plan->insn[k].kind);
		if (at && at < 5)
			trap |= 1u << (at - 1);
		at += plan->insn[k].length;
		ended |= dmp_splice_ends(plan->insn[k].kind);
		for (i = at; ended && i < 5; i++)
			trap |= 1u << (i - 1);
	}
	if (at != plan->len || at < 5 || plan->len - plan->insn[k - 1].length > 4)
		fail_msg("%s: length %u", hex, plan->len);
	if (trap != plan->trap)
		fail_msg("%s: traps %x, not %x", hex, plan->trap, trap);
}

static void test_random(void **unused)
{
	u64 rng = stream_seed(), noise[5];
	u32 refused[DMP_SPLICE_REASONS] = { 0 }, i;
	struct dmp_splice_plan plan;
	enum dmp_splice_refusal why;
	u8 bytes[40];

	(void)unused;
	for (i = 0; i < RANDOM_PLANS; i++) {
		noise[0] = stream_random(&rng);
		noise[1] = stream_random(&rng);
		noise[2] = stream_random(&rng);
		noise[3] = stream_random(&rng);
		noise[4] = 0;
		memcpy(bytes, noise, sizeof(bytes));
		if (i % 2) {	/* a short site, so that more is displaced */
			bytes[0] = 0x89;
			bytes[1] &= 0x3b;
		}
		why = dmp_splice_plan(bytes, 32, SITE, 0, &plan);
		refused[why]++;
		if (why == DMP_SPLICE_OK)
			check_plan(bytes, &plan);
	}
	print_message(" ");
	for (i = 0; i < DMP_SPLICE_REASONS; i++)
		print_message(" %s %u", dmp_splice_refusal_name(i), refused[i]);
	print_message("\n");
	assert_true(refused[DMP_SPLICE_OK] > RANDOM_PLANS / 5);
}

/*
 * ---- Real kernels ----
 */

struct kernel_tally {
	u32 stores, planned, made;
	u32 no_splice[DMP_SPLICE_REASONS], no_stub[DMP_STUB_REASONS];
	u32 longest, rows;
};

/* Every row begins an instruction, and all code is instructions. */
static void check_code(const u8 *code, const struct dmp_stub *stub)
{
	struct dmp_insn insn;
	u32 at = 0, row = 0;

	while (at < stub->code) {
		if (row < stub->rows && stub->row[row].offset == at)
			row++;
		assert_int_equal(dmp_insn_decode(code + at, stub->code - at,
						 &insn), DMP_INSN_OK);
		at += insn.length;
	}
	assert_int_equal(at, stub->code);
	assert_int_equal(row, stub->rows);
}

static void try_site(struct kernel_tally *t, const u8 *bytes, size_t avail,
		     u64 gva, const struct dmp_insn *insn)
{
	static struct dmp_stub stub;
	struct dmp_splice_plan plan;
	struct dmp_stub_site site = {
		.site = gva, .bytes = bytes, .plan = &plan, .implant = IMPLANT,
		.agent = IMPLANT - DMP_AGENT_DISTANCE,
	};
	enum dmp_splice_refusal no_splice;
	enum dmp_stub_refusal why = dmp_stub_check(insn);
	u8 code[DMP_STUB_BYTES_MAX];
	u64 lo, hi;

	t->stores++;
	t->no_stub[why]++;
	if (why != DMP_STUB_OK)
		return;
	no_splice = dmp_splice_plan(bytes, avail, gva, 0, &plan);
	t->no_splice[no_splice]++;
	if (no_splice != DMP_SPLICE_OK)
		return;
	t->planned++;
	assert_true(dmp_splice_window(&plan, gva, 0, &lo, &hi));
	site.stub = hi - 1 > gva - 0x200 ? hi - 0x200 : hi - 1;
	if (!dmp_splice_reaches(&plan, gva, site.stub))
		site.stub = lo;
	why = dmp_stub_make(&site, code, sizeof(code), &stub);
	t->no_stub[DMP_STUB_REACH] += why == DMP_STUB_REACH;
	if (why == DMP_STUB_REACH)
		return;
	if (why != DMP_STUB_OK)
		fail_msg("%llx: %s", gva, dmp_stub_refusal_name(why));
	check_code(code, &stub);
	t->made++;
	t->longest = stub.size > t->longest ? stub.size : t->longest;
	t->rows = stub.rows > t->rows ? stub.rows : t->rows;
}

static void walk_section(struct kernel_tally *t, const struct elf_section *s)
{
	struct dmp_insn insn;
	size_t at = 0;
	u64 gva;

	while (at < s->size) {
		if (dmp_insn_decode(s->bytes + at, s->size - at, &insn) !=
		    DMP_INSN_OK) {
			at++;
			continue;
		}
		gva = SITE + (s->address + at) % 0x1000000;
		if (insn.flags & DMP_INSN_HAS_MEM &&
		    insn.flags & DMP_INSN_WRITES_MEM)
			try_site(t, s->bytes + at, s->size - at, gva, &insn);
		at += insn.length;
	}
}

static void test_text(void **unused)
{
	const char *files = getenv("DMP_TEXT_FILES");
	struct kernel_tally t = { 0 };
	struct elf_section section;
	struct elf_text elf;
	char path[512];
	const char *problem;
	int i;

	(void)unused;
	if (!files || !*files) {
		print_message("SKIP: DMP_TEXT_FILES names no ELF files\n");
		skip();
	}
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(files, ": "), files);
	problem = elf_text_open(&elf, path);
	if (problem)
		fail_msg("%s: %s", path, problem);
	while (elf_text_next(&elf, &section))
		walk_section(&t, &section);
	elf_text_close(&elf);
	print_message("  %u stores, %u stubs, of %u bytes and %u rows at most\n ",
		      t.stores, t.made, t.longest, t.rows);
	for (i = 1; i < DMP_STUB_REASONS; i++)
		print_message(" %s %u", dmp_stub_refusal_name(i), t.no_stub[i]);
	print_message("\n ");
	for (i = 1; i < DMP_SPLICE_REASONS; i++)
		print_message(" %s %u", dmp_splice_refusal_name(i),
			      t.no_splice[i]);
	print_message("\n");
	assert_true(t.made > t.stores / 3);
	/* Between the instructions there is data, which is read as such, too. */
	assert_true(t.no_stub[DMP_STUB_REACH] < t.made / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_page_cross),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_windows_wrap),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_stub_check),
		cmocka_unit_test(test_stub_refused),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
