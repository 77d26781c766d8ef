/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM of hostile's: one run of one test, in one mode.
 */
#ifndef HOSTILE_VM_H
#define HOSTILE_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "hostile.h"

struct vm {
	int fd, vcpu;
	char *mem;
	struct kvm_run *run;
	int run_bytes;
	char dir[128];			/* .../dmp in debugfs */
	bool on;			/* mode on, else off */
	const char *test;
	uint64_t exits, interrupts;	/* when last asked to count */
	unsigned int seconds;		/* it may take */
	char died[96];			/* why it ended early; "" */
	volatile int wanted;		/* of the thread that engages */
	pthread_t engager, runner;
	volatile bool ended;
	bool interrupting;		/* by .timer: an NMI each time */
	timer_t timer;
	uint64_t nmis;			/* sent */
};

/* What a test does not pass is said by this. */
__attribute__((format(printf, 2, 3)))
bool check(bool good, const char *format, ...);

struct vm *vm_create(bool on);
void vm_destroy(struct vm *vm);

/* Run guest test number @index to its end, or for @seconds. */
void vm_run(struct vm *vm, unsigned int index, uint64_t seed, unsigned int seconds);

static inline struct shared *vm_shared(struct vm *vm)
{
	return (struct shared *)(vm->mem + PA_SHARED);
}

#endif /* HOSTILE_VM_H */
