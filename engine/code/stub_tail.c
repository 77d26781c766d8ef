// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stubs: beginning and end of making one, and the displaced instructions.
 */
#include "code/stub_build.h"

/*
 * CALL rel32, as PUSH of the address that it would push (32 bits,
 * sign-extended) and JMP. Between the two the guest is at the callee.
 */
static void emit_call(struct dmp_stub_build *b, u64 back, u64 target)
{
	if (back != (u64)(s64)(s32)back)
		b->e.failed = true;
	dmp_emit_byte(&b->e, 0x68);
	dmp_emit_number(&b->e, back, 4);
	b->stub->callee = target;
	b->now.flags |= DMP_ROW_CALLED;
	dmp_stub_row(b);
	dmp_emit_jump(&b->e, DMP_JMP, target);
	b->now.flags &= ~DMP_ROW_CALLED;
}

static void emit_displaced(struct dmp_stub_build *b, u32 i)
{
	const struct dmp_splice_insn *at = &b->site->plan->insn[i];
	struct dmp_insn insn;
	struct dmp_code code = {
		.bytes = b->site->bytes + at->offset,
		.insn = &insn,
		.ip = b->site->site + at->offset,
	};

	if (dmp_insn_decode(code.bytes, at->length, &insn) != DMP_INSN_OK) {
		b->e.failed = true;
		return;
	}
	b->stub->moved[i] = (u16)b->e.len;
	b->now.resume = at->offset;
	b->now.phase = i || at->kind != DMP_SPLICE_REPLACED ? DMP_STUB_DONE :
							      DMP_STUB_RESTART;
	dmp_stub_row(b);
	if (at->kind == DMP_SPLICE_REPLACED)
		dmp_stub_cr3(b, &insn, i);
	else if (at->kind == DMP_SPLICE_JUMP)
		dmp_emit_jump(&b->e, DMP_JMP, dmp_insn_target(&insn, code.ip));
	else if (at->kind == DMP_SPLICE_KIND_CALL)
		emit_call(b, code.ip + at->length,
			  dmp_insn_target(&insn, code.ip));
	else
		dmp_emit_moved(&b->e, &code);
}

void dmp_stub_tail(struct dmp_stub_build *b, u32 first)
{
	const struct dmp_splice_plan *plan = b->site->plan;
	u8 last = DMP_SPLICE_REPLACED;
	u32 i;

	for (i = first; i < plan->count; i++) {
		if (plan->insn[i].kind == DMP_SPLICE_PADDING)
			continue;
		emit_displaced(b, i);
		last = plan->insn[i].kind;
	}
	if (dmp_splice_ends(last))
		return;
	b->now.resume = plan->len;
	b->now.phase = DMP_STUB_DONE;
	dmp_stub_row(b);
	dmp_emit_jump(&b->e, DMP_JMP, b->site->site + plan->len);
}

enum dmp_stub_refusal dmp_stub_open(struct dmp_stub_build *b,
				    const struct dmp_stub_site *site,
				    u8 *code, u32 size, struct dmp_stub *stub)
{
	*stub = (struct dmp_stub){
		.site = site->site,
		.gva = site->stub,
		.plan = *site->plan,
		.value = DMP_REG_NONE,
		.address = DMP_REG_NONE,
	};
	*b = (struct dmp_stub_build){
		.e = { .bytes = code, .size = size, .ip = site->stub },
		.site = site,
		.stub = stub,
		.code = { .bytes = site->bytes, .ip = site->site },
	};
	b->code.insn = &b->insn;
	__builtin_memset(stub->cr3, DMP_REG_NONE, sizeof(stub->cr3));
	if (b->e.size > DMP_STUB_BYTES_MAX)
		b->e.size = DMP_STUB_BYTES_MAX;
	if (dmp_insn_decode(site->bytes, site->plan->len, &b->insn) !=
	    DMP_INSN_OK)
		return DMP_STUB_DECODE;
	if (!dmp_splice_reaches(site->plan, site->site, dmp_stub_entry(site)))
		return DMP_STUB_REACH;
	return DMP_STUB_OK;
}

enum dmp_stub_refusal dmp_stub_close(struct dmp_stub_build *b)
{
	b->stub->size = b->e.len;
	if (b->e.len == b->e.size || b->many_rows)
		return DMP_STUB_NO_ROOM;
	return b->e.failed ? DMP_STUB_REACH : DMP_STUB_OK;
}

enum dmp_stub_refusal dmp_stub_make_prologue(const struct dmp_stub_site *site,
					     u64 filter, u8 *code, u32 size,
					     struct dmp_stub *stub)
{
	enum dmp_stub_refusal why;
	struct dmp_stub_build b;

	why = dmp_stub_open(&b, site, code, size, stub);
	if (why != DMP_STUB_OK)
		return why;
	if (site->plan->insn[0].kind == DMP_SPLICE_REPLACED)
		return DMP_STUB_FORM;
	dmp_stub_row(&b);
	dmp_emit_jump(&b.e, DMP_JMP, filter);
	stub->deliver = (u16)b.e.len;
	b.now.phase = DMP_STUB_DONE;
	dmp_stub_tail(&b, 0);
	stub->code = (u16)b.e.len;
	return dmp_stub_close(&b);
}
