// SPDX-License-Identifier: GPL-2.0-only
/*
 * The implant's life, and taking a vCPU out of it; see splicer.h.
 */
#include "splicer/splicer.h"
#include "code/agent.h"
#include "splicer/cache.h"
#include "splicer/pool.h"
#include "splicer/space.h"
#include "mmu/hold.h"
#include "mmu/page.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "mmu/walk.h"
#include "splicer/target.h"

#define PAGE_MASK	((u64)DMP_PAGE_SIZE - 1)
#define LARGE_PAGE	(1ull << 21)
#define LARGE_PAGES	512u

/*
 * Where stubs may be, below the handler: all that a jump with a trap byte for
 * its highest can reach (33xxxxxx to 34000000 below) and the handler's
 * neighbours by some 64 MiB.
 */
#define PUBLIC_START	0x38000000ull
#define PUBLIC_END	0x30000000ull

/*
 * ---- The private region ----
 */

static u64 in_window(const struct dmp_mmu *mmu, u64 hfn)
{
	return mmu->splicer->implant->window + (hfn << DMP_PAGE_SHIFT);
}

bool dmp_splicer_show(struct dmp_mmu *mmu, u64 hfn)
{
	u64 gva = in_window(mmu, hfn), is;

	return dmp_space_lookup(mmu, gva, &is) ||
	       dmp_space_map(mmu, gva, hfn, DMP_SPACE_RW);
}

void dmp_splicer_hide(struct dmp_mmu *mmu, u64 hfn)
{
	dmp_space_unmap(mmu, in_window(mmu, hfn));
}

/*
 * Whether @frame and those behind it, @left in all, begin with 2 MiB of host
 * memory whole and in order. Else neighbours would be shown that are not the
 * VM's: other people's, uncached, poisoned, or no memory any more.
 */
static bool is_large(const struct dmp_frame *frame, u64 left)
{
	u64 hfn = dmp_frame_hfn(frame);
	u32 i;

	if (left < LARGE_PAGES || hfn % LARGE_PAGES)
		return false;
	for (i = LARGE_PAGES - 1; i; i--)
		if (dmp_frame_hfn(&frame[i]) != hfn + i)
			return false;
	return true;
}

/* A guest table may be anywhere but in ROM: dmp_table_may_be(). */
static bool show_slot(struct dmp_mmu *mmu, const struct dmp_slot *slot)
{
	const struct dmp_frame *frame;
	u64 i = 0, hfn;

	while (i < slot->npages) {
		frame = &slot->frames[i];
		hfn = dmp_frame_hfn(frame);
		if (is_large(frame, slot->npages - i) &&
		    dmp_space_map_large(mmu, in_window(mmu, hfn), hfn)) {
			i += LARGE_PAGES;
			continue;
		}
		if (mmu->broken || (frame->leaf && !dmp_splicer_show(mmu, hfn)))
			return false;
		i++;
	}
	return true;
}

static bool show_slots(struct dmp_mmu *mmu)
{
	const struct dmp_slot *slot;

	for (slot = mmu->slot; slot < mmu->slot + mmu->slots; slot++)
		if (!(slot->flags & DMP_SLOT_RO) && !show_slot(mmu, slot))
			return false;
	return true;
}

static bool show_tables(struct dmp_mmu *mmu)
{
	struct dmp_table *table;
	u32 id = 0;

	while ((table = dmp_table_next(mmu, &id)))
		if (!dmp_splicer_show(mmu, table->hfn) ||
		    (table->flags & DMP_TABLE_ROOT && !dmp_splicer_show(mmu, table->attr)))
			return false;
	return true;
}

bool dmp_splicer_show_chunk(struct dmp_mmu *mmu, u32 chunk)
{
	return dmp_space_map(mmu, mmu->splicer->implant->agent.tables +
			     (u64)chunk * DMP_PAGE_SIZE,
			     dmp_va_hfn(mmu, dmp_chunk(mmu, chunk)), DMP_SPACE_RW);
}

static bool show_chunks(struct dmp_mmu *mmu)
{
	u32 c;

	for (c = 0; c < mmu->chunks; c++)
		if (!dmp_splicer_show_chunk(mmu, c))
			return false;
	return true;
}

