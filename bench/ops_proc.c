// SPDX-License-Identifier: GPL-2.0-only
/* Operations on processes, and the two smallest ones. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Exit codes run through these, so that one child is not taken for another. */
#define FORK_CODES	100u

static int wait_for(struct bench_run *run, pid_t child, int code)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return bench_errno(run, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		return bench_wrong(run, "a child ended with wait status %#x, not exit code %d",
				   status, code);
	return 0;
}

static int fork_all(struct bench_run *run)
{
	unsigned long i;

	for (i = 0; i < run->n; i++) {
		int code = (i + run->seed) % FORK_CODES;
		pid_t child = fork();

		if (child == 0)
			_exit(code);
		if (child < 0)
			return bench_errno(run, "fork %lu", i);
		if (wait_for(run, child, code))
			return -1;
		bench_fold(run, code);
	}
	return 0;
}

int bench_op_fork(struct bench_run *run)
{
	int ret;

	measure_begin(&run->m);
	ret = fork_all(run);
	if (bench_end(run))
		return -1;
	return ret;
}

/* 0, or the errno that exec left in the memory which vfork shares. */
static int exec_one(struct bench_run *run, char *const argv[])
{
	char *const envp[] = { NULL };
	volatile int failed = 0;	/* lives through vfork */
	pid_t child = vfork();

	if (child == 0) {
		execve(run->true_path, argv, envp);
		failed = errno;
		_exit(127);
	}
	if (child < 0)
		return bench_errno(run, "vfork");
	if (failed) {
		waitpid(child, NULL, 0);
		errno = failed;
		return bench_errno(run, "exec of %s", run->true_path);
	}
	return wait_for(run, child, 0);
}

int bench_op_exec(struct bench_run *run)
{
	char name[] = "dmp-true";
	char *const argv[] = { name, NULL };
	unsigned long i;
	int ret = 0;

	measure_begin(&run->m);
	for (i = 0; i < run->n && !ret; i++)
		ret = exec_one(run, argv);
	if (bench_end(run))
		return -1;
	bench_fold(run, i);
	return ret;
}

/* Answers each number with its successor, until the other end closes. */
static void __noreturn echo_child(int in, int out)
{
	uint32_t word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(in, &word, sizeof(word)) == sizeof(word)) {
		word++;
		if (write(out, &word, sizeof(word)) != sizeof(word))
			_exit(1);
	}
	_exit(0);
}

static int round_trips(struct bench_run *run, int out, int in)
{
	uint32_t sent, got;
	unsigned long i;

	for (i = 0; i < run->n; i++) {
		sent = run->seed * 0x10001u + i;
		if (write(out, &sent, sizeof(sent)) != sizeof(sent))
			return bench_errno(run, "write to a pipe");
		if (read(in, &got, sizeof(got)) != sizeof(got))
			return bench_errno(run, "read from a pipe");
		if (got != sent + 1)
			return bench_wrong(run, "round trip %lu: sent %u, got %u back", i, sent,
					   got);
		bench_fold(run, got);
	}
	return 0;
}

static int time_round_trips(struct bench_run *run, int out, int in)
{
	unsigned long n = run->n;
	int ret;

	/* One first, so that the child is known to stand in its read. */
	run->n = 1;
	ret = round_trips(run, out, in);
	run->n = n;
	if (ret)
		return ret;
	measure_begin(&run->m);
	ret = round_trips(run, out, in);
	if (bench_end(run))
		return -1;
	return ret;
}

int bench_op_pipe(struct bench_run *run)
{
	int to[2], from[2], ret;
	pid_t child;

	if (pipe(to))
		return bench_errno(run, "pipe");
	if (pipe(from)) {
		ret = bench_errno(run, "pipe");
		goto close_to;
	}
	child = fork();
	if (child == 0) {
		close(to[1]);
		close(from[0]);
		echo_child(to[0], from[1]);
	}
	if (child < 0) {
		ret = bench_errno(run, "fork");
		goto close_from;
	}
	ret = time_round_trips(run, to[1], from[0]);
	close(to[1]);
	to[1] = -1;
	if (!ret)
		ret = wait_for(run, child, 0);
close_from:
	close(from[0]);
	close(from[1]);
close_to:
	close(to[0]);
	if (to[1] >= 0)
		close(to[1]);
	return ret;
}

/* One exit each where CPUID exits, and nothing else. */
int bench_op_cpuid(struct bench_run *run)
{
	uint32_t first[3], now[3];
	uint32_t eax = mark_cpuid(0, 0, first);
	uint32_t differs = 0;
	unsigned long i;

	measure_begin(&run->m);
	for (i = 0; i < run->n; i++) {
		differs |= mark_cpuid(0, 0, now) ^ eax;
		differs |= now[0] ^ first[0];
	}
	if (bench_end(run))
		return -1;
	if (differs || memcmp(first, now, sizeof(now)))
		return bench_wrong(run, "CPUID leaf 0 does not always answer the same");
	bench_fold(run, i);
	return 0;
}

int bench_op_getpid(struct bench_run *run)
{
	pid_t self = getpid();
	long differs = 0;
	unsigned long i;

	measure_begin(&run->m);
	for (i = 0; i < run->n; i++)
		differs |= syscall(SYS_getpid) ^ self;
	if (bench_end(run))
		return -1;
	if (differs)
		return bench_wrong(run, "getpid does not always answer %d", (int)self);
	bench_fold(run, i);
	return 0;
}
