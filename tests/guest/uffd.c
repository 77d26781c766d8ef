// SPDX-License-Identifier: GPL-2.0-only
/* userfaultfd: a thread brings the pages, and hears of writes to protected ones. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	256u
#define SOURCE	(ARENA + 32 * HUGE)

static int uffd;
static unsigned int missing, protected_writes, zeroed;
static bool seen_write[PAGES];

static char *page(unsigned int i) { return ARENA + i * PAGE; }

static void bring(unsigned int i)
{
	struct uffdio_copy copy = {
		.dst = (u64)page(i), .src = (u64)SOURCE, .len = PAGE,
		.mode = UFFDIO_COPY_MODE_WP,
	};
	struct uffdio_zeropage zero = { .range = { (u64)page(i), PAGE } };

	missing++;
	if (i % 5 == 0) {
		zeroed++;
		MUST(ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
		return;
	}
	fill(SOURCE, i + 1);
	MUST(ioctl(uffd, UFFDIO_COPY, &copy));
}

static void unprotect(unsigned int i)
{
	struct uffdio_writeprotect wp = { .range = { (u64)page(i), PAGE } };

	CHECK(holds(page(i), i + 1), "page %u was written before it was allowed", i);
	protected_writes++;
	seen_write[i] = true;
	MUST(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
}

static void *handler(void *arg)
{
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		unsigned int i = (msg.arg.pagefault.address - (u64)ARENA) / PAGE;

		CHECK(msg.event == UFFD_EVENT_PAGEFAULT, "event %d", msg.event);
		if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
			unprotect(i);
		else
			bring(i);
	}
	return arg;
}

static void stop(pthread_t thread)
{
	CHECK(!pthread_cancel(thread) && !pthread_join(thread, NULL), "the handler's end");
}

static void register_range(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = {
		.range = { (u64)ARENA, PAGES * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	uffd = MUST(syscall(SYS_userfaultfd, O_CLOEXEC));
	MUST(ioctl(uffd, UFFDIO_API, &api));
	MUST(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

static void load(void)
{
	char buf[16] = "by the kernel";
	unsigned int i, n;
	int pipes[2];

	MUST(pipe(pipes));
	for (n = 0; n < PAGES; n++) {
		i = n * 101 % PAGES;
		if (n % 3 == 0) {		/* the kernel reads it first */
			MUST(write(pipes[1], page(i), 16));
			MUST(read(pipes[0], buf, 16));
		}
		CHECK(holds(page(i), i % 5 ? i + 1 : 0), "page %u as it was brought", i);
	}
	for (n = 0; n < PAGES; n += 2) {
		i = n * 103 % PAGES;
		if (n % 4 == 0) {
			MUST(write(pipes[1], "0123456789abcdef", 16));
			MUST(read(pipes[0], page(i) + 8, 16));
		} else {
			((volatile u64 *)page(i))[1] = 5;
		}
		CHECK(i % 5 == 0 || seen_write[i], "page %u was written unseen", i);
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Protect what is there, as a snapshot does, and write again. */
static void snapshot(void)
{
	struct uffdio_writeprotect wp = {
		.range = { (u64)ARENA, PAGES * PAGE }, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (i % 5)
			fill(page(i), i + 1);
	memset(seen_write, 0, sizeof(seen_write));
	MUST(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	for (i = 0; i < PAGES; i++)
		if (i % 5) {
			fill(page(i), i + 1000);
			CHECK(seen_write[i], "page %u was written unseen", i);
		}
}

int test_uffd(void)
{
	unsigned int round;
	pthread_t thread;

	map_anon(SOURCE, PAGE, MAP_PRIVATE);
	for (round = 0; round < 3 * scale; round++) {
		map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
		missing = protected_writes = zeroed = 0;
		memset(seen_write, 0, sizeof(seen_write));
		register_range();
		CHECK(!pthread_create(&thread, NULL, handler, NULL), "pthread_create");
		load();
		say("%u: %u missing, %u of zeros, %u writes seen", round, missing, zeroed,
		    protected_writes);
		snapshot();
		say("%u: %u writes seen, %016llx", round, protected_writes,
		    (unsigned long long)checksum(ARENA, PAGES * PAGE));
		stop(thread);
		close(uffd);
		MUST(munmap(ARENA, PAGES * PAGE));
	}
	return 0;
}
