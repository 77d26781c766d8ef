// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the vCPU of an engaged VM may do, or its user to the vCPU.
 */
#define _GNU_SOURCE
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "minivm_test.h"

/*
 * ---- Registers ----
 */

static uint64_t cr0_xor, cr4_xor, efer_xor;

static void job_toggle(struct vm *v)
{
	struct kvm_sregs sregs;

	ioctl(v->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cr0 ^= cr0_xor;
	sregs.cr4 ^= cr4_xor;
	sregs.efer ^= efer_xor;
	if (ioctl(v->vcpu, KVM_SET_SREGS, &sregs))
		v->died = "KVM_SET_SREGS";
}

static void toggle(void) { vm_do(vm, job_toggle); }

/* To another table of gates, with another #PF handler; nothing exits for it. */
static void job_move_idt(struct vm *v)
{
	struct kvm_sregs sregs;

	ioctl(v->vcpu, KVM_GET_SREGS, &sregs);
	sregs.idt.base ^= GUEST_IDT ^ GUEST_IDT_OTHER;
	if (ioctl(v->vcpu, KVM_SET_SREGS, &sregs))
		v->died = "KVM_SET_SREGS";
}

static void move_idt(void) { vm_do(vm, job_move_idt); }

static void test_idt(void)
{
	if (strcmp(vm_mode(), "on")) {
		stays("the IDT is another", move_idt);
		stays("the IDT is the first", move_idt);
		return;
	}
	ends("the IDT is another", "handler-changed", move_idt);
	stays("with the other IDT", no_act);
	ends("the IDT is the first", "handler-changed", move_idt);
}

/*
 * A LIDT ends the engagement in the vCPU's thread, as somebody else ends it: they
 * may not wait for each other.
 */
void test_lidt(void)
{
	volatile struct shared *shared = (void *)(vm->mem + GUEST_SHARED);
	unsigned int n = is_long() ? 3000 : 600, i, done = 0;
	long long from;
	long before;

	if (!engage())
		return;
	before = vm_ended(vm, "handler-changed");
	shared->want_lidt = 1;
	for (i = 0; i < n && !vm->died; i++) {
		vm_ctl(vm, "ctl", "engage");
		/* From too early to too late. */
		for (from = now_ns(); now_ns() - from < i % 64 * 4000;)
			;
		done += !vm_ctl(vm, "ctl", "disengage");
	}
	shared->want_lidt = 0;
	check(done == n, "LIDT: disengaged %u times of %u", done, n);
	check(strcmp(vm_mode(), "on") || vm_ended(vm, "handler-changed") > before,
	      "LIDT: it ended engagements, too: %ld",
	      vm_ended(vm, "handler-changed") - before);
	guest_goes_on("LIDT");
	nothing_left("LIDT");
}

void test_registers(void)
{
	test_idt();
	cr0_xor = 0x10000;
	ends("CR0.WP is cleared", "paging-mode", toggle);
	refuses("CR0.WP is clear", "paging-mode");
	toggle();
	stays("CR0.WP is set again", no_act);
	cr0_xor = 0;
	efer_xor = EFER_NX;
	ends("EFER.NX is cleared", "paging-mode", toggle);
	ends("EFER.NX is set", "paging-mode", toggle);
	efer_xor = 0;
	stays("KVM_SET_SREGS without a change", toggle);
}

/*
 * Wherever in the guest a signal takes the vCPU out of it, a stub or the filter
 * included, KVM_GET_REGS shows an address of the guest's own code.
 */
static volatile uint64_t interrupts, in_handler, strange, strange_rip;

static void look_at_rip(struct vm *v)
{
	const uint64_t code = GUEST_HIGH + GUEST_CODE;
	const uint64_t bytes = __stop_guest_text - __start_guest_text;
	const uint64_t handler = code + ((const char *)guest_fault - __start_guest_text);
	struct kvm_regs regs;

	if (ioctl(v->vcpu, KVM_GET_REGS, &regs))
		v->died = "KVM_GET_REGS";
	interrupts++;
	in_handler += regs.rip >= handler && regs.rip < handler + GUEST_FAULT_BYTES;
	if (regs.rip >= code && regs.rip < code + bytes)
		return;
	strange++;
	strange_rip = regs.rip;
}

void test_interrupts(void)
{
	const uint64_t wanted = is_long() ? 50000 : 5000;
	uint64_t rounds = vm->rounds;
	unsigned int i;

	interrupts = strange = in_handler = 0;
	if (!engage())
		return;
	vm->interrupted = look_at_rip;
	for (i = 0; i < 100 * wanted && interrupts < wanted && !vm->died; i++) {
		pthread_kill(vm->thread, SIGUSR1);
		usleep(i % 100);
	}
	vm->interrupted = NULL;
	check(interrupts >= wanted, "interrupts: the vCPU was taken out %llu times, in its handler %llu",
	      (unsigned long long)interrupts, (unsigned long long)in_handler);
	check(!strange, "interrupts: at an address that is not the guest's %llu times (0x%llx)",
	      (unsigned long long)strange, (unsigned long long)strange_rip);
	check(vm->rounds > rounds, "interrupts: the guest went on meanwhile");
	check(is_state("engaged"), "interrupts: and stayed engaged");
	guest_goes_on("interrupts");
	nothing_left("interrupts");
}

/* The vCPU goes to a mode and back, its rounds go on where they were. */
static struct kvm_sregs saved_sregs;
static struct kvm_regs saved_regs;
static int mode_bits;		/* 16; 32 without paging; 36 with PAE */

static void job_leave_long_mode(struct vm *v)
{
	struct kvm_regs regs = { .rip = GUEST_LOOP, .rflags = 2 };
	struct kvm_sregs sregs;

	ioctl(v->vcpu, KVM_GET_SREGS, &saved_sregs);
	ioctl(v->vcpu, KVM_GET_REGS, &saved_regs);
	/* The output instruction that is pending completes in KVM_RUN. */
	sregs = saved_sregs;
	sregs.efer = 0;
	sregs.cs.l = 0;
	sregs.cs.db = mode_bits != 16;
	sregs.cr0 = mode_bits == 36 ? 0x80010033 : mode_bits == 32 ? 0x33 : 0x32;
	sregs.cr4 = mode_bits == 36 ? 0x20 : 0;
	sregs.cr3 = mode_bits == 36 ? GUEST_PAE : 0;
	if (mode_bits == 16) {
		sregs.cs.selector = 0;
		sregs.cs.limit = 0xffff;
		sregs.cs.g = 0;
	}
	if (ioctl(v->vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(v->vcpu, KVM_SET_REGS, &regs))
		v->died = "leaving long mode";
}

static void job_back_to_long_mode(struct vm *v)
{
	if (ioctl(v->vcpu, KVM_SET_SREGS, &saved_sregs) ||
	    ioctl(v->vcpu, KVM_SET_REGS, &saved_regs))
		v->died = "back to long mode";
}

/* An OUT has to be completed by another KVM_RUN before registers may change. */
static void job_complete(struct vm *v)
{
	v->run->immediate_exit = 1;
	ioctl(v->vcpu, KVM_RUN, 0);
	v->run->immediate_exit = 0;
}

static void job_leave(struct vm *v)
{
	job_complete(v);
	job_leave_long_mode(v);
}

static void job_back(struct vm *v)
{
	job_complete(v);
	job_back_to_long_mode(v);
}

void test_modes(void)
{
	static const int bits[] = { 16, 32, 36 };
	static const char * const name[] = {
		"real mode", "32 bits without paging", "32 bits with PAE",
	};
	uint64_t loops;
	unsigned int i;
	long before;

	for (i = 0; i < 3; i++) {
		if (!engage())
			return;
		mode_bits = bits[i];
		before = vm_ended(vm, "paging-mode");
		vm_do(vm, job_leave);
		loops = vm->loops;
		pause_ms(300);
		check(vm->loops > loops && !vm->died, "%s: the vCPU runs%s%s",
		      name[i], vm->died ? ": " : "", vm->died ?: "");
		check(vm_ended(vm, "paging-mode") > before,
		      "%s: ended, paging-mode", name[i]);
		refuses(name[i], "paging-mode");
		vm_do(vm, job_back);
		guest_goes_on(name[i]);
		nothing_left(name[i]);
	}
}

static void job_smi(struct vm *v)
{
	job_complete(v);
	ioctl(v->vcpu, KVM_GET_SREGS, &saved_sregs);
	ioctl(v->vcpu, KVM_GET_REGS, &saved_regs);
	if (ioctl(v->vcpu, KVM_SMI))
		v->died = "KVM_SMI";
}

/* What RSM would do. */
static void job_leave_smm(struct vm *v)
{
	struct kvm_vcpu_events events;

	job_complete(v);
	ioctl(v->vcpu, KVM_GET_VCPU_EVENTS, &events);
	events.flags = KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = 0;
	if (ioctl(v->vcpu, KVM_SET_VCPU_EVENTS, &events))
		v->died = "KVM_SET_VCPU_EVENTS";
	job_back_to_long_mode(v);
}

void test_smm(void)
{
	uint64_t loops = vm->loops;
	long before;

	if (!engage())
		return;
	before = vm_ended(vm, "smm");
	vm_do(vm, job_smi);
	pause_ms(300);
	check(vm->loops > loops && !vm->died, "SMM: the vCPU runs%s%s",
	      vm->died ? ": " : "", vm->died ?: "");
	check(vm_ended(vm, "smm") > before, "SMM: ended, smm");
	refuses("SMM", "smm");
	vm_do(vm, job_leave_smm);
	guest_goes_on("SMM");
	nothing_left("SMM");
}

static void run_nested(void)
{
	struct shared *shared = (struct shared *)(vm->mem + GUEST_SHARED);
	uint64_t before = vm->nested;
	unsigned int i;

	shared->nested_word = 0;
	shared->nested_exit = ~0ull;
	__atomic_store_n(&shared->want_nested, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < 500 && vm->nested == before && !vm->died; i++)
		pause_ms(10);
	check(shared->nested_exit == 0x81 && shared->nested_word == 0x600d,
	      "the nested guest ran: exit 0x%llx, word 0x%llx",
	      shared->nested_exit, shared->nested_word);
}

void test_nested(void)
{
	ends("a nested guest", "nested-guest", run_nested);
}

void test_vcpus(void)
{
	int second;

	if (!engage())
		return;
	second = ioctl(vm->fd, KVM_CREATE_VCPU, 1);
	check(second >= 0, "a second vCPU");
	check(vm_ended(vm, "several-vcpus") > 0, "a second vCPU: ended");
	refuses("a second vCPU", "several-vcpus");
	guest_goes_on("a second vCPU");
	nothing_left("a second vCPU");
	close(second);
}

