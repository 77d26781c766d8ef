// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stubs: the ways out of them, and into their middle; see stub.h.
 */
#include "code/stub.h"

#define RAX		DMP_REG_RAX

/* RFLAGS, SDM vol. 1, 3.4.3.1. */
#define STATUS_BYTE	0xd5ull		/* SF, ZF, AF, PF, CF: in AH by LAHF */
#define STATUS_OF	(1ull << 11)

static const struct dmp_stub_row *find_row(const struct dmp_stub *stub,
					   u32 offset)
{
	const struct dmp_stub_row *row = NULL;
	u32 i;

	if (offset >= stub->code)
		return NULL;
	for (i = 0; i < stub->rows && stub->row[i].offset <= offset; i++)
		row = &stub->row[i];
	return row;
}

static u64 home_of(const struct dmp_stub *stub, const struct dmp_stub_row *row)
{
	return row->flags & DMP_ROW_CALLED ? stub->callee : stub->site + row->resume;
}

u64 dmp_stub_home(const struct dmp_stub *stub, u32 offset)
{
	const struct dmp_stub_row *row = find_row(stub, offset);

	return row ? home_of(stub, row) : 0;
}

/* The instruction under the splice that begins at @rip. */
static const struct dmp_splice_insn *find_insn(const struct dmp_stub *stub,
					       u64 rip, u32 *i)
{
	for (*i = 0; *i < stub->plan.count; ++*i)
		if (stub->site + stub->plan.insn[*i].offset == rip)
			return &stub->plan.insn[*i];
	return NULL;
}

static void give_back_registers(const struct dmp_stub *stub,
				const struct dmp_stub_row *row,
				const struct dmp_implant *implant, u64 *regs)
{
	u64 rax = implant->save[RAX];
	u32 i;

	if (row->flags & DMP_ROW_RAX_IN_VALUE)
		rax = regs[stub->value];
	for (i = 0; i < 16; i++)
		if (row->saved >> i & 1)
			regs[i] = i == RAX ? rax : implant->save[i];
}

/* implant->flags: AH by LAHF, AL by SETO. */
static u64 give_back_flags(u64 rflags, u64 saved)
{
	rflags &= ~(STATUS_BYTE | STATUS_OF);
	rflags |= saved >> 8 & STATUS_BYTE;
	return saved & 1 ? rflags | STATUS_OF : rflags;
}

/* CR3 is loaded: the implant is to say so. Nothing, when it does already. */
static void give_target(const struct dmp_stub *stub, struct dmp_implant *implant,
			u64 rcx)
{
	u64 i = (rcx - stub->targets) / sizeof(implant->target[0]);
	const struct dmp_cr3_target *target;

	if (i >= DMP_TARGETS_MAX)
		return;
	target = &implant->target[i];
	implant->walk_tag = ~0ull;	/* as dmp_filter_forget() */
	implant->root = target->root;
	implant->guest_root = target->guest_root;
	implant->private = target->private;
	implant->here = target->machine;
	implant->guest_cr3 = 0 - target->minus_cr3;
}

bool dmp_stub_leave(const struct dmp_stub *stub, struct dmp_implant *implant,
		    u32 offset, u64 regs[16], u64 *rflags,
		    struct dmp_stub_exit *exit)
{
	const struct dmp_stub_row *row = find_row(stub, offset);
	struct dmp_cache_entry *last = &implant->last[stub->last];
	u32 i;

	if (!row)
		return false;
	*exit = (struct dmp_stub_exit){
		.phase = row->phase,
		.rip = home_of(stub, row),
		.cr3 = DMP_REG_NONE,
	};
	if (row->flags & DMP_ROW_CR3 && find_insn(stub, exit->rip, &i))
		exit->cr3 = stub->cr3[i];
	if (row->phase == DMP_STUB_FINISH) {
		exit->at = *last;
		exit->old = implant->old;
		exit->index = regs[stub->address] >> 3 & (DMP_ENTRIES - 1);
		exit->counted = row->counted;
	}
	if (row->flags & DMP_ROW_FILLING) {
		last->tag = DMP_CACHE_VOID;
		last->guest = DMP_CACHE_VOID;
	}
	if (row->flags & DMP_ROW_SWITCHED)
		give_target(stub, implant, regs[DMP_REG_RCX]);
	give_back_registers(stub, row, implant, regs);
	if (row->flags & DMP_ROW_FLAGS_SAVED)
		*rflags = give_back_flags(*rflags, implant->flags);
	return true;
}

u64 dmp_stub_resume(const struct dmp_stub *stub, u64 rip)
{
	const struct dmp_splice_insn *insn;
	u32 i;

	insn = find_insn(stub, rip, &i);
	if (!insn || insn->kind == DMP_SPLICE_PADDING)
		return 0;
	return stub->gva + stub->moved[i];
}

bool dmp_stub_is_own_int3(const struct dmp_stub *stub, u64 rip)
{
	const struct dmp_splice_insn *insn;
	u32 i;

	insn = find_insn(stub, rip, &i);
	return insn && insn->kind == DMP_SPLICE_PADDING;
}
