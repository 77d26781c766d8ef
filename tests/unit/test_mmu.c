// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random histories of guests on machine tables, each step checked against a
 * plain MMU and audited. DMP_SEED and DMP_STEPS replay one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "mmu/machine.h"
#include "mmu/record.h"

static u64 env(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static struct guest *volatile guest;	/* for the leak check, on failure */

static struct guest *guest_new(u64 seed, unsigned int levels)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	assert_non_null(g);
	g_boot(g, seed, levels);
	return g;
}

static void guest_end(struct guest *g)
{
	g_shutdown(g);
	free(g);
}

static void check_all(struct guest *g, unsigned int every)
{
	m_audit(&g->m);
	if (every && g->m.step % every == 0) {
		m_check_machine(&g->m);
		m_check_memory(&g->m);
	}
}

static void report(const struct guest *g, unsigned int levels)
{
	const struct dmp_mmu_stats *s = &g->m.mmu->stats;

	printf("  seed %llu, %u levels: %llu steps, %llu accesses, %llu TLB hits, faults guest %llu resolved %llu table %llu device %llu, races %llu; tables %u roots %u evictions %llu stale %llu alias searches %llu repaired %llu\n",
	       g->m.seed, levels, g->m.step, g->m.accesses, g->m.hits,
	       g->m.faults[DMP_FAULT_GUEST], g->m.faults[DMP_FAULT_RESOLVED],
	       g->m.faults[DMP_FAULT_TABLE], g->m.faults[DMP_FAULT_EMULATE],
	       g->m.races, g->m.mmu->tables, g->m.mmu->roots, s->root_evictions,
	       s->stale_found, s->alias_searches, s->repaired);
}

static void run_history(u64 seed, u64 steps)
{
	unsigned int levels = seed & 1 ? 5 : 4;
	struct guest *g = guest_new(seed, levels);

	m_engage(&g->m);
	m_audit(&g->m);
	while (g->m.step < steps) {
		g_step(g);
		check_all(g, 16);
	}
	report(g, levels);
	m_check_memory(&g->m);
	m_disengage(&g->m);
	guest_end(g);
}

/* More roots than the engine keeps. */
static void test_many_roots(void **state)
{
	struct guest *g = guest_new(env("DMP_SEED", 3), 4);
	unsigned int i;

	(void)state;
	m_engage(&g->m);
	g->m.op = "many roots";
	g_many_roots(g, M_ROOTS + 12);
	m_audit(&g->m);
	for (i = 0; i < 120; i++) {
		g_switch(g);
		if (i % 8 == 0)
			check_all(g, 1);
	}
	assert_true(g->m.mmu->stats.root_evictions > 12);
	m_disengage(&g->m);
	guest_end(g);
}

/*
 * The kernel maps a page a second time, for a while, at an index that is by
 * chance the direct mapping's: a search finds what is left. Not one each time
 * that the page is a table.
 */
static void test_mapped_for_a_while(void **state)
{
	struct guest *g = guest_new(env("DMP_SEED", 8), 4);
	u64 kernel = g_frame_alloc(g, G_TABLE), frame = g_frame_alloc(g, G_TABLE);
	u64 data = g_frame_alloc(g, G_DATA), l2, searches, gva;
	unsigned int i;

	(void)state;
	g_entry_set(g, g->vmalloc_l2, 20, kernel << 12 | P | RW | A);
	m_engage(&g->m);
	g->m.op = "mapped for a while";
	gva = g_gva_of(g, 0, 0, 0, 7, 0);
	l2 = g_place_of(g, g_current(g)->root, gva, 2, true).table;
	g_entry_set(g, kernel, frame & 511, frame << 12 | P | RW | A | D);
	g_entry_set(g, kernel, frame & 511, 0);
	m_flush_all(&g->m);
	searches = g->m.mmu->stats.alias_searches;
	for (i = 0; i < 8; i++) {
		g_entry_set(g, l2, 7, frame << 12 | P | RW | US | A);
		g_entry_set(g, frame, 5, data << 12 | P | RW | US | A | D);
		g_touch(g, gva + 5 * DMP_PAGE_SIZE, DMP_ACCESS_USER);
		m_audit(&g->m);
		g_entry_set(g, frame, 5, 0);
		g_entry_set(g, l2, 7, 0);
		m_flush_all(&g->m);
		m_audit(&g->m);
	}
	assert_in_range(g->m.mmu->stats.alias_searches - searches, 1, 2);
	m_disengage(&g->m);
	guest_end(g);
}

/* Roots that are kept make way when they, or stale ones, take too many tables. */
static void test_many_tables(void **state)
{
	struct guest *g = guest_new(env("DMP_SEED", 5), 5);
	struct machine *m = &g->m;
	unsigned int i;

	(void)state;
	m_engage(m);
	m->op = "many tables";
	m->mmu->tables_max = (m->mmu->tables + 30) * 4 / 3;
	for (i = 0; i < 60; i++) {
		g_many_roots(g, 1);
		assert_false(m->broken);
		assert_in_range(m->mmu->tables, 1, m->mmu->tables_max * 3 / 4 + 2);
		if (i % 8 == 0)
			check_all(g, 1);
	}
	assert_in_range(m->mmu->stats.root_evictions, 20, 60);
	m_disengage(m);
	guest_end(g);
}

