// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM of hostile's: memory, registers, what the guest asks for.
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
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hostile_vm.h"
#include "kvm_vm.h"

#define MSR_EFER_BITS	0xd00ull	/* LME, LMA, NXE */

extern const char guest_image[], guest_image_end[];

/*
 * ---- Memory ----
 */

static uint64_t next_table;

static uint64_t *entry(struct vm *vm, uint64_t table, uint64_t va, int level)
{
	return (uint64_t *)(vm->mem + table) + (va >> (12 + 9 * (level - 1)) & 511);
}

/* The level-1 entry of @va, with the tables above it; for @l1 0 a new one. */
static uint64_t *make_entry(struct vm *vm, uint64_t va, uint64_t l1)
{
	uint64_t table = PA_TABLES, *e;
	int level;

	for (level = 4; level > 1; level--) {
		e = entry(vm, table, va, level);
		if (!*e) {
			*e = PTE_LINK | PTE_US | (level == 2 && l1 ? l1 : next_table);
			if (level != 2 || !l1)
				next_table += 4096;
		}
		table = *e & PTE_ADDR;
	}
	return entry(vm, table, va, 1);
}

static void map(struct vm *vm, uint64_t va, uint64_t pa, uint64_t bytes,
		uint64_t flags)
{
	uint64_t i;

	for (i = 0; i < bytes; i += 4096)
		*make_entry(vm, va + i, 0) = (pa + i) | flags;
}

static void fill_memory(struct vm *vm)
{
	next_table = PA_TABLES + 4096;
	map(vm, DIRECT, 0, GUEST_BYTES, PTE_KERNEL | PTE_NX);
	map(vm, KERNEL, PA_KERNEL, KERNEL_BYTES, PTE_KERNEL);
	map(vm, CODE, PA_CODE, CODE_PAGES * 4096, PTE_P | PTE_A);
	map(vm, USER, PA_USER, USER_PAGES * 4096, PTE_KERNEL | PTE_US);
	make_entry(vm, WINDOW, PA_WINDOW_L1);
	make_entry(vm, CODE2, 0);
	make_entry(vm, BARE, 0);
	memcpy(vm->mem + PA_KERNEL, guest_image, guest_image_end - guest_image);
}

/*
 * ---- Debugfs ----
 */

static int ctl(struct vm *vm, const char *file, const char *word)
{
	return kvm_dir_write(vm->dir, file, word);
}

static bool line_of(struct vm *vm, const char *file, const char *key,
		    char *rest, size_t size)
{
	return kvm_dir_line(vm->dir, file, key, rest, size);
}

static uint64_t number_of(struct vm *vm, const char *key)
{
	char value[64];

	return line_of(vm, "status", key, value, sizeof(value)) ?
	       strtoull(value, NULL, 0) : 0;
}

static bool is_engaged(struct vm *vm)
{
	char state[32];

	return line_of(vm, "status", "state", state, sizeof(state)) &&
	       !strcmp(state, "engaged");
}

/*
 * ---- What the guest asks for ----
 */

enum wanted { NOTHING, ENGAGE, QUIT };

