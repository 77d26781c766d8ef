// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another process's memory written: text that is read-only, data that is still
 * shared after fork, through ptrace and through /proc/PID/mem.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	32u

static char *page(unsigned int i) { return ARENA + i * PAGE; }

static unsigned int calls __attribute__((used));

static void __attribute__((noinline, aligned(64))) stepping_stone(void)
{
	asm volatile("nop; nop; nop; nop" : "+m"(calls));
	calls++;
}

static void tracee(void)
{
	unsigned int i;

	MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	for (i = 0; i < 5; i++)
		stepping_stone();
	CHECK(calls == 5, "%u calls", calls);
	raise(SIGSTOP);
	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), i % 2 ? i + 500 : i + 1), "in the child: page %u", i);
	_exit(0);
}

static int wait_stop(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	CHECK(WIFSTOPPED(status), "status 0x%x", status);
	return WSTOPSIG(status);
}

/* A breakpoint that is hit five times. */
static void breakpoint(pid_t pid)
{
	struct user_regs_struct regs;
	u64 at = (u64)stepping_stone;
	long word, step;
	int i;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at, 0);
	CHECK(!errno, "peek: %s", strerror(errno));
	for (i = 0; i < 5; i++) {
		MUST(ptrace(PTRACE_POKETEXT, pid, at, (word & ~0xffl) | 0xcc));
		CHECK(*(volatile unsigned char *)at != 0xcc, "our own text was written");
		MUST(ptrace(PTRACE_CONT, pid, 0, 0));
		CHECK(wait_stop(pid) == SIGTRAP, "no trap");
		MUST(ptrace(PTRACE_GETREGS, pid, 0, &regs));
		CHECK(regs.rip == at + 1, "trap at 0x%llx", regs.rip);
		regs.rip = at;
		MUST(ptrace(PTRACE_SETREGS, pid, 0, &regs));
		MUST(ptrace(PTRACE_POKETEXT, pid, at, word));
		for (step = 0; step < 2; step++) {
			MUST(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
			CHECK(wait_stop(pid) == SIGTRAP, "no step");
		}
	}
}

static void write_words(pid_t pid, unsigned int i)
{
	u64 buf[PAGE / 8];
	unsigned int k;

	fill(buf, i + 500);
	for (k = 0; k < PAGE / 8; k++)
		MUST(ptrace(PTRACE_POKEDATA, pid, page(i) + k * 8, buf[k]));
}

static void write_mem(pid_t pid, unsigned int i)
{
	char path[64], buf[PAGE];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = MUST(open(path, O_RDWR));
	fill(buf, i + 500);
	CHECK(pwrite(fd, buf, PAGE, (off_t)page(i)) == (long)PAGE, "a short write");
	close(fd);
}

static void write_vm(pid_t pid, unsigned int i)
{
	char buf[PAGE];
	struct iovec from = { buf, PAGE }, to = { page(i), PAGE };

	fill(buf, i + 500);
	/* It does not break read-only mappings open as the others do. */
	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (long)PAGE)
		write_mem(pid, i);
}

static void once(void)
{
	unsigned int i;
	pid_t pid;
	int status;

	calls = 0;
	for (i = 0; i < PAGES; i++)
		fill(page(i), i + 1);
	MUST(mprotect(page(PAGES / 2), PAGES / 2 * PAGE, PROT_READ));
	pid = MUST(fork());
	if (!pid)
		tracee();
	CHECK(wait_stop(pid) == SIGSTOP, "no stop");
	breakpoint(pid);
	MUST(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK(wait_stop(pid) == SIGSTOP, "no second stop");
	for (i = 1; i < PAGES; i += 2)
		(i % 3 == 0 ? write_words : i % 3 == 1 ? write_mem : write_vm)(pid, i);
	for (i = 0; i < PAGES; i++)
		CHECK(holds(page(i), i + 1), "page %u was written here, too", i);
	MUST(ptrace(PTRACE_CONT, pid, 0, 0));
	MUST(waitpid(pid, &status, 0));
	CHECK(status == 0, "status 0x%x", status);
	MUST(mprotect(ARENA, PAGES * PAGE, PROT_READ | PROT_WRITE));
}

int test_ptrace(void)
{
	unsigned int i;

	map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	for (i = 0; i < 4 * scale; i++) {
		once();
		say("ptrace %u: %016llx", i, (unsigned long long)checksum(ARENA, PAGES * PAGE));
	}
	return 0;
}
