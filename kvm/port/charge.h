/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which exits are charged to which guest instructions, and when.
 */
#ifndef KVM_DMP_CHARGE_H
#define KVM_DMP_CHARGE_H

#include "state.h"

/* Begin or end charging a VM's exits, under kvm_dmp_vm.lock. May sleep; -ENOMEM. */
int kvm_dmp_set_charging(struct kvm *kvm, bool on);

/* Begin with a vCPU that was made meanwhile. Likewise. */
int kvm_dmp_charge_vcpu(struct kvm_vcpu *vcpu);

/*
 * Forget all exits charged so far, at each vCPU's next exit. -ENODATA in mode
 * OFF: what was charged before is kept, and no exit would come by to drop it.
 */
int kvm_dmp_reset(struct kvm *kvm);

/* What the vCPU has counted and not charged yet is charged; its own thread. */
void kvm_dmp_drain(struct kvm_vcpu *vcpu);

/* The monitor as readers may see it: NULL when there is none or it is stale. */
const struct dmp_monitor *kvm_dmp_monitor_of(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_CHARGE_H */
