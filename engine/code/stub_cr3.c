// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stubs: MOV to and from CR3.
 *
 * What the guest may read is its own value, which the VMM keeps in the
 * implant's page: a load. What it writes it leaves where it is, in a register
 * that the stub names, and makes a hypercall: no flag and no other register is
 * touched, and there is nothing to undo. Until it is served the guest stands at
 * the instruction itself, so that a #GP, a step and a count are that one's.
 *
 * Where the CPU lets some values pass (target.h), the stub first looks whether it
 * is one of those that stand for them, and loads that. There may be no stack, as
 * in the entry code of KPTI, so it has none, and compares without touching
 * flags: by a sum with the negated value, and JRCXZ.
 */
#include "code/stub_build.h"

#define RCX	DMP_REG_RCX
#define JRCXZ	0xe3
#define JRCXZ_MAX	127

/* The registers it works with, RCX aside. */
struct regs {
	u8 from;		/* the guest's own */
	u8 value;		/* what it loads; .from, or a copy */
	u8 temp;
};

/* Room for JRCXZ to somewhere behind; see come_here(). */
static u32 jump_if_rcx_is_0(struct dmp_stub_build *b)
{
	dmp_emit_byte(&b->e, JRCXZ);
	dmp_emit_byte(&b->e, 0);
	return b->e.len;
}

static void come_here(struct dmp_stub_build *b, u32 from)
{
	u32 distance = b->e.len - from;

	if (b->e.failed || distance > JRCXZ_MAX)
		b->e.failed = true;
	else
		b->e.bytes[from - 1] = (u8)distance;
}

static u64 target_at(const struct dmp_stub_build *b, u32 i)
{
	return b->site->implant + DMP_IMPLANT_TARGET + i * DMP_TARGET_BYTES;
}

/* To where RCX points to the target that the value is one of. */
static void find_target(struct dmp_stub_build *b, const struct regs *r, u32 *hit)
{
	u32 i;

	dmp_stub_save(b, RCX);
	if (r->value != r->from) {
		dmp_stub_save(b, r->value);
		dmp_emit_reg(&b->e, DMP_OP_STORE, r->from, r->value);
	}
	for (i = 0; i < b->site->targets; i++) {
		dmp_emit_mem(&b->e, DMP_OP_LOAD, RCX,
			     dmp_emit_at(target_at(b, i) + DMP_TARGET_MINUS_CR3), 0);
		dmp_emit_mem(&b->e, DMP_OP_LEA, RCX,
			     dmp_emit_pair(r->value, RCX), 0);
		hit[i] = jump_if_rcx_is_0(b);
	}
}

static void restore(struct dmp_stub_build *b, const struct regs *r)
{
	if (b->now.saved >> r->temp & 1)
		dmp_stub_restore(b, r->temp);
	if (b->now.saved >> r->value & 1)
		dmp_stub_restore(b, r->value);
	dmp_stub_restore(b, RCX);
}

/* A word of the target that RCX points to goes to one of the implant. */
static void take(struct dmp_stub_build *b, u8 temp, s32 from, u32 to)
{
	dmp_emit_mem(&b->e, DMP_OP_LOAD, temp, dmp_emit_ptr(RCX, from), 0);
	dmp_emit_mem(&b->e, DMP_OP_STORE, temp, dmp_stub_at(b, to), 0);
}

/*
 * The root is loaded, and the implant says so: what dmp_view_try_root() says.
 * An exit in between is left with all of it said.
 */
static void load_target(struct dmp_stub_build *b, const struct regs *r, u8 resume)
{
	dmp_stub_save(b, r->temp);
	dmp_emit_mem(&b->e, DMP_OP_LOAD, r->temp,
		     dmp_emit_ptr(RCX, DMP_TARGET_MACHINE), 0);
	b->now.flags |= DMP_ROW_CR3;
	dmp_stub_row(b);
	dmp_emit_byte(&b->e, 0x0f);		/* MOV %temp, %cr3 */
	dmp_emit_byte(&b->e, 0x22);
	dmp_emit_byte(&b->e, 0xc0 | 3 << 3 | r->temp);
	b->now.flags ^= DMP_ROW_CR3 | DMP_ROW_SWITCHED;
	b->now.phase = DMP_STUB_DONE;
	b->now.resume = resume;
	dmp_stub_row(b);
	take(b, r->temp, DMP_TARGET_ROOT, DMP_IMPLANT_ROOT);
	take(b, r->temp, DMP_TARGET_GUEST_ROOT, DMP_IMPLANT_GUEST_ROOT);
	if (b->site->guarded) {
		take(b, r->temp, DMP_TARGET_PRIVATE, DMP_IMPLANT_PRIVATE);
		take(b, r->temp, DMP_TARGET_MACHINE, DMP_IMPLANT_HERE);
	}
	dmp_emit_mem_imm(&b->e, DMP_OP_MOV_IMM, 0,
			 dmp_stub_at(b, DMP_IMPLANT_WALK_TAG), ~0ull, 4);
	dmp_emit_mem(&b->e, DMP_OP_STORE, r->value,
		     dmp_stub_at(b, DMP_IMPLANT_GUEST_CR3), 0);
	b->now.flags &= ~DMP_ROW_SWITCHED;
	dmp_stub_row(b);
	restore(b, r);
}

static void call(struct dmp_stub_build *b, u32 i)
{
	b->stub->call[i] = (u16)b->e.len;
	b->now.flags |= DMP_ROW_CR3;
	dmp_stub_row(b);
	dmp_emit_copy(&b->e, b->site->hypercall, DMP_STUB_HYPERCALL);
	b->now.flags &= ~DMP_ROW_CR3;
}

static void load_root(struct dmp_stub_build *b, const struct dmp_insn *insn, u32 i)
{
	struct dmp_label found = { 0 }, end = { 0 };
	struct dmp_stub_row begin = b->now, at_hit;
	u32 hit[DMP_TARGETS_MAX] = { 0 }, k;
	struct regs r = {
		.from = insn->rm,
		.value = insn->rm == RCX ? DMP_REG_RSI : insn->rm,
		.temp = insn->rm == DMP_REG_RDX ? DMP_REG_RBX : DMP_REG_RDX,
	};

	b->stub->targets = target_at(b, 0);
	find_target(b, &r, hit);
	at_hit = b->now;
	restore(b, &r);
	call(b, i);
	b->now.phase = DMP_STUB_DONE;
	b->now.resume = begin.resume + insn->length;
	dmp_stub_row(b);
	dmp_emit_jump_label(&b->e, DMP_JMP, &end);
	b->now = at_hit;
	dmp_stub_row(b);
	for (k = 0; k < b->site->targets; k++) {
		come_here(b, hit[k]);
		dmp_emit_mem(&b->e, DMP_OP_LEA, RCX, dmp_emit_at(target_at(b, k)), 0);
		if (k + 1u < b->site->targets)
			dmp_emit_jump_label(&b->e, DMP_JMP, &found);
	}
	dmp_emit_bind(&b->e, &found);
	load_target(b, &r, begin.resume + insn->length);
	dmp_emit_bind(&b->e, &end);
}

void dmp_stub_cr3(struct dmp_stub_build *b, const struct dmp_insn *insn, u32 i)
{
	if (insn->form == DMP_FORM_MOV_FROM_CR) {
		dmp_emit_mem(&b->e, DMP_OP_LOAD, insn->rm,
			     dmp_stub_at(b, DMP_IMPLANT_GUEST_CR3), 0);
		return;
	}
	b->stub->cr3[i] = insn->rm;
	if (b->site->targets)
		load_root(b, insn, i);
	else
		call(b, i);
}
