// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another IDT, loaded by the module dmp_idt: the #PF handler in it never sees what is
 * no fault of the guest's. A fork's child has pages whose A is clear.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define PAGES	16
#define OF_IT	"/sys/module/dmp_idt/parameters/"

static unsigned long value(const char *path)
{
	char text[32];

	read_file(path, text, sizeof(text));
	return strtoul(text, NULL, 10);
}

static void fetch(const char *at)
{
	char text[32];

	snprintf(text, sizeof(text), "%p", (void *)at);
	CHECK(write_file(OF_IT "fetch", text), "cannot read %s with another IDT", text);
}

int test_idt(void)
{
	char *at = map_anon(ARENA, PAGES * PAGE, MAP_PRIVATE);
	unsigned long before;
	unsigned int round, i;
	pid_t pid;

	for (round = 0; round < 4 * scale; round++) {
		for (i = 0; i < PAGES; i++)
			at[i * PAGE] = (char)i;
		pid = (pid_t)MUST(fork());
		if (!pid) {
			for (i = 0; i < PAGES; i++)
				fetch(at + i * PAGE);
			_exit(0);
		}
		reap(pid);
	}
	before = value(OF_IT "faults");
	CHECK(value(OF_IT "reserved") == 0, "of %lu faults %lu by reserved bits", before,
	      value(OF_IT "reserved"));
	/* What is a fault comes to it. */
	MUST(madvise(at, PAGE, MADV_DONTNEED));
	CHECK(!write_file(OF_IT "fetch", "0x100000000000"), "a page that is not there was read");
	CHECK(value(OF_IT "faults") > before, "and no fault");
	say("%u pages", round * PAGES);
	return 0;
}
