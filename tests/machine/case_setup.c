// SPDX-License-Identifier: GPL-2.0-only
/* The state a case begins with. */
#include <string.h>
#include "case_parts.h"

/* Bits of 51:12 that no leaf with a frame has, and those that P, US, A are. */
static u64 leaf_mask(const struct world *w)
{
	u64 mask = DMP_PTE_P | DMP_PTE_US | DMP_PTE_A;

	mask |= DMP_PTE_ADDR & ~((u64)(FRAMES - 1) << DMP_PAGE_SHIFT);
	if (!(w->paging.flags & DMP_PAGING_NX))
		mask |= DMP_PTE_NX;
	return mask;
}

u64 random_entry(u64 *rng)
{
	u64 entry = 0;

	if (!below(rng, 5))
		return below(rng, 2) ? 0 : random64(rng) & ~DMP_PTE_P;
	entry = DMP_PTE_P | (u64)below(rng, FRAMES) << DMP_PAGE_SHIFT;
	entry |= random64(rng) & (DMP_PTE_RW | DMP_PTE_G | DMP_PTE_NX |
				  DMP_PTE_D | 0xe00);
	entry |= below(rng, 8) ? DMP_PTE_US : 0;
	entry |= below(rng, 8) ? DMP_PTE_A : 0;
	if (!below(rng, 8))
		entry |= random64(rng) & 0x7ff0000000000098ull;
	if (!below(rng, 16))
		entry |= 1ull << (22 + below(rng, 30));
	return entry;
}

/* What often becomes of @old. */
u64 random_change(u64 old, u64 *rng)
{
	switch (below(rng, 6)) {
	case 0:
		return 0;
	case 1:
		return old & ~DMP_PTE_RW;
	case 2:
		return old;
	case 3:
		return old ^ 1ull << below(rng, 64);
	default:
		return random_entry(rng);
	}
}

/* Of a frame, what the agent looks at: tables, code, direct mappings. */
static void fill_record(struct dmp_frame *frame, u64 *rng)
{
	if (frame->leaf && !(frame->leaf & DMP_PTE_RW) && below(rng, 2))
		frame->held = 1 + below(rng, 2);
	frame->code = frame->held && !below(rng, 4);
	frame->dmap_table = below(rng, TABLES + 1);
	frame->dmap_index = below(rng, below(rng, 2) ? DMP_ENTRIES : 2);
}

/* What the agent knows of the tables. */
static void fill_agent(struct world *w, u64 *rng)
{
	struct private *p = w->private;
	struct dmp_implant *im = &p->implant;
	unsigned int t;

	for (t = 0; t < TABLES; t++) {
		p->record[t + 1] = (struct dmp_table){
			.guest = w->memory[DMP]->table[t],
			.hfn = (MACHINE_GVA - GUEST_GVA) / PAGE + t,
			.id = t + 1,
			.next = !below(rng, 16),
			.level = 1,
			.flags = DMP_TABLE_HELD | DMP_TABLE_CACHED |
				(below(rng, 12) ? 0 : DMP_TABLE_MIXED) |
				(below(rng, 12) ? 0 : DMP_TABLE_PATH) |
				(below(rng, 12) ? 0 : DMP_TABLE_CODE),
		};
	}
	im->window = GUEST_GVA;
	im->frame_mask = (u64)(FRAMES - 1) << DMP_PAGE_SHIFT;
	im->trap = w->paging.trap_bit;
	im->lazy = dmp_make_trap(&w->paging, DMP_TRAP_LAZY);
	im->levels = w->paging.levels;
	im->agent.tables = RECORDS_GVA;
	im->agent.logged = 0;
	im->agent.done = below(rng, 2);
}

