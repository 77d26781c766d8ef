/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the vCPU runs with the implant: how that begins and ends.
 */
#ifndef KVM_DMP_IMPLANT_H
#define KVM_DMP_IMPLANT_H

#include "state.h"

/* Begin, if nothing is against it; under engine_lock, engaged, with a root loaded. */
void kvm_dmp_splice_start(struct kvm_vcpu *vcpu);

/* End: nothing is the implant's any more, nor exits for it. In the vCPU's thread. */
void kvm_dmp_splice_stop(struct kvm_vcpu *vcpu);

/* Whether IDTR is not what it was at that start, in the vCPU's thread. */
bool kvm_dmp_has_other_idt(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_IMPLANT_H */
