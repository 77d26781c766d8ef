// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splicing without memory: each allocation of a fixed history of mode on fails
 * in turn, once or from then on. The set of machine tables is given up with a
 * reason, the guest goes on, all memory comes back, and with memory it is
 * spliced anew. What needs none is not hurt.
 *
 * DMP_SEED	seed of the history: odd for 5 levels, even for 4
 * DMP_FAIL	only the allocation of that number
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_parts.h"
#include "splicer_case.h"
#include "mmu/machine.h"
#include "splicer/site.h"
#include "splicer/start.h"

enum phase { PHASE_START, PHASE_SITES, PHASE_TABLES, PHASE_OVERLAY, PHASE_AGAIN, PHASES };

static const char *const phase_names[PHASES] = {
	"start", "sites", "tables", "overlay", "again",
};

static u64 env(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

/* Code pages, and pages of stubs in windows of many kinds. */
static void sites(struct guest *g, struct text *t)
{
	unsigned int page, site;

	for (page = 1; page < TEXT_PAGES; page++)
		for (site = 0; site < TEXT_SITES && !g->m.broken; site++)
			c_trap(t, g_site(t, page, site), 2);
}

/* New tables, which the window has to show, and new roots, laid over. */
static void tables(struct guest *g)
{
	unsigned int i;

	for (i = 0; i < 4 && !g->m.broken; i++)
		g_many_roots(g, 1);
	for (i = 0; i < 30 && !g->m.broken; i++)
		g_step(g);
}

/*
 * The guest uses an entry that had been the implant's alone; and more tables
 * than the pool has.
 */
static void overlay(struct guest *g)
{
	unsigned int levels = g_levels_of(g), i;
	u64 gva = g->m.splicer->frames_gva, table = g_frame_alloc(g, G_TABLE);

	g_entry_set(g, g->kernel_root, dmp_index(gva, levels),
		    table << 12 | P | RW | A);
	if (!g->m.broken)
		m_load_cr3(&g->m, g->kernel_root, 0, false);
	for (i = 0; i < DMP_POOL_MAX && !g->m.broken && g->nfree > 500; i++)
		g_entry_set(g, table, i + 1,
			    g_frame_alloc(g, G_TABLE) << 12 | P | RW | A);
	if (!g->m.broken)
		g_switch(g);
}

/* Undone and spliced anew. */
static void again(struct guest *g, struct text *t)
{
	struct dmp_splicer *s = g->m.splicer;
	unsigned int i;

	for (i = 0; i < s->sites; i++)
		dmp_site_undo(g->m.mmu, &s->site[i], DMP_SITE_OK);
	for (i = 0; i < s->sites && !g->m.broken; i++)
		c_trap(t, s->site[i].rip, 4);
}

static void run_phase(struct guest *g, struct text *t, enum phase phase)
{
	struct machine *m = &g->m;
	enum dmp_start_refusal why;

	m->op = phase_names[phase];
	switch (phase) {
	case PHASE_START:
		why = m_splice(m, t->handler, t->gate);
		if (m->broken ? why != DMP_START_BROKEN : why != DMP_START_OK)
			m_fail(m, "start says %s", dmp_start_refusal_name(why));
		break;
	case PHASE_SITES:
		sites(g, t);
		break;
	case PHASE_TABLES:
		tables(g);
		break;
	case PHASE_OVERLAY:
		overlay(g);
		break;
	default:
		again(g, t);
	}
}

/* The phase in which it broke; PHASES: it did not. */
static enum phase run_phases(struct guest *g, struct text *t)
{
	enum phase phase;

	for (phase = 0; phase < PHASES; phase++) {
		run_phase(g, t, phase);
		if (g->m.broken)
			break;
		c_check(&g->m);
		m_check_space(&g->m);
	}
	return phase;
}

/* The same each time, and not engaged yet. */
static struct guest *begin(u64 seed, struct text *t)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	assert_non_null(g);
	g_boot(g, seed, seed & 1 ? 5 : 4);
	g_text(g, t);
	return g;
}

/* Allocation @k fails. */
static enum phase fail_at(u64 seed, u64 k, bool once, u64 *allocs)
{
	struct text t;
	struct guest *g = begin(seed, &t);
	struct machine *m = &g->m;
	enum phase phase;
	unsigned int i;

