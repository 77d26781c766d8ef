// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many address spaces in turn, each at work for a moment: what a switch among many
 * costs is what it costs among few. And page directories that die and are at once
 * some other process's. ROOTS in the environment: how many (else 180).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define FEW	40
#define MOST	1000
#define PAGES	12		/* of each process, at the same addresses, */
#define APART	(5 * HUGE / 2)	/*   by tables of their own */
#define ROUNDS	(8 * scale)
#define DEATHS	(20 * scale)

struct token { u64 turns, wrong; };

/* Process i reads from pipe i, and writes to pipe i + 1; the last is ours to read. */
static int in[MOST + 1], out[MOST + 1];
static pid_t pid[MOST];

static u64 *cell(unsigned int i) { return (u64 *)(ARENA + i * APART); }

static void live(unsigned int me, u64 id)
{
	struct token token;
	unsigned int i;

	for (i = 0; i < PAGES; i++) {
		map_anon((char *)cell(i), PAGE, MAP_PRIVATE);
		*cell(i) = id * 100 + i;
	}
	while (read(in[me], &token, sizeof(token)) == sizeof(token)) {
		for (i = 0; i < PAGES; i++)
			token.wrong += *cell(i) != id * 100 + i;
		token.turns++;
		if (write(out[me + 1], &token, sizeof(token)) != sizeof(token))
			break;
	}
	_exit(0);
}

static void spawn(unsigned int me, u64 id)
{
	pid[me] = MUST(fork());
	if (!pid[me])
		live(me, id);
}

/* Nanoseconds a turn. */
static u64 around(unsigned int count, unsigned int rounds)
{
	struct token token = { 0, 0 };
	struct timespec from, to;
	unsigned int i;

	MUST(clock_gettime(CLOCK_MONOTONIC, &from));
	for (i = 0; i < rounds; i++) {
		MUST(write(out[0], &token, sizeof(token)));
		CHECK(read(in[count], &token, sizeof(token)) == sizeof(token), "a broken chain");
	}
	MUST(clock_gettime(CLOCK_MONOTONIC, &to));
	CHECK(token.turns == (u64)count * rounds && !token.wrong, "%llu turns, %llu wrong cells",
	      (unsigned long long)token.turns, (unsigned long long)token.wrong);
	return ((to.tv_sec - from.tv_sec) * 1000000000ull + to.tv_nsec - from.tv_nsec) /
	       count / rounds;
}

static u64 turns_among(unsigned int count)
{
	unsigned int i, k;
	u64 id = 1, ns;
	int p[2];

	for (i = 0; i <= count; i++) {
		MUST(pipe(p));
		in[i] = p[0];
		out[i] = p[1];
	}
	for (i = 0; i < count; i++)
		spawn(i, id++);
	around(count, 2);
	ns = around(count, ROUNDS);
	/* One dies, another begins with its frames; those about it go on. */
	for (k = 0; k < DEATHS; k++) {
		i = k * 37 % count;
		MUST(kill(pid[i], SIGKILL));
		MUST(waitpid(pid[i], NULL, 0));
		spawn(i, id++);
		if (k % 8 == 7)
			around(count, 1);
	}
	around(count, 1);
	for (i = 0; i < count; i++)
		MUST(kill(pid[i], SIGKILL));
	for (i = 0; i < count; i++)
		MUST(waitpid(pid[i], NULL, 0));
	for (i = 0; i <= count; i++) {
		close(in[i]);
		close(out[i]);
	}
	say("among %u: %u deaths", count, DEATHS);
	return ns;
}

int test_roots(void)
{
	struct rlimit files = { 3 * MOST, 3 * MOST };
	const char *roots = getenv("ROOTS");
	unsigned int many = roots ? atoi(roots) : 180;
	u64 few_ns, many_ns;

	CHECK(many >= FEW && many <= MOST, "ROOTS: %u to %u", FEW, MOST);
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	few_ns = turns_among(FEW);
	many_ns = turns_among(many);
	fprintf(stderr, "roots: a switch among %u takes %llu ns, among %u %llu\n", FEW,
		(unsigned long long)few_ns, many, (unsigned long long)many_ns);
	return 0;
}