static unsigned int bits_of(u64 count)
{
	unsigned int bits = 1;

	while (count > 1ull << bits)
		bits++;
	return bits;
}

/*
 * Frame records, and zeroes up to a power of two: so that a stub needs no more
 * than a mask to know that there is a record.
 */
static bool map_frames(struct dmp_mmu *mmu, const struct dmp_start *start,
		       unsigned int gfn_bits)
{
	u64 gva = mmu->splicer->frames_gva, bytes = start->gfns * DMP_FRAME_BYTES;
	u64 offset, hfn;

	for (offset = 0; offset < bytes; offset += DMP_PAGE_SIZE) {
		hfn = mmu->ops->page_hfn(mmu->host, (u8 *)start->frames + offset);
		if (hfn && !dmp_space_map(mmu, gva + offset, hfn, DMP_SPACE_RW))
			return false;
	}
	return dmp_space_fill(mmu, gva, gva + ((u64)DMP_FRAME_BYTES << gfn_bits) +
				   DMP_PAGE_SIZE);
}

/* Where the private region is, and what the implant says of it. */
static enum dmp_start_refusal place_private(struct dmp_mmu *mmu,
					    const struct dmp_start *start,
					    unsigned int gfn_bits)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_implant *implant = splicer->implant;
	u64 span = dmp_level_pages(mmu->paging.levels), frames;
	unsigned int tops = (start->host_pages + span - 1) / span, first;

	/* One for the records: of frames, 24 bytes of 4096 each, and tables. */
	first = dmp_space_free_tops(mmu, tops + 1);
	frames = (((u64)DMP_FRAME_BYTES << gfn_bits) + DMP_PAGE_SIZE +
		  LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	if (!first || frames + DMP_CHUNKS_MAX * DMP_PAGE_SIZE >
		      span << DMP_PAGE_SHIFT)
		return DMP_START_NO_ROOM;
	implant->window = dmp_top_gva(mmu->paging.levels, first);
	splicer->frames_gva = dmp_top_gva(mmu->paging.levels, first + tops);
	splicer->private_gva = implant->window;
	splicer->private_bytes = (tops + 1) * (span << DMP_PAGE_SHIFT);
	implant->frames = splicer->frames_gva;
	implant->frame_mask = ((1ull << gfn_bits) - 1) << DMP_PAGE_SHIFT;
	implant->leaf_mask = DMP_PTE_P | DMP_PTE_US | DMP_PTE_A |
			     (DMP_PTE_ADDR & ~implant->frame_mask);
	if (!(mmu->paging.flags & DMP_PAGING_NX))
		implant->leaf_mask |= DMP_PTE_NX;
	implant->levels = mmu->paging.levels;
	implant->trap = mmu->paging.trap_bit;
	implant->lazy = dmp_make_trap(&mmu->paging, DMP_TRAP_LAZY);
	implant->agent.tables = splicer->frames_gva + frames;
	implant->agent.va_base = (u64)mmu->va_base;
	return map_frames(mmu, start, gfn_bits) && show_slots(mmu) &&
	       show_tables(mmu) && show_chunks(mmu) ? DMP_START_OK : DMP_START_BROKEN;
}

/*
 * ---- The public region ----
 */

void *dmp_splicer_add_page(struct dmp_mmu *mmu, u64 gva, u32 flags)
{
	u64 hfn = dmp_page_alloc(mmu);

	if (!hfn)
		return NULL;
	if (!dmp_space_map(mmu, gva, hfn, flags | DMP_SPACE_OWNED)) {
		dmp_page_free(mmu, hfn);
		return NULL;
	}
	return dmp_hfn_va(mmu, hfn);
}

/* The agent's code, its pages before the filter's. */
static bool place_agent(struct dmp_mmu *mmu)
{
	u8 *page[DMP_AGENT_CODE_BYTES / DMP_PAGE_SIZE];
	struct dmp_splicer *splicer = mmu->splicer;
	u32 i;

	for (i = 0; i < DMP_ARRAY_SIZE(page); i++) {
		page[i] = dmp_splicer_add_page(mmu, splicer->agent_gva +
					       i * DMP_PAGE_SIZE, DMP_SPACE_X);
		if (!page[i])
			return false;
	}
	dmp_agent_install(page, splicer->hypercall);
	return true;
}

