/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine tables: what the hardware walks in place of the guest's tables.
 *
 * The host (KVM's port, or a test) owns one struct dmp_mmu for each engaged
 * VM. All calls that take it are made with its vCPUs outside of the guest and
 * under one lock of the host's: the engine itself is single-threaded. None
 * sleeps except through the host's own operations.
 *
 * Failure is always the same: something sets mmu->broken, with a reason, and
 * from then on nothing that the engine says may be used. The host drops all
 * machine tables and goes back to its own paging. The guest's memory is whole
 * at any moment, so nothing has to be undone.
 */
#ifndef DMP_MACHINE_H
#define DMP_MACHINE_H

#include "mmu/state.h"

const char *dmp_broken_name(enum dmp_broken why);

/*
 * A struct dmp_mmu begins as zeroed memory of the host's (some 30 KiB), with
 * ops, host, va_base, paging and the slots filled in; each frame is zero or made
 * by dmp_frame_make().
 */

/* Give back every page. The TLB is flushed first. */
void dmp_mmu_destroy(struct dmp_mmu *mmu);

/*
 * The guest loads CR3 with the table at @gfn: bring its machine root up to
 * date (building it whole when it is new) and return its hfn; 0 when broken.
 * Calling it with the loaded root costs a few instructions.
 */
u64 dmp_mmu_load_root(struct dmp_mmu *mmu, u64 gfn);

/*
 * The same for a root that is known and held, when there is nothing to do but
 * to say that it is the loaded one: neither sleeps, nor reads the guest's
 * memory, nor ever breaks. 0, and nothing has changed: load it the other way.
 */
u64 dmp_mmu_switch_root(struct dmp_mmu *mmu, u64 gfn);

/* What a fault turned out to be. */
enum dmp_fault_kind {
	DMP_FAULT_GUEST,	/* the guest's own: deliver with .error_code */
	DMP_FAULT_RESOLVED,	/* hidden, and resolved: resume the guest */
	DMP_FAULT_TABLE,	/* a write to a guest table: emulate */
	DMP_FAULT_EMULATE,	/* MMIO, a hole or ROM: emulate */
	DMP_FAULT_BROKEN,
};

struct dmp_fault {
	u64 gva;		/* in */
	u32 access;		/* in: DMP_ACCESS_* */
	u32 error_code;		/* out, GUEST */
	u64 gpa;		/* out, TABLE and EMULATE */
};

/*
 * A page fault was taken on the loaded root. Walks the guest's tables, sets A
 * and D in them as the hardware would when the access is allowed, and brings
 * the machine tables along.
 */
enum dmp_fault_kind dmp_mmu_fault(struct dmp_mmu *mmu, struct dmp_fault *fault);

/*
 * Where the host has the @count bytes that the loaded root maps at @gva, within a
 * page: what the CPU has fetched there, if it just has, unless the guest has changed
 * its tables meanwhile. NULL when no small page is mapped there. Sets no A; neither
 * sleeps nor ever breaks.
 */
const void *dmp_mmu_at(const struct dmp_mmu *mmu, u64 gva, unsigned int count);

/*
 * The VMM writes guest-physical memory on the guest's behalf. begin() notes
 * the entries that [gpa, gpa + bytes) touches before the write, end() follows
 * them after it. begin() returns false when no table lies there, or the write
 * is too long, which breaks the engine; then end() need not be called. At most
 * DMP_WRITE_MAX bytes, within one page: a string input, of which KVM reads so
 * much ahead, is the longest there is.
 */
#define DMP_WRITE_MAX	1024
struct dmp_write {
	u64 gfn;
	unsigned int first, count;	/* entries */
	u64 old[DMP_WRITE_MAX / 8 + 1];
};

bool dmp_mmu_write_begin(struct dmp_mmu *mmu, u64 gpa, unsigned int bytes,
			 struct dmp_write *write);
void dmp_mmu_write_end(struct dmp_mmu *mmu, const struct dmp_write *write);

/*
 * Whether @gfn, about to be written, is a live table. Lets go of a root that
 * is not loaded; drops machine tables that only address spaces
 * which are not loaded still seemed to link; so after false, a write there
 * needs no emulation.
 */
bool dmp_mmu_is_live_table(struct dmp_mmu *mmu, u64 gfn);

/*
 * The host's call, or several that it makes without a pause, is over: what comes
 * next may take as long again.
 */
static inline void dmp_mmu_call_ends(struct dmp_mmu *mmu)
{
	if (mmu->work > mmu->work_most)
		mmu->work_most = mmu->work;
	mmu->work = 0;
}

/* The host has seen what should not be, as a fault in the agent: it is over. */
void dmp_mmu_end(struct dmp_mmu *mmu, enum dmp_broken why);

/*
 * Check everything against everything. Returns true when all invariants hold;
 * else mmu->finding says what does not, and mmu is broken.
 */
bool dmp_mmu_audit(struct dmp_mmu *mmu);

#endif /* DMP_MACHINE_H */
