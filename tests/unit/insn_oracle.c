// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zydis as the oracle of the decoder. Each check_ returns true when the two
 * agree and otherwise leaves a message; the first disagreement counts.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "insn_oracle.h"

struct oracle {
	const struct dmp_insn *insn;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *mem;	/* the operand that insn->mem is */
	char *message;
	size_t message_size;
};

void insn_oracle_hex(const u8 *bytes, size_t n, char *text)
{
	size_t i;

	*text = '\0';
	for (i = 0; i < n; i++)
		text += sprintf(text, i ? " %02x" : "%02x", bytes[i]);
}

static bool __attribute__((format(printf, 2, 3)))
differ(struct oracle *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(o->message, o->message_size, format, args);
	va_end(args);
	return false;
}

static bool same(struct oracle *o, const char *what, long long ours,
		 long long zydis)
{
	if (ours == zydis)
		return true;
	return differ(o, "%s: ours %#llx, Zydis %#llx", what, ours, zydis);
}

static bool is_operand_mem(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static bool is_stack(const ZydisDecodedOperand *op)
{
	return is_operand_mem(op) &&
	       op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       (op->mem.base == ZYDIS_REGISTER_RSP ||
		op->mem.base == ZYDIS_REGISTER_RBP);
}

static bool is_string(const struct oracle *o)
{
	return o->z.meta.category == ZYDIS_CATEGORY_STRINGOP ||
	       o->z.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* The memory that ModRM or moffs names, or a string instruction's first. */
static const ZydisDecodedOperand *find_mem(const struct oracle *o)
{
	u32 i;

	for (i = 0; i < o->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &o->ops[i];

		if (!is_operand_mem(op) || is_stack(op))
			continue;
		if (op->encoding != ZYDIS_OPERAND_ENCODING_NONE ||
		    is_string(o))
			return op;
	}
	return NULL;
}

static const ZydisDecodedOperand *find_encoding(const struct oracle *o,
						ZydisOperandEncoding encoding)
{
	u32 i;

	for (i = 0; i < o->z.operand_count; i++)
		if (o->ops[i].encoding == encoding)
			return &o->ops[i];
	return NULL;
}

static ZydisRegisterClass class_of(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return ZYDIS_REGCLASS_INVALID;
	return ZydisRegisterGetClass(op->reg.value);
}

static enum dmp_insn_form expected_mov(const struct oracle *o)
{
	ZydisRegisterClass to = class_of(&o->ops[0]);
	ZydisRegisterClass from = class_of(&o->ops[1]);

	if (to == ZYDIS_REGCLASS_CONTROL)
		return DMP_FORM_MOV_TO_CR;
	if (from == ZYDIS_REGCLASS_CONTROL)
		return DMP_FORM_MOV_FROM_CR;
	if (to == ZYDIS_REGCLASS_DEBUG)
		return DMP_FORM_MOV_TO_DR;
	if (from == ZYDIS_REGCLASS_DEBUG)
		return DMP_FORM_MOV_FROM_DR;
	if (to == ZYDIS_REGCLASS_SEGMENT || from == ZYDIS_REGCLASS_SEGMENT)
		return DMP_FORM_OTHER;
	if (is_operand_mem(&o->ops[0]))
		return DMP_FORM_MOV_STORE;
	if (is_operand_mem(&o->ops[1]))
		return DMP_FORM_MOV_LOAD;
	return DMP_FORM_OTHER;
}

static enum dmp_insn_form expected_transfer(const struct oracle *o)
{
	bool is_far = o->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	bool is_rel = o->ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	switch (o->z.mnemonic) {
	case ZYDIS_MNEMONIC_CALL:
		return is_far ? DMP_FORM_CALL_FAR :
		       is_rel ? DMP_FORM_CALL_REL : DMP_FORM_CALL_IND;
	case ZYDIS_MNEMONIC_JMP:
		return is_far ? DMP_FORM_JMP_FAR :
		       is_rel ? DMP_FORM_JMP_REL : DMP_FORM_JMP_IND;
	default:
		return is_far ? DMP_FORM_RET_FAR : DMP_FORM_RET;
	}
}

static enum dmp_insn_form expected_form(const struct oracle *o)
{
	const struct insn_expected_form *e = insn_expected_forms;
	size_t i;

	switch (o->z.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return expected_mov(o);
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_RET:
		return expected_transfer(o);
	case ZYDIS_MNEMONIC_MOVSD:	/* also names of SSE2 */
	case ZYDIS_MNEMONIC_CMPSD:
		if (!is_string(o))
			return DMP_FORM_OTHER;
		break;
	default:
		break;
	}
	for (i = 0; i < insn_expected_count; i++)
		if (e[i].mnemonic == o->z.mnemonic)
			return e[i].is_mem_only && !is_operand_mem(&o->ops[0]) ?
			       DMP_FORM_OTHER : e[i].form;
	return DMP_FORM_OTHER;
}

static bool check_layout(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	const ZydisDecodedInstructionRaw *raw = &o->z.raw;
	u32 imm = raw->imm[0].size / 8 + raw->imm[1].size / 8;

	/* Zydis counts moffs as a displacement, as we do. */
	return same(o, "length", insn->length, o->z.length) &&
	       same(o, "opcode", insn->opcode, o->z.opcode) &&
	       same(o, "ModRM offset", insn->modrm_off, raw->modrm.offset) &&
	       same(o, "SIB offset", insn->sib_off, raw->sib.offset) &&
	       same(o, "disp offset", insn->disp_off, raw->disp.offset) &&
	       same(o, "disp size", insn->disp_size, raw->disp.size / 8) &&
	       same(o, "imm offset", insn->imm_off, raw->imm[0].offset) &&
	       same(o, "imm size", insn->imm_size, imm);
}

/* For LEA, where it does not matter, Zydis ignores overrides. */
static u32 expected_segment(const struct oracle *o)
{
	if (o->mem->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
		return o->insn->mem.seg;
	return (u32)ZydisRegisterGetId(o->mem->mem.segment);
}

/* A 32-bit moffs is zero-extended; Zydis extends the sign. */
static s64 expected_disp(const struct oracle *o)
{
	s64 disp = o->z.raw.disp.value;

	if (o->mem->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64 &&
	    o->z.address_width == 32)
		return (u32)disp;
	return disp;
}

/* Our register numbers for Zydis' 64- and 32-bit address registers. */
static u32 address_reg(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return DMP_REG_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return DMP_REG_RIP;
	return (u32)ZydisRegisterGetId(reg);
}

/*
 * With 67, Zydis 4.0 makes a base of the no-base encoding (mod 0, base 5) when
 * REX.B is set. REX.B is not decoded there: SDM vol. 2, table 2-5. (It then
 * also drops the displacement; the raw one is right.)
 */
static u32 expected_base(const struct oracle *o)
{
	const ZydisDecodedInstructionRaw *raw = &o->z.raw;

	if (o->z.address_width == 32 && raw->sib.offset &&
	    raw->modrm.mod == 0 && raw->sib.base == 5)
		return DMP_REG_NONE;
	return address_reg(o->mem->mem.base);
}

static bool check_mem(struct oracle *o)
{
	const struct dmp_insn_mem *mem = &o->insn->mem;
	const ZydisDecodedOperandMem *z;
	bool has_mem = o->insn->flags & DMP_INSN_HAS_MEM;
	bool is_rip = o->insn->flags & DMP_INSN_RIP_REL;

	if (!same(o, "memory operand", has_mem, !!o->mem))
		return false;
	if (!has_mem)
		return same(o, "RIP-relative flag", is_rip, 0);
	z = &o->mem->mem;
	return same(o, "base", mem->base, expected_base(o)) &&
	       same(o, "index", mem->index, address_reg(z->index)) &&
	       same(o, "scale", mem->scale, z->scale) &&
	       same(o, "disp", mem->disp, expected_disp(o)) &&
	       same(o, "segment", mem->seg, expected_segment(o)) &&
	       same(o, "address size", mem->addr_size,
		    o->z.address_width / 8) &&
	       same(o, "RIP-relative flag", is_rip,
		    mem->base == DMP_REG_RIP);
}

/* Does Zydis see accesses of this kind to memory, the stack or the rest? */
static bool has_access(const struct oracle *o, u8 mask, bool to_stack)
{
	u32 i;

	for (i = 0; i < o->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &o->ops[i];

		if (is_operand_mem(op) && is_stack(op) == to_stack &&
		    op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
		    (op->actions & mask))
			return true;
	}
	return false;
}

/* Not accessed, although Zydis lists a read. */
static bool is_mem_unaccessed(const struct dmp_insn *insn)
{
	return insn->form == DMP_FORM_NOP || insn->form == DMP_FORM_UD ||
	       insn->form == DMP_FORM_INVLPG;
}

/* Forms that access more memory than operands can tell. */
static bool is_access_unknown(const struct dmp_insn *insn)
{
	switch (insn->form) {
	case DMP_FORM_OTHER:
	case DMP_FORM_RSM:
	case DMP_FORM_VMCALL:
	case DMP_FORM_VMLAUNCH:
	case DMP_FORM_VMRESUME:
	case DMP_FORM_VMCLEAR:
	case DMP_FORM_VMMCALL:
	case DMP_FORM_VMRUN:
	case DMP_FORM_VMLOAD:
	case DMP_FORM_VMSAVE:
	case DMP_FORM_SKINIT:
		return true;
	}
	return false;
}

static bool check_access(struct oracle *o)
{
	u32 flags = o->insn->flags;

	if (is_mem_unaccessed(o->insn))
		return same(o, "accesses", flags & (DMP_INSN_READS_MEM |
			    DMP_INSN_WRITES_MEM | DMP_INSN_MEM_UNKNOWN), 0);
	if (o->insn->form != DMP_FORM_OTHER &&
	    (!same(o, "reads stack", !!(flags & DMP_INSN_READS_STACK),
		   has_access(o, ZYDIS_OPERAND_ACTION_MASK_READ, true)) ||
	     !same(o, "writes stack", !!(flags & DMP_INSN_WRITES_STACK),
		   has_access(o, ZYDIS_OPERAND_ACTION_MASK_WRITE, true))))
		return false;
	if (flags & DMP_INSN_MEM_UNKNOWN)
		return is_access_unknown(o->insn) ||
		       differ(o, "memory access not described");
	return same(o, "reads", !!(flags & DMP_INSN_READS_MEM),
		    has_access(o, ZYDIS_OPERAND_ACTION_MASK_READ, false)) &&
	       same(o, "writes", !!(flags & DMP_INSN_WRITES_MEM),
		    has_access(o, ZYDIS_OPERAND_ACTION_MASK_WRITE, false));
}

static u64 low_bytes(u64 value, u32 size)
{
	return size >= 8 ? value : value & ((1ull << (8 * size)) - 1);
}

static bool check_imm(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	const ZydisDecodedInstruction *z = &o->z;
	u32 size = insn->op_size ? insn->op_size : insn->imm_size;

	if (!insn->imm_size)
		return true;
	if (insn->imm_size == 3)
		size = 2;
	if (size < insn->imm_size && insn->imm_size != 3)
		size = insn->imm_size;
	return same(o, "imm", (long long)low_bytes((u64)insn->imm, size),
		    (long long)low_bytes(z->raw.imm[0].value.u, size));
}

static bool check_reg(struct oracle *o, const char *what, u32 ours,
		      u32 ours_class, const ZydisDecodedOperand *op)
{
	ZydisRegister reg = op->reg.value;
	u32 number = (u32)ZydisRegisterGetId(reg);
	u32 class = DMP_CLASS_GPR;

	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_CONTROL:
		class = DMP_CLASS_CR;
		break;
	case ZYDIS_REGCLASS_DEBUG:
		class = DMP_CLASS_DR;
		break;
	case ZYDIS_REGCLASS_SEGMENT:
		class = DMP_CLASS_SEG;
		break;
	case ZYDIS_REGCLASS_GPR8:
		if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
			class = DMP_CLASS_HIGH;
			number = reg - ZYDIS_REGISTER_AH;
		} else {
			number = reg - (reg < ZYDIS_REGISTER_AH ?
				 ZYDIS_REGISTER_AL : ZYDIS_REGISTER_AH);
		}
		break;
	default:
		break;
	}
	return same(o, what, ours, number) &&
	       same(o, what, ours_class, class);
}

/* A register that the opcode names by itself: rAX, FS, GS; but not DX. */
static const ZydisDecodedOperand *find_implicit(const struct oracle *o)
{
	u32 i;

	for (i = 0; i < o->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &o->ops[i];

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    op->encoding != ZYDIS_OPERAND_ENCODING_NONE)
			continue;
		switch (o->insn->form) {
		case DMP_FORM_PUSH:
		case DMP_FORM_POP:
			if (class_of(op) == ZYDIS_REGCLASS_SEGMENT)
				return op;
			break;
		case DMP_FORM_MOV_LOAD:
		case DMP_FORM_MOV_STORE:
		case DMP_FORM_STOS:
		case DMP_FORM_LODS:
		case DMP_FORM_SCAS:
		case DMP_FORM_IN:
		case DMP_FORM_OUT:
			if (op->reg.value != ZYDIS_REGISTER_DX &&
			    class_of(op) >= ZYDIS_REGCLASS_GPR8 &&
			    class_of(op) <= ZYDIS_REGCLASS_GPR64)
				return op;
			break;
		}
	}
	return NULL;
}

