// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roots that user mode can run on show nothing of the private region, on hosts whose
 * CPU would let it read that: when it comes and goes, where filter and agent do their
 * work then, and which guests it is too late for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "agent_case.h"
#include "guest_parts.h"
#include "model_parts.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "mmu/settle.h"
#include "splicer/hidden.h"
#include "splicer/leave.h"
#include "splicer/site_trap.h"
#include "splicer/start.h"
#include "splicer/target.h"

#define USER_TOP	7u	/* an entry that the guest leaves alone */

static struct dmp_implant *implant(void)
{
	return guest->m.splicer->implant;
}

/* Spliced on a host that hides it, with so many CR3 targets. */
static void begin(struct text *t, unsigned int levels, unsigned int targets)
{
	c_begin(t, 5, levels);
	m_disengage(&guest->m);
	guest->m.guarded = true;
	guest->m.target_count = targets;
	c_engage(t);
}

/* A root with what makes user mode run on it, or without; a level below it. */
static u64 make_root(bool user)
{
	u64 root = c_another_root(), below = g_frame_alloc(guest, G_TABLE);

	g_entry_set(guest, root, USER_TOP,
		    agent_link(below) | (user ? 0 : DMP_PTE_NX));
	return root;
}

static void load(u64 root)
{
	m_load_cr3(&guest->m, root, 0, false);
	m_check_space(&guest->m);
	c_check(&guest->m);
}

static bool is_hidden(void)
{
	m_check_hidden(&guest->m);
	return implant()->private;
}

static void test_hidden(void **state)
{
	unsigned int levels;
	u64 user, kernel;
	struct text t;

	(void)state;
	for (levels = 4; levels <= 5; levels++) {
		begin(&t, levels, 0);
		user = make_root(true);
		kernel = make_root(false);
		load(user);
		assert_true(is_hidden());
		assert_true(implant()->private == DMP_PRIVATE_NOWHERE);
		assert_int_equal(m_machine_leaf(&guest->m, implant()->window + 4096), 0);
		assert_int_equal(m_machine_leaf(&guest->m, implant()->frames), 0);
		load(kernel);
		assert_false(is_hidden());
		load(user);
		assert_true(is_hidden());
		c_end();
	}
}

/* On other hosts it is in all of them. */
static void test_shown(void **state)
{
	struct text t;

	(void)state;
	c_begin(&t, 5, 4);
	load(make_root(true));
	assert_false(is_hidden());
	c_end();
}

/* While the root is loaded, and its translations are in the TLB. */
static void test_changes(void **state)
{
	struct machine *m;
	u64 root, entry, gva, flushes;
	struct text t;

	(void)state;
	begin(&t, 4, 0);
	m = &guest->m;
	root = make_root(false);
	entry = agent_link(g_frame_alloc(guest, G_TABLE));
	load(root);
	gva = implant()->window + (m->cr3_hfn << DMP_PAGE_SHIFT);
	assert_int_not_equal(m_machine_leaf(m, gva), 0);
	g_entry_set(guest, root, USER_TOP + 1, entry);
	assert_true(is_hidden());
	assert_int_equal(m_machine_leaf(m, gva), 0);
	c_check(m);
	/* Executable whether it was accessed or not. */
	g_entry_set(guest, root, USER_TOP + 1, entry & ~DMP_PTE_A);
	assert_true(is_hidden());
	g_entry_set(guest, root, USER_TOP + 1, entry | DMP_PTE_NX);
	assert_false(is_hidden());
	g_entry_set(guest, root, USER_TOP + 1, entry & ~DMP_PTE_US);
	assert_false(is_hidden());
	/* The TLB may have it yet. */
	g_entry_set(guest, root, USER_TOP + 1, entry | DMP_PTE_NX);
	flushes = m->mmu->stats.flushes;
	g_entry_set(guest, root, USER_TOP + 1, entry);
	assert_true(is_hidden());
	assert_true(m->mmu->stats.flushes > flushes);
	g_entry_set(guest, root, USER_TOP + 1, 0);
	assert_false(is_hidden());
	assert_int_not_equal(m_machine_leaf(m, gva), 0);
	c_check(m);
	c_end();
}

