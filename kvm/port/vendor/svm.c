// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-V: what its exits mean to the port, and what exits. Part of kvm-amd.ko.
 * Volume and section: AMD APM.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

#include "dmp.h"
#include "svm/svm.h"
#include "x86.h"

const struct kvm_dmp_vendor svm_dmp_vendor = {
	.isa = "svm",
	.hypercall = { 0x0f, 0x01, 0xd9 },	/* VMMCALL */
	.write_cr3 = DMP_META(SVM_EXIT_WRITE_CR3, 0, 0),
	.counted = {
		{ SVM_EXIT_CPUID, SVM_EXIT_CPUID },
		{ SVM_EXIT_READ_CR0, SVM_EXIT_WRITE_CR0 + 15 },
		{ SVM_EXIT_INVLPG, SVM_EXIT_INVLPG },
	},
};

void svm_dmp_exit_begin(struct kvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	u32 code = vmcb->control.exit_code;
	u32 arg = 0;

	BUILD_BUG_ON(SVM_EXIT_MSR - SVM_EXIT_IOIO - 1);
	if (unlikely(code - SVM_EXIT_IOIO <= 1))
		arg = code == SVM_EXIT_MSR ? vcpu->arch.regs[VCPU_REGS_RCX] :
					     vmcb->control.exit_info_1 >> 16;
	kvm_dmp_exit_is(vcpu, vcpu->arch.regs[VCPU_REGS_RIP], code, arg,
			vmcb->save.cpl);
}

/* #GP stays KVM's: it may be of a nested hypervisor's instruction. */
int svm_dmp_event(struct kvm_vcpu *vcpu, u32 *info)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	switch (control->exit_code) {
	case SVM_EXIT_VMMCALL:
		return KVM_DMP_HYPERCALL;
	case SVM_EXIT_READ_CR3:
	case SVM_EXIT_WRITE_CR3:
		return KVM_DMP_CR3;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_WRITE_DR7:
		BUILD_BUG_ON(SVM_EXIT_WRITE_DR0 - SVM_EXIT_READ_DR0 !=
			     KVM_DMP_DR_WRITE);
		*info = control->exit_code - SVM_EXIT_READ_DR0;
		return KVM_DMP_DR;
	case SVM_EXIT_EXCP_BASE + DB_VECTOR:
		return KVM_DMP_DEBUG;
	case SVM_EXIT_EXCP_BASE + BP_VECTOR:
		return KVM_DMP_BREAKPOINT;
	case SVM_EXIT_EXCP_BASE + UD_VECTOR:
		return KVM_DMP_UNDEFINED;
	case SVM_EXIT_SWINT:
		return KVM_DMP_SOFT_INT;
	case SVM_EXIT_EXCP_BASE + SS_VECTOR:
		*info = KVM_DMP_FAULT_INFO(SS_VECTOR, control->exit_info_1);
		return KVM_DMP_FAULT;
	case SVM_EXIT_EXCP_BASE + DF_VECTOR:
		return KVM_DMP_DOUBLE_FAULT;
	case SVM_EXIT_IDTR_WRITE:
		return KVM_DMP_IDT;
	default:
		return KVM_DMP_OTHER;
	}
}

void svm_dmp_intercepts(struct kvm_vcpu *vcpu, bool spliced)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (spliced) {
		clr_exception_intercept(svm, PF_VECTOR);
		svm_clr_intercept(svm, INTERCEPT_INVLPG);
		set_exception_intercept(svm, DF_VECTOR);
		set_exception_intercept(svm, SS_VECTOR);
		set_exception_intercept(svm, GP_VECTOR);
		svm_set_intercept(svm, INTERCEPT_LOAD_IDTR);
		if (kvm_dmp_int3_is_swint())
			svm_set_intercept(svm, INTERCEPT_INTn);
	} else {
		set_exception_intercept(svm, PF_VECTOR);
		svm_set_intercept(svm, INTERCEPT_INVLPG);
		clr_exception_intercept(svm, DF_VECTOR);
		clr_exception_intercept(svm, SS_VECTOR);
		/* A guest with SVM may need it: svm_set_efer(). */
		if (!enable_vmware_backdoor && !(vcpu->arch.efer & EFER_SVME))
			clr_exception_intercept(svm, GP_VECTOR);
		svm_clr_intercept(svm, INTERCEPT_LOAD_IDTR);
		svm_clr_intercept(svm, INTERCEPT_INTn);
	}
}

static fastpath_t cpuid_irqoff(struct kvm_vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;

	if (!(vmcb->save.cs.attrib & SVM_SELECTOR_L_MASK))
		return EXIT_FASTPATH_NONE;
	return __kvm_dmp_cpuid_irqoff(vcpu, static_cpu_has(X86_FEATURE_NRIPS) ?
					    vmcb->control.next_rip : 0);
}

/*
 * What is not for the slow path: a single step is to end where it does, an interrupt
 * shadow and an NMI's IRET as well, and svm_complete_interrupts() tells by RIP whether
 * an INT n that was injected has been taken.
 */
static bool may_answer(struct kvm_vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb *vmcb = svm->vmcb;

	return !is_guest_mode(vcpu) && !svm->soft_int_injected &&
	       !(vcpu->arch.hflags & HF_IRET_MASK) &&
	       !(vmcb->save.rflags & X86_EFLAGS_TF) &&
	       !(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK);
}

/*
 * Who wants the vCPU to leave the guest sends an interrupt, which ends VMRUN before an
 * instruction is executed. What comes of the answer itself, as a wakeup on this CPU,
 * does not.
 */
static bool has_to_leave(struct kvm_vcpu *vcpu)
{
	return kvm_request_pending(vcpu) || xfer_to_guest_mode_work_pending();
}

/*
 * Behind VMRUN, with GIF still clear: of what svm_vcpu_run() does around it nothing is
 * needed to go back, but for an ASID and what is set up here. The VMCB is dirty then,
 * and may ask for a flush, so VMRUN has to come next whatever else is to be done: what
 * svm_vcpu_run() does behind it makes all clean.
 */
bool svm_dmp_irqoff(struct kvm_vcpu *vcpu)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	fastpath_t fastpath;

	if (!kvm_dmp_spliced(vcpu) || !may_answer(vcpu))
		return false;
	vcpu->arch.regs[VCPU_REGS_RAX] = vmcb->save.rax;
	vcpu->arch.regs[VCPU_REGS_RSP] = vmcb->save.rsp;
	vcpu->arch.regs[VCPU_REGS_RIP] = vmcb->save.rip;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	vmcb_mark_all_clean(vmcb);
	if (vmcb->control.exit_code == SVM_EXIT_CPUID)
		fastpath = cpuid_irqoff(vcpu);
	else
		fastpath = __kvm_dmp_hypercall_irqoff(vcpu);
	if (fastpath == EXIT_FASTPATH_NONE)
		return false;
	__kvm_dmp_reenter(vcpu);
	vmcb->save.rax = vcpu->arch.regs[VCPU_REGS_RAX];
	vmcb->save.rip = vcpu->arch.regs[VCPU_REGS_RIP];
	/* As svm_vcpu_run() does to leave at once. */
	if (has_to_leave(vcpu))
		smp_send_reschedule(vcpu->cpu);
	return true;
}
