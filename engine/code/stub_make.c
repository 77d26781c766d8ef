// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stubs: from the first instruction to COMMIT, and the plain instruction for
 * addresses that are no table's; see stub.h.
 */
#include "code/stub_build.h"

#define RAX	DMP_REG_RAX

static const char *const refusal_names[DMP_STUB_REASONS] = {
	[DMP_STUB_OK] = "ok",
	[DMP_STUB_DECODE] = "decode",
	[DMP_STUB_FORM] = "form",
	[DMP_STUB_SIZE] = "size",
	[DMP_STUB_BIT_BASE] = "bit-base",
	[DMP_STUB_SEGMENT] = "segment",
	[DMP_STUB_ADDR_SIZE] = "address-size",
	[DMP_STUB_MOFFS] = "moffs",
	[DMP_STUB_REPEATED] = "repeated",
	[DMP_STUB_REACH] = "reach",
	[DMP_STUB_NO_ROOM] = "no-room",
};

const char *dmp_stub_refusal_name(enum dmp_stub_refusal why)
{
	return (unsigned int)why < DMP_STUB_REASONS ? refusal_names[why] : "?";
}

/*
 * ---- What is served ----
 */

/*
 * SDM vol. 2, "Flags Affected" of each. A flag that is left undefined counts
 * as written, but those of BTS, BTR and BTC keep ZF, and CPUs keep the rest.
 */
static bool form_flags(u8 form, enum dmp_stub_flags *flags)
{
	switch (form) {
	case DMP_FORM_MOV_STORE:
	case DMP_FORM_MOVNTI:
	case DMP_FORM_XCHG:
	case DMP_FORM_NOT:
		*flags = DMP_FLAGS_KEPT;
		return true;
	case DMP_FORM_CMPXCHG:
	case DMP_FORM_XADD:
	case DMP_FORM_ADD:
	case DMP_FORM_OR:
	case DMP_FORM_AND:
	case DMP_FORM_SUB:
	case DMP_FORM_XOR:
	case DMP_FORM_NEG:
		*flags = DMP_FLAGS_DEFINED;
		return true;
	case DMP_FORM_ADC:
	case DMP_FORM_SBB:
	case DMP_FORM_INC:
	case DMP_FORM_DEC:
	case DMP_FORM_BTS:
	case DMP_FORM_BTR:
	case DMP_FORM_BTC:
		*flags = DMP_FLAGS_USED;
		return true;
	default:
		return false;
	}
}

enum dmp_stub_refusal dmp_stub_check(const struct dmp_insn *insn)
{
	enum dmp_stub_flags flags;

	if (dmp_insn_is_cr3(insn))
		return DMP_STUB_OK;
	if (insn->flags & DMP_INSN_REPEATED)
		return DMP_STUB_REPEATED;
	if (!form_flags(insn->form, &flags) ||
	    !(insn->flags & DMP_INSN_HAS_MEM) ||
	    !(insn->flags & DMP_INSN_WRITES_MEM))
		return DMP_STUB_FORM;
	if (insn->op_size != 8 && insn->op_size != 4 && insn->op_size != 1)
		return DMP_STUB_SIZE;
	if (insn->flags & DMP_INSN_BIT_BASE)
		return DMP_STUB_BIT_BASE;
	if (insn->mem.seg == DMP_SEG_FS || insn->mem.seg == DMP_SEG_GS)
		return DMP_STUB_SEGMENT;
	if (insn->mem.addr_size != 8)
		return DMP_STUB_ADDR_SIZE;
	if (!insn->modrm_off)
		return DMP_STUB_MOFFS;
	return DMP_STUB_OK;
}

/*
 * ---- Registers ----
 */

static u8 take(struct dmp_stub_build *b, u16 *busy)
{
	/* First those without REX, as AH to BH need it. */
	static const u8 order[] = { 3, 1, 2, 6, 7, 8, 9, 10, 11 };
	u32 i;

	for (i = 0; *busy >> order[i] & 1; i++)
		;
	*busy |= 1u << order[i];
	b->scratch |= 1u << order[i];
	return order[i];
}

/*
 * The instruction names three registers at most, of which one may stand for
 * RAX: then a register is wanted that has a second byte, too (RBX, RCX, RDX),
 * and is taken first. Two more follow from RSI and RDI at the latest.
 */
