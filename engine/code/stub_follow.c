// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stubs: the machine entry follows the guest's. What dmp_table_follow() does
 * to a level-1 entry, for the cases that are frequent; the rest is the VMM's.
 */
#include "code/stub_build.h"

#define RAX		DMP_REG_RAX
#define LEAF_OK		(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A)
/* Of the guest's leaf, what the machine's takes over; US is set. */
#define KEPT_BITS	(DMP_PTE_NX | DMP_PTE_G | DMP_PTE_US)

static void test_bits(struct dmp_stub_build *b, u8 reg, u64 bits)
{
	dmp_emit_reg_imm(&b->e, DMP_OP_TEST_8, 0, reg, bits, 1);
}

static void jump(struct dmp_stub_build *b, u8 condition,
		 struct dmp_label *label)
{
	dmp_emit_jump_label(&b->e, condition, label);
}

/* @reg, an entry, becomes the gva of its frame's record. */
static void to_record(struct dmp_stub_build *b, u8 reg)
{
	dmp_emit_reg_imm(&b->e, DMP_OP_SHIFT, DMP_EXT_SHL, reg, 12, 1);
	dmp_emit_reg_imm(&b->e, DMP_OP_SHIFT, DMP_EXT_SHR, reg, 24, 1);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMUL, reg, reg, DMP_FRAME_BYTES, 1);
	dmp_emit_mem(&b->e, DMP_OP_ADD, reg,
		     dmp_stub_at(b, DMP_IMPLANT_FRAMES), 0);
}

/* One more (+1) or less (-1) writable mapping of the record at @reg. */
static void count(struct dmp_stub_build *b, u8 reg, s8 by)
{
	dmp_emit_mem(&b->e, DMP_OP_INCDEC | DMP_OP_32, by < 0,
		     dmp_emit_ptr(reg, DMP_FRAME_WRITABLE), 0);
	b->now.counted = by;
	dmp_stub_row(b);
}

/* The machine entry is written: all is done. */
static void published(struct dmp_stub_build *b)
{
	b->now.phase = DMP_STUB_DONE;
	b->now.counted = 0;
	dmp_stub_row(b);
}

static void publish(struct dmp_stub_build *b, u8 reg)
{
	dmp_emit_mem(&b->e, DMP_OP_STORE, reg, dmp_emit_ptr(b->address, 0), 0);
	published(b);
}

static void publish_zero(struct dmp_stub_build *b)
{
	dmp_emit_mem_imm(&b->e, DMP_OP_MOV_IMM, 0, dmp_emit_ptr(b->address, 0),
			 0, 4);
	published(b);
}

/*
 * The guest's entry is not present now. .base is the machine entry; inverted,
 * its US and RW are zero where the frequent case has them set.
 */
static void follow_absent(struct dmp_stub_build *b)
{
	dmp_emit_reg(&b->e, DMP_OP_NOT, 2, b->base);
	test_bits(b, b->base, DMP_PTE_RW | DMP_PTE_US);
	jump(b, DMP_CC_NZ, &b->rare);
	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->base,
		     dmp_stub_at(b, DMP_IMPLANT_OLD), 0);
	to_record(b, b->base);
	count(b, b->base, -1);
	publish_zero(b);
}

/* Nothing was mapped, or not writable, or not for user mode. */
static void follow_absent_rare(struct dmp_stub_build *b)
{
	dmp_emit_bind(&b->e, &b->rare);
	dmp_stub_row(b);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_CMP, b->base, ~0ull, 1);
	jump(b, DMP_CC_Z, &b->end);
	test_bits(b, b->base, DMP_PTE_US);
	jump(b, DMP_CC_NZ, &b->slow);
	publish_zero(b);
	jump(b, DMP_JMP, &b->end);
}

/* @reg, the guest's leaf, with the frame's at .base, becomes the machine's. */
static void to_machine(struct dmp_stub_build *b, u8 reg)
{
	if (reg != RAX)
		dmp_emit_reg(&b->e, DMP_OP_STORE, reg, RAX);
	dmp_emit_mem_label(&b->e, DMP_OP_AND, RAX, &b->kept);
	dmp_emit_mem(&b->e, DMP_OP_OR, RAX,
		     dmp_emit_ptr(b->base, DMP_FRAME_LEAF), 0);
}

