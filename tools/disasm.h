/* SPDX-License-Identifier: GPL-2.0-only */
/* One instruction as text, by Zydis. */
#ifndef DMP_TOOL_DISASM_H
#define DMP_TOOL_DISASM_H

#include "util.h"

#define DISASM_MAX	160

enum disasm_syntax { DISASM_INTEL, DISASM_ATT };

/*
 * Disassemble the instruction at guest address @addr; @bits is 16, 32 or 64.
 * Its length; 0, with @buf empty, if the bytes are none or too few.
 */
size_t disasm(char *buf, size_t size, enum disasm_syntax syntax,
	      unsigned int bits, u64 addr, const u8 *bytes, size_t nr_bytes);

#endif /* DMP_TOOL_DISASM_H */
