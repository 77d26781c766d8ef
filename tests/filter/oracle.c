// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the filter is to do: design, section 4, in C and in its order, with no
 * regard for instructions.
 */
#include "case.h"

static bool is_public(u64 rip)
{
	return rip >= PUBLIC_START && rip < PUBLIC_END;
}

/* Whether the machine tables have links down to a lazy leaf. */
static bool machine_is_lazy(const struct filter_case *c)
{
	unsigned int level;
	u64 machine;

	for (level = c->tables.levels; level > 1; level--) {
		machine = c->tables.machine[level];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&c->paging, machine))
			return false;
	}
	return c->tables.machine[1] == dmp_make_trap(&c->paging, DMP_TRAP_LAZY);
}

/* Whether the guest's tables allow @access but for the leaf's A. */
static bool guest_allows(const struct world *world, const struct filter_case *c, u32 access)
{
	struct dmp_perm perm = dmp_perm_all();
	unsigned int level;
	u64 entry, reserved = c->leaf_mask & ~(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A);

	for (level = c->tables.levels; level; level--) {
		entry = c->tables.guest[level];
		if (!(entry & DMP_PTE_P) || entry & reserved)
			return false;
		if (!!(entry & DMP_PTE_A) != (level > 1))
			return false;
		if (level > 1 && entry & DMP_PTE_PS)
			return false;
		if (!world->records[dmp_pte_gfn(entry)].leaf)
			return false;
		dmp_perm_add(&perm, entry);
	}
	return dmp_perm_allows(&c->paging, &perm, access);
}

/* Neither filter nor agent can look at anything. */
static bool is_nowhere(const struct filter_case *c)
{
	return c->private == DMP_PRIVATE_NOWHERE;
}

/* The agent is a stand-in, with an answer chosen beforehand. */
static void expect_agent(const struct filter_case *c, struct expected *want)
{
	static const enum outcome outcome[] = {
		[DMP_AGENT_ASK] = HYPERCALL,
		[DMP_AGENT_DELIVER] = DELIVERED,
		[DMP_AGENT_RESOLVED] = RESOLVED,
	};

	want->outcome = outcome[c->answer];
	if (is_nowhere(c))
		want->outcome = HYPERCALL;
	want->by_agent = want->outcome == RESOLVED;
}

static void expect_lazy(const struct world *world, const struct filter_case *c,
			struct expected *want)
{
	u32 access = c->fault.frame[0] & (DMP_PF_W | DMP_PF_U | DMP_PF_I);
	u64 entry = c->tables.guest[1], gfn = dmp_pte_gfn(entry), leaf;

	expect_agent(c, want);
	if (is_nowhere(c) || !machine_is_lazy(c) || !guest_allows(world, c, access))
		return;
	leaf = world->records[gfn].leaf;
	if (entry & DMP_PTE_RW && !(leaf & DMP_PTE_RW))
		return;
	want->by_agent = false;
	entry |= DMP_PTE_A;
	if (access & DMP_PF_W)
		entry |= DMP_PTE_D;
	want->outcome = RESOLVED;
	want->guest = entry;
	want->machine = dmp_translate_leaf(&c->paging, entry, leaf);
	want->gfn = gfn;
	want->writable = world->records[gfn].writable + !!(want->machine & DMP_PTE_RW);
	if (entry & DMP_PTE_RW && !(entry & DMP_PTE_D))
		want->state |= DMP_IMPLANT_LAZY_D;
}

struct expected case_expect(const struct world *world, const struct filter_case *c)
{
	struct expected want = {
		.outcome = HYPERCALL,
		.guest = c->tables.guest[1],
		.machine = c->tables.machine[1],
		.state = c->state,
	};
	u64 code = c->fault.frame[0];

	if (!(code & DMP_PF_U)) {
		if (is_public(c->fault.frame[1]))
			return want;
		if (code & (DMP_PF_P | DMP_PF_RSVD))
			expect_agent(c, &want);
		else
			want.outcome = DELIVERED;
	} else if (code & DMP_PF_RSVD) {
		expect_lazy(world, c, &want);
	} else if (!(code & DMP_PF_P)) {
		want.outcome = DELIVERED;
	} else if (code & DMP_PF_W && !(c->state & DMP_IMPLANT_LAZY_D)) {
		/* A page of the kernel's may be the implant's. */
		if (!(c->fault.cr2 >> 63))
			want.outcome = DELIVERED;
	} else {
		expect_agent(c, &want);
	}
	return want;
}
