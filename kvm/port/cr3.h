/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's CR3, where MOV to and from it are replaced.
 */
#ifndef KVM_DMP_CR3_H
#define KVM_DMP_CR3_H

#include "state.h"

/* The guest is to read what vcpu->arch.cr3 is, just taken into use; engine_lock. */
void kvm_dmp_show_cr3(struct kvm_vcpu *vcpu);

/* The instruction at RIP has exited for one, and may be replaced. */
void kvm_dmp_cr3_trapped(struct kvm_vcpu *vcpu);

/* Do the MOV to CR3 that @left says; as an exit handler. */
int kvm_dmp_write_cr3(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_CR3_H */