/* The filter, its page before the implant's at the distance it asks for. */
static enum dmp_start_refusal place_public(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	const u32 pages = DMP_IMPLANT_BYTES / DMP_PAGE_SIZE;
	struct dmp_filter_place place;
	u64 gva, *slow;
	u32 i;

	gva = (splicer->public_start + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	while (!dmp_space_is_free(mmu, gva) ||
	       dmp_relics_hold(splicer->relics, gva, LARGE_PAGE, 0)) {
		gva += LARGE_PAGE;
		if (gva >= splicer->public_end)
			return DMP_START_NO_ROOM;
	}
	splicer->agent_gva = gva;
	splicer->implant_gva = gva + DMP_AGENT_DISTANCE;
	splicer->filter_gva = splicer->implant_gva - DMP_FILTER_DISTANCE;
	for (i = 0; i < pages; i++)
		if (!dmp_space_map(mmu, splicer->implant_gva + i * DMP_PAGE_SIZE,
				   splicer->implant_hfn + i, DMP_SPACE_RW))
			return DMP_START_BROKEN;
	/* Present, and the kernel's: a stub leaves such an entry to the VMM. */
	splicer->slow_gva = splicer->implant_gva + DMP_IMPLANT_BYTES;
	slow = dmp_splicer_add_page(mmu, splicer->slow_gva, 0);
	splicer->filter = dmp_splicer_add_page(mmu, splicer->filter_gva, DMP_SPACE_X);
	if (!slow || !splicer->filter || !place_agent(mmu))
		return DMP_START_BROKEN;
	splicer->implant->agent.slow = splicer->slow_gva;
	splicer->implant->agent.public_start = splicer->public_start;
	splicer->implant->agent.public_end = splicer->public_end;
	for (i = 0; i < DMP_ENTRIES; i++)
		slow[i] = DMP_PTE_P;
	place = (struct dmp_filter_place){
		.filter = splicer->filter_gva,
		.implant = splicer->implant_gva,
		.public_start = splicer->public_start,
		.public_end = splicer->public_end,
		.guarded = splicer->guarded,
	};
	__builtin_memcpy(place.hypercall, splicer->hypercall,
			 sizeof(place.hypercall));
	return dmp_filter_install(splicer->filter, DMP_PAGE_SIZE, &place) ==
	       DMP_FILTER_INSTALLED ? DMP_START_OK : DMP_START_NO_ROOM;
}

/* The gate that leads to the handler may not change unseen. */
static bool watch_gate(struct dmp_mmu *mmu, u64 gate)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_table *table;
	struct dmp_frame *frame;
	unsigned int index;
	u64 gfn;

	table = dmp_table_walk(mmu, gate, &index);
	if (!table || !(table->entries[index] & DMP_PTE_P) ||
	    dmp_is_trap(&mmu->paging, table->entries[index]))
		return false;
	gfn = table->guest ? dmp_pte_gfn(table->guest[index]) :
			     table->gfn + index;
	frame = dmp_frame_find(mmu, gfn);
	if (!frame || !dmp_table_may_be(mmu, gfn) ||
	    (gate & PAGE_MASK) > DMP_PAGE_SIZE - DMP_GATE_BYTES)
		return false;
	splicer->gate_gfn = gfn;
	splicer->gate_offset = gate & PAGE_MASK;
	splicer->gate_table = table->id;
	splicer->gate_index = index;
	if (!frame->code)
		dmp_frame_hold(mmu, frame);
	frame->code = 1;
	return true;
}

static void unwatch_gate(struct dmp_mmu *mmu)
{
	mmu->splicer->gate_table = 0;
	dmp_code_release(mmu, mmu->splicer->gate_gfn);
}

