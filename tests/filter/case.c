// SPDX-License-Identifier: GPL-2.0-only
/* Random cases; see case.h. */
#include <stdio.h>
#include <string.h>

#include "case.h"

#define FRAME_MASK	((u64)(GFNS - 1) << DMP_PAGE_SHIFT)
#define SOFTWARE_BITS	(7ull << 9 | 0x7ffull << 52)

static u64 *guest_entry(struct world *world, const struct tables *t, unsigned int level)
{
	u64 hfn = dmp_frame_hfn(&world->records[t->gfn[level]]);

	return &world->memory[hfn][dmp_index(t->gva, level)];
}

static u64 *machine_entry(struct world *world, const struct tables *t, unsigned int level)
{
	return &world->memory[TABLE_HFN + level - 1][dmp_index(t->gva, level)];
}

u64 *case_guest_leaf(struct world *world, const struct filter_case *c)
{
	return guest_entry(world, &c->tables, 1);
}

u64 *case_machine_leaf(struct world *world, const struct filter_case *c)
{
	return machine_entry(world, &c->tables, 1);
}

/* A permutation of the frames: the first are the tables, [0] the page. */
static void make_frames(struct world *world, struct filter_case *c)
{
	u64 gfn[GFNS], swap;
	unsigned int i, k;

	for (i = 0; i < GFNS; i++) {
		gfn[i] = i;
		k = world_random(world) % (i + 1);
		swap = gfn[i];
		gfn[i] = gfn[k];
		gfn[k] = swap;
	}
	for (i = 0; i < GFNS; i++) {
		world->records[gfn[i]] = dmp_frame_make(1 + i, 0);
		world->records[gfn[i]].writable = world_random(world);
		/* Guest tables are held. Others may be, or be no RAM. */
		if ((i && i <= c->tables.levels) || world_one_in(world, c->calm ? 20 : 4))
			world->records[gfn[i]].leaf &= ~DMP_PTE_RW;
		if (i > c->tables.levels || !i)
			if (world_one_in(world, c->calm ? 40 : 8))
				world->records[gfn[i]].leaf = 0;
		if (i <= c->tables.levels)
			c->tables.gfn[i] = gfn[i];
	}
}

/* Flip one of the @bits of *@entry, rarely. */
static void perturb(struct world *world, const struct filter_case *c, u64 *entry, u64 bits)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++)
		if (bits >> bit & 1 && world_one_in(world, c->calm ? 500 : 50))
			*entry ^= 1ull << bit;
}

static void make_guest(struct world *world, struct filter_case *c)
{
	struct tables *t = &c->tables;
	unsigned int level;
	u64 entry;

	for (level = 1; level <= t->levels; level++) {
		entry = DMP_PTE_P | DMP_PTE_US | t->gfn[level - 1] << DMP_PAGE_SHIFT |
			(world_random(world) & (SOFTWARE_BITS | DMP_PTE_PWT | DMP_PTE_PCD));
		if (level > 1)
			entry |= DMP_PTE_A | DMP_PTE_RW |
				 (world_random(world) & DMP_PTE_D);
		else
			entry |= world_random(world) &
				 (DMP_PTE_RW | DMP_PTE_D | DMP_PTE_PS | DMP_PTE_G | DMP_PTE_NX);
		perturb(world, c, &entry, DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_A |
			DMP_PTE_NX | 0x0008000000020000ull);
		if (level == 1)		/* another page */
			perturb(world, c, &entry, 1ull << 13);
		else
			perturb(world, c, &entry, DMP_PTE_PS | DMP_PTE_G);
		/* Not a table: nobody knows where it leads. */
		if (level > 1 && world_one_in(world, c->calm ? 500 : 50))
			entry = world_one_in(world, 2) ? world_random(world) & ~DMP_PTE_P :
				world_random(world) | DMP_PTE_PS;
		t->guest[level] = entry;
	}
}

static u64 odd_machine(struct world *world, const struct filter_case *c)
{
	switch (world_random(world) % 4) {
	case 0:
		return dmp_make_trap(&c->paging, DMP_TRAP_NO_RAM);
	case 1:
		return dmp_make_trap(&c->paging, DMP_TRAP_RSVD);
	case 2:
		return dmp_make_trap(&c->paging, DMP_TRAP_LAZY);
	default:
		return 0;
	}
}

