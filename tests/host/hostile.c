// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: hostile [TEST...]
 *
 * Guests with odd and hostile code, each run twice, in mode off and in mode on:
 * what a guest notes of its own doing in a log has to be the same, byte for
 * byte; and in mode on sites are spliced before it begins, audits find
 * nothing, and a disengagement has the reason that it should. HOSTILE_SEED is
 * for the random test; HOSTILE_SWEEP a program to be run in mode on when the
 * sweep test begins, goes on (ends with 1 if it need not) and ends: begin, more
 * or end, and the VM's directory in debugfs. Prints PASS and FAIL lines and the
 * summary of tests/lab/lib.sh.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hostile_vm.h"

static unsigned int passed, failed;

bool check(bool good, const char *format, ...)
{
	va_list args;

	/* What passes is counted only: they are many. */
	passed += good;
	failed += !good;
	if (good)
		return true;
	va_start(args, format);
	printf("FAIL ");
	vprintf(format, args);
	puts("");
	fflush(stdout);
	va_end(args);
	return false;
}

/* Order as in hostile_lib.c. */
static const char *const test[] = {
	"jumps", "steps", "rewrite", "whole-page", "own-page", "overlap", "inside", "alias",
	"ordinary", "stores", "reuse", "remap", "addresses-read", "addresses-public",
	"addresses-private", "idt-copy", "idt-gate", "idt-page", "idt-ist",
	"idt-dpl", "soft-int", "stack", "stack-table", "user", "fetches", "user-tables", "control", "flags",
	"handler-odd", "random", "sweep",
};
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static bool is_mark(uint64_t word) { return (word & ~0xffffffffull) == MARK; }

/* From @at to the next mark. */
static void print_words(const char *mode, const uint64_t *log, uint64_t from,
			uint64_t at, uint64_t count)
{
	unsigned int n;

	printf("hostile:   %s +%llu:", mode, (unsigned long long)(at - from));
	for (n = 0; n < 8 && at < count && !is_mark(log[at]); n++, at++)
		printf(" %llx", (unsigned long long)log[at]);
	puts("");
}

static uint64_t next_mark(const uint64_t *log, uint64_t at, uint64_t count)
{
	while (at < count && !is_mark(log[at]))
		at++;
	return at;
}

/* Section by section: each begins with a mark. */
static unsigned int differences(const char *name, const uint64_t *off,
				uint64_t offs, const uint64_t *on, uint64_t ons)
{
	uint64_t a = 0, b = 0, i, from_a, from_b;
	unsigned int n = 0, shown = 0;

	while (a < offs && b < ons) {
		from_a = a;
		from_b = b;
		for (i = 0; a + i < offs && b + i < ons && off[a + i] == on[b + i] &&
			    (!i || !is_mark(off[a + i])); i++)
			;
		if (i && a + i < offs && b + i < ons && is_mark(off[a + i]) &&
		    is_mark(on[b + i])) {
			a += i;
			b += i;
			continue;
		}
		if (a + i == offs && b + i == ons)
			break;
		n++;
		if (shown++ < 12) {
			printf("hostile: %s: differs after mark %x\n", name,
			       (unsigned int)off[from_a]);
			print_words("off", off, from_a, a + i, offs);
			print_words(" on", on, from_b, b + i, ons);
		}
		a = next_mark(off, a + (i ?: 1), offs);
		b = next_mark(on, b + (i ?: 1), ons);
	}
	return n;
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void run_test(unsigned int index, uint64_t seed)
{
	struct vm *off = vm_create(false), *on = vm_create(true);
	/* Ten times what it takes; the sweep's end has a limit of its own. */
	unsigned int n, seconds = getenv("HOSTILE_SWEEP") ? 600 : 60;
	uint64_t offs, ons;
	long long start;

	if (!check(off && on, "%s: VMs", test[index]))
		return;
	off->test = on->test = test[index];
	start = now_ms();
	vm_run(off, index, seed, seconds);
	printf("hostile: %s: mode off: %lld ms\n", test[index], now_ms() - start);
	vm_run(on, index, seed, seconds);
	offs = vm_shared(off)->logged;
	ons = vm_shared(on)->logged;
	check(!*off->died, "%s: mode off: mark %llu: %s", test[index],
	      vm_shared(off)->marks, off->died);
	check(!*on->died, "%s: mode on: mark %llu: %s", test[index],
	      vm_shared(on)->marks, on->died);
	check(offs > 10 && offs < LOG_WORDS, "%s: log of %llu words", test[index],
	      (unsigned long long)offs);
	n = differences(test[index], (void *)(off->mem + PA_LOG), offs,
			(void *)(on->mem + PA_LOG), ons);
	check(!n && offs == ons, "%s: mode on as off: %u sections differ, %llu and %llu words",
	      test[index], n, (unsigned long long)offs, (unsigned long long)ons);
	vm_destroy(off);
	vm_destroy(on);
}

/* Run when named only. */
static const struct {
	const char *name, *why;
} not_default[] = {
	{ "stack-table",
	  "the CPU cannot push the frame of a hidden fault: #DF, which QEMU's TCG does not intercept" },
	{ "sweep", "it is for lab/trigger-sweep" },
};

static bool is_wanted(int argc, char **argv, const char *name)
{
	unsigned int n;
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	for (n = 0; argc == 1 && n < ARRAY_SIZE(not_default); n++) {
		if (strcmp(not_default[n].name, name))
			continue;
		printf("hostile: %s left out: %s\n", name, not_default[n].why);
		return false;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	const char *word = getenv("HOSTILE_SEED");
	uint64_t seed = word ? strtoull(word, NULL, 0) : (uint64_t)time(NULL);
	unsigned int i, was, were;
	long long start;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("hostile: HOSTILE_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < ARRAY_SIZE(test); i++) {
		if (!is_wanted(argc, argv, test[i]))
			continue;
		was = passed;
		were = failed;
		start = now_ms();
		run_test(i, seed | 1);
		printf("%s %s: %u checks, %u failed, %lld ms\n",
		       failed == were ? "PASS" : "hostile:", test[i],
		       passed - was, failed - were, now_ms() - start);
	}
	printf("checks: %u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
