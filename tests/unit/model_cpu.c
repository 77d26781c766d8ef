// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model machine's CPU: accesses, faults and what comes of them, CR3, INVLPG.
 */
#include "model_parts.h"
#include "oracle.h"
#include "mmu/machine.h"

#define RETRIES	3

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
		if (fault->gpa != gpa || !write || !m_is_held(m, ref->gfn))
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
		m_after_call(m);
	}
	m_store(m, gpa >> 12, gpa & 4095, data, bytes);
	if (table && !m->broken) {
		m->in_engine = true;
		dmp_mmu_write_end(m->mmu, &write);
		m_after_call(m);
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
	u64 gfn = m_shown_gfn(m, hfn);

	if (!m->pending && (ref->kind != REF_MAPPED || ref->gfn != gfn))
		m_fail(m, "gva %#llx access %#x reaches frame %#llx, should %#llx (%d)",
		       gva, access, gfn, ref->gfn, ref->kind);
	if (!(access & DMP_ACCESS_WRITE))
		return;
	if (m_is_held(m, gfn))
		m_fail(m, "gva %#llx: a table is written", gva);
	if (m_is_rom(gfn))
		m_fail(m, "gva %#llx: ROM is written", gva);
	m_store(m, gfn, gva & 4095, data, bytes);
}

/* False: the TLB has nothing that allows the access. */
static bool try_tlb(struct machine *m, u64 gva, u32 access,
		    const struct ref_walk *ref, const void *data,
		    unsigned int bytes)
{
	struct tlb_entry *e = m_tlb_find(m, gva);

	if (!e || !oracle_allows(&m->mmu->paging, e->rw, e->us, e->nx, access))
		return false;
	if (!m->pending && ref->kind == REF_MAPPED &&
	    !m_ref_has_ad(m, ref, access & DMP_ACCESS_WRITE))
		m_fail(m, "gva %#llx: access %#x misses A or D", gva, access);
	m->hits++;
	done(m, gva, access, e->hfn, ref, data, bytes);
	return true;
}

/* What the engine says is at @gva is what the CPU finds there. */
static void check_at(struct machine *m, u64 gva, const struct machine_walk *w)
{
	unsigned int offset = gva & 4095;
	const char *at, *is = NULL;

	if (w->from_cache ||
	    dmp_table_of(m->mmu, m->mmu->loaded->table)->hfn != m->cr3_hfn)
		return;
	if (w->mapped && offset < 4095)
		is = (char *)m_page(m, w->hfn) + offset;
	at = dmp_mmu_at(m->mmu, gva, 2);
	if (at != is)
		m_fail(m, "gva %#llx: looked for at %p, is at %p", gva, (const void *)at,
		       (const void *)is);
}

static bool try_walk(struct machine *m, u64 gva, u32 access,
		     const struct ref_walk *ref, const void *data,
		     unsigned int bytes)
{
	bool write = access & DMP_ACCESS_WRITE;
	struct machine_walk w;

	m_walk_machine(m, gva, &w);
	if (!w.mapped)
		check_at(m, gva, &w);
	if (!w.mapped || !oracle_allows(&m->mmu->paging, w.rw, w.us, w.nx, access))
		return false;
	check_at(m, gva, &w);
	if (!w.from_cache || !m->pending) {
		if (ref->kind != REF_MAPPED)
			m_fail(m, "gva %#llx: access %#x that faults is allowed",
			       gva, access);
		if (!m_ref_has_ad(m, ref, write))
			m_fail(m, "gva %#llx: access %#x would not set A or D",
			       gva, access);
		if (w.global != ref->global && !w.from_cache)
			m_fail(m, "gva %#llx: global bit differs", gva);
	}
	m_tlb_fill(m, gva, &w);
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
	m_ref_set_ad(m, ref, write);
	m_real_set_ad(m, ref);
	if (!m_is_ram(m, ref->gfn) || (write && m_is_rom(ref->gfn)))
		return ACCESS_DEVICE;
	if (write)
		m_store(m, ref->gfn, gva & 4095, data, bytes);
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
		if (!tries && m_try_stub(m, gva, access, data, bytes, &ref))
			return ACCESS_DONE;
		if (try_tlb(m, gva, access, &ref, data, bytes) ||
		    try_walk(m, gva, access, &ref, data, bytes)) {
			if (tries)
				m_check_tables(m);
			return ACCESS_DONE;
		}
		m_tlb_forget_page(m, gva, false);
		switch (m_agent_fault(m, gva, access, error_code)) {
		case DMP_AGENT_DELIVER:
			if (ref.kind != REF_FAULT || ref.error_code != *error_code)
				m_fail(m, "gva %#llx: the agent delivers %#x, not %#x (%d)",
				       gva, *error_code, ref.error_code, ref.kind);
			return ACCESS_FAULT;
		case DMP_AGENT_RESOLVED:
			if (ref.kind != REF_MAPPED)
				m_fail(m, "gva %#llx: the agent resolves a fault", gva);
			m_ref_set_ad(m, &ref, write);
			m_check_cache(m);
			continue;
		}
		fault = (struct dmp_fault){ .gva = gva, .access = access };
		if (ref.kind == REF_MAPPED)
			m_ref_set_ad(m, &ref, write);
		m->in_engine = true;
		kind = dmp_mmu_fault(m->mmu, &fault);
		m->faults[kind]++;
		if (m->mmu->broken && ref.kind == REF_MAPPED)
			m_real_set_ad(m, &ref);
		if (kind == DMP_FAULT_RESOLVED && !m->mmu->broken) {
			/* A retry may be between two levels' A; see set_ad(). */
			m->in_engine = false;
			m_check_tlb(m);
			continue;
		}
		m_after_call(m);
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
		m_site_trap(m, gva, access, fault.gpa);
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
	m_load_root(m);
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
	m_tlb_forget_page(m, gva, true);
}

void m_flush_all(struct machine *m)
{
	m_tlb_forget(m);
	m->pending = 0;
}
