/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame that the CPU has made for a page fault, while the vCPU stands at the
 * guest's handler. In the vCPU's own thread.
 */
#ifndef KVM_DMP_FRAME_H
#define KVM_DMP_FRAME_H

#include "state.h"

/* What the CPU pushes, and the error code above; SDM vol. 3, 6.14.2. */
struct fault_frame {
	u64 error_code;
	u64 rip, cs, rflags, rsp, ss;
};

/* User mode may have jumped to the implant: its RIP is its own. */
static inline bool kvm_dmp_is_users(const struct fault_frame *frame)
{
	return (frame->cs & 3) == 3;
}

/* Where the fault was taken, as the guest is to see it. */
u64 kvm_dmp_frame_home(struct kvm_vcpu *vcpu, const struct fault_frame *frame);

/*
 * As IRET would (SDM vol. 2A): @rip, and CS, RFLAGS, RSP, SS from @f; all that is the
 * implant's in it becomes the guest's. False when the guest's memory is not there, or
 * a segment is none: then its next step faults likewise.
 */
bool kvm_dmp_unwind(struct kvm_vcpu *vcpu, u64 rip, const struct fault_frame *f);

/*
 * The frame at RSP, its first @skip bytes aside, which are gone from the stack. False:
 * the guest's memory is not there.
 */
bool kvm_dmp_read_frame(struct kvm_vcpu *vcpu, unsigned int skip,
			struct fault_frame *frame);

/*
 * The vCPU is at its #PF handler, and the filter has still to look at the
 * fault. Should the splice be gone before it does, the guest would see what
 * may be a hidden one: then the fault is unwound instead, and taken again.
 */
void kvm_dmp_note_begun(struct kvm_vcpu *vcpu);

/* The splice goes: if the vCPU is still there, the fault is taken again. */
void kvm_dmp_unwind_begun(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_FRAME_H */