static const ZydisDecodedOperand *find_reg(const struct oracle *o)
{
	const ZydisDecodedOperand *op;

	op = find_encoding(o, ZYDIS_OPERAND_ENCODING_MODRM_REG);
	if (!op)
		op = find_encoding(o, ZYDIS_OPERAND_ENCODING_OPCODE);
	return op ? op : find_implicit(o);
}

/* Every register in ModRM or the opcode must be ours, too, and no other. */
static bool check_regs(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	const ZydisDecodedOperand *reg, *rm;

	if (insn->form == DMP_FORM_OTHER)
		return same(o, "reg class", insn->reg_class, DMP_CLASS_NONE);
	reg = find_reg(o);
	rm = find_encoding(o, ZYDIS_OPERAND_ENCODING_MODRM_RM);
	/* These have registers only for Zydis. */
	if (insn->form == DMP_FORM_NOP || insn->form == DMP_FORM_UD)
		return same(o, "reg class", insn->reg_class, DMP_CLASS_NONE);
	if (!reg && !same(o, "reg class", insn->reg_class, DMP_CLASS_NONE))
		return false;
	if (reg && !check_reg(o, "reg", insn->reg, insn->reg_class, reg))
		return false;
	if (rm && !is_operand_mem(rm))
		return check_reg(o, "rm", insn->rm, insn->rm_class, rm);
	return same(o, "rm class", insn->rm_class, DMP_CLASS_NONE);
}

