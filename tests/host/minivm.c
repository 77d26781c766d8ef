// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: minivm [TEST...] | lockdown
 *
 * What a program that uses KVM, or the kernel below it, may do to a VM that
 * runs on machine tables: each test does one thing to an engaged VM and looks
 * at what became of the engagement, of the guest's data and of pinned memory.
 * Prints PASS and FAIL lines and the summary of tests/lab/lib.sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_vm.h"
#include "minivm_test.h"

static void test_cycles(void)
{
	long n = is_long() ? 5000 : 800, i, fails = 0;
	long long start;

	sysfs("/sys/module/kvm/parameters/dmp_audit", "50");
	start = now_ns();
	for (i = 0; i < n; i++) {
		fails += vm_ctl(vm, "ctl", "engage") != 0;
		fails += vm_ctl(vm, "ctl", "disengage") != 0;
	}
	check(!fails, "%ld cycles of engage and disengage: %ld failed", n, fails);
	printf("FIGURE a cycle at %llu MiB: %.2f ms\n", GUEST_BYTES >> 20,
	       (now_ns() - start) / 1e6 / n);
	guest_goes_on("cycles");
	check(vm_ended(vm, "broken") == 0, "cycles: no audit found anything");
	nothing_left("cycles");
	sysfs("/sys/module/kvm/parameters/dmp_audit", "0");
}

/*
 * Several threads at once ask for opposite things: each writes a word, then
 * waits up to so many milliseconds.
 */
static const struct {
	const char *file, *word;	/* NULL: changes memory instead */
	unsigned int wait;
} racer[] = {
	{ "ctl", "engage", 1 }, { "ctl", "engage", 10 }, { "ctl", "audit", 20 },
	{ "ctl", "disengage", 300 }, { "mode", "off", 1000 },
	{ "mode", "engaged", 10 }, { "mode", "on", 20 }, { NULL, NULL, 500 },
};
#define RACERS	ARRAY_SIZE(racer)

static volatile bool race_end;

static void *race(void *arg)
{
	unsigned long i = (unsigned long)arg;
	unsigned int seed = 1 + i;

	while (!race_end) {
		if (racer[i].file) {
			vm_ctl(vm, racer[i].file, racer[i].word);
		} else {
			discard();
			slot_add();
			slot_del();
		}
		pause_ms(rand_r(&seed) % racer[i].wait);
	}
	return NULL;
}

static void test_race(void)
{
	pthread_t thread[RACERS];
	char engagements[32] = "";
	unsigned long i;

	other_mem_make();
	race_end = false;
	for (i = 0; i < RACERS; i++)
		pthread_create(&thread[i], NULL, race, (void *)i);
	pause_ms(is_long() ? 60000 : 8000);
	race_end = true;
	for (i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	vm_status(vm, "engagements", engagements, sizeof(engagements));
	vm_ctl(vm, "mode", vm_mode());
	check(atol(engagements) > 5, "race: %s engagements", engagements);
	guest_goes_on("race");
	check(vm_ended(vm, "broken") == 0, "race: nothing broken");
	nothing_left("race");
}

#define FAIL_ALLOC "/sys/module/kvm/parameters/dmp_fail_alloc"

static void test_alloc(void)
{
	char nth[32];
	bool good = true;
	int n, r = -1, i = 0;

	for (n = 1; n < 500 && r && good; n++) {
		snprintf(nth, sizeof(nth), "%d", n);
		sysfs(FAIL_ALLOC, nth);
		r = vm_ctl(vm, "ctl", "engage");
		good = !r || r == -EAGAIN;
		/* The policy may just be trying, too. */
		for (i = 0; r && i < 100 && (pins_left() || locked_kib()); i++)
			pause_ms(10);
		good = good && i < 100;
	}
	sysfs(FAIL_ALLOC, "0");
	check(!r && good, "allocation failures: engaged when number %d was to fail",
	      n - 1);
	check(vm_ended(vm, "no-memory") >= n - 2, "allocation failures: %ld ended",
	      vm_ended(vm, "no-memory"));
	guest_goes_on("allocation failures");
	nothing_left("allocation failures");
}

static void test_modes_loop(void)
{
	static const char * const mode[] = { "off", "monitor", "engaged" };
	unsigned int i, bad = 0;

	for (i = 0; i < 300; i++) {
		bad += vm_ctl(vm, "mode", i % 2 && i * 7 % 3 == 2 ? vm_mode() :
			      mode[i * 7 % 3]) != 0;
		if (i % 10 == 0 && i * 7 % 3 == 2)
			bad += vm_ctl(vm, "ctl", "engage") != 0;
	}
	check(!bad, "mode loop: %u failed", bad);
	guest_goes_on("mode loop");
	vm_ctl(vm, "mode", vm_mode());
	nothing_left("mode loop");
}

/* A child with an engaged VM is killed, at times while it makes ready. */
static void test_kill(void)
{
	unsigned int i;
	pid_t pid;

	vm_ctl(vm, "mode", "monitor");
	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			struct vm *own = vm_create(false);

			while (own) {
				vm_ctl(own, "ctl", "engage");
				vm_ctl(own, "ctl", "disengage");
			}
			_exit(1);
		}
		pause_ms(150 + i * 7);
		kill(pid, 9);
		waitpid(pid, NULL, 0);
	}
	for (i = 0; i < 200 && pins_left(); i++)
		pause_ms(10);
	check(!pins_left(), "killed 20 times: pins left: %ld",
	      pins() - pins_of_others);
}

