/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One execution of a program: plain on REF, spliced on DMP, from the same
 * state. At every instruction of the stub its way out is tried on a copy; in
 * some cases it is taken for good, and the rest is run from where it led.
 */
#ifndef DMP_TEST_CASE_H
#define DMP_TEST_CASE_H

#include "cover.h"
#include "oracle.h"
#include "program.h"

enum target {
	TARGET_LAST,		/* table, hit last */
	TARGET_CACHED,		/* table, in the cache */
	TARGET_UNKNOWN,		/* table, of which the cache does not know */
	TARGET_CROOKED,		/* table, not aligned */
	TARGET_DATA,
	TARGET_HOLE,		/* not mapped, or not canonical, or void */
	TARGET_FIXED,		/* mapped read-only */
	TARGET_STACK,		/* where RSP points, or next to it */
	TARGET_CROSS,		/* on two pages of any kind */
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

#define CASE_STEPS	128

struct tally {
	u64 cases, hits, slow, misses, faults, interrupted, rows;
	u64 agent_done, agent_left;	/* of slow, of interrupted */
	u64 targets[TARGETS];
	u64 paths[PATHS];
	u32 least[PATHS], most[PATHS];	/* instructions, splice and all */
	u64 phases[3];			/* of interrupted ones */
	u64 counted;			/* with a count to undo */
	u64 cover[COVERS];
	/* By its number: instructions of stubs reached, and left from. */
	u64 reached[CASE_STEPS], stopped[CASE_STEPS];
};

#define CASE_MESSAGE	400

/*
 * Offsets of a stub, and of the agent, that it was left at for good, and those
 * it has been at before it was left.
 */
struct sweep {
	bool left[DMP_STUB_BYTES_MAX];
	bool seen[DMP_STUB_BYTES_MAX];
	bool agent_left[DMP_AGENT_CODE_BYTES];
	bool agent_seen[DMP_AGENT_CODE_BYTES];
};

/*
 * NULL, or what is wrong (static). With @sweep the stub is left at the first
 * offset where it has not been left yet; else, NULL, at random, or not.
 */
const char *case_run(struct world *w, struct program *p, u64 *rng,
		     struct tally *tally, struct sweep *sweep);

/* Randomize tables, frames and data. */
void case_fill(struct world *w, u64 *rng);

#endif /* DMP_TEST_CASE_H */
