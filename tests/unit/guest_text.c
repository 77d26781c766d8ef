// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest kernel's text; see guest_text.h.
 */
#include <string.h>

#include "guest_parts.h"
#include "guest_text.h"

#define IMAGE_L3	510
#define TEXT_L2		9	/* behind what g_boot() maps large */
#define ALIAS_L2	3	/* of vmalloc */
#define IDT_INDEX	32
#define HANDLER		0x100

static const struct {
	u8 length, code[12];
} sites[TEXT_SITES] = {
	[TEXT_MOV]	= { 6, { 0x48, 0x89, 0x37, 0xc3, 0xcc, 0xcc } },
	[TEXT_XCHG]	= { 5, { 0x48, 0x87, 0x07, 0xc3, 0xcc } },
	[TEXT_IMM]	= { 8, { 0x48, 0xc7, 0x07, 0, 0, 0, 0, 0xc3 } },
	[TEXT_MOV_RET]	= { 6, { 0x48, 0x89, 0x77, 0x08, 0xc3, 0x90 } },
	[TEXT_NOP]	= { 9, { 0x48, 0x89, 0x37, 0x0f, 0x1f, 0x44, 0, 0, 0xc3 } },
	[TEXT_MOV_MOV]	= { 7, { 0x48, 0x89, 0x37, 0x48, 0x89, 0x37, 0xc3 } },
	[TEXT_FAR]	= { 7, { 0x48, 0x89, 0x35, 0, 0xff, 0xff, 0x7f } },
	[TEXT_WORD]	= { 6, { 0x66, 0x89, 0x37, 0xc3, 0xcc, 0xcc } },
	[TEXT_FLUSH]	= { 7, { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xc3 } },
	[TEXT_CR3]	= { 8, { 0x0f, 0x22, 0xdf, 0x0f, 0x1f, 0x40, 0, 0xc3 } },
};

static u64 new_frame(struct guest *g)
{
	static const u8 zero[64];
	u64 gfn = g_find_free(g);
	unsigned int i;

	g->type[gfn] = G_KERNEL;
	g->nfree--;
	for (i = 0; i < DMP_PAGE_SIZE; i += sizeof(zero))
		m_vmm_write(&g->m, gfn << 12 | i, zero, sizeof(zero));
	return gfn;
}

static void put(struct guest *g, u64 table, unsigned int index, u64 value)
{
	m_vmm_write(&g->m, table << 12 | index * 8, &value, 8);
}

static u64 nx(const struct guest *g)
{
	return g->m.mmu->paging.flags & DMP_PAGING_NX ? NX : 0;
}

u64 g_site(const struct text *t, unsigned int page, enum text_site site)
{
	return t->gva + page * DMP_PAGE_SIZE + site * G_SITE_BYTES;
}

static void fill(struct guest *g, const struct text *t, unsigned int page)
{
	static const u8 handler[] = { 0x0f, 0x01, 0xca, 0xfc, 0xe8, 1, 2, 0, 0 };
	u8 line[G_SITE_BYTES];
	unsigned int i;

	for (i = 0; i < DMP_PAGE_SIZE / G_SITE_BYTES; i++) {
		memset(line, 0xcc, sizeof(line));
		if (page && i < TEXT_SITES)
			memcpy(line, sites[i].code, sites[i].length);
		if (!page && i == HANDLER / G_SITE_BYTES)
			memcpy(line, handler, sizeof(handler));
		m_vmm_write(&g->m, t->gfn[page] << 12 | i * G_SITE_BYTES, line,
			    sizeof(line));
	}
}

/* Of the uppermost 2 GiB, where a kernel's code is. */
static u64 image_l2(struct guest *g, u64 gva)
{
	u64 table = g->kernel_root, entry;
	unsigned int level;

	for (level = g_levels_of(g); level > 2; level--) {
		entry = g_entry_get(g, table, dmp_index(gva, level));
		if (!(entry & P)) {
			entry = new_frame(g) << 12 | P | RW | A;
			put(g, table, dmp_index(gva, level), entry);
		}
		table = dmp_pte_gfn(entry);
	}
	return table;
}

void g_text(struct guest *g, struct text *t)
{
	const u64 leaf = P | A | D | G;
	unsigned int i;

	*t = (struct text){
		.gva = g_gva_of(g, TOP_KERNEL, 511, IMAGE_L3, TEXT_L2, 0),
		.idt = g_gva_of(g, TOP_KERNEL, 511, IMAGE_L3, TEXT_L2, IDT_INDEX),
		.alias = g_gva_of(g, TOP_VMALLOC, 0, 0, ALIAS_L2, 0),
	};
	t->handler = t->gva + HANDLER;
	t->gate = t->idt + 14 * 16;
	t->l2 = image_l2(g, t->gva);
	t->table = new_frame(g);
	t->alias_table = new_frame(g);
	t->idt_gfn = new_frame(g);
	for (i = 0; i < TEXT_PAGES; i++) {
		t->gfn[i] = new_frame(g);
		fill(g, t, i);
		put(g, t->table, i, t->gfn[i] << 12 | leaf);
		put(g, t->alias_table, i, t->gfn[i] << 12 | leaf | RW | nx(g));
	}
	put(g, t->table, IDT_INDEX, t->idt_gfn << 12 | leaf | nx(g));
	put(g, t->l2, TEXT_L2, t->table << 12 | P | RW | A);
	put(g, g->vmalloc_l2, ALIAS_L2, t->alias_table << 12 | P | RW | A);
}

void g_store(struct guest *g, u64 rip, u64 table, unsigned int index, u64 value)
{
	g->m.rip = rip;
	g_kwrite(g, table, index * 8, &value, 8);
	g->m.rip = 0;
}