static enum dmp_start_refusal splice_handler(struct dmp_mmu *mmu,
					     const struct dmp_start *start)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_site *prologue = &splicer->prologue;

	if (!watch_gate(mmu, start->gate))
		return DMP_START_HANDLER;
	prologue->rip = start->handler;
	prologue->state = DMP_SITE_COUNTING;
	dmp_site_install(mmu, prologue, DMP_SPLICE_PROLOGUE | DMP_SPLICE_CALLS);
	if (prologue->state != DMP_SITE_SPLICED) {
		unwatch_gate(mmu);
		return DMP_START_HANDLER;
	}
	splicer->deliver_gva = prologue->stub.gva + prologue->stub.deliver;
	if (!dmp_filter_deliver(splicer->filter, splicer->guarded,
				splicer->filter_gva, splicer->deliver_gva))
		return DMP_START_NO_ROOM;
	splicer->handler_link = dmp_loaded_top(mmu)->
		entries[dmp_index(prologue->rip, mmu->paging.levels)];
	return DMP_START_OK;
}

static enum dmp_start_refusal start(struct dmp_mmu *mmu,
				    const struct dmp_start *start)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int gfn_bits = bits_of(start->gfns);
	enum dmp_start_refusal why;

	if (!dmp_space_start(mmu))
		return DMP_START_BROKEN;
	if (start->handler < 1ull << 63 || !start->frames)
		return start->frames ? DMP_START_HANDLER : DMP_START_LAYOUT;
	splicer->public_start = (start->handler & ~PAGE_MASK) - PUBLIC_START;
	splicer->public_end = (start->handler & ~PAGE_MASK) - PUBLIC_END;
	/* For the filter's comparison. */
	if (splicer->public_start >> 32 != splicer->public_end >> 32)
		splicer->public_start = splicer->public_end >> 32 << 32;
	dmp_cache_flush(mmu);
	why = place_private(mmu, start, gfn_bits);
	if (!why)
		why = place_public(mmu);
	if (!why)
		why = splice_handler(mmu, start);
	if (!why)
		dmp_relics_watch(mmu);
	return why;
}

/* All but what the host has filled in; it may have been started before. */
static void clean(struct dmp_splicer *splicer)
{
	struct dmp_implant *implant = splicer->implant;
	u64 implant_hfn = splicer->implant_hfn;
	u32 threshold = splicer->threshold, targets = splicer->targets;
	bool guarded = splicer->guarded, watched = splicer->lidts.watched;
	struct dmp_relics *relics = splicer->relics;
	u8 hypercall[DMP_STUB_HYPERCALL];

	__builtin_memcpy(hypercall, splicer->hypercall, sizeof(hypercall));
	__builtin_memset(splicer, 0, sizeof(*splicer));
	__builtin_memset(implant, 0, sizeof(*implant));
	splicer->implant = implant;
	splicer->implant_hfn = implant_hfn;
	splicer->threshold = threshold;
	splicer->targets = targets;
	splicer->guarded = guarded;
	splicer->lidts.watched = watched;
	splicer->lidts.look = watched;
	splicer->relics = relics;
	__builtin_memcpy(splicer->hypercall, hypercall, sizeof(hypercall));
}

enum dmp_start_refusal dmp_splicer_start(struct dmp_mmu *mmu,
					 struct dmp_splicer *splicer,
					 const struct dmp_start *what)
{
	enum dmp_start_refusal why;

	clean(splicer);
	mmu->splicer = splicer;
	why = start(mmu, what);
	if (mmu->broken)
		return DMP_START_BROKEN;
	if (why) {
		dmp_splicer_destroy(mmu);
		return why;
	}
	splicer->active = true;
	dmp_splicer_settle(mmu);
	return mmu->broken ? DMP_START_BROKEN : DMP_START_OK;
}

void dmp_splicer_destroy(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int i;

	if (!splicer)
		return;
	for (i = 0; i < DMP_CODES_MAX; i++) {
		if (!splicer->code[i].hfn)
			continue;
		dmp_page_free(mmu, splicer->code[i].hfn);
		splicer->code[i].hfn = 0;
	}
	dmp_pool_destroy(mmu);
	dmp_space_destroy(mmu);
	splicer->active = false;
	mmu->splicer = NULL;
}

/* Other code may come to the same addresses. */
static void forget_sites(struct dmp_splicer *splicer, unsigned int code)
{
	struct dmp_site *site;
	unsigned int i;

	for (i = 0; i < splicer->sites; i++) {
		site = &splicer->site[i];
		if (site->shown && site->code == code)
			*site = (struct dmp_site){
				.rip = site->rip, .state = DMP_SITE_COUNTING,
			};
	}
}

