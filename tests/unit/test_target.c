// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roots that the guest loads by itself: which are named, when they go, what the
 * engine makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "guest_parts.h"
#include "splicer_case.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "splicer/target.h"

static const struct dmp_cr3_target *shown(u64 gfn)
{
	const struct dmp_implant *implant = guest->m.splicer->implant;
	u64 minus = 0 - (gfn << DMP_PAGE_SHIFT);
	unsigned int i;

	for (i = 0; i < DMP_TARGETS_MAX; i++)
		if (implant->target[i].machine && implant->target[i].minus_cr3 == minus)
			return &implant->target[i];
	return NULL;
}

/* Frames may be those of guest RAM by chance: such a root is not named. */
static bool may_be_named(u64 gfn)
{
	struct machine *m = &guest->m;

	return !dmp_slot_find(m->mmu, dmp_table_find(m->mmu, gfn,
						     m->mmu->paging.levels)->hfn);
}

static void begin(struct text *t, unsigned int targets)
{
	c_begin(t, 5, 4);	/* none so far */
	guest->m.splicer->targets = targets;
}

/* Load @n new roots after one another. */
static void load(u64 *root, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		root[i] = c_another_root();
		m_load_cr3(&guest->m, root[i], 0, false);
	}
}

static void test_none(void **state)
{
	struct text t;
	u64 root[2];

	(void)state;
	begin(&t, 0);
	load(root, 2);
	assert_null(shown(root[0]));
	assert_null(shown(root[1]));
	assert_int_equal(guest->m.splicer->targets_version, 0);
	c_end();
}

static void test_last_ones(void **state)
{
	unsigned int i, named = 0;
	u64 root[12];
	struct text t;

	(void)state;
	begin(&t, 3);
	load(root, 12);
	for (i = 12; i--;) {
		if (!may_be_named(root[i]))
			assert_null(shown(root[i]));
		else if (named++ < 3)
			assert_non_null(shown(root[i]));
		else
			assert_null(shown(root[i]));
	}
	assert_true(named > 3);
	assert_int_equal(guest->m.splicer->targets_used, 3);
	c_check(&guest->m);
	c_end();
}

/* Of the named ones, the last but one. */
static u64 named_before(const u64 *root, unsigned int n)
{
	while (n--)
		if (shown(root[n]) && root[n] != guest->m.cr3_gfn)
			return root[n];
	fail_msg("none is named");
	return 0;
}

static void test_follow(void **state)
{
	const struct dmp_cr3_target *target;
	struct machine *m;
	u64 root[8], to;
	struct text t;

	(void)state;
	begin(&t, 4);
	m = &guest->m;
	load(root, 8);
	to = named_before(root, 8);
	target = shown(to);
	m_load_cr3(m, to, 0, false);
	assert_int_equal(m->targets, 1);
	assert_int_equal(m->mmu->loaded->gfn, to);
	assert_int_equal(m->splicer->implant->root, target->root);
	assert_int_equal(target->machine & ~DMP_PTE_ADDR, DMP_CR3_PWT);
	c_check(m);
	c_end();
}

/* Load new roots with user space until one of them is named; that. */
static u64 load_with_user(void)
{
	unsigned int i;
	u64 root;

	for (i = 0; i < 12; i++) {
		root = c_another_root();
		g_entry_set(guest, root, 40, g_frame_alloc(guest, G_TABLE) << 12 |
			    DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_A);
		m_load_cr3(&guest->m, root, 0, false);
		if (shown(root))
			return root;
	}
	fail_msg("none is named");
	return 0;
}

/*
 * Roots without user space take no place of those that have it, and give theirs up; one
 * whose process has ended does so, too.
 */
static void test_user_first(void **state)
{
	u64 root[3], plain[12], other, named;
	struct text t;
	unsigned int i;

	(void)state;
	begin(&t, 3);
	for (i = 0; i < 2; i++)
		root[i] = load_with_user();
	load(plain, 12);
	named = named_before(plain, 12);
	root[2] = load_with_user();
	assert_null(shown(named));
	load(plain, 12);
	for (i = 0; i < 12; i++)
		assert_null(shown(plain[i]));
	for (i = 0; i < 3; i++)
		assert_non_null(shown(root[i]));
	m_load_cr3(&guest->m, root[2], 0, false);
	g_entry_set(guest, root[2], 40, 0);
	m_load_cr3(&guest->m, root[1], 0, false);
	assert_null(shown(root[2]));
	other = load_with_user();
	assert_non_null(shown(root[0]));
	assert_non_null(shown(root[1]));
	assert_non_null(shown(other));
	c_check(&guest->m);
	c_end();
}

