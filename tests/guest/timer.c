// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations that make dense use of page tables, while a timer interrupts them
 * at irregular moments: perf's cpu-clock, whose samples say where. Each must be
 * at code that the kernel knows as its own, and every page keeps its contents.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES		64u
#define RING_PAGES	64u
#define RET		0xc3
/* Nanoseconds: what a sample takes, some 20000 instructions, and time to get on. */
#define PERIOD_MIN	100000u
#define PERIOD_SPAN	70000u

static char *page(unsigned int i) { return ARENA + i * PAGE; }

/*
 * ---- Samples ----
 */

static struct perf_event_mmap_page *ring;
static int event;
static u64 samples, kernel_samples, lost;

/* Where kernel code may be. */
static struct range { u64 start, end; } text[256];
static unsigned int texts;

static u64 symbol(const char *name)
{
	char line[512], is[256];
	unsigned long long at;
	FILE *f = fopen("/proc/kallsyms", "r");

	CHECK(f, "kallsyms: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %255s", &at, is) == 2 && !strcmp(is, name)) {
			fclose(f);
			return at;
		}
	die("kallsyms: no %s", name);
}

static void find_text(void)
{
	unsigned long long at;
	char line[512];
	unsigned long size;
	FILE *f;

	text[texts++] = (struct range){ symbol("_stext"), symbol("_etext") };
	f = fopen("/proc/modules", "r");
	CHECK(f, "/proc/modules: %s", strerror(errno));
	while (fgets(line, sizeof(line), f) && texts < ARRAY_SIZE(text))
		if (sscanf(line, "%*s %lu %*s %*s %*s %llx", &size, &at) == 2)
			text[texts++] = (struct range){ at, at + size };
	fclose(f);
}

static bool is_text(u64 ip)
{
	unsigned int i;

	for (i = 0; i < texts; i++)
		if (ip - text[i].start < text[i].end - text[i].start)
			return true;
	return false;
}

/* The kernel's part of a callchain, and the place itself. */
static void look_at(const struct perf_event_header *head, const u64 *sample)
{
	u64 ip = sample[0], n = sample[1], i;
	bool kernel = (head->misc & PERF_RECORD_MISC_CPUMODE_MASK) ==
		      PERF_RECORD_MISC_KERNEL;

	samples++;
	if (kernel) {
		kernel_samples++;
		CHECK(is_text(ip), "a sample at 0x%llx, which is no code of the kernel's",
		      (unsigned long long)ip);
	} else {
		CHECK(!(ip >> 63), "a sample of user space at 0x%llx", (unsigned long long)ip);
	}
	for (i = 0; i < n; i++) {
		ip = sample[2 + i];
		if (ip == (u64)PERF_CONTEXT_USER)
			break;
		if (ip < (u64)PERF_CONTEXT_MAX && ip >> 63)
			CHECK(is_text(ip), "a call from 0x%llx, which is no code of the kernel's",
			      (unsigned long long)ip);
	}
}

static void copy_out(void *to, u64 at, size_t bytes)
{
	const char *data = (const char *)ring + PAGE;
	size_t i;

	for (i = 0; i < bytes; i++)
		((char *)to)[i] = data[(at + i) % (RING_PAGES * PAGE)];
}

static void drain(void)
{
	u64 head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	u64 tail = ring->data_tail;
	static union { struct perf_event_header head; u64 words[2048]; } record;

	while (tail < head) {
		copy_out(&record, tail, sizeof(record.head));
		CHECK(record.head.size <= sizeof(record) && record.head.size, "a record of %u bytes",
		      record.head.size);
		copy_out(&record, tail, record.head.size);
		if (record.head.type == PERF_RECORD_SAMPLE)
			look_at(&record.head, record.words + 1);
		else if (record.head.type == PERF_RECORD_LOST)
			lost += record.words[2];
		tail += record.head.size;
	}
	__atomic_store_n(&ring->data_tail, tail, __ATOMIC_RELEASE);
}

