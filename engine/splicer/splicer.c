// SPDX-License-Identifier: GPL-2.0-only
/*
 * The implant's life; see splicer.h.
 */
#include "mmu/page.h"
#include "splicer/cache.h"
#include "splicer/code_change.h"
#include "splicer/gate.h"
#include "splicer/hidden.h"
#include "splicer/lidt.h"
#include "splicer/overlay.h"
#include "splicer/pool.h"
#include "splicer/public.h"
#include "splicer/relic.h"
#include "splicer/space.h"
#include "splicer/splicer.h"
#include "splicer/start.h"
#include "splicer/view.h"
#include "splicer/window.h"

/*
 * Where stubs may be, below the handler: all that a jump with a trap byte for
 * its highest can reach (33xxxxxx to 34000000 below) and the handler's
 * neighbours by some 64 MiB.
 */
#define PUBLIC_START	0x38000000ull
#define PUBLIC_END	0x30000000ull

const char *dmp_start_refusal_name(enum dmp_start_refusal why)
{
	static const char * const name[DMP_START_REASONS] = {
		[DMP_START_OK]		= "none",
		[DMP_START_HANDLER]	= "page-fault-handler",
		[DMP_START_NO_ROOM]	= "no-room",
		[DMP_START_LAYOUT]	= "memory-layout",
		[DMP_START_BROKEN]	= "broken",
		[DMP_START_UNTRUSTED]	= "not-trusted",
		[DMP_START_MAKER]	= "maker-not-privileged",
		[DMP_START_LOCKDOWN]	= "host-locked-down",
		[DMP_START_CPU]		= "host-cpu",
		[DMP_START_DEBUG]	= "kernel-breakpoint",
		[DMP_START_DEBUGGER]	= "debugger",
		[DMP_START_CODE]	= "code-mapped-twice",
		[DMP_START_EXPOSED]	= "not-isolated",
	};

	return why < DMP_START_REASONS ? name[why] : "unknown";
}

static enum dmp_start_refusal start(struct dmp_mmu *mmu,
				    const struct dmp_start *start)
{
	struct dmp_splicer *splicer = mmu->splicer;
	enum dmp_start_refusal why;

	if (!dmp_space_start(mmu))
		return DMP_START_BROKEN;
	dmp_hidden_start(mmu);
	if (start->handler < 1ull << 63 || !start->frames)
		return start->frames ? DMP_START_HANDLER : DMP_START_LAYOUT;
	splicer->public_start = (start->handler & ~DMP_PAGE_OFFSET) - PUBLIC_START;
	splicer->public_end = (start->handler & ~DMP_PAGE_OFFSET) - PUBLIC_END;
	/* For the filter's comparison. */
	if (splicer->public_start >> 32 != splicer->public_end >> 32)
		splicer->public_start = splicer->public_end >> 32 << 32;
	dmp_cache_flush(mmu);
	why = dmp_window_place(mmu, start);
	if (!why)
		why = dmp_public_place(mmu);
	if (!why)
		why = dmp_gate_splice(mmu, start);
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
	struct dmp_code_page *code;

	dmp_for_each_code(code, splicer) {
		dmp_page_free(mmu, code->hfn);
		code->hfn = 0;
	}
	dmp_pool_destroy(mmu);
	dmp_space_destroy(mmu);
	splicer->active = false;
	mmu->splicer = NULL;
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
		dmp_code_drop_lost(mmu);
	dmp_lidt_settle(mmu);
	if (mmu->broken || !dmp_pool_settle(mmu) || !dmp_space_sync(mmu))
		return;
	table = dmp_loaded_top(mmu);
	if (!dmp_gate_suits(mmu, table)) {
		dmp_break(mmu, DMP_BROKEN_CODE);
		return;
	}
	dmp_cache_switch_root(mmu);
	dmp_view_show(mmu, mmu->loaded, table);
}
