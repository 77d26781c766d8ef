// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accessed and dirty. A child accesses its memory in every way there is, the
 * parent clears what the kernel can clear and prints what the kernel sees.
 * They are two processes: each turn is a CR3 load, so no TLB entry hides an
 * access on the machine we are compared with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	48
#define RET	0xc3		/* an instruction */
enum op { READ, WRITE, FETCH, OUT, IN, FREE, COLD, DONTNEED, RO, RW, FORK, END };

struct request { enum op what; unsigned int first, count; };

struct region {
	const char *name;
	char *at;
	size_t pages;		/* of those used, and how far they are apart */
	size_t stride;
	size_t bytes;
};

/* A child of the child's touches the memory it shares. */
static void fork_and_touch(char *p)
{
	pid_t pid = MUST(fork());

	if (!pid) {
		(void)*(volatile char *)p;
		((volatile char *)p)[9] = 9;
		_exit(0);
	}
	reap(pid);
}

/* The page still holds the code that FETCH runs. */
static bool has_code[PAGES];

static void page_op(enum op op, unsigned int i, char *p, const int *pipes)
{
	char buf[8];

	if (op == FETCH && !has_code[i])
		op = READ;
	switch (op) {
	case READ:
		(void)*(volatile char *)p;
		break;
	case WRITE:
		++*(volatile char *)(p + 1);
		p[64] = (char)RET;
		has_code[i] = true;
		break;
	case FETCH:	/* a ret is there */
		((void (*)(void))(p + 64))();
		break;
	case OUT:
		MUST(write(pipes[1], p + 8, 8));
		MUST(read(pipes[0], buf, 8));
		break;
	case IN:
		MUST(write(pipes[1], "kernels", 8));
		MUST(read(pipes[0], p + 16, 8));
		break;
	case FORK:
		fork_and_touch(p);
		break;
	default:
		break;
	}
}

static void range_op(const struct region *r, const struct request *q)
{
	char *from = r->at + q->first * r->stride;
	size_t bytes = q->count * PAGE;

	switch (q->what) {
	case FREE:
		memset(has_code + q->first, 0, q->count);
		madvise(from, bytes, MADV_FREE);	/* refused for shared memory */
		break;
	case COLD:
		MUST(madvise(from, bytes, MADV_COLD));
		break;
	case DONTNEED:
		memset(has_code + q->first, 0, q->count);
		MUST(madvise(from, bytes, MADV_DONTNEED));
		break;
	case RO:
		MUST(mprotect(from, bytes, PROT_READ | PROT_EXEC));
		break;
	case RW:
		MUST(mprotect(r->at, r->bytes, PROT_READ | PROT_WRITE | PROT_EXEC));
		break;
	default:
		break;
	}
}

static void prepare(const struct region *r)
{
	size_t i;

	for (i = 0; i < r->pages; i++) {
		fill(r->at + i * r->stride, i + 1);
		r->at[i * r->stride + 64] = (char)RET;
		has_code[i] = true;
	}
}

static void __attribute__((noreturn)) subject(const struct region *r, int in, int out)
{
	struct request q;
	unsigned int i;
	int pipes[2];

	MUST(pipe(pipes));
	prepare(r);
	MUST(write(out, "x", 1));
	while (read(in, &q, sizeof(q)) == sizeof(q) && q.what != END) {
		for (i = q.first; i < q.first + q.count; i++)
			page_op(q.what, i, r->at + i * r->stride, pipes);
		range_op(r, &q);
		MUST(write(out, "x", 1));
	}
	_exit(0);
}

/* A digit a page: present, soft-dirty, file or shared, mapped here only. */
static void show_pagemap(pid_t pid, const struct region *r, char *out)
{
	u64 entry;
	char path[64];
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = MUST(open(path, O_RDONLY));
	for (i = 0; i < r->pages; i++) {
		MUST(pread(fd, &entry, 8, (u64)(r->at + i * r->stride) / PAGE * 8));
		*out++ = "0123456789abcdef"[(entry >> 63) | (entry >> 55 & 1) << 1 |
					    (entry >> 61 & 1) << 2 | (entry >> 56 & 1) << 3];
	}
	*out = '\0';
	close(fd);
}

