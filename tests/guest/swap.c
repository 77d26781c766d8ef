// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory pressure: lazily freed memory that is taken back, and a working set
 * larger than memory (the caller has made swap space).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "guest.h"

#define FREE_PAGES 4096u

void press(unsigned int mib)
{
	pid_t pid = MUST(fork());
	char *p;
	size_t i;

	if (!pid) {
		p = map_anon(NULL, (size_t)mib << 20, MAP_PRIVATE);
		for (i = 0; i < (size_t)mib << 20; i += PAGE)
			*(u64 *)(p + i) = i + 1;
		for (i = 0; i < (size_t)mib << 20; i += PAGE)
			CHECK(*(u64 *)(p + i) == i + 1, "page %zu under pressure", i / PAGE);
		_exit(0);
	}
	reap(pid);
}

int test_free(void)
{
	char *at = ARENA;
	unsigned int i, round, kept, zeros;
	struct sysinfo info;

	for (round = 0; round < 2 * scale; round++) {
		map_anon(at, FREE_PAGES * PAGE, MAP_PRIVATE);
		MUST(madvise(at, FREE_PAGES * PAGE, MADV_NOHUGEPAGE));
		for (i = 0; i < FREE_PAGES; i++)
			fill(at + i * PAGE, i + 1);
		MUST(madvise(at, FREE_PAGES * PAGE, MADV_FREE));
		/* A third is written again and is to stay, a third is read. */
		for (i = 0; i < FREE_PAGES; i += 3)
			fill(at + i * PAGE, i + 70000);
		for (i = 1; i < FREE_PAGES; i += 3)
			CHECK(holds(at + i * PAGE, i + 1) || holds(at + i * PAGE, 0), "page %u", i);
		MUST(sysinfo(&info));
		press((info.freeram * info.mem_unit >> 20) + 10);
		for (i = 0, kept = zeros = 0; i < FREE_PAGES; i++) {
			if (i % 3 == 0) {
				CHECK(holds(at + i * PAGE, i + 70000), "page %u was lost", i);
				continue;
			}
			kept += holds(at + i * PAGE, i + 1);
			zeros += holds(at + i * PAGE, 0);
		}
		CHECK(kept + zeros == FREE_PAGES - (FREE_PAGES + 2) / 3,
		      "of the pages freed, %u kept, %u zeros", kept, zeros);
		fprintf(stderr, "free: %u kept, %u taken back\n", kept, zeros);
		say("free %u: %s", round, zeros ? "some taken back" : "none taken back");
	}
	MUST(munmap(at, FREE_PAGES * PAGE));
	return 0;
}

static void verify(const u64 *stamp, unsigned int i)
{
	CHECK(holds(ARENA + i * PAGE, stamp[i]), "page %u did not come back from swap", i);
}

int test_swap(void)
{
	unsigned int i, k, pages;
	struct sysinfo info;
	u64 *stamp, sum = 0;
	pid_t pid;

	MUST(sysinfo(&info));
	CHECK(info.totalswap, "no swap space");
	pages = info.totalram * info.mem_unit / PAGE * 5 / 4;
	stamp = calloc(pages, sizeof(*stamp));
	map_anon(ARENA, pages * PAGE, MAP_PRIVATE | MAP_NORESERVE);
	for (i = 0; i < pages; i++) {
		stamp[i] = rnd() | 1;
		fill(ARENA + i * PAGE, stamp[i]);
	}
	for (k = 0; k < 2000 * scale; k++) {
		i = below(pages);
		verify(stamp, i);
		if (k & 1) {
			stamp[i] = rnd() | 1;
			fill(ARENA + i * PAGE, stamp[i]);
		}
	}
	/* A child shares what is swapped out, and writes some of it. */
	pid = MUST(fork());
	for (k = 0; k < 800; k++) {
		i = below(pages);
		verify(stamp, i);
		if (!pid)
			fill(ARENA + i * PAGE, (stamp[i] = 5));
	}
	if (!pid)
		_exit(0);
	reap(pid);
	for (i = 0; i < pages; i++) {
		verify(stamp, i);
		sum = sum * 31 + stamp[i];
	}
	MUST(sysinfo(&info));
	CHECK(info.freeswap < info.totalswap, "nothing was swapped out");
	say("swap: %s", "all came back");
	fprintf(stderr, "swap: %u pages, %lu MiB of swap in use, sum %016llx\n", pages,
		(info.totalswap - info.freeswap) * info.mem_unit >> 20, (unsigned long long)sum);
	MUST(munmap(ARENA, pages * PAGE));
	free(stamp);
	return 0;
}