static void make_machine(struct world *world, struct filter_case *c)
{
	struct tables *t = &c->tables;
	unsigned int level;

	t->machine[1] = dmp_make_trap(&c->paging, DMP_TRAP_LAZY);
	for (level = 2; level <= t->levels; level++)
		t->machine[level] = dmp_translate_link(t->guest[level], TABLE_HFN + level - 2);
	for (level = 1; level <= t->levels; level++)
		if (world_one_in(world, c->calm ? 500 : 50))
			t->machine[level] = odd_machine(world, c);
	if (world_one_in(world, 100))	/* resolved meanwhile */
		t->machine[1] = dmp_translate_leaf(&c->paging, t->guest[1] | DMP_PTE_A,
						   world->records[t->gfn[0]].leaf);
}

static u64 make_rip(struct world *world)
{
	static const u64 edge[] = {
		PUBLIC_START - 1, PUBLIC_START, PUBLIC_END - 1, PUBLIC_END,
		PUBLIC_START ^ 1ull << 32, PUBLIC_START & 0xffffffff,
		0xffffffff81234567, 0x00007f1234567890, 0xffffffffc0001000,
	};

	if (world_one_in(world, 8))
		return PUBLIC_START + world_random(world) % (PUBLIC_END - PUBLIC_START);
	return edge[world_random(world) % DMP_ARRAY_SIZE(edge)];
}

static u64 make_error_code(struct world *world, const struct filter_case *c)
{
	static const u64 access[] = { 0, DMP_PF_W, DMP_PF_I };
	u64 code = world_random(world) & 0x1f;

	if (c->lazy)	/* QEMU reports these without P */
		code = DMP_PF_U | DMP_PF_RSVD | (code & DMP_PF_P) |
		       access[world_random(world) % DMP_ARRAY_SIZE(access)];
	if (world_one_in(world, 10))	/* PK, SS, SGX, RMP */
		code |= world_random(world) & 0x80008060;
	return code;
}

static void make_fault(struct world *world, struct filter_case *c)
{
	struct fault *fault = &c->fault;
	unsigned int i;

	for (i = 0; i < 16; i++)
		fault->regs.gpr[i] = world_random(world);
	/* The CPU aligns the frame by 16 and pushes 6 words. */
	fault->regs.gpr[4] = STACK_GVA + 1024 + world_random(world) % 128 * 16;
	fault->regs.rip = FILTER_GVA;
	/* Arithmetic flags, DF, AC, ID: the interrupted code's. IF is clear. */
	fault->regs.rflags = 2 | (world_random(world) & 0x240cd5);
	fault->cr2 = c->tables.gva;
	fault->frame[0] = make_error_code(world, c);
	fault->frame[1] = make_rip(world);
	for (i = 2; i < 6; i++)
		fault->frame[i] = world_random(world);
}

/* What a walk that ends at level 1 leaves: false when it does not. */
static bool right_walk(const struct world *world, const struct filter_case *c,
		       struct walk *walk)
{
	const struct tables *t = &c->tables;
	unsigned int level;

	*walk = (struct walk){
		.tag = t->gva >> 21,
		.machine = WINDOW_GVA + TABLE_HFN * DMP_PAGE_SIZE,
		.guest = WINDOW_GVA + (world->records[t->gfn[1]].leaf & DMP_PTE_ADDR),
	};
	for (level = 2; level <= t->levels; level++) {
		if (!(t->machine[level] & DMP_PTE_P) || t->machine[level] & TRAP_BIT)
			return false;
		if ((t->guest[level] & FRAME_MASK) != t->gfn[level - 1] << DMP_PAGE_SHIFT)
			return false;
		walk->denied |= t->guest[level] ^
				(DMP_PTE_P | DMP_PTE_RW | DMP_PTE_US | DMP_PTE_A);
	}
	return !(walk->denied & DMP_PTE_PS);
}

void case_remember(struct world *world, struct filter_case *c, enum memory memory)
{
	c->walkable = right_walk(world, c, &c->right);
	c->memory = memory;
	if (memory == MEMORY_RIGHT && c->walkable) {
		c->walk = c->right;
		return;
	}
	/* What is not to be used leads nowhere. */
	c->walk = (struct walk){
		.tag = memory == MEMORY_OTHER ?
		       c->right.tag ^ 1ull << world_random(world) % 43 : ~0ull,
		.machine = world_random(world),
		.guest = world_random(world),
		.denied = world_random(world),
	};
}