void case_fill(struct world *w, u64 *rng)
{
	struct private *p = w->private;
	struct memory *m = w->memory[REF];
	unsigned int t, i;

	w->paging = (struct dmp_paging){
		.levels = 4,
		.guest_phys_bits = PHYS_BITS,
		.flags = below(rng, 4) ? DMP_PAGING_NX : 0,
		.trap_bit = 1ull << 51,
	};
	for (i = 0; i < FRAMES; i++) {
		p->frame[i] = (struct dmp_frame){ .writable = 1000 };
		if (below(rng, 8))
			p->frame[i].leaf = (random64(rng) & 0x7ffffff000ull) |
				DMP_PTE_P | DMP_PTE_A | DMP_PTE_D |
				(below(rng, 6) ? DMP_PTE_RW : 0);
		fill_record(&p->frame[i], rng);
	}
	for (i = 0; i < sizeof(m->data) / 8; i++)
		((u64 *)m->data)[i] = random64(rng);
	for (t = 0; t < TABLES; t++)
		for (i = 0; i < DMP_ENTRIES; i++) {
			m->table[t][i] = random_entry(rng);
			p->machine[t][i] = oracle_machine(w, m->table[t][i]);
		}
	memcpy(w->memory[DMP], m, sizeof(*m));
	memcpy(w->start, m, sizeof(*m));
	p->implant.leaf_mask = leaf_mask(w);
	p->implant.frames = FRAMES_GVA;
	fill_agent(w, rng);
	memcpy(w->expected, p, sizeof(*p));
}

static struct dmp_cache_entry cache_entry(unsigned int t)
{
	return (struct dmp_cache_entry){
		.tag = world_table_gva(t),
		.guest = GUEST_GVA + t * PAGE,
		.machine = MACHINE_GVA + t * PAGE,
		.table = t + 1,
	};
}

static const struct dmp_cache_entry void_entry = {
	.tag = DMP_CACHE_VOID,
	.guest = DMP_CACHE_VOID,
};

/* At either of its places. */
static void cache_put(struct dmp_implant *im, unsigned int t, u64 *rng)
{
	unsigned int slot = dmp_cache_slot(world_table_gva(t));

	if (below(rng, 2))
		slot = dmp_cache_other(slot);
	im->cache[slot] = cache_entry(t);
}

/* Some tables cached, others not; last[] something else, or void. */
static void fill_cache(struct setup *s, struct world *w, struct program *p,
		       u64 *rng)
{
	struct dmp_implant *im = &w->private->implant;
	u8 k = p->stub.last;
	unsigned int t, i;

	for (i = 0; i < DMP_CACHE_SLOTS; i++)
		im->cache[i] = void_entry;
	for (t = 0; t < TABLES; t++)
		if (t != s->table && below(rng, 2))
			cache_put(im, t, rng);
	im->last[0] = im->last[1] = void_entry;
	t = below(rng, TABLES);
	if (t != s->table && below(rng, 2))
		im->last[k] = cache_entry(t);
	if (s->table == TABLES)
		return;
	if (s->target == TARGET_LAST || s->target == TARGET_CROOKED)
		im->last[k] = cache_entry(s->table);
	/* An entry of its slot must not be taken for it. */
	im->last[!k] = cache_entry(s->table);
	if (s->target == TARGET_CACHED ||
	    (s->target == TARGET_CROOKED && below(rng, 2)))
		cache_put(im, s->table, rng);
}

/* Of an operand that is on both sides of where a page ends. */
static u64 crossing(u8 size, u64 *rng)
{
	static const u64 border[] = {
		DMAP_GVA,			/* data, table 0 */
		DMAP_GVA + PAGE,		/* tables 0 and 1 */
		DMAP_GVA + PAGE,
		DMAP_GVA + 2 * PAGE,		/* table 1, nothing */
		DMAP_GVA + 0x100 * PAGE,	/* nothing, table 2 */
		DATA_GVA, DATA_GVA + PAGE, DATA_GVA + 2 * PAGE,
		FIXED_GVA,			/* nothing, read-only */
		KERNEL_GVA, KERNEL_GVA + PAGE,	/* table 3 and data */
		0x800000000000ull,		/* the last canonical one */
	};

	return border[below(rng, DMP_ARRAY_SIZE(border))] -
	       (size > 1 ? 1 + below(rng, size - 1) : 1);
}

