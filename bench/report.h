/* SPDX-License-Identifier: GPL-2.0-only */
/* What was measured, as a table to read and as JSON rows. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"

#define REPORT_MAX_ROUNDS	99

/* All figures are per unit. */
struct report_row {
	const struct bench_op *op;
	unsigned long n;		/* units a round */
	double insns;			/* median of the rounds */
	double spread;			/* of insns: (max - min) / median */
	double exits[MARK_NR];		/* median of the rounds, each */
};

struct report {
	const char *machine, *mode;	/* plain words, nothing to escape */
	unsigned int rounds;
	int nr_exits;			/* so many of exits[] are known */
	const struct report_row *row;
	size_t nr_rows;
};

/* The rounds' figures become a row; both arrays are reordered. */
void report_fill(struct report_row *row, double *insns, double exits[MARK_NR][REPORT_MAX_ROUNDS],
		 unsigned int rounds);

void report_table(FILE *f, const struct report *r);
void report_json(FILE *f, const struct report *r);

#endif /* BENCH_REPORT_H */
