/* SPDX-License-Identifier: GPL-2.0-only */
/* Executable sections of a 64-bit ELF file, read into memory. */
#ifndef ELF_TEXT_H
#define ELF_TEXT_H

#include "arch/types.h"

struct elf_text {
	u8 *file;
	size_t size;
	size_t next;		/* section header to look at next */
};

struct elf_section {
	const char *name;
	const u8 *bytes;
	size_t size;
	u64 address;		/* gva; 0 in a module */
};

/* NULL, or what is wrong with the file. Close it after success. */
const char *elf_text_open(struct elf_text *elf, const char *path);
void elf_text_close(struct elf_text *elf);

/* The next section with code in it; false after the last one. */
bool elf_text_next(struct elf_text *elf, struct elf_section *section);

#endif /* ELF_TEXT_H */
