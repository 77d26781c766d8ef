/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

#define OPTIONS_MAX_OPS	32

struct options {
	const struct bench_op *op[OPTIONS_MAX_OPS];
	size_t nr_ops;
	unsigned long n;		/* 0: each operation's own */
	unsigned int rounds;
	unsigned long load_seconds;	/* 0: not asked for */
	unsigned long loops;		/* 0: not asked for */
	const char *machine, *mode;
	const char *json;		/* file, "-" for stdout, or NULL */
	const char *shell;
	const char *true_path;		/* NULL: beside the program */
	bool progress;
};

/*
 * Fills in *o, or ends the program: with 0 when --help or --list was all that
 * was asked, with 2 and one line on stderr when the line makes no sense.
 */
void options_parse(struct options *o, int argc, char **argv);

#endif /* BENCH_OPTIONS_H */