/* A form with any operand says how big it is, with these exceptions. */
static bool needs_op_size(const struct dmp_insn *insn)
{
	switch (insn->form) {
	case DMP_FORM_OTHER:
	case DMP_FORM_CALL_FAR:
	case DMP_FORM_JMP_FAR:
	case DMP_FORM_INT:
	case DMP_FORM_INVLPG:
	case DMP_FORM_NOP:
	case DMP_FORM_UD:
		return false;
	case DMP_FORM_SYSRET:
	case DMP_FORM_SYSEXIT:
		return true;
	}
	return insn->reg_class || insn->rm_class || insn->imm_size ||
	       (insn->flags & (DMP_INSN_HAS_MEM | DMP_INSN_READS_STACK |
			       DMP_INSN_WRITES_STACK));
}

static bool check_op_size(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	const ZydisDecodedOperand *rm;

	if (!same(o, "size described", !!insn->op_size, needs_op_size(insn)))
		return false;
	if (!insn->op_size)
		return true;
	if (o->mem)
		return same(o, "memory size", insn->op_size, o->mem->size / 8);
	rm = find_encoding(o, ZYDIS_OPERAND_ENCODING_MODRM_RM);
	if (rm)
		return same(o, "operand size", insn->op_size, rm->size / 8);
	return same(o, "operand width", insn->op_size, o->z.operand_width / 8);
}

