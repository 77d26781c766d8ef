/* SPDX-License-Identifier: GPL-2.0-only */
/* One timed stretch: time stamps and exit counts before and after. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>

#include "mark.h"

struct measure {
	uint64_t tsc;			/* at measure_begin() */
	struct mark mark;		/* at measure_begin() */
	uint64_t insns;			/* result: time stamp ticks */
	uint32_t exits[MARK_NR];	/* result, when there are marks */
};

/* Finds out whether there are marks, and what an empty stretch costs. */
void measure_calibrate(void);
/* How many of the exit counts are known: 0, MARK_BASIC or MARK_NR. */
unsigned int measure_nr_marks(void);

void measure_begin(struct measure *m);
/* False when marks are no longer answered. May lower measure_nr_marks(). */
bool measure_end(struct measure *m);

#endif /* BENCH_MEASURE_H */
