// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mixed shell workload: mixed.sh, run again and again.
 *
 * The unit is a process started; BENCH_SHELL_PROCS are in each pass. The
 * script and what it should write are part of the program, so that only the
 * program, a shell and its tools have to be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define EMBED(name, file)				\
	asm(".pushsection .rodata\n"			\
	    ".globl " #name "\n"			\
	    #name ":\n"					\
	    ".incbin \"" file "\"\n"			\
	    ".byte 0\n"					\
	    ".popsection\n");				\
	extern const char name[]

EMBED(mixed_script, "mixed.sh");
EMBED(mixed_expected, "mixed.expected");

struct shell_dir {
	char path[128];
	char out[160];		/* path/out, which the script appends to */
};

static int make_dir(struct bench_run *run, struct shell_dir *dir)
{
	const char *top = getenv("TMPDIR");

	if (!top || !*top)
		top = "/tmp";
	if ((size_t)snprintf(dir->path, sizeof(dir->path), "%s/dmp-bench.XXXXXX", top) >=
	    sizeof(dir->path))
		return bench_wrong(run, "TMPDIR is too long a name");
	if (!mkdtemp(dir->path))
		return bench_errno(run, "a directory under %s (TMPDIR)", top);
	snprintf(dir->out, sizeof(dir->out), "%s/out", dir->path);
	return 0;
}

static int remove_dir(struct bench_run *run, const struct shell_dir *dir)
{
	if (unlink(dir->out))
		return bench_errno(run, "unlink of %s", dir->out);
	if (rmdir(dir->path))
		return bench_errno(run, "rmdir of %s", dir->path);
	return 0;
}

static int run_pass(struct bench_run *run, const struct shell_dir *dir)
{
	static const char *const env[] = {
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", NULL
	};
	const char *argv[] = { "sh", "-c", mixed_script, "mixed.sh", dir->path, NULL };
	volatile int failed = 0;	/* lives through vfork */
	int status;
	pid_t child = vfork();

	if (child == 0) {
		/* POSIX: execve leaves the strings alone. */
		execve(run->shell, (char *const *)argv, (char *const *)env);
		failed = errno;
		_exit(127);
	}
	if (child < 0)
		return bench_errno(run, "vfork");
	if (waitpid(child, &status, 0) != child)
		return bench_errno(run, "waitpid");
	if (failed) {
		errno = failed;
		return bench_errno(run, "exec of %s", run->shell);
	}
	if (status)
		return bench_wrong(run, "%s ended with wait status %#x; see %s", run->shell,
				   status, dir->path);
	return 0;
}

static ssize_t read_all(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got, have = 0;

	if (fd < 0)
		return -1;
	while ((got = read(fd, buf + have, size - have)) > 0)
		have += got;
	close(fd);
	return got < 0 ? got : have;
}

/* The file holds what is expected, once for each pass, and no more. */
static int check_out(struct bench_run *run, const struct shell_dir *dir, unsigned long passes)
{
	size_t len = strlen(mixed_expected);
	size_t want = passes * len;
	char *buf = malloc(want + 1);
	unsigned long i;
	ssize_t got;
	int ret = 0;

	if (!buf)
		return bench_errno(run, "malloc");
	got = read_all(dir->out, buf, want + 1);
	if (got < 0)
		ret = bench_errno(run, "read of %s", dir->out);
	else if ((size_t)got != want)
		ret = bench_wrong(run, "%s should have %zu bytes", dir->out, want);
	for (i = 0; i < passes && !ret; i++) {
		if (memcmp(buf + i * len, mixed_expected, len))
			ret = bench_wrong(run, "pass %lu wrote something wrong to %s", i, dir->out);
		bench_fold(run, i);
	}
	free(buf);
	return ret;
}

int bench_op_shell(struct bench_run *run)
{
	unsigned long i, passes = (run->n + BENCH_SHELL_PROCS - 1) / BENCH_SHELL_PROCS;
	struct shell_dir dir;
	int ret = 0;

	run->n = passes * BENCH_SHELL_PROCS;
	if (make_dir(run, &dir))
		return -1;
	measure_begin(&run->m);
	for (i = 0; i < passes && !ret; i++)
		ret = run_pass(run, &dir);
	if (bench_end(run) || ret || check_out(run, &dir, passes)) {
		rmdir(dir.path);	/* stays, to be looked at, unless empty */
		return -1;
	}
	return remove_dir(run, &dir);
}
