// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on anonymous memory.
 *
 * Page i of a mapping holds mark_of(seed, i) in its first word and zeros
 * elsewhere; whoever reads back checks both.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "probe.h"

/* Seeds of rounds are small; this keeps the second writer's words apart. */
#define SECOND_WRITER	0x80000000u

static uint64_t mark_of(unsigned int seed, unsigned long i)
{
	return ((uint64_t)seed << 32) + i + 1;
}

static char *map_pages(struct bench_run *run)
{
	char *base = mmap(NULL, run->n * BENCH_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED) {
		bench_errno(run, "mmap of %lu pages", run->n);
		return NULL;
	}
	/* EINVAL: this kernel has no huge pages to be refused. */
	if (madvise(base, run->n * BENCH_PAGE, MADV_NOHUGEPAGE) && errno != EINVAL) {
		bench_errno(run, "madvise");
		munmap(base, run->n * BENCH_PAGE);
		return NULL;
	}
	return base;
}

static int unmap_pages(struct bench_run *run, char *base)
{
	if (munmap(base, run->n * BENCH_PAGE))
		return bench_errno(run, "munmap of %lu pages", run->n);
	return 0;
}

static noinline void write_pages(char *base, unsigned long n, unsigned int seed)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		uint64_t *page = (void *)(base + i * BENCH_PAGE);

		WRITE_ONCE(*page, mark_of(seed, i));
	}
}

/* One word in the middle, or each one, has to be zero still. */
static int check_rest(struct bench_run *run, const uint64_t *page, unsigned long i)
{
	unsigned long words = BENCH_PAGE / sizeof(*page), w = words / 2;
	unsigned long step = w;

	if (run->deep) {
		w = 1;
		step = 1;
	}
	for (; w < words; w += step)
		if (page[w])
			return bench_wrong(run, "page %lu, byte %lu holds %#llx, not 0", i,
					   w * sizeof(*page), (unsigned long long)page[w]);
	return 0;
}

static int check_pages(struct bench_run *run, const char *base, unsigned int seed)
{
	unsigned long i;

	for (i = 0; i < run->n; i++) {
		const uint64_t *page = (const void *)(base + i * BENCH_PAGE);
		uint64_t got = READ_ONCE(*page);

		if (got != mark_of(seed, i))
			return bench_wrong(run, "page %lu holds %#llx, not %#llx", i,
					   (unsigned long long)got,
					   (unsigned long long)mark_of(seed, i));
		if (check_rest(run, page, i))
			return -1;
		bench_fold(run, got);
	}
	return 0;
}

/* All pages, or the first, the last and a few between. */
static unsigned long probe_step(const struct bench_run *run)
{
	return run->deep || run->n < 8 ? 1 : (run->n - 1) / 7;
}

static int check_unmapped(struct bench_run *run, char *base)
{
	unsigned long i, step = probe_step(run);
	struct probe probe;
	int ret = 0;

	if (probe_open(&probe))
		return bench_errno(run, "pipe");
	for (i = 0; i < run->n && !ret; i += step) {
		char *page = base + i * BENCH_PAGE;

		if (probe_user_can_read(page))
			ret = bench_wrong(run, "page %lu is unmapped: the program read it", i);
		else if (probe_kernel_can_read(&probe, page))
			ret = bench_wrong(run, "page %lu is unmapped: the kernel read it", i);
	}
	probe_close(&probe);
	return ret;
}

/* The byte probed is the page's last, a zero, should the probe succeed. */
static int probe_readonly(struct bench_run *run, char *base)
{
	unsigned long i, step = probe_step(run);
	struct probe probe;
	int ret = 0;

	if (probe_open(&probe))
		return bench_errno(run, "pipe");
	for (i = 0; i < run->n && !ret; i += step) {
		char *last = base + (i + 1) * BENCH_PAGE - 1;

		if (probe_user_can_write(last))
			ret = bench_wrong(run, "page %lu is read-only: the program wrote to it", i);
		else if (probe_kernel_can_write(&probe, last))
			ret = bench_wrong(run, "page %lu is read-only: the kernel wrote to it", i);
		else if (!probe_user_can_read(last))
			ret = bench_wrong(run, "page %lu cannot be read after mprotect", i);
	}
	probe_close(&probe);
	return ret;
}

static int check_readonly(struct bench_run *run, char *base)
{
	size_t len = run->n * BENCH_PAGE;

	if (mprotect(base, len, PROT_READ))
		return bench_errno(run, "mprotect read-only");
	if (probe_readonly(run, base))
		return -1;
	if (mprotect(base, len, PROT_READ | PROT_WRITE))
		return bench_errno(run, "mprotect read-write");
	return 0;
}

/* First touch: the mapping is new, so each write takes a fault. */
int bench_op_touch(struct bench_run *run)
{
	char *base = map_pages(run);
	int ret;

	if (!base)
		return -1;
	measure_begin(&run->m);
	write_pages(base, run->n, run->seed);
	ret = bench_end(run);
	if (!ret)
		ret = check_pages(run, base, run->seed);
	if (unmap_pages(run, base))
		return -1;
	return ret;
}

