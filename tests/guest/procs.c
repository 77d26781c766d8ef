// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces that begin and end in the less common ways: shared by clone,
 * by threads, left by an exec that is not the leader's, taken by the OOM killer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	128u		/* what all of them inherit */
#define THREADS	6u
#define STACK	(16 * PAGE)
#define SHARE	16u		/* pages of each thread */

static char *page(unsigned int i) { return ARENA + i * PAGE; }

static void stamp_all(u64 stamp)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		fill(page(i), stamp + i);
}

static void verify(const char *who, u64 stamp)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), stamp + i), "%s: page %u", who, i);
}

/* ---- clone(CLONE_VM): one address space, two processes ---- */

static int sharer(void *stamp)
{
	unsigned int i;
	char *own = map_anon(NULL, SHARE * PAGE, MAP_PRIVATE);

	for (i = 0; i < SHARE; i++) {
		fill(own + i * PAGE, i + 1);
		fill(page(i), *(u64 *)stamp + i);
	}
	for (i = 0; i < SHARE; i++)
		if (!holds(own + i * PAGE, i + 1))
			_exit(9);
	munmap(own, SHARE * PAGE);
	_exit(0);
}

static void share(int more_flags)
{
	static char stack[STACK] __attribute__((aligned(16)));
	u64 stamp = rnd() >> 8;
	unsigned int i;
	pid_t pid;

	stamp_all(stamp ^ 1);
	pid = MUST(clone(sharer, stack + STACK, CLONE_VM | SIGCHLD | more_flags, &stamp));
	/* While it writes to the first pages. */
	for (i = SHARE; i < PAGES; i++) {
		MUST(mprotect(page(i), PAGE, PROT_READ));
		MUST(mprotect(page(i), PAGE, PROT_READ | PROT_WRITE));
		fill(page(i), stamp + i);
	}
	reap(pid);
	verify("after clone(CLONE_VM)", stamp);
}

static void shares(unsigned int n)
{
	while (n--)
		share(below(2) ? CLONE_VFORK : 0);
}

/* ---- Threads, and processes that end while theirs work ---- */

static void work(unsigned int id, unsigned int rounds)
{
	unsigned int i, n;

	for (n = 0; n < rounds; n++) {
		char *own = map_anon(NULL, SHARE * PAGE, MAP_PRIVATE);

		for (i = 0; i < SHARE; i++)
			fill(own + i * PAGE, id * 1000 + n + i + 1);
		MUST(mprotect(own, SHARE / 2 * PAGE, PROT_READ));
		for (i = 0; i < SHARE; i++)
			CHECK(holds(own + i * PAGE, id * 1000 + n + i + 1), "thread %u", id);
		MUST(munmap(own, SHARE * PAGE));
	}
}

static void *thread(void *id)
{
	work((unsigned long)id, 10);
	return NULL;
}

static void *busy_thread(void *id)
{
	work((unsigned long)id, ~0u);
	return NULL;
}

static void *exec_thread(void *unused)
{
	(void)unused;
	usleep(1000);
	execl("/proc/self/exe", "dmp-guest", "true", NULL);
	_exit(127);
}

static void start(pthread_t *t, void *(*run)(void *), unsigned long id)
{
	int r = pthread_create(t, NULL, run, (void *)id);

	CHECK(!r, "pthread_create: %s", strerror(r));
}

static void threads_that_end(void)
{
	pthread_t t[THREADS];
	unsigned long i;

	for (i = 0; i < THREADS; i++)
		start(&t[i], thread, i);
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL), "pthread_join");
}

/* How a process with busy threads comes to its end. */
enum end { EXIT, KILLED, EXEC, ENDS };

static void end_with_threads(enum end how)
{
	pthread_t t;
	unsigned long i;
	int status, wanted = how == KILLED ? SIGKILL : 0;
	pid_t pid = MUST(fork());

	if (!pid) {
		for (i = 0; i < THREADS; i++)
			start(&t, busy_thread, i);
		if (how == EXEC)
			start(&t, exec_thread, 0);
		work(THREADS, how == EXIT ? 5 : ~0u);
		_exit(0);
	}
	if (how == KILLED) {
		usleep(below(20000));
		MUST(kill(pid, SIGKILL));
	}
	MUST(waitpid(pid, &status, 0));
	CHECK(status == wanted, "process with threads, end %d: status 0x%x", how, status);
}