static void *engage_own(void *own)
{
	vm_ctl(own, "ctl", "engage");
	return NULL;
}

/*
 * A VM's process ends when the VM is engaged, and a worker may still free KVM's
 * shadow pages; or @after_ms after it began to make ready.
 */
static int end_engaged(unsigned int after_ms)
{
	struct vm *own = vm_create(false);
	pthread_t thread;

	if (!own)
		return 1;
	if (!after_ms)
		return vm_ctl(own, "ctl", "engage") != 0;
	if (pthread_create(&thread, NULL, engage_own, own))
		return 1;
	pause_ms(after_ms);
	return 0;
}

static void test_ends(void)
{
	unsigned int i, bad = 0;
	int status;
	pid_t pid;

	vm_ctl(vm, "mode", "monitor");
	for (i = 0; i < 10; i++) {
		pid = fork();
		if (!pid)
			_exit(end_engaged(i % 2 * i));
		waitpid(pid, &status, 0);
		bad += status != 0;
	}
	check(!bad, "ends: VMs that were not engaged: %u", bad);
	for (i = 0; i < 200 && pins_left(); i++)
		pause_ms(10);
	check(!pins_left(), "ends: pins left: %ld", pins() - pins_of_others);
}

/* A signal only takes the vCPU's thread out of the guest. */
static void on_signal(int signal)
{
	(void)signal;
}

static const struct {
	const char *name;
	void (*run)(void);
} test[] = {
	{ "cycles", test_cycles },
	{ "slots", test_slots },
	{ "work", test_work },
	{ "tables", test_tables },
	{ "dirty-log", test_dirty_log },
	{ "registers", test_registers },
	{ "lidt", test_lidt },
	{ "interrupts", test_interrupts },
	{ "modes", test_modes },
	{ "smm", test_smm },
	{ "nested", test_nested },
	{ "memory", test_memory },
	{ "numa", test_numa },
	{ "ksm", test_ksm },
	{ "alloc", test_alloc },
	{ "mode-loop", test_modes_loop },
	{ "race", test_race },
	{ "vcpus", test_vcpus },
	{ "kill", test_kill },
	{ "ends", test_ends },
	{ "trust", test_trust },
	{ "memlock", test_memlock },
};

/* For the whole host, so only when it is named; and no cleaning up after it. */
static int lock_down(void)
{
	vm = vm_create(false);
	if (check(vm, "lockdown: a VM") && !vm_ctl(vm, "mode", "on"))
		test_lockdown();
	printf("checks: %u passed, %u failed\n", passed, failed);
	return failed || !passed;
}

static bool is_wanted(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

/*
 * One more VM, in mode on, which never runs: while it is there KVM's static branches
 * stay as they are. QEMU's threads, as the machine below, may hang where code is
 * patched that another CPU runs.
 */
static void hold_branches(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int fd = ioctl(kvm, KVM_CREATE_VM, 0);
	char dir[256];

	kvm_dir(fd, dir, sizeof(dir));
	check(!kvm_dir_write(dir, "mode", "on"), "another VM in mode on");
}

int main(int argc, char **argv)
{
	unsigned int i;
	long long start;

	signal(SIGUSR1, on_signal);
	if (argc == 2 && !strcmp(argv[1], "lockdown"))
		return lock_down();
	hold_branches();
	for (i = 0; i < ARRAY_SIZE(test); i++) {
		if (!is_wanted(argc, argv, test[i].name))
			continue;
		printf("minivm: %s\n", test[i].name);
		start = now_ns();
		pins_of_others = pins();
		vm = vm_create(!strcmp(test[i].name, "numa"));
		if (!check(vm, "%s: a VM", test[i].name))
			break;
		vm_ctl(vm, "mode", vm_mode());
		test[i].run();
		if (!vm->died)
			vm_destroy(vm);
		printf("minivm: %s: %lld ms\n", test[i].name,
		       (now_ns() - start) / 1000000);
	}
	check(!pins_left(), "at the end: pins left: %ld",
	      pins() - pins_of_others);
	printf("checks: %u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
