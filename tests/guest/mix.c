// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address space calls at random, against a model of what each page is to hold
 * and allow.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	2048u		/* 8 MiB: room for huge pages */
#define RUN	700u		/* at most in one call */
#define FILE_PAGES 512u

/* What a page of the window is. */
struct model {
	enum { GONE, ANON, SHARED, PRIVATE } kind;
	int prot;
	u64 stamp;		/* ANON, or PRIVATE that was written */
	bool own;		/* PRIVATE: written, no longer the file's */
	bool either;		/* freed lazily: the stamp or zeros */
	unsigned int file;	/* SHARED, PRIVATE: page of the file */
};

static struct model model[PAGES];
static u64 file_stamp[FILE_PAGES];
static int fd, pipes[2];

static char *page(unsigned int i) { return ARENA + i * PAGE; }

static u64 *stamp_of(unsigned int i)
{
	struct model *m = &model[i];

	if (m->kind == SHARED || (m->kind == PRIVATE && !m->own))
		return &file_stamp[m->file];
	return &m->stamp;
}

static void check_page(const char *op, unsigned int i)
{
	struct model *m = &model[i];

	if (m->either && holds(page(i), 0))
		m->stamp = 0;	/* or not yet: read again next time */
	CHECK(holds(page(i), *stamp_of(i)), "%s: page %u, kind %d, prot %d: 0x%llx, not 0x%llx",
	      op, i, m->kind, m->prot, *(unsigned long long *)page(i),
	      (unsigned long long)*stamp_of(i) * 0x100000001b3ull);
}

static void check_rights(unsigned int i)
{
	const struct model *m = &model[i];

	CHECK(can_read(page(i)) == (m->kind != GONE && m->prot & PROT_READ),
	      "page %u: kind %d, prot %d, and can%s be read", i, m->kind, m->prot,
	      can_read(page(i)) ? "" : "not");
	if (m->kind == PRIVATE || m->either)
		return;		/* the probe is a write */
	CHECK(can_write(page(i)) == (m->kind != GONE && m->prot & PROT_WRITE),
	      "page %u: kind %d, prot %d, and can%s be written", i, m->kind, m->prot,
	      can_write(page(i)) ? "" : "not");
}

static void check_all(const char *op)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (model[i].kind != GONE && model[i].prot & PROT_READ)
			check_page(op, i);
}

static void write_page(unsigned int i, bool by_kernel)
{
	struct model *m = &model[i];
	static char from[PAGE];
	u64 stamp = rnd() | 1;

	if (m->kind == GONE || !(m->prot & PROT_WRITE))
		return;
	if (by_kernel) {
		fill(from, stamp);
		MUST(write(pipes[1], from, PAGE));
		CHECK(read(pipes[0], page(i), PAGE) == (long)PAGE, "a short read to page %u", i);
	} else {
		fill(page(i), stamp);
	}
	m->either = false;
	m->own = m->kind == PRIVATE;
	*stamp_of(i) = stamp;
}

static void op_write(unsigned int first, unsigned int n)
{
	bool by_kernel = below(3) == 0;
	unsigned int i, step = 1 + below(9);

	for (i = first; i < first + n; i += step)
		write_page(i, by_kernel);
}

static void op_read(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = first; i < first + n; i++)
		if (model[i].kind != GONE && model[i].prot & PROT_READ)
			check_page("read", i);
}

static void map(unsigned int first, unsigned int n, int kind, int prot, unsigned int file)
{
	int flags = kind == SHARED ? MAP_SHARED : MAP_PRIVATE;
	unsigned int i;

	CHECK(mmap(page(first), n * PAGE, prot, flags | MAP_FIXED |
		   (kind == ANON ? MAP_ANONYMOUS : 0), kind == ANON ? -1 : fd,
		   kind == ANON ? 0 : file * PAGE) == page(first), "mmap: %s", strerror(errno));
	for (i = 0; i < n; i++)
		model[first + i] = (struct model){ .kind = kind, .prot = prot, .file = file + i };
}

static int some_prot(void)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
		PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_EXEC
	};

	return prots[below(6)];
}

static void op_mmap(unsigned int first, unsigned int n)
{
	map(first, n, ANON, below(4) ? PROT_READ | PROT_WRITE : some_prot(), 0);
}

static void op_mmap_file(unsigned int first, unsigned int n)
{
	n = n < FILE_PAGES ? n : FILE_PAGES;
	map(first, n, below(2) ? SHARED : PRIVATE, PROT_READ | PROT_WRITE,
	    below(FILE_PAGES - n + 1));
}

static void op_munmap(unsigned int first, unsigned int n)
{
	MUST(munmap(page(first), n * PAGE));
	memset(&model[first], 0, n * sizeof(model[0]));
}

/* The longest run from @first, at most @n, that is mapped. */
static unsigned int mapped(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && model[first + i].kind != GONE; i++)
		;
	return i;
}

