// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent lets go of roots that are not loaded and have lost user space: when it
 * does, when it does not, and stopped at each of its changes.
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
#include "mmu/record.h"

#define USER	7	/* where they have user space */

static u64 root[2], other, below;
static unsigned int roots;

static void load(u64 gfn)
{
	m_load_cr3(&guest->m, gfn, 0, false);
}

static bool is_held(void)
{
	assert_int_equal(m_is_held(&guest->m, root[0]),
			 m_is_held(&guest->m, root[roots - 1]));
	return m_is_held(&guest->m, root[0]);
}

static bool is_target(u64 gfn)
{
	const struct dmp_implant *implant = guest->m.splicer->implant;
	unsigned int i;

	for (i = 0; i < DMP_TARGETS_MAX; i++)
		if (implant->target[i].machine &&
		    !(implant->target[i].minus_cr3 + (gfn << DMP_PAGE_SHIFT)))
			return true;
	return false;
}

/* Of a process, and one of another. Of two the second is user mode's. */
static void begin(struct text *t, unsigned int levels, unsigned int n)
{
	u64 table[3];

	/* A seed with which they are targets: no machine root has a number that RAM has. */
	agent_begin(t, 4, levels, table, &below);
	guest->m.splicer->targets = DMP_TARGETS_MAX;
	roots = n;
	other = g_current(guest)->root;
	root[0] = c_another_root();
	if (n > 1)
		c_roots_side_by_side(root);
}

/*
 * User space at @index, of all of them, by table @child; and all are loaded once: known
 * to stubs, and a pair.
 */
static void give(unsigned int index, u64 child)
{
	unsigned int i;

	load(root[0]);
	for (i = 0; i < roots; i++)
		g_stub_set(guest, root[i], index, agent_link(child));
	for (i = 0; i <= roots; i++)
		load(root[i % roots]);
}

/* As when a process ends: user mode's root first, with another one loaded. */
static void take_all_but_one(void)
{
	load(other);
	if (roots > 1)
		agent_store(root[1], USER, 0, false);
	assert_true(is_held());
}

static void test_last(void **state)
{
	unsigned int levels, n;
	struct text t;

	(void)state;
	for (levels = 4; levels <= 5; levels++)
		for (n = 1; n <= 2; n++) {
			begin(&t, levels, n);
			give(USER, below);
			take_all_but_one();
			assert_true(is_target(root[0]) && is_target(root[n - 1]));
			agent_store(root[0], USER, 0, false);
			assert_false(is_held());
			assert_false(is_target(root[0]) || is_target(root[n - 1]));
			c_check(&guest->m);
			/* Nobody sees this, until it is loaded. */
			g_entry_set(guest, root[0], 40,
				    agent_link(g_frame_alloc(guest, G_TABLE)));
			assert_false(m_is_held(&guest->m, root[0]));
			load(root[0]);
			assert_true(m_is_held(&guest->m, root[0]));
			g_touch(guest, g_gva_of(guest, 40, 0, 0, 0, 7), DMP_ACCESS_USER);
			c_check(&guest->m);
			c_end();
		}
}

/* It has user space elsewhere; it is loaded; so is the other of two. */
static void test_not_last(void **state)
{
	unsigned int n, index, i;
	struct text t;

	(void)state;
	for (n = 1; n <= 2; n++) {
		begin(&t, 4, n);
		for (index = 0; index < DMP_ENTRIES / 2; index += 51) {
			give(USER, below);
			/* Not by the same table: one that has two links is not unlinked. */
			give(index, g_frame_alloc(guest, G_TABLE));
			take_all_but_one();
			agent_store(root[0], USER, 0, false);
			assert_true(is_held());
			for (i = n; i-- > 0;)
				g_stub_set(guest, root[i], index, 0);
			assert_false(is_held());
			c_check(&guest->m);
		}
		for (i = 0; i < n; i++) {
			give(USER, below);
			take_all_but_one();
			load(root[i]);
			agent_store(root[0], USER, 0, false);
			assert_true(is_held());
			c_check(&guest->m);
		}
		c_end();
	}
}

/* Of two the other was dropped for want of room: its record says nothing, it has no page. */
static void test_twin_gone(void **state)
{
	struct dmp_mmu *mmu;
	struct text t;

	(void)state;
	begin(&t, 4, 2);
	mmu = guest->m.mmu;
	give(USER, below);
	take_all_but_one();
	mmu->roots_max = mmu->roots;
	while (dmp_table_find(mmu, root[1], 4))
		load(c_another_root());
	assert_true(m_is_held(&guest->m, root[0]));
	agent_store(root[0], USER, 0, false);
	assert_false(m_is_held(&guest->m, root[0]));
	c_check(&guest->m);
	c_end();
}

/* The record of its frame says more than that one root is there: the VMM does it. */
static void test_asks(void **state)
{
	struct dmp_frame *frame;
	struct text t;

	(void)state;
	begin(&t, 4, 1);
	give(USER, below);
	load(other);
	frame = dmp_frame_find(guest->m.mmu, root[0]);
	frame->aliased = 1;
	agent_store(root[0], USER, 0, true);
	assert_false(is_held());
	c_check(&guest->m);
	c_end();
}

/* Everything as if the agent had not been there, wherever it stops. */
static void test_stops(void **state)
{
	struct machine *m;
	unsigned int i, n;
	u64 stops;
	struct text t;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin(&t, 4, 1 + i / 2);
		m = &guest->m;
		for (n = 1;; n++) {
			give(USER, below);
			take_all_but_one();
			stops = m->agent_stops + m->agent_asks;
			m->agent_stop = i % 2 ? 0 : n;
			m->agent_room = i % 2 ? n : 0;
			g_stub_set(guest, root[0], USER, 0);
			m->agent_stop = 0;
			m->agent_room = 0;
			m_flush_all(m);
			assert_false(is_held());
			c_check(m);
			m_check_machine(m);
			if (m->agent_stops + m->agent_asks == stops)
				break;
			assert_true(n < 200);
		}
		printf("  %u roots: %s at each of %u\n", roots,
		       i % 2 ? "log full" : "stopped", n - 1);
		assert_true(n > (i % 2 ? 10 : 20));
		c_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_not_last),
		cmocka_unit_test(test_twin_gone),
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_stops),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