/* Transfers that Zydis does not call branches. */
static bool is_system_transfer(const struct dmp_insn *insn)
{
	switch (insn->form) {
	case DMP_FORM_SYSCALL:
	case DMP_FORM_SYSRET:
	case DMP_FORM_SYSENTER:
	case DMP_FORM_SYSEXIT:
	case DMP_FORM_RSM:
	case DMP_FORM_IRET:
	case DMP_FORM_VMLAUNCH:
	case DMP_FORM_VMRESUME:
		return true;
	}
	return false;
}

static bool check_branch(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	bool is_branch = insn->flags & DMP_INSN_BRANCH;
	bool is_relative = insn->flags & DMP_INSN_RELATIVE;
	bool z_relative = o->ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
			  o->ops[0].imm.is_relative;
	ZyanU64 target;

	if (!is_system_transfer(insn) &&
	    !same(o, "branch", is_branch,
		  o->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE))
		return false;
	if (!same(o, "relative", is_relative, z_relative))
		return false;
	if (!is_relative)
		return true;
	ZydisCalcAbsoluteAddress(&o->z, &o->ops[0], 0x400000, &target);
	return same(o, "target",
		    (long long)dmp_insn_target(insn, 0x400000),
		    (long long)target);
}

/*
 * Where Zydis 4.0 errs: SDM vol. 3, 5.9 lists LGDT to LTR, APM vol. 3 gives
 * #GP above CPL 0 for the SVM instructions, and MONITOR and MWAIT can be
 * allowed to user mode (APM vol. 3, "MONITOR").
 */
