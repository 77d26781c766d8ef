// SPDX-License-Identifier: GPL-2.0-only
/* The decoder's forms and refusals: their names, and what a form implies. */
#include "insn/insn_table.h"

#define JUMP		DMP_INSN_BRANCH
#define REL		(DMP_INSN_BRANCH | DMP_INSN_RELATIVE)
#define COND		DMP_INSN_COND
#define CALL		(DMP_INSN_CALL | DMP_INSN_WRITES_STACK)
#define END		DMP_INSN_ENDS_BLOCK
#define PUSHES		DMP_INSN_WRITES_STACK
#define POPS		DMP_INSN_READS_STACK
#define PRIV		DMP_INSN_PRIVILEGED
#define IOPL		DMP_INSN_IOPL
#define SERIAL		DMP_INSN_SERIALIZING
#define UNKNOWN		DMP_INSN_MEM_UNKNOWN

#define FORM(form, name, flags) \
	[DMP_FORM_##form] = { name, flags, 0 }
#define FORM_MEM(form, name) \
	[DMP_FORM_##form] = { name, 0, 1 }

/* Privileged: SDM vol. 3, 5.9. Serializing: SDM vol. 3, 9.3. */
const struct dmp_insn_form_info dmp_insn_forms[DMP_FORM_COUNT] = {
	FORM(OTHER, "other", 0),
	FORM_MEM(MOV_STORE, "mov-store"),
	FORM_MEM(MOV_LOAD, "mov-load"),
	FORM_MEM(MOVNTI, "movnti"),
	FORM_MEM(XCHG, "xchg"),
	FORM_MEM(CMPXCHG, "cmpxchg"),
	FORM_MEM(CMPXCHG_PAIR, "cmpxchg-pair"),
	FORM_MEM(XADD, "xadd"),
	FORM_MEM(ADD, "add"),
	FORM_MEM(OR, "or"),
	FORM_MEM(ADC, "adc"),
	FORM_MEM(SBB, "sbb"),
	FORM_MEM(AND, "and"),
	FORM_MEM(SUB, "sub"),
	FORM_MEM(XOR, "xor"),
	FORM_MEM(INC, "inc"),
	FORM_MEM(DEC, "dec"),
	FORM_MEM(NOT, "not"),
	FORM_MEM(NEG, "neg"),
	FORM_MEM(BT, "bt"),
	FORM_MEM(BTS, "bts"),
	FORM_MEM(BTR, "btr"),
	FORM_MEM(BTC, "btc"),
	FORM(STOS, "stos", 0),
	FORM(MOVS, "movs", 0),
	FORM(LODS, "lods", 0),
	FORM(CMPS, "cmps", 0),
	FORM(SCAS, "scas", 0),
	FORM(PUSH, "push", PUSHES),
	FORM(POP, "pop", POPS),
	FORM(PUSHF, "pushf", PUSHES),
	FORM(POPF, "popf", POPS),
	FORM(CALL_REL, "call-rel", REL | CALL),
	FORM(CALL_IND, "call-ind", JUMP | CALL),
	FORM(CALL_FAR, "call-far", JUMP | CALL),
	FORM(JMP_REL, "jmp-rel", REL | END),
	FORM(JMP_IND, "jmp-ind", JUMP | END),
	FORM(JMP_FAR, "jmp-far", JUMP | END),
	FORM(JCC, "jcc", REL | COND),
	FORM(LOOP, "loop", REL | COND),
	FORM(JRCXZ, "jrcxz", REL | COND),
	FORM(RET, "ret", JUMP | END | POPS),
	FORM(RET_FAR, "ret-far", JUMP | END | POPS),
	FORM(IRET, "iret", JUMP | END | POPS | SERIAL),
	FORM(INT3, "int3", 0),
	FORM(INT1, "int1", 0),
	FORM(INT, "int", 0),
	FORM(UD, "ud", END),
	FORM(SYSCALL, "syscall", JUMP),
	FORM(SYSRET, "sysret", JUMP | END | PRIV),
	FORM(SYSENTER, "sysenter", JUMP | END),
	FORM(SYSEXIT, "sysexit", JUMP | END | PRIV),
	FORM(RSM, "rsm", JUMP | END | SERIAL | UNKNOWN),
	FORM(NOP, "nop", 0),
	FORM(PAUSE, "pause", 0),
	FORM(ENDBR, "endbr", 0),
	FORM(MONITOR, "monitor", 0),
	FORM(MWAIT, "mwait", 0),
	FORM(MOV_FROM_CR, "mov-from-cr", PRIV),
	FORM(MOV_TO_CR, "mov-to-cr", PRIV | SERIAL),
	FORM(MOV_FROM_DR, "mov-from-dr", PRIV),
	FORM(MOV_TO_DR, "mov-to-dr", PRIV | SERIAL),
	FORM(CLTS, "clts", PRIV),
	FORM(LMSW, "lmsw", PRIV),
	FORM(SMSW, "smsw", 0),
	FORM(INVLPG, "invlpg", PRIV | SERIAL),
	FORM(INVPCID, "invpcid", PRIV),
	FORM(INVEPT, "invept", PRIV | SERIAL),
	FORM(INVVPID, "invvpid", PRIV | SERIAL),
	FORM(INVLPGA, "invlpga", PRIV),
	FORM(LGDT, "lgdt", PRIV | SERIAL),
	FORM(LIDT, "lidt", PRIV | SERIAL),
	FORM(LLDT, "lldt", PRIV | SERIAL),
	FORM(LTR, "ltr", PRIV | SERIAL),
	FORM(SGDT, "sgdt", 0),
	FORM(SIDT, "sidt", 0),
	FORM(SLDT, "sldt", 0),
	FORM(STR, "str", 0),
	FORM(SWAPGS, "swapgs", PRIV),
	FORM(RDMSR, "rdmsr", PRIV),
	FORM(WRMSR, "wrmsr", PRIV | SERIAL),
	FORM(HLT, "hlt", PRIV),
	FORM(INVD, "invd", PRIV | SERIAL),
	FORM(WBINVD, "wbinvd", PRIV | SERIAL),
	FORM(XGETBV, "xgetbv", 0),
	FORM(XSETBV, "xsetbv", PRIV),
	FORM(CLI, "cli", IOPL),
	FORM(STI, "sti", IOPL),
	FORM(CLAC, "clac", PRIV),
	FORM(STAC, "stac", PRIV),
	FORM(CPUID, "cpuid", SERIAL),
	FORM(RDTSC, "rdtsc", 0),
	FORM(RDTSCP, "rdtscp", 0),
	FORM(RDPMC, "rdpmc", 0),
	FORM(SERIALIZE, "serialize", SERIAL),
	FORM(IN, "in", IOPL),
	FORM(OUT, "out", IOPL),
	FORM(INS, "ins", IOPL),
	FORM(OUTS, "outs", IOPL),
	FORM(VMCALL, "vmcall", UNKNOWN),
	FORM(VMLAUNCH, "vmlaunch", PRIV | JUMP | UNKNOWN),
	FORM(VMRESUME, "vmresume", PRIV | JUMP | UNKNOWN),
	FORM(VMXOFF, "vmxoff", PRIV),
	FORM(VMXON, "vmxon", PRIV),
	FORM(VMCLEAR, "vmclear", PRIV),
	FORM(VMPTRLD, "vmptrld", PRIV),
	FORM(VMPTRST, "vmptrst", PRIV),
	FORM(VMREAD, "vmread", PRIV),
	FORM(VMWRITE, "vmwrite", PRIV),
	FORM(VMFUNC, "vmfunc", 0),
	FORM(VMMCALL, "vmmcall", UNKNOWN),
	FORM(VMRUN, "vmrun", PRIV | UNKNOWN),
	FORM(VMLOAD, "vmload", PRIV | UNKNOWN),
	FORM(VMSAVE, "vmsave", PRIV | UNKNOWN),
	FORM(STGI, "stgi", PRIV),
	FORM(CLGI, "clgi", PRIV),
	FORM(SKINIT, "skinit", PRIV | UNKNOWN),
};

static const char * const status_names[DMP_INSN_STATUS_COUNT] = {
	[DMP_INSN_OK] = "ok",
	[DMP_INSN_TRUNCATED] = "truncated",
	[DMP_INSN_TOO_LONG] = "too-long",
	[DMP_INSN_UNKNOWN] = "unknown-opcode",
	[DMP_INSN_BAD_OPERAND] = "bad-operand",
	[DMP_INSN_BAD_LOCK] = "bad-lock",
	[DMP_INSN_BAD_PREFIX] = "bad-prefix",
	[DMP_INSN_PREFIX_CLASH] = "prefix-clash",
	[DMP_INSN_REX_ORDER] = "rex-order",
	[DMP_INSN_OPSIZE_BRANCH] = "opsize-branch",
	[DMP_INSN_CPU_DIFFERS] = "cpu-differs",
	[DMP_INSN_VEX] = "vex",
	[DMP_INSN_EVEX] = "evex",
	[DMP_INSN_XOP] = "xop",
	[DMP_INSN_3DNOW] = "3dnow",
};

const char *dmp_insn_status_name(enum dmp_insn_status status)
{
	if ((u32)status >= DMP_INSN_STATUS_COUNT)
		return "?";
	return status_names[status];
}

const char *dmp_insn_form_name(enum dmp_insn_form form)
{
	if ((u32)form >= DMP_FORM_COUNT)
		return "?";
	return dmp_insn_forms[form].name;
}