/* An address of the kind wanted. */
static u64 choose_address(struct setup *s, const struct program *p, u64 *rng)
{
	static const u64 holes[] = {
		HOLE_GVA, DMP_CACHE_VOID, 0x0000900000000000ull, 0,
		DMP_CACHE_VOID + 0x1000, 0xfffffffffffffff8ull,
		0x00007ffffffffff0ull, 0xffff7ffffffffff8ull,
	};
	u8 size = p->insn.op_size;
	u64 offset = below(rng, PAGE / size) * size;

	/* The low bits of an entry are where it matters. */
	if (below(rng, 2))
		offset &= ~7ull;
	/* As do those at an end of the table. */
	if (!below(rng, 16))
		offset = below(rng, 2) ? offset & 7 : PAGE - 8 + (offset & 7);

	switch (s->target) {
	case TARGET_DATA:
		return DATA_GVA + below(rng, 2 * PAGE - size + 1);
	case TARGET_FIXED:
		return FIXED_GVA + below(rng, PAGE - size + 1);
	case TARGET_STACK:
		return s->state.reg[DMP_REG_RSP] - 12 + below(rng, 24);
	case TARGET_CROSS:
		return crossing(size, rng);
	case TARGET_HOLE:
		return holes[below(rng, DMP_ARRAY_SIZE(holes))] +
		       (below(rng, 2) ? offset : 0);
	case TARGET_CROOKED:
		offset = below(rng, PAGE - size + 1);
		return world_table_gva(s->table) + (offset | (size > 1));
	default:
		return world_table_gva(s->table) + offset;
	}
}

/* The inverse of odd @a modulo 2^64, by Newton. */
static u64 inverse(u64 a)
{
	u64 x = a;
	int i;

	for (i = 0; i < 6; i++)
		x *= 2 - a * x;
	return x;
}

/* Registers such that the operand is at @gva, as far as they can. */
static void aim(const struct dmp_insn_mem *mem, u64 gva, u64 *reg)
{
	u64 sum = gva - (u64)mem->disp;

	if (mem->base < 16 && mem->base == mem->index) {
		reg[mem->base] = mem->scale == 1 ? sum / 2 :
				 sum * inverse(mem->scale + 1);
	} else if (mem->base < 16) {
		if (mem->index < 16)
			sum -= reg[mem->index] * mem->scale;
		reg[mem->base] = sum;
	} else if (mem->index < 16) {
		reg[mem->index] = sum / mem->scale;
	}
}

static u64 address_of(const struct program *p, const u64 *reg)
{
	const struct dmp_insn_mem *mem = &p->insn.mem;
	u64 gva = (u64)mem->disp;

	if (mem->base < 16)
		gva += reg[mem->base];
	if (mem->base == DMP_REG_RIP)
		gva += p->site + p->insn.length;
	if (mem->index < 16)
		gva += reg[mem->index] * mem->scale;
	return gva;
}

/* The table that a page is; TABLES: none. */
static unsigned int table_at(u64 gva)
{
	unsigned int t;

	for (t = 0; t < TABLES; t++)
		if (gva - world_table_gva(t) < PAGE)
			break;
	return t;
}

/* Whether a stub finds the operand's page, and it fits. */
static bool is_hit(const struct setup *s, const struct world *w,
		   const struct program *p)
{
	const struct dmp_implant *im = &w->private->implant;
	u64 page = s->gva & ~(PAGE - 1);

	if (s->gva % p->insn.op_size)
		return false;
	return im->last[p->stub.last].tag == page ||
	       im->cache[dmp_cache_place(im, page)].tag == page;
}