static void op_mprotect(unsigned int first, unsigned int n)
{
	int prot = some_prot();
	unsigned int i;

	n = mapped(first, n);
	if (!n)
		return;
	MUST(mprotect(page(first), n * PAGE, prot));
	for (i = first; i < first + n; i++)
		model[i].prot = prot;
}

/* The longest run that one mremap may move: one mapping. */
static unsigned int alike(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (model[first + i].kind != model[first].kind ||
		    model[first + i].prot != model[first].prot ||
		    (model[first].kind > ANON &&
		     model[first + i].file != model[first].file + i))
			break;
	return i;
}

static void op_mremap(unsigned int first, unsigned int n)
{
	unsigned int to = below(PAGES);

	n = alike(first, mapped(first, n));
	if (n > PAGES - to)
		n = PAGES - to;
	if (!n || (to < first + n && first < to + n))
		return;
	/* Anonymous neighbours that were moved may be mappings of their own. */
	if (mremap(page(first), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page(to)) ==
	    MAP_FAILED) {
		CHECK(errno == EFAULT, "mremap: %s", strerror(errno));
		/* The target is gone by then. */
		MUST(munmap(page(to), n * PAGE));
		memset(&model[to], 0, n * sizeof(model[0]));
		return;
	}
	memcpy(&model[to], &model[first], n * sizeof(model[0]));
	memset(&model[first], 0, n * sizeof(model[0]));
}

static void op_dontneed(unsigned int first, unsigned int n)
{
	unsigned int i;

	n = mapped(first, n);
	if (!n)
		return;
	MUST(madvise(page(first), n * PAGE, MADV_DONTNEED));
	for (i = first; i < first + n; i++) {
		model[i].stamp = 0;
		model[i].own = model[i].either = false;
	}
}

static void op_free(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && model[first + i].kind == ANON; i++)
		;
	n = i;
	if (!n)
		return;
	MUST(madvise(page(first), n * PAGE, MADV_FREE));
	for (i = first; i < first + n; i++)
		model[i].either = true;
}

static void op_advise(unsigned int first, unsigned int n)
{
	static const int advice[] = {
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED,
		25 /* MADV_COLLAPSE */, 22 /* MADV_POPULATE_READ */, MADV_RANDOM
	};

	n = mapped(first, n);
	if (n)
		madvise(page(first), n * PAGE, advice[below(8)]);
}

static void op_lock(unsigned int first, unsigned int n)
{
	n = mapped(first, n < 64 ? n : 64);
	if (!n)
		return;
	mlock(page(first), n * PAGE);
	MUST(munlock(page(first), n * PAGE));
}

static void op_rights(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = first; i < first + n && i < first + 16; i++)
		check_rights(i);
}

/* What the child does to private memory is not seen here; shared memory is left. */
static void op_fork(unsigned int first, unsigned int n)
{
	unsigned int i;
	pid_t pid = MUST(fork());

	if (!pid) {
		check_all("child");
		for (i = first; i < first + n; i++)
			if (model[i].kind != SHARED)
				write_page(i, i & 1);
		check_all("child, later");
		_exit(0);
	}
	for (i = first; i < first + n; i += 3)
		if (model[i].kind != SHARED && !model[i].either)
			write_page(i, false);
	reap(pid);
}

static const struct { unsigned int weight; void (*run)(unsigned int first, unsigned int n); } ops[] = {
	{ 24, op_write }, { 8, op_read }, { 10, op_mmap }, { 8, op_mmap_file }, { 6, op_munmap },
	{ 14, op_mprotect }, { 10, op_mremap }, { 6, op_dontneed }, { 5, op_free },
	{ 6, op_advise }, { 3, op_lock }, { 8, op_rights }, { 1, op_fork },
};

static unsigned int choose(void)
{
	unsigned int i, total = 0, n;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	n = below(total);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	return i;
}

/* Of what is read the same everywhere: memory freed lazily is not. */
static u64 sum(void)
{
	u64 all = 0;
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (model[i].kind != GONE && model[i].prot & PROT_READ && !model[i].either)
			all = (all ^ checksum(page(i), PAGE)) * 1099511628211ull;
	return all;
}

int test_mix(void)
{
	unsigned int n, first, count, rounds = 600 * scale;

	fd = temp_file(FILE_PAGES * PAGE);
	MUST(pipe(pipes));
	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "always");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "50");
	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	map(0, PAGES, ANON, PROT_READ | PROT_WRITE, 0);
	for (n = 0; n < rounds; n++) {
		first = below(PAGES);
		count = 1 + (below(2) ? below(8) : below(RUN));
		if (count > PAGES - first)
			count = PAGES - first;
		ops[choose()].run(first, count);
		if (n % 100 == 99) {
			check_all("all");
			say("mix %u: %016llx", n, (unsigned long long)sum());
		}
	}
	MUST(munmap(ARENA, PAGES * PAGE));
	memset(model, 0, sizeof(model));
	memset(file_stamp, 0, sizeof(file_stamp));
	close(fd);
	return 0;
}
