// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random histories of guests with spliced kernels: those of test_mmu.c, whose
 * stores go by stubs, and a kernel that changes its text meanwhile. DMP_SEED
 * and DMP_STEPS replay one.
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

static u64 env(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void add_sites(struct guest *g, const struct text *t)
{
	unsigned int page;

	for (page = 1; page < TEXT_PAGES; page++) {
		g->rip[g->rips++] = g_site(t, page, TEXT_MOV);
		g->rip[g->rips++] = g_site(t, page, TEXT_XCHG);
		g->rip[g->rips++] = g_site(t, page, TEXT_MOV_MOV);
	}
	g->rip[g->rips++] = g_site(t, 1, TEXT_NOP);
	g->rip[g->rips++] = g_site(t, 1, TEXT_FAR);
}

static bool splice(struct guest *g, const struct text *t)
{
	const char *op = g->m.op;
	enum dmp_start_refusal why;

	m_engage(&g->m);
	if (g->m.broken)
		return false;
	g->m.op = "splice";
	why = m_splice(&g->m, t->handler, t->gate);
	if (why != DMP_START_OK && !g->m.broken)
		m_fail(&g->m, "not spliced: %s", dmp_start_refusal_name(why));
	g->m.op = op;
	return !g->m.broken;
}

/* lidt (%rdi); ret */
#define LIDT		0xc31f010full

/* Bytes near a site, or those that belong there. */
static void change_code(struct guest *g, const struct text *t, u8 (*text)[DMP_PAGE_SIZE])
{
	unsigned int page = 1 + m_below(&g->m, TEXT_PAGES - 1);
	unsigned int bytes = 1u << m_below(&g->m, 4);
	unsigned int offset = m_below(&g->m, TEXT_SITES * G_SITE_BYTES) & -bytes;
	u64 word[2] = { m_random(&g->m), 0 };
	u64 gva = t->alias + page * DMP_PAGE_SIZE + offset;
	u32 error;

	if (m_chance(&g->m, 20))
		word[0] = LIDT;
	if (m_chance(&g->m, 30))
		g_kwrite(g, t->gfn[page], offset, word, bytes);
	else
		m_access(&g->m, gva, DMP_ACCESS_WRITE, word, bytes, &error);
	/* And back: a kernel's code is what it was, mostly. */
	m_access(&g->m, gva, DMP_ACCESS_WRITE, &text[page][offset], bytes, &error);
}

static void change_mapping(struct guest *g, const struct text *t)
{
	unsigned int page = 1 + m_below(&g->m, TEXT_PAGES - 1);
	u64 was = g_entry_get(g, t->table, page);

	switch (m_below(&g->m, 4)) {
	case 0:
		g_entry_set(g, t->table, page, 0);
		break;
	case 1:
		g_entry_set(g, t->table, page, was & ~(A | D));
		break;
	case 2:
		g_entry_set(g, t->table, page, was | RW);
		break;
	default:
		g_entry_set(g, t->table, page, (was & ~DMP_PTE_ADDR) | g_find_free(g) << 12);
	}
	m_flush_all(&g->m);
	m_audit(&g->m);
	m_check_code(&g->m);
	g_entry_set(g, t->table, page, was);
	m_flush_all(&g->m);
	g->aged = false;
}

/* A page of the kernel's, by a leaf of user mode's, of what is or was a table. */
static void change_odd(struct guest *g, const struct text *t)
{
	u64 gva = t->alias + 100 * DMP_PAGE_SIZE, gfn, value;
	struct place at = g_place_of(g, g_current(g)->root, g_user_gva(g), 1, false);
	unsigned int i;
	u32 error;

	if (at.level != 1)
		return;
	gfn = at.table;
	g_entry_set(g, t->alias_table, 100, gfn << 12 | P | RW | A | D |
		    (m_chance(&g->m, 50) ? US : 0));
	value = g_entry_get(g, gfn, 300);
	for (i = 0; i < 3; i++) {
		g->m.rip = g->rip[m_below(&g->m, 2)];
		m_access(&g->m, gva + 300 * 8, DMP_ACCESS_WRITE | DMP_ACCESS_AC,
			 &value, 8, &error);
		g->m.rip = 0;
	}
	g_entry_set(g, t->alias_table, 100, 0);
	m_flush_all(&g->m);
	g->aged = false;
}

/* As mprotect and munmap: entry by entry of one table. */
static void change_entries(struct guest *g)
{
	struct machine *m = &g->m;
	u64 gva = g_user_gva(g), entry, gfn;
	struct place at = g_place_of(g, g_current(g)->root, gva, 1, true);
	unsigned int n = 4 + m_below(m, 20), index;

	while (n-- && at.level == 1 && g->nfree > 500) {
		index = 16 + m_below(m, 8);
		entry = g_entry_get(g, at.table, index);
		gfn = dmp_pte_gfn(entry);
		if (!(entry & P)) {
			entry = g_frame_alloc(g, G_DATA) << 12 | P;
			entry |= m_chance(m, 90) ? US | A : m_below(m, 0x80) & ~PS;
			entry |= m_chance(m, 60) ? RW | D : m_chance(m, 20) ? RW : 0;
			g_entry_set(g, at.table, index, entry);
		} else if (m_chance(m, 30)) {
			g_entry_set(g, at.table, index,
				    m_chance(m, 30) ? m_random(m) & ~P : 0);
			m_flush_all(m);
			g_data_put(g, gfn);
		} else {
			g_entry_set(g, at.table, index, entry ^
				    (m_chance(m, 80) ? RW : m_chance(m, 50) ? 0 : A));
		}
		m_speculate(m, (gva & ~0x1fffffull) | index << 12);
		m_check_code(m);
	}
	m_flush_all(m);
	g->aged = false;
}

/* Whether user mode can run on this root: as a kernel's half of KPTI says not. */
static void change_user(struct guest *g)
{
	u64 root = g_current(g)->root, entry;
	unsigned int i, turn = m_below(&g->m, 3);

	if (!(g->m.mmu->paging.flags & DMP_PAGING_NX))
		return;
	for (i = 0; i < DMP_ENTRIES / 2; i++) {
		entry = g_entry_get(g, root, i);
		if (!(entry & DMP_PTE_P))
			continue;
		if (turn == 2)	/* of some */
			entry ^= m_chance(&g->m, 50) ? DMP_PTE_NX : 0;
		else
			entry = (entry & ~DMP_PTE_NX) | (turn ? DMP_PTE_NX : 0);
		g_entry_set(g, root, i, entry);
	}
	m_flush_all(&g->m);
}

static void meanwhile(struct guest *g, const struct text *t, u8 (*text)[DMP_PAGE_SIZE])
{
	struct dmp_splicer *s = g->m.splicer;
	struct dmp_site *site;
	u64 byte = m_random(&g->m);

	if (g->m.guarded && m_chance(&g->m, 20))
		change_user(g);
	switch (m_below(&g->m, 30)) {
	case 28:
	case 29:
		g->m.op = "user mode off and on";
		change_user(g);
		break;
	case 20:
	case 21:
	case 22:
	case 23:
	case 24:
		g->m.op = "exec";
		g_op_exec(g);
		break;
	case 25:
	case 26:
		g->m.op = "vmap";
		g_op_vmap(g);
		break;
	case 27:
		g->m.op = "many tables";
		g_op_many_tables(g);
		break;
	case 0:
	case 1:
		g->m.op = "new code";
		change_code(g, t, text);
		break;
	case 2:
		g->m.op = "new mapping";
		change_mapping(g, t);
		break;
	case 3:
		g->m.op = "undo";
		site = s->sites ? &s->site[m_below(&g->m, s->sites)] : NULL;
		if (site && site->undos < DMP_SITE_UNDOS_MAX - 1)
			dmp_site_undo(g->m.mmu, site, DMP_SITE_OK);
		break;
	case 4:
		g->m.op = "gate";
		g_kwrite(g, t->idt_gfn, 13 * 16 + m_below(&g->m, 16), &byte, 1);
		g_kwrite(g, t->idt_gfn, 15 * 16 + m_below(&g->m, 16), &byte, 1);
		break;
	case 5:
		g->m.op = "odd";
		change_odd(g, t);
		break;
	default:
		g->m.op = "entries";
		change_entries(g);
	}
}

static void check(struct guest *g)
{
	m_audit(&g->m);
	m_check_code(&g->m);
	m_check_cache(&g->m);
	m_check_hidden(&g->m);
	if (g->m.step % 32)
		return;
	m_check_space(&g->m);
	m_check_machine(&g->m);
	m_check_memory(&g->m);
}

static void report(const struct guest *g)
{
	const struct dmp_splicer *s = g->m.splicer;

	printf("  seed %llu, %u levels: %llu steps, %llu accesses; stubs hit %llu, missed %llu, stopped %llu; agent done %llu (linked %llu, unlinked %llu), delivered %llu, resolved %llu (%llu D), asked the VMM %llu, stopped %llu, pool empty %llu, full %llu; faults guest %llu resolved %llu table %llu; made %llu undone %llu finished %llu; %llu quick switches, %llu by itself; hidden %llu, elsewhere %llu\n",
	       g->m.seed, g->m.mmu->paging.levels, g->m.step, g->m.accesses,
	       g->m.stub_hits, g->m.stub_misses, g->m.stub_stops,
	       g->m.agent_dones, g->m.agent_links, g->m.agent_unlinks,
	       g->m.agent_answers[DMP_AGENT_DELIVER],
	       g->m.agent_answers[DMP_AGENT_RESOLVED], g->m.agent_lazy_d,
	       g->m.agent_asks, g->m.agent_stops, g->m.pool_empty,
	       g->m.pool_full,
	       g->m.faults[DMP_FAULT_GUEST], g->m.faults[DMP_FAULT_RESOLVED],
	       g->m.faults[DMP_FAULT_TABLE], s->stubs, s->undone, s->finished,
	       g->m.switches, g->m.targets, g->m.hidings, g->m.elsewhere);
}

/* Of all histories. */
static u64 links, unlinks, empty, full, lazy_a, lazy_d;

static void run_history(u64 seed, u64 steps)
{
	struct guest *g = calloc(1, sizeof(*g));
	u8 text[TEXT_PAGES][DMP_PAGE_SIZE];
	unsigned int i;
	struct text t;

	guest = g;
	assert_non_null(g);
	g_boot(g, seed, seed & 1 ? 5 : 4);
	g->m.target_count = seed % (DMP_TARGETS_MAX + 1);
	g->m.guarded = seed % 3 == 2;
	g->m.no_lidt_exit = seed % 4 > 1;
	g_text(g, &t);
	for (i = 0; i < TEXT_PAGES; i++)
		memcpy(text[i], m_ref(&g->m, t.gfn[i]), DMP_PAGE_SIZE);
	add_sites(g, &t);
	assert_true(splice(g, &t));
	while (g->m.step < steps) {
		g_step(g);
		check(g);
		meanwhile(g, &t, text);
		check(g);
		/* Off and on again. */
		if (m_chance(&g->m, 1)) {
			m_disengage(&g->m);
			assert_true(splice(g, &t));
		}
	}
	report(g);
	links += g->m.agent_links;
	unlinks += g->m.agent_unlinks;
	empty += g->m.pool_empty;
	full += g->m.pool_full;
	lazy_d += g->m.agent_lazy_d;
	lazy_a += g->m.agent_answers[DMP_AGENT_RESOLVED] - g->m.agent_lazy_d;
	m_check_memory(&g->m);
	m_disengage(&g->m);
	g_shutdown(g);
	free(g);
}

static void test_histories(void **state)
{
	u64 seed = env("DMP_SEED", 0), steps = env("DMP_STEPS", 300);

	(void)state;
	if (seed) {
		run_history(seed, steps);
		return;
	}
	for (seed = 1; seed <= env("DMP_SEEDS", 4); seed++)
		run_history(seed, steps);
	if (getenv("DMP_SEEDS") || getenv("DMP_STEPS"))
		return;
	assert_true(links > 500);
	assert_true(unlinks > 500);
	assert_true(empty > 3);
	assert_true(full > 3);
	assert_true(lazy_a > 10);
	assert_true(lazy_d > 10);
}

/* Without memory, at any allocation: an end with a reason, and nothing is left. */
static void test_without_memory(void **state)
{
	u64 seed = env("DMP_SEED", 4), steps = env("DMP_STEPS", 300), broken = 0;
	struct guest *g = calloc(1, sizeof(*g));
	struct text t;

	(void)state;
	guest = g;
	assert_non_null(g);
	g_boot(g, seed, 4);
	g_text(g, &t);
	add_sites(g, &t);
	while (g->m.step < steps) {
		g->m.allocs = 0;
		g->m.fail_at = 1 + m_below(&g->m, 600);
		if (splice(g, &t)) {
			g->m.fail_at = g->m.allocs + 1 + m_below(&g->m, 30);
			while (!g->m.broken && g->m.step < steps)
				g_step(g);
		}
		g->m.fail_at = 0;
		broken += g->m.broken;
		m_disengage(&g->m);
		g_step(g);
	}
	printf("  without memory %llu times\n", broken);
	assert_true(broken > steps / 30);
	g_shutdown(g);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_histories),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