static void run_threads(u64 stamp, unsigned int n)
{
	stamp_all(stamp);
	while (n--) {
		pid_t pid = MUST(fork());

		if (!pid) {
			threads_that_end();
			verify("child with threads", stamp);
			_exit(0);
		}
		reap(pid);
		end_with_threads(n % ENDS);
	}
	verify("after threads", stamp);
}

/* ---- Forks within forks, orphans ---- */

static void run_orphans(unsigned int n)
{
	u64 stamp = rnd() >> 8;
	int pipes[2], status;
	char byte;
	pid_t pid;

	stamp_all(stamp);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	while (n--) {
		MUST(pipe(pipes));
		pid = MUST(fork());
		if (!pid) {
			/* The grandchild works on when its parent has gone. */
			if (MUST(fork()))
				_exit(0);
			close(pipes[1]);
			CHECK(read(pipes[0], &byte, 1) == 0, "a byte from nobody");
			verify("orphan", stamp);
			fill(page(below(PAGES)), 1);
			_exit(0);
		}
		reap(pid);
		close(pipes[0]);
		close(pipes[1]);
		CHECK(wait(&status) > 0 && !status, "orphan's status 0x%x", status);
	}
	verify("after orphans", stamp);
}

/* ---- The OOM killer, in a group of memory of its own ---- */

#define GROUPS	"/tmp/groups"
#define GROUP	GROUPS "/small"
#define LIMIT	"16777216"
#define GREED	(64ul << 20)

static void make_group(void)
{
	mkdir(GROUPS, 0755);
	MUST(mount("none", GROUPS, "cgroup2", 0, NULL));
	CHECK(write_file(GROUPS "/cgroup.subtree_control", "+memory"), "no memory groups here");
	MUST(mkdir(GROUP, 0755));
	CHECK(write_file(GROUP "/memory.max", LIMIT), "memory.max");
	write_file(GROUP "/memory.swap.max", "0");	/* not there without swap */
}

static unsigned int oom_kills(void)
{
	char buf[400], *at;
	unsigned int n;

	read_file(GROUP "/memory.events", buf, sizeof(buf));
	at = strstr(buf, "oom_kill ");
	CHECK(at && sscanf(at, "oom_kill %u", &n) == 1, "no oom_kill in memory.events");
	return n;
}

static void be_greedy(bool with_threads)
{
	pthread_t t;
	char *p;
	size_t i;

	CHECK(write_file(GROUP "/cgroup.procs", "0"), "cgroup.procs");
	if (with_threads) {
		start(&t, busy_thread, 1);
		start(&t, busy_thread, 2);
	}
	p = map_anon(NULL, GREED, MAP_PRIVATE);
	for (i = 0; i < GREED; i += PAGE)
		fill(p + i, i + 1);
	_exit(0);
}

static void oom(unsigned int n)
{
	u64 stamp = rnd() >> 8;
	unsigned int before, i;
	int status;

	stamp_all(stamp);
	make_group();
	before = oom_kills();
	for (i = 0; i < n; i++) {
		pid_t pid = MUST(fork());

		if (!pid)
			be_greedy(i & 1);
		MUST(waitpid(pid, &status, 0));
		CHECK(status == SIGKILL, "greedy child: status 0x%x", status);
		verify("after an OOM kill", stamp);
	}
	CHECK(oom_kills() - before == n, "%u OOM kills, not %u", oom_kills() - before, n);
	MUST(rmdir(GROUP));
	MUST(umount(GROUPS));
}

int test_procs(void)
{
	unsigned int round;

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	for (round = 0; round < 4 * scale; round++) {
		shares(12);
		run_threads(rnd() >> 8, 6);
		run_orphans(12);
		oom(4);
		say("procs %u: %016llx", round, (unsigned long long)checksum(ARENA, PAGES * PAGE));
	}
	return 0;
}
