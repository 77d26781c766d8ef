// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is checked of the implant on the model machine: that it is where it
 * should be in the loaded root, what stubs would believe, and what code shows.
 */
#include <string.h>

#include "model_parts.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "splicer/space.h"
#include "splicer/target.h"

u64 m_machine_leaf(struct machine *m, u64 gva)
{
	unsigned int level = m->mmu->paging.levels;
	u64 hfn = m->cr3_hfn, entry;

	for (;; level--) {
		entry = ((u64 *)m_page(m, hfn))[dmp_index(gva, level)];
		if (!(entry & DMP_PTE_P) || entry & TRAP_BIT)
			return 0;
		if (dmp_pte_is_leaf(entry, level))
			return entry + (gva & ((dmp_level_pages(level) - 1) <<
					       DMP_PAGE_SHIFT));
		hfn = dmp_pte_gfn(entry);
	}
}

/* User mode can run on the guest's root at @gfn. */
static bool runs_user(struct machine *m, u64 gfn)
{
	const u64 *entries = m_ref(m, gfn);
	unsigned int i;

	for (i = 0; i < DMP_ENTRIES / 2; i++)
		if (entries[i] & DMP_PTE_P && entries[i] & DMP_PTE_US &&
		    !(m->mmu->paging.flags & DMP_PAGING_NX && entries[i] & DMP_PTE_NX))
			return true;
	return false;
}

/* Whether the machine root at @hfn has anything of the private region. */
static bool has_private(struct machine *m, u64 hfn)
{
	const struct dmp_implant *i = m->splicer->implant;
	unsigned int levels = m->mmu->paging.levels;
	const u64 *entries = m_page(m, hfn);

	return entries[dmp_index(i->window, levels)] & DMP_PTE_P ||
	       entries[dmp_index(i->frames, levels)] & DMP_PTE_P;
}

/* Where filter and agent do their work; NULL: with the loaded root. */
static const struct dmp_target *elsewhere(struct machine *m)
{
	const struct dmp_splicer *s = m->splicer;
	u32 i;

	for (i = 0; i < s->targets_used; i++)
		if (dmp_target_value(&s->target[i]) == s->implant->private)
			return &s->target[i];
	return NULL;
}

bool m_can_work(struct machine *m)
{
	const struct dmp_implant *i = m->splicer->implant;
	const struct dmp_target *target = elsewhere(m);

	if (i->private == DMP_PRIVATE_NOWHERE)
		return false;
	if (!i->private)
		return true;
	m->elsewhere++;
	if (!target || !has_private(m, target->hfn))
		m_fail(m, "nothing private at %#llx", i->private);
	if (i->here != (m->cr3_hfn << DMP_PAGE_SHIFT | DMP_CR3_PWT))
		m_fail(m, "the way back is to %#llx", i->here);
	return true;
}

void m_check_hidden(struct machine *m)
{
	const struct dmp_implant *i;
	bool hides, shown, late;

	if (m->broken || !m->splicer || !m->splicer->active)
		return;
	i = m->splicer->implant;
	hides = m->guarded && runs_user(m, m->cr3_gfn);
	shown = has_private(m, m->cr3_hfn);
	/* The agent took the last code away: it need not be shown again at once. */
	late = m->guarded && !hides && !shown &&
	       dmp_table_by_hfn(m->mmu, m->cr3_hfn)->flags & DMP_TABLE_USER;
	if ((shown == hides && !late) || !i->private != shown)
		m_fail(m, "the private region is%s to be read by user mode: %#llx",
		       hides ? "" : " not", i->private);
	m->hidings += hides;
}

/* @gva is mapped to @hfn: in the implant's tree, and as the CPU walks. */
static void check_at(struct machine *m, u64 gva, u64 hfn, const char *what)
{
	u64 is = 0;

	if (!dmp_space_lookup(m->mmu, gva, &is) || is != hfn)
		m_fail(m, "%s: %#llx is %#llx, not %#llx", what, gva, is, hfn);
	if (gva - m->splicer->private_gva < m->splicer->private_bytes &&
	    m->splicer->implant->private)
		return;
	is = m_machine_leaf(m, gva);
	if (dmp_pte_gfn(is) != hfn || is & DMP_PTE_US)
		m_fail(m, "%s: %#llx is walked to %#llx, not %#llx", what, gva,
		       is, hfn);
}

/* Whether the engine has a page for the agent at @hfn. */
static bool is_agents(struct machine *m, u64 hfn)
{
	u32 i;

	for (i = 0; i < m->mmu->root_end; i++)
		if (dmp_root_nth(m->mmu, i)->copy_hfn == hfn)
			return hfn;
	return dmp_table_by_hfn(m->mmu, hfn);
}

/* The window shows guest memory, machine tables and roots' copies, and nothing else. */
static void check_window(struct machine *m)
{
	const u64 end = (M_HFNS + 2 * DMP_ENTRIES) & ~(DMP_ENTRIES - 1ull);
	u64 hfn, is;
	bool theirs;

	for (hfn = 0; hfn < end; hfn++) {
		theirs = hfn <= M_HFNS && m->state[hfn] == PAGE_GUEST ?
			 !m_is_rom(m->gfn_of[hfn]) :
			 is_agents(m, hfn);
		if (dmp_space_lookup(m->mmu, m->splicer->implant->window +
				     (hfn << DMP_PAGE_SHIFT), &is) != theirs)
			m_fail(m, "host page %#llx is%s in the window", hfn,
			       theirs ? " not" : "");
	}
}

