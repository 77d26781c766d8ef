// SPDX-License-Identifier: GPL-2.0-only
/* Huge pages: made, written, split in every way, collapsed again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "guest.h"

#define HUGES	6u
#define PAGES	(HUGES * 512)
#define MADV_COLLAPSE_ 25

static u64 stamp[PAGES];
static char *page(unsigned int i) { return ARENA + i * PAGE; }

static void verify(const char *what)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), stamp[i]), "%s: page %u", what, i);
	say("%s: %lu resident, %016llx", what,
	    smaps_kb(getpid(), ARENA, HUGES * HUGE, "Rss") / 4,
	    (unsigned long long)checksum(ARENA, HUGES * HUGE));
}

/* Only of a whole arena: khugepaged mends a split one when it likes. */
static void verify_huge(const char *what)
{
	verify(what);
	say("%s: %lu huge", what,
	    smaps_kb(getpid(), ARENA, HUGES * HUGE, "AnonHugePages") / 2048);
}

static void rewrite(unsigned int first, unsigned int n, unsigned int step)
{
	unsigned int i;

	for (i = first; i < first + n; i += step) {
		stamp[i] = rnd() | 1;
		fill(page(i), stamp[i]);
	}
}

static void collapse(void)
{
	unsigned int i;

	for (i = 0; i < HUGES; i++)
		if (madvise(ARENA + i * HUGE, HUGE, MADV_COLLAPSE_))
			say("not collapsed, %u: %s", i, strerror(errno));
	rewrite(0, PAGES, 5);
	verify_huge("collapsed");
}

static void split_by_protect(void)
{
	MUST(mprotect(page(100), PAGE, PROT_READ));
	CHECK(!can_write(page(100)) && can_write(page(99)) && can_write(page(101)),
	      "rights of a split page");
	MUST(mprotect(ARENA + HUGE, HUGE, PROT_READ));	/* one whole */
	CHECK(!can_write(page(512)) && !can_write(page(1023)), "rights of a huge page");
	MUST(mprotect(ARENA, HUGES * HUGE, PROT_READ | PROT_WRITE));
	rewrite(0, PAGES, 7);
	verify("split by mprotect");
}

static void split_by_dontneed(void)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		MUST(madvise(page(1030 + i * 3), PAGE, MADV_DONTNEED));
		stamp[1030 + i * 3] = 0;
	}
	verify("split by dontneed");
}

static void split_by_munmap(void)
{
	MUST(munmap(page(1600), 3 * PAGE));
	CHECK(!can_read(page(1600)) && can_read(page(1603)), "rights after munmap");
	map_anon(page(1600), 3 * PAGE, MAP_PRIVATE);
	memset(&stamp[1600], 0, 3 * sizeof(u64));
	MUST(madvise(ARENA, HUGES * HUGE, MADV_HUGEPAGE));
	verify("split by munmap");
}

static void split_by_fork(void)
{
	pid_t pid = MUST(fork());

	if (!pid) {
		rewrite(0, PAGES, 11);
		verify("child");
		_exit(0);
	}
	reap(pid);
	rewrite(2048, 512, 3);
	verify("split by fork");
}

static void move(void)
{
	char *to = ARENA + 64 * HUGE;

	CHECK(mremap(ARENA, HUGES * HUGE, HUGES * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
	      "mremap: %s", strerror(errno));
	CHECK(holds(to + 77 * PAGE, stamp[77]), "moved");
	/* Back, by a page off: no longer huge. */
	CHECK(mremap(to, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, ARENA + PAGE) ==
	      ARENA + PAGE, "mremap: %s", strerror(errno));
	CHECK(holds(ARENA + 78 * PAGE, stamp[77]), "moved off by a page");
	CHECK(mremap(ARENA + PAGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
	      "mremap: %s", strerror(errno));
	CHECK(mremap(to, HUGES * HUGE, HUGES * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, ARENA) ==
	      ARENA || errno == EFAULT, "mremap: %s", strerror(errno));
}

static void once(void)
{
	/* The window of ten: neighbours may not join it. */
	map_anon(ARENA, HUGES * HUGE, MAP_PRIVATE);
	memset(stamp, 0, sizeof(stamp));
	MUST(madvise(ARENA, HUGES * HUGE, MADV_HUGEPAGE));
	rewrite(0, PAGES, 2);
	verify_huge("fresh");
	split_by_protect();
	split_by_dontneed();
	collapse();
	split_by_munmap();
	collapse();
	split_by_fork();
	collapse();
	move();
	MUST(munmap(ARENA, HUGES * HUGE));
	munmap(ARENA + 64 * HUGE, HUGES * HUGE);
}

static void file_huge(void)
{
	int fd = temp_file(2 * HUGE);
	char *p = mmap(ARENA, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	unsigned int i;

	CHECK(p == ARENA, "mmap: %s", strerror(errno));
	for (i = 0; i < 1024; i++)
		fill(page(i), i + 3);
	madvise(p, 2 * HUGE, MADV_COLLAPSE_);
	for (i = 0; i < 1024; i++)
		CHECK(holds(page(i), i + 3), "page %u of a file, collapsed", i);
	MUST(madvise(page(700), PAGE, MADV_REMOVE));
	CHECK(holds(page(700), 0) && holds(page(701), 704), "a hole in a huge page");
	say("file: %016llx", (unsigned long long)checksum(ARENA, 2 * HUGE));
	MUST(munmap(p, 2 * HUGE));
	close(fd);
}

int test_thp(void)
{
	unsigned int i;

	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0");
	/*
	 * khugepaged may join what is all there, when it likes; not fill what
	 * is missing, which would be seen. What is asked for is joined anyway.
	 */
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none", "0");
	for (i = 0; i < 2 * scale; i++) {
		write_file("/sys/kernel/mm/transparent_hugepage/enabled", "always");
		once();
		file_huge();
		write_file("/sys/kernel/mm/transparent_hugepage/enabled", "never");
		once();
		write_file("/sys/kernel/mm/transparent_hugepage/enabled", "always");
	}
	return 0;
}
