// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model machine's implant: what its host gives the engine for one, and
 * what the guest's splices do, as the rows of their stubs say. Stubs do not
 * run here (tests/machine has them run): their effect is written down again.
 */
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"
#include "mmu/record.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/overlay.h"
#include "splicer/site_trap.h"
#include "splicer/space.h"
#include "splicer/splicer.h"
#include "splicer/start.h"

/* What of a user leaf a stub looks at, and keeps; stub_follow.c. */
#define LEAF_OK		(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A)
#define WRITTEN		(DMP_PTE_RW | DMP_PTE_D)
#define KEPT		(DMP_PTE_NX | DMP_PTE_G | DMP_PTE_US)

u64 m_host_page_hfn(void *host, const void *at)
{
	struct machine *m = host;

	return ((const char *)at - m->arena) / DMP_PAGE_SIZE + 1;
}

u64 m_shown_gfn(struct machine *m, u64 hfn)
{
	unsigned int i;

	if (m->state[hfn] == PAGE_GUEST)
		return m->gfn_of[hfn];
	for (i = 0; m->mmu->splicer && i < DMP_CODES_MAX; i++)
		if (m->splicer->code[i].hfn == hfn)
			return m->splicer->code[i].gfn;
	m_fail(m, "host page %#llx is not the guest's", hfn);
}

bool m_is_overlay(struct machine *m, u64 table_hfn, unsigned int index)
{
	const struct dmp_table *table = dmp_table_by_hfn(m->mmu, table_hfn);

	return m->mmu->splicer && table && table->entries[index] &&
	       table->entries[index] == dmp_space_entry(m->mmu, table, index);
}

/* Of the CPU's vendor: what only VT-x has tells it. */
static const u8 *hypercall_of(const struct machine *m)
{
	static const u8 vmmcall[DMP_STUB_HYPERCALL] = { 0x0f, 0x01, 0xd9 };
	static const u8 vmcall[DMP_STUB_HYPERCALL] = { 0x0f, 0x01, 0xc1 };

	return m->target_count || m->guarded || m->no_lidt_exit ? vmcall : vmmcall;
}

enum dmp_start_refusal m_splice(struct machine *m, u64 handler, u64 gate)
{
	struct dmp_start start = {
		.handler = handler, .gate = gate, .host_pages = M_HFNS + 1,
		.frames = m->records, .gfns = M_GFNS,
	};
	enum dmp_start_refusal why;

	m->splicer = calloc(1, sizeof(*m->splicer));
	if (!m->splicer)
		abort();
	m->splicer->implant_hfn = M_HOST_PAGES + M_RECORD_PAGES + 1;
	m->splicer->implant = m_page(m, m->splicer->implant_hfn);
	memset(m->splicer->implant, 0, sizeof(*m->splicer->implant));
	m->splicer->threshold = 2;
	m->splicer->relics = &m->relics;
	m->splicer->targets = m->target_count;
	m->splicer->guarded = m->guarded;
	m->splicer->lidts.watched = m->no_lidt_exit;
	memcpy(m->splicer->hypercall, hypercall_of(m), DMP_STUB_HYPERCALL);
	m->in_engine = true;
	why = dmp_splicer_start(m->mmu, m->splicer, &start);
	if (why == DMP_START_OK || why == DMP_START_BROKEN)
		m_after_call(m);
	return why;
}

/*
 * ---- A stub ----
 */

/* The store of one entry, as far as it has come. */
struct store {
	struct dmp_site *site;
	struct dmp_cache_entry *last;
	u64 gva, value, old;
	u64 *guest, *machine;
	bool xchg;
};

static void *window_page(struct machine *m, u64 gva)
{
	u64 is, hfn = (gva - m->splicer->implant->window) >> DMP_PAGE_SHIFT;

	if (!dmp_space_lookup(m->mmu, gva, &is) || is != hfn)
		m_fail(m, "%#llx is not in the window", gva);
	return m_page(m, hfn);
}

static u64 *machine_table(struct machine *m, const struct dmp_cache_entry *e)
{
	u64 hfn;

	if (e->machine != m->splicer->slow_gva)
		return window_page(m, e->machine);
	if (!dmp_space_lookup(m->mmu, e->machine, &hfn))
		m_fail(m, "no page for what stubs leave to the VMM");
	return m_page(m, hfn);
}

