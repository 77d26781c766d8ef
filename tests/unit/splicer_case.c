// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tests of splicing have in common: a guest with an implant, and stores
 * of its kernel's that trap.
 */
#include <stdlib.h>
#include <string.h>

#include "guest_parts.h"
#include "splicer_case.h"

struct guest *volatile guest;

void c_begin(struct text *t, u64 seed, unsigned int levels)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	if (!g)
		abort();
	g_boot(g, seed, levels);
	g_text(g, t);
	m_engage(&g->m);
	g->m.op = "splice";
	if (m_splice(&g->m, t->handler, t->gate) != DMP_START_OK)
		m_fail(&g->m, "not started: the handler's site is %s, %s",
		       dmp_site_state_name(g->m.splicer->prologue.state),
		       dmp_site_refusal_name(&g->m.splicer->prologue));
}

void c_check(struct machine *m)
{
	m_audit(m);
	m_check_code(m);
	m_check_cache(m);
}

void c_end(void)
{
	struct guest *g = guest;

	if (!g->m.broken)
		m_audit(&g->m);
	m_disengage(&g->m);
	g_shutdown(g);
	free(g);
}

struct dmp_site *c_site_of(struct machine *m, u64 rip)
{
	unsigned int i;

	for (i = 0; i < m->splicer->sites; i++)
		if (m->splicer->site[i].rip == rip)
			return &m->splicer->site[i];
	return NULL;
}

/* Trap at @rip @n times, by storing what is there. */
struct dmp_site *c_trap(struct text *t, u64 rip, unsigned int n)
{
	struct guest *g = guest;

	while (n--) {
		m_flush_all(&g->m);
		g_store(g, rip, t->alias_table, 500, 0);
	}
	return c_site_of(&g->m, rip);
}

void c_expect_broken(enum dmp_broken why)
{
	struct machine *m = &guest->m;

	if (!m->broken || m->mmu->broken != why)
		m_fail(m, "broken: %s, not %s", dmp_broken_name(m->mmu->broken),
		       dmp_broken_name(why));
}

u64 c_another_root(void)
{
	u64 gfn = g_frame_alloc(guest, G_TABLE);
	unsigned int i;

	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES; i++)
		g_entry_set(guest, gfn, i,
			    g_entry_get(guest, guest->kernel_root, i));
	return gfn;
}

void c_write_code(struct text *t, unsigned int page, unsigned int offset,
		       const void *data, unsigned int bytes)
{
	u32 error;

	if (m_access(&guest->m, t->alias + page * DMP_PAGE_SIZE + offset,
		     DMP_ACCESS_WRITE, data, bytes, &error) != ACCESS_DONE)
		m_fail(&guest->m, "text cannot be written");
}
