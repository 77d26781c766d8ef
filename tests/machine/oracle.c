// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest's write of an entry must lead to. The machine entry comes from
 * the engine's own translation (paging.c, tested by itself); what a stub may do
 * alone is written down here a second time.
 */
#include "oracle.h"

struct dmp_frame *oracle_frame(struct private *p, u64 guest)
{
	u64 gfn = dmp_pte_gfn(guest);

	return gfn < FRAMES ? &p->frame[gfn] : NULL;
}

u64 oracle_machine(const struct world *w, u64 guest)
{
	struct dmp_frame *frame = oracle_frame(w->private, guest);

	if (!(guest & DMP_PTE_P))
		return 0;
	if (dmp_pte_has_rsvd(&w->paging, guest, 1))
		return dmp_make_trap(&w->paging, DMP_TRAP_RSVD);
	return dmp_translate_leaf(&w->paging, guest, frame ? frame->leaf : 0);
}

static bool is_plain_user_leaf(const struct world *w, u64 guest)
{
	struct dmp_frame *frame = oracle_frame(w->private, guest);

	if (!frame || dmp_pte_has_rsvd(&w->paging, guest, 1) ||
	    (guest & (DMP_PTE_US | DMP_PTE_A)) != (DMP_PTE_US | DMP_PTE_A))
		return false;
	if (!(guest & DMP_PTE_RW))
		return frame->leaf & DMP_PTE_P;
	return guest & DMP_PTE_D && frame->leaf & DMP_PTE_RW;
}

bool oracle_is_fast(const struct world *w, const struct change *c)
{
	if (!c->machine)
		return !(c->new & DMP_PTE_P) || is_plain_user_leaf(w, c->new);
	if (!(c->machine & DMP_PTE_US))
		return false;
	if (!(c->new & DMP_PTE_P) || c->new == c->old)
		return true;
	return c->old & DMP_PTE_RW && c->new == (c->old & ~DMP_PTE_RW);
}

void oracle_follow(const struct world *w, struct private *p,
		   const struct change *c)
{
	u64 machine = oracle_machine(w, c->new);

	if (c->machine & DMP_PTE_RW)
		oracle_frame(p, c->old)->writable--;
	if (machine & DMP_PTE_RW)
		oracle_frame(p, c->new)->writable++;
	p->machine[c->table][c->index] = machine;
}
