// SPDX-License-Identifier: GPL-2.0-only
/*
 * What minivm's tests are made of.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "minivm_test.h"

unsigned int passed, failed;
struct vm *vm;

bool check(bool good, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf(good ? "PASS " : "FAIL ");
	vprintf(format, args);
	puts("");
	fflush(stdout);
	va_end(args);
	passed += good;
	failed += !good;
	return good;
}

void pause_ms(unsigned int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

bool is_long(void)
{
	const char *word = getenv("SCALE");

	return word && atoi(word) > 1;
}

const char *vm_mode(void)
{
	return getenv("MODE") ?: "engaged";
}

bool is_spliced(void)
{
	char value[8];

	return vm_status(vm, "spliced", value, sizeof(value)) && *value == '1';
}

static const char *splice_refusal(void)
{
	static char value[64];

	return vm_status(vm, "splice_refusal", value, sizeof(value)) ? value : "-";
}

bool is_state(const char *state)
{
	char value[32];

	return vm_status(vm, "state", value, sizeof(value)) && !strcmp(value, state);
}

/* The guest plays five more rounds, all without a mistake. */
void guest_goes_on(const char *after)
{
	uint64_t from = vm->rounds;
	unsigned int i;

	for (i = 0; i < 500 && vm->rounds < from + 5 && !vm->died; i++)
		pause_ms(10);
	check(vm->rounds >= from + 5, "%s: the guest goes on%s%s", after,
	      vm->died ? ": " : "", vm->died ?: "");
	check(!vm->bad, "%s: all that it read was right", after);
}

/* Engage, whatever the back-off says, and see that it holds. */
bool engage(void)
{
	int r = 0, i;

	for (i = 0; i < 20 && !vm->died; i++) {
		r = vm_ctl(vm, "ctl", "engage");
		/* In mode on the handler is spliced at once, or something is wrong. */
		if (!r && is_state("engaged"))
			return is_spliced() == !strcmp(vm_mode(), "on") ||
			       check(false, "engaged in mode %s, spliced: %d (%s)",
				     vm_mode(), is_spliced(), splice_refusal());
		pause_ms(50);
	}
	return check(false, "engaging: %s", strerror(-r));
}

long host_vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char key[64];
	long n = -1, v;

	while (f && fscanf(f, "%63s %ld", key, &v) == 2)
		if (!strcmp(key, name))
			n = v;
	if (f)
		fclose(f);
	return n;
}

long locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

long pins(void)
{
	return host_vmstat("nr_foll_pin_acquired") - host_vmstat("nr_foll_pin_released");
}

long pins_of_others;

/*
 * The kernel's counters lag, and 9p pins a little while it reads; a VM pins
 * GUEST_BYTES. What is left for good is still there some seconds later.
 */
bool pins_left(void)
{
	unsigned int i;

	for (i = 0; i < 500 && labs(pins() - pins_of_others) > 500; i++)
		pause_ms(10);
	return i == 500;
}

/* Nothing is pinned or accounted when not engaged. */
void nothing_left(const char *after)
{
	int r = vm_ctl(vm, "mode", "monitor");

	check(!r && is_state("off"), "%s: mode monitor: off", after);
	check(!pins_left(), "%s: pins left: %ld", after,
	      pins() - pins_of_others);
	check(locked_kib() == 0, "%s: VmLck left: %ld KiB", after, locked_kib());
	vm_ctl(vm, "mode", vm_mode());
}

/* Do @act to the engaged VM; it has to end, with @reason. */
void ends(const char *what, const char *reason, void (*act)(void))
{
	long before;

	if (!engage())
		return;
	before = vm_ended(vm, reason);
	act();
	guest_goes_on(what);
	check(vm_ended(vm, reason) > before, "%s: ended, %s", what, reason);
	nothing_left(what);
}

/* Do @act to the engaged VM, which has to stay so. */
void stays(const char *what, void (*act)(void))
{
	char before[32] = "", after[32] = "";

	if (!engage())
		return;
	vm_status(vm, "disengagements", before, sizeof(before));
	act();
	guest_goes_on(what);
	vm_status(vm, "disengagements", after, sizeof(after));
	check(!strcmp(before, after) && is_state("engaged"), "%s: stays engaged",
	      what);
}

void no_act(void) { }

/* While the vCPU is as @job makes it, engaging is refused with @reason. */
void refuses(const char *what, const char *reason)
{
	long before = vm_ended(vm, reason);
	int r = vm_ctl(vm, "ctl", "engage");

	check(r == -EAGAIN, "%s: refused: %s", what, strerror(-r));
	check(vm_ended(vm, reason) > before, "%s: reason %s", what, reason);
}

bool sysfs(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, value, strlen(value)) > 0;

	if (fd >= 0)
		close(fd);
	return good;
}

long sysfs_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

