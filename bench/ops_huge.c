// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages of anonymous memory, which the kernel gives when they are first
 * written (Documentation/admin-guide/mm/transhuge.rst).
 */
#include <stdio.h>
#include <sys/mman.h>

#include "bench.h"

#define HUGE		(2ul << 20)

/* @mapped: what munmap() takes. Where huge pages can be is from the result on. */
static char *map_huge(struct bench_run *run, char **mapped)
{
	char *base;

	*mapped = mmap(NULL, (run->n + 1) * HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*mapped == MAP_FAILED) {
		bench_errno(run, "mmap of %lu huge pages", run->n + 1);
		return NULL;
	}
	base = (char *)(((unsigned long)*mapped + HUGE - 1) & ~(HUGE - 1));
	if (madvise(base, run->n * HUGE, MADV_HUGEPAGE)) {
		bench_errno(run, "madvise(MADV_HUGEPAGE)");
		munmap(*mapped, (run->n + 1) * HUGE);
		return NULL;
	}
	return base;
}

static noinline void write_each(struct bench_run *run, char *base)
{
	unsigned long i;

	for (i = 0; i < run->n; i++)
		WRITE_ONCE(*(unsigned long *)(base + i * HUGE), run->seed + i + 1);
}

static int check_each(struct bench_run *run, const char *base)
{
	unsigned long i, word;

	for (i = 0; i < run->n; i++) {
		word = READ_ONCE(*(const unsigned long *)(base + i * HUGE));
		if (word != run->seed + i + 1)
			return bench_wrong(run, "huge page %lu: word %#lx", i, word);
		word = READ_ONCE(*(const unsigned long *)(base + (i + 1) * HUGE - 8));
		if (word)
			return bench_wrong(run, "huge page %lu: last word %#lx", i, word);
		run->sum = run->sum * 31 + i;
	}
	return 0;
}

/* The mapping that begins at @base has its huge pages. */
static int check_huge(struct bench_run *run, const char *base)
{
	unsigned long start, end, kib = 0;
	char line[256];
	bool here = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		return bench_errno(run, "/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			here = start == (unsigned long)base;
		if (here && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
			break;
	}
	fclose(f);
	if (kib == run->n * (HUGE >> 10))
		return 0;
	return bench_wrong(run, "%lu KiB are in huge pages (/sys/kernel/mm/transparent_hugepage)",
			   kib);
}

int bench_op_huge(struct bench_run *run)
{
	char *mapped, *base = map_huge(run, &mapped);
	int ret;

	if (!base)
		return -1;
	write_each(run, base);
	ret = check_each(run, base) || check_huge(run, base);
	munmap(mapped, (run->n + 1) * HUGE);
	if (ret)
		return -1;
	base = map_huge(run, &mapped);
	if (!base)
		return -1;
	measure_begin(&run->m);
	write_each(run, base);
	ret = munmap(mapped, (run->n + 1) * HUGE);
	if (bench_end(run))
		return -1;
	return ret ? bench_errno(run, "munmap of huge pages") : 0;
}
