// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model machine; see model.h. Host pages that are free are poisoned for
 * ASan, so the engine cannot touch them unnoticed, and the CPU below walks
 * nothing but pages that the engine holds at that moment.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "model.h"
#include "oracle.h"

#define TRAP_BIT	(1ull << 51)
#define AD		(DMP_PTE_A | DMP_PTE_D)
#define RETRIES		3

/*
 * ---- Randomness and failure ----
 */

u64 m_random(struct machine *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng * 0x2545f4914f6cdd1dull;
}

u64 m_below(struct machine *m, u64 n)
{
	return (m_random(m) >> 16) % n;
}

bool m_chance(struct machine *m, unsigned int percent)
{
	return m_below(m, 100) < percent;
}

void m_fail(struct machine *m, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "step %llu (%s): ", m->step, m->op ? m->op : "?");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nreplay: DMP_SEED=%llu DMP_STEPS=%llu\n", m->seed,
		m->step + 1);
	fflush(NULL);
	_exit(1);	/* the arena is poisoned: nothing to unwind through */
}

/*
 * ---- Host memory ----
 */

static void *page(const struct machine *m, u64 hfn)
{
	return m->arena + ((hfn - 1) << DMP_PAGE_SHIFT);
}

static u64 take_page(struct machine *m, enum page_state state)
{
	u64 hfn;

	if (!m->nfree)
		return 0;
	hfn = m->free[--m->nfree];
	ASAN_UNPOISON_MEMORY_REGION(page(m, hfn), DMP_PAGE_SIZE);
	memset(page(m, hfn), 0, DMP_PAGE_SIZE);
	m->state[hfn] = state;
	return hfn;
}

static u64 host_alloc_page(void *host)
{
	struct machine *m = host;
	u64 hfn;

	m->allocs++;
	if (m->fail_at && m->allocs >= m->fail_at)
		return 0;
	hfn = take_page(m, PAGE_ENGINE);
	m->live_pages += !!hfn;
	return hfn;
}

static void host_free_page(void *host, u64 hfn)
{
	struct machine *m = host;
	u32 other;

	if (!hfn || hfn > M_HOST_PAGES || m->state[hfn] != PAGE_ENGINE)
		m_fail(m, "freed a page that is not the engine's: %#llx", hfn);
	m->state[hfn] = PAGE_FREE;
	m->live_pages--;
	memset(page(m, hfn), 0xa5, DMP_PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(page(m, hfn), DMP_PAGE_SIZE);
	/* Anywhere in the stack: now and then reused at once, mostly not. */
	m->free[m->nfree++] = hfn;
	other = m_below(m, m->nfree);
	m->free[m->nfree - 1] = m->free[other];
	m->free[other] = hfn;
}

u64 *m_real(struct machine *m, u64 gfn)
{
	return page(m, m->hfn_of[gfn]);
}

u64 *m_ref(struct machine *m, u64 gfn)
{
	return (u64 *)(m->ref + (gfn << DMP_PAGE_SHIFT));
}

bool m_is_ram(struct machine *m, u64 gfn)
{
	return gfn < M_GFNS && m->hfn_of[gfn];
}

bool m_is_rom(u64 gfn)
{
	return gfn - M_ROM < M_ROM_PAGES;
}

static void store(struct machine *m, u64 gfn, unsigned int offset,
		  const void *data, unsigned int bytes)
{
	memcpy((char *)m_real(m, gfn) + offset, data, bytes);
	memcpy((char *)m_ref(m, gfn) + offset, data, bytes);
}

/*
 * ---- TLB ----
 */

static struct tlb_entry *tlb_find(struct machine *m, u64 gva)
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

static void tlb_forget(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < M_TLB; i++)
		m->tlb[i].valid = false;
	for (i = 0; i < M_PSC; i++)
		m->psc[i].valid = false;
}