static void test_record(struct dmp_stub_build *b, u64 bits)
{
	dmp_emit_mem_imm(&b->e, DMP_OP_TEST_8, 0,
			 dmp_emit_ptr(b->base, DMP_FRAME_LEAF), bits, 1);
	jump(b, DMP_CC_Z, &b->slow);
}

/* A leaf where nothing was mapped: writable and dirty, as first touched. */
static void follow_new(struct dmp_stub_build *b, u8 new)
{
	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->base,
		     dmp_stub_at(b, DMP_IMPLANT_LEAF_MASK), 0);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_OR, b->base,
			 DMP_PTE_RW | DMP_PTE_D, 1);
	dmp_emit_reg(&b->e, DMP_OP_AND, b->base, new);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_CMP, b->base,
			 LEAF_OK | DMP_PTE_RW | DMP_PTE_D, 1);
	jump(b, DMP_CC_NZ, &b->read_only);
	dmp_emit_reg(&b->e, DMP_OP_STORE, new, b->base);
	to_record(b, b->base);
	test_record(b, DMP_PTE_RW);
	count(b, b->base, 1);
	to_machine(b, new);
	publish(b, RAX);
	jump(b, DMP_JMP, &b->end);
}

/* Otherwise, one that is not writable, dirty or not. */
static void follow_new_read_only(struct dmp_stub_build *b, u8 new)
{
	dmp_emit_bind(&b->e, &b->read_only);
	dmp_stub_row(b);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_AND, b->base,
			 ~DMP_PTE_D, 1);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_CMP, b->base, LEAF_OK, 1);
	jump(b, DMP_CC_NZ, &b->lazy);
	dmp_emit_reg(&b->e, DMP_OP_STORE, new, b->base);
	to_record(b, b->base);
	test_record(b, DMP_PTE_P);
	to_machine(b, new);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_AND, RAX, ~DMP_PTE_RW, 1);
	publish(b, RAX);
	jump(b, DMP_JMP, &b->end);
}

/* Nor accessed yet, as all that a process just forked has: it traps. */
static void follow_new_lazy(struct dmp_stub_build *b, u8 new)
{
	dmp_emit_bind(&b->e, &b->lazy);
	dmp_stub_row(b);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_CMP, b->base,
			 LEAF_OK & ~DMP_PTE_A, 1);
	jump(b, DMP_CC_NZ, &b->slow);
	dmp_emit_reg(&b->e, DMP_OP_STORE, new, b->base);
	to_record(b, b->base);
	test_record(b, DMP_PTE_P);
	dmp_emit_mem(&b->e, DMP_OP_LOAD, RAX,
		     dmp_stub_at(b, DMP_IMPLANT_LAZY), 0);
	publish(b, RAX);
	jump(b, DMP_JMP, &b->end);
}

/*
 * A leaf where there was one: nothing to do when it is the same; when only RW
 * was cleared, nor when the machine entry had none (a trap never has).
 */
static void follow_changed(struct dmp_stub_build *b, u8 new)
{
	dmp_emit_bind(&b->e, &b->changed);
	dmp_stub_row(b);
	test_bits(b, b->base, DMP_PTE_US);
	jump(b, DMP_CC_Z, &b->slow);
	if (new != RAX)
		dmp_emit_reg(&b->e, DMP_OP_STORE, new, RAX);
	dmp_emit_mem(&b->e, DMP_OP_XOR, RAX, dmp_stub_at(b, DMP_IMPLANT_OLD),
		     0);
	jump(b, DMP_CC_Z, &b->end);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_CMP, RAX, DMP_PTE_RW, 1);
	jump(b, DMP_CC_NZ, &b->slow);
	dmp_emit_mem(&b->e, DMP_OP_LOAD, RAX, dmp_stub_at(b, DMP_IMPLANT_OLD),
		     0);
	test_bits(b, RAX, DMP_PTE_RW);
	jump(b, DMP_CC_Z, &b->slow);
	test_bits(b, b->base, DMP_PTE_RW);
	jump(b, DMP_CC_Z, &b->end);
	to_record(b, RAX);
	count(b, RAX, -1);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_AND, b->base,
			 ~DMP_PTE_RW, 1);
	publish(b, b->base);
	jump(b, DMP_JMP, &b->end);
}

