// SPDX-License-Identifier: GPL-2.0-only
/*
 * Beginning and end of a set of machine tables.
 */
#include "mmu/machine.h"
#include "mmu/page.h"
#include "mmu/tenant.h"

const char *dmp_broken_name(enum dmp_broken why)
{
	static const char * const name[DMP_BROKEN_REASONS] = {
		[DMP_BROKEN_NOT]		= "none",
		[DMP_BROKEN_NO_MEMORY]		= "no-memory",
		[DMP_BROKEN_TOO_MANY_TABLES]	= "too-many-tables",
		[DMP_BROKEN_TABLE_NOT_RAM]	= "table-not-in-ram",
		[DMP_BROKEN_ALIAS]		= "writable-alias-not-found",
		[DMP_BROKEN_UNTRACKED]		= "table-changed-unseen",
		[DMP_BROKEN_COUNT]		= "count-mismatch",
		[DMP_BROKEN_STUCK]		= "fault-without-cause",
		[DMP_BROKEN_AUDIT]		= "audit",
		[DMP_BROKEN_ADDRESS]		= "implant-address-used",
		[DMP_BROKEN_CODE]		= "code-mapped-twice",
		[DMP_BROKEN_EXPOSED]		= "not-isolated",
		[DMP_BROKEN_HANDLER]		= "page-fault-handler-changed",
		[DMP_BROKEN_WORK]		= "too-much-work",
	};

	return why < DMP_BROKEN_REASONS ? name[why] : "unknown";
}

void dmp_mmu_end(struct dmp_mmu *mmu, enum dmp_broken why)
{
	dmp_break(mmu, why);
}

void dmp_mmu_destroy(struct dmp_mmu *mmu)
{
	unsigned int i;
	u32 id;

	dmp_flush(mmu);
	dmp_tenant_destroy(mmu);
	for (id = 1; id < mmu->chunks << DMP_CHUNK_SHIFT; id++)
		if (dmp_table_of(mmu, id)->id)
			dmp_page_free(mmu, dmp_table_of(mmu, id)->hfn);
	for (i = 0; i < mmu->root_end; i++)
		if (dmp_root_nth(mmu, i)->copy_hfn)
			dmp_page_free(mmu, dmp_root_nth(mmu, i)->copy_hfn);
	for (i = 0; i < DMP_ROOT_CHUNKS && mmu->root_chunk[i]; i++)
		dmp_page_free(mmu, dmp_va_hfn(mmu, mmu->root_chunk[i]));
	for (i = 0; i < mmu->chunks; i++)
		dmp_page_free(mmu, dmp_va_hfn(mmu, dmp_chunk(mmu, i)));
	for (i = 0; i < DMP_CHUNK_PAGES && mmu->chunk_page[i]; i++)
		dmp_page_free(mmu, dmp_va_hfn(mmu, mmu->chunk_page[i]));
	mmu->chunks = 0;
	mmu->free_table = 0;
	mmu->tables = 0;
	mmu->roots = 0;
	mmu->root_end = 0;
	mmu->loaded = NULL;
	__builtin_memset(mmu->chunk_page, 0, sizeof(mmu->chunk_page));
	__builtin_memset(mmu->root_chunk, 0, sizeof(mmu->root_chunk));
	__builtin_memset(mmu->root_hash, 0, sizeof(mmu->root_hash));
	__builtin_memset(mmu->hash, 0, sizeof(mmu->hash));
}