static void choose_registers(struct dmp_stub_build *b)
{
	const struct dmp_insn *insn = &b->insn;
	bool has_reg = insn->reg_class == DMP_CLASS_GPR ||
		       insn->reg_class == DMP_CLASS_HIGH;
	u16 busy = 1u << RAX;

	if (insn->mem.base < 16)
		busy |= 1u << insn->mem.base;
	if (insn->mem.index < 16)
		busy |= 1u << insn->mem.index;
	if (has_reg)
		busy |= 1u << insn->reg;
	b->rax_is_data = (has_reg && insn->reg == RAX) ||
			 insn->form == DMP_FORM_CMPXCHG;
	b->value = DMP_REG_NONE;
	b->temp = RAX;
	if (b->rax_is_data && b->flags == DMP_FLAGS_KEPT)
		b->value = take(b, &busy);
	else if (b->rax_is_data && b->flags == DMP_FLAGS_DEFINED)
		b->temp = take(b, &busy);
	b->address = take(b, &busy);
	b->base = take(b, &busy);
	if (b->temp == RAX)
		b->scratch |= 1u << RAX;
	b->stub->value = b->value;
	b->stub->address = b->address;
}

void dmp_stub_row(struct dmp_stub_build *b)
{
	struct dmp_stub *stub = b->stub;

	b->now.offset = (u16)b->e.len;
	if (stub->rows && stub->row[stub->rows - 1].offset == b->now.offset)
		stub->rows--;
	if (stub->rows == DMP_STUB_ROWS) {
		b->many_rows = true;
		return;
	}
	stub->row[stub->rows++] = b->now;
}

void dmp_stub_save(struct dmp_stub_build *b, u8 reg)
{
	dmp_emit_mem(&b->e, DMP_OP_STORE, reg,
		     dmp_stub_at(b, DMP_IMPLANT_SAVE + 8 * reg), 0);
	b->now.saved |= 1u << reg;
	dmp_stub_row(b);
}

void dmp_stub_restore(struct dmp_stub_build *b, u8 reg)
{
	if (reg == RAX && b->now.flags & DMP_ROW_RAX_IN_VALUE) {
		dmp_emit_reg(&b->e, DMP_OP_STORE, b->value, RAX);
		b->now.flags &= ~DMP_ROW_RAX_IN_VALUE;
	} else {
		dmp_emit_mem(&b->e, DMP_OP_LOAD, reg,
			     dmp_stub_at(b, DMP_IMPLANT_SAVE + 8 * reg), 0);
	}
	b->now.saved &= ~(1u << reg);
	dmp_stub_row(b);
}

/* RAX first: it may come from another one. */
static void restore_registers(struct dmp_stub_build *b)
{
	u8 reg;

	for (reg = 0; reg < 16; reg++)
		if (b->now.saved >> reg & 1)
			dmp_stub_restore(b, reg);
}

/* LAHF, SETO AL: all six status flags in AX. SDM vol. 2. */
static void save_flags(struct dmp_stub_build *b)
{
	static const u8 lahf_seto[] = { 0x9f, 0x0f, 0x90, 0xc0 };

	dmp_emit_copy(&b->e, lahf_seto, sizeof(lahf_seto));
	dmp_emit_mem(&b->e, DMP_OP_STORE, RAX,
		     dmp_stub_at(b, DMP_IMPLANT_FLAGS), 0);
	b->now.flags |= DMP_ROW_FLAGS_SAVED;
	dmp_stub_row(b);
}

/* 1 + 127 overflows, 0 + 127 does not; SAHF leaves OF alone. */
static void load_flags(struct dmp_stub_build *b)
{
	static const u8 add_sahf[] = { 0x04, 0x7f, 0x9e };

	dmp_emit_mem(&b->e, DMP_OP_LOAD, RAX,
		     dmp_stub_at(b, DMP_IMPLANT_FLAGS), 0);
	dmp_emit_copy(&b->e, add_sahf, sizeof(add_sahf));
}

static void restore_flags(struct dmp_stub_build *b)
{
	if (!(b->now.flags & DMP_ROW_FLAGS_SAVED))
		return;
	load_flags(b);
	b->now.flags &= ~DMP_ROW_FLAGS_SAVED;
	dmp_stub_row(b);
}

