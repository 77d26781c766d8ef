/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which guests can run on machine tables, and how these are to read.
 */
#ifndef KVM_DMP_ELIGIBLE_H
#define KVM_DMP_ELIGIBLE_H

#include "state.h"

/* Why not, as far as it can be told without the vCPU; DMP_REASON_NONE: they can. */
enum dmp_reason kvm_dmp_vm_refusal(struct kvm *kvm);

/* Likewise, by what the vCPU does at this moment; its own thread. */
enum dmp_reason kvm_dmp_vcpu_refusal(struct kvm_vcpu *vcpu);

/* The vCPU's paging mode and its CPU's; not refused; its own thread. */
struct dmp_paging kvm_dmp_vcpu_paging(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_ELIGIBLE_H */
