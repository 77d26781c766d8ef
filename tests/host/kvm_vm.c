// SPDX-License-Identifier: GPL-2.0-only
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

static int give_cpuid(int kvm, int vcpu)
{
	unsigned int n = 256;
	struct kvm_cpuid2 *cpuid;
	int r;

	cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));
	cpuid->nent = n;
	r = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) ||
	    ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return r;
}

int kvm_vcpu_make(int kvm, int vm, struct kvm_run **run, int *run_bytes)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	*run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || *run_bytes < 0)
		return -1;
	*run = mmap(NULL, *run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	return *run == MAP_FAILED || give_cpuid(kvm, vcpu) ? -1 : vcpu;
}

static void set_segment(struct kvm_segment *s, uint16_t selector, bool code)
{
	*s = (struct kvm_segment){
		.selector = selector, .limit = ~0u, .present = 1, .s = 1, .g = 1,
		.type = code ? 11 : 3, .l = code, .db = !code,
	};
}

static void set_table(struct kvm_dtable *table, uint64_t base, uint16_t limit)
{
	if (!limit)
		return;
	table->base = base;
	table->limit = limit;
}

int kvm_vcpu_start(int vcpu, const struct kvm_start *start)
{
	struct kvm_regs regs = {
		.rip = start->rip, .rsp = start->rsp, .rflags = 2,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	set_segment(&sregs.cs, start->cs, true);
	set_segment(&sregs.ds, start->ss, false);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	set_table(&sregs.gdt, start->gdt, start->gdt_limit);
	set_table(&sregs.idt, start->idt, start->idt_limit);
	sregs.cr0 = 0x80010033;		/* PG, WP, NE, ET, MP, PE */
	sregs.cr3 = start->cr3;
	sregs.cr4 = start->cr4;
	sregs.efer = start->efer;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	       ioctl(vcpu, KVM_SET_REGS, &regs);
}

void kvm_dir(int vm, char *dir, size_t size)
{
	snprintf(dir, size, "/sys/kernel/debug/kvm/%d-%d/dmp", getpid(), vm);
}

int kvm_dir_write(const char *dir, const char *file, const char *word)
{
	char path[300];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	r = write(fd, word, strlen(word)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

bool kvm_dir_line(const char *dir, const char *file, const char *key,
		  char *rest, size_t size)
{
	size_t length = strlen(key);
	char path[300], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) || line[length] != ' ')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(rest, size, "%s", line + length + 1);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}
