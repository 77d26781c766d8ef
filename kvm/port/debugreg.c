// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's debug registers, where its instructions are replaced.
 *
 * A breakpoint on an instruction that a splice has displaced would not be
 * taken: its copy runs elsewhere. One on the #PF handler would be taken for
 * hidden faults, too. One on the data of a page table is not seen by a stub,
 * which writes by another address. All of these are addresses of the kernel's,
 * and rare: while such a breakpoint is armed nothing is replaced.
 */
#include "debugreg.h"
#include "life.h"
#include "x86.h"

#define DR7_ENABLED(i)	(3ull << 2 * (i))	/* SDM vol. 3, 17.2.4 */

static bool watches_kernel(struct kvm_vcpu *vcpu, u64 dr7)
{
	unsigned int i;

	for (i = 0; i < KVM_NR_DB_REGS; i++)
		if (dr7 & DR7_ENABLED(i) && vcpu->arch.db[i] >> 63)
			return true;
	return false;
}

/* What the guest does to debug registers that do not exit is not known yet. */
bool kvm_dmp_watches_kernel(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT ||
	       watches_kernel(vcpu, vcpu->arch.dr7);
}

/* The operand of the MOV to a debug register at RIP: [REX] 0F 23 /r. */
static bool read_operand(struct kvm_vcpu *vcpu, u32 info, u64 *value)
{
	struct x86_exception e;
	unsigned int rex = 0, i = 0;
	u8 insn[4];

	if (info & KVM_DMP_DR_KNOWN_GPR) {
		*value = kvm_register_read_raw(vcpu, info >> KVM_DMP_DR_GPR_SHIFT);
		return true;
	}
	if (kvm_read_guest_virt(vcpu, kvm_rip_read(vcpu), insn, sizeof(insn), &e))
		return false;
	if ((insn[0] & 0xf0) == 0x40)
		rex = insn[i++];
	if (insn[i] != 0x0f || insn[i + 1] != 0x23)
		return false;
	*value = kvm_register_read_raw(vcpu, (insn[i + 2] & 7) | (rex & 1) << 3);
	return true;
}

/*
 * A write of DR7 that arms a breakpoint in the kernel KVM handles as one of a VM
 * that is not spliced; which it then is.
 */
static bool arms(struct kvm_vcpu *vcpu, u32 info)
{
	u64 value;

	if (read_operand(vcpu, info, &value) && !watches_kernel(vcpu, value))
		return false;
	kvm_dmp_disengage(vcpu->kvm, DMP_REASON_DEBUG);
	return true;
}

/*
 * KVM would let all accesses that follow go unseen until the next exit, and one
 * of them is DR7. So each is emulated, for as long as the VM is spliced.
 */
bool kvm_dmp_move_dr(struct kvm_vcpu *vcpu, u32 info, int *ret)
{
	unsigned int dr = info & KVM_DMP_DR_NUMBER;
	bool writes = info & KVM_DMP_DR_WRITE;

	if (vcpu->guest_debug)
		return false;	/* all of them exit */
	if (writes && (dr == 5 || dr == 7)) {
		/* QEMU (7.2) arms breakpoints only by the instruction itself. */
		if (arms(vcpu, info) || kvm_dmp_int3_is_swint())
			return false;
	}
	*ret = kvm_emulate_instruction(vcpu, 0);
	if (writes && kvm_dmp_watches_kernel(vcpu))
		kvm_dmp_disengage(vcpu->kvm, DMP_REASON_DEBUG);
	return true;
}
