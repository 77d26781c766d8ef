// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages swapped out, asked for and under memory pressure, and back in as
 * small ones (the caller has made swap space, on a device that takes whole
 * clusters).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "guest.h"

#define HUGES	4u
#define PAGES	(HUGES * 512)
/* The guest is small: not each can always be had. */
#define ENOUGH	(HUGES * 3 / 4)
#define TRIES	20u
#define MADV_COLLAPSE_ 25

static u64 stamp[PAGES];
static char *page(unsigned int i) { return ARENA + i * PAGE; }

static void write_some(unsigned int first, unsigned int step)
{
	unsigned int i;

	for (i = first; i < PAGES; i += step) {
		stamp[i] = rnd() | 1;
		fill(page(i), stamp[i]);
	}
}

static void verify(const char *what)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), stamp[i]), "%s: page %u", what, i);
}

static u64 vm_event(const char *name)
{
	static char buf[1 << 16];
	size_t len = strlen(name);
	char *line;

	read_file("/proc/vmstat", buf, sizeof(buf));
	for (line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoull(line + len, NULL, 10);
	die("no %s in /proc/vmstat", name);
}

static unsigned long huge(void)
{
	return smaps_kb(getpid(), ARENA, HUGES * HUGE, "AnonHugePages") / 2048;
}

static unsigned long swapped(void)
{
	return smaps_kb(getpid(), ARENA, HUGES * HUGE, "Swap") / 4;
}

/* All written, and most of it in huge pages. */
static void make(void)
{
	unsigned int i;

	write_file("/proc/sys/vm/drop_caches", "3");
	write_file("/proc/sys/vm/compact_memory", "1");
	map_anon(ARENA, HUGES * HUGE, MAP_PRIVATE);
	MUST(madvise(ARENA, HUGES * HUGE, MADV_HUGEPAGE));
	write_some(0, 1);
	for (i = 0; i < TRIES * HUGES && huge() < HUGES; i++) {
		if (i % HUGES == 0)
			write_file("/proc/sys/vm/compact_memory", "1");
		madvise(ARENA + i % HUGES * HUGE, HUGE, MADV_COLLAPSE_);
	}
	CHECK(huge() >= ENOUGH, "%lu of %u huge pages", huge(), HUGES);
	verify("huge pages");
	say("huge pages: made");
}

static void ask(void)
{
	MUST(madvise(ARENA, HUGES * HUGE, MADV_PAGEOUT));
}

/* As much again as is free, and some, until most of the arena has gone. */
static void push(void)
{
	struct sysinfo info;
	unsigned int i;

	for (i = 0; i < 30 && swapped() < ENOUGH * 512; i++) {
		MUST(sysinfo(&info));
		press((info.freeram * info.mem_unit >> 20) + 8 + 4 * i);
	}
}

/* Written while half of it is out; what is shared with a child, too. */
static void come_back(void)
{
	pid_t pid;

	verify("swapped in");
	write_some(3, 5);
	ask();
	pid = MUST(fork());
	write_some(pid ? 0 : 1, 7);
	verify(pid ? "parent" : "child");
	if (!pid)
		_exit(0);
	reap(pid);
	verify("swapped in, shared");
}

static void once(const char *what, void (*out)(void), u64 least)
{
	u64 pages, wholes;
	unsigned long n, gone;

	make();
	pages = vm_event("pswpout");
	wholes = vm_event("thp_swpout");
	n = huge();
	out();
	gone = swapped();
	pages = vm_event("pswpout") - pages;
	wholes = vm_event("thp_swpout") - wholes;
	fprintf(stderr, "hugeswap: %s: of %lu huge pages %llu went whole; %lu pages out, %llu written\n",
		what, n, (unsigned long long)wholes, gone, (unsigned long long)pages);
	CHECK(wholes >= least, "%s: of %lu huge pages %llu went whole, not %llu", what, n,
	      (unsigned long long)wholes, (unsigned long long)least);
	CHECK(pages >= gone && gone >= ENOUGH * 512, "%s: %lu pages out, %llu written", what,
	      gone, (unsigned long long)pages);
	CHECK(huge() < n, "%s: still %lu of %lu huge pages", what, huge(), n);
	say("%s: swapped out", what);
	come_back();
	say("%s: %016llx", what, (unsigned long long)checksum(ARENA, HUGES * HUGE));
	MUST(munmap(ARENA, HUGES * HUGE));
}

int test_hugeswap(void)
{
	unsigned int i;

	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	write_file("/sys/kernel/mm/transparent_hugepage/defrag", "always");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0");
	for (i = 0; i < 2 * scale; i++) {
		once("asked", ask, ENOUGH);
		once("pressed", push, 1);
	}
	return 0;
}
