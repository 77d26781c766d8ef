// SPDX-License-Identifier: GPL-2.0-only
/*
 * LIDT where it cannot exit; see lidt.h.
 */
#include "insn/insn.h"
#include "mmu/hold.h"
#include "mmu/record.h"
#include "mmu/scan.h"
#include "mmu/walk.h"
#include "splicer/code_page.h"
#include "splicer/lidt.h"

void dmp_lidt_come(struct dmp_mmu *mmu)
{
	if (mmu->splicer->lidts.watched)
		mmu->splicer->lidts.look = true;
}

void dmp_lidt_gone(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_lidts *lidts = &mmu->splicer->lidts;

	if (lidts->lefts < DMP_LIDT_LEFT_MAX)
		lidts->left[lidts->lefts] = gfn;
	lidts->lefts++;
	lidts->look = true;
}

bool dmp_lidt_is_at(const struct dmp_splicer *splicer, u64 rip)
{
	const struct dmp_lidts *lidts = &splicer->lidts;
	u32 i;

	for (i = 0; i < lidts->count; i++)
		if (lidts->at[i].rip == rip)
			return true;
	return false;
}

/*
 * ---- The guest's code ----
 */

/* The frame whose code the loaded root maps at @gva; NULL: no code. */
static struct dmp_frame *code_at(const struct dmp_mmu *mmu, u64 gva, u64 *gfn)
{
	unsigned int index;
	struct dmp_table *table = dmp_table_walk(mmu, gva, &index);
	u64 guest;

	if (!table)
		return NULL;
	guest = table->guest ? DMP_READ_ONCE(table->guest[index]) : table->attr;
	if (!dmp_pte_is_code(guest))
		return NULL;
	*gfn = table->guest ? dmp_pte_gfn(guest) : table->gfn + index;
	return dmp_frame_find(mmu, *gfn);
}

/* Up to @max bytes of code from @gva on, as the guest wrote them; how many. */
static u32 read_code(const struct dmp_mmu *mmu, u64 gva, u8 *bytes, u32 max)
{
	const struct dmp_frame *frame;
	u32 done = 0, part, offset;
	u64 gfn;

	while (done < max) {
		frame = code_at(mmu, gva + done, &gfn);
		if (!frame)
			break;
		offset = (gva + done) & DMP_PAGE_OFFSET;
		part = DMP_PAGE_SIZE - offset;
		if (part > max - done)
			part = max - done;
		__builtin_memcpy(bytes + done,
				 (u8 *)dmp_hfn_va(mmu, dmp_frame_hfn(frame)) + offset, part);
		done += part;
	}
	return done;
}

/*
 * ---- Where instructions begin ----
 *
 * Decoding from anywhere comes upon the right boundaries after a few
 * instructions, and stays on them. So from many places, far enough away, and most
 * have to agree.
 */

#define STARTS		32
#define AWAY		64		/* bytes, at least, from each start */
#define BEFORE		(AWAY + STARTS)
#define AROUND		(BEFORE + DMP_INSN_LEN_MAX)

/* Of @bytes, decoded from @start on: the instruction that has byte @at in it. */
static bool insn_over(const u8 *bytes, u32 count, u32 start, u32 at,
		      struct dmp_insn *insn, u32 *begin)
{
	u32 i = start;

	for (;;) {
		if (dmp_insn_decode(bytes + i, count - i, insn) != DMP_INSN_OK)
			return false;
		if (i + insn->length > at)
			break;
		i += insn->length;
	}
	*begin = i;
	return true;
}

/* The address of the LIDT whose opcode is at @gva; 0: none begins there. */
static u64 begins_at(struct dmp_mmu *mmu, u64 gva)
{
	u32 count, first = 0, start, begin, at, yes = 0, no = 0;
	struct dmp_insn insn;
	u8 bytes[AROUND];
	u64 from = gva - BEFORE, rip = 0;

	/* What lies before may be no code. */
	count = read_code(mmu, from, bytes, BEFORE + 1);
	if (count <= BEFORE) {
		first = BEFORE - (gva & DMP_PAGE_OFFSET);
		__builtin_memset(bytes, 0, BEFORE);
	}
	count = first + read_code(mmu, from + first, bytes + first, AROUND - first);
	at = BEFORE;
	for (start = first; start < first + STARTS && start <= at; start++) {
		if (!insn_over(bytes, count, start, at, &insn, &begin))
			continue;
		if (insn.form != DMP_FORM_LIDT) {
			no++;
			continue;
		}
		yes++;
		rip = from + begin;
	}
	mmu->splicer->lidts.doubtful += yes && yes < 3 * no;
	return yes && yes >= 3 * no ? rip : 0;
}

