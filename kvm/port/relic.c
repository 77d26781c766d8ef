// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest goes to where a splice led in an engagement that is over: it has kept
 * the splice's bytes (engine/splicer/relic.h). The instruction that was replaced is emulated,
 * and the guest goes on behind it. Or it has written one of those bytes back, and goes
 * where that leads: the byte is put right. In the vCPU's own thread, engaged or not.
 */
#include "relic.h"
#include "splicer/relic.h"
#include "mmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"

/* As the kernel of the guest's; no relic is on two pages. */
static bool read_place(struct kvm_vcpu *vcpu, const struct dmp_relic *relic,
		       u8 *now)
{
	gpa_t gpa = kvm_mmu_gva_to_gpa_system(vcpu, relic->rip, NULL);

	return gpa != INVALID_GPA &&
	       !kvm_vcpu_read_guest(vcpu, gpa, now, relic->len);
}

const struct dmp_relic *kvm_dmp_relic_at(struct kvm_vcpu *vcpu, u64 gva)
{
	const struct dmp_relic *relic;
	u8 now[DMP_SPLICE_BYTES_MAX];

	relic = dmp_relic_at(READ_ONCE(vcpu->kvm->arch.dmp->relics), gva);
	/* By now the guest may have something of its own there, or here. */
	if (!relic || is_guest_mode(vcpu) || static_call(kvm_x86_get_cpl)(vcpu) ||
	    kvm_mmu_gva_to_gpa_system(vcpu, gva, NULL) != INVALID_GPA ||
	    !read_place(vcpu, relic, now) || !dmp_relic_is_there(relic, now))
		return NULL;
	return relic;
}

int kvm_dmp_run_relic(struct kvm_vcpu *vcpu, const struct dmp_relic *relic)
{
	vcpu->kvm->arch.dmp->relic_runs++;
	kvm_dmp_charge_to(vcpu, relic->rip, 0);
	kvm_rip_write(vcpu, relic->rip);
	return kvm_emulate_instruction_from_buffer(vcpu, (void *)relic->original,
						   relic->insn_len);
}

const struct dmp_relic *kvm_dmp_relic_astray(struct kvm_vcpu *vcpu, u64 gva)
{
	const struct dmp_relic *relic;
	u8 now[DMP_SPLICE_BYTES_MAX];

	relic = dmp_relic_astray(READ_ONCE(vcpu->kvm->arch.dmp->relics), gva);
	if (!relic || is_guest_mode(vcpu) || static_call(kvm_x86_get_cpl)(vcpu) ||
	    !read_place(vcpu, relic, now) || !dmp_relic_is_astray(relic, now))
		return NULL;
	return relic;
}

/*
 * Who has just written a byte may look whether it is there, with interrupts disabled
 * until then; and what it calls may be this very instruction (Linux's __text_poke(),
 * which loads CR3 twice, and has a BUG() for it). Others never enable them where they
 * run it: these have come by more often than that.
 */
static bool may_repair(struct kvm_vcpu *vcpu, const struct dmp_relic *relic)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;

	if (vm->astray != relic->rip)
		vm->astray_times = 0;
	vm->astray = relic->rip;
	return kvm_get_rflags(vcpu) & X86_EFLAGS_IF ||
	       ++vm->astray_times > KVM_DMP_ASTRAY_MOST;
}

int kvm_dmp_lead_back(struct kvm_vcpu *vcpu, const struct dmp_relic *relic)
{
	gpa_t gpa;

	if (!may_repair(vcpu, relic))
		return kvm_dmp_run_relic(vcpu, relic);
	vcpu->kvm->arch.dmp->relic_repairs++;
	kvm_dmp_charge_to(vcpu, relic->rip, 0);
	kvm_rip_write(vcpu, relic->rip);
	gpa = kvm_mmu_gva_to_gpa_system(vcpu, relic->rip, NULL);
	if (gpa != INVALID_GPA)
		emulator_write_phys(vcpu, gpa, relic->original, 1);
	return 1;
}

bool __kvm_dmp_relic_fault(struct kvm_vcpu *vcpu, u64 gva, int *ret)
{
	const struct dmp_relic *relic;

	if (kvm_rip_read(vcpu) != gva)
		return false;
	relic = kvm_dmp_relic_at(vcpu, gva);
	if (relic) {
		*ret = kvm_dmp_run_relic(vcpu, relic);
		return true;
	}
	relic = kvm_dmp_relic_astray(vcpu, gva);
	if (relic)
		*ret = kvm_dmp_lead_back(vcpu, relic);
	return relic;
}
