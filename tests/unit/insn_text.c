// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "insn_text.h"

static const char * const gpr_names[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
};

static const char * const seg_names[] = {
	"es", "cs", "ss", "ds", "fs", "gs",
};

struct bit_name {
	u32 bit;
	const char *name;
};

static const struct bit_name flag_names[] = {
	{ DMP_INSN_READS_MEM, "reads" },
	{ DMP_INSN_WRITES_MEM, "writes" },
	{ DMP_INSN_MEM_UNKNOWN, "unknown" },
	{ DMP_INSN_READS_STACK, "pops" },
	{ DMP_INSN_WRITES_STACK, "pushes" },
	{ DMP_INSN_RIP_REL, "riprel" },
	{ DMP_INSN_BIT_BASE, "bitbase" },
	{ DMP_INSN_LOCKED, "locked" },
	{ DMP_INSN_REPEATED, "repeated" },
	{ DMP_INSN_BRANCH, "branch" },
	{ DMP_INSN_RELATIVE, "relative" },
	{ DMP_INSN_COND, "cond" },
	{ DMP_INSN_CALL, "call" },
	{ DMP_INSN_ENDS_BLOCK, "end" },
	{ DMP_INSN_PRIVILEGED, "priv" },
	{ DMP_INSN_IOPL, "iopl" },
	{ DMP_INSN_SERIALIZING, "serial" },
};

static const struct bit_name prefix_names[] = {
	{ DMP_PFX_LOCK, "lock" },
	{ DMP_PFX_REPNE, "f2" },
	{ DMP_PFX_REP, "f3" },
	{ DMP_PFX_OPSIZE, "66" },
	{ DMP_PFX_ADDRSIZE, "67" },
};

static void __attribute__((format(printf, 2, 3)))
add(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, INSN_TEXT_MAX - used, format, args);
	va_end(args);
}

static void add_bits(char *text, u32 bits, const struct bit_name *names,
		     size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (bits & names[i].bit)
			add(text, " %s", names[i].name);
}

static void add_mem(char *text, const struct dmp_insn_mem *mem)
{
	const char *plus = "";

	add(text, " %s:[", seg_names[mem->seg]);
	if (mem->base != DMP_REG_NONE) {
		add(text, "%s", gpr_names[mem->base]);
		plus = "+";
	}
	if (mem->index != DMP_REG_NONE) {
		add(text, "%s%s*%u", plus, gpr_names[mem->index], mem->scale);
		plus = "+";
	}
	if (mem->disp < 0)
		add(text, "-%#llx", 0 - (u64)mem->disp);
	else if (mem->disp || !*plus)
		add(text, "%s%#llx", plus, (u64)mem->disp);
	add(text, mem->addr_size == 4 ? "]:4" : "]");
}

static void add_reg(char *text, u8 class, u8 reg)
{
	static const char * const high_names[] = { "ah", "ch", "dh", "bh" };

	switch (class) {
	case DMP_CLASS_GPR:
		add(text, " %s", gpr_names[reg]);
		break;
	case DMP_CLASS_HIGH:
		add(text, " %s", high_names[reg]);
		break;
	case DMP_CLASS_CR:
		add(text, " cr%u", reg);
		break;
	case DMP_CLASS_DR:
		add(text, " dr%u", reg);
		break;
	case DMP_CLASS_SEG:
		add(text, " %s", seg_names[reg]);
		break;
	}
}

static void add_layout(char *text, const struct dmp_insn *insn)
{
	add(text, " op@%u", insn->opcode_off);
	if (insn->modrm_off)
		add(text, " modrm@%u", insn->modrm_off);
	if (insn->sib_off)
		add(text, " sib@%u", insn->sib_off);
	if (insn->disp_off)
		add(text, " disp@%u+%u", insn->disp_off, insn->disp_size);
	if (insn->imm_off)
		add(text, " imm@%u+%u", insn->imm_off, insn->imm_size);
}

void insn_text(const struct dmp_insn *insn, char text[INSN_TEXT_MAX])
{
	*text = '\0';
	add(text, "%s", dmp_insn_form_name(insn->form));
	if (insn->op_size)
		add(text, "/%u", insn->op_size);
	if (insn->flags & DMP_INSN_HAS_MEM)
		add_mem(text, &insn->mem);
	add_reg(text, insn->reg_class, insn->reg);
	if (insn->rm_class != DMP_CLASS_NONE) {
		add(text, " rm");
		add_reg(text, insn->rm_class, insn->rm);
	}
	if (insn->imm_size)
		add(text, insn->imm < 0 ? " imm=-%#llx" : " imm=%#llx",
		    insn->imm < 0 ? 0 - (u64)insn->imm : (u64)insn->imm);
	add_bits(text, insn->flags, flag_names, DMP_ARRAY_SIZE(flag_names));
	add_bits(text, insn->prefixes, prefix_names,
		 DMP_ARRAY_SIZE(prefix_names));
	if (insn->rex)
		add(text, " rex=%02x", insn->rex);
	add_layout(text, insn);
}

size_t insn_bytes(const char *hex, u8 *bytes, size_t max)
{
	size_t n = 0;
	char *end;

	while (*hex && n < max) {
		bytes[n++] = (u8)strtoul(hex, &end, 16);
		hex = end + strspn(end, " ");
	}
	return n;
}
