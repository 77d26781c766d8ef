/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest tests share. Each test prints a transcript in which nothing
 * depends on the machine: it is to be the same, byte for byte, on bare metal
 * and on machine tables. A failed check prints a line and ends the program.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE	4096ul
#define HUGE	(2ul << 20)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
/* Where tests put their memory; addresses are part of what is compared. */
#define ARENA	((char *)0x100000000000ul)

typedef uint64_t u64;
typedef uint32_t u32;

/* --scale: how many times as long as in a short run. */
extern unsigned int scale;

/* A line of the transcript, one write(2). */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
#define CHECK(cond, ...) do { if (!(cond)) die(__VA_ARGS__); } while (0)
/* A system call that has to work. */
#define MUST(expr) must((long)(expr), #expr, __LINE__)
long must(long result, const char *what, int line);

/* xorshift; the seed is the test's, --seed. */
void seed_random(u64 seed);
u64 rnd(void);
unsigned int below(unsigned int n);

/* Memory at a fixed place (or anywhere with NULL); prot read-write. */
char *map_anon(char *at, size_t bytes, int flags);
/* A file without a name on tmpfs. */
int temp_file(size_t bytes);

/* Whole pages that say whose they are, and that zram can compress. Stamp 0: zeros. */
void fill(void *page, u64 stamp);
bool holds(const void *page, u64 stamp);
u64 checksum(const void *from, size_t bytes);

/* A child asks for so much memory, and gives it back. */
void press(unsigned int mib);

/* Waits for a child that has to end with status 0. */
void reap(pid_t pid);
/* The contents of a small file of /proc or /sys. */
void read_file(const char *path, char *buf, size_t size);
bool write_file(const char *path, const char *text);
/* Sum of "KEY: N kB" of the mappings of @pid within [from, from + bytes). */
unsigned long smaps_kb(pid_t pid, const void *from, size_t bytes, const char *key);

/* A fault caught in user space. */
struct caught {
	int sig, code;
	u64 addr, error, trap, cr2, rcx, rip;
};
/* Runs @access(arg); whether it faulted, and how. */
bool catches(void (*access)(void *arg), void *arg, struct caught *caught);
bool can_read(const void *p);
bool can_write(void *p);	/* writes back what is there */

/* Asks the agent to run a hook (see lab/guest-sync); false outside the lab. */
bool lab_sync(const char *name);

int test_ad(void);
int test_bpf(void);
int test_cow(void);
int test_cpuid(void);
int test_debug(void);
int test_devmem(void);
int test_edges(void);
int test_faults(void);
int test_free(void);
int test_hidden(void);
int test_idt(void);
int test_hugeswap(void);
int test_ints(void);
int test_mix(void);
int test_procs(void);
int test_profile(void);
int test_ptrace(void);
int test_roots(void);
int test_shm(void);
int test_storm(void);
int test_swap(void);
int test_thp(void);
int test_timer(void);
int test_uffd(void);

#endif /* GUEST_H */
