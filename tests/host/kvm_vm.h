/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What minivm and hostile do alike with a VM: its vCPU, in long mode from the
 * start, and its files in debugfs.
 */
#ifndef KVM_VM_H
#define KVM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_run;

/* What a vCPU starts with. A limit of 0: the table stays as KVM has it. */
struct kvm_start {
	uint64_t rip, rsp, cr3, cr4, efer;
	uint16_t cs, ss;		/* flat */
	uint64_t gdt, idt;
	uint16_t gdt_limit, idt_limit;
};

/*
 * A vCPU that has all of the CPUID there is, and its run page. Returns its
 * file descriptor, -1 on failure.
 */
int kvm_vcpu_make(int kvm, int vm, struct kvm_run **run, int *run_bytes);
int kvm_vcpu_start(int vcpu, const struct kvm_start *start);

/* The directory .../dmp of @vm, which this process has made. */
void kvm_dir(int vm, char *dir, size_t size);

/* Write @word into @file there; -errno, or 0. */
int kvm_dir_write(const char *dir, const char *file, const char *word);

/* The rest of the line of @file that begins with @key and a blank. */
bool kvm_dir_line(const char *dir, const char *file, const char *key,
		  char *rest, size_t size);

#endif /* KVM_VM_H */
