// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is checked of the whole machine: that the guest's memory is what the plain
 * MMU has made of it, and what the machine root reaches.
 */
#include <string.h>

#include "model_parts.h"
#include "oracle.h"

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

	for (i = 0; i < m->mmu->root_end; i++)
		if (dmp_root_nth(m->mmu, i)->table)
			reach(m, levels, dmp_root_nth(m->mmu, i)->gfn,
			      m->mmu->paging.levels);
	return levels[gfn];
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
			       m_is_held(m, gfn));
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
	m_check_entry(m, entry, level);
	if (level > 1) {
		check_table(m, hfn, level - 1, done_set);
		return;
	}
	if (entry & DMP_PTE_RW && m_is_held(m, m_shown_gfn(m, hfn)))
		m_fail(m, "the table %#llx is mapped writable", m_shown_gfn(m, hfn));
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
	entry = m_page(m, hfn);
	for (i = 0; i < DMP_ENTRIES; i++)
		if (!m_is_overlay(m, hfn, i))
			check_one(m, entry[i], level, done_set);
}

/* A supervisor entry that the engine should have completed. */
static bool lacks_ad(struct machine *m, u64 entry, unsigned int level)
{
	if (!(entry & DMP_PTE_P) || entry & DMP_PTE_US ||
	    oracle_rsvd(&m->mmu->paging, entry, level))
		return false;
	return !(entry & DMP_PTE_A) || (oracle_leaf(entry, level) &&
		entry & DMP_PTE_RW && !(entry & DMP_PTE_D));
}

/* A table that the loaded root reaches through entries with A must be held. */
static void check_held(struct machine *m, u8 *seen, u64 gfn, unsigned int level)
{
	unsigned int i;
	u64 entry;

	if (!m_is_ram(m, gfn) || m_is_rom(gfn) || seen[gfn] & 1u << level)
		return;
	seen[gfn] |= 1u << level;
	if (!m_is_held(m, gfn))
		m_fail(m, "live table %#llx (level %u) is not held", gfn, level);
	for (i = 0; i < DMP_ENTRIES; i++) {
		entry = m_ref(m, gfn)[i];
		if (lacks_ad(m, m_real(m, gfn)[i], level))
			m_fail(m, "supervisor entry %#llx[%u] (level %u) is lazy",
			       gfn, i, level);
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
