// SPDX-License-Identifier: GPL-2.0-only
/*
 * Meaning of one page-table entry; see paging.h.
 */
#include "arch/paging.h"

/* Bits last:first, both included. */
static u64 bits(unsigned int last, unsigned int first)
{
	return (~0ull >> (63 - last)) & (~0ull << first);
}

u64 dmp_choose_trap_bit(const struct dmp_host_cpu *cpu)
{
	int bit, lowest = cpu->phys_bits - cpu->bits_taken;

	for (bit = 51; bit >= lowest && bit >= 12; bit--)
		if (!cpu->has_key_bit || bit != cpu->key_bit)
			return 1ull << bit;
	return 0;
}

u64 dmp_pte_rsvd_page(const struct dmp_paging *paging)
{
	u64 rsvd = 0;

	if (paging->guest_phys_bits < 52)
		rsvd |= bits(51, paging->guest_phys_bits);
	if (!(paging->flags & DMP_PAGING_NX))
		rsvd |= DMP_PTE_NX;
	return rsvd;
}

/* SDM vol. 3, tables 4-14 to 4-20; APM vol. 2, figures 5-20 to 5-27. */
bool dmp_pte_has_rsvd(const struct dmp_paging *paging, u64 entry,
		      unsigned int level)
{
	u64 rsvd = dmp_pte_rsvd_page(paging);

	if (level >= 4) {
		rsvd |= DMP_PTE_PS;
		if (paging->flags & DMP_PAGING_AMD)
			rsvd |= DMP_PTE_G;
	} else if (level == 3 && entry & DMP_PTE_PS) {
		if (!(paging->flags & DMP_PAGING_GBPAGES))
			return true;
		rsvd |= bits(29, 13);
	} else if (level == 2 && entry & DMP_PTE_PS) {
		rsvd |= bits(20, 13);
	}
	return entry & rsvd;
}

u64 dmp_translate_leaf(const struct dmp_paging *paging, u64 entry, u64 most)
{
	if (!most)
		return dmp_make_trap(paging, DMP_TRAP_NO_RAM);
	if (!(entry & DMP_PTE_A))
		return dmp_make_trap(paging, DMP_TRAP_LAZY);
	if (!(entry & DMP_PTE_RW) || !(entry & DMP_PTE_D))
		most &= ~DMP_PTE_RW;
	return most | (entry & (DMP_PTE_US | DMP_PTE_G | DMP_PTE_NX));
}

u64 dmp_translate_link(u64 entry, u64 hfn)
{
	return hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A |
	       (entry & (DMP_PTE_RW | DMP_PTE_US | DMP_PTE_NX));
}

u64 dmp_pte_wants_ad(u64 entry, bool leaf)
{
	u64 want = DMP_PTE_A;

	if (entry & DMP_PTE_US)
		return 0;
	if (leaf && entry & DMP_PTE_RW)
		want |= DMP_PTE_D;
	return want & ~entry;
}

bool dmp_perm_allows(const struct dmp_paging *paging,
		     const struct dmp_perm *perm, u32 access)
{
	if (access & DMP_ACCESS_WRITE && !perm->rw)
		return false;
	if (access & DMP_ACCESS_FETCH && perm->nx)
		return false;
	if (access & DMP_ACCESS_USER)
		return perm->us;
	if (!perm->us)
		return true;
	/* A supervisor access to a user page. */
	if (access & DMP_ACCESS_FETCH)
		return !(paging->flags & DMP_PAGING_SMEP);
	return !(paging->flags & DMP_PAGING_SMAP) || access & DMP_ACCESS_AC;
}

u32 dmp_error_code(const struct dmp_paging *paging, u32 access, u32 cause)
{
	u32 code = cause | (access & (DMP_PF_W | DMP_PF_U));

	/* I is reported only where fetches are told apart at all. */
	if (access & DMP_ACCESS_FETCH &&
	    paging->flags & (DMP_PAGING_NX | DMP_PAGING_SMEP))
		code |= DMP_PF_I;
	return code;
}
