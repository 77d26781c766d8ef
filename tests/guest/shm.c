// SPDX-License-Identifier: GPL-2.0-only
/* Memory shared by processes, of a file and of none; holes punched into it. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	128u
#define WORKERS	6u
#define ADDS	400u

/* Word 0 of each page counts everybody's additions, word 1 + w those of w. */
static _Atomic u64 *word(char *base, unsigned int page, unsigned int w)
{
	return (_Atomic u64 *)(base + page * PAGE) + w;
}

/* Half of the workers use a mapping of their own, at an address of its own. */
static void work(char *base, int fd, unsigned int w)
{
	unsigned int i, at;

	seed_random(w + 1);
	if (fd >= 0 && w & 1) {
		base = mmap(ARENA + (w + 1) * HUGE, PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0);
		CHECK(base != MAP_FAILED, "mmap");
	}
	for (i = 0; i < ADDS * scale; i++) {
		at = below(PAGES);
		atomic_fetch_add(word(base, at, 0), i);
		atomic_fetch_add(word(base, at, 1 + w), i);
		if (i % 61 == 0)
			MUST(mprotect(base, PAGES * PAGE, PROT_READ));
		if (i % 61 == 1 || i % 61 == 0)
			MUST(mprotect(base, PAGES * PAGE, PROT_READ | PROT_WRITE));
		if (i % 97 == 0)
			MUST(madvise(base, PAGES * PAGE, MADV_DONTNEED));
		if (i % 113 == 0)
			MUST(msync(base, PAGES * PAGE, MS_SYNC));
	}
	_exit(0);
}

static void share(const char *name, char *base, int fd)
{
	pid_t pid[WORKERS];
	unsigned int w, i;
	u64 sum, total = 0, want = (u64)ADDS * scale * (ADDS * scale - 1) / 2;

	for (w = 0; w < WORKERS; w++) {
		pid[w] = MUST(fork());
		if (!pid[w])
			work(base, fd, w);
	}
	for (w = 0; w < WORKERS; w++)
		reap(pid[w]);
	for (i = 0; i < PAGES; i++) {
		for (sum = 0, w = 0; w < WORKERS; w++)
			sum += *word(base, i, 1 + w);
		CHECK(sum == *word(base, i, 0), "%s: page %u: parts do not add up", name, i);
		total += sum;
	}
	CHECK(total == want * WORKERS, "%s: %llu added, %llu found", name,
	      (unsigned long long)want * WORKERS, (unsigned long long)total);
	say("%s: %016llx", name, (unsigned long long)checksum(base, PAGES * PAGE));
}

static void holes(char *base, int fd)
{
	char buf[PAGE];
	unsigned int i;

	for (i = 0; i < PAGES; i += 3)
		MUST(madvise(base + i * PAGE, PAGE, MADV_REMOVE));
	for (i = 0; i < PAGES; i++)
		CHECK(holds(base + i * PAGE, 0) == (i % 3 == 0), "page %u, some removed", i);
	for (i = 0; i < PAGES; i++) {
		fill(buf, i + 7);
		MUST(pwrite(fd, buf, PAGE, i * PAGE));
		CHECK(holds(base + i * PAGE, i + 7), "page %u written through the file", i);
		fill(base + i * PAGE, i + 9);
		MUST(pread(fd, buf, PAGE, i * PAGE));
		CHECK(holds(buf, i + 9), "page %u read through the file", i);
	}
	MUST(ftruncate(fd, PAGES / 2 * PAGE));
	for (i = 0; i < PAGES; i += 7)
		CHECK(can_read(base + i * PAGE) == (i < PAGES / 2), "page %u after truncation", i);
	MUST(ftruncate(fd, PAGES * PAGE));
	for (i = 0; i < PAGES; i++)
		CHECK(holds(base + i * PAGE, i < PAGES / 2 ? i + 9 : 0), "page %u regrown", i);
}

int test_shm(void)
{
	unsigned int round;
	char *base;
	int fd;

	for (round = 0; round < 2; round++) {
		base = map_anon(ARENA, PAGES * PAGE, MAP_SHARED);
		share("anonymous", base, -1);
		MUST(munmap(base, PAGES * PAGE));
		fd = temp_file(PAGES * PAGE);
		base = mmap(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    fd, 0);
		CHECK(base == ARENA, "mmap: %s", strerror(errno));
		share("file", base, fd);
		holes(base, fd);
		MUST(munmap(base, PAGES * PAGE));
		close(fd);
	}
	return 0;
}