/* SDM vol. 3, 4.10.4.1: INVLPG, and what a page fault does for its address. */
static void tlb_forget_page(struct machine *m, u64 gva, bool all_psc)
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
	struct tlb_entry *e = m->race_armed ? tlb_find(m, m->race_gva) : NULL;

	if (!e || !e->rw || m->state[e->hfn] != PAGE_GUEST)
		return;
	m->race_armed = false;
	m->races++;
	store(m, m->gfn_of[e->hfn], m->race_gva & (DMP_PAGE_SIZE - 1),
	      &m->race_value, 8);
}

static void host_flush_tlb(void *host)
{
	struct machine *m = host;

	race(m);
	tlb_forget(m);
	refill(m);
}

static const struct dmp_host_ops host_ops = {
	.alloc_page = host_alloc_page,
	.free_page = host_free_page,
	.flush_tlb = host_flush_tlb,
};

static bool is_held(struct machine *m, u64 gfn)
{
	unsigned int s;

	for (s = 0; s < m->mmu->slots; s++)
		if (gfn - m->mmu->slot[s].base_gfn < m->mmu->slot[s].npages)
			return m->mmu->slot[s].frames[gfn -
					m->mmu->slot[s].base_gfn].held;
	return false;
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
		if (m->state[e->hfn] != PAGE_GUEST)
			m_fail(m, "TLB reaches a page that is not the guest's");
		if (e->rw && is_held(m, m->gfn_of[e->hfn]))
			m_fail(m, "TLB may write the table %#x",
			       m->gfn_of[e->hfn]);
	}
	for (p = m->psc; p < m->psc + M_PSC; p++)
		if (p->valid && m->state[p->hfn] != PAGE_ENGINE)
			m_fail(m, "a freed machine table is cached");
}

/*
 * ---- The machine walk ----
 */

struct machine_walk {
	bool mapped, trap, from_cache;
	bool rw, us, nx, global;
	u64 hfn;
};

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
static void check_entry(struct machine *m, u64 entry, unsigned int level)
{
	const u64 leaf = DMP_PTE_A | DMP_PTE_D;

	if (level == 1 ? (entry & leaf) != leaf : !(entry & DMP_PTE_A))
		m_fail(m, "the CPU would set A or D in a machine entry");
	if (entry & (DMP_PTE_PS | DMP_PTE_PWT | DMP_PTE_PCD))
		m_fail(m, "cache or size bits in a machine entry");
	if (!dmp_pte_gfn(entry) || dmp_pte_gfn(entry) > M_HOST_PAGES)
		m_fail(m, "machine entry outside of memory: %#llx", entry);
}

static void walk_machine(struct machine *m, u64 gva, struct machine_walk *w)
{
	unsigned int level;
	u64 hfn, entry;

	*w = (struct machine_walk){ .rw = true, .us = true };
	for (hfn = walk_start(m, gva, &level, w);; level--) {
		if (m->state[hfn] != PAGE_ENGINE)
			m_fail(m, "the CPU walks a page that is no table");
		entry = ((u64 *)page(m, hfn))[dmp_index(gva, level)];
		if (!(entry & DMP_PTE_P))
			return;
		if (entry & TRAP_BIT) {
			if (entry & DMP_PTE_ADDR & ~TRAP_BIT)
				m_fail(m, "a trap holds an address");
			w->trap = true;
			return;
		}
		check_entry(m, entry, level);
		w->rw &= entry >> 1 & 1;
		w->us &= entry >> 2 & 1;
		w->nx |= entry >> 63;
		hfn = dmp_pte_gfn(entry);
		if (level == 1)
			break;
		psc_fill(m, gva, level - 1, hfn, w);
	}
	if (m->state[hfn] != PAGE_GUEST)
		m_fail(m, "a leaf maps a page that is not the guest's");
	w->mapped = true;
	w->global = entry & DMP_PTE_G;
	w->hfn = hfn;
}

static void tlb_fill(struct machine *m, u64 gva, const struct machine_walk *w)
{
	struct tlb_entry *e = tlb_find(m, gva);

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
	walk_machine(m, gva, &w);
	if (w.mapped)
		tlb_fill(m, gva, &w);
}

/* And it runs on after the flush: what it may still do it does again. */
static void refill(struct machine *m)
{
	if (!m->race_gva || m->broken || !m->in_engine || m->state[m->cr3_hfn] != PAGE_ENGINE)
		return;
	m_speculate(m, m->race_gva);
}