/* Engaging waits for the vCPU, which therefore runs on meanwhile. */
static void *engager(void *arg)
{
	struct vm *vm = arg;

	while (vm->wanted != QUIT) {
		if (vm->wanted == ENGAGE) {
			ctl(vm, "ctl", "disengage");
			if (!ctl(vm, "ctl", "engage"))
				__atomic_compare_exchange_n(&vm->wanted,
					&(int){ ENGAGE }, NOTHING, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		}
		usleep(500);
	}
	return NULL;
}

static bool asked;

static void ready(struct vm *vm)
{
	struct shared *shared = vm_shared(vm);
	char why[64];

	if (!vm->on) {
		shared->ready = 1;
		return;
	}
	if (!asked) {
		vm->wanted = ENGAGE;
		asked = true;
		return;
	}
	if (vm->wanted)
		return;
	asked = false;
	shared->ready = 1;
	if (number_of(vm, "spliced"))
		return;
	line_of(vm, "status", "splice_refusal", why, sizeof(why));
	if (!is_engaged(vm))
		line_of(vm, "status", "reason", why, sizeof(why));
	if (shared->arg[0])
		printf("hostile: %s: mark %llu: not spliced: %s\n", vm->test,
		       shared->marks, why);
	else
		check(false, "%s: mark %llu: engaged and spliced: %s", vm->test,
		      shared->marks, why);
}

static void want_site(struct vm *vm)
{
	struct shared *shared = vm_shared(vm);
	char key[40], rest[400] = "not known";
	bool spliced;

	if (!vm->on)
		return;
	snprintf(key, sizeof(key), "rip=0x%llx", shared->arg[0]);
	line_of(vm, "sites", key, rest, sizeof(rest));
	spliced = !strncmp(rest, "state=spliced", 13);
	if (shared->arg[1] == WANT_KNOWN)
		printf("hostile: %s: mark %llu: %s %s\n", vm->test, shared->marks,
		       key, rest);
	else
		check(spliced == (shared->arg[1] == WANT_SPLICED),
		      "%s: mark %llu: %s %s", vm->test, shared->marks, key, rest);
}

static void want_state(struct vm *vm)
{
	static const char *const ended[] = {
		[STATE_ADDRESS] = "implant-address-used",
		[STATE_HANDLER] = "handler-changed",
	};
	struct shared *shared = vm_shared(vm);
	bool engaged = is_engaged(vm) && number_of(vm, "spliced"), good;
	char reason[64] = "", detail[64] = "", finding[256] = "";

	if (!vm->on)
		return;
	line_of(vm, "status", "reason", reason, sizeof(reason));
	line_of(vm, "status", "detail", detail, sizeof(detail));
	line_of(vm, "status", "finding", finding, sizeof(finding));
	switch (shared->arg[0]) {
	case STATE_ENGAGED:
		good = engaged;
		break;
	case STATE_ANY:
		good = engaged || (*reason && !*finding);
		break;
	default:
		good = !engaged && (strstr(reason, ended[shared->arg[0]]) ||
				    strstr(detail, ended[shared->arg[0]]));
		break;
	}
	if (engaged)
		check(good, "%s: mark %llu: engaged", vm->test, shared->marks);
	else
		check(good, "%s: mark %llu: ended, %s%s%s%s", vm->test,
		      shared->marks, reason, *detail ? ": " : "", detail, finding);
}

/* Those for the host's interrupts, which come when they like. */
static uint64_t interrupt_exits(struct vm *vm)
{
	unsigned long long interrupts = 0;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/../irq_exits", vm->dir);
	f = fopen(path, "r");
	if (!check(f && fscanf(f, "%llu", &interrupts) == 1, "%s: %s", vm->test, path))
		interrupts = 0;
	if (f)
		fclose(f);
	return interrupts;
}

static void want_exits(struct vm *vm)
{
	struct shared *shared = vm_shared(vm);
	uint64_t interrupts = interrupt_exits(vm) - vm->interrupts;
	uint64_t exits = number_of(vm, "exits") - vm->exits - interrupts;

	if (vm->on && shared->arg[0])
		check(exits <= shared->arg[0],
		      "%s: mark %llu: %llu exits, at most %llu, beside %llu for interrupts",
		      vm->test, shared->marks, (unsigned long long)exits,
		      shared->arg[0], (unsigned long long)interrupts);
	vm->interrupts = interrupt_exits(vm);
	vm->exits = number_of(vm, "exits");
}

static void want_audit(struct vm *vm)
{
	char finding[256] = "";
	int r;

	if (!vm->on)
		return;
	r = ctl(vm, "ctl", "audit");
	line_of(vm, "status", "finding", finding, sizeof(finding));
	check(!r || r == -ENODATA, "%s: mark %llu: audit: %s %s", vm->test,
	      vm_shared(vm)->marks, r ? strerror(-r) : "clean", finding);
}

/*
 * A timer takes the vCPU's thread out of the guest now and then, from wherever it
 * is, and there it is given an NMI.
 */
#define NMI_NS	150000

static void interrupt_begin(struct vm *vm)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1,
	};
	/* Not in step with another timer. */
	struct itimerspec when = { { 0, NMI_NS + 37 }, { 0, NMI_NS } };

	event._sigev_un._tid = gettid();
	vm->interrupting = !timer_create(CLOCK_MONOTONIC, &event, &vm->timer) &&
			   !timer_settime(vm->timer, 0, &when, NULL);
	check(vm->interrupting, "%s: a timer: %s", vm->test, strerror(errno));
}

