/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where LIDT cannot exit (VT-x without descriptor-table exiting; SDM vol. 3C,
 * 24.6.2). A guest that loads IDTR there would get hidden faults at a handler
 * without the filter. So the code of its kernel is looked through for LIDT. Where
 * one begins, the code page's copy has INT3, whose exit ends the engagement
 * before the instruction is executed.
 *
 * Code is what the kernel may execute and not write. Such a page is looked at when
 * the guest comes to map it, and held read-only from then on: each write to it
 * traps, and it is looked at again. Not looked at is code that may be written
 * where it is executed; and LIDT that begins in the middle of another instruction.
 */
#ifndef DMP_LIDT_H
#define DMP_LIDT_H

#include "splicer/state.h"

/*
 * For tenant.c: a leaf that maps code (dmp_pte_is_code()) has come; one of the
 * watched frame @gfn has gone.
 */
void dmp_lidt_come(struct dmp_mmu *mmu);
void dmp_lidt_gone(struct dmp_mmu *mmu, u64 gfn);

/* For code_page.c: the watched frame @gfn has been written. */
void dmp_lidt_written(struct dmp_mmu *mmu, u64 gfn);

/* And the code page @code, of splicer->code, is about to go. */
void dmp_lidt_forget(struct dmp_splicer *splicer, unsigned int code);

/* At the end of each call from outside. */
void dmp_lidt_settle(struct dmp_mmu *mmu);

/* How many INT3s code page @code has; whether byte @offset of it is one. */
u32 dmp_lidt_count(const struct dmp_splicer *splicer, unsigned int code);
bool dmp_lidt_has(const struct dmp_splicer *splicer, unsigned int code, unsigned int offset);

/* What is wrong; NULL: nothing. */
const char *dmp_lidt_audit(struct dmp_mmu *mmu);

/* Whether a #BP at @rip stands for LIDT. Any lock. */
bool dmp_lidt_is_at(const struct dmp_splicer *splicer, u64 rip);

#endif /* DMP_LIDT_H */