/*
 * ---- The plain MMU ----
 */

static void ref_fault(struct machine *m, struct ref_walk *walk, u32 access,
		      bool present, bool rsvd)
{
	walk->kind = REF_FAULT;
	walk->error_code = oracle_error(&m->mmu->paging, access, present, rsvd);
}

void m_ref_walk(struct machine *m, u64 root, u64 gva, u32 access,
		struct ref_walk *walk)
{
	const struct dmp_paging *paging = &m->mmu->paging;
	unsigned int level = paging->levels;
	u64 gfn = root, entry, span;

	*walk = (struct ref_walk){ .rw = true, .us = true };
	for (;; level--) {
		if (!m_is_ram(m, gfn) || m_is_rom(gfn)) {
			walk->kind = REF_NO_TABLE;
			return;
		}
		walk->table[level] = gfn;
		walk->index[level] = gva >> (12 + 9 * (level - 1)) & 511;
		entry = m_ref(m, gfn)[walk->index[level]];
		if (!(entry & 1)) {
			ref_fault(m, walk, access, false, false);
			return;
		}
		if (oracle_rsvd(paging, entry, level)) {
			ref_fault(m, walk, access, true, true);
			return;
		}
		walk->rw &= entry >> 1 & 1;
		walk->us &= entry >> 2 & 1;
		walk->nx |= entry >> 63;
		gfn = (entry & 0x000ffffffffff000ull) >> 12;
		if (oracle_leaf(entry, level))
			break;
	}
	walk->leaf = level;
	walk->global = entry >> 8 & 1;
	span = 1ull << (9 * (level - 1));
	walk->gfn = gfn / span * span + (gva >> 12) % span;
	if (!oracle_allows(paging, walk->rw, walk->us, walk->nx, access))
		ref_fault(m, walk, access, true, false);
	else
		walk->kind = REF_MAPPED;
}

static bool ref_has_ad(struct machine *m, const struct ref_walk *walk, bool write)
{
	unsigned int level;
	u64 entry = 0;

	for (level = m->mmu->paging.levels; level >= walk->leaf; level--) {
		entry = m_ref(m, walk->table[level])[walk->index[level]];
		if (!(entry & DMP_PTE_A))
			return false;
	}
	return !write || entry & DMP_PTE_D;
}

static void ref_set_ad(struct machine *m, const struct ref_walk *walk, bool write)
{
	unsigned int level;

	for (level = m->mmu->paging.levels; level >= walk->leaf; level--)
		m_ref(m, walk->table[level])[walk->index[level]] |= DMP_PTE_A;
	if (write)
		m_ref(m, walk->table[walk->leaf])[walk->index[walk->leaf]] |=
			DMP_PTE_D;
}

/* What the plain MMU has set, the real memory has too. */
static void real_set_ad(struct machine *m, const struct ref_walk *walk)
{
	unsigned int level;

	for (level = m->mmu->paging.levels; level >= walk->leaf; level--)
		m_real(m, walk->table[level])[walk->index[level]] =
			m_ref(m, walk->table[level])[walk->index[level]];
}

/*
 * ---- Comparison of the guest's memory ----
 */

/* Bits: at which levels the loaded root reaches each frame as a table. */
static void reach(struct machine *m, u8 *levels, u64 gfn, unsigned int level)
{
	unsigned int i;
	u64 entry;

	if (!m_is_ram(m, gfn) || levels[gfn] & 1u << level)
		return;
	levels[gfn] |= 1u << level;
	for (i = 0; i < DMP_ENTRIES; i++) {
		entry = m_ref(m, gfn)[i];
		if (entry & 1 && !oracle_leaf(entry, level) &&
		    !oracle_rsvd(&m->mmu->paging, entry, level))
			reach(m, levels, dmp_pte_gfn(entry), level - 1);
	}
}