/* A process has ended, and its root is left by a load that does not exit: none any more. */
static void test_left_by_itself(void **state)
{
	struct machine *m;
	unsigned int before;
	u64 stays, ended;
	struct text t;

	(void)state;
	begin(&t, 4);
	m = &guest->m;
	stays = load_with_user();
	ended = load_with_user();
	g_entry_set(guest, ended, 40, 0);
	m_flush_all(m);
	before = m->targets;
	m_load_cr3(m, stays, 0, false);
	assert_int_equal(m->targets - before, 1);
	/* Any exit. */
	g_entry_set(guest, stays, 41, g_frame_alloc(guest, G_TABLE) << 12 |
		    DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_A);
	c_check(m);
	assert_null(shown(ended));
	assert_false(m_is_held(m, ended));
	assert_true(m_is_held(m, stays));
	c_end();
}

/* Written when it is not loaded, by the kernel: at once it is no target. */
static void test_let_go(void **state)
{
	u64 root[8], gone;
	u32 version;
	struct text t;

	(void)state;
	begin(&t, 4);
	load(root, 8);
	gone = named_before(root, 8);
	version = guest->m.splicer->targets_version;
	assert_false(dmp_mmu_is_live_table(guest->m.mmu, gone));
	assert_null(shown(gone));
	assert_int_not_equal(guest->m.splicer->targets_version, version);
	c_end();
}

/*
 * Two roots of one user space, let go of and loaded anew: the second comes back with the
 * first, and is named before it is loaded. Not where their user space is not one.
 */
static void test_twin(void **state)
{
	u64 root[2], other, link[2];
	struct machine *m;
	unsigned int i, differ;
	struct text t;

	(void)state;
	for (differ = 0; differ < 2; differ++) {
		begin(&t, 4);
		m = &guest->m;
		other = g_current(guest)->root;
		c_roots_side_by_side(root);
		for (i = 0; i < 2; i++)
			link[i] = g_frame_alloc(guest, G_TABLE) << 12 | P | RW | US | A;
		for (i = 0; i < 2; i++)
			g_entry_set(guest, root[i], 40, link[0]);
		for (i = 0; i < 3; i++)
			m_load_cr3(m, root[i % 2], 0, false);
		m_load_cr3(m, other, 0, false);
		for (i = 2; i-- > 0;)
			g_entry_set(guest, root[i], 40, 0);
		m_flush_all(m);
		assert_false(m_is_held(m, root[0]) || m_is_held(m, root[1]));
		for (i = 0; i < 2; i++)
			g_entry_set(guest, root[i], 40, link[differ ? i : 0]);
		m_load_cr3(m, root[0], 0, false);
		c_check(m);
		assert_int_equal(m_is_held(m, root[1]), !differ);
		if (may_be_named(root[1]))
			assert_int_equal(!!shown(root[1]), !differ);
		m_load_cr3(m, root[1], 0, false);
		c_check(m);
		c_end();
	}
}

/* A value that was a target is none when the space has grown. */
static void test_grown(void **state)
{
	u64 root[8], other;
	struct text t;

	(void)state;
	begin(&t, 4);
	load(root, 8);
	other = named_before(root, 8);
	guest->m.splicer->space.grown = true;
	dmp_target_settle(guest->m.mmu);
	assert_int_equal(guest->m.splicer->targets_used, 0);
	m_load_cr3(&guest->m, other, 0, false);
	assert_non_null(shown(other));
	assert_int_equal(guest->m.splicer->targets_used, 1);
	c_check(&guest->m);
	c_end();
}

/* What the filter raises may be of any; what it has not raised is of none. */
static void test_lazy(void **state)
{
	struct dmp_implant *implant;
	struct dmp_splicer *s;
	u64 root[8];
	struct text t;
	u32 i;

	(void)state;
	begin(&t, 4);
	load(root, 8);
	s = guest->m.splicer;
	implant = s->implant;
	for (i = 0; i < s->targets_used; i++)
		assert_false(s->target[i].root->lazy_d);
	assert_int_equal(implant->state & (DMP_IMPLANT_LAZY_D | DMP_IMPLANT_LAZY_ANY), 0);
	s->target[0].root->lazy_d = true;
	dmp_target_settle(guest->m.mmu);
	assert_true(implant->state & DMP_IMPLANT_LAZY_ANY);
	assert_false(s->target[1].root->lazy_d);
	implant->state |= DMP_IMPLANT_LAZY_D;
	dmp_target_settle(guest->m.mmu);
	for (i = 0; i < s->targets_used; i++)
		assert_true(s->target[i].root->lazy_d);
	assert_false(implant->state & DMP_IMPLANT_LAZY_D);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_last_ones),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_user_first),
		cmocka_unit_test(test_left_by_itself),
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_twin),
		cmocka_unit_test(test_grown),
		cmocka_unit_test(test_lazy),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
