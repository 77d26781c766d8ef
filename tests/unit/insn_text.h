/* SPDX-License-Identifier: GPL-2.0-only */
/* A decoded instruction as one line of text, for golden rows and messages. */
#ifndef INSN_TEXT_H
#define INSN_TEXT_H

#include "insn/insn.h"

#define INSN_TEXT_MAX	256

/*
 * FORM/SIZE, the operands, flag words, prefixes, and each part of the bytes as
 * @OFFSET+SIZE, in this order; what is absent is left out. Example:
 *
 * mov-store/8 ds:[rax+rcx*4+16] rdx writes rex=48 op@1 modrm@2 sib@3 disp@4+1
 */
void insn_text(const struct dmp_insn *insn, char text[INSN_TEXT_MAX]);

/* "48 89 07" to bytes; returns their number. */
size_t insn_bytes(const char *hex, u8 *bytes, size_t max);

#endif /* INSN_TEXT_H */
