// SPDX-License-Identifier: GPL-2.0-only
/*
 * One entry's meaning, over all combinations of its flags, the level, the
 * paging mode and what is behind it, against the manuals (oracle.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mmu/state.h"
#include "oracle.h"

#define TRAP_BIT	(1ull << 51)
#define FLAG_BITS	8

static const u64 flag_bit[FLAG_BITS] = {
	DMP_PTE_P, DMP_PTE_RW, DMP_PTE_US, DMP_PTE_A, DMP_PTE_D, DMP_PTE_PS,
	DMP_PTE_G, DMP_PTE_NX,
};

static u64 flags_of(unsigned int combination)
{
	u64 entry = 0;
	int i;

	for (i = 0; i < FLAG_BITS; i++)
		if (combination & 1u << i)
			entry |= flag_bit[i];
	return entry;
}

static struct dmp_paging paging_of(unsigned int flags, unsigned int phys_bits)
{
	return (struct dmp_paging){
		.levels = 4,
		.guest_phys_bits = phys_bits,
		.flags = flags,
		.trap_bit = TRAP_BIT,
	};
}

static void test_bits(void **state)
{
	static const struct {
		u64 value;
		int bit;
	} row[] = {	/* SDM vol. 3, table 4-20 */
		{ DMP_PTE_P, 0 }, { DMP_PTE_RW, 1 }, { DMP_PTE_US, 2 },
		{ DMP_PTE_PWT, 3 }, { DMP_PTE_PCD, 4 }, { DMP_PTE_A, 5 },
		{ DMP_PTE_D, 6 }, { DMP_PTE_PS, 7 }, { DMP_PTE_G, 8 },
		{ DMP_PTE_NX, 63 },
	};
	size_t i;
	int bit;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(row); i++)
		assert_true(row[i].value == 1ull << row[i].bit);
	for (bit = 0; bit < 64; bit++)
		assert_int_equal(!!(DMP_PTE_ADDR & 1ull << bit),
				 bit >= 12 && bit <= 51);
}

static void test_index(void **state)
{
	static const u64 gva[] = { 0, 0x7fffdeadbeef, 0xffff888123456789,
				   0xffffffffffffffff, 0x00ff123456789abc };
	static const int shift[] = { 0, 12, 21, 30, 39, 48 };
	unsigned int level;
	u64 table[2] __attribute__((aligned(16)));
	size_t i;

	(void)state;
	for (level = 1; level <= 5; level++) {
		assert_true(dmp_level_pages(level) << 12 == 1ull << shift[level]);
		for (i = 0; i < DMP_ARRAY_SIZE(gva); i++)
			assert_int_equal(dmp_index(gva[i], level),
					 gva[i] / (1ull << shift[level]) % 512);
	}
	assert_int_equal(dmp_index_of(&table[1]),
			 (uintptr_t)&table[1] % 4096 / 8);
}

static void test_rsvd(void **state)
{
	static const unsigned int phys[] = { 36, 39, 46, 51, 52 };
	unsigned int combination, level, mode, p;
	struct dmp_paging paging;
	u64 entry;
	int bit;

	(void)state;
	for (mode = 0; mode < 32; mode++)
	for (p = 0; p < DMP_ARRAY_SIZE(phys); p++)
	for (combination = 1; combination < 1u << FLAG_BITS; combination += 2)
	for (level = 1; level <= 5; level++)
	for (bit = 8; bit < 63; bit++) {
		paging = paging_of(mode, phys[p]);
		entry = flags_of(combination) | (bit > 8 ? 1ull << bit : 0);
		if (dmp_pte_has_rsvd(&paging, entry, level) !=
		    oracle_rsvd(&paging, entry, level))
			fail_msg("entry %#llx level %u mode %#x phys %u", entry,
				 level, mode, phys[p]);
		assert_int_equal(dmp_pte_is_leaf(entry, level),
				 oracle_leaf(entry, level));
	}
}

/* Which bits a machine leaf has, one by one. */
static bool leaf_bit(int bit, u64 entry, u32 slot_flags, u64 hfn)
{
	switch (bit) {
	case 0: case 5: case 6:		/* P, A, D */
		return true;
	case 1:				/* RW */
		return entry & DMP_PTE_RW && entry & DMP_PTE_D &&
		       !(slot_flags & DMP_SLOT_RO);
	case 2: case 8: case 63:	/* US, G, NX: the guest's */
		return entry >> bit & 1;
	case 12 ... 51:
		return hfn >> (bit - 12) & 1;
	default:			/* PWT, PCD, PAT, software */
		return false;
	}
}