bool m_is_linked(struct machine *m, u64 gfn)
{
	u8 levels[M_GFNS] = { 0 };
	unsigned int i;

	for (i = 0; i < DMP_ROOTS_MAX; i++)
		if (m->mmu->root[i].table)
			reach(m, levels, m->mmu->root[i].gfn,
			      m->mmu->paging.levels);
	return levels[gfn];
}

bool m_is_held(struct machine *m, u64 gfn)
{
	return is_held(m, gfn);
}

/* Whether the engine may have set @bits in the supervisor entry @entry. */
static bool may_set(struct machine *m, u64 entry, u8 levels, u64 bits)
{
	unsigned int level;

	if (bits & ~AD || bits & entry || !(entry & 1) || entry & DMP_PTE_US)
		return false;
	for (level = 1; level <= m->mmu->paging.levels; level++) {
		if (!(levels & 1u << level) ||
		    oracle_rsvd(&m->mmu->paging, entry, level))
			continue;
		if (!(bits & DMP_PTE_D) ||
		    (entry & DMP_PTE_RW && oracle_leaf(entry, level)))
			return true;
	}
	return false;
}

static void compare_frame(struct machine *m, u64 gfn, u8 *levels, bool *reached)
{
	u64 *real = m_real(m, gfn), *ref = m_ref(m, gfn);
	unsigned int i;

	if (!memcmp(real, ref, DMP_PAGE_SIZE))
		return;
	if (!*reached) {
		reach(m, levels, m->cr3_gfn, m->mmu->paging.levels);
		*reached = true;
	}
	for (i = 0; i < DMP_ENTRIES; i++) {
		if (real[i] == ref[i])
			continue;
		if (!may_set(m, ref[i], levels[gfn], real[i] ^ ref[i]) ||
		    ref[i] & ~real[i])
			m_fail(m, "memory differs at %#llx[%u]: %#llx, should be %#llx (reached at %#x, table %d)",
			       gfn, i, real[i], ref[i], levels[gfn],
			       is_held(m, gfn));
		ref[i] = real[i];
	}
}

void m_check_tables(struct machine *m)
{
	u8 levels[M_GFNS] = { 0 };
	bool reached = false;
	unsigned int s;
	u64 i;

	for (s = 0; s < m->mmu->slots && !m->broken; s++)
		for (i = 0; i < m->mmu->slot[s].npages; i++)
			if (m->mmu->slot[s].frames[i].tables)
				compare_frame(m, m->mmu->slot[s].base_gfn + i,
					      levels, &reached);
}

void m_check_memory(struct machine *m)
{
	u8 levels[M_GFNS] = { 0 };
	bool reached = false;
	u64 gfn;

	for (gfn = 0; gfn < M_GFNS; gfn++)
		if (m_is_ram(m, gfn))
			compare_frame(m, gfn, levels, &reached);
}

/*
 * ---- The engine ----
 */

/* After every call of the engine's. */
static void after_call(struct machine *m)
{
	m->in_engine = false;
	if (m->mmu->broken && !m->broken) {
		/* With one CPU and no stray writers nothing else may happen. */
		if (m->mmu->broken != DMP_BROKEN_NO_MEMORY &&
		    m->mmu->broken != DMP_BROKEN_TOO_MANY_TABLES &&
		    !(m->hostile && m->mmu->broken == DMP_BROKEN_TABLE_NOT_RAM))
			m_fail(m, "broken: %s (%s)",
			       dmp_broken_name(m->mmu->broken),
			       m->mmu->finding.what ? m->mmu->finding.what : "");
		if (!m->hostile && !m->fail_at)
			m_fail(m, "broken: %s",
			       dmp_broken_name(m->mmu->broken));
		m_check_memory(m);
		m->broken = true;
		tlb_forget(m);
		return;
	}
	m_check_tlb(m);
	m_check_tables(m);
}

void m_audit(struct machine *m)
{
	const struct dmp_finding *f = &m->mmu->finding;

	if (m->broken || dmp_mmu_audit(m->mmu))
		return;
	m_fail(m, "audit: %s: gfn %#llx level %u index %u guest %#llx machine %#llx",
	       f->what, f->gfn, f->level, f->index, f->guest, f->machine);
}