static void start_timer(bool callchains)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_MIN,
		/* Without call chains a sample is cheaper, and there are more. */
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_kernel = !callchains,
		.exclude_callchain_user = 1,
	};

	/* Or it would slow down a timer that takes much of the time. */
	write_file("/proc/sys/kernel/perf_cpu_time_max_percent", "0");
	/* All that the CPU does, children and kernel threads as well. */
	event = MUST(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
	ring = mmap(NULL, (RING_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
	CHECK(ring != MAP_FAILED, "perf's ring: %s", strerror(errno));
}

/* The period is never the same, so that it is in step with no loop. */
static void shake(void)
{
	u64 period = PERIOD_MIN + below(PERIOD_SPAN);

	MUST(ioctl(event, PERF_EVENT_IOC_PERIOD, &period));
}

static void stop_timer(void)
{
	MUST(ioctl(event, PERF_EVENT_IOC_DISABLE, 0));
	drain();
	munmap(ring, (RING_PAGES + 1) * PAGE);
	close(event);
}

/*
 * ---- Operations: each ends as it began, with PAGES pages of ARENA filled ----
 */

static u64 stamp;

/* As fill() does, but only what verify() looks at: what is to be interrupted is elsewhere. */
static void stamp_page(char *p, u64 with)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		((volatile u64 *)p)[i] = with * 0x100000001b3ull + i;
	p[PAGE - 1] = (char)RET;
}

static void fresh(int flags)
{
	unsigned int i;

	map_anon(ARENA, PAGES * PAGE, flags);
	MUST(madvise(ARENA, PAGES * PAGE, MADV_NOHUGEPAGE));
	stamp = rnd() | 1;
	for (i = 0; i < PAGES; i++)
		stamp_page(page(i), stamp + i);
}

/* One word of each page at the least, all of one of them. */
static void verify(const char *op, const char *at)
{
	unsigned int i, whole = below(PAGES);
	char last;

	for (i = 0; i < PAGES; i++)
		CHECK(*(volatile u64 *)(at + i * PAGE) == (stamp + i) * 0x100000001b3ull,
		      "%s: page %u", op, i);
	last = at[whole * PAGE + PAGE - 1];
	CHECK(last == (char)RET, "%s: the end of page %u", op, whole);
	CHECK(!memcmp(at + whole * PAGE + 8, &(u64){ (stamp + whole) * 0x100000001b3ull + 1 }, 8),
	      "%s: page %u", op, whole);
}

static void op_move(void)
{
	char *there = ARENA + (1ul << 30);
	unsigned int i;

	for (i = 0; i < 16; i++) {
		CHECK(mremap(ARENA, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     there) == there, "mremap");
		verify("move", there);
		CHECK(mremap(there, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     ARENA) == ARENA, "mremap back");
	}
	verify("moved back", ARENA);
}

static void op_protect(void)
{
	unsigned int i, j;

	for (i = 0; i < 16; i++) {
		MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ));
		verify("protect", ARENA);
		MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		for (j = 0; j < PAGES; j++)
			++*(volatile u64 *)page(j);
		MUST(mprotect(ARENA, PAGES * PAGE, PROT_NONE));
		MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		for (j = 0; j < PAGES; j++)
			--*(volatile u64 *)page(j);
	}
	verify("protected", ARENA);
}

/* Accessed is cleared; then each kind of access finds it so. */
static void op_cold(void)
{
	unsigned int i, j;

	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	for (i = 0; i < 24; i++) {
		MUST(madvise(ARENA, PAGES * PAGE, MADV_COLD));
		for (j = 0; j < PAGES; j++)
			if (i % 3 == 0)
				(void)*(volatile char *)page(j);
			else if (i % 3 == 1)
				page(j)[PAGE - 1] = (char)RET;
			else
				((void (*)(void))(page(j) + PAGE - 1))();
	}
	verify("cold", ARENA);
}

