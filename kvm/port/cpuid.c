// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID while instructions are replaced: an exec of a static program has more than
 * thirty. Answered with interrupts off, on the way back into the guest, where KVM may
 * read no guest memory to find the next instruction; what has just been executed is
 * found by the machine tables. In the vCPU's own thread.
 */
#include "state.h"
#include "cpuid.h"
#include "pmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"
#include "splicer/leave.h"

#define INSN		0xa20f		/* CPUID without prefixes: 0f a2 */
#define INSN_BYTES	2

static bool is_cpuid(struct kvm_vcpu *vcpu, u64 rip)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	const struct dmp_mmu *mmu;
	const u16 *at = NULL;
	bool is;

	/* Does not wait: who holds it may wait for this vCPU to leave. */
	if (!mutex_trylock(&vm->engine_lock))
		return false;
	mmu = &vm->engine->mmu;
	if (vm->engaged && d->root_valid && mmu->splicer == d->splicer)
		at = dmp_mmu_at(mmu, rip, INSN_BYTES);
	is = at && READ_ONCE(*at) == INSN;
	mutex_unlock(&vm->engine_lock);
	return is;
}

/*
 * A mark is left to the slow path: it tells how many exits are over, its own too.
 * So is a CPUID that may have to fault.
 */
fastpath_t __kvm_dmp_cpuid_irqoff(struct kvm_vcpu *vcpu, u64 next_rip)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u32 eax = kvm_rax_read(vcpu), ebx, ecx = kvm_rcx_read(vcpu), edx;
	u64 rip = kvm_rip_read(vcpu);

	if (!d || !d->inside || vcpu->guest_debug || dmp_splicer_has(d->splicer, rip) ||
	    vcpu->arch.msr_misc_features_enables || kvm_dmp_is_mark(eax) ||
	    /* KVM would count it for the guest, for which it takes its time. */
	    vcpu_to_pmu(vcpu)->event_count)
		return EXIT_FASTPATH_NONE;
	if (!next_rip) {
		if (!is_cpuid(vcpu, rip))
			return EXIT_FASTPATH_NONE;
		next_rip = rip + INSN_BYTES;
	}
	static_call(kvm_x86_dmp_exit_begin)(vcpu);
	kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, false);
	kvm_rax_write(vcpu, eax);
	kvm_rbx_write(vcpu, ebx);
	kvm_rcx_write(vcpu, ecx);
	kvm_rdx_write(vcpu, edx);
	kvm_rip_write(vcpu, next_rip);
	return EXIT_FASTPATH_REENTER_GUEST;
}
EXPORT_SYMBOL_GPL(__kvm_dmp_cpuid_irqoff);
