/* SPDX-License-Identifier: GPL-2.0-only */
/* The engine's decoder beside Zydis, one byte string at a time. */
#ifndef INSN_ORACLE_H
#define INSN_ORACLE_H

#include <Zydis/Zydis.h>
#include "insn/insn.h"

enum insn_verdict {
	INSN_AGREE,		/* both decode, and say the same */
	INSN_REFUSED,		/* our decoder refuses */
	INSN_DISAGREE
};

struct insn_comparison {
	enum insn_verdict verdict;
	enum dmp_insn_status status;	/* ours */
	struct dmp_insn insn;		/* valid with DMP_INSN_OK */
	u32 zydis_length;		/* bytes; 0: Zydis refuses */
	char message[160];		/* why they disagree */
};

/* Compare at bytes, of which avail may be read. */
void insn_oracle_compare(const u8 *bytes, size_t avail,
			 struct insn_comparison *cmp);

/* "48 89 07 ..." for messages; text must hold 3 * n + 1 chars. */
void insn_oracle_hex(const u8 *bytes, size_t n, char *text);

/* What the oracle expects of a mnemonic (insn_oracle_table.c). */
struct insn_expected_form {
	ZydisMnemonic mnemonic;
	enum dmp_insn_form form;
	bool is_mem_only;	/* OTHER when no operand is memory */
};

extern const struct insn_expected_form insn_expected_forms[];
extern const size_t insn_expected_count;

#endif /* INSN_ORACLE_H */
