/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to the guest's #PF handler: the gate in its IDT, which may not change unseen,
 * and the handler's own code, which is spliced.
 */
#ifndef DMP_GATE_H
#define DMP_GATE_H

#include "splicer/start.h"

/* Splice the handler at @start->handler, which @start->gate leads to. */
enum dmp_start_refusal dmp_gate_splice(struct dmp_mmu *mmu, const struct dmp_start *start);

/*
 * Whether #PF leads to the filter while @table's root is loaded: its handler, where that
 * can be executed, is the copy. By the same top-level entry as in the root that
 * it was spliced in, or looked up. A guest may have tables of its own for the
 * handler in some roots (Linux with page-table isolation).
 */
bool dmp_gate_suits(const struct dmp_mmu *mmu, const struct dmp_table *table);

#endif /* DMP_GATE_H */