static bool find_entry(struct machine *m, struct store *s)
{
	struct dmp_implant *implant = m->splicer->implant;
	const struct dmp_cache_entry *e = &implant->cache[dmp_cache_place(implant, s->gva)];

	s->last = &implant->last[s->site->stub.last];
	if ((s->gva ^ s->last->tag) & ~(DMP_PAGE_SIZE - 8ull)) {
		if ((s->gva ^ e->tag) & ~(DMP_PAGE_SIZE - 8ull))
			return false;
		*s->last = *e;
	}
	s->guest = (u64 *)window_page(m, s->last->guest) + (s->gva & 4095) / 8;
	s->machine = machine_table(m, s->last) + (s->gva & 4095) / 8;
	return true;
}

/* A row of the stub's of that kind; they are tried in turn. */
static const struct dmp_stub_row *row_of(struct machine *m,
					 const struct dmp_stub *stub,
					 u8 phase, s8 counted)
{
	unsigned int i, first = m_below(m, stub->rows);

	for (i = 0; i < stub->rows; i++) {
		const struct dmp_stub_row *row =
			&stub->row[(first + i) % stub->rows];

		if (row->phase == phase && row->counted == counted &&
		    row->offset < stub->code)
			return row;
	}
	return NULL;
}

/* Stop the vCPU at @row: it must find itself where the row says, whole. */
static void stop_at(struct machine *m, struct store *s,
		    const struct dmp_stub_row *row, bool hypercall)
{
	const struct dmp_stub *stub = &s->site->stub;
	struct dmp_implant *implant = m->splicer->implant;
	struct dmp_filter_regs regs, want;
	struct dmp_left left;
	unsigned int i;

	for (i = 0; i < 16; i++)
		want.gpr[i] = m_random(m);
	want.gpr[DMP_REG_RDI] = s->gva;
	want.gpr[DMP_REG_RSI] = s->value;
	if (s->xchg)
		want.gpr[DMP_REG_RAX] = row->phase == DMP_STUB_RESTART ?
					s->value : s->old;
	want.rip = stub->site + row->resume;
	regs = want;
	for (i = 0; i < 16; i++)
		if (row->saved >> i & 1) {
			implant->save[i] = want.gpr[i];
			regs.gpr[i] = m_random(m);
		}
	if (row->flags & DMP_ROW_RAX_IN_VALUE)
		regs.gpr[stub->value] = want.gpr[DMP_REG_RAX];
	if (row->phase == DMP_STUB_FINISH)
		regs.gpr[stub->address] = m_random(m) << 12 | (s->gva & 4088);
	regs.rip = stub->gva + row->offset;
	implant->old = s->old;
	m->stub_stops++;
	dmp_splicer_leave(m->splicer, &regs, hypercall, &left);
	if (left.kind != DMP_LEFT_HOME || left.site != s->site ||
	    left.unfinished != (row->phase == DMP_STUB_FINISH))
		m_fail(m, "left a stub as kind %d", left.kind);
	for (i = 0; i < 16; i++)
		if (regs.gpr[i] != want.gpr[i])
			m_fail(m, "register %u lost in the stub", i);
	if (regs.rip != want.rip)
		m_fail(m, "left to %#llx, not %#llx", regs.rip, want.rip);
	if (!left.unfinished)
		return;
	m->in_engine = true;
	dmp_splicer_finish(m->mmu, &left);
	m_after_call(m);
}

/* False: the vCPU was not stopped here. */
static bool try_stop(struct machine *m, struct store *s, s8 counted)
{
	const struct dmp_stub_row *row;

	if (m->calm || !m_chance(m, 10))
		return false;
	row = row_of(m, &s->site->stub, DMP_STUB_FINISH, counted);
	if (!row)
		return false;
	stop_at(m, s, row, false);
	return true;
}

/* The agent does it, or is stopped, or asks: then the VMM. */
static void slow(struct machine *m, struct store *s)
{
	const struct dmp_stub *stub = &s->site->stub;
	const struct dmp_stub_row *row = NULL;
	struct dmp_implant *implant = m->splicer->implant;
	unsigned int i;

	for (i = 0; i < stub->rows && stub->row[i].offset <= stub->ask; i++)
		row = &stub->row[i];
	if (!stub->ask || !row || row->phase != DMP_STUB_FINISH)
		m_fail(m, "a stub that does not ask");
	implant->old = s->old;
	implant->agent.entry = m_random(m) << 12 | (s->gva & 4088);
	implant->agent.last = stub->last;
	implant->agent.logged = 0;
	implant->agent.done = 0;
	if (!m_agent(m))
		stop_at(m, s, row, true);
}

static struct dmp_frame *record_of(struct machine *m, u64 entry)
{
	u64 gfn = dmp_pte_gfn(entry), hfn;