static void choose_values(struct setup *s, const struct program *p, u64 *rng)
{
	const struct dmp_insn *insn = &p->insn;
	u64 value;

	if (insn->reg_class == DMP_CLASS_NONE)
		return;
	if (insn->form == DMP_FORM_MOV_STORE || insn->form == DMP_FORM_XCHG ||
	    insn->form == DMP_FORM_MOVNTI || insn->form == DMP_FORM_CMPXCHG)
		value = random_change(s->old_word, rng);
	else
		value = 1ull << below(rng, 7) ^ -(u64)below(rng, 2);
	if (insn->op_size < 8)
		value >>= 8 * (s->offset & 7 & -(u64)insn->op_size);
	if (insn->reg_class == DMP_CLASS_HIGH)
		value = value << 8 | (random64(rng) & ~0xff00ull);
	s->state.reg[insn->reg] = value;
}

static void choose_registers(struct setup *s, struct world *w,
			     const struct program *p, u64 *rng)
{
	u64 *reg = s->state.reg, gva;
	int i;

	for (i = 0; i < 16; i++)
		reg[i] = below(rng, 3) ? random64(rng) : below(rng, 64) * 8;
	reg[DMP_REG_RSP] = STACK_GVA + PAGE + below(rng, 64) * 8;
	gva = choose_address(s, p, rng);
	s->offset = gva & (PAGE - 1);
	if (table_at(gva) < TABLES)
		s->old_word = w->memory[REF]->table[table_at(gva)][s->offset / 8];
	choose_values(s, p, rng);
	if (p->insn.form == DMP_FORM_CMPXCHG && below(rng, 2))
		reg[DMP_REG_RAX] = s->old_word >>
			8 * (s->offset & 7 & -(u64)p->insn.op_size);
	aim(&p->insn.mem, gva, reg);
	s->gva = address_of(p, reg);
}

/* So that any RET goes where it should. */
static void fill_stack(struct world *w)
{
	unsigned int i;

	for (i = 0; i < STACK_PAGES * DMP_ENTRIES; i++)
		w->memory[REF]->stack[i / DMP_ENTRIES][i % DMP_ENTRIES] =
			STOP_GVA;
	memcpy(w->memory[DMP]->stack, w->memory[REF]->stack,
	       sizeof(w->memory[REF]->stack));
	memcpy(w->start->stack, w->memory[REF]->stack,
	       sizeof(w->start->stack));
}

/* Whether the operand is where it is, whatever the registers are. */
static bool is_fixed(const struct dmp_insn_mem *mem)
{
	return mem->base >= 16 && mem->index >= 16;
}

void case_setup(struct setup *s, struct world *w, struct program *p, u64 *rng)
{
	static const u8 odds[] = {
		TARGET_LAST, TARGET_LAST, TARGET_LAST, TARGET_LAST,
		TARGET_LAST, TARGET_CACHED, TARGET_CACHED, TARGET_UNKNOWN,
		TARGET_CROOKED, TARGET_DATA, TARGET_HOLE, TARGET_FIXED,
		TARGET_STACK, TARGET_CROSS,
	};

	*s = (struct setup){ .target = odds[below(rng, sizeof(odds))] };
	/* A RET's address is there. */
	if (p->has_stack && s->target == TARGET_STACK)
		s->target = TARGET_DATA;
	s->table = is_fixed(&p->insn.mem) ? 3 : below(rng, TABLES);
	choose_registers(s, w, p, rng);
	s->state.flags = FLAGS_FIXED | (random64(rng) & FLAGS_STATUS);
	s->table = table_at(s->gva);
	s->offset = s->gva & (PAGE - 1);
	s->is_crossing = s->offset + p->insn.op_size > PAGE;
	s->at_table = s->table < TABLES ||
		      table_at(s->gva + p->insn.op_size - 1) < TABLES;
	fill_cache(s, w, p, rng);
	s->is_hit = is_hit(s, w, p);
	if (s->is_hit && s->table < TABLES) {
		s->change = (struct change){
			.table = s->table,
			.index = s->offset / 8,
			.old = w->memory[REF]->table[s->table][s->offset / 8],
			.machine = w->private->machine[s->table][s->offset / 8],
		};
	} else if (s->is_hit) {
		s->is_hit = false;	/* of what is void: faults */
		s->is_void = true;
	}
	if (p->has_stack)
		fill_stack(w);
}