/*
 * Roots that were freed come to user space as its memory, several with one table:
 * each is let go of. Where they are more than are noted, user space's writes to
 * them reach the VMM, which is when the rest is.
 */
static void test_freed_roots(void **state)
{
	struct guest *g = guest_new(env("DMP_SEED", 4), 4);
	u64 table, l2, gva = g_gva_of(g, 0, 0, 0, 7, 0), word = 1, root[12];
	struct machine *m = &g->m;
	unsigned int i, n = 0;
	u32 error;

	(void)state;
	m_engage(m);
	m->op = "freed roots";
	g_many_roots(g, DMP_ARRAY_SIZE(root) + 1);
	for (i = 0; i < G_SPACES && n < DMP_ARRAY_SIZE(root); i++)
		if (g->space[i].used && g->space[i].root != g_current(g)->root &&
		    g->space[i].root != g->kernel_root)
			root[n++] = g->space[i].root;
	assert_int_equal(n, DMP_ARRAY_SIZE(root));
	table = g_frame_alloc(g, G_TABLE);
	l2 = g_place_of(g, g_current(g)->root, gva, 2, true).table;
	for (i = 0; i < n; i++) {
		assert_true(dmp_frame_find(m->mmu, root[i])->held);
		g_entry_set(g, table, i, root[i] << 12 | P | RW | US | A | D);
	}
	m->mmu->loaded->lazy_d = false;
	g_entry_set(g, l2, 7, table << 12 | P | RW | US | A);
	m_flush_all(m);
	/* The tables above may have waited for their A until now. */
	assert_int_equal(m_access(m, gva, DMP_ACCESS_USER, &word, 8, &error), ACCESS_DONE);
	for (i = 0; i < DMP_SUSPECTS; i++)
		assert_false(dmp_frame_find(m->mmu, root[i])->held);
	assert_true(m->mmu->loaded->lazy_d);
	for (i = 0; i < n; i++) {
		assert_int_equal(m_access(m, gva + i * DMP_PAGE_SIZE + 8,
					  DMP_ACCESS_USER | DMP_ACCESS_WRITE, &word,
					  8, &error), ACCESS_DONE);
		assert_false(dmp_frame_find(m->mmu, root[i])->held);
		g_entry_set(g, table, i, 0);
	}
	m_audit(m);
	m_disengage(m);
	guest_end(g);
}

static void test_histories(void **state)
{
	u64 seed = env("DMP_SEED", 0), steps = env("DMP_STEPS", 300);

	(void)state;
	if (seed) {
		run_history(seed, steps);
		return;
	}
	for (seed = 1; seed <= env("DMP_SEEDS", 8); seed++)
		run_history(seed, steps);
}

/*
 * The engine at each of its allocations in turn: engaging fails at the first,
 * the second, ... and each time nothing is left behind.
 */
static void test_engage_without_memory(void **state)
{
	struct guest *g = guest_new(env("DMP_SEED", 6), 4);
	struct machine *m = &g->m;
	u64 k;

	(void)state;
	while (m->step < 150)	/* with no engine: just to have address spaces */
		g_step(g);
	m->op = "engage";
	for (k = 1;; k++) {
		m->allocs = 0;
		m->fail_at = k;
		m_engage(m);
		if (!m->broken)
			break;
		m->step = k;
		if (m->mmu->broken != DMP_BROKEN_NO_MEMORY)
			m_fail(m, "broken: %s", dmp_broken_name(m->mmu->broken));
		m_disengage(m);
	}
	printf("  %llu allocations\n", k - 1);
	assert_true(k > 10);
	m_audit(m);
	m_disengage(m);
	guest_end(g);
}

/* The same anywhere in a history, which goes on without the engine. */
static void test_history_without_memory(void **state)
{
	u64 seed = env("DMP_SEED", 0), steps = env("DMP_STEPS", 300);
	u64 last = seed ? seed : 4, broken = 0;
	struct guest *g;

	(void)state;
	for (seed = seed ? seed : 1; seed <= last; seed++) {
		g = guest_new(seed, seed & 1 ? 5 : 4);
		while (g->m.step < steps) {
			g->m.fail_at = 0;
			m_engage(&g->m);
			g->m.allocs = 0;
			g->m.fail_at = 1 + m_below(&g->m, 40);
			while (!g->m.broken && g->m.step < steps)
				g_step(g);
			if (g->m.broken && g->m.mmu->broken != DMP_BROKEN_NO_MEMORY)
				m_fail(&g->m, "broken: %s",
				       dmp_broken_name(g->m.mmu->broken));
			broken += g->m.broken;
			m_disengage(&g->m);
			g_step(g);
		}
		guest_end(g);
	}
	printf("  without memory %llu times\n", broken);
	/* Of one history replayed, less can be said. */
	assert_true(broken > (env("DMP_SEED", 0) ? 0 : 10));
}

