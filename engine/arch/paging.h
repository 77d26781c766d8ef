/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's paging mode and the meaning of one entry under it. Pure: no
 * state, no memory accesses.
 */
#ifndef DMP_PAGING_H
#define DMP_PAGING_H

#include "arch/pte.h"

/* Flags of struct dmp_paging. */
#define DMP_PAGING_NX		(1u << 0)	/* EFER.NXE */
#define DMP_PAGING_SMEP		(1u << 1)	/* CR4.SMEP */
#define DMP_PAGING_SMAP		(1u << 2)	/* CR4.SMAP */
#define DMP_PAGING_GBPAGES	(1u << 3)	/* CPUID: 1 GiB pages */
#define DMP_PAGING_AMD		(1u << 4)	/* bit 8 of PML4E, PML5E MBZ */
#define DMP_PAGING_PCIDS	(1u << 5)	/* CR4.PCIDE */

struct dmp_paging {
	u8 levels;		/* 4 or 5 */
	u8 guest_phys_bits;	/* CPUID.80000008H:EAX[7:0], <= 52 */
	u16 flags;		/* DMP_PAGING_* */
	u64 trap_bit;		/* a bit of 51:12 that the host CPU reserves */
	/*
	 * Other bits of 51:12 for traps, by which their addresses are those of no
	 * memory: some CPUs look an entry's address up in the L1 cache whatever is
	 * reserved (L1TF; Intel, "L1 Terminal Fault", 2018). 0: not needed.
	 */
	u64 trap_fill;
};

/*
 * What the host's CPU says of physical addresses. Some of their bits may be a
 * key's instead, and are then not reserved: on Intel's CPUs with multi-key memory
 * encryption they are among @phys_bits (SDM vol. 3, 4.1.4 and the TME-MK
 * specification); on AMD's one bit is, wherever it is, and turning encryption on
 * takes some of @phys_bits away (APM vol. 2, 7.10.1 and 15.34.6).
 */
struct dmp_host_cpu {
	u8 phys_bits;		/* CPUID.80000008H:EAX[7:0] */
	bool has_key_bit;	/* AMD: CPUID.8000001FH:EAX has bit 0 or 1 */
	u8 key_bit;		/* if so: EBX[5:0] */
	u8 bits_taken;		/* EBX[11:6] if SYSCFG.MEM_ENCRYPT is set, else 0 */
};

/*
 * For struct dmp_paging: the highest bit that the CPU reserves in all entries of
 * its page tables, as a mask. 0: there is none.
 */
u64 dmp_choose_trap_bit(const struct dmp_host_cpu *cpu);

/* Page-fault error code (SDM vol. 3, 4.7). */
#define DMP_PF_P	(1u << 0)
#define DMP_PF_W	(1u << 1)
#define DMP_PF_U	(1u << 2)
#define DMP_PF_RSVD	(1u << 3)
#define DMP_PF_I	(1u << 4)

/* An access, as far as paging cares. */
#define DMP_ACCESS_WRITE	DMP_PF_W
#define DMP_ACCESS_USER		DMP_PF_U	/* CPL 3, not implicit */
#define DMP_ACCESS_FETCH	DMP_PF_I
#define DMP_ACCESS_AC		(1u << 8)	/* EFLAGS.AC lifts SMAP */

/* The bits reserved in a present guest entry at level 1, and in any other. */
u64 dmp_pte_rsvd_page(const struct dmp_paging *paging);

/* Whether a present guest entry at @level has a reserved bit set. */
bool dmp_pte_has_rsvd(const struct dmp_paging *paging, u64 entry,
		      unsigned int level);

static inline u64 dmp_make_trap(const struct dmp_paging *paging,
				enum dmp_trap why)
{
	return DMP_PTE_P | DMP_PTE_US | paging->trap_bit | paging->trap_fill |
	       (u64)why << DMP_TRAP_SHIFT;
}

static inline bool dmp_is_trap(const struct dmp_paging *paging, u64 machine)
{
	return machine & paging->trap_bit;
}

static inline enum dmp_trap dmp_trap_why(u64 machine)
{
	return (machine & DMP_TRAP_BITS) >> DMP_TRAP_SHIFT;
}

/*
 * The machine entry of one 4 KiB page, part of the present guest leaf @entry
 * (of any level): @most is the leaf of the frame behind that page, which is
 * what it allows. Keeps RW, US, NX, G; drops PAT, PCD, PWT and software bits as KVM's
 * shadow paging does; presets A and D, so that the hardware never writes the
 * entry. A leaf whose A is clear traps; one whose D is clear is read-only,
 * unless it is a supervisor leaf (see dmp_pte_wants_ad()).
 */
u64 dmp_translate_leaf(const struct dmp_paging *paging, u64 entry, u64 most);

/* The machine entry that links the machine table @hfn for @entry. */
u64 dmp_translate_link(u64 entry, u64 hfn);

/*
 * A and D bits that the VMM sets at once in a present guest entry: those of
 * supervisor entries, which must never take a hidden fault. 0 when none.
 */
u64 dmp_pte_wants_ad(u64 entry, bool leaf);

/* Permissions gathered along a walk. Start from DMP_PERM_ALL. */
struct dmp_perm {
	bool rw, us, nx;
};

static inline struct dmp_perm dmp_perm_all(void)
{
	return (struct dmp_perm){ .rw = true, .us = true, .nx = false };
}

static inline void dmp_perm_add(struct dmp_perm *perm, u64 entry)
{
	perm->rw &= !!(entry & DMP_PTE_RW);
	perm->us &= !!(entry & DMP_PTE_US);
	perm->nx |= !!(entry & DMP_PTE_NX);
}

/* Whether @perm allows @access with CR0.WP set (SDM vol. 3, 4.6). */
bool dmp_perm_allows(const struct dmp_paging *paging,
		     const struct dmp_perm *perm, u32 access);

/* The error code of a fault of @access, with @cause of P and RSVD. */
u32 dmp_error_code(const struct dmp_paging *paging, u32 access, u32 cause);

#endif /* DMP_PAGING_H */
