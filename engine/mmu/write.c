// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes of the VMM's to guest memory.
 */
#include "mmu/drop.h"
#include "mmu/machine.h"
#include "mmu/record.h"
#include "mmu/settle.h"
#include "mmu/table.h"
#include "mmu/tenant.h"

bool dmp_mmu_write_begin(struct dmp_mmu *mmu, u64 gpa, unsigned int bytes,
			 struct dmp_write *write)
{
	const struct dmp_frame *frame;
	unsigned int offset = gpa & (DMP_PAGE_SIZE - 1), i;
	const u64 *guest;

	write->count = 0;
	write->gfn = gpa >> DMP_PAGE_SHIFT;
	frame = dmp_frame_find(mmu, write->gfn);
	if (mmu->broken || !frame || !frame->held || !bytes)
		return false;
	if (bytes > DMP_WRITE_MAX || offset + bytes > DMP_PAGE_SIZE) {
		dmp_break(mmu, DMP_BROKEN_UNTRACKED);
		return false;
	}
	write->first = offset / 8;
	write->count = (offset + bytes - 1) / 8 - write->first + 1;
	guest = dmp_hfn_va(mmu, dmp_frame_hfn(frame));
	for (i = 0; i < write->count; i++)
		write->old[i] = DMP_READ_ONCE(guest[write->first + i]);
	return true;
}

void dmp_mmu_write_end(struct dmp_mmu *mmu, const struct dmp_write *write)
{
	if (mmu->broken)
		return;
	dmp_root_written(mmu, write);
	dmp_frame_follow(mmu, write->gfn, write->first, write->count,
			 write->old, 0);
	dmp_tenant_written(mmu, write);
	dmp_mmu_settle(mmu);
}
