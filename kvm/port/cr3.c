// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's CR3 where MOV to and from it are replaced. A stub reads the value
 * from the implant's page, and loads CR3 by a hypercall, which is served with
 * interrupts off, on the way back into the guest, if the root is one that the
 * engine has ready; else like any load of CR3, only without KVM's emulator.
 * All in the vCPU's own thread.
 *
 * INV: while the vCPU is in the guest, with the implant, implant->guest_cr3 is
 * vcpu->arch.cr3. Who changes that has the root loaded anew, but for
 * switch_root(), which does both. Where the CPU lets chosen values pass, the stub
 * changes the former itself, and the latter follows at each exit, before anybody
 * looks (note_switch(), leave.c).
 */
#include "cr3.h"
#include "leave.h"
#include "life.h"
#include "splicer/leave.h"
#include "splicer/site_trap.h"
#include "splicer/target.h"
#include "mmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"

void kvm_dmp_show_cr3(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	lockdep_assert_held(&vcpu->kvm->arch.dmp->engine_lock);
	if (!d->splicer)
		return;
	d->splicer->implant->guest_cr3 = kvm_read_cr3(vcpu);
	d->followed_cr3 = kvm_read_cr3(vcpu);
}

/*
 * What kvm_set_cr3() and the next kvm_dmp_load() do, for a root that is ready.
 * Does not wait for the lock: who holds it may wait for this vCPU to leave.
 * Not audited by itself; the engine's next operation is, with what this did.
 */
static bool switch_root(struct kvm_vcpu *vcpu, u64 cr3)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct dmp_mmu *mmu;
	u64 hfn = 0;

	if (!mutex_trylock(&vm->engine_lock))
		return false;
	mmu = &vm->engine->mmu;
	/* A value with bits that CR3 may not have is no root's. */
	if (vm->engaged && mmu->splicer == d->splicer && !vm->flush_owed)
		hfn = dmp_mmu_switch_root(mmu, cr3 >> PAGE_SHIFT);
	if (hfn) {
		d->splicer->implant->guest_cr3 = cr3;
		vcpu->arch.cr3 = cr3;
		kvm_register_mark_dirty(vcpu, VCPU_EXREG_CR3);
		static_call(kvm_x86_load_mmu_pgd)(vcpu, PFN_PHYS(hfn),
						  mmu->paging.levels);
		vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
		if (static_branch_unlikely(&kvm_dmp_targets)) {
			d->followed_cr3 = cr3;
			dmp_target_settle(mmu);
		}
	}
	mutex_unlock(&vm->engine_lock);
	return hfn;
}

/* The hypercall counts as the MOV to CR3 at @rip. */
static void charge_write(struct kvm_vcpu *vcpu, u64 rip)
{
	vcpu->arch.dmp_exit.rip = rip;
	vcpu->arch.dmp_exit.meta = kvm_x86_ops.dmp->write_cr3;
	vcpu->arch.dmp_exit.kind = DMP_KIND_NONE;
}

/* As kvm_register_read_raw() without doubting @reg, which is the engine's. */
static u64 read_gpr(struct kvm_vcpu *vcpu, unsigned int reg)
{
	if (!kvm_register_is_available(vcpu, reg))
		static_call(kvm_x86_cache_reg)(vcpu, reg);
	return vcpu->arch.regs[reg];
}

fastpath_t __kvm_dmp_hypercall_irqoff(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	const struct dmp_cr3_call *call;
	u64 cr3;

	if (!d || !d->inside)
		return EXIT_FASTPATH_NONE;
	call = dmp_splicer_cr3_call(d->splicer, kvm_rip_read(vcpu));
	if (!call || !d->root_valid || vcpu->guest_debug ||
	    vcpu->arch.cr4 & X86_CR4_PCIDE)
		return EXIT_FASTPATH_NONE;
	cr3 = read_gpr(vcpu, call->reg);
	if (cr3 != vcpu->arch.cr3 && !switch_root(vcpu, cr3))
		return EXIT_FASTPATH_NONE;
	++vcpu->stat.tlb_flush;
	static_call(kvm_x86_flush_tlb_guest)(vcpu);
	charge_write(vcpu, call->home);
	kvm_rip_write(vcpu, call->rip + DMP_STUB_HYPERCALL);
	return EXIT_FASTPATH_REENTER_GUEST;
}
EXPORT_SYMBOL_GPL(__kvm_dmp_hypercall_irqoff);

/* Behind the instruction at @rip, which is in @site's splice. */
static u64 rip_behind(const struct dmp_site *site, u64 rip)
{
	const struct dmp_splice_plan *plan = &site->stub.plan;
	unsigned int i = 0;

	while (i < plan->count - 1 && site->rip + plan->insn[i].offset != rip)
		i++;
	return rip + plan->insn[i].length;
}

int kvm_dmp_write_cr3(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 cr3 = kvm_register_read_raw(vcpu, d->left.stub.cr3);
	u64 rip = kvm_rip_read(vcpu), behind = rip_behind(d->left.site, rip);

	charge_write(vcpu, rip);
	/* A step is to end behind it, and whoever debugs the guest to see it. */
	if (vcpu->guest_debug ||
	    static_call(kvm_x86_get_rflags)(vcpu) & X86_EFLAGS_TF) {
		kvm_dmp_be_idle(d);
		return kvm_emulate_instruction(vcpu, 0);
	}
	/* Refused: the fault is the instruction's, which is where RIP is. */
	if (kvm_set_cr3(vcpu, cr3)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	static_call(kvm_x86_set_interrupt_shadow)(vcpu, 0);
	kvm_rip_write(vcpu, behind);
	d->resume = d->left.site;
	return 1;
}

void kvm_dmp_cr3_trapped(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 rip = kvm_rip_read(vcpu);
	struct kvm_dmp_engine *e = NULL;

	mutex_lock(&vm->engine_lock);
	if (vm->engaged && vm->engine->mmu.splicer == d->splicer) {
		dmp_site_trap_cr3(&vm->engine->mmu, rip);
		d->resume = dmp_splicer_site(d->splicer, rip);
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	if (e)
		d->resume = NULL;
	kvm_dmp_engine_drop(e);
}