static void load_root(struct machine *m)
{
	if (m->broken)
		return;
	m->in_engine = true;
	m->cr3_hfn = dmp_mmu_load_root(m->mmu, m->cr3_gfn);
	after_call(m);
	if (!m->broken && !m->cr3_hfn)
		m_fail(m, "no machine root, and not broken");
}

/* A struct dmp_mmu begins with nothing known of a frame but its hfn. */
static void forget_frames(struct machine *m)
{
	unsigned int s;
	u64 i;

	for (s = 0; s < m->mmu->slots; s++)
		for (i = 0; i < m->mmu->slot[s].npages; i++)
			m->frames[s][i] = (struct dmp_frame){
				.hfn = m->frames[s][i].hfn,
			};
}

void m_engage(struct machine *m)
{
	m->broken = false;
	forget_frames(m);
	load_root(m);
}

void m_disengage(struct machine *m)
{
	struct dmp_mmu *mmu = m->mmu;
	struct dmp_mmu fresh = {
		.ops = mmu->ops, .host = mmu->host, .va_base = mmu->va_base,
		.paging = mmu->paging, .slots = mmu->slots,
	};

	dmp_mmu_destroy(mmu);
	tlb_forget(m);
	if (m->live_pages || mmu->pages)
		m_fail(m, "%llu pages leaked, %llu counted", m->live_pages,
		       mmu->pages);
	memcpy(fresh.slot, mmu->slot, sizeof(fresh.slot));
	*mmu = fresh;
	m->broken = true;
	m_check_memory(m);
}

/*
 * ---- The CPU ----
 */

static void check_fault_kind(struct machine *m, const struct ref_walk *ref,
			     const struct dmp_fault *fault,
			     enum dmp_fault_kind kind)
{
	bool write = fault->access & DMP_ACCESS_WRITE;
	u64 gpa = ref->gfn << 12 | (fault->gva & 4095);

	if ((kind == DMP_FAULT_GUEST) != (ref->kind == REF_FAULT))
		m_fail(m, "gva %#llx access %#x: fault kind %d, guest's tables say %d (%#x)",
		       fault->gva, fault->access, kind, ref->kind,
		       ref->error_code);
	switch (kind) {
	case DMP_FAULT_GUEST:
		if (fault->error_code != ref->error_code)
			m_fail(m, "error code %#x, not %#x", fault->error_code,
			       ref->error_code);
		return;
	case DMP_FAULT_TABLE:
		if (fault->gpa != gpa || !write || !is_held(m, ref->gfn))
			m_fail(m, "a table write that is none");
		return;
	case DMP_FAULT_EMULATE:
		if (fault->gpa != gpa ||
		    (m_is_ram(m, ref->gfn) && !(write && m_is_rom(ref->gfn))))
			m_fail(m, "RAM taken for a device: %#llx", fault->gpa);
		return;
	default:
		return;
	}
}

void m_vmm_write(struct machine *m, u64 gpa, const void *data,
		 unsigned int bytes)
{
	struct dmp_write write;
	bool table = false;

	if (!m->broken) {
		m->in_engine = true;
		table = dmp_mmu_write_begin(m->mmu, gpa, bytes, &write);
		after_call(m);
	}
	store(m, gpa >> 12, gpa & 4095, data, bytes);
	if (table && !m->broken) {
		m->in_engine = true;
		dmp_mmu_write_end(m->mmu, &write);
		after_call(m);
	}
}

void m_vmm_walk(struct machine *m, u64 gva, bool write)
{
	struct ref_walk w;
	unsigned int level;
	u64 bits;

	m_ref_walk(m, m->cr3_gfn, gva, write ? DMP_ACCESS_WRITE |
		   DMP_ACCESS_USER : DMP_ACCESS_USER, &w);
	if (w.kind != REF_MAPPED)
		return;
	for (level = m->mmu->paging.levels; level >= w.leaf; level--) {
		bits = level == w.leaf && write ? AD : DMP_PTE_A;
		m_real(m, w.table[level])[w.index[level]] |= bits;
		m_ref(m, w.table[level])[w.index[level]] |= bits;
	}
}