	if (!dmp_space_lookup(m->mmu, m->splicer->implant->frames +
			      gfn * DMP_FRAME_BYTES, &hfn))
		m_fail(m, "gfn %#llx is in no array", gfn);
	return &m->records[gfn];
}

/* Count, unless stopped meanwhile; then the machine entry. */
static void publish(struct machine *m, struct store *s, u64 machine,
		    struct dmp_frame *frame, s8 by)
{
	if (by) {
		frame->writable += by;
		if (try_stop(m, s, by))
			return;
	}
	*s->machine = machine;
}

static void follow_absent(struct machine *m, struct store *s, u64 was)
{
	const u64 both = DMP_PTE_RW | DMP_PTE_US;

	if (!was)
		return;
	if ((was & both) == both)
		publish(m, s, 0, record_of(m, s->old), -1);
	else if (was & DMP_PTE_US)
		publish(m, s, 0, NULL, 0);
	else
		slow(m, s);
}

static void follow_new(struct machine *m, struct store *s)
{
	u64 bits = s->value & (m->splicer->implant->leaf_mask | WRITTEN), machine;
	struct dmp_frame *frame;

	if (bits != (LEAF_OK | WRITTEN) && (bits & ~DMP_PTE_D) != LEAF_OK) {
		slow(m, s);
		return;
	}
	frame = record_of(m, s->value);
	machine = frame->leaf | (s->value & KEPT);
	if (!(frame->leaf & (bits & DMP_PTE_RW ? DMP_PTE_RW : DMP_PTE_P)))
		slow(m, s);
	else if (bits & DMP_PTE_RW)
		publish(m, s, machine, frame, 1);
	else
		publish(m, s, machine & ~DMP_PTE_RW, NULL, 0);
}

static void follow_changed(struct machine *m, struct store *s, u64 was)
{
	u64 change = s->value ^ s->old;

	if (!(was & DMP_PTE_US))
		slow(m, s);
	else if (!change)
		return;
	else if (change != DMP_PTE_RW || !(s->old & DMP_PTE_RW))
		slow(m, s);
	else if (was & DMP_PTE_RW)
		publish(m, s, was & ~DMP_PTE_RW, record_of(m, s->old), -1);
}

/* The guest's instruction at m->rip stores an entry: spliced, and a hit? */
bool m_try_stub(struct machine *m, u64 gva, u32 access, const void *data,
		unsigned int bytes, const struct ref_walk *ref)
{
	const struct dmp_stub_row *row;
	struct store s = { .gva = gva };

	if (!m->splicer || !m->rip || bytes != 8 || gva % 8 ||
	    access & DMP_ACCESS_USER || !(access & DMP_ACCESS_WRITE))
		return false;
	s.site = dmp_splicer_site(m->splicer, m->rip);
	if (!s.site || s.site->rip != m->rip)
		return false;
	memcpy(&s.value, data, 8);
	s.xchg = s.site->stub.last;
	row = row_of(m, &s.site->stub, DMP_STUB_RESTART, 0);
	if (!m->calm && m_chance(m, 5) && row)
		stop_at(m, &s, row, false);
	if (!find_entry(m, &s)) {
		m->stub_misses++;
		return false;
	}
	if (ref->kind != REF_MAPPED || !m_ref_has_ad(m, ref, true))
		m_fail(m, "gva %#llx: a stub's store that would fault", gva);
	s.old = *s.guest;
	if (s.guest != (u64 *)m_real(m, ref->gfn) + (gva & 4095) / 8)
		m_fail(m, "gva %#llx: a stub writes another frame", gva);
	m_store(m, ref->gfn, gva & 4095, data, 8);
	m->stub_hits++;
	if (!try_stop(m, &s, 0)) {
		if (!(s.value & DMP_PTE_P))
			follow_absent(m, &s, *s.machine);
		else if (!*s.machine)
			follow_new(m, &s);
		else
			follow_changed(m, &s, *s.machine);
	}
	m_check_tlb(m);
	m_check_cache(m);
	return true;
}

/*
 * A guest that keeps its kernel out of user mode's tables writes none with those
 * loaded; ours does, with whatever, and its stubs run all the same.
 */
void m_site_trap(struct machine *m, u64 gva, u32 access, u64 gpa)
{
	if (!m->splicer || !m->rip || access & DMP_ACCESS_USER ||
	    (m->guarded && m->splicer->implant->private))
		return;
	m->in_engine = true;
	dmp_site_trap(m->mmu, m->rip, gva, gpa >> DMP_PAGE_SHIFT);
	m_after_call(m);
}
