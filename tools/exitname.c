// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <linux/kvm.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "exitname.h"

struct code_name {
	u32 code;
	const char *name;
};

static const struct code_name svm_names[] = { SVM_EXIT_REASONS };
static const struct code_name vmx_names[] = { VMX_EXIT_REASONS };

/* SDM vol. 3, table 6-1; APM vol. 2, table 8-1 */
static const char *const vectors[32] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
	"#DF", NULL, "#TS", "#NP", "#SS", "#GP", "#PF", NULL,
	"#MF", "#AC", "#MC", "#XM", "#VE", "#CP", NULL, NULL,
	NULL, NULL, NULL, NULL, "#HV", "#VC", "#SX", NULL,
};

static const struct code_name *table_of(enum dmp_isa isa, size_t *n)
{
	switch (isa) {
	case ISA_SVM:
		*n = ARRAY_SIZE(svm_names);
		return svm_names;
	case ISA_VMX:
		*n = ARRAY_SIZE(vmx_names);
		return vmx_names;
	default:
		*n = 0;
		return NULL;
	}
}

static const char *find_name(enum dmp_isa isa, u32 code)
{
	size_t i, n;
	const struct code_name *t = table_of(isa, &n);

	for (i = 0; i < n; i++)
		if (t[i].code == code)
			return t[i].name;
	return NULL;
}

static bool is_svm_excp(enum dmp_isa isa, u32 code)
{
	return isa == ISA_SVM && code >= SVM_EXIT_EXCP_BASE &&
	       code < SVM_EXIT_EXCP_BASE + 32;
}

void exit_name(char *buf, size_t size, enum dmp_isa isa, u32 code)
{
	const char *name = find_name(isa, code);
	const char *basic = find_name(isa, code & 0xffff);

	if (name)
		snprintf(buf, size, "%s", name);
	else if (is_svm_excp(isa, code))
		snprintf(buf, size, "excp %u", code - SVM_EXIT_EXCP_BASE);
	else if (isa == ISA_VMX && basic &&
		 code & VMX_EXIT_REASONS_FAILED_VMENTRY)
		snprintf(buf, size, "FAILED_VMENTRY %s", basic);
	else
		snprintf(buf, size, "code 0x%x", code);
}

static void vector_text(char *buf, size_t size, u64 vector)
{
	if (vector < 32 && vectors[vector])
		snprintf(buf, size, "%s", vectors[vector]);
	else
		snprintf(buf, size, "vector %llu", (unsigned long long)vector);
}

static void msr_text(char *buf, size_t size, u64 msr)
{
	const char *name = msr <= UINT32_MAX ? msr_name(msr) : NULL;

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "MSR 0x%llx", (unsigned long long)msr);
}

enum arg_type { ARG_OTHER, ARG_NONE, ARG_VECTOR, ARG_PORT, ARG_MSR, ARG_CR, ARG_DR };

static enum arg_type arg_type_vmx(u32 code)
{
	switch (code) {
	case EXIT_REASON_EXCEPTION_NMI:
		return ARG_VECTOR;
	case EXIT_REASON_IO_INSTRUCTION:
		return ARG_PORT;
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
		return ARG_MSR;
	case EXIT_REASON_CR_ACCESS:
		return ARG_CR;
	case EXIT_REASON_DR_ACCESS:
		return ARG_DR;
	default:
		return ARG_OTHER;
	}
}

static enum arg_type arg_type_svm(u32 code)
{
	/* The code itself says which register or vector (APM2, app. C). */
	if (code < SVM_EXIT_EXCP_BASE + 32)
		return ARG_NONE;
	switch (code) {
	case SVM_EXIT_CR0_SEL_WRITE:
	case SVM_EXIT_CR0_WRITE_TRAP:
	case SVM_EXIT_CR4_WRITE_TRAP:
	case SVM_EXIT_CR8_WRITE_TRAP:
		return ARG_NONE;
	case SVM_EXIT_IOIO:
		return ARG_PORT;
	case SVM_EXIT_MSR:
		return ARG_MSR;
	default:
		return ARG_OTHER;
	}
}

void exit_arg(char *buf, size_t size, enum dmp_isa isa, u32 code, u64 arg)
{
	unsigned long long n = arg;
	enum arg_type type = isa == ISA_VMX ? arg_type_vmx(code) :
			     isa == ISA_SVM ? arg_type_svm(code) : ARG_OTHER;

	buf[0] = '\0';
	switch (type) {
	case ARG_NONE:
		break;
	case ARG_VECTOR:
		vector_text(buf, size, arg);
		break;
	case ARG_PORT:
		snprintf(buf, size, "port 0x%llx", n);
		break;
	case ARG_MSR:
		msr_text(buf, size, arg);
		break;
	case ARG_CR:
		snprintf(buf, size, "CR%llu", n);
		break;
	case ARG_DR:
		snprintf(buf, size, "DR%llu", n);
		break;
	case ARG_OTHER:
		if (arg)
			snprintf(buf, size, "0x%llx", n);
		break;
	}
}

bool exit_code_parse(const char *s, enum dmp_isa isa, u32 *code)
{
	size_t i, n;
	const struct code_name *t = table_of(isa, &n);
	u64 v;

	if (parse_u64((struct span){ s, strlen(s) }, &v) && v <= UINT32_MAX) {
		*code = v;
		return true;
	}
	for (i = 0; i < n; i++) {
		if (!strcasecmp(s, t[i].name)) {
			*code = t[i].code;
			return true;
		}
	}
	return false;
}
