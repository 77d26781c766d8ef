/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One execution of a program: plain on REF, spliced on DMP, from the same
 * state. At every instruction of the stub its way out is tried on a copy; in
 * some cases it is taken for good, and the rest is run from where it led.
 */
#ifndef DMP_TEST_CASE_H
#define DMP_TEST_CASE_H

#include "oracle.h"
#include "program.h"

enum target {
	TARGET_LAST,		/* table, hit last */
	TARGET_CACHED,		/* table, in the cache */
	TARGET_UNKNOWN,		/* table, of which the cache does not know */
	TARGET_CROOKED,		/* table, not aligned */
	TARGET_DATA,
	TARGET_HOLE,		/* not mapped, or not canonical, or void */
	TARGETS
};

enum path {
	PATH_CLEAR,		/* of a writable mapping */
	PATH_NEW,		/* a writable leaf where there was none */
	PATH_PROTECT,		/* RW taken away */
	PATH_OTHER,		/* found in last[], not slow */
	PATH_MISS,
	PATHS
};

struct tally {
	u64 cases, hits, slow, misses, faults, interrupted, rows;
	u64 targets[TARGETS];
	u64 paths[PATHS];
	u32 least[PATHS], most[PATHS];	/* instructions, splice and all */
	u64 phases[3];			/* of interrupted ones */
	u64 counted;			/* with a count to undo */
};

#define CASE_MESSAGE	400

/* NULL, or what is wrong (static). */
const char *case_run(struct world *w, struct program *p, u64 *rng,
		     struct tally *tally);

/* Randomize tables, frames and data. */
void case_fill(struct world *w, u64 *rng);

#endif /* DMP_TEST_CASE_H */