/* Let go of, and written meanwhile: what it was says nothing. */
static void test_returns(void **state)
{
	u64 root, other;
	struct machine *m;
	struct text t;

	(void)state;
	begin(&t, 4, 0);
	m = &guest->m;
	root = make_root(true);
	other = make_root(false);
	load(root);
	load(other);
	assert_false(dmp_mmu_is_live_table(m->mmu, root));
	g_entry_set(guest, root, USER_TOP, 0);
	load(root);
	assert_false(is_hidden());
	load(other);
	assert_false(dmp_mmu_is_live_table(m->mmu, root));
	g_entry_set(guest, root, USER_TOP, agent_link(g_frame_alloc(guest, G_TABLE)));
	load(root);
	assert_true(is_hidden());
	c_end();
}

/* Of a pair the user's half is written while the kernel's is loaded, and stays. */
static void test_pair(void **state)
{
	u64 root[2], link;
	struct text t;
	unsigned int i, k;

	(void)state;
	for (k = 0; k <= 4; k += 4) {
		begin(&t, 4, k);
		c_roots_side_by_side(root);
		link = agent_link(g_frame_alloc(guest, G_TABLE));
		g_entry_set(guest, root[0], USER_TOP, link | DMP_PTE_NX);
		g_entry_set(guest, root[1], USER_TOP, link);
		for (i = 0; i < 4; i++) {
			load(root[i % 2]);
			assert_int_equal(is_hidden(), i % 2);
		}
		load(root[0]);
		g_entry_set(guest, root[1], USER_TOP, 0);
		assert_true(m_is_held(&guest->m, root[1]));
		g_entry_set(guest, root[0], USER_TOP, 0);
		c_check(&guest->m);
		load(root[1]);
		assert_false(is_hidden());
		c_end();
	}
}

/* Let go of before there was an implant, and as it was when it comes back. */
static void test_older(void **state)
{
	u64 root, other;
	struct machine *m;
	struct text t;

	(void)state;
	c_begin(&t, 5, 4);
	m = &guest->m;
	m_disengage(m);
	m->guarded = true;
	m_engage(m);
	root = make_root(true);
	other = make_root(false);
	m_load_cr3(m, root, 0, false);
	m_load_cr3(m, other, 0, false);
	assert_false(dmp_mmu_is_live_table(m->mmu, root));
	assert_int_equal(m_splice(m, t.handler, t.gate), DMP_START_OK);
	load(root);
	assert_true(is_hidden());
	c_end();
}

/* The agent makes no link by which user mode can run where it could not. */
static void test_agent(void **state)
{
	u64 table[3], gfn, root, code, data;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	root = g_current(guest)->root;
	m->guarded = true;
	m->splicer->guarded = true;
	dmp_space_look(m->mmu, dmp_table_find(m->mmu, root, 4));
	dmp_mmu_settle(m->mmu);
	assert_true(is_hidden());
	code = agent_link(gfn);
	data = code | DMP_PTE_NX;
	/* Stubs know the root. */
	g_stub_set(guest, root, 60, 0);
	g_stub_set(guest, root, 60, 0);
	agent_store(root, 60, code, false);
	agent_store(root, 60, 0, false);
	agent_store(root, 60, data, false);
	agent_store(root, 60, 0, false);
	c_check(m);
	c_end();
}

/* The agent takes away the last of user mode's code: it is hidden until the VMM looks. */
static void test_late(void **state)
{
	u64 table[3], gfn, root;
	struct machine *m;
	struct text t;

	(void)state;
	agent_begin(&t, 2, 4, table, &gfn);
	m = &guest->m;
	m->guarded = true;
	m->splicer->guarded = true;
	dmp_space_look(m->mmu, dmp_table_find(m->mmu, g_current(guest)->root, 4));
	root = c_another_root();
	load(root);
	g_stub_set(guest, root, 60, 0);
	g_stub_set(guest, root, 60, 0);
	assert_false(is_hidden());
	agent_store(root, 60, agent_link(gfn), true);
	assert_true(is_hidden());
	agent_store(root, 60, 0, false);
	assert_true(is_hidden());
	c_check(m);
	dmp_space_look(m->mmu, dmp_table_find(m->mmu, root, 4));
	dmp_mmu_settle(m->mmu);
	assert_false(is_hidden());
	c_check(m);
	c_end();
}