/* The access reaches @hfn. */
static void done(struct machine *m, u64 gva, u32 access, u64 hfn,
		 const struct ref_walk *ref, const void *data,
		 unsigned int bytes)
{
	u64 gfn = m->gfn_of[hfn];

	if (m->state[hfn] != PAGE_GUEST)
		m_fail(m, "access outside of the guest's memory");
	if (!m->pending && (ref->kind != REF_MAPPED || ref->gfn != gfn))
		m_fail(m, "gva %#llx access %#x reaches frame %#llx, should %#llx (%d)",
		       gva, access, gfn, ref->gfn, ref->kind);
	if (!(access & DMP_ACCESS_WRITE))
		return;
	if (is_held(m, gfn))
		m_fail(m, "gva %#llx: a table is written", gva);
	if (m_is_rom(gfn))
		m_fail(m, "gva %#llx: ROM is written", gva);
	store(m, gfn, gva & 4095, data, bytes);
}

/* False: the TLB has nothing that allows the access. */
static bool try_tlb(struct machine *m, u64 gva, u32 access,
		    const struct ref_walk *ref, const void *data,
		    unsigned int bytes)
{
	struct tlb_entry *e = tlb_find(m, gva);

	if (!e || !oracle_allows(&m->mmu->paging, e->rw, e->us, e->nx, access))
		return false;
	if (!m->pending && ref->kind == REF_MAPPED &&
	    !ref_has_ad(m, ref, access & DMP_ACCESS_WRITE))
		m_fail(m, "gva %#llx: access %#x misses A or D", gva, access);
	m->hits++;
	done(m, gva, access, e->hfn, ref, data, bytes);
	return true;
}

static bool try_walk(struct machine *m, u64 gva, u32 access,
		     const struct ref_walk *ref, const void *data,
		     unsigned int bytes)
{
	bool write = access & DMP_ACCESS_WRITE;
	struct machine_walk w;

	walk_machine(m, gva, &w);
	if (!w.mapped || !oracle_allows(&m->mmu->paging, w.rw, w.us, w.nx, access))
		return false;
	if (!w.from_cache || !m->pending) {
		if (ref->kind != REF_MAPPED)
			m_fail(m, "gva %#llx: access %#x that faults is allowed",
			       gva, access);
		if (!ref_has_ad(m, ref, write))
			m_fail(m, "gva %#llx: access %#x would not set A or D",
			       gva, access);
		if (w.global != ref->global && !w.from_cache)
			m_fail(m, "gva %#llx: global bit differs", gva);
	}
	tlb_fill(m, gva, &w);
	done(m, gva, access, w.hfn, ref, data, bytes);
	return true;
}

/* With no engine the plain MMU is the machine. */
static enum outcome plain_access(struct machine *m, u64 gva, u32 access,
				 const struct ref_walk *ref, const void *data,
				 unsigned int bytes, u32 *error_code)
{
	bool write = access & DMP_ACCESS_WRITE;

	if (ref->kind == REF_FAULT) {
		*error_code = ref->error_code;
		return ACCESS_FAULT;
	}
	if (ref->kind == REF_NO_TABLE)
		return ACCESS_DEVICE;
	ref_set_ad(m, ref, write);
	real_set_ad(m, ref);
	if (!m_is_ram(m, ref->gfn) || (write && m_is_rom(ref->gfn)))
		return ACCESS_DEVICE;
	if (write)
		store(m, ref->gfn, gva & 4095, data, bytes);
	return ACCESS_DONE;
}