static void show(pid_t pid, const struct region *r, const char *what)
{
	static const char * const keys[] = {
		"Rss", "Referenced", "Private_Clean", "Private_Dirty", "Shared_Clean",
		"Shared_Dirty", "AnonHugePages"
	};
	char line[256], map[PAGES + 1];
	size_t i;
	int n = 0;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		n += snprintf(line + n, sizeof(line) - n, " %lu",
			      smaps_kb(pid, r->at, r->bytes, keys[i]));
	show_pagemap(pid, r, map);
	say("%s:%s %s", what, line, map);
}

static void clear(pid_t pid, const char *how)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	CHECK(write_file(path, how), "clear_refs: %s", strerror(errno));
}

static void choose(struct request *q, size_t pages)
{
	static const enum op often[] = {
		READ, READ, READ, WRITE, WRITE, WRITE, FETCH, OUT, IN, FREE, FREE, COLD,
		DONTNEED, RO, FORK
	};

	q->what = often[below(ARRAY_SIZE(often))];
	q->first = below(pages);
	q->count = 1 + below(pages - q->first < 6 ? pages - q->first : 6);
}

static const char *op_name(enum op op)
{
	static const char * const names[] = {
		"read", "write", "fetch", "out", "in", "free", "cold", "dontneed", "ro", "rw",
		"fork", "end"
	};

	return names[op];
}

static void ask(int out, int in, struct request q)
{
	char c;

	MUST(write(out, &q, sizeof(q)));
	CHECK(read(in, &c, 1) == 1, "the child is gone");
}

static void observe(pid_t pid, const struct region *r, int out, int in)
{
	static const char * const how[] = { "1", "2", "3", "4", "1" };
	unsigned int i, rounds = 100 * scale;
	struct request q;
	char what[64];

	for (i = 0; i < rounds; i++) {
		if (below(4) == 0)
			clear(pid, how[below(5)]);
		choose(&q, r->pages);
		ask(out, in, q);
		snprintf(what, sizeof(what), "%s %u %s %u+%u", r->name, i, op_name(q.what),
			 q.first, q.count);
		show(pid, r, what);
		if (q.what == RO)		/* all later writes are to be allowed again */
			ask(out, in, (struct request){ .what = RW });
	}
}

static void run_region(const struct region *r)
{
	int to[2], from[2];
	struct request end = { .what = END };
	char c;
	pid_t pid;

	MUST(pipe(to));
	MUST(pipe(from));
	pid = MUST(fork());
	if (!pid)
		subject(r, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	MUST(read(from[0], &c, 1));
	show(pid, r, r->name);
	clear(pid, "4");
	clear(pid, "1");
	show(pid, r, "cleared");
	observe(pid, r, to[1], from[0]);
	MUST(write(to[1], &end, sizeof(end)));
	reap(pid);
	close(to[1]);
	close(from[0]);
}

static void run_mapping(const char *name, int flags, int fd, size_t stride)
{
	struct region r = {
		.name = name, .at = ARENA, .stride = stride,
		.pages = stride == PAGE ? PAGES : 8,
	};

	r.bytes = r.pages * stride;
	CHECK(mmap(r.at, r.bytes, PROT_READ | PROT_WRITE | PROT_EXEC, flags | MAP_FIXED, fd,
		   0) == r.at, "mmap: %s", strerror(errno));
	if (stride != PAGE)
		MUST(madvise(r.at, r.bytes, MADV_HUGEPAGE));
	run_region(&r);
	MUST(munmap(r.at, r.bytes));
}

int test_ad(void)
{
	int fd = temp_file(PAGES * PAGE);

	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0");
	MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	run_mapping("anon", MAP_PRIVATE | MAP_ANONYMOUS, -1, PAGE);
	run_mapping("shared", MAP_SHARED | MAP_ANONYMOUS, -1, PAGE);
	run_mapping("file", MAP_SHARED, fd, PAGE);
	run_mapping("private", MAP_PRIVATE, fd, PAGE);
	MUST(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	run_mapping("huge", MAP_PRIVATE | MAP_ANONYMOUS, -1, HUGE);
	return 0;
}