/*
 * All else is for the agent, which comes back when it has done it, and else asks
 * the VMM. It has a stack of its own: nobody knows how much is left of the
 * guest's.
 */
static void follow_slowly(struct dmp_stub_build *b)
{
	dmp_emit_bind(&b->e, &b->slow);
	dmp_stub_row(b);
	b->stub->ask = (u16)b->e.len;
	dmp_emit_mem(&b->e, DMP_OP_STORE, b->address,
		     dmp_stub_at(b, DMP_IMPLANT_AGENT + DMP_AGENT_ENTRY), 0);
	dmp_emit_mem_imm(&b->e, DMP_OP_MOV_IMM, 0,
			 dmp_stub_at(b, DMP_IMPLANT_AGENT + DMP_AGENT_LOGGED),
			 0, 4);
	dmp_emit_mem_imm(&b->e, DMP_OP_MOV_IMM | DMP_OP_32, 0,
			 dmp_stub_at(b, DMP_IMPLANT_AGENT + DMP_AGENT_LAST),
			 b->stub->last, 4);
	dmp_stub_save(b, DMP_REG_RSP);
	dmp_emit_mem(&b->e, DMP_OP_LEA, DMP_REG_RSP,
		     dmp_stub_at(b, DMP_IMPLANT_BYTES), 0);
	dmp_emit_jump(&b->e, DMP_CALL, b->site->agent);
	published(b);
	dmp_stub_restore(b, DMP_REG_RSP);
	jump(b, DMP_JMP, &b->end);
}

/* Whether the new entry is known when the stub is made, and not present. */
static bool is_always_absent(const struct dmp_insn *insn)
{
	return insn->form == DMP_FORM_MOV_STORE && insn->op_size == 8 &&
	       insn->reg_class == DMP_CLASS_NONE && !(insn->imm & DMP_PTE_P);
}

/* The register of an operand that is the new entry; RAX: it must be read. */
static u8 new_entry(const struct dmp_stub_build *b)
{
	const struct dmp_insn *insn = &b->insn;

	if ((insn->form != DMP_FORM_MOV_STORE &&
	     insn->form != DMP_FORM_MOVNTI) || insn->op_size != 8 ||
	    insn->reg_class != DMP_CLASS_GPR)
		return RAX;
	return b->value != DMP_REG_NONE ? b->value : insn->reg;
}

void dmp_stub_follow(struct dmp_stub_build *b)
{
	bool never = is_always_absent(&b->insn);
	u8 new = new_entry(b);

	if (!never && new == RAX)
		dmp_emit_mem(&b->e, DMP_OP_LOAD, RAX,
			     dmp_emit_pair(b->base, b->address), 0);
	dmp_emit_mem(&b->e, DMP_OP_ADD, b->address, dmp_stub_last(b, 16), 0);
	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->base, dmp_emit_ptr(b->address, 0),
		     0);
	if (!never) {
		test_bits(b, new, DMP_PTE_P);
		jump(b, DMP_CC_NZ, &b->present);
	}
	follow_absent(b);
}

void dmp_stub_follow_rest(struct dmp_stub_build *b)
{
	const struct dmp_stub_row begin = b->now;
	u8 new = new_entry(b);

	follow_absent_rare(b);
	b->now = begin;
	if (!is_always_absent(&b->insn)) {
		dmp_emit_bind(&b->e, &b->present);
		dmp_stub_row(b);
		dmp_emit_reg(&b->e, DMP_OP_TEST_REG, b->base, b->base);
		jump(b, DMP_CC_NZ, &b->changed);
		follow_new(b, new);
		b->now = begin;
		follow_new_read_only(b, new);
		b->now = begin;
		follow_new_lazy(b, new);
		b->now = begin;
		follow_changed(b, new);
		b->now = begin;
	}
	follow_slowly(b);
}

void dmp_stub_constants(struct dmp_stub_build *b)
{
	while (b->e.len % 8 && !b->e.failed)
		dmp_emit_byte(&b->e, DMP_SPLICE_INT3);
	dmp_emit_bind(&b->e, &b->kept);
	dmp_emit_number(&b->e, KEPT_BITS, 8);
}