/*
 * ---- The parts ----
 */

static void begin(struct dmp_stub_build *b)
{
	u8 reg;

	dmp_stub_row(b);
	for (reg = 0; reg < 16; reg++)
		if (b->scratch >> reg & 1)
			dmp_stub_save(b, reg);
	if (b->value != DMP_REG_NONE)
		dmp_emit_reg(&b->e, DMP_OP_STORE, RAX, b->value);
	dmp_emit_address(&b->e, &b->code, b->address);
	if (b->flags != DMP_FLAGS_DEFINED)
		save_flags(b);
}

/*
 * TEST that is zero if @reg, an address XOR a tag, lies in the tag's page and
 * is a multiple of the operand's size: then it is all in one entry.
 */
static void test_hit(struct dmp_stub_build *b, u8 reg)
{
	dmp_emit_reg_imm(&b->e, DMP_OP_TEST, 0, reg,
			 ~(u64)(DMP_PAGE_SIZE - b->insn.op_size), 4);
}

static void read_old(struct dmp_stub_build *b)
{
	u8 offset = b->address;

	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->base, dmp_stub_last(b, 8), 0);
	if (b->insn.op_size != 8) {
		offset = b->temp;
		dmp_emit_reg(&b->e, DMP_OP_STORE, b->address, offset);
		dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_AND, offset,
				 ~7ull, 1);
	}
	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->temp,
		     dmp_emit_pair(b->base, offset), 0);
	dmp_emit_mem(&b->e, DMP_OP_STORE, b->temp,
		     dmp_stub_at(b, DMP_IMPLANT_OLD), 0);
}

/* The instruction itself, on the table's alias. */
static void commit(struct dmp_stub_build *b)
{
	if (b->flags == DMP_FLAGS_USED) {
		load_flags(b);
		if (b->rax_is_data)
			dmp_emit_mem(&b->e, DMP_OP_LOAD, RAX,
				     dmp_stub_at(b, DMP_IMPLANT_SAVE), 0);
	}
	dmp_emit_elsewhere(&b->e, &b->code,
			   dmp_emit_pair(b->base, b->address), b->value);
	b->now.phase = DMP_STUB_FINISH;
	b->now.resume = b->insn.length;
	if (b->value != DMP_REG_NONE && b->insn.form == DMP_FORM_XCHG)
		b->now.flags |= DMP_ROW_RAX_IN_VALUE;
	if (b->flags != DMP_FLAGS_KEPT)
		b->now.flags &= ~DMP_ROW_FLAGS_SAVED;
	dmp_stub_row(b);
	if (!(b->now.saved & 1u << RAX))
		dmp_stub_save(b, RAX);
	if (b->flags != DMP_FLAGS_KEPT)
		save_flags(b);
	if (b->insn.op_size != 8)
		dmp_emit_reg_imm(&b->e, DMP_OP_IMM8, DMP_EXT_AND, b->address,
				 ~7ull, 1);
}

static void finish(struct dmp_stub_build *b)
{
	dmp_emit_bind(&b->e, &b->end);
	b->now.phase = DMP_STUB_DONE;
	b->now.counted = 0;
	dmp_stub_row(b);
	restore_flags(b);
	restore_registers(b);
	dmp_emit_bind(&b->e, &b->tail);
	dmp_stub_tail(b, 1);
}

/* TEST as test_hit(), of the cache's entry at .base. */
static void test_entry(struct dmp_stub_build *b)
{
	dmp_emit_mem(&b->e, DMP_OP_LOAD, b->temp, dmp_emit_ptr(b->base, 0), 0);
	dmp_emit_reg(&b->e, DMP_OP_XOR, b->temp, b->address);
	test_hit(b, b->temp);
}

/*
 * The address is not in the page hit last: look into the cache, where that page
 * has two places. What is found there replaces it.
 */
