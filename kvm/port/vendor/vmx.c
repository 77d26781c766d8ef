// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: what its exits mean to the port, and what exits. Part of kvm-intel.ko.
 * Volume and section: Intel SDM.
 *
 * #PF does not exit while spliced, as on AMD-V. What VT-x could tell apart by
 * its error code is too coarse to be of use: of the kernel's faults on present
 * pages most are the guest's own or wait for A or D, which the agent settles
 * without an exit; a table or MMIO looks the same.
 */
#include <linux/kvm_host.h>

#include "state.h"
#include "vmx/vmx.h"
#include "x86.h"

#define CR3_ACCESS	3	/* of CONTROL_REG_ACCESS_NUM */

/* Vol. 3C, 24.6.2: descriptor-table exiting. */
static bool lidt_exits(void)
{
	return vmcs_config.cpu_based_2nd_exec_ctrl & SECONDARY_EXEC_DESC;
}

const struct kvm_dmp_vendor vmx_dmp_vendor = {
	.isa = "vmx",
	.hypercall = { 0x0f, 0x01, 0xc1 },	/* VMCALL */
	.write_cr3 = DMP_META(EXIT_REASON_CR_ACCESS, CR3_ACCESS, 0),
	.lidt_exits = lidt_exits,
	.counted = {
		{ EXIT_REASON_CPUID, EXIT_REASON_CPUID },
		{ EXIT_REASON_CR_ACCESS, EXIT_REASON_CR_ACCESS },
		{ EXIT_REASON_INVLPG, EXIT_REASON_INVLPG },
	},
};

void vmx_dmp_exit_begin(struct kvm_vcpu *vcpu)
{
	u32 code = to_vmx(vcpu)->exit_reason.basic;
	u32 arg = 0;

	switch (code) {
	case EXIT_REASON_EXCEPTION_NMI:
		arg = vmx_get_intr_info(vcpu) & INTR_INFO_VECTOR_MASK;
		break;
	case EXIT_REASON_CR_ACCESS:
		arg = vmx_get_exit_qual(vcpu) & CONTROL_REG_ACCESS_NUM;
		break;
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
		arg = vcpu->arch.regs[VCPU_REGS_RCX];
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		arg = vmx_get_exit_qual(vcpu) >> 16;
		break;
	}
	kvm_dmp_exit_is(vcpu, kvm_rip_read(vcpu), code, arg, vmx_get_cpl(vcpu));
}

/* Vol. 3C, 24.9.2 (VM-exit interruption information). */
static enum kvm_dmp_event exception(struct kvm_vcpu *vcpu, u32 *info)
{
	u32 intr = vmx_get_intr_info(vcpu), vector = intr & INTR_INFO_VECTOR_MASK;

	switch (intr & INTR_INFO_INTR_TYPE_MASK) {
	case INTR_TYPE_HARD_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		break;
	default:
		return KVM_DMP_OTHER;	/* NMI; #DB of INT1 */
	}
	switch (vector) {
	case DB_VECTOR:
		return KVM_DMP_DEBUG;
	case BP_VECTOR:
		/* Should it be injected again: vmx_inject_exception(). */
		vcpu->arch.event_exit_inst_len =
			vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
		return KVM_DMP_BREAKPOINT;
	case UD_VECTOR:
		return KVM_DMP_UNDEFINED;
	case SS_VECTOR:
	case GP_VECTOR:
		if (vector == GP_VECTOR && enable_vmware_backdoor)
			return KVM_DMP_OTHER;
		*info = KVM_DMP_FAULT_INFO(vector,
					   vmcs_read32(VM_EXIT_INTR_ERROR_CODE));
		return KVM_DMP_FAULT;
	case DF_VECTOR:
		return KVM_DMP_DOUBLE_FAULT;
	default:
		return KVM_DMP_OTHER;
	}
}

/* Exit qualifications: vol. 3C, 27.2.1. */
static enum kvm_dmp_event event(struct kvm_vcpu *vcpu, u32 *info)
{
	unsigned long qual;