/* Where filter and agent work: on a root in the list that shows it, or nowhere. */
static void test_elsewhere(void **state)
{
	const struct dmp_target *target;
	u64 user[2], kernel[2];
	struct machine *m;
	struct text t;
	unsigned int i, seen = 0;
	u32 k;

	(void)state;
	begin(&t, 4, 4);
	m = &guest->m;
	for (i = 0; i < 2; i++) {
		user[i] = make_root(true);
		kernel[i] = make_root(false);
	}
	for (i = 0; i < 8; i++) {
		load(kernel[i / 2 % 2]);
		assert_false(is_hidden());
		assert_int_equal(implant()->private, 0);
		load(user[i / 2 % 2]);
		assert_true(is_hidden());
		for (k = 0; k < m->splicer->targets_used; k++) {
			target = &m->splicer->target[k];
			if (dmp_target_value(target) != implant()->private)
				continue;
			seen++;
			assert_true(target->gfn == kernel[0] || target->gfn == kernel[1]);
			assert_int_equal(implant()->here, m->cr3_hfn << DMP_PAGE_SHIFT |
					 DMP_CR3_PWT);
		}
	}
	/* A frame that is RAM of the guest's by its number is none. */
	assert_true(seen > 0);
	/* No root is in the list: there is no way back. */
	assert_true(implant()->private != DMP_PRIVATE_NOWHERE);
	m->mmu->splicer->space.grown = true;
	dmp_target_settle(m->mmu);
	assert_int_equal(m->splicer->targets_used, 0);
	assert_true(implant()->private == DMP_PRIVATE_NOWHERE);
	for (i = 0; i < 4; i++)
		load(i % 2 ? user[i / 2] : kernel[i / 2]);
	/* Those that show it are let go of: nothing is left to go to. */
	k = 0;
	while (k < m->splicer->targets_used) {
		target = &m->splicer->target[k];
		if (target->gfn == user[0] || target->gfn == user[1])
			k++;
		else
			assert_false(dmp_mmu_is_live_table(m->mmu, target->gfn));
	}
	dmp_target_settle(m->mmu);
	assert_true(implant()->private == DMP_PRIVATE_NOWHERE);
	c_end();
}

/* A kernel that writes tables with user mode's root loaded is no kernel for this. */
static void test_exposed(void **state)
{
	struct machine *m;
	struct text t;
	u64 rip;

	(void)state;
	begin(&t, 4, 0);
	m = &guest->m;
	rip = g_site(&t, 1, TEXT_MOV);
	load(make_root(false));
	dmp_site_trap(m->mmu, rip, 0, 0);
	assert_int_equal(m->mmu->broken, DMP_BROKEN_NOT);
	assert_true(dmp_splicer_is_exposed(m->splicer, m->splicer->filter_gva,
					   implant()->window));
	assert_true(dmp_splicer_is_exposed(m->splicer, m->splicer->filter_gva,
					   implant()->agent.tables));
	assert_false(dmp_splicer_is_exposed(m->splicer, rip, implant()->window));
	assert_false(dmp_splicer_is_exposed(m->splicer, m->splicer->filter_gva, rip));
	load(make_root(true));
	m->may_break = 1u << DMP_BROKEN_EXPOSED;
	m->in_engine = true;
	dmp_site_trap(m->mmu, rip, 0, 0);
	m_after_call(m);
	c_expect_broken(DMP_BROKEN_EXPOSED);
	c_end();
}

/* A vCPU that leaves tells the VMM to load its root again, once. */
static void test_leave(void **state)
{
	struct dmp_filter_regs regs = { 0 };
	struct dmp_left left;
	struct text t;

	(void)state;
	begin(&t, 4, 0);
	regs.rip = guest->m.splicer->filter_gva;
	implant()->away = 1;
	dmp_splicer_leave(guest->m.splicer, &regs, false, &left);
	assert_true(left.away);
	dmp_splicer_leave(guest->m.splicer, &regs, false, &left);
	assert_false(left.away);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_exposed),
		cmocka_unit_test(test_leave),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
