// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that are the guest's own, with every bit the CPU reports about them,
 * and system calls whose memory ends in the middle.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static void do_read(void *p) { (void)*(volatile u64 *)p; }
static void do_write(void *p) { *(volatile u64 *)p = 7; }
static void do_fetch(void *p) { ((void (*)(void))((char *)p + 512))(); }
static void do_call(void *p) { ((time_t (*)(time_t *))p)(NULL); }
/*
 * Read first: without, emulators differ in whether the fault on a locked
 * instruction says that it was a write.
 */
static void do_xadd(void *p)
{
	(void)*(volatile u64 *)p;
	asm volatile("lock xaddq %0, %1" : : "r"(1ul), "m"(*(volatile u64 *)p) : "memory");
}
static void do_push(void *p)
{
	asm volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tpushq $5\n\tmovq %%rbx, %%rsp"
		     : : "r"((char *)p + 8) : "rbx", "memory");
}
static void do_rep(void *p)	/* 200 bytes of which the page may hold fewer */
{
	asm volatile("rep stosb" : : "D"((char *)p - 40), "c"(200ul), "a"(0x5a) : "memory");
}
static void do_movs(void *p)
{
	char from[256] = { 1, 2, 3 };

	asm volatile("rep movsq" : : "S"(from), "D"((char *)p - 64), "c"(20ul) : "memory");
}
static void do_straddle(void *p) { *(volatile u64 *)((char *)p - 3) = -1ull; }
static void do_xmm(void *p)
{
	asm volatile("movups %%xmm0, (%0)" : : "r"((char *)p - 9) : "memory");
}

static const struct { const char *name; void (*run)(void *p); } accesses[] = {
	{ "read", do_read }, { "write", do_write }, { "fetch", do_fetch }, { "xadd", do_xadd },
	{ "push", do_push }, { "rep stosb", do_rep }, { "rep movsq", do_movs },
	{ "straddle", do_straddle }, { "movups", do_xmm },
};

/* Each place is a page at ARENA + i * 16 pages, with a writable one before it. */
enum place { NONE, NOACCESS, RDONLY, RW, NX, EXEC_ONLY, PAST_END, ZERO, PLACES };
static const char * const place_name[] = {
	"unmapped", "none", "read-only", "read-write", "no-exec", "exec-only", "past the end",
	"zero page"
};

static char *place_at(enum place place) { return ARENA + place * 16 * PAGE; }

static void make_places(void)
{
	static const int prot[] = {
		0, PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE | PROT_EXEC,
		PROT_READ | PROT_WRITE, PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
		PROT_READ | PROT_EXEC
	};
	int fd = temp_file(PAGE), i;
	char *p;

	for (i = 0; i < PLACES; i++) {
		p = place_at(i);
		map_anon(p - PAGE, 2 * PAGE, MAP_PRIVATE);
		if (i == PAST_END)
			CHECK(mmap(p, PAGE, prot[i], MAP_SHARED | MAP_FIXED, fd, PAGE) == p,
			      "mmap past the end");
		else if (i != ZERO)
			memset(p - PAGE, 0xc3, 2 * PAGE);
		MUST(mprotect(p - PAGE, PAGE, PROT_READ | PROT_WRITE));
		MUST(mprotect(p, PAGE, prot[i]));
		if (i == NONE)
			MUST(munmap(p, PAGE));
	}
	close(fd);
}

static void report(const char *who, const char *where, void (*access)(void *), void *p)
{
	struct caught c = { 0 };

	if (!catches(access, p, &c)) {
		say("%s, %s: done", who, where);
		return;
	}
	say("%s, %s: signal %d code %d addr 0x%llx trap %llu error 0x%llx cr2 0x%llx rcx %llu",
	    who, where, c.sig, c.code, (unsigned long long)c.addr, (unsigned long long)c.trap,
	    (unsigned long long)c.error, (unsigned long long)c.cr2,
	    access == do_rep || access == do_movs ? (unsigned long long)c.rcx : 0);
}

