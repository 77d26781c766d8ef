// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: the decoder against Zydis and against itself. The input is
 * a heap block of its own size, so ASan sees a read past its end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "insn_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void give_up(const u8 *bytes, size_t n, const char *message)
{
	char hex[3 * DMP_INSN_LEN_MAX + 1];

	insn_oracle_hex(bytes, n < DMP_INSN_LEN_MAX ? n : DMP_INSN_LEN_MAX,
			hex);
	fprintf(stderr, "%s: %s\n", hex, message);
	abort();
}

/* From a block of n bytes: neither more nor fewer may be needed. */
static enum dmp_insn_status decode_copy(const u8 *bytes, size_t n,
					struct dmp_insn *insn)
{
	u8 *copy = malloc(n ? n : 1);
	enum dmp_insn_status status;

	if (!copy)
		abort();
	memcpy(copy, bytes, n);
	status = dmp_insn_decode(n ? copy : copy + 1, n, insn);
	free(copy);
	return status;
}

static void check_length(const u8 *bytes, const struct dmp_insn *insn)
{
	struct dmp_insn again;

	memset(&again, 0, sizeof(again));
	if (decode_copy(bytes, insn->length, &again) != DMP_INSN_OK ||
	    again.length != insn->length || again.form != insn->form ||
	    again.flags != insn->flags || again.imm != insn->imm)
		give_up(bytes, insn->length, "depends on what follows");
	if (decode_copy(bytes, insn->length - 1u, &again) !=
	    DMP_INSN_TRUNCATED)
		give_up(bytes, insn->length, "does not need its last byte");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insn_comparison cmp;

	insn_oracle_compare(data, size, &cmp);
	if (cmp.verdict == INSN_DISAGREE)
		give_up(data, size, cmp.message);
	if (cmp.verdict == INSN_AGREE)
		check_length(data, &cmp.insn);
	return 0;
}