static bool is_lost(const struct dmp_mmu *mmu, const struct dmp_code_page *code)
{
	return code->hfn && (!code->table ||
			     dmp_frame_find(mmu, code->gfn)->tables);
}

/*
 * Code that the guest maps there no more takes its splices along, and so does
 * code whose frame has become a page table.
 */
static void drop_lost_code(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	unsigned int i;

	splicer->unsettled = false;
	for (i = 0; i < DMP_CODES_MAX; i++) {
		if (!is_lost(mmu, &splicer->code[i]))
			continue;
		dmp_splicer_undo_range(mmu, i, 0, DMP_PAGE_SIZE);
		forget_sites(splicer, i);
		dmp_lidt_forget(splicer, i);
		splicer->code[i].sites = 1;
		dmp_code_put(mmu, &splicer->code[i]);
	}
}

/* What the implant says of the root it runs on. */
static void show_root(struct dmp_mmu *mmu, struct dmp_root *root,
		      const struct dmp_table *table)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_implant *implant = splicer->implant;

	implant->root = implant->window + (table->hfn << DMP_PAGE_SHIFT);
	implant->guest_root = implant->window +
			      (u64)((char *)table->guest - mmu->va_base);
	implant->private = dmp_space_hides(mmu, table) ? DMP_PRIVATE_NOWHERE : 0;
	/* The filter may have raised it, for the root that was loaded then. */
	if (splicer->filter_root && implant->state & DMP_IMPLANT_LAZY_D) {
		splicer->filter_root->lazy_d = true;
		dmp_target_raised(mmu);
	}
	splicer->filter_root = root;
	implant->state = (root->lazy_d ? DMP_IMPLANT_LAZY_D : 0) |
			 (mmu->waiting ? DMP_IMPLANT_WAITING : 0) |
			 (mmu->paging.flags & DMP_PAGING_PCIDS ? DMP_IMPLANT_PCIDS : 0) |
			 (splicer->guarded ? DMP_IMPLANT_GUARDED : 0) |
			 (mmu->paging.flags & (DMP_PAGING_NX | DMP_PAGING_SMEP) ?
			  0 : DMP_IMPLANT_NO_FETCH);
}

bool dmp_splicer_suits(const struct dmp_mmu *mmu, const struct dmp_table *table)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	u64 gva = splicer->prologue.rip;
	struct dmp_walk w;

	if (table->entries[dmp_index(gva, table->level)] == splicer->handler_link)
		return true;
	dmp_for_each_level(&w, mmu, table, gva)
		if (w.entry & DMP_PTE_NX)
			return true;
	return w.end != DMP_WALK_LEAF ||
	       dmp_pte_gfn(w.entry) == splicer->code[splicer->prologue.code].hfn;
}

bool dmp_splicer_try_root(struct dmp_mmu *mmu, struct dmp_root *root,
			  const struct dmp_table *table)
{
	struct dmp_splicer *splicer = mmu->splicer;

	if (!splicer || !splicer->active || splicer->unsettled ||
	    mmu->splicer->space.grown || root->version != mmu->splicer->space.version ||
	    !dmp_cache_suits(mmu, table) || dmp_pool_is_due(mmu) ||
	    !dmp_splicer_suits(mmu, table))
		return false;
	dmp_filter_forget(splicer->implant);
	show_root(mmu, root, table);
	return true;
}

void dmp_splicer_settle(struct dmp_mmu *mmu)
{
	struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_table *table;

	if (!splicer->active || !mmu->loaded)
		return;
	/* Entries above level 1 may have changed, or the root. */
	dmp_filter_forget(splicer->implant);
	if (splicer->unsettled)
		drop_lost_code(mmu);
	dmp_lidt_settle(mmu);
	if (mmu->broken || !dmp_pool_settle(mmu) || !dmp_space_sync(mmu))
		return;
	table = dmp_loaded_top(mmu);
	if (!dmp_splicer_suits(mmu, table)) {
		dmp_break(mmu, DMP_BROKEN_CODE);
		return;
	}
	dmp_cache_switch_root(mmu);
	show_root(mmu, mmu->loaded, table);
}

