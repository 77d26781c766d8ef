/* SPDX-License-Identifier: GPL-2.0-only */
/* Byte strings and what the decoder must make of them. */
#ifndef INSN_GOLDEN_H
#define INSN_GOLDEN_H

#include "insn/insn.h"

struct insn_golden {
	const char *hex;
	const char *text;	/* as insn_text() writes it */
};

struct insn_refused {
	const char *hex;
	enum dmp_insn_status status;
};

extern const struct insn_golden insn_golden[];
extern const size_t insn_golden_count;
extern const struct insn_refused insn_refused[];
extern const size_t insn_refused_count;

#endif /* INSN_GOLDEN_H */
