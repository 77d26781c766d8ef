/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of the implant's public region for stubs, and for landings.
 *
 * A *landing* is where a splice leads whose bytes all fault (splice.h): whoever comes
 * to any byte of it but the first takes a #BP or a #UD. There stands a jump to the
 * stub. (INT3 alone would not do: what the guest reads and writes back has to be
 * told from INT3s of its own, see dmp_site_restore_shown().) It costs an instruction;
 * and where no such address is to be had the splice leads to the stub itself.
 *
 * All calls as in mmu/machine.h: vCPUs outside of the guest, one lock.
 */
#ifndef DMP_ROOM_H
#define DMP_ROOM_H

#include "splicer/state.h"

/* A new page of stubs at @gva; NULL if something is there, or broken. */
struct dmp_room *dmp_room_add(struct dmp_mmu *mmu, u64 gva);

/*
 * A landing for a splice at @rip; @own, if not 0, is one that may be used again.
 * 0: there is none, or broken.
 */
u64 dmp_landing_add(struct dmp_mmu *mmu, u64 rip,
		    const struct dmp_splice_plan *plan, u64 own);

/* The jump at @landing, which was added, leads to @stub from now on. */
void dmp_landing_write(struct dmp_splicer *splicer, u64 landing, u64 stub);

#endif /* DMP_ROOM_H */
