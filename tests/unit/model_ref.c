// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain MMU, which runs the same history on a copy of the guest's memory.
 */
#include "model_parts.h"
#include "oracle.h"

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

bool m_ref_has_ad(struct machine *m, const struct ref_walk *walk, bool write)
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

void m_ref_set_ad(struct machine *m, const struct ref_walk *walk, bool write)
{
	unsigned int level;

	for (level = m->mmu->paging.levels; level >= walk->leaf; level--)
		m_ref(m, walk->table[level])[walk->index[level]] |= DMP_PTE_A;
	if (write)
		m_ref(m, walk->table[walk->leaf])[walk->index[walk->leaf]] |=
			DMP_PTE_D;
}

/* What the plain MMU has set, the real memory has too. */
void m_real_set_ad(struct machine *m, const struct ref_walk *walk)
{
	unsigned int level;

	for (level = m->mmu->paging.levels; level >= walk->leaf; level--)
		m_real(m, walk->table[level])[walk->index[level]] =
			m_ref(m, walk->table[level])[walk->index[level]];
}