static void check_trap(const struct dmp_paging *paging, u64 machine,
		       enum dmp_trap why)
{
	assert_true(dmp_is_trap(paging, machine));
	assert_int_equal(dmp_trap_why(machine), why);
	assert_true(machine & DMP_PTE_P);
	/* It holds no address, and nothing but the reserved bit denies. */
	assert_true((machine & DMP_PTE_ADDR) == TRAP_BIT);
	assert_true(machine & DMP_PTE_US);
	/* Counted as no writable mapping. */
	assert_false(machine & (DMP_PTE_NX | DMP_PTE_RW));
}

static void check_leaf(const struct dmp_paging *paging, u64 entry,
		       u32 slot_flags, u64 hfn)
{
	struct dmp_frame frame = dmp_frame_make(hfn, slot_flags);
	u64 machine = dmp_translate_leaf(paging, entry, frame.leaf);
	int bit;

	assert_true(dmp_frame_hfn(&frame) == hfn);
	if (!(entry & DMP_PTE_A)) {
		check_trap(paging, machine, DMP_TRAP_LAZY);
		return;
	}
	assert_false(dmp_is_trap(paging, machine));
	for (bit = 0; bit < 64; bit++)
		if ((machine >> bit & 1) != leaf_bit(bit, entry, slot_flags, hfn))
			fail_msg("entry %#llx slot %u: machine %#llx bit %d",
				 entry, slot_flags, machine, bit);
}

static void test_translate(void **state)
{
	static const u64 hfns[] = { 1, 0x12345, (TRAP_BIT >> 12) - 1 };
	static const u64 noise[] = { 0, 0xe00, 0x7ff0000000000000,
				     DMP_PTE_PWT, DMP_PTE_PCD, 0x7ffffff000 };
	struct dmp_paging paging;
	unsigned int combination, mode;
	size_t h, n;
	u64 entry, link;

	(void)state;
	for (mode = 0; mode < 32; mode++)
	for (combination = 1; combination < 1u << FLAG_BITS; combination += 2)
	for (n = 0; n < DMP_ARRAY_SIZE(noise); n++)
	for (h = 0; h < DMP_ARRAY_SIZE(hfns); h++) {
		paging = paging_of(mode, 46);
		entry = flags_of(combination) | noise[n];
		check_leaf(&paging, entry, 0, hfns[h]);
		check_leaf(&paging, entry, DMP_SLOT_RO, hfns[h]);
		check_trap(&paging, dmp_translate_leaf(&paging, entry, 0),
			   DMP_TRAP_NO_RAM);
		link = dmp_translate_link(entry, hfns[h]);
		assert_true(dmp_pte_gfn(link) == hfns[h]);
		assert_true((link & ~DMP_PTE_ADDR) ==
			    (DMP_PTE_P | DMP_PTE_A |
			     (entry & (DMP_PTE_RW | DMP_PTE_US | DMP_PTE_NX))));
	}
}

static void test_wants_ad(void **state)
{
	unsigned int combination;
	u64 entry, want;
	int leaf;

	(void)state;
	for (combination = 1; combination < 1u << FLAG_BITS; combination += 2)
	for (leaf = 0; leaf < 2; leaf++) {
		entry = flags_of(combination);
		want = 0;
		if (!(entry & DMP_PTE_US)) {
			if (!(entry & DMP_PTE_A))
				want |= DMP_PTE_A;
			if (leaf && entry & DMP_PTE_RW && !(entry & DMP_PTE_D))
				want |= DMP_PTE_D;
		}
		assert_true(dmp_pte_wants_ad(entry, leaf) == want);
	}
}

static const u32 accesses[] = {
	0, DMP_ACCESS_WRITE, DMP_ACCESS_FETCH,
};

static void test_perm(void **state)
{
	unsigned int upper, leaf, mode, a, who;
	struct dmp_paging paging;
	struct dmp_perm perm;
	u32 access;

	(void)state;
	for (mode = 0; mode < 32; mode++)
	for (upper = 0; upper < 8; upper++)
	for (leaf = 0; leaf < 8; leaf++)
	for (a = 0; a < DMP_ARRAY_SIZE(accesses); a++)
	for (who = 0; who < 4; who++) {
		paging = paging_of(mode, 46);
		if ((upper | leaf) & 4 && !(mode & DMP_PAGING_NX))
			continue;	/* a reserved bit then */
		access = accesses[a] | (who & 1 ? DMP_ACCESS_USER : 0) |
			 (who & 2 ? DMP_ACCESS_AC : 0);
		perm = dmp_perm_all();
		dmp_perm_add(&perm, (upper & 1 ? DMP_PTE_RW : 0) |
			     (upper & 2 ? DMP_PTE_US : 0) |
			     (upper & 4 ? DMP_PTE_NX : 0));
		dmp_perm_add(&perm, (leaf & 1 ? DMP_PTE_RW : 0) |
			     (leaf & 2 ? DMP_PTE_US : 0) |
			     (leaf & 4 ? DMP_PTE_NX : 0));
		if (dmp_perm_allows(&paging, &perm, access) !=
		    oracle_allows(&paging, upper & leaf & 1, upper & leaf & 2,
				  (upper | leaf) & 4, access))
			fail_msg("mode %#x upper %u leaf %u access %#x", mode,
				 upper, leaf, access);
	}
}

