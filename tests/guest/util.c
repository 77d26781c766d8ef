// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static void put_line(const char *prefix, const char *fmt, va_list args)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", prefix);

	n += vsnprintf(line + n, sizeof(line) - 1 - n, fmt, args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(1, line, n) != n)
		_exit(3);
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line("", fmt, args);
	va_end(args);
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line("FAIL ", fmt, args);
	va_end(args);
	_exit(1);
}

long must(long result, const char *what, int line)
{
	if (result == -1)
		die("line %d: %s: %s", line, what, strerror(errno));
	return result;
}

static u64 state = 88172645463325252ull;

void seed_random(u64 seed)
{
	state = 88172645463325252ull ^ seed * 0x9e3779b97f4a7c15ull;
	if (!state)
		state = 1;
	rnd();
}

u64 rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

unsigned int below(unsigned int n)
{
	return (rnd() >> 20) % n;
}

char *map_anon(char *at, size_t bytes, int flags)
{
	char *p = mmap(at, bytes, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | flags | (at ? MAP_FIXED : 0), -1, 0);

	CHECK(p != MAP_FAILED, "mmap of %zu bytes: %s", bytes, strerror(errno));
	return p;
}

int temp_file(size_t bytes)
{
	int fd = MUST(memfd_create("test", 0));

	MUST(ftruncate(fd, bytes));
	return fd;
}

#define WORDS (PAGE / sizeof(u64))

void fill(void *page, u64 stamp)
{
	u64 *p = page;
	size_t i;

	for (i = 0; i < WORDS; i++)
		p[i] = stamp ? stamp * 0x100000001b3ull + i % 64 : 0;
}

bool holds(const void *page, u64 stamp)
{
	const u64 *p = page;
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (p[i] != (stamp ? stamp * 0x100000001b3ull + i % 64 : 0))
			return false;
	return true;
}

u64 checksum(const void *from, size_t bytes)
{
	const u64 *p = from;
	u64 sum = 14695981039346656037ull;
	size_t i;

	for (i = 0; i < bytes / sizeof(u64); i++)
		sum = (sum ^ p[i]) * 1099511628211ull;
	return sum;
}

void reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	CHECK(status == 0, "child's status 0x%x", status);
}

void read_file(const char *path, char *buf, size_t size)
{
	int fd = MUST(open(path, O_RDONLY));
	size_t got = 0;
	ssize_t n;

	while (got < size - 1) {
		n = MUST(read(fd, buf + got, size - 1 - got));
		if (!n)
			break;
		got += n;
	}
	buf[got] = '\0';
	close(fd);
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

unsigned long smaps_kb(pid_t pid, const void *from, size_t bytes, const char *key)
{
	static char buf[1 << 18];
	unsigned long start, end, lo = (unsigned long)from, sum = 0, kb;
	size_t len = strlen(key);
	bool inside = false;
	char path[64], *line;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	read_file(path, buf, sizeof(buf));
	for (line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start >= lo && end <= lo + bytes;
		else if (inside && !strncmp(line, key, len) && line[len] == ':' &&
			 sscanf(line + len + 1, "%lu", &kb) == 1)
			sum += kb;
	}
	return sum;
}

bool lab_sync(const char *name)
{
	const char *path = getenv("LAB_CTL");
	char answer[80];
	int fd, n;

	if (!path)
		return false;
	fd = MUST(open(path, O_RDWR));
	n = snprintf(answer, sizeof(answer), "sync %s\n", name);
	MUST(write(fd, answer, n));
	n = MUST(read(fd, answer, sizeof(answer) - 1));
	close(fd);
	return n >= 2 && !memcmp(answer, "ok", 2);
}
