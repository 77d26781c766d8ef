/* SPDX-License-Identifier: GPL-2.0-only */
/* Exit codes, and what goes with them, in words. */
#ifndef DMP_TOOL_EXITNAME_H
#define DMP_TOOL_EXITNAME_H

#include "status.h"

#define EXIT_NAME_MAX	64

/* The name linux/uapi gives @code; "code 0x.." if it gives none. */
void exit_name(char *buf, size_t size, enum dmp_isa isa, u32 code);

/*
 * What @arg means for @code: "port 0x3f8", "MSR X2APIC_EOI", "CR3", "#PF".
 * Empty if it adds nothing to the name.
 */
void exit_arg(char *buf, size_t size, enum dmp_isa isa, u32 code, u64 arg);

/* A number, or a name as exit_name() prints it, in any case. */
bool exit_code_parse(const char *s, enum dmp_isa isa, u32 *code);

const char *msr_name(u32 msr);		/* or NULL */

#endif /* DMP_TOOL_EXITNAME_H */