static void test_error_code(void **state)
{
	static const u32 cause[] = { 0, DMP_PF_P, DMP_PF_P | DMP_PF_RSVD };
	unsigned int mode, a, who, c;
	struct dmp_paging paging;
	u32 access;

	(void)state;
	for (mode = 0; mode < 32; mode++)
	for (a = 0; a < DMP_ARRAY_SIZE(accesses); a++)
	for (who = 0; who < 4; who++)
	for (c = 0; c < DMP_ARRAY_SIZE(cause); c++) {
		paging = paging_of(mode, 46);
		access = accesses[a] | (who & 1 ? DMP_ACCESS_USER : 0) |
			 (who & 2 ? DMP_ACCESS_AC : 0);
		assert_int_equal(dmp_error_code(&paging, access, cause[c]),
				 oracle_error(&paging, access, c > 0, c > 1));
	}
}

/* Each says why it is there, and none has an address in memory. */
static void test_traps(void **state)
{
	const u64 fill[] = { 0, 0x1full << 41, 0x1full << 34 };
	struct dmp_paging paging = paging_of(DMP_PAGING_NX, 46);
	enum dmp_trap why;
	unsigned int i;
	u64 trap;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(fill); i++)
		for (why = DMP_TRAP_LAZY; why <= DMP_TRAP_RSVD; why++) {
			paging.trap_fill = fill[i];
			trap = dmp_make_trap(&paging, why);
			assert_true(trap & DMP_PTE_P && dmp_is_trap(&paging, trap));
			assert_int_equal(dmp_trap_why(trap), why);
			assert_true((trap & DMP_PTE_ADDR) == (TRAP_BIT | fill[i]));
		}
}

/*
 * A bit that holds a key selects what memory is, and faults nobody: a trap with it
 * would be a mapping of frame 0. Rows are CPUs as their makers describe them.
 */
static void test_trap_bit(void **state)
{
	static const struct {
		const char *cpu;
		struct dmp_host_cpu host;
		int bit;
	} row[] = {
		{ "40 bits", { 40, false, 0, 0 }, 51 },
		{ "46 bits, keys among them", { 46, false, 0, 0 }, 51 },
		{ "52 bits, keys in the highest", { 52, false, 0, 0 }, -1 },
		{ "51 bits", { 51, false, 0, 0 }, 51 },
		{ "48 bits, key 47, encryption off", { 48, true, 47, 0 }, 51 },
		{ "48 bits, key 47, on", { 48, true, 47, 5 }, 51 },
		{ "48 bits, key 51, off", { 48, true, 51, 0 }, 50 },
		{ "48 bits, key 51, on", { 48, true, 51, 5 }, 50 },
		{ "52 bits, key 51, on", { 52, true, 51, 6 }, 50 },
		{ "52 bits, key 51, off", { 52, true, 51, 0 }, -1 },
		{ "52 bits, key 51, takes itself", { 52, true, 51, 1 }, -1 },
		{ "51 bits, key 51", { 51, true, 51, 0 }, -1 },
		{ "all taken", { 8, false, 0, 63 }, 51 },
	};
	struct dmp_host_cpu host;
	unsigned int i, keys;
	u64 bit;

	(void)state;
	for (i = 0; i < DMP_ARRAY_SIZE(row); i++) {
		bit = dmp_choose_trap_bit(&row[i].host);
		if (bit != (row[i].bit < 0 ? 0 : 1ull << row[i].bit))
			fail_msg("%s: bit %#llx", row[i].cpu, (unsigned long long)bit);
	}
	/* Of all there could be: reserved, no key, an address bit of entries. */
	for (i = 0; i < 64 * 64 * 64; i++)
	for (keys = 0; keys < 2; keys++) {
		host = (struct dmp_host_cpu){ i % 64, keys, i / 64 % 64, i / 4096 };
		bit = dmp_choose_trap_bit(&host);
		if (!bit)
			continue;
		assert_true(!(bit & (bit - 1)) && bit >> 12 && !(bit >> 52));
		assert_true(!keys || bit != 1ull << host.key_bit);
		assert_true(host.phys_bits <= host.bits_taken ||
			    bit >> (host.phys_bits - host.bits_taken));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_rsvd),
		cmocka_unit_test(test_translate),
		cmocka_unit_test(test_wants_ad),
		cmocka_unit_test(test_perm),
		cmocka_unit_test(test_error_code),
		cmocka_unit_test(test_traps),
		cmocka_unit_test(test_trap_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
