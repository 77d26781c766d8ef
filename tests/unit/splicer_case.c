// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tests of splicing have in common: a guest with an implant, and stores
 * of its kernel's that trap.
 */
#include <stdlib.h>
#include <string.h>

#include "guest_parts.h"
#include "model_parts.h"
#include "splicer_case.h"
#include "mmu/machine.h"
#include "splicer/site_names.h"
#include "splicer/site_trap.h"
#include "splicer/start.h"

struct guest *volatile guest;

void c_begin(struct text *t, u64 seed, unsigned int levels)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	if (!g)
		abort();
	g_boot(g, seed, levels);
	g_text(g, t);
	c_engage(t);
}

void c_engage(struct text *t)
{
	struct machine *m = &guest->m;

	m_engage(m);
	m->op = "splice";
	if (m_splice(m, t->handler, t->gate) != DMP_START_OK)
		m_fail(m, "not started: the handler's site is %s, %s",
		       dmp_site_state_name(m->splicer->prologue.state),
		       dmp_site_refusal_name(&m->splicer->prologue));
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

struct dmp_site *c_trap_cr3(u64 rip, unsigned int n)
{
	struct machine *m = &guest->m;

	while (n--) {
		m->in_engine = true;
		dmp_site_trap_cr3(m->mmu, rip);
		m_after_call(m);
	}
	return c_site_of(m, rip);
}

void c_expect_broken(enum dmp_broken why)
{
	struct machine *m = &guest->m;

	if (!m->broken || m->mmu->broken != why)
		m_fail(m, "broken: %s, not %s", dmp_broken_name(m->mmu->broken),
		       dmp_broken_name(why));
}

/* The kernel's half of the table @gfn. */
static void fill_root(u64 gfn)
{
	unsigned int i;

	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES; i++)
		g_entry_set(guest, gfn, i,
			    g_entry_get(guest, guest->kernel_root, i));
}

u64 c_another_root(void)
{
	u64 gfn = g_frame_alloc(guest, G_TABLE);

	fill_root(gfn);
	return gfn;
}

void c_roots_side_by_side(u64 gfn[2])
{
	bool mine[M_GFNS + 1] = { false };

	do {
		gfn[0] = g_frame_alloc(guest, G_TABLE);
		mine[gfn[0]] = true;
	} while (!mine[gfn[0] ^ 1]);
	gfn[0] &= ~1ull;
	gfn[1] = gfn[0] + 1;
	fill_root(gfn[0]);
	fill_root(gfn[1]);
}

void c_write_code(struct text *t, unsigned int page, unsigned int offset,
		       const void *data, unsigned int bytes)
{
	u32 error;

	if (m_access(&guest->m, t->alias + page * DMP_PAGE_SIZE + offset,
		     DMP_ACCESS_WRITE, data, bytes, &error) != ACCESS_DONE)
		m_fail(&guest->m, "text cannot be written");
}

u8 *c_text(struct machine *m, const struct text *t, unsigned int page)
{
	return (u8 *)m_real(m, t->gfn[page]);
}

void c_read_code(u64 gva, u8 *bytes, unsigned int count)
{
	struct machine *m = &guest->m;
	u64 leaf = m_machine_leaf(m, gva);
	const u8 *page = (u8 *)m->arena + (dmp_pte_gfn(leaf) - 1) * DMP_PAGE_SIZE;

	if (!(leaf & DMP_PTE_P))
		m_fail(m, "no code at %#llx", gva);
	memcpy(bytes, page + (gva & 4095), count);
}

void c_want_code(struct text *t, u64 gva, const void *bytes, const void *want,
		 unsigned int count)
{
	unsigned int page = (gva - t->gva) / DMP_PAGE_SIZE;
	u8 first[8] = { 0 }, is[8] = { 0 }, wanted[8] = { 0 };
	struct machine *m = &guest->m;

	memcpy(first, bytes, count < 8 ? count : 8);
	memcpy(is, c_text(m, t, page) + (gva & 4095), count < 8 ? count : 8);
	memcpy(wanted, want, count < 8 ? count : 8);
	if (memcmp(c_text(m, t, page) + (gva & 4095), want, count))
		m_fail(m, "wrote %#llx.. at %#llx, and it is %#llx.., not %#llx..",
		       *(const u64 *)first, gva, *(const u64 *)is,
		       *(const u64 *)wanted);
	memcpy((u8 *)m_ref(m, t->gfn[page]) + (gva & 4095), want, count);
	m_check_memory(m);
	c_check(m);
}

void c_put_code(struct text *t, u64 gva, const void *bytes, const void *want,
		unsigned int count)
{
	c_write_code(t, (gva - t->gva) / DMP_PAGE_SIZE, gva & 4095, bytes, count);
	c_want_code(t, gva, bytes, want, count);
}

struct dmp_site *c_splice(struct text *t, u64 rip)
{
	struct dmp_site *site;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		site = c_trap(t, rip, 1);
		if (site->state != DMP_SITE_COUNTING && site->state != DMP_SITE_UNDONE)
			break;
	}
	if (site->state != DMP_SITE_SPLICED)
		m_fail(&guest->m, "%#llx: %s, %s", rip,
		       dmp_site_state_name(site->state),
		       dmp_site_refusal_name(site));
	return site;
}
