// SPDX-License-Identifier: GPL-2.0-only
/*
 * dmp-bench: what operations cost a guest, in instructions and VM exits.
 *
 * Nothing is printed while operations run: the console takes exits of its
 * own, and goes on taking them after the call that wrote. --progress waits
 * until its line is out.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "report.h"

/* A load cycle does this part of an operation's default n. */
#define LOAD_DIV	8

static void say(const char *fmt, const char *arg)
{
	fprintf(stderr, fmt, arg);
	tcdrain(STDERR_FILENO);		/* fails, rightly, if that is no terminal */
}

/* dmp-true beside the program, by the name that it was executed under. */
static const char *find_true(char buf[PATH_MAX])
{
	const char *self = (const char *)getauxval(AT_EXECFN);
	const char *slash = self ? strrchr(self, '/') : NULL;
	int dir = slash ? (int)(slash - self) + 1 : 0;

	snprintf(buf, PATH_MAX, "%.*sdmp-true", dir, self ? self : "");
	return buf;
}

/* On several CPUs a pipe's round trip would be something else. */
static int stay_on_this_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0 && cpu < CPU_SETSIZE)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		fprintf(stderr, "dmp-bench: sched_setaffinity: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}

static int run_once(struct bench_run *run, const struct bench_op *op, unsigned long n)
{
	run->n = n;
	run->op = op;
	return op->fn(run);
}

static void print_failure(const struct bench_run *run)
{
	fprintf(stderr, "dmp-bench: %s: %s\n", run->op->name, run->what);
}

static int measure_op(struct bench_run *run, const struct options *o, const struct bench_op *op,
		      struct report_row *row)
{
	double insns[REPORT_MAX_ROUNDS], exits[MARK_NR][REPORT_MAX_ROUNDS];
	unsigned long n = o->n ? o->n : op->n;
	unsigned int round;
	int i;

	run->seed = 0;
	if (run_once(run, op, n < op->warm_div ? 1 : n / op->warm_div))
		return -1;
	for (round = 0; round < o->rounds; round++) {
		run->seed = round + 1;
		if (run_once(run, op, n))
			return -1;
		insns[round] = (double)run->m.insns / run->n;
		for (i = 0; i < MARK_NR; i++)
			exits[i][round] = (double)run->m.exits[i] / run->n;
	}
	row->op = op;
	row->n = run->n;
	report_fill(row, insns, exits, o->rounds);
	return 0;
}

static int print_report(const struct report *r, const struct options *o, FILE *json)
{
	if (!json) {
		if (r->nr_rows)
			report_table(stderr, r);
		return 0;
	}
	report_json(json, r);
	if (ferror(json) | fflush(json)) {
		fprintf(stderr, "dmp-bench: %s: %s\n", o->json, strerror(errno));
		return -1;
	}
	return 0;
}

/* Rows of what succeeded are printed even if a later operation fails. */
static int measure_all(struct bench_run *run, const struct options *o, FILE *json)
{
	static struct report_row row[OPTIONS_MAX_OPS];
	struct report r = {
		.machine = o->machine, .mode = o->mode, .rounds = o->rounds, .row = row,
	};
	int ret = 0;

	for (; r.nr_rows < o->nr_ops && !ret; r.nr_rows += !ret) {
		const struct bench_op *op = o->op[r.nr_rows];

		if (o->progress)
			say("dmp-bench: %s\n", op->name);
		ret = measure_op(run, o, op, &row[r.nr_rows]);
	}
	/* On a bare machine nothing exits, and the figures are zeros. */
	r.nr_exits = strcmp(o->mode, "native") ? measure_nr_marks() : MARK_NR;
	if (print_report(&r, o, json))
		return -1;
	if (ret)
		print_failure(run);
	return ret;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static int load_cycle(struct bench_run *run, const struct options *o)
{
	size_t i;

	for (i = 0; i < o->nr_ops; i++) {
		const struct bench_op *op = o->op[i];
		unsigned long n = o->n ? o->n : op->n / LOAD_DIV;

		if (o->progress)
			say("dmp-bench: %s\n", op->name);
		if (run_once(run, op, n))
			return -1;
	}
	return 0;
}

/* The same cycles give the same checksum on every machine and in every mode. */
static int load(struct bench_run *run, const struct options *o)
{
	double start = seconds();
	unsigned long cycle = 0;
	int ret = 0;

	run->deep = true;
	do {
		run->seed = cycle;
		ret = load_cycle(run, o);
		cycle += !ret;
	} while (!ret && (o->loops ? cycle < o->loops : seconds() - start < o->load_seconds));

	if (ret)
		print_failure(run);
	fprintf(stderr, "dmp-bench: %lu cycles of %zu operations %s, %.1f s, checksum %016llx\n",
		cycle, o->nr_ops, ret ? "before the failure" : "done", seconds() - start,
		(unsigned long long)run->sum);
	return ret;
}

/* Opened before anything is measured, so that a bad name costs no time. */
static int open_json(const struct options *o, FILE **json)
{
	*json = NULL;
	if (!o->json)
		return 0;
	*json = strcmp(o->json, "-") ? fopen(o->json, "a") : stdout;
	if (*json)
		return 0;
	fprintf(stderr, "dmp-bench: %s: %s\n", o->json, strerror(errno));
	return -1;
}

int main(int argc, char **argv)
{
	static struct bench_run run;
	char true_buf[PATH_MAX];
	struct options o;
	FILE *json;

	options_parse(&o, argc, argv);
	run.shell = o.shell;
	run.true_path = o.true_path ? o.true_path : find_true(true_buf);
	if (open_json(&o, &json))
		return 1;
	measure_calibrate();
	if (!strcmp(o.mode, "native") && measure_nr_marks()) {
		fprintf(stderr, "dmp-bench: --mode native, but a hypervisor answers the marks\n");
		return 1;
	}
	if (o.load_seconds || o.loops)
		return load(&run, &o) ? 1 : 0;
	if (stay_on_this_cpu())
		return 1;
	return measure_all(&run, &o, json) ? 1 : 0;
}