void m_check_space(struct machine *m)
{
	const struct dmp_splicer *s = m->splicer;
	const struct dmp_implant *i = s->implant;
	struct dmp_table *table;
	u64 gfn, hfn, at;
	u32 id = 0;

	if (m->broken)
		return;
	m_check_hidden(m);
	for (at = 0; at < M_IMPLANT_PAGES; at++)
		check_at(m, s->implant_gva + at * DMP_PAGE_SIZE,
			 s->implant_hfn + at, "implant");
	for (at = 0; at < s->rooms; at++)
		if (!dmp_space_lookup(m->mmu, s->room[at].gva, &hfn) ||
		    m_page(m, hfn) != s->room[at].page)
			m_fail(m, "stubs are not at %#llx", s->room[at].gva);
	while ((table = dmp_table_next(m->mmu, &id)))
		check_at(m, i->window + (table->hfn << 12), table->hfn, "table");
	for (gfn = 0; gfn < M_GFNS; gfn++) {
		check_at(m, (i->frames + gfn * DMP_FRAME_BYTES) & ~4095ull,
			 m_host_page_hfn(m, (char *)m->records +
					 gfn * DMP_FRAME_BYTES), "record");
		if (m->hfn_of[gfn] && !m_is_rom(gfn))
			check_at(m, i->window + (m->hfn_of[gfn] << 12),
				 m->hfn_of[gfn], "frame");
	}
	check_window(m);
	/* Whatever the mask lets through has a record: zeroes, beyond. */
	at = i->frames + (i->frame_mask >> 12) * DMP_FRAME_BYTES;
	for (; gfn <= i->frame_mask >> 12; gfn += 100)
		if (!dmp_space_lookup(m->mmu, i->frames + gfn * DMP_FRAME_BYTES, &hfn))
			m_fail(m, "no record for %#llx", gfn);
	if (!dmp_space_lookup(m->mmu, at, &hfn) || i->frame_mask >> 12 < M_GFNS - 1)
		m_fail(m, "no record for the last frame");
}

static void check_entry(struct machine *m, const struct dmp_cache_entry *e)
{
	const struct dmp_implant *i = m->splicer->implant;
	const struct dmp_table *table;
	struct ref_walk walk;
	u64 leaf;

	if (e->tag == DMP_CACHE_VOID) {
		if (e->guest != DMP_CACHE_VOID)
			m_fail(m, "a void cache entry has a table");
		return;
	}
	if (!e->table || e->table >= m->mmu->chunks << DMP_CHUNK_SHIFT)
		m_fail(m, "cache: no table %#llx", e->table);
	table = dmp_table_of(m->mmu, e->table);
	if (!table->id || !(table->flags & DMP_TABLE_HELD))
		m_fail(m, "cache: table %llu is not held", e->table);
	if (e->guest != i->window + (m->hfn_of[table->gfn] << 12))
		m_fail(m, "cache: %#llx is not where the guest's table is", e->guest);
	if (e->machine != m->splicer->slow_gva &&
	    (table->level != 1 || table->next ||
	     m->records[table->gfn].tables != table->id ||
	     e->machine != i->window + (table->hfn << 12)))
		m_fail(m, "cache: machine table %#llx is not that of %#llx",
		       e->machine, table->gfn);
	m_ref_walk(m, m->cr3_gfn, e->tag, DMP_ACCESS_WRITE | DMP_ACCESS_AC, &walk);
	if (walk.kind != REF_MAPPED || walk.gfn != table->gfn)
		m_fail(m, "cache: %#llx leads to %#llx (%d), not to %#llx", e->tag,
		       walk.gfn, walk.kind, table->gfn);
	leaf = m_ref(m, walk.table[walk.leaf])[walk.index[walk.leaf]];
	if (leaf & DMP_PTE_US)
		m_fail(m, "cache: %#llx is user's, whose entry stubs may change", e->tag);
}

void m_check_cache(struct machine *m)
{
	const struct dmp_implant *i;
	unsigned int k;

	if (m->broken || !m->splicer || !m->splicer->active)
		return;
	i = m->splicer->implant;
	for (k = 0; k < DMP_CACHE_SLOTS; k++)
		check_entry(m, &i->cache[k]);
	for (k = 0; k < 2; k++)
		check_entry(m, &i->last[k]);
}

static void check_page(struct machine *m, const struct dmp_code_page *code)
{
	const struct dmp_splicer *s = m->splicer;
	u8 want[DMP_PAGE_SIZE];
	const struct dmp_site *site;
	unsigned int i;
	u64 leaf;

	memcpy(want, m_real(m, code->gfn), DMP_PAGE_SIZE);
	for (i = 0; i <= s->sites; i++) {
		site = i < s->sites ? &s->site[i] : &s->prologue;
		if (site->state == DMP_SITE_SPLICED &&
		    (site->rip & ~4095ull) == code->gva)
			memcpy(want + (site->rip & 4095), site->bytes,
			       site->stub.plan.len);
	}
	for (i = 0; i < s->lidts.count; i++)
		if ((s->lidts.at[i].rip & ~4095ull) == code->gva)
			want[s->lidts.at[i].rip & 4095] = 0xcc;
	if (memcmp(want, code->copy, DMP_PAGE_SIZE))
		m_fail(m, "code at %#llx differs not just at its sites", code->gva);
	leaf = m_machine_leaf(m, code->gva);
	if (dmp_pte_gfn(leaf) != code->hfn || leaf & (DMP_PTE_RW | DMP_PTE_US))
		m_fail(m, "code at %#llx is executed from %#llx", code->gva, leaf);
}

/* For guests whose code every root maps, as a kernel's is. */
void m_check_code(struct machine *m)
{
	unsigned int i;

	for (i = 0; !m->broken && i < DMP_CODES_MAX; i++)
		if (m->splicer->code[i].hfn)
			check_page(m, &m->splicer->code[i]);
}