/*
 * ---- Leaving ----
 */

/* Those in use, and the prologue. */
static struct dmp_site *site_nth(struct dmp_splicer *splicer, unsigned int i)
{
	return i < splicer->sites ? &splicer->site[i] :
	       i == splicer->sites ? &splicer->prologue : NULL;
}

static struct dmp_site *site_at(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site;
	unsigned int i;

	for (i = 0; (site = site_nth(splicer, i)); i++) {
		/* Tombstones, too. */
		if (site->stub.gva && (rip - site->stub.gva < site->stub.size ||
				       (site->landing && rip == site->landing)))
			return site;
	}
	return NULL;
}

/* Where in @site's stub @rip is; a landing is before its beginning. */
static u32 stub_offset(const struct dmp_site *site, u64 rip)
{
	return rip == site->landing ? 0 : rip - site->stub.gva;
}

static void leave_filter(struct dmp_splicer *splicer, bool hypercall,
			 struct dmp_filter_regs *regs, struct dmp_left *left)
{
	unsigned int offset = regs->rip - splicer->filter_gva;

	hypercall &= offset == dmp_filter_hypercall_offset(splicer->guarded);
	dmp_filter_leave(splicer->guarded, offset, splicer->implant, regs, &left->filter);
	switch (left->filter.kind) {
	case DMP_LEFT_FAULT:
		/* What the agent had begun is taken back. */
		left->unfinished = splicer->implant->agent.logged;
		regs->rip = splicer->prologue.rip;
		left->kind = hypercall ? DMP_LEFT_FAULT_ASKED :
					 DMP_LEFT_FAULT_BEGUN;
		break;
	case DMP_LEFT_FOLLOW:
	case DMP_LEFT_COUNT:
		left->unfinished = true;
		left->kind = DMP_LEFT_UNWIND;
		break;
	case DMP_LEFT_RESOLVED:
		left->kind = DMP_LEFT_UNWIND;
		break;
	case DMP_LEFT_NOWHERE:
		break;
	}
}

static void leave_stub(struct dmp_splicer *splicer, struct dmp_site *site,
		       struct dmp_filter_regs *regs, struct dmp_left *left)
{
	if (!dmp_stub_leave(&site->stub, splicer->implant,
			    stub_offset(site, regs->rip), regs->gpr,
			    &regs->rflags, &left->stub))
		return;
	left->site = site;
	left->unfinished = left->stub.phase == DMP_STUB_FINISH;
	left->kind = site == &splicer->prologue &&
		     left->stub.rip == site->rip ? DMP_LEFT_FAULT_BEGUN :
						   DMP_LEFT_HOME;
	regs->rip = left->stub.rip;
}

/* In the agent: on the way back into the stub, or as if it had not been asked. */
static void leave_agent(struct dmp_splicer *splicer, struct dmp_filter_regs *regs)
{
	const struct dmp_site *site;
	bool done;

	done = dmp_agent_leave(splicer->implant, splicer->agent_gva, regs);
	site = site_at(splicer, regs->rip);
	if (site && !done)
		regs->rip = site->stub.gva + site->stub.ask;
}

void dmp_splicer_leave(struct dmp_splicer *splicer, struct dmp_filter_regs *regs,
		       bool hypercall, struct dmp_left *left)
{
	struct dmp_site *site;

	*left = (struct dmp_left){ .kind = DMP_LEFT_OUTSIDE };
	left->away = splicer->implant->away;
	splicer->implant->away = 0;
	if (!dmp_splicer_has(splicer, regs->rip))
		return;
	if (dmp_splicer_in_agent(splicer, regs->rip))
		leave_agent(splicer, regs);
	site = site_at(splicer, regs->rip);
	if (site)
		leave_stub(splicer, site, regs, left);
	else if (regs->rip - splicer->filter_gva < DMP_PAGE_SIZE)
		leave_filter(splicer, hypercall, regs, left);
	else if (regs->rip == splicer->prologue.rip &&
		 splicer->prologue.state == DMP_SITE_SPLICED)
		left->kind = DMP_LEFT_FAULT_BEGUN;
}

/*
 * The guest entry @index of @table was @old: follow it, at each level that its
 * frame is a table of. @walked: as of dmp_frame_follow().
 */
