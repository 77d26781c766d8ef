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
	    !(guest & DMP_PTE_US))
		return false;
	/* What is not written may be waiting for its A. */
	if (!(guest & DMP_PTE_RW))
		return frame->leaf & DMP_PTE_P;
	return guest & DMP_PTE_A && guest & DMP_PTE_D && frame->leaf & DMP_PTE_RW;
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

/* Whether the frame's direct mapping, as it is noted, is the entry. */
static bool is_dmap(const struct dmp_frame *frame, const struct change *c)
{
	return frame->dmap_table == c->table + 1 && frame->dmap_index == c->index;
}

/*
 * The VMM completes A and D of supervisor leaves, looks at code, and notes direct
 * mappings, and pairs: tables that map the same frames at the same indices.
 */
static bool is_agents_kernel_leaf(const struct dmp_frame *frame,
				  const struct change *c)
{
	if (!(c->new & DMP_PTE_A) || dmp_pte_is_code(c->new))
		return false;
	return !(c->new & DMP_PTE_RW) ||
	       (c->new & DMP_PTE_D && !frame->held && frame->dmap_table &&
		frame->dmap_index != c->index);
}

static bool is_agents_leaf(const struct world *w, const struct change *c)
{
	const struct dmp_frame *frame = oracle_frame(w->expected, c->new);
	bool written = c->new & DMP_PTE_RW;

	if (!frame || !frame->leaf || frame->code ||
	    dmp_pte_has_rsvd(&w->paging, c->new, 1))
		return false;
	if (!(c->new & DMP_PTE_US) && !is_agents_kernel_leaf(frame, c))
		return false;
	if (!(c->new & DMP_PTE_A))
		return !written || !frame->held;
	return !written || (c->new & DMP_PTE_D && frame->leaf & DMP_PTE_RW);
}

/* Whether what was there is no more than a count. */
static bool agent_may_leave(const struct world *w, const struct change *c)
{
	const struct dmp_frame *frame = oracle_frame(w->expected, c->old);

	if (!(c->old & DMP_PTE_P))
		return true;
	if (!frame || is_dmap(frame, c))
		return false;
	/* Code may be mapped as a copy. */
	return !(c->machine & DMP_PTE_P) || c->machine & w->paging.trap_bit ||
	       !frame->code;
}

bool oracle_agent_does(const struct world *w, const struct change *c)
{
	const struct dmp_table *table = &w->expected->record[c->table + 1];

	if (table->next || table->flags & DMP_TABLE_MIXED)
		return false;
	if (table->flags & (DMP_TABLE_PATH | DMP_TABLE_CODE) &&
	    !(c->old & c->new & DMP_PTE_US))
		return false;
	return (!(c->new & DMP_PTE_P) || is_agents_leaf(w, c)) &&
	       agent_may_leave(w, c);
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