enum outcome m_access(struct machine *m, u64 gva, u32 access, const void *data,
		      unsigned int bytes, u32 *error_code)
{
	bool write = access & DMP_ACCESS_WRITE;
	struct dmp_fault fault;
	enum dmp_fault_kind kind;
	struct ref_walk ref;
	unsigned int tries;

	m->accesses++;
	for (tries = 0; tries <= RETRIES; tries++) {
		m_ref_walk(m, m->cr3_gfn, gva, access, &ref);
		if (m->broken)
			return plain_access(m, gva, access, &ref, data, bytes,
					    error_code);
		if (try_tlb(m, gva, access, &ref, data, bytes) ||
		    try_walk(m, gva, access, &ref, data, bytes)) {
			if (tries)
				m_check_tables(m);
			return ACCESS_DONE;
		}
		tlb_forget_page(m, gva, false);
		fault = (struct dmp_fault){ .gva = gva, .access = access };
		if (ref.kind == REF_MAPPED)
			ref_set_ad(m, &ref, write);
		m->in_engine = true;
		kind = dmp_mmu_fault(m->mmu, &fault);
		m->faults[kind]++;
		if (m->mmu->broken && ref.kind == REF_MAPPED)
			real_set_ad(m, &ref);
		if (kind == DMP_FAULT_RESOLVED && !m->mmu->broken) {
			/* A retry may be between two levels' A; see set_ad(). */
			m->in_engine = false;
			m_check_tlb(m);
			continue;
		}
		after_call(m);
		if (m->broken)
			continue;
		if (kind == DMP_FAULT_BROKEN)
			m_fail(m, "fault says broken, and it is not");
		check_fault_kind(m, &ref, &fault, kind);
		if (kind == DMP_FAULT_GUEST) {
			*error_code = fault.error_code;
			return ACCESS_FAULT;
		}
		if (kind == DMP_FAULT_EMULATE)
			return ACCESS_DEVICE;
		m_vmm_write(m, fault.gpa, data, bytes);
		return ACCESS_DONE;
	}
	m_fail(m, "gva %#llx access %#x: resolved %d times", gva, access, RETRIES + 1);
}

void m_load_cr3(struct machine *m, u64 gfn, u16 pcid, bool noflush)
{
	unsigned int i;

	if (!m->broken)
		m_check_tables(m);
	m->cr3_gfn = gfn;
	m->pcid = pcid;
	load_root(m);
	if (noflush)
		return;
	for (i = 0; i < M_TLB; i++)
		if (m->tlb[i].pcid == pcid && !m->tlb[i].global)
			m->tlb[i].valid = false;
	for (i = 0; i < M_PSC; i++)
		if (m->psc[i].pcid == pcid)
			m->psc[i].valid = false;
}

void m_invlpg(struct machine *m, u64 gva)
{
	tlb_forget_page(m, gva, true);
}

void m_flush_all(struct machine *m)
{
	tlb_forget(m);
	m->pending = 0;
}

/*
 * ---- Independent check of what the machine root reaches ----
 */

static void check_table(struct machine *m, u64 hfn, unsigned int level,
			u64 *done_set);

static void check_one(struct machine *m, u64 entry, unsigned int level,
		      u64 *done_set)
{
	u64 hfn = dmp_pte_gfn(entry);

	if (!(entry & DMP_PTE_P)) {
		if (entry)
			m_fail(m, "bits in an absent machine entry");
		return;
	}
	if (entry & TRAP_BIT)
		return;
	check_entry(m, entry, level);
	if (level > 1) {
		check_table(m, hfn, level - 1, done_set);
		return;
	}
	if (m->state[hfn] != PAGE_GUEST)
		m_fail(m, "a machine leaf maps a page that is not the guest's");
	if (entry & DMP_PTE_RW && is_held(m, m->gfn_of[hfn]))
		m_fail(m, "the table %#x is mapped writable", m->gfn_of[hfn]);
}

static void check_table(struct machine *m, u64 hfn, unsigned int level,
			u64 *done_set)
{
	const u64 *entry;
	unsigned int i;

	if (m->state[hfn] != PAGE_ENGINE)
		m_fail(m, "a machine table that is not the engine's page");
	if (done_set[hfn / 64] & 1ull << hfn % 64)
		return;
	done_set[hfn / 64] |= 1ull << hfn % 64;
	entry = page(m, hfn);
	for (i = 0; i < DMP_ENTRIES; i++)
		check_one(m, entry[i], level, done_set);
}

