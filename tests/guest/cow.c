// SPDX-License-Identifier: GPL-2.0-only
/* Copy on write, by user space and by the kernel on its behalf; fork storms. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	256u

static u64 stamp[PAGES];
static char *page(unsigned int i) { return ARENA + i * PAGE; }

static void verify(const char *who)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), stamp[i]), "%s: page %u is not what was written", who, i);
}

static void rewrite(unsigned int i)
{
	stamp[i] = rnd() | 1;
	fill(page(i), stamp[i]);
}

/* The kernel writes @i, in pieces that end where they like. */
static void rewrite_by_kernel(unsigned int i)
{
	static char from[PAGE];
	unsigned int at = 0, n;
	int pipes[2];

	stamp[i] = rnd() | 1;
	fill(from, stamp[i]);
	MUST(pipe(pipes));
	while (at < PAGE) {
		n = 1 + below(2000);
		if (n > PAGE - at)
			n = PAGE - at;
		MUST(write(pipes[1], from + at, n));
		CHECK(read(pipes[0], page(i) + at, n) == (long)n, "a short read");
		at += n;
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Two pages and a bit in one system call. */
static void rewrite_run(unsigned int i, int fd)
{
	static char from[3 * PAGE];
	unsigned int k;

	for (k = 0; k < 3; k++) {
		stamp[i + k] = rnd() | 1;
		fill(from + k * PAGE, stamp[i + k]);
	}
	MUST(pwrite(fd, from, sizeof(from), 0));
	if (below(2)) {
		CHECK(pread(fd, page(i), sizeof(from), 0) == sizeof(from), "a short pread");
	} else {
		struct iovec iov[2] = { { page(i), PAGE + 77 }, { page(i) + PAGE + 77, 2 * PAGE - 77 } };

		CHECK(preadv(fd, iov, 2, 0) == sizeof(from), "a short preadv");
	}
}

static void change_some(unsigned int n, int fd)
{
	while (n--) {
		switch (below(4)) {
		case 0:
			rewrite_by_kernel(below(PAGES));
			break;
		case 1:
			rewrite_run(below(PAGES - 3), fd);
			break;
		default:
			rewrite(below(PAGES));
		}
	}
}

/* Kernel writes too small to notice: status words and names. */
static void small_writes(void)
{
	char cwd[8] = "", *p = page(below(PAGES));
	int status, pair[2];
	pid_t pid;
	u64 s = stamp[(p - ARENA) / PAGE];

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	pid = MUST(fork());
	if (!pid)
		_exit(5);
	MUST(waitpid(pid, (int *)(p + 40), 0));
	memcpy(&status, p + 40, 4);
	CHECK(WEXITSTATUS(status) == 5, "wait's status in a page copied on write");
	CHECK(getcwd(p + 48, 8) != NULL, "getcwd");
	CHECK(getcwd(cwd, 8) && !strcmp(cwd, p + 48), "getcwd's result");
	MUST(write(pair[0], "datagram", 8));
	CHECK(recv(pair[1], p + 56, 8, 0) == 8 && !memcmp(p + 56, "datagram", 8), "recv");
	close(pair[0]);
	close(pair[1]);
	fill(p, s);
}

static void generation(unsigned int depth, int fd)
{
	unsigned int i, kids = depth ? 1 + below(3) : 0;
	pid_t pid[4];

	for (i = 0; i < kids; i++) {
		pid[i] = MUST(fork());
		if (!pid[i]) {
			seed_random(rnd() + i);
			fd = temp_file(3 * PAGE);
			verify("child");
			change_some(24, fd);
			generation(depth - 1, fd);
			verify("child, later");
			_exit(0);
		}
		change_some(12, fd);
	}
	small_writes();
	for (i = 0; i < kids; i++)
		reap(pid[i]);
	verify("parent");
}

int test_cow(void)
{
	unsigned int i, round;
	int fd = temp_file(3 * PAGE);

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	for (i = 0; i < PAGES; i++)
		rewrite(i);
	for (round = 0; round < 8 * scale; round++) {
		generation(3, fd);
		say("cow %u: %016llx", round, (unsigned long long)checksum(ARENA, PAGES * PAGE));
	}
	return 0;
}

/* ---- Storms ---- */

static void burst(unsigned int n)
{
	unsigned int i;
	pid_t pid[32];

	for (i = 0; i < n; i++) {
		pid[i] = MUST(fork());
		if (!pid[i]) {
			unsigned int at = (i * 37) % PAGES;

			verify("one of many");
			fill(page(at), i + 1);
			_exit(holds(page(at), i + 1) ? 0 : 9);
		}
	}
	for (i = 0; i < n; i++)
		reap(pid[i]);
	verify("after many");
}

static void execs(unsigned int n)
{
	pid_t pid;

	while (n--) {
		pid = below(2) ? MUST(vfork()) : MUST(fork());
		if (!pid) {
			execl("/proc/self/exe", "dmp-guest", "true", NULL);
			_exit(127);
		}
		reap(pid);
	}
}

/* Children that are killed wherever they are. */
static void killed(unsigned int n)
{
	pid_t pid;

	while (n--) {
		pid = MUST(fork());
		if (!pid)
			for (;;)
				fill(page(below(PAGES)), rnd());
		usleep(below(3000));
		MUST(kill(pid, SIGKILL));
		MUST(waitpid(pid, NULL, 0));
	}
	verify("after the kills");
}

int test_storm(void)
{
	unsigned int i, round;

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	for (i = 0; i < PAGES; i++)
		rewrite(i);
	for (round = 0; round < 6 * scale; round++) {
		burst(16);
		execs(10);
		killed(6);
		for (i = 0; i < 20; i++)
			rewrite(below(PAGES));
		say("storm %u: %016llx", round, (unsigned long long)checksum(ARENA, PAGES * PAGE));
	}
	return 0;
}