	switch (to_vmx(vcpu)->exit_reason.basic) {
	case EXIT_REASON_VMCALL:
		return KVM_DMP_HYPERCALL;
	case EXIT_REASON_EXCEPTION_NMI:
		return exception(vcpu, info);
	case EXIT_REASON_CR_ACCESS:
		return (vmx_get_exit_qual(vcpu) & CONTROL_REG_ACCESS_NUM) ==
		       CR3_ACCESS ? KVM_DMP_CR3 : KVM_DMP_OTHER;
	case EXIT_REASON_DR_ACCESS:
		qual = vmx_get_exit_qual(vcpu);
		*info = (qual & DEBUG_REG_ACCESS_NUM) |
			(qual & TYPE_MOV_FROM_DR ? 0 : KVM_DMP_DR_WRITE) |
			KVM_DMP_DR_KNOWN_GPR |
			DEBUG_REG_ACCESS_REG(qual) << KVM_DMP_DR_GPR_SHIFT;
		return KVM_DMP_DR;
	case EXIT_REASON_GDTR_IDTR:
		/* Table 27-10: 2 LGDT, 3 LIDT, else stores. */
		return (vmcs_read32(VMX_INSTRUCTION_INFO) >> 28 & 3) == 3 ?
		       KVM_DMP_IDT : KVM_DMP_OTHER;
	default:
		return KVM_DMP_OTHER;
	}
}

static u64 idt_is(void)
{
	return vmcs_readl(GUEST_IDTR_BASE) ^
	       (u64)vmcs_read32(GUEST_IDTR_LIMIT) << 48;
}

/*
 * Not all that have VT-x let LIDT exit: the IDT is looked at here. Exits that
 * are an instruction's or a fault's come again when that is run again.
 */
int vmx_dmp_event(struct kvm_vcpu *vcpu, u32 *info)
{
	enum kvm_dmp_event is = event(vcpu, info);

	if (likely(idt_is() == vcpu->arch.dmp->idt))
		return is;
	return is == KVM_DMP_OTHER || is == KVM_DMP_DEBUG ? KVM_DMP_IDT_LOADED :
							    KVM_DMP_IDT;
}

/* vmx_update_exception_bitmap() has the exceptions. */
void vmx_dmp_intercepts(struct kvm_vcpu *vcpu, bool spliced)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (spliced) {
		exec_controls_clearbit(vmx, CPU_BASED_INVLPG_EXITING);
		vcpu->arch.dmp->idt = idt_is();
	} else {
		exec_controls_setbit(vmx, CPU_BASED_INVLPG_EXITING);
		vmcs_write32(CR3_TARGET_COUNT, 0);
	}
	if (!vmx_umip_emulated())
		return;
	if (spliced)
		secondary_exec_controls_setbit(vmx, SECONDARY_EXEC_DESC);
	else if (boot_cpu_has(X86_FEATURE_UMIP) ||
		 !kvm_read_cr4_bits(vcpu, X86_CR4_UMIP))
		secondary_exec_controls_clearbit(vmx, SECONDARY_EXEC_DESC);
}

/*
 * Let @count values of CR3 pass: vol. 3C, 24.6.7. With none, how many could be
 * is returned (vol. 3D, A.6).
 */
int vmx_dmp_set_targets(struct kvm_vcpu *vcpu, const u64 *values, int count)
{
	u64 misc;
	int i;

	for (i = 0; i < count; i++)
		vmcs_writel(CR3_TARGET_VALUE0 + 2 * i, values[i]);
	vmcs_write32(CR3_TARGET_COUNT, count);
	if (count)
		return count;
	rdmsrl(MSR_IA32_VMX_MISC, misc);
	return vmx_misc_cr3_count(misc);
}

static fastpath_t cpuid_irqoff(struct kvm_vcpu *vcpu)
{
	if (!is_64_bit_mode(vcpu))
		return EXIT_FASTPATH_NONE;
	return __kvm_dmp_cpuid_irqoff(vcpu, kvm_rip_read(vcpu) +
					    vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
}

/* A single step is to end where it does, an interrupt shadow as well. */
fastpath_t vmx_dmp_irqoff(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (vmx_get_rflags(vcpu) & X86_EFLAGS_TF || vmx_get_interrupt_shadow(vcpu))
		return EXIT_FASTPATH_NONE;
	if (to_vmx(vcpu)->exit_reason.basic == EXIT_REASON_CPUID)
		return cpuid_irqoff(vcpu);
	/* As on the way out: note_switch(). */
	if (d && d->inside && d->splicer->targets)
		vcpu->arch.cr3 = d->splicer->implant->guest_cr3;
	return __kvm_dmp_hypercall_irqoff(vcpu);
}