	m_engage(m);
	m->allocs = 0;
	m->fail_at = k;
	m->fail_once = once;
	phase = run_phases(g, &t);
	*allocs = m->allocs;
	if (m->broken && (m->mmu->broken != DMP_BROKEN_NO_MEMORY ||
			  strcmp(dmp_broken_name(m->mmu->broken), "no-memory")))
		m_fail(m, "allocation %llu: broken: %s", k,
		       dmp_broken_name(m->mmu->broken));
	if (m->broken != (k && m->allocs >= k))
		m_fail(m, "allocation %llu of %llu failed, broken is %d", k,
		       m->allocs, m->broken);
	m->fail_at = 0;
	/* The guest goes on; what it had comes back; then all of it again. */
	for (i = 0; i < 5; i++)
		g_step(g);
	m_check_memory(m);
	m_disengage(m);
	for (i = 0; i < 5; i++)
		g_step(g);
	m_engage(m);
	run_phase(g, &t, PHASE_START);
	run_phase(g, &t, PHASE_SITES);
	if (m->broken || m->splicer->stubs < 10)
		m_fail(m, "after allocation %llu: not spliced", k);
	c_check(m);
	m_check_space(m);
	m_disengage(m);
	g_shutdown(g);
	free(g);
	return phase;
}

static void fail_each(u64 seed, bool once)
{
	u64 failed[PHASES + 1] = { 0 }, k, all, n;
	enum phase phase;

	assert_int_equal(fail_at(seed, 0, once, &all), PHASES);
	if (env("DMP_FAIL", 0)) {
		fail_at(seed, env("DMP_FAIL", 0), once, &n);
		return;
	}
	for (k = 1; k <= all; k++)
		failed[fail_at(seed, k, once, &n)]++;
	assert_int_equal(fail_at(seed, all + 1, once, &n), PHASES);
	printf("  seed %llu: %llu allocations fail:", seed, all);
	for (phase = 0; phase < PHASES; phase++) {
		printf(" %s %llu", phase_names[phase], failed[phase]);
		assert_true(failed[phase] || phase == PHASE_AGAIN);
	}
	printf("\n");
	assert_int_equal(failed[PHASES], 0);
}

static void test_each_fails(void **state)
{
	(void)state;
	fail_each(env("DMP_SEED", 1), false);
}

static void test_each_fails_once(void **state)
{
	(void)state;
	fail_each(env("DMP_SEED", 2), true);
}

/*
 * The same history with a limit of work to a call, or a host that wants an end to
 * it: it is over with that reason or not at all, and the guest goes on.
 */
static enum phase limited(u64 seed, u64 work_max, u64 stop_at, u64 *work_most,
			  u64 *pauses)
{
	struct text t;
	struct guest *g = begin(seed, &t);
	struct machine *m = &g->m;
	enum phase phase = 0;
	unsigned int i;

	m->may_break = 1u << DMP_BROKEN_WORK;
	m->mmu->work_max = work_max;
	m->stop_at = stop_at;
	m_engage(m);
	if (!m->broken)
		phase = run_phases(g, &t);
	*work_most = m->mmu->work_most;
	*pauses = m->pauses;
	if (m->broken != (m->mmu->broken == DMP_BROKEN_WORK))
		m_fail(m, "broken: %s", dmp_broken_name(m->mmu->broken));
	if (m->broken != ((work_max && *work_most > work_max) ||
			  (stop_at && m->pauses >= stop_at)))
		m_fail(m, "broken is %d after %llu entries, %llu pauses", m->broken,
		       *work_most, m->pauses);
	if (work_max && *work_most > work_max + DMP_ENTRIES)
		m_fail(m, "went on to %llu entries", *work_most);
	for (i = 0; i < 5; i++)
		g_step(g);
	m_check_memory(m);
	m_disengage(m);
	g_shutdown(g);
	free(g);
	return phase;
}

static void test_work(void **state)
{
	u64 seed = env("DMP_SEED", 1), most, pauses, all, stops, k, broken = 0;

	(void)state;
	assert_int_equal(limited(seed, 0, 0, &most, &stops), PHASES);
	/* Room for all of it, and less and less. */
	assert_int_equal(limited(seed, most, 0, &all, &pauses), PHASES);
	assert_int_equal(all, most);
	for (k = most - 1; k; k = k * 2 / 3)
		broken += limited(seed, k, 0, &all, &pauses) != PHASES;
	assert_true(broken > 15);
	assert_true(stops > 0);
	for (k = 1; k <= stops; k++)
		assert_int_not_equal(limited(seed, 0, k, &all, &pauses), PHASES);
	printf("  at most %llu entries a call, %llu pauses\n", most, stops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_fails),
		cmocka_unit_test(test_each_fails_once),
		cmocka_unit_test(test_work),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
