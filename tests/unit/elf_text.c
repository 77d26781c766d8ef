// SPDX-License-Identifier: GPL-2.0-only
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "elf_text.h"

static u8 *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	u8 *bytes = NULL;
	long end = -1;

	if (!f)
		return NULL;
	if (!fseek(f, 0, SEEK_END))
		end = ftell(f);
	if (end > 0 && !fseek(f, 0, SEEK_SET))
		bytes = malloc((size_t)end);
	if (bytes && fread(bytes, 1, (size_t)end, f) != (size_t)end) {
		free(bytes);
		bytes = NULL;
	}
	*size = (size_t)end;
	fclose(f);
	return bytes;
}

/* Copied out: offsets in the file need not be aligned. */
static Elf64_Ehdr header(const struct elf_text *elf)
{
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, elf->file, sizeof(ehdr));
	return ehdr;
}

static Elf64_Shdr section_header(const struct elf_text *elf, size_t i)
{
	Elf64_Shdr shdr;

	memcpy(&shdr, elf->file + header(elf).e_shoff + i * sizeof(shdr),
	       sizeof(shdr));
	return shdr;
}

static bool is_inside(const struct elf_text *elf, u64 offset, u64 size)
{
	return offset <= elf->size && size <= elf->size - offset;
}

static const char *check(const struct elf_text *elf)
{
	Elf64_Ehdr ehdr;

	if (elf->size < sizeof(ehdr))
		return "too short";
	ehdr = header(elf);
	if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) ||
	    ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_machine != EM_X86_64)
		return "not an x86-64 ELF file";
	if (ehdr.e_shentsize != sizeof(Elf64_Shdr) ||
	    ehdr.e_shstrndx >= ehdr.e_shnum ||
	    !is_inside(elf, ehdr.e_shoff,
		       (u64)ehdr.e_shnum * sizeof(Elf64_Shdr)))
		return "bad section table";
	return NULL;
}

const char *elf_text_open(struct elf_text *elf, const char *path)
{
	const char *problem;

	elf->next = 0;
	elf->file = read_file(path, &elf->size);
	if (!elf->file)
		return "cannot be read";
	problem = check(elf);
	if (problem)
		elf_text_close(elf);
	return problem;
}

void elf_text_close(struct elf_text *elf)
{
	free(elf->file);
	elf->file = NULL;
}

static const char *section_name(const struct elf_text *elf, u32 name)
{
	Elf64_Shdr names = section_header(elf, header(elf).e_shstrndx);
	const char *text;

	if (!is_inside(elf, names.sh_offset, names.sh_size) ||
	    name >= names.sh_size)
		return "?";
	text = (const char *)elf->file + names.sh_offset + name;
	return memchr(text, '\0', names.sh_size - name) ? text : "?";
}

bool elf_text_next(struct elf_text *elf, struct elf_section *section)
{
	while (elf->next < header(elf).e_shnum) {
		Elf64_Shdr shdr = section_header(elf, elf->next++);

		if (shdr.sh_type != SHT_PROGBITS ||
		    !(shdr.sh_flags & SHF_EXECINSTR) || !shdr.sh_size ||
		    !is_inside(elf, shdr.sh_offset, shdr.sh_size))
			continue;
		section->name = section_name(elf, shdr.sh_name);
		section->bytes = elf->file + shdr.sh_offset;
		section->size = shdr.sh_size;
		section->address = shdr.sh_addr;
		return true;
	}
	return false;
}
