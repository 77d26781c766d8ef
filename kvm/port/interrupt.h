/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Breakpoints and software interrupts: a splice's, or the guest's own. In the vCPU's own
 * thread, outside of the implant; true: handled, *@ret as an exit handler returns.
 */
#ifndef KVM_DMP_INTERRUPT_H
#define KVM_DMP_INTERRUPT_H

#include "state.h"

/* A #BP, RIP at it. */
bool kvm_dmp_breakpoint(struct kvm_vcpu *vcpu, int *ret);

/*
 * INT3, INT n or INTO, where they all exit as the second. They may have prefixes.
 * What is not there any more faults when it runs again.
 */
bool kvm_dmp_software_interrupt(struct kvm_vcpu *vcpu, int *ret);

/* It came to the middle of an instruction in a splice, where others lie; now undone. */
bool kvm_dmp_entered_inside(struct kvm_vcpu *vcpu);

/*
 * Disengage, if nobody has, while an exit of this vCPU is handled. It is idle then:
 * whoever disengages at the same time waits for that. And it may have an engine to drop
 * itself (handle_exit()), which kvm_dmp_disengage() would wait for.
 */
void kvm_dmp_give_up(struct kvm_vcpu *vcpu, enum dmp_reason why);

#endif /* KVM_DMP_INTERRUPT_H */
