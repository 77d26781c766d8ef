/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What minivm's tests are made of, and the tests. Each has a VM of its own.
 */
#ifndef MINIVM_TEST_H
#define MINIVM_TEST_H

#include "minivm.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

extern struct vm *vm;			/* of the test that runs */
extern unsigned int passed, failed;
extern long pins_of_others;		/* before that VM was made */

__attribute__((format(printf, 2, 3)))
bool check(bool good, const char *format, ...);
void pause_ms(unsigned int ms);
long long now_ns(void);
/* The mode that VMs are to be engaged in: "engaged" or "on", by $MODE. */
const char *vm_mode(void);
bool is_spliced(void);

bool is_long(void);			/* SCALE=2 or more */
bool sysfs(const char *path, const char *value);
long sysfs_number(const char *path);
long host_vmstat(const char *name);
long locked_kib(void);
long pins(void);
bool pins_left(void);

bool is_state(const char *state);
bool engage(void);
void guest_goes_on(const char *after);
void nothing_left(const char *after);
void ends(const char *what, const char *reason, void (*act)(void));
void stays(const char *what, void (*act)(void));
void refuses(const char *what, const char *reason);
void no_act(void);

/* minivm_memory.c: slots, and the memory behind them. */
void other_mem_make(void);
void slot_add(void);
void slot_del(void);
void discard(void);
void test_slots(void);
void test_work(void);
void test_tables(void);
void test_dirty_log(void);
void test_memory(void);
void test_numa(void);
void test_ksm(void);

/* minivm_cpu.c: what the vCPU does. */
void test_registers(void);
void test_lidt(void);
void test_interrupts(void);
void test_modes(void);
void test_smm(void);
void test_nested(void);
void test_vcpus(void);

/* minivm_rights.c: what the VM's maker may. */
void test_trust(void);
void test_memlock(void);
void test_lockdown(void);

#endif /* MINIVM_TEST_H */
