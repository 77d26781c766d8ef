// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sites that read and write CR3: when they are replaced, runs of them, and what
 * the VMM knows of their hypercalls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "model_parts.h"
#include "splicer_case.h"
#include "mmu/machine.h"
#include "splicer/leave.h"
#include "splicer/site.h"
#include "splicer/site_names.h"

/* The hypercall in @site's stub that stands for the instruction at @rip. */
static u64 call_of(const struct dmp_site *site, u64 rip)
{
	const struct dmp_stub *stub = &site->stub;
	unsigned int i;

	for (i = 0; i < stub->plan.count; i++)
		if (site->rip + stub->plan.insn[i].offset == rip)
			return stub->gva + stub->call[i];
	return 0;
}

static void assert_call(const struct dmp_site *site, u64 rip, u8 reg)
{
	const struct dmp_splicer *splicer = guest->m.splicer;
	const struct dmp_cr3_call *call;

	call = dmp_splicer_cr3_call(splicer, call_of(site, rip));
	assert_non_null(call);
	assert_int_equal(call->home, rip);
	assert_int_equal(call->reg, reg);
	assert_null(dmp_splicer_cr3_call(splicer, call->rip + 1));
	assert_null(dmp_splicer_cr3_call(splicer, call->rip + DMP_STUB_HYPERCALL));
}

/* A run: @read is spliced, @write a part of it. */
static void assert_run(const struct dmp_site *read, const struct dmp_site *write)
{
	assert_int_equal(read->state, DMP_SITE_SPLICED);
	assert_int_equal(write->state, DMP_SITE_COVERED);
	c_check(&guest->m);
}

static void test_single(void **state)
{
	struct dmp_site *site;
	struct text t;
	u64 rip;

	(void)state;
	c_begin(&t, 3, 4);
	rip = g_site(&t, 1, TEXT_CR3);
	site = c_trap_cr3(rip, 1);
	assert_int_equal(site->state, DMP_SITE_COUNTING);
	c_trap_cr3(rip, 1);
	assert_int_equal(site->state, DMP_SITE_SPLICED);
	assert_int_equal(dmp_site_tactic(site), DMP_TACTIC_DISPLACED);
	assert_int_equal(site->form, DMP_FORM_MOV_TO_CR);
	assert_call(site, rip, DMP_REG_RDI);
	c_check(&guest->m);
	/* The others leave it where it is. */
	c_trap_cr3(g_site(&t, 2, TEXT_CR3), 2);
	c_trap_cr3(g_site(&t, 3, TEXT_CR3), 2);
	c_trap_cr3(g_site(&t, 2, TEXT_FLUSH), 2);
	assert_call(site, rip, DMP_REG_RDI);
	assert_call(c_site_of(&guest->m, g_site(&t, 2, TEXT_CR3)),
		    g_site(&t, 2, TEXT_CR3), DMP_REG_RDI);
	assert_call(c_site_of(&guest->m, g_site(&t, 2, TEXT_FLUSH)),
		    g_site(&t, 2, TEXT_FLUSH) + 3, DMP_REG_RAX);
	/* User mode has none, and other registers are not ours. */
	assert_null(c_trap_cr3(0x401000, 5));
	c_end();
}

static void test_run(void **state)
{
	struct dmp_site *read, *write;
	struct text t;
	u64 rip;

	(void)state;
	c_begin(&t, 4, 5);
	rip = g_site(&t, 2, TEXT_FLUSH);
	read = c_trap_cr3(rip, 1);
	write = c_trap_cr3(rip + 3, 1);
	assert_int_equal(write->state, DMP_SITE_COUNTING);
	c_trap_cr3(rip, 1);
	assert_run(read, write);
	assert_int_equal(read->form, DMP_FORM_MOV_FROM_CR);
	assert_call(read, rip + 3, DMP_REG_RAX);
	/* The exit that comes late changes nothing. */
	c_trap_cr3(rip + 3, 3);
	assert_int_equal(write->state, DMP_SITE_COVERED);

	dmp_site_undo(guest->m.mmu, read, DMP_SITE_OK);
	assert_int_equal(write->state, DMP_SITE_COUNTING);
	c_trap_cr3(rip, 4);
	assert_run(read, write);
	c_end();
}