/* The zero page, then nothing, then memory: no page is there twice. */
static void op_zero(void)
{
	char *at = ARENA + (2ul << 30);
	unsigned int i, j;

	map_anon(at, PAGES * PAGE, MAP_PRIVATE);
	MUST(madvise(at, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < 4; i++) {
		for (j = 0; j < PAGES; j++)
			CHECK(!*(volatile u64 *)(at + j * PAGE + 8 * i), "zero: page %u", j);
		MUST(madvise(at, PAGES * PAGE, MADV_DONTNEED));
	}
	for (j = 0; j < PAGES; j++)
		*(volatile u64 *)(at + j * PAGE) = (stamp + j) * 0x100000001b3ull;
	for (j = 0; j < PAGES; j++)
		CHECK(*(volatile u64 *)(at + j * PAGE) == (stamp + j) * 0x100000001b3ull,
		      "new: page %u", j);
	MUST(munmap(at, PAGES * PAGE));
}

/* A page of a file comes and goes without being cleared or copied. */
static void op_shared(void)
{
	char *at = ARENA + (3ul << 30);
	int fd = temp_file(PAGES * PAGE);
	unsigned int i, j;

	CHECK(mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at,
	      "mmap of the file");
	for (i = 0; i < 12; i++) {
		for (j = 0; j < PAGES; j++)
			if (i % 3)
				CHECK(*(volatile u64 *)(at + j * PAGE) == stamp + j + i - 1,
				      "shared: page %u", j);
		for (j = 0; j < PAGES; j++)
			*(volatile u64 *)(at + j * PAGE) = stamp + j + i;
		MUST(madvise(at, PAGES * PAGE, MADV_DONTNEED));
	}
	MUST(munmap(at, PAGES * PAGE));
	close(fd);
}

/* Reads first, which are lazy A; then some writes, which are copies. */
static void child(void)
{
	unsigned int j;

	verify("child", ARENA);
	for (j = 0; j < PAGES; j += 8)
		*(volatile u64 *)(page(j) + 64) = 1;
	_exit(0);
}

static void op_fork(void)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		pid = MUST(fork());
		if (!pid)
			child();
		verify("parent", ARENA);
		reap(pid);
		for (unsigned int j = 0; j < PAGES; j++)
			CHECK(*(volatile u64 *)(page(j) + 64) ==
			      (stamp + j) * 0x100000001b3ull + 8, "after fork: page %u", j);
	}
	/* Shared memory: the child finds it clean and old, and may write it. */
	fresh(MAP_SHARED);
	pid = MUST(fork());
	if (!pid) {
		for (i = 0; i < PAGES; i++)
			if (i & 1)
				(void)*(volatile u64 *)page(i);
			else
				page(i)[PAGE - 1] = (char)RET;
		verify("child, shared", ARENA);
		_exit(0);
	}
	reap(pid);
	verify("shared with a child", ARENA);
	fresh(MAP_PRIVATE);
}

static const struct { const char *name; void (*run)(void); } ops[] = {
	{ "move", op_move }, { "protect", op_protect }, { "cold", op_cold },
	{ "protect", op_protect }, { "shared", op_shared }, { "cold", op_cold },
	{ "fork", op_fork }, { "zero", op_zero },
};

static int run(unsigned int rounds, bool callchains)
{
	unsigned int i, op;

	find_text();
	fresh(MAP_PRIVATE);
	start_timer(callchains);
	for (i = 0; i < rounds * scale; i++) {
		op = i % ARRAY_SIZE(ops);
		shake();
		ops[op].run();
		drain();
	}
	stop_timer();
	fprintf(stderr, "timer: %llu samples, %llu of them in the kernel, %llu lost\n",
		(unsigned long long)samples, (unsigned long long)kernel_samples,
		(unsigned long long)lost);
	CHECK(kernel_samples > 2 * rounds, "few samples: %llu",
	      (unsigned long long)kernel_samples);
	return 0;
}

int test_timer(void)
{
	return run(32, false);
}

int test_profile(void)
{
	return run(32, true);
}