static u64 hostile_entry(struct machine *m, u64 pool, unsigned int frames)
{
	u64 gfn = pool + m_below(m, frames), entry;

	switch (m_below(m, 24)) {
	case 0:
		gfn = m_below(m, M_GFNS);	/* holes, ROM, devices */
		break;
	case 1:
		return m_random(m);
	}
	entry = gfn << 12 | (m_random(m) & 0x1ff & ~DMP_PTE_PS);
	if (m_chance(m, 90))
		entry |= DMP_PTE_P;
	if (m_chance(m, 60))
		entry |= DMP_PTE_A | DMP_PTE_RW;
	if (m_chance(m, 4))
		entry |= DMP_PTE_PS;
	if (m_chance(m, 2))
		entry &= ~0x1ff000ull;
	if (m_chance(m, 20))
		entry |= DMP_PTE_NX;
	return entry;
}

static void hostile_step(struct machine *m, u64 pool, unsigned int frames)
{
	static const u32 kind[] = {
		0, DMP_ACCESS_WRITE, DMP_ACCESS_USER,
		DMP_ACCESS_USER | DMP_ACCESS_WRITE, DMP_ACCESS_FETCH,
		DMP_ACCESS_WRITE | DMP_ACCESS_AC,
	};
	static const u16 index[] = { 0, 1, 2, 511 };
	u64 data[DMP_WRITE_MAX / 8], gva = 0;
	unsigned int i, bytes = 1u << m_below(m, 7);
	u32 error;

	for (i = 0; i < DMP_ARRAY_SIZE(data); i++)
		data[i] = hostile_entry(m, pool, frames);
	m->pending = 1;
	switch (m_below(m, 8)) {
	case 0:
		m->op = "load";
		m_load_cr3(m, pool + m_below(m, frames), m_below(m, 4),
			   m_chance(m, 50));
		break;
	case 1:
	case 2:
		m->op = "store";
		if (m_chance(m, 10))	/* a string */
			bytes = 1u << m_below(m, 11);
		i = m_chance(m, 80) ? index[m_below(m, 4)] * 8 : m_below(m, 4096);
		m_vmm_write(m, (pool + m_below(m, frames)) << 12 | (i & -bytes),
			    data, bytes);
		break;
	case 3:
		m->op = "query";
		if (!m->broken)
			dmp_mmu_is_live_table(m->mmu, pool + m_below(m, frames));
		m_check_tlb(m);
		break;
	default:
		m->op = "access";
		for (i = 0; i < m->mmu->paging.levels; i++)
			gva = gva << 9 | index[m_below(m, 4)];
		gva = gva << 12 | (index[m_below(m, 4)] * 8 & -bytes);
		m_access(m, gva, kind[m_below(m, 6)], data, bytes, &error);
		m_speculate(m, gva ^ 4096);
	}
	if (m_chance(m, 10))
		m_flush_all(m);
	m->step++;
}

/* Anything anywhere: nothing may be worse than an end with a reason. */
static void test_hostile(void **state)
{
	u64 seed = env("DMP_SEED", 0), steps = env("DMP_STEPS", 500);
	u64 last = seed ? seed : env("DMP_SEEDS", 8);
	unsigned int why[DMP_BROKEN_REASONS] = { 0 }, frames, i;
	struct machine *m;
	struct guest *g;

	(void)state;
	for (seed = seed ? seed : 1; seed <= last; seed++) {
		g = guest_new(seed, seed & 1 ? 5 : 4);
		m = &g->m;
		m->hostile = true;
		m->pending = 1;
		frames = 4 + seed % 5 * 9;
		m->cr3_gfn = 1024;
		m_engage(m);
		while (m->step < steps) {
			hostile_step(m, 1024, frames);
			m_audit(m);
			if (m->step % 16 == 0)
				m_check_memory(m);
			if (!m->broken)
				continue;
			why[m->mmu->broken]++;
			m_disengage(m);
			m->cr3_gfn = 1024 + m_below(m, frames);
			m_engage(m);
		}
		m->op = "end";
		m_disengage(m);
		guest_end(g);
	}
	for (i = 1; i < DMP_BROKEN_REASONS; i++)
		if (why[i])
			printf("  ended %u times: %s\n", why[i], dmp_broken_name(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_engage_without_memory),
		cmocka_unit_test(test_history_without_memory),
		cmocka_unit_test(test_many_roots),
		cmocka_unit_test(test_mapped_for_a_while),
		cmocka_unit_test(test_many_tables),
		cmocka_unit_test(test_freed_roots),
		cmocka_unit_test(test_histories),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
