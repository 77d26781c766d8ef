/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a VM is engaged: the policy's wishes, or somebody's.
 */
#ifndef KVM_DMP_ENGAGE_H
#define KVM_DMP_ENGAGE_H

#include "state.h"

/* What engaging needs of a VM that is being made. */
void kvm_dmp_engine_init_vm(struct kvm_dmp_vm *vm, struct kvm *kvm);

/*
 * Engage now, whatever the rate of faults. May sleep; returns 0 when engaged,
 * -EAGAIN on a refusal whose reason is in vm->policy, -EBUSY when the vCPU
 * does not run (it engages when it does), -EINVAL in mode off or monitor.
 */
int kvm_dmp_engage(struct kvm *kvm);

/*
 * Disengage at somebody's wish, and for KVM_DMP_HOLD_NS do not be engaged by
 * the rate of faults, or a busy guest would be so within a second.
 * kvm_dmp_engage() is not held back. Context as for kvm_dmp_disengage(), but
 * not under slots_lock.
 */
#define KVM_DMP_HOLD_NS	(60ull * NSEC_PER_SEC)
void kvm_dmp_stand_down(struct kvm *kvm);

#endif /* KVM_DMP_ENGAGE_H */
