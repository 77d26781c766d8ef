// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splices: what they displace, and where their stubs may lie; see splice.h.
 */
#include "code/splice.h"

static const char *const refusal_names[DMP_SPLICE_REASONS] = {
	[DMP_SPLICE_OK] = "ok",
	[DMP_SPLICE_DECODE] = "decode",
	[DMP_SPLICE_TRUNCATED] = "truncated",
	[DMP_SPLICE_PAGE_CROSS] = "page-cross",
	[DMP_SPLICE_BRANCH] = "branch",
	[DMP_SPLICE_IS_CALL] = "call",
	[DMP_SPLICE_JMP_SHORT] = "jmp-short",
	[DMP_SPLICE_NOP] = "nop",
	[DMP_SPLICE_PRIVILEGED] = "privileged",
	[DMP_SPLICE_ODD] = "odd",
	[DMP_SPLICE_EIP_REL] = "eip-relative",
	[DMP_SPLICE_REACH] = "reach",
};

const char *dmp_splice_refusal_name(enum dmp_splice_refusal why)
{
	return (unsigned int)why < DMP_SPLICE_REASONS ? refusal_names[why] : "?";
}

/*
 * ---- What may be displaced ----
 */

static enum dmp_splice_refusal check_branch(const struct dmp_insn *insn,
					    u32 flags, u8 *kind)
{
	switch (insn->form) {
	case DMP_FORM_RET:
		*kind = DMP_SPLICE_RET;
		return DMP_SPLICE_OK;
	case DMP_FORM_JMP_REL:
		*kind = DMP_SPLICE_JUMP;
		return insn->imm_size == 4 || flags & DMP_SPLICE_SETTLED ?
		       DMP_SPLICE_OK : DMP_SPLICE_JMP_SHORT;
	case DMP_FORM_CALL_REL:
		*kind = DMP_SPLICE_KIND_CALL;
		return flags & DMP_SPLICE_MAY_CALL ? DMP_SPLICE_OK : DMP_SPLICE_IS_CALL;
	default:
		return DMP_SPLICE_BRANCH;
	}
}

/*
 * Instructions that would tell the guest where they ran, that exit, or whose
 * effect reaches over the next one, which may be one of ours by then.
 */
static bool is_odd(const struct dmp_insn *insn)
{
	switch (insn->form) {
	case DMP_FORM_INT3:
	case DMP_FORM_INT1:
	case DMP_FORM_INT:
	case DMP_FORM_UD:
	case DMP_FORM_POPF:	/* TF, IF */
	case DMP_FORM_PAUSE:
	case DMP_FORM_MONITOR:
	case DMP_FORM_MWAIT:
	case DMP_FORM_SMSW:
	case DMP_FORM_SGDT:
	case DMP_FORM_SIDT:
	case DMP_FORM_SLDT:
	case DMP_FORM_STR:
	case DMP_FORM_XGETBV:
	case DMP_FORM_CPUID:
	case DMP_FORM_RDTSC:
	case DMP_FORM_RDTSCP:
	case DMP_FORM_RDPMC:
	case DMP_FORM_SERIALIZE:
		return true;
	default:
		break;
	}
	if (insn->form > DMP_FORM_OUTS)		/* VMX, SVM */
		return true;
	/* MOV to SS and POP SS hold off interrupts; SDM vol. 3, 6.8.3. */
	if (insn->reg_class == DMP_CLASS_SEG || insn->rm_class == DMP_CLASS_SEG)
		return true;
	if (insn->map == DMP_MAP_0F)
		return (insn->opcode & 0xf7) == 0xa1 ||	/* POP FS, POP GS */
		       (insn->opcode & 0xfe) == 0xb2 ||	/* LSS */
		       (insn->opcode & 0xfe) == 0xb4;	/* LFS, LGS */
	/* x87 keeps the address of the last one; SDM vol. 1, 8.1.8. */
	return insn->map == DMP_MAP_ONE &&
	       ((insn->opcode & 0xf8) == 0xd8 || insn->opcode == 0x9b ||
		insn->opcode == 0x8e || insn->opcode == 0x8c);
}

