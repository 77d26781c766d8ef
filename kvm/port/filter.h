/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page faults that the filter asks the VMM about.
 */
#ifndef KVM_DMP_FILTER_H
#define KVM_DMP_FILTER_H

#include "state.h"

/* The vCPU is at the guest's handler, with the CPU's frame. As an exit handler. */
int kvm_dmp_filter_asks(struct kvm_vcpu *vcpu);

/*
 * The fault was hidden, and is over: back to where it was taken. The first @skip bytes
 * of the frame are gone from the stack.
 */
int kvm_dmp_resume_interrupted(struct kvm_vcpu *vcpu, unsigned int skip);

#endif /* KVM_DMP_FILTER_H */