static void interrupt_end(struct vm *vm)
{
	struct shared *shared = vm_shared(vm);

	if (!vm->interrupting)
		return;
	vm->interrupting = false;
	timer_delete(vm->timer);
	printf("FIGURE %s: %llu NMIs sent, %llu seen\n", vm->test,
	       (unsigned long long)vm->nmis, shared->nmis);
	/* Two that come close are one. */
	check(shared->nmis >= 500 && shared->nmis >= vm->nmis / 2,
	      "%s: %llu NMIs sent, %llu seen", vm->test,
	      (unsigned long long)vm->nmis, shared->nmis);
	check(!shared->strays, "%s: %llu NMIs found none of the guest's code, one at 0x%llx",
	      vm->test, shared->strays, shared->stray);
}

static void sweep(struct vm *vm)
{
	static const char *const words[] = {
		[SWEEP_BEGIN] = "begin", [SWEEP_MORE] = "more", [SWEEP_END] = "end",
	};
	const char *program = getenv("HOSTILE_SWEEP");
	struct shared *shared = vm_shared(vm);
	char command[400];
	int status;

	shared->ready = 0;
	if (!vm->on || !program || shared->arg[0] > SWEEP_END)
		return;
	snprintf(command, sizeof(command), "%s %s %s", program,
		 words[shared->arg[0]], vm->dir);
	if (shared->arg[0] == SWEEP_END)
		interrupt_end(vm);
	status = system(command);
	if (shared->arg[0] == SWEEP_BEGIN)
		interrupt_begin(vm);
	if (shared->arg[0] == SWEEP_MORE && status == 1 << 8)
		return;
	check(!status, "%s: %s", vm->test, command);
	shared->ready = 1;
}

/* What INSL from PORT_TABLE reads: PA_DATA's frames in turn, in 8 bytes each. */
static void put_table(struct vm *vm)
{
	uint32_t *half = (void *)((char *)vm->run + vm->run->io.data_offset), i;

	if (vm->run->io.direction != KVM_EXIT_IO_IN || vm->run->io.size != 4)
		return;
	for (i = 0; i < vm->run->io.count; i++)
		half[i] = i & 1 ? 0 : (PA_DATA + i / 2 % DATA_PAGES * 4096) | PTE_KERNEL;
}

/* False: the run is over. */
static bool take_io(struct vm *vm)
{
	struct shared *shared = vm_shared(vm);

	switch (vm->run->io.port) {
	case PORT_READY:
		ready(vm);
		break;
	case PORT_SITE:
		want_site(vm);
		break;
	case PORT_STATE:
		want_state(vm);
		break;
	case PORT_EXITS:
		want_exits(vm);
		break;
	case PORT_AUDIT:
		want_audit(vm);
		break;
	case PORT_SWEEP:
		sweep(vm);
		break;
	case PORT_TABLE:
		put_table(vm);
		break;
	case PORT_DIED:
		snprintf(vm->died, sizeof(vm->died),
			 "vector %llu at 0x%llx, CR2 0x%llx, error 0x%llx",
			 shared->arg[0], shared->arg[1], shared->arg[2],
			 shared->arg[3]);
		return false;
	case PORT_END:
		return false;
	}
	return true;
}

