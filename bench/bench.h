/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dmp-bench: what an operation is, and what the runner gives it.
 *
 * An operation prepares, calls measure_begin(), does `n` units, calls
 * measure_end(), and then checks that what it did had the right effect. It
 * prints nothing: a console takes exits of its own. All state is of one
 * thread; children report by exit code.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>

#include "measure.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x)	(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define noinline	__attribute__((noinline))
#define __noreturn	__attribute__((noreturn))
#define __printf(f, a)	__attribute__((format(printf, f, a)))

#define BENCH_PAGE	4096ul

struct bench_op;

struct bench_run {
	/* Given by the runner. */
	const char *shell;	/* POSIX shell for `shell` */
	const char *true_path;	/* dmp-true, for `exec` */
	const struct bench_op *op;
	unsigned int seed;	/* differs from round to round */
	bool deep;		/* check all that can be checked, at any cost */

	/* Units to do; the operation may round it up to what it really did. */
	unsigned long n;

	/* Filled in by the operation. */
	struct measure m;
	uint64_t sum;		/* checksum of what was read back */
	char what[200];		/* why it failed */
};

struct bench_op {
	const char *name;
	const char *unit;
	unsigned long n;	/* default, units a round */
	unsigned int warm_div;	/* the warm-up does n / warm_div units */
	bool is_default;	/* runs when no --op is given */
	int (*fn)(struct bench_run *run);	/* 0, or -1 and run->what */
};

extern const struct bench_op bench_ops[];
extern const size_t bench_nr_ops;

int bench_op_touch(struct bench_run *run);
int bench_op_protect(struct bench_run *run);
int bench_op_munmap(struct bench_run *run);
int bench_op_cow(struct bench_run *run);
int bench_op_child(struct bench_run *run);
int bench_op_huge(struct bench_run *run);
int bench_op_fork(struct bench_run *run);
int bench_op_exec(struct bench_run *run);
int bench_op_pipe(struct bench_run *run);
int bench_op_shell(struct bench_run *run);
int bench_op_cpuid(struct bench_run *run);
int bench_op_getpid(struct bench_run *run);

/* Processes that one pass of mixed.sh starts, its shell included. */
#define BENCH_SHELL_PROCS	24

/* Both return -1; the first adds the text of errno. */
__printf(2, 3)
int bench_errno(struct bench_run *run, const char *fmt, ...);
__printf(2, 3)
int bench_wrong(struct bench_run *run, const char *fmt, ...);

/* Ends the timed stretch: 0, or -1 when the marks have gone. */
int bench_end(struct bench_run *run);

/* Folds a value into run->sum; order matters. */
void bench_fold(struct bench_run *run, uint64_t value);

#endif /* BENCH_BENCH_H */
