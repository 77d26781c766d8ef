/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asking whether an address may be accessed, by trying it.
 *
 * The user-mode probe takes the fault in user mode (and gets SIGSEGV), the
 * kernel-mode one has the kernel copy a byte (and gets EFAULT): a hypervisor
 * treats the two differently, and either may be fooled by a stale mapping.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <stdbool.h>

struct probe {
	int fd[2];	/* a pipe with one byte in it */
};

/* 0, or -1 and errno. Catches SIGSEGV and SIGBUS until probe_close(). */
int probe_open(struct probe *p);
void probe_close(struct probe *p);

/* A write stores a zero byte where it succeeds. */
bool probe_user_can_read(const void *addr);
bool probe_user_can_write(void *addr);
bool probe_kernel_can_read(struct probe *p, const void *addr);
bool probe_kernel_can_write(struct probe *p, void *addr);

#endif /* BENCH_PROBE_H */
