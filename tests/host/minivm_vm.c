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
}

static void set_segment(struct kvm_segment *s, uint16_t selector, bool code)
{
	*s = (struct kvm_segment){
		.selector = selector, .limit = ~0u, .present = 1, .s = 1, .g = 1,
		.type = code ? 11 : 3, .l = code, .db = !code,
	};
}

static int start_registers(struct vm *vm)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE + ((const char *)guest_main - __start_guest_text),
		.rsp = GUEST_STACK,
		.rflags = 2,
	};
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	set_segment(&sregs.cs, 8, true);
	set_segment(&sregs.ds, 16, false);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr0 = 0x80010033;		/* PG, WP, NE, ET, MP, PE */
	sregs.cr3 = GUEST_PML4;
	sregs.cr4 = 0x20;		/* PAE */
	sregs.efer = EFER_LME | EFER_LMA | EFER_NX;
	return ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) ||
	       ioctl(vm->vcpu, KVM_SET_REGS, &regs);
}

static int give_cpuid(int kvm, struct vm *vm)
{
	unsigned int n = 256;
	struct kvm_cpuid2 *cpuid;
	int r;

	cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));
	cpuid->nent = n;
	r = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) ||
	    ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return r;
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
			if (errno == EINTR || errno == EAGAIN)
				continue;
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
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), bytes;

	vm->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		goto fail;
	snprintf(vm->dir, sizeof(vm->dir), "/sys/kernel/debug/kvm/%d-%d/dmp",
		 getpid(), vm->fd);
	vm->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
		       (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS |
		       MAP_NORESERVE, -1, 0);
	if (vm->mem == MAP_FAILED || ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000) ||
	    ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) ||
	    vm_slot(vm, 0, 0, 0, GUEST_BYTES, vm->mem) ||
	    vm_slot(vm, SLOT_SMM, 0, 0, GUEST_BYTES, vm->mem))
		goto fail;
	fill_memory(vm);
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm->vcpu < 0 || bytes < 0)
		goto fail;
	vm->run_bytes = bytes;
	vm->run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu, 0);
	if (vm->run == MAP_FAILED || give_cpuid(kvm, vm) || start_registers(vm))
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
	char path[300], line[256];
	size_t length = strlen(key);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/status", vm->dir);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) || line[length] != ' ')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(value, size, "%s", line + length + 1);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

long vm_ended(struct vm *vm, const char *reason)
{
	char key[64], value[32];

	snprintf(key, sizeof(key), "ended reason=%s", reason);
	return vm_status(vm, key, value, sizeof(value)) ? atol(value + 2) : 0;
}

int vm_ctl(struct vm *vm, const char *file, const char *word)
{
	char path[300];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", vm->dir, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	r = write(fd, word, strlen(word)) < 0 ? -errno : 0;
	close(fd);
	return r;
}
