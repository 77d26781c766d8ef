/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Running on machine tables.
 */
#ifndef KVM_DMP_MACHINE_H
#define KVM_DMP_MACHINE_H

#include "state.h"

/*
 * A fault that was not the guest's is @kind: charge the exit and emulate the
 * instruction, or let it run again. As an exit handler returns. Without the lock.
 */
int kvm_dmp_fault_end(struct kvm_vcpu *vcpu, enum dmp_fault_kind kind,
		      gva_t gva, void *insn, int insn_len);

#endif /* KVM_DMP_MACHINE_H */
