// SPDX-License-Identifier: GPL-2.0-only
/*
 * The private region; see window.h.
 */
#include "mmu/scan.h"
#include "splicer/overlay.h"
#include "splicer/space.h"
#include "splicer/start.h"
#include "splicer/window.h"

#define LARGE_PAGES	512u

static u64 in_window(const struct dmp_mmu *mmu, u64 hfn)
{
	return mmu->splicer->implant->window + (hfn << DMP_PAGE_SHIFT);
}

bool dmp_window_show(struct dmp_mmu *mmu, u64 hfn)
{
	u64 gva = in_window(mmu, hfn), is;

	return dmp_space_lookup(mmu, gva, &is) ||
	       dmp_space_map(mmu, gva, hfn, DMP_SPACE_RW);
}

void dmp_window_hide(struct dmp_mmu *mmu, u64 hfn)
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
		if (mmu->broken || (frame->leaf && !dmp_window_show(mmu, hfn)))
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
		if (!dmp_window_show(mmu, table->hfn) ||
		    (table->flags & DMP_TABLE_ROOT && !dmp_window_show(mmu, table->attr)))
			return false;
	return true;
}

bool dmp_window_show_chunk(struct dmp_mmu *mmu, u32 chunk)
{
	return dmp_space_map(mmu, mmu->splicer->implant->agent.tables +
			     (u64)chunk * DMP_PAGE_SIZE,
			     dmp_va_hfn(mmu, dmp_chunk(mmu, chunk)), DMP_SPACE_RW);
}

static bool show_chunks(struct dmp_mmu *mmu)
{
	u32 c;

	for (c = 0; c < mmu->chunks; c++)
		if (!dmp_window_show_chunk(mmu, c))
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

enum dmp_start_refusal dmp_window_place(struct dmp_mmu *mmu, const struct dmp_start *start)
{
	struct dmp_splicer *splicer = mmu->splicer;
	struct dmp_implant *implant = splicer->implant;
	u64 span = dmp_level_pages(mmu->paging.levels), frames;
	unsigned int tops = (start->host_pages + span - 1) / span, first;
	unsigned int gfn_bits = bits_of(start->gfns);

	/* One for the records: of frames, 24 bytes of 4096 each, and tables. */
	first = dmp_space_free_tops(mmu, tops + 1);
	frames = (((u64)DMP_FRAME_BYTES << gfn_bits) + DMP_PAGE_SIZE +
		  DMP_LARGE_PAGE - 1) & ~(DMP_LARGE_PAGE - 1);
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
