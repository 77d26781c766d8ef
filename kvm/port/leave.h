/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a vCPU enters the guest with the implant, and is outside of it at each exit.
 */
#ifndef KVM_DMP_LEAVE_H
#define KVM_DMP_LEAVE_H

#include "state.h"

/* From here on d->splicer may go. */
static inline void kvm_dmp_be_idle(struct kvm_dmp_vcpu *d)
{
	smp_store_release(&d->busy, false);	/* pairs with kvm_dmp_wait_idle() */
}

/*
 * Take the vCPU out of the implant, at whose addresses it stands: what is left of that
 * is in .left. In its own thread.
 */
void kvm_dmp_leave_implant(struct kvm_vcpu *vcpu);

/*
 * Wait until no vCPU but the caller's own uses the splicer. All have been asked
 * to leave the guest, and the engine is detached.
 */
void kvm_dmp_wait_idle(struct kvm *kvm);

/*
 * A vCPU that is outside has left something undone: do it, under engine_lock.
 * finish_all() waits until they are outside, which they have been asked to be.
 */
void kvm_dmp_finish(struct kvm_vcpu *vcpu);
void kvm_dmp_finish_all(struct kvm *kvm);

#endif /* KVM_DMP_LEAVE_H */