static void finish_entry(struct dmp_mmu *mmu, struct dmp_table *table,
			 u32 index, u64 old, unsigned int walked)
{
	if (!table || !table->id || !table->guest ||
	    !(table->flags & DMP_TABLE_HELD) || index >= DMP_ENTRIES) {
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		return;
	}
	dmp_frame_follow(mmu, table->gfn, index, 1, &old, walked);
}

static void uncount(struct dmp_mmu *mmu, const struct dmp_table *table,
		    const struct dmp_stub_exit *stub)
{
	struct dmp_frame *frame;

	if (!stub->counted)
		return;
	frame = dmp_frame_find(mmu, dmp_pte_gfn(stub->counted > 0 ?
				       DMP_READ_ONCE(table->guest[stub->index]) :
				       stub->old));
	if (frame)
		frame->writable -= stub->counted;
	else
		dmp_break(mmu, DMP_BROKEN_COUNT);
}

/* What an entry was left at, which is in .left. */
static void finish_left(struct dmp_mmu *mmu, const struct dmp_left *left)
{
	struct dmp_table *table;
	struct dmp_frame *frame;

	mmu->splicer->finished++;
	dmp_agent_take_back(mmu);
	if (left->kind == DMP_LEFT_UNWIND) {
		table = dmp_table_by_hfn(mmu, left->filter.table);
		frame = dmp_frame_find(mmu, left->filter.gfn);
		if (left->filter.kind == DMP_LEFT_FOLLOW)
			finish_entry(mmu, table, left->filter.index,
				     left->filter.old, 1);
		else if (frame)
			frame->writable++;
	} else if (left->kind == DMP_LEFT_HOME) {
		left->site->finished++;
		table = left->stub.at.table < mmu->chunks << DMP_CHUNK_SHIFT ?
			dmp_table_of(mmu, left->stub.at.table) : NULL;
		if (table && table->guest)
			uncount(mmu, table, &left->stub);
		finish_entry(mmu, table, left->stub.index, left->stub.old, 0);
	}
}

void dmp_splicer_finish(struct dmp_mmu *mmu, const struct dmp_left *left)
{
	if (mmu->broken)
		return;
	if (left->switched)
		dmp_target_follow(mmu);
	if (left->switched != DMP_SWITCHED_ONLY && !mmu->broken)
		finish_left(mmu, left);
	if (left->switched && !mmu->broken)
		dmp_target_leave(mmu);
	dmp_mmu_settle(mmu);
}

struct dmp_site *dmp_splicer_site(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_site *site;
	unsigned int i;

	for (i = 0; (site = site_nth(splicer, i)); i++)
		if (site->state == DMP_SITE_SPLICED &&
		    rip - site->rip < site->stub.plan.len)
			return site;
	return NULL;
}

u64 dmp_site_resume(const struct dmp_site *site, u64 rip)
{
	return site->state == DMP_SITE_SPLICED && rip > site->rip &&
	       rip - site->rip < site->stub.plan.len ?
	       dmp_stub_resume(&site->stub, rip) : 0;
}

u64 dmp_splicer_breakpoint(struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_site *site = dmp_splicer_site(splicer, rip);

	return site ? dmp_site_resume(site, rip) : 0;
}

bool dmp_splicer_is_within(struct dmp_splicer *splicer, u64 rip, u64 *site)
{
	const struct dmp_site *at = dmp_splicer_site(splicer, rip);

	if (!at || at->rip == rip || dmp_stub_resume(&at->stub, rip) ||
	    dmp_stub_is_own_int3(&at->stub, rip))
		return false;
	*site = at->rip;
	return true;
}

u64 dmp_splicer_home(struct dmp_splicer *splicer, u64 rip)
{
	struct dmp_filter_regs regs = { .rip = rip };
	struct dmp_stub_exit exit;
	struct dmp_site *site;

	site = dmp_splicer_has(splicer, rip) ? site_at(splicer, rip) : NULL;
	if (!site || !dmp_stub_leave(&site->stub, splicer->implant,
				     stub_offset(site, rip), regs.gpr,
				     &regs.rflags, &exit))
		return rip;
	return exit.rip;
}
