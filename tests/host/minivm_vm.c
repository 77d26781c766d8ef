// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tiny VM: its memory, its vCPU's thread, its files in debugfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_vm.h"
#include "minivm.h"

static uint64_t *entry(struct vm *vm, uint64_t table, unsigned int index)
{
	return (uint64_t *)(vm->mem + table) + index;
}

static void fill_memory(struct vm *vm)
{
	static const uint8_t loop[] = { 0xe6, PORT_LOOP, 0xeb, 0xfc };
	const uint64_t table = PTE_P | PTE_RW | PTE_A;
	uint64_t i;

	*entry(vm, GUEST_PML4, 0) = GUEST_PDPT | table;
	*entry(vm, GUEST_PDPT, 0) = GUEST_PD | table;
	*entry(vm, GUEST_PDPT, WINDOW_VA >> 30) = GUEST_PD_WINDOW | table;
	*entry(vm, GUEST_PD_WINDOW, 0) = GUEST_L1 | table;
	for (i = 0; i < GUEST_BYTES >> 21; i++)
		*entry(vm, GUEST_PD, i) = i << 21 | PTE_PS | PTE_D | table;
	*entry(vm, GUEST_PAE, 0) = GUEST_PD | PTE_P;
	memcpy(vm->mem + GUEST_LOOP, loop, sizeof(loop));
	memcpy(vm->mem + GUEST_SMRAM + 0x8000, loop, sizeof(loop));
	memcpy(vm->mem + GUEST_CODE, __start_guest_text,
	       __stop_guest_text - __start_guest_text);
	*entry(vm, GUEST_PML4, 511) = GUEST_PDPT_HIGH | table;
	*entry(vm, GUEST_PDPT_HIGH, 510) = GUEST_PD_HIGH | table;
	*entry(vm, GUEST_PD_HIGH, 0) = PTE_PS | PTE_D | PTE_P | PTE_A;
}

static uint64_t high_address(const void *of)
{
	return GUEST_HIGH + GUEST_CODE + ((const char *)of - __start_guest_text);
}

/* A gate for #PF alone (SDM vol. 3, 6.14.1). */
static void fill_idt(struct vm *vm, uint64_t idt, uint64_t handler)
{
	*entry(vm, idt, 28) = (handler & 0xffff) | 8 << 16 | 0x8eull << 40 |
			      (handler >> 16 & 0xffff) << 48;
	*entry(vm, idt, 29) = handler >> 32;
}

/* Flat segments (SDM vol. 3, 3.4.5), and two tables of gates. */
static void fill_descriptors(struct vm *vm)
{
	*entry(vm, GUEST_GDT, 1) = 0x00af9b000000ffff;
	*entry(vm, GUEST_GDT, 2) = 0x00cf93000000ffff;
	fill_idt(vm, GUEST_IDT, high_address(guest_fault));
	fill_idt(vm, GUEST_IDT_OTHER, high_address(guest_fault_other));
}

static int make_vcpu(int kvm, struct vm *vm)
{
	const struct kvm_start start = {
		.rip = high_address(guest_main),
		.rsp = GUEST_STACK,
		.cr3 = GUEST_PML4,
		.cr4 = 0x20,		/* PAE */
		.efer = EFER_LME | EFER_LMA | EFER_NX,
		.cs = 8,
		.ss = 16,
		.gdt = GUEST_GDT,
		.gdt_limit = 23,
		.idt = GUEST_IDT,
		.idt_limit = 0xfff,
	};

	vm->vcpu = kvm_vcpu_make(kvm, vm->fd, &vm->run, &vm->run_bytes);
	return vm->vcpu < 0 || kvm_vcpu_start(vm->vcpu, &start);
}

static void take_exit(struct vm *vm)
{
	struct kvm_run *run = vm->run;
	uint32_t value = *(uint32_t *)((char *)run + run->io.data_offset);

	switch (run->io.port) {
	case PORT_ROUND:
		vm->rounds++;
		vm->bad += value;
		break;
	case PORT_NESTED:
		vm->nested++;
		break;
	case PORT_LOOP:
		vm->loops++;
		break;
	}
}

static void take_job(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->job) {
		vm->job(vm);
		vm->job = NULL;
		pthread_cond_broadcast(&vm->done);
	}
	pthread_mutex_unlock(&vm->lock);
}

static void die(struct vm *vm, const char *why)
{
	pthread_mutex_lock(&vm->lock);
	vm->died = why;
	pthread_cond_broadcast(&vm->done);
	pthread_mutex_unlock(&vm->lock);
}

static void *run_vcpu(void *arg)
{
	struct vm *vm = arg;
	static char why[64];

	while (!vm->stop) {
		if (ioctl(vm->vcpu, KVM_RUN, 0)) {
			if (errno == EINTR || errno == EAGAIN) {
				if (vm->interrupted)
					vm->interrupted(vm);
				continue;
			}
			snprintf(why, sizeof(why), "KVM_RUN: %s", strerror(errno));
			die(vm, why);
			break;
		}
		if (vm->run->exit_reason != KVM_EXIT_IO) {
			snprintf(why, sizeof(why), "exit reason %u, suberror %u",
				 vm->run->exit_reason, vm->run->internal.suberror);
			die(vm, why);
			break;
		}
		take_exit(vm);
		take_job(vm);
	}
	return NULL;
}

void vm_do(struct vm *vm, void (*job)(struct vm *vm))
{
	pthread_mutex_lock(&vm->lock);
	vm->job = job;
	while (vm->job && !vm->died)
		pthread_cond_wait(&vm->done, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

int vm_slot(struct vm *vm, unsigned int slot, uint32_t flags, uint64_t gpa,
	    uint64_t bytes, void *mem)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)mem,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

struct vm *vm_create(bool shared)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	vm->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		goto fail;
	kvm_dir(vm->fd, vm->dir, sizeof(vm->dir));
	vm->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
		       (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS |
		       MAP_NORESERVE, -1, 0);
	if (vm->mem == MAP_FAILED || ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000) ||
	    ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) ||
	    vm_slot(vm, 0, 0, 0, GUEST_BYTES, vm->mem) ||
	    vm_slot(vm, SLOT_SMM, 0, 0, GUEST_BYTES, vm->mem))
		goto fail;
	fill_memory(vm);
	fill_descriptors(vm);
	if (make_vcpu(kvm, vm))
		goto fail;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->done, NULL);
	close(kvm);
	if (pthread_create(&vm->thread, NULL, run_vcpu, vm))
		goto fail;
	return vm;
fail:
	perror("minivm: no VM");
	return NULL;
}

void vm_destroy(struct vm *vm)
{
	vm->stop = true;
	pthread_join(vm->thread, NULL);
	munmap(vm->run, vm->run_bytes);
	close(vm->vcpu);
	close(vm->fd);
	munmap(vm->mem, GUEST_BYTES);
	free(vm);
}

bool vm_status(struct vm *vm, const char *key, char *value, unsigned int size)
{
	return kvm_dir_line(vm->dir, "status", key, value, size);
}

long vm_ended(struct vm *vm, const char *reason)
{
	char key[64], value[32];

	snprintf(key, sizeof(key), "ended reason=%s", reason);
	return vm_status(vm, key, value, sizeof(value)) ? atol(value + 2) : 0;
}

int vm_ctl(struct vm *vm, const char *file, const char *word)
{
	return kvm_dir_write(vm->dir, file, word);
}