static int protect_and_write(struct bench_run *run, char *base)
{
	size_t len = run->n * BENCH_PAGE;
	int to_ro, to_rw;

	measure_begin(&run->m);
	to_ro = mprotect(base, len, PROT_READ);
	to_rw = mprotect(base, len, PROT_READ | PROT_WRITE);
	if (!to_ro && !to_rw)
		write_pages(base, run->n, run->seed | SECOND_WRITER);
	if (bench_end(run))
		return -1;
	if (to_ro || to_rw)
		return bench_errno(run, "mprotect");
	return check_pages(run, base, run->seed | SECOND_WRITER);
}

/*
 * Since Linux 6.1 the second mprotect makes private pages writable at once and
 * the write takes no fault; before, it does. So all three are timed together.
 */
int bench_op_protect(struct bench_run *run)
{
	char *base = map_pages(run);
	int ret;

	if (!base)
		return -1;
	write_pages(base, run->n, run->seed);
	ret = protect_and_write(run, base);
	if (!ret)
		ret = check_readonly(run, base);
	if (!ret)
		ret = check_pages(run, base, run->seed | SECOND_WRITER);
	if (unmap_pages(run, base))
		return -1;
	return ret;
}

int bench_op_munmap(struct bench_run *run)
{
	char *base = map_pages(run);
	int ret;

	if (!base)
		return -1;
	write_pages(base, run->n, run->seed);
	if (check_pages(run, base, run->seed)) {
		munmap(base, run->n * BENCH_PAGE);
		return -1;
	}
	measure_begin(&run->m);
	ret = munmap(base, run->n * BENCH_PAGE);
	if (bench_end(run))
		return -1;
	if (ret)
		return bench_errno(run, "munmap of %lu pages", run->n);
	return check_unmapped(run, base);
}

/*
 * The child holds on to the pages, stopped: so it cannot run within the
 * parent's timed stretch. Woken, it checks that it still sees the old words.
 */
static void __noreturn cow_child(struct bench_run *run, const char *base)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	raise(SIGSTOP);
	_exit(check_pages(run, base, run->seed) ? 1 : 0);
}

static int cow_write(struct bench_run *run, char *base, pid_t child)
{
	int status;

	if (waitpid(child, &status, WUNTRACED) != child)
		return bench_errno(run, "waitpid");
	if (!WIFSTOPPED(status))
		return bench_wrong(run, "the child did not stop (wait status %#x)", status);

	measure_begin(&run->m);
	write_pages(base, run->n, run->seed | SECOND_WRITER);
	if (bench_end(run))
		return -1;

	kill(child, SIGCONT);
	if (waitpid(child, &status, 0) != child)
		return bench_errno(run, "waitpid");
	if (status)
		return bench_wrong(run, "the child's pages changed under it (wait status %#x)",
				   status);
	return check_pages(run, base, run->seed | SECOND_WRITER);
}

int bench_op_cow(struct bench_run *run)
{
	char *base = map_pages(run);
	pid_t child;
	int ret;

	if (!base)
		return -1;
	write_pages(base, run->n, run->seed);
	child = fork();
	if (child == 0)
		cow_child(run, base);
	if (child < 0)
		ret = bench_errno(run, "fork");
	else	/* on failure the child ends with us */
		ret = cow_write(run, base, child);
	if (unmap_pages(run, base))
		return -1;
	return ret;
}

/*
 * First accesses by a child: fork gives it entries whose accessed bits are
 * clear. It measures itself, in memory that both have.
 */
static void __noreturn child_reads(struct bench_run *run, const char *base, struct measure *m)
{
	unsigned long i;
	bool known;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	measure_begin(m);
	for (i = 0; i < run->n; i++)
		(void)READ_ONCE(base[i * BENCH_PAGE]);
	known = measure_end(m);
	_exit(!known || check_pages(run, base, run->seed) ? 1 : 0);
}

static int fork_and_measure(struct bench_run *run, const char *base, struct measure *m)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		child_reads(run, base, m);
	if (child < 0)
		return bench_errno(run, "fork");
	if (waitpid(child, &status, 0) != child)
		return bench_errno(run, "waitpid");
	if (status)
		return bench_wrong(run, "the child read something else (wait status %#x)", status);
	run->m = *m;
	return 0;
}

int bench_op_child(struct bench_run *run)
{
	struct measure *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *base;
	int ret;

	if (m == MAP_FAILED)
		return bench_errno(run, "mmap");
	base = map_pages(run);
	if (!base) {
		munmap(m, sizeof(*m));
		return -1;
	}
	write_pages(base, run->n, run->seed);
	ret = fork_and_measure(run, base, m);
	munmap(m, sizeof(*m));
	if (unmap_pages(run, base))
		return -1;
	return ret;
}
