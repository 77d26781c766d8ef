// SPDX-License-Identifier: GPL-2.0-only
/*
 * The #PF filter's installation and the way out of it; see filter.h.
 */
#include "code/filter.h"
#include "code/filter_blob.h"
#include "arch/paging.h"

_Static_assert(DMP_FILTER_PF_P == DMP_PF_P, "");
_Static_assert(DMP_FILTER_PF_W == DMP_PF_W, "");
_Static_assert(DMP_FILTER_PF_U == DMP_PF_U, "");
_Static_assert(DMP_FILTER_PF_RSVD == DMP_PF_RSVD, "");
_Static_assert(DMP_FILTER_PF_I == DMP_PF_I, "");
_Static_assert(DMP_FILTER_PTE_P == DMP_PTE_P, "");
_Static_assert(DMP_FILTER_PTE_RW == DMP_PTE_RW, "");
_Static_assert(DMP_FILTER_PTE_US == DMP_PTE_US, "");
_Static_assert(DMP_FILTER_PTE_A == DMP_PTE_A, "");
_Static_assert(DMP_FILTER_PTE_D == DMP_PTE_D, "");
_Static_assert(DMP_FILTER_PTE_PS == DMP_PTE_PS, "");
_Static_assert(sizeof(dmp_filter_code) <= DMP_FILTER_DISTANCE, "");
_Static_assert(sizeof(dmp_filter_guarded_code) <= DMP_FILTER_DISTANCE, "");

#define INT3		0xcc
#define RFLAGS_ZF	(1u << 6)
enum { RAX = 0, RSP = 4, RSI = 6, RDI = 7, R9 = 9 };	/* in gpr[] */

static void put_u32(u8 *code, unsigned int offset, u32 value)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		code[offset + i] = value >> (8 * i);
}

enum dmp_filter_refusal dmp_filter_install(u8 *code, size_t bytes,
					   const struct dmp_filter_place *place)
{
	const struct dmp_filter_blob *blob = &dmp_filter_blobs[place->guarded];
	u64 last = place->public_end - 1;
	size_t i;

	if (bytes < blob->bytes)
		return DMP_FILTER_NO_ROOM;
	if (place->filter + DMP_FILTER_DISTANCE != place->implant ||
	    place->implant % DMP_PAGE_SIZE)
		return DMP_FILTER_DISPLACED;
	if (place->public_start > last ||
	    place->public_start >> 32 != last >> 32 ||
	    place->filter < place->public_start ||
	    place->filter + blob->bytes - 1 > last)
		return DMP_FILTER_RANGE;

	for (i = 0; i < bytes; i++)
		code[i] = i < blob->bytes ? blob->code[i] : INT3;
	for (i = 0; i < DMP_FILTER_HYPERCALL_BYTES; i++)
		code[blob->hypercall + i] = place->hypercall[i];
	put_u32(code, blob->public_high, last >> 32);
	put_u32(code, blob->public_last, last);
	put_u32(code, blob->public_first, place->public_start);
	return DMP_FILTER_INSTALLED;
}

bool dmp_filter_deliver(u8 *code, bool guarded, u64 filter, u64 deliver)
{
	const struct dmp_filter_blob *blob = &dmp_filter_blobs[guarded];
	u64 rel = deliver - (filter + blob->deliver_end);

	if ((u64)(s64)(s32)rel != rel)
		return false;
	put_u32(code, blob->deliver_end - 4, rel);
	return true;
}

unsigned int dmp_filter_hypercall_offset(bool guarded)
{
	return dmp_filter_blobs[guarded].hypercall;
}

unsigned int dmp_filter_code_bytes(bool guarded)
{
	return dmp_filter_blobs[guarded].code_end;
}

/* The last row that begins at or before @offset; NULL when that is not code. */
static const struct dmp_filter_row *find_row(const struct dmp_filter_blob *blob,
					     unsigned int offset)
{
	size_t i = blob->rows;

	if (offset >= blob->code_end)
		return NULL;
	while (blob->row[--i].offset > offset)
		;
	return &blob->row[i];
}

void dmp_filter_leave(bool guarded, unsigned int offset, struct dmp_implant *implant,
		      struct dmp_filter_regs *regs, struct dmp_filter_left *left)
{
	const struct dmp_filter_blob *blob = &dmp_filter_blobs[guarded];
	const struct dmp_filter_row *row = find_row(blob, offset);
	unsigned int i;

	*left = (struct dmp_filter_left){ .kind = DMP_FILTER_LEFT_NOWHERE };
	if (!row)
		return;
	dmp_filter_forget(implant);
	left->kind = DMP_FILTER_LEFT_RESOLVED;
	if (row->kind == DMP_FILTER_BEFORE ||
	    (row->kind == DMP_FILTER_AGENT && !implant->agent.done)) {
		left->kind = DMP_FILTER_LEFT_FAULT;
	} else if (row->kind == DMP_FILTER_COMMIT) {
		left->kind = regs->rflags & RFLAGS_ZF ? DMP_FILTER_LEFT_FOLLOW :
							DMP_FILTER_LEFT_FAULT;
		left->table = (regs->gpr[RSI] - implant->window) >> DMP_PAGE_SHIFT;
		left->index = regs->gpr[RDI];
		left->old = regs->gpr[RAX];
	} else if (row->kind == DMP_FILTER_COUNT) {
		left->kind = DMP_FILTER_LEFT_COUNT;
		left->gfn = regs->gpr[R9] / DMP_FRAME_BYTES;
	}

	for (i = 0; i < DMP_ARRAY_SIZE(regs->gpr); i++)
		if (row->saved & 1u << i)
			regs->gpr[i] = implant->save[i];
	regs->rip -= offset;
	if (left->kind == DMP_FILTER_LEFT_FAULT)
		return;
	if (row->kind != DMP_FILTER_DONE && row->kind != DMP_FILTER_AGENT)
		implant->lazy_a++;
	if (!row->popped)
		regs->gpr[RSP] += 8;
	regs->rip += blob->iretq;
}
