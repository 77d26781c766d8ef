// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debugging: breakpoints in the kernel counted over a load that is always the
 * same, watched memory of this process's, and a process stepped over faults and
 * system calls, one instruction at a time.
 *
 * Where kernel breakpoints go is in /job/breakpoints, an address (in hex) a line.
 * In mode on each begins with the VM spliced, which a hook of the lab sees to.
 */
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	48u

static char *page(unsigned int i) { return ARENA + i * PAGE; }

/* Lives until all is copied. */
static int child_main(void *done)
{
	unsigned int i;
	char byte;

	close(((int *)done)[1]);
	CHECK(!read(((int *)done)[0], &byte, 1), "child: the pipe");
	for (i = 0; i < PAGES; i++)
		CHECK(*(volatile u64 *)page(i) == i + 1, "child: page %u", i);
	_exit(0);
}

/*
 * First touches, changes of protection, a child, and all is given back. The
 * child has a stack of its own: of a page that both write, who is first copies
 * it, and the other may not need to.
 */
static void load(void)
{
	static char stack[4 * PAGE] __attribute__((aligned(PAGE)));
	unsigned int i;
	int done[2];
	pid_t pid;

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	MUST(madvise(ARENA, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < PAGES; i++)
		*(volatile u64 *)page(i) = i + 1;
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ));
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE));
	MUST(pipe(done));
	pid = MUST(clone(child_main, stack + sizeof(stack), SIGCHLD, done));
	close(done[0]);
	for (i = 0; i < PAGES; i++)
		CHECK(++*(volatile u64 *)page(i) == i + 2, "page %u", i);
	close(done[1]);
	reap(pid);
	MUST(munmap(ARENA, PAGES * PAGE));
}

static int breakpoint(u64 at, u32 type, unsigned int len)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr), .type = PERF_TYPE_BREAKPOINT,
		.bp_type = type, .bp_addr = at, .bp_len = len,
		.disabled = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static u64 count(int fd, void (*run)(void))
{
	u64 n;

	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	run();
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	CHECK(read(fd, &n, sizeof(n)) == sizeof(n), "perf's counter");
	close(fd);
	return n;
}

static bool is_spliced_mode(void)
{
	const char *mode = getenv("LAB_MODE");

	return mode && !strcmp(mode, "on");
}

static void kernel_breakpoints(void)
{
	FILE *f = fopen("/job/breakpoints", "r");
	unsigned long long at;
	char line[64];
	int fd;

	CHECK(f, "/job/breakpoints: %s", strerror(errno));
	while (fgets(line, sizeof(line), f) && sscanf(line, "%llx", &at) == 1) {
		load();		/* sites come to be spliced, caches are warm */
		CHECK(!is_spliced_mode() || lab_sync("spliced"), "0x%llx: not spliced", at);
		fd = breakpoint(at, HW_BREAKPOINT_X, sizeof(long));
		if (fd < 0) {
			say("0x%llx: %s", at, strerror(errno));
			continue;
		}
		say("0x%llx: %llu", at, (unsigned long long)count(fd, load));
	}
	fclose(f);
}

/*
 * ---- Of this process's ----
 */

static void write_all(void)
{
	unsigned int i;

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	MUST(madvise(ARENA, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < PAGES; i++)
		*(volatile u64 *)page(i) = i;
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ));
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE));
	for (i = 0; i < PAGES; i++)
		++*(volatile u64 *)page(i);
	MUST(munmap(ARENA, PAGES * PAGE));
}

static void watch_own(void)
{
	int data = breakpoint((u64)page(7), HW_BREAKPOINT_W, HW_BREAKPOINT_LEN_8);
	int code = breakpoint((u64)write_all, HW_BREAKPOINT_X, sizeof(long));

	MUST(data);
	MUST(code);
	say("own memory: %llu", (unsigned long long)count(data, write_all));
	say("own code: %llu", (unsigned long long)count(code, write_all));
}

/* Each RIP from one SIGSTOP to the next, as a checksum. */
static void step_through(void)
{
	struct user_regs_struct regs;
	u64 n = 0, sum = 14695981039346656037ull;
	int status;
	pid_t pid = MUST(fork());

	if (!pid) {
		MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		write_all();
		raise(SIGSTOP);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	for (;;) {
		MUST(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		MUST(waitpid(pid, &status, 0));
		CHECK(WIFSTOPPED(status), "the child ended: 0x%x", status);
		if (WSTOPSIG(status) == SIGSTOP)
			break;
		CHECK(WSTOPSIG(status) == SIGTRAP, "signal %d", WSTOPSIG(status));
		MUST(ptrace(PTRACE_GETREGS, pid, 0, &regs));
		CHECK(!(regs.rip >> 63), "a step ends at 0x%llx", regs.rip);
		sum = (sum ^ regs.rip) * 1099511628211ull;
		n++;
	}
	MUST(ptrace(PTRACE_CONT, pid, 0, 0));
	reap(pid);
	say("steps: %llu, %016llx", (unsigned long long)n, (unsigned long long)sum);
}

int test_debug(void)
{
	unsigned int i;

	for (i = 0; i < scale; i++) {
		step_through();
		watch_own();
		kernel_breakpoints();
		step_through();
	}
	return 0;
}
