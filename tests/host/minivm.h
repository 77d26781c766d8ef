/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tiny VM for tests of what KVM's users may do to an engaged one. minivm.c
 * has the tests, minivm_vm.c the VM, minivm_guest.c what runs in it.
 */
#ifndef MINIVM_H
#define MINIVM_H

/* Guest-physical addresses; all below GUEST_FRAMES is mapped at itself. */
#define GUEST_PML4		0x1000ull
#define GUEST_PDPT		0x2000ull
#define GUEST_PD		0x3000ull	/* identity, 2 MiB pages */
#define GUEST_PD_WINDOW		0x4000ull
#define GUEST_L1		0x5000ull	/* what the guest rewrites */
#define GUEST_PAE		0x6000ull	/* for the 32-bit mode */
#define GUEST_SHARED		0x7000ull	/* struct shared */
#define GUEST_LOOP		0x8000ull	/* out, jmp: in any mode */
#define GUEST_VMCB		0x9000ull
#define GUEST_HSAVE		0xa000ull
#define GUEST_NESTED_STACK	0xc000ull
#define GUEST_STACK		0xe000ull
#define GUEST_SEEN		0xf000ull
#define GUEST_CODE		0x10000ull
#define GUEST_PDPT_HIGH		0x20000ull
#define GUEST_PD_HIGH		0x21000ull
#define GUEST_GDT		0x22000ull
#define GUEST_IDT		0x23000ull
#define GUEST_IDT_OTHER		0x24000ull	/* leads to guest_fault_other() */
#define GUEST_SMRAM		0x30000ull	/* SMBASE after reset */
#define GUEST_MANY_L1		0x1000000ull	/* minivm_memory.c: GUEST_MANY tables, */
#define GUEST_MANY		1024
#define GUEST_MANY_L2		0x1400000ull	/*   those that link them, and others */
#define GUEST_SCRATCH		0x600000ull	/* memory to play tricks with */
#define GUEST_SCRATCH_BYTES	0x200000ull
#define GUEST_FRAMES		0x900000ull
#define GUEST_BYTES		0x2000000ull	/* 32 MiB */

/* Code runs where kernels do; there the first 2 MiB are mapped read-only. */
#define GUEST_HIGH		0xffffffff80000000ull

#define WINDOW_VA		0x40000000ull
#define WINDOW_PAGES		64

#define PTE_P		0x01ull
#define PTE_RW		0x02ull
#define PTE_A		0x20ull
#define PTE_D		0x40ull
#define PTE_PS		0x80ull

#define MSR_EFER	0xc0000080u
#define MSR_VM_HSAVE_PA	0xc0010117u
#define EFER_LME	0x100ull
#define EFER_LMA	0x400ull
#define EFER_NX		0x800ull
#define EFER_SVME	0x1000ull

#define PORT_ROUND	0x10	/* value: errors in this round */
#define PORT_NESTED	0x11
#define PORT_LOOP	0x12	/* from GUEST_LOOP */

struct shared {
	unsigned long long want_nested;
	unsigned long long nested_exit;	/* exit code: 0x81 is VMMCALL */
	unsigned long long nested_word;
	unsigned long long fault_pte;	/* what guest_fault() maps */
	unsigned long long faults;	/* how often it has */
	unsigned long long want_lidt;	/* load IDTR often, with what it has */
};

#ifndef MINIVM_GUEST
#include <stdbool.h>
#include <stdint.h>
#include <pthread.h>

#define SLOT_SMM	(1u << 16)	/* slot 0 as SMM sees it */

struct kvm_run;
struct kvm_sregs;

struct vm {
	int fd, vcpu;
	char *mem;			/* GUEST_BYTES of guest memory */
	struct kvm_run *run;
	int run_bytes;
	char dir[256];			/* .../dmp in debugfs; "" without */
	pthread_t thread;

	/* What the vCPU's thread is to do at its next exit, once. */
	pthread_mutex_t lock;
	pthread_cond_t done;
	void (*job)(struct vm *vm);
	bool stop;
	/* And whenever a signal has taken it out of the guest, or NULL. */
	void (*interrupted)(struct vm *vm);

	volatile uint64_t rounds, bad, loops, nested;
	const char *volatile died;	/* why the vCPU's thread ended */
};

/*
 * A VM with one vCPU that runs rounds in a thread; its memory is private or
 * shared. NULL: says why itself.
 */
struct vm *vm_create(bool shared);
void vm_destroy(struct vm *vm);

/* Have @job run in the vCPU's thread, outside of the guest; wait for it. */
void vm_do(struct vm *vm, void (*job)(struct vm *vm));

int vm_slot(struct vm *vm, unsigned int slot, uint32_t flags, uint64_t gpa,
	    uint64_t bytes, void *mem);

/* A number or word of dmp/status: the value after "KEY ". */
bool vm_status(struct vm *vm, const char *key, char *value, unsigned int size);
long vm_ended(struct vm *vm, const char *reason);
int vm_ctl(struct vm *vm, const char *file, const char *word);

extern const char __start_guest_text[], __stop_guest_text[];
void guest_main(void);
void guest_fault(void);
void guest_fault_other(void);
#define GUEST_FAULT_BYTES	64	/* about as long as it is */
#endif /* MINIVM_GUEST */

#endif /* MINIVM_H */