static void note_state(struct vm *vm)
{
	struct kvm_regs regs = { 0 };
	size_t n = strlen(vm->died);

	ioctl(vm->vcpu, KVM_GET_REGS, &regs);
	snprintf(vm->died + n, sizeof(vm->died) - n, " at 0x%llx, RSP 0x%llx",
		 regs.rip, regs.rsp);
}

static void on_alarm(int signal) { (void)signal; }

static void *watch(void *arg)
{
	struct vm *vm = arg;
	unsigned int i;

	for (i = 0; i < vm->seconds * 100 && !vm->ended; i++)
		usleep(10000);
	while (!vm->ended) {
		snprintf(vm->died, sizeof(vm->died), "out of time");
		vm->run->immediate_exit = 1;
		pthread_kill(vm->runner, SIGUSR1);
		usleep(10000);
	}
	return NULL;
}

void vm_run(struct vm *vm, unsigned int index, uint64_t seed, unsigned int seconds)
{
	struct sigaction action = { .sa_handler = on_alarm };
	pthread_t watcher;

	vm_shared(vm)->test = index;
	vm_shared(vm)->seed = seed;
	vm->runner = pthread_self();
	vm->seconds = seconds;
	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&watcher, NULL, watch, vm);
	asked = false;
	for (;;) {
		if (ioctl(vm->vcpu, KVM_RUN, 0)) {
			if (*vm->died)
				break;
			if (errno == EINTR && vm->interrupting)
				vm->nmis += !ioctl(vm->vcpu, KVM_NMI);
			if (errno == EINTR || errno == EAGAIN)
				continue;
			snprintf(vm->died, sizeof(vm->died), "KVM_RUN: %s",
				 strerror(errno));
			break;
		}
		if (vm->run->exit_reason == KVM_EXIT_IO) {
			if (!take_io(vm))
				break;
			continue;
		}
		snprintf(vm->died, sizeof(vm->died), "exit reason %u, suberror %u",
			 vm->run->exit_reason, vm->run->internal.suberror);
		break;
	}
	if (*vm->died)
		note_state(vm);
	vm->ended = true;
	pthread_join(watcher, NULL);
}

/*
 * ---- Life ----
 */

static int make_vcpu(int kvm, struct vm *vm)
{
	const struct kvm_start start = {
		.rip = KERNEL,
		.cr3 = PA_TABLES,
		.cr4 = 0xa0,		/* PAE, PGE */
		.efer = MSR_EFER_BITS,
		.cs = SEL_CS,
		.ss = SEL_SS,
	};

	vm->vcpu = kvm_vcpu_make(kvm, vm->fd, &vm->run, &vm->run_bytes);
	return vm->vcpu < 0 || kvm_vcpu_start(vm->vcpu, &start);
}

struct vm *vm_create(bool on)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_BYTES };

	vm->on = on;
	vm->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		goto fail;
	kvm_dir(vm->fd, vm->dir, sizeof(vm->dir));
	vm->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	region.userspace_addr = (uintptr_t)vm->mem;
	if (vm->mem == MAP_FAILED ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000) ||
	    ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		goto fail;
	fill_memory(vm);
	if (make_vcpu(kvm, vm) || ctl(vm, "mode", on ? "on" : "off") ||
	    pthread_create(&vm->engager, NULL, engager, vm))
		goto fail;
	close(kvm);
	return vm;
fail:
	perror("hostile: no VM");
	return NULL;
}

void vm_destroy(struct vm *vm)
{
	vm->wanted = QUIT;
	pthread_join(vm->engager, NULL);
	munmap(vm->run, vm->run_bytes);
	close(vm->vcpu);
	close(vm->fd);
	munmap(vm->mem, GUEST_BYTES);
	free(vm);
}