static bool is_privileged_for_zydis(const struct oracle *o)
{
	switch (o->z.mnemonic) {
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_LLDT:
	case ZYDIS_MNEMONIC_LTR:
	case ZYDIS_MNEMONIC_VMRUN:
	case ZYDIS_MNEMONIC_VMLOAD:
	case ZYDIS_MNEMONIC_VMSAVE:
	case ZYDIS_MNEMONIC_CLGI:
	case ZYDIS_MNEMONIC_STGI:
	case ZYDIS_MNEMONIC_SKINIT:
	case ZYDIS_MNEMONIC_INVLPGA:
		return true;
	case ZYDIS_MNEMONIC_MONITOR:
	case ZYDIS_MNEMONIC_MWAIT:
		return false;
	default:
		return o->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED;
	}
}

static bool check_flags(struct oracle *o)
{
	const struct dmp_insn *insn = o->insn;
	bool is_privileged = insn->flags & DMP_INSN_PRIVILEGED;

	/* Zydis calls these privileged; user mode may be given the right. */
	if (insn->flags & DMP_INSN_IOPL)
		return same(o, "privileged", is_privileged, 0);
	return same(o, "privileged", is_privileged,
		    is_privileged_for_zydis(o)) &&
	       same(o, "LOCK", !!(insn->prefixes & DMP_PFX_LOCK),
		    !!(o->z.attributes & ZYDIS_ATTRIB_HAS_LOCK));
}

static bool check_form(struct oracle *o)
{
	enum dmp_insn_form form = expected_form(o);

	if (form == o->insn->form)
		return true;
	return differ(o, "form: ours %s, expected %s",
		      dmp_insn_form_name(o->insn->form),
		      dmp_insn_form_name(form));
}

static bool check_all(struct oracle *o)
{
	return check_layout(o) && check_form(o) && check_mem(o) &&
	       check_access(o) && check_imm(o) && check_regs(o) &&
	       check_op_size(o) && check_branch(o) && check_flags(o);
}

static ZyanStatus zydis_decode(const u8 *bytes, size_t avail, struct oracle *o)
{
	static ZydisDecoder decoder;
	static bool is_ready;

	if (!is_ready) {
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
				 ZYDIS_STACK_WIDTH_64);
		is_ready = true;
	}
	return ZydisDecoderDecodeFull(&decoder, bytes, avail, &o->z, o->ops);
}

static enum insn_verdict judge(struct oracle *o, enum dmp_insn_status status,
			       bool is_zydis_ok)
{
	if (status == DMP_INSN_TRUNCATED || status == DMP_INSN_TOO_LONG) {
		if (!is_zydis_ok)
			return INSN_REFUSED;
		differ(o, "ours %s, Zydis decodes",
		       dmp_insn_status_name(status));
		return INSN_DISAGREE;
	}
	if (status)
		return INSN_REFUSED;
	if (!is_zydis_ok) {
		differ(o, "ours decodes (%s), Zydis refuses",
		       dmp_insn_form_name(o->insn->form));
		return INSN_DISAGREE;
	}
	o->mem = find_mem(o);
	return check_all(o) ? INSN_AGREE : INSN_DISAGREE;
}

void insn_oracle_compare(const u8 *bytes, size_t avail,
			 struct insn_comparison *cmp)
{
	struct oracle o;
	bool is_zydis_ok;

	o.insn = &cmp->insn;
	o.mem = NULL;
	o.message = cmp->message;
	o.message_size = sizeof(cmp->message);
	cmp->message[0] = '\0';
	cmp->status = dmp_insn_decode(bytes, avail, &cmp->insn);
	is_zydis_ok = ZYAN_SUCCESS(zydis_decode(bytes, avail, &o));
	cmp->zydis_length = is_zydis_ok ? o.z.length : 0;
	cmp->verdict = judge(&o, cmp->status, is_zydis_ok);
}
