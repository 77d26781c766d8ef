// SPDX-License-Identifier: GPL-2.0-only
/* Writes the golden rows into a directory, one file each, for the fuzzer. */
#include <stdio.h>
#include "insn_golden.h"
#include "insn_text.h"

static int write_seed(const char *dir, size_t number, const char *hex)
{
	char path[4096];
	u8 bytes[32];
	size_t n = insn_bytes(hex, bytes, sizeof(bytes));
	FILE *f;

	snprintf(path, sizeof(path), "%s/golden-%03zu", dir, number);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t i, number = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: insn_seeds DIRECTORY\n");
		return 2;
	}
	for (i = 0; i < insn_golden_count; i++)
		if (write_seed(argv[1], number++, insn_golden[i].hex))
			return 1;
	for (i = 0; i < insn_refused_count; i++)
		if (write_seed(argv[1], number++, insn_refused[i].hex))
			return 1;
	return 0;
}
