// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM gets by the rights of the process that made it, whoever asks for it to
 * be engaged later (here that is root, with all of them).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "minivm_test.h"

#define CAP_NONE	(-1)

/* A process of its own without @cap, and able to lock @limit bytes, does @act. */
static void as_maker(const char *what, int cap, rlim_t limit, void (*act)(void))
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		failed = 0;
		if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ limit, limit }) ||
		    syscall(SYS_capget, &head, data))
			_exit(2);
		if (cap != CAP_NONE)
			data[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
		if (syscall(SYS_capset, &head, data))
			_exit(2);
		vm = vm_create(false);
		if (!vm)
			_exit(2);
		vm_ctl(vm, "mode", vm_mode());
		act();
		_exit(failed != 0);
	}
	waitpid(pid, &status, 0);
	check(!status, "%s: status %#x", what, status);
}

static bool is_refusal(const char *why)
{
	char value[64] = "-";

	vm_status(vm, "splice_refusal", value, sizeof(value));
	return check(!strcmp(value, why), "nothing replaced: %s, to be %s", value, why);
}

static void is_not_trusted(void)
{
	check(!vm_ctl(vm, "ctl", "engage") && is_state("engaged"), "engaged all the same");
	check(!is_spliced(), "not spliced");
	is_refusal("maker-not-privileged");
	guest_goes_on("without CAP_SYS_RAWIO");
}

static void is_trusted(void)
{
	check(engage(), "as in mode %s", vm_mode());
	guest_goes_on("with CAP_SYS_RAWIO");
}

/*
 * Who may not reach the host's memory must not get it by a guest of theirs, though
 * the host trusts the guests of others.
 */
void test_trust(void)
{
	const rlim_t limit = RLIM_INFINITY;

	as_maker("trust: maker without CAP_SYS_RAWIO", CAP_SYS_RAWIO, limit,
		 strcmp(vm_mode(), "on") ? is_trusted : is_not_trusted);
	as_maker("trust: maker with all capabilities", CAP_NONE, limit, is_trusted);
}

static void is_over_limit(void)
{
	int r = vm_ctl(vm, "ctl", "engage");

	check(r == -EAGAIN, "memlock: refused: %s", strerror(-r));
	check(vm_ended(vm, "memlock-limit") > 0, "memlock: and why");
	check(!pins_left() && !locked_kib(), "memlock: %ld pins, %ld KiB locked", pins() -
	      pins_of_others, locked_kib());
	guest_goes_on("over the limit");
}

static void is_within_limit(void)
{
	/* What becomes of the limit later changes nothing. */
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 });
	check(engage(), "memlock: engaged");
	check(locked_kib() >= (long)(GUEST_BYTES >> 10), "memlock: %ld KiB locked",
	      locked_kib());
	guest_goes_on("within the limit");
}

/* Root engages it, which has no limit, but the memory is its maker's. */
void test_memlock(void)
{
	as_maker("memlock: a limit below the guest's memory", CAP_IPC_LOCK,
		 GUEST_BYTES / 2, is_over_limit);
	as_maker("memlock: one above", CAP_IPC_LOCK, GUEST_BYTES * 3, is_within_limit);
	as_maker("memlock: CAP_IPC_LOCK and no limit to speak of", CAP_NONE, 4096,
		 is_within_limit);
}

/*
 * For the rest of the host's life: run alone, and last. Nobody may write to debugfs
 * from then on, so the VM is to engage by itself.
 */
void test_lockdown(void)
{
	unsigned int i;

	/* Trusted in each of the lab's modes: it is to be refused all the same. */
	if (!check(sysfs("/sys/module/kvm/parameters/dmp_trust", "1"), "lockdown: trust") ||
	    !check(sysfs("/sys/kernel/security/lockdown", "integrity"), "lockdown"))
		return;
	for (i = 0; i < 1000 && !is_state("engaged"); i++)
		pause_ms(20);
	check(is_state("engaged"), "lockdown: engages by itself");
	check(!is_spliced(), "lockdown: not spliced");
	is_refusal("host-locked-down");
	guest_goes_on("lockdown");
}
