// SPDX-License-Identifier: GPL-2.0-only
/* A steady load between marks, for hooks that look at the hypervisor's counts. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"

#define PAGES	4096u

static void touch(char *p)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		*(volatile u64 *)(p + i * PAGE) = i + 1;
}

static void verify(const char *p)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		CHECK(*(const volatile u64 *)(p + i * PAGE) == i + 1, "page %u", i);
}

static void fresh(char *p)
{
	map_anon(p, PAGES * PAGE, MAP_PRIVATE);
	MUST(madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE));
}

static void protect(char *p)
{
	MUST(mprotect(p, PAGES * PAGE, PROT_READ));
	verify(p);
	MUST(mprotect(p, PAGES * PAGE, PROT_READ | PROT_WRITE));
	touch(p);
}

static void mark(const char *what, const char *when)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%s", what, when);
	lab_sync(name);		/* no hooks where there is no hypervisor */
}

int test_hidden(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {	/* once to warm up, marks and all */
		fresh(ARENA);
		mark("touch", "begins");
		touch(ARENA);
		mark("touch", "ends");
		verify(ARENA);
		mark("protect", "begins");
		protect(ARENA);
		protect(ARENA);
		mark("protect", "ends");
		mark("munmap", "begins");
		MUST(munmap(ARENA, PAGES * PAGE));
		mark("munmap", "ends");
	}
	say("hidden: done");
	return 0;
}
