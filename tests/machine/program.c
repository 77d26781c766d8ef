// SPDX-License-Identifier: GPL-2.0-only
/* Code for a site; see program.h. */
#include <string.h>
#include "program.h"

/* Name, form, operand size, 0F, opcode, extension, immediate, LOCK. */
#define R(name, form, op, lock)						\
	{ name "-8", DMP_FORM_##form, 8, false, (op) | 1, -1, 0, lock },	\
	{ name "-4", DMP_FORM_##form, 4, false, (op) | 1, -1, 0, lock },	\
	{ name "-1", DMP_FORM_##form, 1, false, op, -1, 0, lock }
#define R0F(name, form, op, lock)					\
	{ name "-8", DMP_FORM_##form, 8, true, (op) | 1, -1, 0, lock },	\
	{ name "-4", DMP_FORM_##form, 4, true, (op) | 1, -1, 0, lock },	\
	{ name "-1", DMP_FORM_##form, 1, true, op, -1, 0, lock }
#define I(name, form, op, ext, imm, lock)				\
	{ name "-8", DMP_FORM_##form, 8, false, (op) | 1, ext, imm, lock }, \
	{ name "-4", DMP_FORM_##form, 4, false, (op) | 1, ext, imm, lock }, \
	{ name "-1", DMP_FORM_##form, 1, false, op, ext, (imm) ? 1 : 0, lock }
#define ALU(name, form, ext)						\
	R(name "-reg", form, (ext) << 3, true),				\
	I(name "-imm", form, 0x80, ext, 4, true),			\
	{ name "-imm8-8", DMP_FORM_##form, 8, false, 0x83, ext, 1, true }, \
	{ name "-imm8-4", DMP_FORM_##form, 4, false, 0x83, ext, 1, true }
#define BIT(name, form, ext)						\
	{ name "-8", DMP_FORM_##form, 8, true, 0xba, ext, 1, true },	\
	{ name "-4", DMP_FORM_##form, 4, true, 0xba, ext, 1, true }

const struct form forms[] = {
	R("mov-reg", MOV_STORE, 0x88, false),
	I("mov-imm", MOV_STORE, 0xc6, 0, 4, false),
	{ "movnti-8", DMP_FORM_MOVNTI, 8, true, 0xc3, -1, 0, false },
	{ "movnti-4", DMP_FORM_MOVNTI, 4, true, 0xc3, -1, 0, false },
	R("xchg", XCHG, 0x86, true),
	R0F("cmpxchg", CMPXCHG, 0xb0, true),
	R0F("xadd", XADD, 0xc0, true),
	ALU("add", ADD, 0), ALU("or", OR, 1), ALU("adc", ADC, 2),
	ALU("sbb", SBB, 3), ALU("and", AND, 4), ALU("sub", SUB, 5),
	ALU("xor", XOR, 6),
	I("inc", INC, 0xfe, 0, 0, true), I("dec", DEC, 0xfe, 1, 0, true),
	I("not", NOT, 0xf6, 2, 0, true), I("neg", NEG, 0xf6, 3, 0, true),
	BIT("bts", BTS, 5), BIT("btr", BTR, 6), BIT("btc", BTC, 7),
};

const unsigned int forms_count = DMP_ARRAY_SIZE(forms);

/* What changes entries in ways that matter. */
static u64 random_imm(u64 *rng)
{
	static const u64 some[] = {
		0, 1, 2, 5, 6, 0x42, 0x60, 0x63, 0x67, ~0ull, ~1ull, ~2ull,
		~0x20ull, ~0x42ull, 0x25, 63,
	};

	if (!below(rng, 4))
		return random64(rng);
	return some[below(rng, DMP_ARRAY_SIZE(some))];
}

static void put(u8 *bytes, u32 *n, u64 value, u32 count)
{
	for (; count--; value >>= 8)
		bytes[(*n)++] = (u8)value;
}

/* ModRM and SIB: the fields of a memory operand. */
struct fields {
	u8 mod, reg, rm, sib;
};

#define RM_SIB		4
#define RM_DISP32	5	/* mod 0: by RIP, or in a SIB byte no base */

static void put_sib(struct fields *at, u8 index, u8 base)
{
	at->rm = RM_SIB;
	at->sib = (at->sib & 0xc0) | index << 3 | base;
}

/* With the bits of REX that extend what is equal all set, or none. */
static void grant(struct fields *at, enum wish what, u64 *rng)
{
	/* Neither RSP nor RBP, nor R12 nor R13. */
	static const u8 plain[] = { 0, 1, 2, 3, 6, 7 };
	u8 some = plain[below(rng, sizeof(plain))];
	u8 other = plain[below(rng, sizeof(plain))];

	switch (what) {
	case WISH_REG_IS_BASE:
		at->reg = at->rm = some;
		break;
	case WISH_REG_IS_INDEX:
		at->reg = some;
		put_sib(at, some, other);
		break;
	case WISH_BASE_IS_INDEX:
		put_sib(at, some, some);
		break;
	case WISH_RAX_IS_BASE:
		at->rm = DMP_REG_RAX;
		break;
	case WISH_RAX_IS_INDEX:
		put_sib(at, DMP_REG_RAX, other);
		break;
	case WISH_RAX_IS_REG:
		at->reg = DMP_REG_RAX;
		break;
	case WISH_RSP_IS_BASE:
		put_sib(at, below(rng, 2) ? 4 : other, DMP_REG_RSP);
		break;
	case WISH_BY_RIP:
		at->mod = 0;
		at->rm = RM_DISP32;
		break;
	case WISH_ABSOLUTE:
		at->mod = 0;
		put_sib(at, 4, RM_DISP32);
		break;
	case WISH_HIGH_BYTE:
		at->reg = 4 + below(rng, 4);
		break;
	default:
		break;
	}
}

/* REX bits for a wish; what it leaves open stays as it is. */
static u8 rex_for(enum wish what, u8 rex, u64 *rng)
{
	switch (what) {
	case WISH_REG_IS_BASE:
	case WISH_REG_IS_INDEX:
	case WISH_BASE_IS_INDEX:
		return below(rng, 2) ? DMP_REX_R | DMP_REX_X | DMP_REX_B : 0;
	case WISH_RAX_IS_BASE:
	case WISH_RAX_IS_INDEX:
	case WISH_RAX_IS_REG:
	case WISH_RSP_IS_BASE:
	case WISH_ABSOLUTE:
	case WISH_HIGH_BYTE:
		return 0;
	default:
		return rex;
	}
}

/* A random memory operand; one in six by RIP, to the page pair at KERNEL. */
static void put_operand(const struct form *f, enum wish what, u8 *bytes, u32 *n,
			u64 site, u64 *rng)
{
	struct fields at;
	u8 mod = below(rng, 3), rm = below(rng, 8);
	u8 reg = f->ext >= 0 ? (u8)f->ext : below(rng, 8);
	u64 target = KERNEL_GVA + below(rng, 2 * PAGE - 8);

	/* More of what is special: RAX, and an index. */
	if (f->ext < 0 && !below(rng, 4))
		reg = DMP_REG_RAX;
	if (!below(rng, 4))
		rm = 4;
	if (!below(rng, 6))
		mod = 0, rm = 5;
	at = (struct fields){ mod, reg, rm, below(rng, 256) };
	if (what && rm == RM_DISP32 && !mod)
		at.rm = 0;
	grant(&at, what, rng);
	mod = at.mod;
	rm = at.rm;
	bytes[(*n)++] = mod << 6 | (f->ext >= 0 ? reg : at.reg) << 3 | rm;
	if (rm == 4)
		bytes[(*n)++] = at.sib;
	if (!mod && rm == 5) {
		if (below(rng, 8))
			target &= ~7ull;
		put(bytes, n, target - (site + *n + 4 + f->imm), 4);
	} else if (!mod && rm == 4 && (bytes[*n - 1] & 7) == 5) {
		/* Absolute: sign-extended, KERNEL; else behind the index. */
		put(bytes, n, (at.sib >> 3 & 7) == 4 ? target :
			      below(rng, 4096), 4);
	} else {
		put(bytes, n, mod == 1 ? below(rng, 256) :
			      random64(rng) & 0xfffffff8, mod == 2 ? 4 : mod);
	}
}

static u32 put_site(const struct form *f, enum wish what, u8 *bytes, u64 site,
		    u64 *rng)
{
	u8 rex = rex_for(what, below(rng, 3) ? 0 : below(rng, 8), rng);
	u32 n = 0;

	if (f->may_lock && below(rng, 2))
		bytes[n++] = 0xf0;
	/* Of no meaning; Unicorn refuses it with C6 and C7. */
	if (f->ext >= 0)
		rex &= ~DMP_REX_R;
	if (f->size == 8)
		rex |= DMP_REX_W;
	if (rex || (what != WISH_HIGH_BYTE && !below(rng, 3)))
		bytes[n++] = 0x40 | rex;
	if (f->is_0f)
		bytes[n++] = 0x0f;
	bytes[n++] = f->opcode;
	put_operand(f, what, bytes, &n, site, rng);
	put(bytes, &n, random_imm(rng), f->imm);
	return n;
}

/* Displaceable, and nothing that writes but the stack. */
static const struct {
	u8 n;
	u8 bytes[8];
} followers[] = {
	{ 1, { 0x90 } }, { 3, { 0x0f, 0x1f, 0x00 } },
	{ 4, { 0xf3, 0x0f, 0x1e, 0xfa } },		/* endbr64 */
	{ 1, { 0x50 } }, { 1, { 0x51 } }, { 1, { 0x5b } }, { 1, { 0x5d } },
	{ 2, { 0x41, 0x54 } }, { 2, { 0x41, 0x5c } },	/* push, pop r12 */
	{ 3, { 0x48, 0x89, 0xd8 } },			/* mov %rbx,%rax */
	{ 2, { 0x89, 0xf8 } }, { 2, { 0x85, 0xc0 } }, { 2, { 0x31, 0xd2 } },
	{ 3, { 0x48, 0xff, 0xc6 } }, { 1, { 0xfc } }, { 1, { 0xf9 } },
	{ 3, { 0x48, 0x8b, 0x07 } },			/* mov (%rdi),%rax */
	{ 3, { 0x4d, 0x3b, 0x23 } },			/* cmp (%r11),%r12 */
	{ 7, { 0x48, 0x8d, 0x05, 0x10, 0x20, 0, 0 } },	/* lea by RIP */
	{ 7, { 0x48, 0x8b, 0x0d, 0, 0, 0, 0x01 } },	/* mov by RIP */
	{ 1, { 0x9f } }, { 1, { 0x9c } },		/* lahf, pushf */
};

/* Fill up to the five bytes; end in RET or JMP now and then. */
static void put_followers(struct program *p, u32 n, u64 *rng)
{
	u32 i, from = n;
	u64 end = p->site + n;

	while (n < DMP_SPLICE_JMP) {
		if (!below(rng, 3) && n + 5 < PROGRAM_BYTES) {
			if (below(rng, 2) && n == from) {
				p->bytes[n++] = 0xc3;
			} else {
				p->bytes[n++] = 0xe9;
				put(p->bytes, &n,
				    STOP_GVA - (p->site + n + 4), 4);
			}
			memset(p->bytes + n, 0xcc, 8);
			p->stop = STOP_GVA;
			return;
		}
		i = below(rng, DMP_ARRAY_SIZE(followers));
		memcpy(p->bytes + n, followers[i].bytes, followers[i].n);
		n += followers[i].n;
	}
	(void)end;
	p->stop = p->site + n;
}

u64 program_place(const struct dmp_splice_plan *plan, u64 site, u64 *rng)
{
	u64 lo, hi, stub;
	u32 tries;

	for (tries = 0; tries < 100000; tries++) {
		if (!dmp_splice_window(plan, site, below(rng, 1 << (tries % 25)),
				       &lo, &hi) || lo >= hi)
			continue;
		stub = lo + random64(rng) % (hi - lo);
		/* Within reach of everything, and in the way of nothing. */
		if (stub < CODE_GVA - 0x10000 &&
		    stub > KERNEL_GVA - 0x7fff0000 &&
		    (stub < IMPLANT_GVA - 0x10000 ||
		     stub > FILTER_GVA + 0x10000))
			return stub;
	}
	return 0;
}

static bool splice_in(struct program *p, struct world *w, u64 stub)
{
	struct dmp_stub_site site = {
		.site = p->site,
		.bytes = p->bytes,
		.plan = &p->plan,
		.stub = stub,
		.implant = IMPLANT_GVA,
		.agent = AGENT_GVA,
		/* A NOP: the VMM's part is played by a hook. */
		.hypercall = { 0x0f, 0x1f, 0x00 },
		.targets = p->targets, .guarded = p->guarded,
	};
	u64 page = stub & ~(PAGE - 1), offset = p->site - CODE_GVA;

	memset(w->stub, 0xcc, 2 * PAGE);
	if (dmp_stub_make(&site, w->stub + (stub - page), DMP_STUB_BYTES_MAX,
			  &p->stub) != DMP_STUB_OK)
		return false;
	memset(w->code[REF], 0x90, CODE_PAGES * PAGE);
	memcpy(w->code[REF] + offset, p->bytes, sizeof(p->bytes));
	memcpy(w->code[DMP], w->code[REF], CODE_PAGES * PAGE);
	if (!dmp_splice_bytes(&p->plan, p->site, stub, w->code[DMP] + offset))
		return false;
	world_reload(w, stub);
	return true;
}

const char *program_set(struct program *p, const u8 *bytes, size_t count,
			u64 site, struct world *w, u64 *rng)
{
	enum dmp_splice_refusal no_splice;
	enum dmp_stub_refusal no_stub;
	u64 stub;
	u32 i;

	p->site = site;
	if (bytes != p->bytes) {
		memset(p->bytes, 0x90, sizeof(p->bytes));
		memcpy(p->bytes, bytes, count);
	}
	if (dmp_insn_decode(p->bytes, sizeof(p->bytes), &p->insn) !=
	    DMP_INSN_OK)
		return "decode";
	no_stub = dmp_stub_check(&p->insn);
	if (no_stub != DMP_STUB_OK)
		return dmp_stub_refusal_name(no_stub);
	no_splice = dmp_splice_plan(p->bytes, sizeof(p->bytes), site, 0,
				    &p->plan);
	if (no_splice != DMP_SPLICE_OK)
		return dmp_splice_refusal_name(no_splice);
	stub = program_place(&p->plan, site, rng);
	if (!stub || !splice_in(p, w, stub))
		return "place";
	p->has_stack = false;
	for (i = 1; i < p->plan.count; i++)
		p->has_stack |= p->plan.insn[i].kind == DMP_SPLICE_RET;
	return NULL;
}

bool program_make(struct program *p, const struct form *form, enum wish what,
		  struct world *w, u64 *rng)
{
	u32 n;

	*p = (struct program){ .form = form };
	memset(p->bytes, 0x90, sizeof(p->bytes));
	p->site = CODE_GVA + 0x100 + below(rng, 0xe00);
	n = put_site(form, what, p->bytes, p->site, rng);
	put_followers(p, n, rng);
	if (program_set(p, p->bytes, 0, p->site, w, rng))
		return false;
	if (p->insn.form != form->form || p->insn.op_size != form->size)
		return false;
	/* A RET finds its address on the stack only. */
	return !p->has_stack || (p->insn.mem.base != DMP_REG_RSP &&
				 p->insn.reg != DMP_REG_RSP);
}
