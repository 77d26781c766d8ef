// SPDX-License-Identifier: GPL-2.0-only
/* What operations call, and the table of them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

/*
 * The default list, with three rounds, is about 1.4e9 instructions on a bare
 * machine; see README.md. Memory operations warm up on as many pages as they
 * measure: the first pass over memory after boot costs more.
 */
const struct bench_op bench_ops[] = {
	{ "touch",   "page",	   8192,  1, true,  bench_op_touch },
	{ "protect", "page",	   4096,  1, true,  bench_op_protect },
	{ "munmap",  "page",	   4096,  1, true,  bench_op_munmap },
	{ "cow",     "page",	   2048,  1, true,  bench_op_cow },
	{ "fork",    "op",	   100,   4, true,  bench_op_fork },
	{ "exec",    "op",	   100,   4, true,  bench_op_exec },
	{ "pipe",    "round trip", 1000,  4, true,  bench_op_pipe },
	{ "shell",   "process",	   96,    4, true,  bench_op_shell },
	{ "child",   "page",	   4096,  1, false, bench_op_child },
	{ "huge",    "huge page",  16,    1, false, bench_op_huge },
	{ "cpuid",   "op",	   20000, 4, false, bench_op_cpuid },
	{ "getpid",  "op",	   20000, 4, false, bench_op_getpid },
};

const size_t bench_nr_ops = ARRAY_SIZE(bench_ops);

int bench_wrong(struct bench_run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->what, sizeof(run->what), fmt, ap);
	va_end(ap);
	return -1;
}

int bench_errno(struct bench_run *run, const char *fmt, ...)
{
	const char *text = strerror(errno);
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(run->what, sizeof(run->what), fmt, ap);
	va_end(ap);
	len = strlen(run->what);
	snprintf(run->what + len, sizeof(run->what) - len, ": %s", text);
	return -1;
}

int bench_end(struct bench_run *run)
{
	if (!measure_end(&run->m))
		return bench_wrong(run, "the marks stopped answering (kvm.dmp_marks was cleared?)");
	return 0;
}

/* FNV-1a's step, a word at a time. */
void bench_fold(struct bench_run *run, uint64_t value)
{
	run->sum = (run->sum ^ value) * 0x100000001b3ull;
}