/* A table that the loaded root reaches through entries with A must be held. */
static void check_held(struct machine *m, u8 *seen, u64 gfn, unsigned int level)
{
	unsigned int i;
	u64 entry;

	if (!m_is_ram(m, gfn) || m_is_rom(gfn) || seen[gfn] & 1u << level)
		return;
	seen[gfn] |= 1u << level;
	if (!is_held(m, gfn))
		m_fail(m, "live table %#llx (level %u) is not held", gfn, level);
	for (i = 0; i < DMP_ENTRIES; i++) {
		entry = m_ref(m, gfn)[i];
		if (entry & DMP_PTE_P && entry & DMP_PTE_A && !m->unsynced &&
		    !oracle_leaf(entry, level) &&
		    !oracle_rsvd(&m->mmu->paging, entry, level))
			check_held(m, seen, dmp_pte_gfn(entry), level - 1);
	}
}

void m_check_machine(struct machine *m)
{
	u64 done_set[M_HOST_PAGES / 64 + 1] = { 0 };
	u8 seen[M_GFNS] = { 0 };

	if (m->broken)
		return;
	check_table(m, m->cr3_hfn, m->mmu->paging.levels, done_set);
	check_held(m, seen, m->cr3_gfn, m->mmu->paging.levels);
}

/*
 * ---- Power on, power off ----
 */

static void *grab(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		abort();
	return p;
}

static void add_slot(struct machine *m, u64 base, u64 npages, u32 flags)
{
	struct dmp_slot *slot = &m->mmu->slot[m->mmu->slots];
	struct dmp_frame *frames = grab(npages, sizeof(*frames));
	u64 i, hfn;

	m->frames[m->mmu->slots++] = frames;
	*slot = (struct dmp_slot){ base, npages, flags, frames };
	for (i = 0; i < npages; i++) {
		if (base + i - M_HOLE < M_HOLE_PAGES)
			continue;
		hfn = take_page(m, PAGE_GUEST);
		frames[i].hfn = hfn;
		m->hfn_of[base + i] = hfn;
		m->gfn_of[hfn] = base + i;
	}
}

void m_start(struct machine *m, u64 seed, unsigned int levels, u16 flags)
{
	u32 i, j, swap;

	*m = (struct machine){ .seed = seed, .op = "start" };
	m->rng = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	m->mmu = grab(1, sizeof(*m->mmu));
	m->arena = mmap(NULL, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT,
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->arena == MAP_FAILED)
		abort();
	m->state = grab(M_HOST_PAGES + 1, 1);
	m->gfn_of = grab(M_HOST_PAGES + 1, sizeof(*m->gfn_of));
	m->free = grab(M_HOST_PAGES, sizeof(*m->free));
	m->hfn_of = grab(M_GFNS, sizeof(*m->hfn_of));
	m->ref = grab(M_GFNS, DMP_PAGE_SIZE);
	for (i = 0; i < M_HOST_PAGES; i++)
		m->free[m->nfree++] = i + 1;
	for (i = M_HOST_PAGES - 1; i > 0; i--) {
		j = m_below(m, i + 1);
		swap = m->free[i];
		m->free[i] = m->free[j];
		m->free[j] = swap;
	}
	ASAN_POISON_MEMORY_REGION(m->arena, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT);
	m->mmu->ops = &host_ops;
	m->mmu->host = m;
	m->mmu->va_base = m->arena - DMP_PAGE_SIZE;
	m->mmu->paging = (struct dmp_paging){
		.levels = levels, .guest_phys_bits = 40, .flags = flags,
		.trap_bit = TRAP_BIT,
	};
	add_slot(m, 0, M_LOW_PAGES, 0);
	add_slot(m, M_ROM, M_ROM_PAGES, DMP_SLOT_RO);
	add_slot(m, M_HIGH, M_HIGH_PAGES, 0);
	m->broken = true;
}

void m_stop(struct machine *m)
{
	unsigned int i;

	ASAN_UNPOISON_MEMORY_REGION(m->arena, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT);
	munmap(m->arena, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT);
	for (i = 0; i < m->mmu->slots; i++)
		free(m->frames[i]);
	free(m->mmu);
	free(m->state);
	free(m->gfn_of);
	free(m->free);
	free(m->hfn_of);
	free(m->ref);
}