static bool is_privileged(const struct dmp_insn *insn)
{
	if (insn->form == DMP_FORM_CLAC || insn->form == DMP_FORM_STAC)
		return false;
	return insn->flags & (DMP_INSN_PRIVILEGED | DMP_INSN_IOPL |
			      DMP_INSN_SERIALIZING);
}

/* Whether @insn may be displaced, and as what. */
static enum dmp_splice_refusal check_displaced(const struct dmp_insn *insn,
					       u32 flags, u8 *kind)
{
	*kind = DMP_SPLICE_MOVED;
	/* Linux flushes the TLB by a MOV from CR3 with one to CR3 behind it. */
	if (dmp_insn_is_cr3(insn) && !(flags & DMP_SPLICE_PROLOGUE)) {
		*kind = DMP_SPLICE_REPLACED;
		return DMP_SPLICE_OK;
	}
	if (is_privileged(insn))
		return DMP_SPLICE_PRIVILEGED;
	if (is_odd(insn))
		return DMP_SPLICE_ODD;
	if (insn->flags & (DMP_INSN_BRANCH | DMP_INSN_RELATIVE |
			   DMP_INSN_ENDS_BLOCK))
		return check_branch(insn, flags, kind);
	/* Linux: jump labels, static calls, ftrace. */
	if (insn->form == DMP_FORM_NOP && !(flags & DMP_SPLICE_SETTLED) &&
	    (insn->length == 2 || insn->length == 5))
		return DMP_SPLICE_NOP;
	if (insn->flags & DMP_INSN_RIP_REL && insn->mem.addr_size != 8)
		return DMP_SPLICE_EIP_REL;
	return DMP_SPLICE_OK;
}

/*
 * ---- The plan ----
 */

/*
 * One more instruction, at plan->len. Behind the end of a run there may be
 * padding, or other code.
 */
static enum dmp_splice_refusal plan_add(struct dmp_splice_plan *plan,
					const u8 *bytes, size_t avail,
					u32 flags)
{
	struct dmp_splice_insn *next = &plan->insn[plan->count];
	u8 last = plan->count ? next[-1].kind : DMP_SPLICE_REPLACED;
	enum dmp_splice_refusal why = DMP_SPLICE_OK;
	enum dmp_insn_status status;
	struct dmp_insn insn;

	status = dmp_insn_decode(bytes + plan->len, avail - plan->len, &insn);
	if (status != DMP_INSN_OK)
		return status == DMP_INSN_TRUNCATED ? DMP_SPLICE_TRUNCATED :
						      DMP_SPLICE_DECODE;
	if (insn.form == DMP_FORM_INT3 &&
	    (dmp_splice_ends(last) || last == DMP_SPLICE_PADDING))
		next->kind = DMP_SPLICE_PADDING;
	else if (!plan->count && !(flags & DMP_SPLICE_PROLOGUE))
		next->kind = DMP_SPLICE_REPLACED;
	else
		why = check_displaced(&insn, flags, &next->kind);
	next->offset = plan->len;
	next->length = insn.length;
	plan->len += insn.length;
	plan->count++;
	return why;
}

enum dmp_splice_refusal dmp_splice_plan(const u8 *bytes, size_t avail,
					u64 site, u32 flags,
					struct dmp_splice_plan *plan)
{
	enum dmp_splice_refusal why;
	bool ended = false;
	u8 i;

	*plan = (struct dmp_splice_plan){ 0 };
	while (plan->len < DMP_SPLICE_JMP) {
		why = plan_add(plan, bytes, avail, flags);
		/* What is cut off stands on the next page. */
		if (why == DMP_SPLICE_TRUNCATED && !((site + avail) & 0xfff))
			why = DMP_SPLICE_PAGE_CROSS;
		if (why != DMP_SPLICE_OK)
			return why;
		ended |= dmp_splice_ends(plan->insn[plan->count - 1].kind);
		/* Behind the end, code may begin at any byte. */
		for (i = plan->len; i < DMP_SPLICE_JMP; i++)
			if (ended || i == plan->len)
				plan->trap |= 1u << (i - 1);
	}
	/* Writing two pages at once is for later. */
	if ((site & 0xfff) + plan->len > 0x1000)
		return DMP_SPLICE_PAGE_CROSS;
	return DMP_SPLICE_OK;
}

/*
 * ---- Where stubs may lie ----
 */