void case_make(struct world *world, struct filter_case *c)
{
	unsigned int bits;
	u64 gva;

	*c = (struct filter_case){ 0 };
	c->calm = world_one_in(world, 2);
	c->lazy = !world_one_in(world, 4);
	c->state = world_random(world) & DMP_IMPLANT_LAZY_D;
	c->answer = world_random(world) % (DMP_AGENT_RESOLVED + 1);
	if (world->guarded)
		c->private = (const u64[]){ 0, PRIVATE_CR3, PRIVATE_CR3, DMP_PRIVATE_NOWHERE }
			[world_random(world) % 4];
	c->tables.levels = 4 + world_random(world) % 2;
	c->paging = (struct dmp_paging){
		.levels = c->tables.levels,
		.flags = world_one_in(world, 4) ? 0 : DMP_PAGING_NX,
		.trap_bit = TRAP_BIT,
		.trap_fill = world_one_in(world, 2) ? 0x1full << 41 : 0,
	};
	c->leaf_mask = DMP_PTE_P | DMP_PTE_US | DMP_PTE_A | (DMP_PTE_ADDR & ~FRAME_MASK);
	if (!(c->paging.flags & DMP_PAGING_NX))
		c->leaf_mask |= DMP_PTE_NX;
	bits = c->tables.levels == 5 ? 57 : 48;
	gva = world_random(world) & ((1ull << bits) - 1);
	if (gva >> (bits - 1))	/* canonical */
		gva |= ~0ull << bits;
	c->tables.gva = gva;
	make_frames(world, c);
	make_guest(world, c);
	make_machine(world, c);
	make_fault(world, c);
	case_remember(world, c, world_random(world) % MEMORIES);
	case_place(world, c);
}

void case_place(struct world *world, const struct filter_case *c)
{
	const struct tables *t = &c->tables;
	struct dmp_implant *implant = world->implant;
	unsigned int level;

	for (level = 1; level <= t->levels; level++) {
		*guest_entry(world, t, level) = t->guest[level];
		*machine_entry(world, t, level) = t->machine[level];
	}
	implant->leaf_mask = c->leaf_mask;
	implant->frames = RECORDS_GVA;
	implant->window = WINDOW_GVA;
	implant->root = WINDOW_GVA + ((u64)TABLE_HFN + t->levels - 1) * DMP_PAGE_SIZE;
	implant->guest_root = WINDOW_GVA +
		(world->records[t->gfn[t->levels]].leaf & DMP_PTE_ADDR);
	implant->levels = t->levels;
	implant->state = c->state;
	implant->agent.answer = c->answer;
	implant->agent.logged = 1;	/* of the last time, both */
	implant->agent.done = 1;
	implant->trap = TRAP_BIT;
	implant->frame_mask = FRAME_MASK;
	implant->walk_tag = c->walk.tag;
	implant->walk_machine = c->walk.machine;
	implant->walk_guest = c->walk.guest;
	implant->walk_denied = c->walk.denied;
	implant->lazy = dmp_make_trap(&c->paging, DMP_TRAP_LAZY);
	implant->private = c->private;
	implant->here = HERE_CR3;
	world_come_back(world);
	world_set_fault(world, &c->fault);
}

/* So that no case finds entries of another where it looks for none. */
void case_remove(struct world *world, const struct filter_case *c)
{
	unsigned int level;

	for (level = 1; level <= c->tables.levels; level++) {
		*guest_entry(world, &c->tables, level) = world_random(world);
		*machine_entry(world, &c->tables, level) = world_random(world);
	}
}

void case_print(const struct filter_case *c, const struct expected *want)
{
	static const char *const name[OUTCOMES] = {
		"delivered", "hypercall", "resolved", "lost",
	};
	const struct tables *t = &c->tables;
	unsigned int level;

	fprintf(stderr, "error code %llx, rip %llx, cr2 %llx, state %x, agent's answer %u, leaf mask %llx, private region %llx; %s\n",
		c->fault.frame[0], c->fault.frame[1], c->fault.cr2, c->state, c->answer,
		c->leaf_mask, c->private, name[want->outcome]);
	for (level = t->levels; level; level--)
		fprintf(stderr, "  level %u: guest %016llx machine %016llx\n", level,
			t->guest[level], t->machine[level]);
}