static void user_faults(void)
{
	size_t a;
	int i;

	for (a = 0; a < ARRAY_SIZE(accesses); a++)
		for (i = 0; i < PLACES; i++)
			if (i != ZERO || accesses[a].run != do_fetch)
				report(accesses[a].name, place_name[i], accesses[a].run,
				       place_at(i));
	for (i = 0; i < PLACES; i++)
		say("before %s: %016llx", place_name[i],
		    (unsigned long long)checksum(place_at(i) - PAGE, PAGE));
}

static void kernel_addresses(void)
{
	static const struct { const char *name; u64 at; } at[] = {
		{ "guard hole", 0xffff800000001000 }, { "non-canonical", 0x8000000000000000 },
		{ "vsyscall", 0xffffffffff600000 }, { "end of all", 0xfffffffffffffff0 },
		{ "null", 0 }, { "low", 0x1000 }, { "end of user", 0x7ffffffff000 },
	};
	static const struct { const char *name; void (*run)(void *p); } how[] = {
		{ "read", do_read }, { "write", do_write }, { "fetch", do_fetch },
	};
	size_t i, a;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		for (a = 0; a < 3; a++)
			if (at[i].at != 0xffffffffff600000 || how[a].run != do_fetch)
				report(how[a].name, at[i].name, how[a].run,
				       (void *)(at[i].at - (how[a].run == do_fetch ? 512 : 0)));
	/* The kernel may emulate such calls, on a fault on a fetch. */
	for (i = 0; i < 5; i++)
		report("time()", "vsyscall", do_call, (void *)0xffffffffff600400);
}

static void result(const char *what, const char *where, long r)
{
	say("%s, %s: %ld %s", what, where, r, r < 0 ? strerrorname_np(errno) : "");
}

/* A buffer of 100 bytes, 60 of them before the place. */
static void kernel_faults(int place)
{
	const char *where = place_name[place];
	char *p = place_at(place), *buf = p - 60;
	int pipes[2], pair[2], fd = temp_file(2 * PAGE);
	struct iovec iov[3] = { { p - 200, 50 }, { buf, 100 }, { p - 100, 20 } };

	MUST(pipe2(pipes, O_NONBLOCK));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	result("write", where, write(pipes[1], buf, 100));
	MUST(write(pipes[1], place_at(RW), 200));
	result("read", where, read(pipes[0], buf, 100));
	result("pread", where, pread(fd, buf, 100, 0));
	result("pwrite", where, pwrite(fd, buf, 100, 0));
	result("readv", where, preadv(fd, iov, 3, 10));
	result("writev", where, pwritev(fd, iov, 3, 10));
	result("send", where, send(pair[0], buf, 100, 0));
	MUST(send(pair[0], place_at(RW), 100, 0));
	result("recv", where, recv(pair[1], buf, 100, 0));
	result("getcwd", where, syscall(SYS_getcwd, p, 100));
	result("uname", where, syscall(SYS_uname, p - 10));
	result("open", where, syscall(SYS_open, p, O_RDONLY));
	result("clock_gettime", where, syscall(SYS_clock_gettime, CLOCK_REALTIME, p - 8));
	result("futex", where, syscall(SYS_futex, p, 1, 1, NULL, NULL, 0));
	result("sigaction", where, syscall(SYS_rt_sigaction, SIGUSR1, NULL, p - 8, 8));
	result("pipe", where, syscall(SYS_pipe, p - 4));
	close(pipes[0]);
	close(pipes[1]);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

int test_edges(void)
{
	unsigned int n;
	int i;

	for (n = 0; n < 3 * scale; n++) {
		make_places();
		user_faults();
		kernel_addresses();
		for (i = 0; i < PLACES; i++)
			kernel_faults(i);
		MUST(munmap(ARENA - PAGE, PLACES * 16 * PAGE));
	}
	return 0;
}
