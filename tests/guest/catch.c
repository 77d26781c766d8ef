// SPDX-License-Identifier: GPL-2.0-only
/* Faults that user space catches: what the kernel was told by the CPU. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "guest.h"

static sigjmp_buf back;
static bool armed;
static volatile struct caught last;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	last.sig = sig;
	last.code = info->si_code;
	last.addr = (u64)info->si_addr;
	last.error = regs[REG_ERR];
	last.trap = regs[REG_TRAPNO];
	last.cr2 = regs[REG_CR2];
	last.rcx = regs[REG_RCX];
	last.rip = regs[REG_RIP];
	if (!armed)
		die("signal %d at 0x%llx, address 0x%llx", sig, (unsigned long long)last.rip,
		    (unsigned long long)last.addr);
	armed = false;
	siglongjmp(back, 1);
}

static void set_up(void)
{
	static bool done;
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char stack[32768];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	if (done)
		return;
	MUST(sigaltstack(&ss, NULL));
	MUST(sigaction(SIGSEGV, &sa, NULL));
	MUST(sigaction(SIGILL, &sa, NULL));
	MUST(sigaction(SIGBUS, &sa, NULL));
	MUST(sigaction(SIGTRAP, &sa, NULL));
	done = true;
}

bool catches(void (*access)(void *arg), void *arg, struct caught *caught)
{
	set_up();
	if (sigsetjmp(back, 1)) {
		if (caught)
			*caught = *(struct caught *)&last;
		return true;
	}
	armed = true;
	access(arg);
	armed = false;
	return false;
}

static void read_it(void *arg)
{
	(void)*(volatile char *)arg;
}

static void write_it(void *arg)
{
	volatile char *p = arg;
	char c = *p;

	*p = c;
}

bool can_read(const void *p)
{
	return !catches(read_it, (void *)p, NULL);
}

bool can_write(void *p)
{
	return !catches(write_it, p, NULL);
}
