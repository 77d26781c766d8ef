// SPDX-License-Identifier: GPL-2.0-only
/* How many faults the guest's kernel counts for a load that is always the same. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	512ul

static volatile char sink;

static void touch(char *p, size_t pages, bool write)
{
	size_t i;

	for (i = 0; i < pages; i++)
		if (write)
			((volatile char *)p)[i * PAGE] = 1;
		else
			sink = ((volatile char *)p)[i * PAGE];
}

static void first_write(void) { touch(ARENA, PAGES, true); }
static void again(void) { touch(ARENA, PAGES, true); }
static void zero_page(void) { touch(ARENA + PAGES * PAGE, PAGES, false); }
static void zero_cow(void) { touch(ARENA + PAGES * PAGE, PAGES, true); }

static void protect(void)
{
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ));
	touch(ARENA, PAGES, false);
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE));
	touch(ARENA, PAGES, true);
}

static void drop(void)
{
	MUST(madvise(ARENA, PAGES * PAGE, MADV_DONTNEED));
	touch(ARENA, PAGES, true);
}

static void move(void)
{
	CHECK(mremap(ARENA, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     ARENA + 4 * PAGES * PAGE) != MAP_FAILED, "mremap");
	touch(ARENA + 4 * PAGES * PAGE, PAGES, true);
	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
}

static void with_child(void (*child)(void), void (*parent)(void))
{
	int go[2];
	pid_t pid;
	char c;

	MUST(pipe(go));
	pid = MUST(fork());
	if (!pid) {
		close(go[1]);
		MUST(read(go[0], &c, 1));
		child();
		_exit(0);
	}
	parent();
	close(go[0]);
	close(go[1]);
	reap(pid);
}

static void quarter(void) { touch(ARENA + 4 * PAGES * PAGE, PAGES / 4, true); }
static void half(void) { touch(ARENA + 4 * PAGES * PAGE, PAGES / 2, true); }
static void fork_cow(void) { with_child(quarter, half); }

static int fd;

static char *map_file(int flags)
{
	char *p = mmap(ARENA + 8 * PAGES * PAGE, PAGES * PAGE, PROT_READ | PROT_WRITE,
		       flags | MAP_FIXED, fd, 0);

	CHECK(p != MAP_FAILED, "mmap of the file");
	return p;
}

static void file_read(void) { touch(map_file(MAP_SHARED), PAGES, false); }
static void file_write(void) { touch(map_file(MAP_SHARED), PAGES, true); }
static void private_read(void) { touch(map_file(MAP_PRIVATE), PAGES, false); }
static void private_write(void) { touch(map_file(MAP_PRIVATE), PAGES, true); }

/* read(2) into pages that are not there, and into those of the zero page. */
static void by_kernel(void)
{
	char *p = map_anon(ARENA + 16 * PAGES * PAGE, PAGES * PAGE, MAP_PRIVATE);
	size_t i;

	touch(p, PAGES / 2, false);
	for (i = 0; i < PAGES; i++)
		MUST(pread(fd, p + i * PAGE, 100, i * PAGE));
}

static void __attribute__((noinline)) deep(unsigned int n)
{
	volatile char frame[PAGE];

	frame[0] = n;
	if (n)
		deep(n - 1);
	sink = frame[0];
}
static void stack(void) { deep(300); }

static void heap(void)
{
	char *p = sbrk(PAGES * PAGE);

	touch(p, PAGES, true);
	MUST(brk(p));
}

static void huge(void)
{
	char *p = map_anon(ARENA + (1ul << 30), 4 * HUGE, MAP_PRIVATE);

	MUST(madvise(p, 4 * HUGE, MADV_HUGEPAGE));
	touch(p, 4 * HUGE / PAGE, true);
	MUST(mprotect(p + PAGE, PAGE, PROT_READ));
	MUST(madvise(p + HUGE + 5 * PAGE, PAGE, MADV_DONTNEED));
	touch(p + 2 * PAGE, 4 * HUGE / PAGE - 2, true);
	MUST(munmap(p, 4 * HUGE));
}

static void not_allowed(void)
{
	size_t i;

	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ));
	for (i = 0; i < 64; i++)
		CHECK(!can_write(ARENA + i * PAGE), "a write to read-only memory");
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE));
}

static void exec(void)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 4; i++) {
		pid = MUST(vfork());
		if (!pid) {
			execl("/proc/self/exe", "dmp-guest", "true", NULL);
			_exit(127);
		}
		reap(pid);
	}
}

static const struct { const char *name; void (*run)(void); } steps[] = {
	{ "first write", first_write }, { "again", again }, { "zero page", zero_page },
	{ "zero page written", zero_cow }, { "protect", protect }, { "dontneed", drop },
	{ "mremap", move }, { "fork", fork_cow }, { "file read", file_read },
	{ "file write", file_write }, { "private read", private_read },
	{ "private write", private_write }, { "by the kernel", by_kernel }, { "stack", stack },
	{ "heap", heap }, { "huge", huge }, { "not allowed", not_allowed }, { "exec", exec },
};

static void usage(struct rusage *u)
{
	MUST(getrusage(RUSAGE_SELF, &u[0]));
	MUST(getrusage(RUSAGE_CHILDREN, &u[1]));
}

static void run_steps(void)
{
	struct rusage a[2], b[2];
	size_t i;

	map_anon(ARENA, 2 * PAGES * PAGE, MAP_PRIVATE);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		usage(a);
		steps[i].run();
		usage(b);
		say("%s: self %ld minor %ld major, children %ld minor %ld major", steps[i].name,
		    b[0].ru_minflt - a[0].ru_minflt, b[0].ru_majflt - a[0].ru_majflt,
		    b[1].ru_minflt - a[1].ru_minflt, b[1].ru_majflt - a[1].ru_majflt);
	}
}

int test_faults(void)
{
	unsigned int i;

	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0");
	MUST(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	fd = temp_file(PAGES * PAGE);
	for (i = 0; i < PAGES; i++)
		MUST(pwrite(fd, &i, sizeof(i), i * PAGE));
	for (i = 0; i < 2 * scale; i++)
		run_steps();
	return 0;
}