static u8 trap_byte(const struct dmp_splice_plan *plan, u32 i)
{
	return plan->trap >> i & 1;
}

bool dmp_splice_reaches(const struct dmp_splice_plan *plan, u64 site, u64 stub)
{
	u64 rel = stub - (site + DMP_SPLICE_JMP);
	u32 i;

	if (rel + 0x80000000u >= 0x100000000ull)
		return false;
	for (i = 0; i < 4; i++)
		if (trap_byte(plan, i) && (u8)(rel >> 8 * i) != DMP_SPLICE_INT3)
			return false;
	return true;
}

/*
 * rel32, seen as a number that counts the ranges: its free bytes above the
 * lowest one that is fixed.
 */
static u32 spread(const struct dmp_splice_plan *plan, u32 lowest, u64 nth)
{
	u32 rel = 0, i;

	for (i = lowest; i < 4; i++) {
		if (trap_byte(plan, i)) {
			rel |= (u32)DMP_SPLICE_INT3 << 8 * i;
			continue;
		}
		rel |= ((u32)nth & 0xff) << 8 * i;
		nth >>= 8;
	}
	return rel;
}

/* The range of [rel, rel + size), cut off where addresses wrap around. */
static void range_at(u64 site, s64 rel, u64 size, u64 *lo, u64 *hi)
{
	u64 from = site + DMP_SPLICE_JMP;

	*lo = from + (u64)rel;
	*hi = *lo + size;
	if (rel < 0 ? *lo > from : *lo < from)
		*hi = *lo = 0;
	else if (*hi < *lo)
		*hi = ~0ull;
}

bool dmp_splice_window(const struct dmp_splice_plan *plan, u64 site, u64 nth,
		       u64 *lo, u64 *hi)
{
	u32 lowest, free = 0, i;
	u64 ranges, below;

	for (lowest = 0; lowest < 4 && !trap_byte(plan, lowest); lowest++)
		;
	if (lowest == 4) {
		if (nth > 1)
			return false;
		range_at(site, nth ? 0 : -0x80000000ll, 0x80000000u, lo, hi);
		return true;
	}
	for (i = lowest; i < 4; i++)
		free += !trap_byte(plan, i);
	ranges = 1ull << 8 * free;
	/* The uppermost byte is the sign; fixed, it is negative. */
	below = trap_byte(plan, 3) ? ranges : ranges / 2;
	if (nth >= ranges)
		return false;
	/* -1 is the nearest below, and all ones; 0 the nearest above. */
	nth = nth < below ? ranges - 1 - nth : nth - below;
	range_at(site, (s32)spread(plan, lowest, nth), 1ull << 8 * lowest,
		 lo, hi);
	return true;
}

/*
 * No instructions in 64-bit mode, whatever follows: SDM vol. 2, table A-2. (PUSH
 * and POP of segments, decimal arithmetic.)
 */
static const u8 undefined[DMP_SPLICE_LANDINGS] = {
	0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
};

/* INTO, likewise: with it, as with INT3, the landing is 800 MiB below or so. */
#define UNDEFINED_HIGH	0xce

u64 dmp_splice_landing(const struct dmp_splice_plan *plan, u64 site, u32 nth)
{
	u32 rel = 0, i;
	u8 byte;

	for (i = 0; i < 4; i++) {
		byte = trap_byte(plan, i) ? DMP_SPLICE_INT3 :
		       i == 3 ? UNDEFINED_HIGH : undefined[nth];
		rel |= (u32)byte << 8 * i;
	}
	return site + DMP_SPLICE_JMP + (u64)(s64)(s32)rel;
}

bool dmp_splice_bytes(const struct dmp_splice_plan *plan, u64 site, u64 stub,
		      u8 out[DMP_SPLICE_BYTES_MAX])
{
	u64 rel = stub - (site + DMP_SPLICE_JMP);
	u32 i;

	if (!dmp_splice_reaches(plan, site, stub))
		return false;
	out[0] = DMP_SPLICE_OPCODE;
	for (i = 1; i < DMP_SPLICE_JMP; i++, rel >>= 8)
		out[i] = (u8)rel;
	for (; i < plan->len; i++)
		out[i] = DMP_SPLICE_INT3;
	return true;
}