/* The second of a run is the first that is due. */
static void test_run_from_behind(void **state)
{
	struct dmp_site *read, *write;
	struct text t;
	u64 rip;

	(void)state;
	c_begin(&t, 5, 4);
	rip = g_site(&t, 3, TEXT_FLUSH);
	write = c_trap_cr3(rip + 3, 1);
	read = c_trap_cr3(rip, 1);
	c_trap_cr3(rip + 3, 1);
	assert_run(read, write);
	/* Alone, where nobody knows of what is before it. */
	rip = g_site(&t, 2, TEXT_FLUSH);
	write = c_trap_cr3(rip + 3, 2);
	assert_int_equal(write->state, DMP_SITE_SPLICED);
	read = c_trap_cr3(rip, 2);
	assert_string_equal(dmp_site_refusal_name(read), "overlaps");
	c_check(&guest->m);
	c_end();
}

/* The quick way, to @gfn; as the host does it. */
static bool try_switch(u64 gfn)
{
	struct machine *m = &guest->m;
	u64 hfn;

	m->in_engine = true;
	hfn = dmp_mmu_switch_root(m->mmu, gfn);
	if (hfn) {
		m->cr3_gfn = gfn;
		m->cr3_hfn = hfn;
		m->splicer->implant->guest_cr3 = gfn << DMP_PAGE_SHIFT;
	}
	m_after_call(m);
	m_flush_all(m);
	return hfn;
}

static void test_switch(void **state)
{
	struct machine *m;
	struct text t;
	u64 first, second;

	(void)state;
	c_begin(&t, 6, 4);
	m = &guest->m;
	first = m->cr3_gfn;
	second = c_another_root();
	assert_false(try_switch(second));
	assert_false(try_switch(second + DMP_ROOT_HASH));
	m_load_cr3(m, second, 0, false);
	m_load_cr3(m, first, 0, false);

	m->splicer->implant->walk_tag = 1;
	assert_true(try_switch(second));
	assert_true(m->splicer->implant->walk_tag != 1);
	c_check(m);
	assert_true(try_switch(first));
	c_check(m);
	/* Written when it is not loaded, it has to be looked through. */
	g_entry_set(guest, second, 3, 0);
	assert_false(try_switch(second));
	m_load_cr3(m, second, 0, false);
	assert_true(try_switch(first));
	/* What needs the implant, or what stubs know, brought up to date. */
	m->splicer->unsettled = true;
	assert_false(try_switch(second));
	m->splicer->unsettled = false;
	m->mmu->splicer->space.grown = true;
	assert_false(try_switch(second));
	m_load_cr3(m, second, 0, false);
	assert_false(try_switch(first));
	m_load_cr3(m, first, 0, false);
	assert_true(try_switch(second));
	c_check(m);
	c_end();
}

/* However many there are: some have one hash, and each is found at once. */
static void test_switch_many(void **state)
{
	u64 root[DMP_ROOT_HASH + 10];
	struct machine *m;
	struct text t;
	unsigned int i, turn;

	(void)state;
	c_begin(&t, 7, 5);
	m = &guest->m;
	m->mmu->roots_max = DMP_ARRAY_SIZE(root) + 40;
	for (i = 0; i < DMP_ARRAY_SIZE(root); i++) {
		root[i] = c_another_root();
		m_load_cr3(m, root[i], 0, false);
	}
	for (turn = 0; turn < 2; turn++)
		for (i = 0; i < DMP_ARRAY_SIZE(root); i++)
			assert_true(try_switch(root[i]));
	/* Those built last make way first. */
	for (i = DMP_ARRAY_SIZE(root); i-- > 0;)
		assert_true(try_switch(root[i]));
	for (i = DMP_ARRAY_SIZE(root); i < m->mmu->roots_max + 10; i++)
		m_load_cr3(m, c_another_root(), 0, false);
	c_check(m);
	assert_true(try_switch(root[0]));
	assert_false(try_switch(root[DMP_ARRAY_SIZE(root) - 1]));
	c_check(m);
	c_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_run_from_behind),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_switch_many),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
