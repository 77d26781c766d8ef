// SPDX-License-Identifier: GPL-2.0-only
/* dmp-guest: runs one test, or several one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "guest.h"

unsigned int scale = 1;

static const struct test {
	const char *name;
	int (*run)(void);
	const char *what;
} tests[] = {
	{ "ad", test_ad, "accessed and dirty, seen through clear_refs, smaps and pagemap" },
	{ "free", test_free, "MADV_FREE, with memory asked back" },
	{ "faults", test_faults, "the kernel's own fault counts for a fixed load" },
	{ "edges", test_edges, "error codes of faults; system calls at the edge of memory" },
	{ "ints", test_ints, "INT3 and INT n in every spelling" },
	{ "cpuid", test_cpuid, "CPUID in several spellings, single steps over it" },
	{ "cow", test_cow, "copy on write by user and kernel" },
	{ "storm", test_storm, "storms of fork, vfork and exec" },
	{ "procs", test_procs, "clone, threads, exec from a thread, orphans, OOM kills" },
	{ "roots", test_roots, "more address spaces in turn than a hypervisor likes" },
	{ "mix", test_mix, "mmap, mremap, mprotect, madvise at random against a model" },
	{ "shm", test_shm, "shared memory between processes" },
	{ "thp", test_thp, "huge pages made, split and collapsed" },
	{ "uffd", test_uffd, "userfaultfd: missing pages and write protection" },
	{ "ptrace", test_ptrace, "another process's text and data written" },
	{ "devmem", test_devmem, "device memory mapped by user space" },
	{ "bpf", test_bpf, "vmalloc, kernel text that is made and freed" },
	{ "hugeswap", test_hugeswap, "huge pages swapped out and in" },
	{ "swap", test_swap, "a working set larger than memory" },
	{ "timer", test_timer, "page tables changed while a fast timer interrupts" },
	{ "profile", test_profile, "likewise, with the kernel's call chains sampled" },
	{ "debug", test_debug, "breakpoints in the kernel, single steps" },
	{ "idt", test_idt, "another IDT loaded, with the module dmp_idt" },
	{ "hidden", test_hidden, "steady touch, protect, munmap between marks" },
};

static int help(void)
{
	size_t i;

	fprintf(stderr, "usage: dmp-guest [--seed N] [--scale N] TEST...\n");
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		fprintf(stderr, "  %-8s %s\n", tests[i].name, tests[i].what);
	return 2;
}

static const struct test *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if (!strcmp(tests[i].name, name))
			return &tests[i];
	return NULL;
}

/* Addresses are to be the same from run to run: once more without ASLR. */
static void fix_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now & ADDR_NO_RANDOMIZE)
		return;
	MUST(personality(now | ADDR_NO_RANDOMIZE));
	MUST(execv("/proc/self/exe", argv));
}

int main(int argc, char **argv)
{
	u64 seed = 1;
	int i = 1, r = 0;

	fix_addresses(argv);
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--scale"))
			scale = atoi(argv[i + 1]);
		else
			return help();
	}
	if (i < argc && !strcmp(argv[i], "true"))
		return 0;
	if (i >= argc || !scale)
		return help();
	for (; i < argc && !r; i++) {
		const struct test *t = find(argv[i]);

		if (!t)
			return help();
		say("== %s --seed %llu --scale %u", t->name, (unsigned long long)seed, scale);
		seed_random(seed);
		r = t->run();
		say("== %s ends with %d", t->name, r);
	}
	return r;
}
