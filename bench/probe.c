// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "probe.h"

static sigjmp_buf fault_env;

static void on_fault(int sig)
{
	siglongjmp(fault_env, sig);
}

static int set_handler(void (*handler)(int))
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = handler;
	if (sigaction(SIGSEGV, &sa, NULL) || sigaction(SIGBUS, &sa, NULL))
		return -1;
	return 0;
}

int probe_open(struct probe *p)
{
	if (pipe(p->fd))
		return -1;
	if (write(p->fd[1], "", 1) == 1 && !set_handler(on_fault))
		return 0;
	probe_close(p);
	return -1;
}

void probe_close(struct probe *p)
{
	int saved = errno;

	set_handler(SIG_DFL);
	close(p->fd[0]);
	close(p->fd[1]);
	errno = saved;
}

bool probe_user_can_read(const void *addr)
{
	if (sigsetjmp(fault_env, 1))
		return false;
	(void)READ_ONCE(*(const char *)addr);
	return true;
}

bool probe_user_can_write(void *addr)
{
	if (sigsetjmp(fault_env, 1))
		return false;
	WRITE_ONCE(*(char *)addr, 0);
	return true;
}

bool probe_kernel_can_read(struct probe *p, const void *addr)
{
	char byte;

	if (write(p->fd[1], addr, 1) != 1)
		return false;
	/* Back to one byte, for the next probe. */
	return read(p->fd[0], &byte, 1) == 1;
}

bool probe_kernel_can_write(struct probe *p, void *addr)
{
	if (read(p->fd[0], addr, 1) != 1)
		return false;
	return write(p->fd[1], "", 1) == 1;
}
