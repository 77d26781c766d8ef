// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model machine's TLB, its paging-structure caches, and the walk that fills
 * them. It walks nothing but pages that the engine holds at that moment.
 */
#include "model_parts.h"

/*
 * ---- TLB ----
 */

struct tlb_entry *m_tlb_find(struct machine *m, u64 gva)
{
	struct tlb_entry *e;

	for (e = m->tlb; e < m->tlb + M_TLB; e++)
		if (e->valid && e->page == gva >> DMP_PAGE_SHIFT &&
		    (e->global || e->pcid == m->pcid))
			return e;
	return NULL;
}

static u64 psc_prefix(u64 gva, unsigned int level)
{
	return gva >> (DMP_PAGE_SHIFT + 9 * level);
}

static bool psc_serves(const struct machine *m, const struct psc_entry *e, u64 gva)
{
	return e->valid && e->pcid == m->pcid &&
	       e->prefix == psc_prefix(gva, e->level);
}

void m_tlb_forget(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < M_TLB; i++)
		m->tlb[i].valid = false;
	for (i = 0; i < M_PSC; i++)
		m->psc[i].valid = false;
}

/* SDM vol. 3, 4.10.4.1: INVLPG, and what a page fault does for its address. */
void m_tlb_forget_page(struct machine *m, u64 gva, bool all_psc)
{
	struct psc_entry *p;
	struct tlb_entry *e;

	for (e = m->tlb; e < m->tlb + M_TLB; e++)
		if (e->page == gva >> DMP_PAGE_SHIFT &&
		    (e->global || e->pcid == m->pcid))
			e->valid = false;
	for (p = m->psc; p < m->psc + M_PSC; p++)
		if (p->pcid == m->pcid && (all_psc || psc_serves(m, p, gva)))
			p->valid = false;
}

static void refill(struct machine *m);

/*
 * Another CPU runs until the flush reaches it: a store through a translation
 * that it still holds. The engine promises more than it need do today, when
 * all vCPUs are stopped; the order is what several of them will stand on.
 */
static void race(struct machine *m)
{
	struct tlb_entry *e = m->race_armed ? m_tlb_find(m, m->race_gva) : NULL;

	if (!e || !e->rw || m->state[e->hfn] != PAGE_GUEST)
		return;
	m->race_armed = false;
	m->races++;
	m_store(m, m->gfn_of[e->hfn], m->race_gva & (DMP_PAGE_SIZE - 1),
		&m->race_value, 8);
}

void m_host_flush_tlb(void *host)
{
	struct machine *m = host;

	race(m);
	m_tlb_forget(m);
	refill(m);
}

void m_check_tlb(struct machine *m)
{
	struct psc_entry *p;
	struct tlb_entry *e;

	if (m->broken)
		return;
	for (e = m->tlb; e < m->tlb + M_TLB; e++) {
		if (!e->valid)
			continue;
		if (m->state[e->hfn] == PAGE_FREE)
			m_fail(m, "TLB reaches a free page");
		if (e->rw && m_is_held(m, m_shown_gfn(m, e->hfn)))
			m_fail(m, "TLB may write the table %#llx",
			       m_shown_gfn(m, e->hfn));
	}
	for (p = m->psc; p < m->psc + M_PSC; p++)
		if (p->valid && m->state[p->hfn] != PAGE_ENGINE)
			m_fail(m, "a freed machine table is cached");
}

/*
 * ---- The machine walk ----
 */

static void psc_fill(struct machine *m, u64 gva, unsigned int level, u64 hfn,
		     const struct machine_walk *w)
{
	if (m_chance(m, 50))
		return;
	m->psc[m_below(m, M_PSC)] = (struct psc_entry){
		.valid = true, .rw = w->rw, .us = w->us, .nx = w->nx,
		.level = level, .pcid = m->pcid, .hfn = hfn,
		.prefix = psc_prefix(gva, level),
	};
}

/* Where a walk begins: CR3, or any cached table that serves. */
static u64 walk_start(struct machine *m, u64 gva, unsigned int *level,
		      struct machine_walk *w)
{
	const struct psc_entry *p;
	unsigned int tries;

	for (tries = 0; tries < 4; tries++) {
		p = &m->psc[m_below(m, M_PSC)];
		if (!psc_serves(m, p, gva))
			continue;
		w->rw = p->rw;
		w->us = p->us;
		w->nx = p->nx;
		w->from_cache = true;
		*level = p->level;
		return p->hfn;
	}
	*level = m->mmu->paging.levels;
	return m->cr3_hfn;
}

/* Whether a machine entry is one that the hardware would never write. */
void m_check_entry(struct machine *m, u64 entry, unsigned int level)
{
	const u64 leaf = DMP_PTE_A | DMP_PTE_D;

	if (level == 1 ? (entry & leaf) != leaf : !(entry & DMP_PTE_A))
		m_fail(m, "the CPU would set A or D in a machine entry");
	if (entry & (DMP_PTE_PS | DMP_PTE_PWT | DMP_PTE_PCD))
		m_fail(m, "cache or size bits in a machine entry");
	if (!dmp_pte_gfn(entry) || dmp_pte_gfn(entry) > M_HOST_PAGES)
		m_fail(m, "machine entry outside of memory: %#llx", entry);
}

void m_walk_machine(struct machine *m, u64 gva, struct machine_walk *w)
{
	unsigned int level;
	u64 hfn, entry;

	*w = (struct machine_walk){ .rw = true, .us = true };
	for (hfn = walk_start(m, gva, &level, w);; level--) {
		if (m->state[hfn] != PAGE_ENGINE)
			m_fail(m, "the CPU walks a page that is no table");
		entry = ((u64 *)m_page(m, hfn))[dmp_index(gva, level)];
		if (!(entry & DMP_PTE_P))
			return;
		if (entry & TRAP_BIT) {
			if ((entry & DMP_PTE_ADDR & ~TRAP_BIT) != m->mmu->paging.trap_fill)
				m_fail(m, "a trap holds an address");
			w->trap = true;
			return;
		}
		m_check_entry(m, entry, level);
		w->rw &= entry >> 1 & 1;
		w->us &= entry >> 2 & 1;
		w->nx |= entry >> 63;
		hfn = dmp_pte_gfn(entry);
		if (level == 1)
			break;
		psc_fill(m, gva, level - 1, hfn, w);
	}
	m_shown_gfn(m, hfn);
	w->mapped = true;
	w->global = entry & DMP_PTE_G;
	w->hfn = hfn;
}

void m_tlb_fill(struct machine *m, u64 gva, const struct machine_walk *w)
{
	struct tlb_entry *e = m_tlb_find(m, gva);

	if (!e)
		e = &m->tlb[m_below(m, M_TLB)];
	*e = (struct tlb_entry){
		.valid = true, .global = w->global, .rw = w->rw, .us = w->us,
		.nx = w->nx, .pcid = m->pcid, .page = gva >> DMP_PAGE_SHIFT,
		.hfn = w->hfn,
	};
}

void m_speculate(struct machine *m, u64 gva)
{
	struct machine_walk w;

	if (m->broken)
		return;
	m_walk_machine(m, gva, &w);
	if (w.mapped)
		m_tlb_fill(m, gva, &w);
}

/* And it runs on after the flush: what it may still do it does again. */
static void refill(struct machine *m)
{
	if (!m->race_gva || m->broken || !m->in_engine || m->state[m->cr3_hfn] != PAGE_ENGINE)
		return;
	m_speculate(m, m->race_gva);
}
