/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model machine's parts, among each other: model_*.c and model.c include
 * this.
 */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "model.h"

#define TRAP_BIT	(1ull << 51)
#define AD		(DMP_PTE_A | DMP_PTE_D)

/* What a walk of the machine tables comes to. */
struct machine_walk {
	bool mapped, trap, from_cache;
	bool rw, us, nx, global;
	u64 hfn;
};

/* model.c */
void *m_page(const struct machine *m, u64 hfn);
void m_store(struct machine *m, u64 gfn, unsigned int offset,
	     const void *data, unsigned int bytes);
void m_after_call(struct machine *m);
void m_load_root(struct machine *m);

/* model_tlb.c */
struct tlb_entry *m_tlb_find(struct machine *m, u64 gva);
void m_tlb_forget(struct machine *m);
void m_tlb_forget_page(struct machine *m, u64 gva, bool all_psc);
void m_tlb_fill(struct machine *m, u64 gva, const struct machine_walk *w);
void m_walk_machine(struct machine *m, u64 gva, struct machine_walk *w);
void m_check_entry(struct machine *m, u64 entry, unsigned int level);
void m_host_flush_tlb(void *host);

/* model_splice.c */
u64 m_host_page_hfn(void *host, const void *at);
bool m_try_stub(struct machine *m, u64 gva, u32 access, const void *data,
		unsigned int bytes, const struct ref_walk *ref);
void m_site_trap(struct machine *m, u64 gva, u32 access, u64 gpa);
bool m_is_overlay(struct machine *m, u64 table_hfn, unsigned int index);

/* model_agent.c: a stub asks the agent. False: it is for the VMM. */
bool m_agent(struct machine *m);

/* The filter asks the agent, now and then: DMP_AGENT_*. */
u32 m_agent_fault(struct machine *m, u64 gva, u32 access, u32 *error_code);

/* model_implant.c: whether filter and agent can reach what they look at. */
bool m_can_work(struct machine *m);

/* model_ref.c */
bool m_ref_has_ad(struct machine *m, const struct ref_walk *walk, bool write);
void m_ref_set_ad(struct machine *m, const struct ref_walk *walk, bool write);
void m_real_set_ad(struct machine *m, const struct ref_walk *walk);

#endif /* MODEL_PARTS_H */