static void look_up(struct dmp_stub_build *b)
{
	u32 i;

	dmp_emit_bind(&b->e, &b->out);
	dmp_stub_row(b);
	dmp_emit_mem(&b->e, DMP_OP_XOR, b->address, dmp_stub_last(b, 0), 0);
	dmp_emit_reg(&b->e, DMP_OP_STORE, b->address, b->base);
	dmp_emit_reg_imm(&b->e, DMP_OP_SHIFT, DMP_EXT_SHR, b->base, 7, 1);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM32, DMP_EXT_AND, b->base,
			 (DMP_CACHE_SLOTS - 1ull) * DMP_CACHE_BYTES, 4);
	dmp_emit_mem(&b->e, DMP_OP_LEA, b->temp,
		     dmp_stub_at(b, DMP_IMPLANT_CACHE), 0);
	dmp_emit_reg(&b->e, DMP_OP_ADD, b->base, b->temp);
	test_entry(b);
	dmp_emit_jump_label(&b->e, DMP_CC_NZ, &b->other);
	dmp_emit_bind(&b->e, &b->found);
	for (i = 0; i < DMP_CACHE_BYTES; i += 8) {
		dmp_emit_mem(&b->e, DMP_OP_LOAD, b->temp,
			     dmp_emit_ptr(b->base, (s32)i), 0);
		dmp_emit_mem(&b->e, DMP_OP_STORE, b->temp, dmp_stub_last(b, i),
			     0);
		b->now.flags |= DMP_ROW_FILLING;
		dmp_stub_row(b);
	}
	b->now.flags &= ~DMP_ROW_FILLING;
	dmp_stub_row(b);
	dmp_emit_mem(&b->e, DMP_OP_XOR, b->address, dmp_stub_last(b, 0), 0);
	dmp_emit_jump_label(&b->e, DMP_JMP, &b->hit);
	dmp_emit_bind(&b->e, &b->other);
	dmp_emit_reg_imm(&b->e, DMP_OP_IMM32, DMP_EXT_XOR, b->base,
			 DMP_CACHE_WAY * DMP_CACHE_BYTES, 4);
	test_entry(b);
	dmp_emit_jump_label(&b->e, DMP_CC_Z, &b->found);
}

/* No table known: as if there were no stub. look_up() runs into it. */
static void miss(struct dmp_stub_build *b)
{
	dmp_emit_mem(&b->e, DMP_OP_INCDEC, 0,
		     dmp_stub_at(b, DMP_IMPLANT_MISSES), 0);
	restore_flags(b);
	restore_registers(b);
	dmp_emit_moved(&b->e, &b->code);
	b->now.phase = DMP_STUB_DONE;
	b->now.resume = b->insn.length;
	dmp_stub_row(b);
	dmp_emit_jump_label(&b->e, DMP_JMP, &b->tail);
}

static void make(struct dmp_stub_build *b)
{
	struct dmp_stub_row at_test, committed;

	choose_registers(b);
	begin(b);
	at_test = b->now;
	dmp_emit_mem(&b->e, DMP_OP_XOR, b->address, dmp_stub_last(b, 0), 0);
	test_hit(b, b->address);
	dmp_emit_jump_label(&b->e, DMP_CC_NZ, &b->out);
	dmp_emit_bind(&b->e, &b->hit);
	read_old(b);
	commit(b);
	committed = b->now;
	dmp_stub_follow(b);
	finish(b);

	b->now = committed;
	dmp_stub_follow_rest(b);
	b->now = at_test;
	look_up(b);
	miss(b);
}

enum dmp_stub_refusal dmp_stub_make(const struct dmp_stub_site *site,
				    u8 *code, u32 size, struct dmp_stub *stub)
{
	enum dmp_stub_refusal why;
	struct dmp_stub_build b;

	why = dmp_stub_open(&b, site, code, size, stub);
	if (why != DMP_STUB_OK)
		return why;
	why = dmp_stub_check(&b.insn);
	if (why != DMP_STUB_OK)
		return why;
	if (dmp_insn_is_cr3(&b.insn)) {
		dmp_stub_tail(&b, 0);
		stub->code = (u16)b.e.len;
		return dmp_stub_close(&b);
	}
	form_flags(b.insn.form, &b.flags);
	stub->last = !(b.insn.form == DMP_FORM_MOV_STORE ||
		       b.insn.form == DMP_FORM_MOVNTI);
	make(&b);
	stub->code = (u16)b.e.len;
	dmp_stub_constants(&b);
	return dmp_stub_close(&b);
}