/* 0F 01 /3 with a memory operand. */
static bool has_opcode(const u8 *bytes)
{
	return bytes[0] == 0x0f && bytes[1] == 0x01 && (bytes[2] & 0x38) == 3 << 3 &&
	       bytes[2] < 0xc0;
}

/* The first byte 0F of @page from @i on; DMP_PAGE_SIZE: there is none. */
static u32 next_opcode(const u8 *page, u32 i)
{
	u64 word;

	while (i < DMP_PAGE_SIZE && page[i] != 0x0f) {
		/* Eight at a time, while none of them is one. */
		for (i++; i % 8 == 0 && i < DMP_PAGE_SIZE; i += 8) {
			word = *(const u64 *)(page + i) ^ 0x0f * 0x0101010101010101ull;
			if ((word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull)
				break;
		}
	}
	return i;
}

/*
 * ---- Watching ----
 */

static void put_int3(struct dmp_mmu *mmu, u64 rip)
{
	struct dmp_lidts *lidts = &mmu->splicer->lidts;
	struct dmp_code_page *code;

	if (dmp_lidt_is_at(mmu->splicer, rip))
		return;
	code = lidts->count < DMP_LIDTS_MAX ? dmp_code_get(mmu, rip) : NULL;
	if (!code) {
		dmp_break(mmu, DMP_BROKEN_CODE);
		return;
	}
	code->copy[rip & DMP_PAGE_OFFSET] = DMP_SPLICE_INT3;
	lidts->at[lidts->count++] = (struct dmp_lidt){ .rip = rip, .code = code->id };
}

/* INT3s in the copies of @gfn go. */
static void take_int3(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_lidts *lidts = &mmu->splicer->lidts;
	struct dmp_code_page *code;
	u32 i, offset;

	for (i = lidts->count; i--;) {
		code = &mmu->splicer->code[lidts->at[i].code];
		if (code->gfn != gfn)
			continue;
		offset = lidts->at[i].rip & DMP_PAGE_OFFSET;
		code->copy[offset] = code->pristine[offset];
		lidts->at[i] = lidts->at[--lidts->count];
		dmp_code_put(mmu, code);
	}
}

void dmp_lidt_forget(struct dmp_splicer *splicer, unsigned int code)
{
	struct dmp_lidts *lidts = &splicer->lidts;
	u32 i;

	for (i = lidts->count; i--;)
		if (lidts->at[i].code == code)
			lidts->at[i] = lidts->at[--lidts->count];
}

static void unwatch(struct dmp_mmu *mmu, u64 gfn)
{
	struct dmp_frame *frame = dmp_frame_find(mmu, gfn);

	if (!frame || !frame->lidt)
		return;
	take_int3(mmu, gfn);
	frame->lidt = 0;
	dmp_code_release(mmu, gfn);
}

void dmp_lidt_written(struct dmp_mmu *mmu, u64 gfn)
{
	unwatch(mmu, gfn);
	mmu->splicer->lidts.look = true;
}

static void look_for(struct dmp_mmu *mmu, u64 gva)
{
	u64 rip = begins_at(mmu, gva);

	if (rip)
		put_int3(mmu, rip);
}

/* Those that reach from one page to the next, where their opcode is in [gva, end). */
static void look_across(struct dmp_mmu *mmu, u64 gva, u64 end)
{
	u8 opcode[3];

	for (; gva < end && !mmu->broken; gva++)
		if (read_code(mmu, gva, opcode, 3) == 3 && has_opcode(opcode))
			look_for(mmu, gva);
}

/* The page of code at @gva, of @frame, has come, and may be the rest of what is before. */
static void look_at(struct dmp_mmu *mmu, u64 gva, struct dmp_frame *frame)
{
	const u8 *page = dmp_hfn_va(mmu, dmp_frame_hfn(frame));
	u32 i;

	/* Read-only first: no write may come between looking and that. */
	if (!frame->code)
		dmp_frame_hold(mmu, frame);
	frame->code = 1;
	frame->lidt = 1;
	mmu->splicer->lidts.pages++;
	look_across(mmu, gva - DMP_INSN_LEN_MAX, gva);
	for (i = next_opcode(page, 0); i < DMP_PAGE_SIZE - 2 && !mmu->broken;
	     i = next_opcode(page, i + 1))
		if (has_opcode(page + i))
			look_for(mmu, gva + i);
	look_across(mmu, gva + DMP_PAGE_SIZE - 2, gva + DMP_PAGE_SIZE);
}

/*
 * How many pages of code below @table are not watched, and could be; with @look they
 * are looked at.
 */
static u32 below(struct dmp_mmu *mmu, struct dmp_table *table, u64 gva, bool look)
{
	bool top = table->level == mmu->paging.levels;
	unsigned int i = top ? DMP_ENTRIES / 2 : 0;
	struct dmp_frame *frame;
	struct dmp_table *child;
	u64 machine, gfn, at;
	u32 found = 0;

	/* All entries of such a table map the same way. */
	if ((!table->guest && !dmp_pte_is_code(table->attr)) || !dmp_work(mmu, DMP_ENTRIES))
		return 0;
	for (i = dmp_entries_next(table->entries, i); i < DMP_ENTRIES && !mmu->broken;
	     i = dmp_entries_next(table->entries, i + 1)) {
		machine = table->entries[i];
		if (!(machine & DMP_PTE_P) || dmp_is_trap(&mmu->paging, machine) ||
		    machine & DMP_PTE_NX)
			continue;
		at = top ? dmp_top_gva(mmu->paging.levels, i) :
			   gva + i * (dmp_level_pages(table->level) << DMP_PAGE_SHIFT);
		if (table->level > 1) {
			child = dmp_table_by_hfn(mmu, dmp_pte_gfn(machine));
			if (child)
				found += below(mmu, child, at, look);
			continue;
		}
		frame = code_at(mmu, at, &gfn);
		if (!frame || frame->lidt || frame->tables || !dmp_table_may_be(mmu, gfn))
			continue;
		found++;
		if (look)
			look_at(mmu, at, frame);
	}
	return found;
}

/* Those that have lost a mapping: where they are code still, they are looked at anew. */
static void unwatch_left(struct dmp_mmu *mmu)
{
	struct dmp_lidts *lidts = &mmu->splicer->lidts;
	const struct dmp_slot *slot;
	u64 i;

	for (i = 0; i < lidts->lefts && i < DMP_LIDT_LEFT_MAX; i++)
		unwatch(mmu, lidts->left[i]);
	for (slot = mmu->slot; lidts->lefts > DMP_LIDT_LEFT_MAX &&
	     slot < mmu->slot + mmu->slots; slot++)
		for (i = 0; i < slot->npages && !mmu->broken; i++)
			if (i % DMP_ENTRIES || dmp_work(mmu, DMP_ENTRIES))
				unwatch(mmu, slot->base_gfn + i);
	lidts->lefts = 0;
}

void dmp_lidt_settle(struct dmp_mmu *mmu)
{
	struct dmp_lidts *lidts = &mmu->splicer->lidts;

	if (!lidts->look || mmu->broken)
		return;
	lidts->look = false;
	unwatch_left(mmu);
	below(mmu, dmp_loaded_top(mmu), 0, true);
}

/*
 * ---- The audit ----
 */

u32 dmp_lidt_count(const struct dmp_splicer *splicer, unsigned int code)
{
	const struct dmp_lidts *lidts = &splicer->lidts;
	u32 i, n = 0;

	for (i = 0; i < lidts->count; i++)
		n += lidts->at[i].code == code;
	return n;
}

bool dmp_lidt_has(const struct dmp_splicer *splicer, unsigned int code, unsigned int offset)
{
	const struct dmp_lidts *lidts = &splicer->lidts;
	u32 i;

	for (i = 0; i < lidts->count; i++)
		if (lidts->at[i].code == code && lidts->at[i].rip ==
		    splicer->code[code].gva + offset)
			return true;
	return false;
}

const char *dmp_lidt_audit(struct dmp_mmu *mmu)
{
	const struct dmp_splicer *splicer = mmu->splicer;
	const struct dmp_lidts *lidts = &splicer->lidts;
	const struct dmp_code_page *code;
	u64 work = mmu->work;
	u32 i, offset, found;

	for (i = 0; i < lidts->count; i++) {
		code = &splicer->code[lidts->at[i].code];
		offset = lidts->at[i].rip & DMP_PAGE_OFFSET;
		if (!code->hfn || code->gva != (lidts->at[i].rip & ~DMP_PAGE_OFFSET))
			return "LIDT watched in a page that is gone";
		if (code->copy[offset] != DMP_SPLICE_INT3)
			return "LIDT not watched";
		if (!dmp_frame_find(mmu, code->gfn)->lidt)
			return "LIDT watched in a frame that is not";
	}
	if (!lidts->watched || lidts->look || !mmu->loaded)
		return NULL;
	found = below(mmu, dmp_loaded_top(mmu), 0, false);
	mmu->work = work;
	return found ? "code that was not looked at for LIDT" : NULL;
}
