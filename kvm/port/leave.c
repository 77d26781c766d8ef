// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running with the implant: entering the guest, and taking the vCPU out of the implant at
 * each exit. In the vCPU's own thread, but for what waits for it.
 *
 * INV: after __kvm_dmp_leave() nobody finds RIP, a register or the frame of an exception to
 * be the implant's.
 */
#include "kvm_cache_regs.h"
#include "leave.h"
#include "mmu.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/target.h"
#include "x86.h"
#include "dmp_trace.h"

bool __kvm_dmp_spliced(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.dmp && vcpu->arch.dmp->splicer;
}
EXPORT_SYMBOL_GPL(__kvm_dmp_spliced);

/*
 * The guest goes on with an instruction that a splice has displaced: in the stub,
 * where the #BP would lead it, or has led it. Or with its #PF handler, behind
 * the filter. Not before the very entry to the guest, and not when an event is
 * delivered first, which must not see that: then it comes by again.
 */
static void go_on_in_implant(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 rip = kvm_rip_read(vcpu), to;

	if (d->deliver)
		to = rip == d->splicer->prologue.rip ?
		     d->splicer->deliver_gva : 0;
	else
		to = dmp_site_resume(d->resume, rip);
	d->resume = NULL;
	d->deliver = false;
	if (to && !vcpu->arch.exception.injected &&
	    !vcpu->arch.interrupt.injected && !vcpu->arch.nmi_injected)
		kvm_rip_write(vcpu, to);
}

/* The CPU is to know what stubs may load. */
static void tell_targets(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 value[DMP_TARGETS_MAX];
	u32 i;

	d->targets_version = d->splicer->targets_version;
	for (i = 0; i < d->splicer->targets_used; i++)
		value[i] = dmp_target_value(&d->splicer->target[i]);
	static_call(kvm_x86_dmp_set_targets)(vcpu, value, i);
}

void __kvm_dmp_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->splicer)
		return;
	WRITE_ONCE(d->busy, true);
	WRITE_ONCE(d->inside, true);
	d->begun.pending = false;
	if (d->resume || d->deliver)
		go_on_in_implant(vcpu);
	if (static_branch_unlikely(&kvm_dmp_targets) &&
	    d->targets_version != d->splicer->targets_version)
		tell_targets(vcpu);
}

void __kvm_dmp_reenter(struct kvm_vcpu *vcpu)
{
	++vcpu->stat.exits;
	kvm_dmp_exit_fast(vcpu);
	__kvm_dmp_enter(vcpu);
}
EXPORT_SYMBOL_GPL(__kvm_dmp_reenter);

static bool is_hypercall(struct kvm_vcpu *vcpu)
{
	u32 info;

	return static_call(kvm_x86_dmp_event)(vcpu, &info) == KVM_DMP_HYPERCALL;
}

static_assert(VCPU_REGS_RSP == 4 && VCPU_REGS_R15 == 15);

static void trace_leave(struct kvm_vcpu *vcpu, u64 rip, u64 home)
{
	u32 reason, intr, code;
	u64 info1, info2;

	if (!trace_kvm_dmp_leave_enabled())
		return;
	static_call(kvm_x86_get_exit_info)(vcpu, &reason, &info1, &info2, &intr,
					   &code);
	trace_kvm_dmp_leave(vcpu->vcpu_id, reason, rip, home,
			    &vcpu->arch.dmp->left);
}

/* Filter and agent had another root loaded; implant->root is the guest's own. */
static void come_back(struct kvm_vcpu *vcpu)
{
	const struct dmp_implant *implant = vcpu->arch.dmp->splicer->implant;

	static_call(kvm_x86_load_mmu_pgd)(vcpu, implant->root - implant->window,
					  implant->levels);
}

void kvm_dmp_leave_implant(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct dmp_filter_regs regs, was;
	unsigned int i;

	for (i = 0; i < 16; i++)
		regs.gpr[i] = kvm_register_read_raw(vcpu, i);
	regs.rip = kvm_rip_read(vcpu);
	regs.rflags = static_call(kvm_x86_get_rflags)(vcpu);
	was = regs;
	dmp_splicer_leave(d->splicer, &regs, is_hypercall(vcpu), &d->left);
	for (i = 0; i < 16; i++)
		if (regs.gpr[i] != was.gpr[i])
			kvm_register_write_raw(vcpu, i, regs.gpr[i]);
	if (regs.rip != was.rip)
		kvm_rip_write(vcpu, regs.rip);
	if (regs.rflags != was.rflags)
		static_call(kvm_x86_set_rflags)(vcpu, regs.rflags);
	if (d->left.away)
		come_back(vcpu);
	trace_leave(vcpu, was.rip, regs.rip);
}

/* User mode may stand at the implant's addresses, too, but never runs there. */
static bool is_in_implant(struct kvm_vcpu *vcpu)
{
	return dmp_splicer_has(vcpu->arch.dmp->splicer, kvm_rip_read(vcpu)) &&
	       !static_call(kvm_x86_get_cpl)(vcpu);
}

/*
 * The guest may have loaded CR3 by itself. That it did holds until the engine
 * has followed: the vCPU may enter again before that.
 */
static void note_switch(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 cr3 = d->splicer->implant->guest_cr3;

	d->left.switched = DMP_SWITCHED_NOT;
	if (cr3 == d->followed_cr3)
		return;
	vcpu->arch.cr3 = cr3;
	kvm_register_mark_dirty(vcpu, VCPU_EXREG_CR3);
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	d->left.switched = d->left.unfinished ? DMP_SWITCHED_TOO :
						DMP_SWITCHED_ONLY;
	d->left.unfinished = true;
}

void __kvm_dmp_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->inside)
		return;
	d->resume = NULL;
	d->deliver = false;
	if (likely(!is_in_implant(vcpu))) {
		d->left.kind = DMP_LEFT_OUTSIDE;
		d->left.unfinished = false;
	} else {
		kvm_dmp_leave_implant(vcpu);
	}
	if (static_branch_unlikely(&kvm_dmp_targets))
		note_switch(vcpu);
	smp_store_release(&d->inside, false);	/* pairs with wait_outside() */
}

void kvm_dmp_finish(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	lockdep_assert_held(&vm->engine_lock);
	if (!d->left.unfinished)
		return;
	d->left.unfinished = false;
	/* Without an engine there is nothing to follow. */
	if (!vm->engaged || vm->engine->mmu.splicer != d->splicer)
		return;
	d->followed_cr3 = d->splicer->implant->guest_cr3;
	dmp_splicer_finish(&vm->engine->mmu, &d->left);
}

/* It leaves on its way out of the guest, which takes no lock and never waits. */
static void wait_outside(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		/* Pairs with __kvm_dmp_leave(). */
		while (vcpu->arch.dmp && smp_load_acquire(&vcpu->arch.dmp->inside))
			cond_resched();
}

static bool is_busy(struct kvm_vcpu *vcpu)
{
	/* Pairs with kvm_dmp_be_idle(). */
	return vcpu->arch.dmp && smp_load_acquire(&vcpu->arch.dmp->busy);
}

void kvm_dmp_wait_idle(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		while (vcpu != kvm_get_running_vcpu() && is_busy(vcpu))
			cond_resched();
}

void kvm_dmp_finish_all(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	wait_outside(kvm);
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.dmp)
			kvm_dmp_finish(vcpu);
}
