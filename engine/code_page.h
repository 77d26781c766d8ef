/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spliced code. The guest's memory is never changed: where it executes a page
 * with splices its machine leaf shows a copy, keyed by that leaf; every other
 * mapping shows what the guest wrote. All are read-only, and a guest write to
 * the frame traps: it lands in the guest's page, the splices it touches are
 * undone, and the copy follows.
 *
 * INV: the copy differs from the guest's page at spliced sites only, and with
 * the last splice the copy is gone.
 */
#ifndef DMP_CODE_PAGE_H
#define DMP_CODE_PAGE_H

#include "machine.h"

#define DMP_CODES_MAX	96
#define DMP_GATE_BYTES	16	/* of an IDT entry; SDM vol. 3, 6.14.1 */

struct dmp_code_page {
	u64 gva;		/* of the page */
	u64 gfn;
	u64 hfn;		/* of the copy; 0: free place */
	u8 *copy;
	const u8 *pristine;	/* the guest's page */
	u32 table;		/* the leaf's; 0: the guest maps it no more */
	u16 index;
	u16 sites;
};

/*
 * The code page at @gva, made if there is none, with one site more. NULL:
 * not mapped by the loaded root as the kernel's executable RAM, or not at one
 * address only, or no place; broken without memory.
 */
struct dmp_code_page *dmp_code_get(struct dmp_mmu *mmu, u64 gva);

/* Which of @codes @code is. */
static inline unsigned int dmp_code_number(const struct dmp_code_page *codes,
					   const struct dmp_code_page *code)
{
	return (unsigned int)((size_t)((const u8 *)code - (const u8 *)codes) /
			      sizeof(*code));
}

/* One site less; its bytes are the guest's already. */
void dmp_code_put(struct dmp_mmu *mmu, struct dmp_code_page *code);

/* For table.c and fault.c. */
u64 dmp_code_leaf(const struct dmp_mmu *mmu, const struct dmp_table *table,
		  unsigned int index, u64 machine);
bool dmp_code_is_copy(const struct dmp_mmu *mmu, const struct dmp_frame *frame,
		      u64 machine);
void dmp_code_leaf_gone(struct dmp_mmu *mmu, const struct dmp_table *table,
			unsigned int index);
void dmp_code_written(struct dmp_mmu *mmu, const struct dmp_write *write);

/* For the audit: code pages of @gfn. */
unsigned int dmp_code_pages_of(const struct dmp_mmu *mmu, u64 gfn);

#endif /* DMP_CODE_PAGE_H */
