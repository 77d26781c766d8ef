// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking through tables.
 */
#include "mmu/scan.h"

#define WORK_PAUSE	0x10000u	/* entries between two looks at the host */

bool dmp_work(struct dmp_mmu *mmu, u32 n)
{
	u64 was = mmu->work;

	mmu->work += n;
	if (mmu->work_max && mmu->work > mmu->work_max)
		dmp_break(mmu, DMP_BROKEN_WORK);
	else if ((was ^ mmu->work) >= WORK_PAUSE && mmu->ops->go_on &&
		 !mmu->ops->go_on(mmu->host))
		dmp_break(mmu, DMP_BROKEN_WORK);
	return !mmu->broken;
}

unsigned int dmp_entries_next(const u64 *entries, unsigned int i)
{
	const u64 *e = entries + i, *end = entries + DMP_ENTRIES;
	const unsigned int group = 16;
	unsigned int k;
	u64 any = 0;

	for (; i % group; i++, e++)
		if (DMP_READ_ONCE(*e))
			return i;
	for (; e < end; e += group) {
#pragma GCC unroll 16
		for (k = 0; k < group; k++)
			any |= e[k];
		if (any)
			break;
	}
	while (e < end && !DMP_READ_ONCE(*e))
		e++;
	return e - entries;
}

unsigned int dmp_change_next(const u64 *a, const u64 *b, unsigned int i)
{
	const u64 *x = a + i, *y = b + i, *end = a + DMP_ENTRIES;
	const unsigned int group = 16;
	unsigned int k;
	u64 any = 0;

	for (; i % group; i++, x++, y++)
		if (DMP_READ_ONCE(*x) != *y)
			return i;
	for (; x < end; x += group, y += group) {
#pragma GCC unroll 16
		for (k = 0; k < group; k++)
			any |= x[k] ^ y[k];
		if (any)
			break;
	}
	for (; x < end && DMP_READ_ONCE(*x) == *y; x++)
		y++;
	return x - a;
}
