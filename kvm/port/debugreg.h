/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's debug registers, where its instructions are replaced.
 */
#ifndef KVM_DMP_DEBUGREG_H
#define KVM_DMP_DEBUGREG_H

#include "state.h"

/* Whether a breakpoint of the guest's is in its kernel, or may be. */
bool kvm_dmp_watches_kernel(struct kvm_vcpu *vcpu);

/*
 * Its access to one, KVM_DMP_DR: a write may disengage. True: handled, with *@ret as an
 * exit handler returns.
 */
bool kvm_dmp_move_dr(struct kvm_vcpu *vcpu, u32 info, int *ret);

#endif /* KVM_DMP_DEBUGREG_H */
