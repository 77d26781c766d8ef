/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-table entries of long mode (SDM vol. 3, 4.5; APM vol. 2, 5.3), as the
 * guest writes them and as machine tables hold them.
 *
 * Levels are counted from the leaf: 1 is the page table, 2 the page directory,
 * 3 the PDPT, 4 the PML4, 5 the PML5.
 */
#ifndef DMP_PTE_H
#define DMP_PTE_H

#include "arch/types.h"

#define DMP_PTE_P	(1ull << 0)	/* present */
#define DMP_PTE_RW	(1ull << 1)	/* writable */
#define DMP_PTE_US	(1ull << 2)	/* user mode may access */
#define DMP_PTE_PWT	(1ull << 3)
#define DMP_PTE_PCD	(1ull << 4)
#define DMP_PTE_A	(1ull << 5)	/* accessed */
#define DMP_PTE_D	(1ull << 6)	/* dirty; leaves only */
#define DMP_PTE_PS	(1ull << 7)	/* leaf at level 2 or 3 (level 1: PAT) */
#define DMP_PTE_G	(1ull << 8)	/* global; leaves only */
#define DMP_PTE_NX	(1ull << 63)	/* no execute */
#define DMP_PTE_ADDR	0x000ffffffffff000ull

#define DMP_PAGE_SHIFT	12
#define DMP_PAGE_SIZE	4096
#define DMP_PAGE_OFFSET	((u64)DMP_PAGE_SIZE - 1)	/* bits of an address */
#define DMP_LARGE_PAGE	(1ull << 21)
#define DMP_ENTRIES	512		/* a table */
#define DMP_LEVEL_MAX	5

/*
 * A trap: a machine entry that faults with RSVD on any access. It holds no
 * address; its bits 11:9 say why it is there. Every
 * hardware reserved bit that the port can offer is a bit of 51:12.
 */
enum dmp_trap {
	DMP_TRAP_LAZY = 1,	/* the guest's A is clear */
	DMP_TRAP_NO_RAM,	/* MMIO or a hole */
	DMP_TRAP_RSVD,		/* the guest's entry has a reserved bit set */
};

#define DMP_TRAP_SHIFT	9	/* bits ignored by the hardware: 11:9 */
#define DMP_TRAP_BITS	(7ull << DMP_TRAP_SHIFT)

static inline u64 dmp_pte_gfn(u64 entry)
{
	return (entry & DMP_PTE_ADDR) >> DMP_PAGE_SHIFT;
}

/* Pages that one entry at @level spans. */
static inline u64 dmp_level_pages(unsigned int level)
{
	return 1ull << (9 * (level - 1));
}

/* Index of @gva in the table at @level. */
static inline unsigned int dmp_index(u64 gva, unsigned int level)
{
	return gva >> (DMP_PAGE_SHIFT + 9 * (level - 1)) & (DMP_ENTRIES - 1);
}

/* The canonical address that entry @index of a root of @levels begins at. */
static inline u64 dmp_top_gva(unsigned int levels, u64 index)
{
	unsigned int shift = DMP_PAGE_SHIFT + 9 * (levels - 1);

	return index << shift |
	       (index & DMP_ENTRIES / 2 ? ~0ull << (shift + 9) : 0);
}

/* Index of an entry in its table, by its address. */
static inline unsigned int dmp_index_of(const u64 *entry)
{
	return ((size_t)entry & (DMP_PAGE_SIZE - 1)) / sizeof(*entry);
}

/* A present guest entry at @level that maps memory, not a table. */
static inline bool dmp_pte_is_leaf(u64 entry, unsigned int level)
{
	return level == 1 || (level <= 3 && entry & DMP_PTE_PS);
}

/* A level-1 guest entry that maps what the kernel may execute, and not write. */
static inline bool dmp_pte_is_code(u64 entry)
{
	return (entry & (DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_NX)) == DMP_PTE_P;
}

#endif /* DMP_PTE_H */
