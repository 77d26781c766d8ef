// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which exits are the implant's, and what comes of them. In the vCPU's own thread.
 */
#include "cr3.h"
#include "debugreg.h"
#include "filter.h"
#include "frame.h"
#include "interrupt.h"
#include "leave.h"
#include "life.h"
#include "mmu.h"
#include "x86.h"

/* The engine when it was detached for that: until it is dropped, d->splicer stays. */
static struct kvm_dmp_engine *finish(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	mutex_lock(&vm->engine_lock);
	kvm_dmp_finish(vcpu);
	if (vm->engaged)
		e = kvm_dmp_engine_check(vcpu->kvm);
	mutex_unlock(&vm->engine_lock);
	return e;
}

/*
 * A single-step trap in a stub that has done nothing yet: the step is to be
 * over the instruction itself, and no stub would ever get there.
 */
static bool single_step(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (d->left.kind != DMP_LEFT_HOME ||
	    d->left.stub.phase != DMP_STUB_RESTART ||
	    d->left.stub.rip != d->left.site->rip ||
	    !(static_call(kvm_x86_get_rflags)(vcpu) & X86_EFLAGS_TF))
		return false;
	kvm_dmp_be_idle(d);
	*ret = kvm_emulate_instruction(vcpu, 0);
	return true;
}

/*
 * A fault that could not be delivered: perhaps for our tables, since the CPU
 * itself wrote a page table. The instruction runs again, on KVM's; should it be
 * the guest's own #DF, it comes again. What else was being delivered is in
 * KVM's queue.
 */
static void double_fault(struct kvm_vcpu *vcpu)
{
	kvm_dmp_give_up(vcpu, DMP_REASON_DOUBLE_FAULT);
	if (vcpu->arch.exception.injected &&
	    vcpu->arch.exception.vector == PF_VECTOR)
		kvm_clear_exception_queue(vcpu);
}

/* In the fast path it was served already, but the vCPU may not enter yet. */
static int stub_asks(struct kvm_vcpu *vcpu, fastpath_t fastpath)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (d->left.stub.cr3 != DMP_REG_NONE && fastpath == EXIT_FASTPATH_NONE)
		return kvm_dmp_write_cr3(vcpu);
	d->resume = d->left.site;
	return 1;
}

/* The exit is one that the stub wants: for its hypercall, or its MOV to CR3. */
static bool is_stubs(const struct kvm_dmp_vcpu *d, enum kvm_dmp_event event)
{
	return event == KVM_DMP_HYPERCALL ||
	       (event == KVM_DMP_CR3 && d->left.stub.cr3 != DMP_REG_NONE);
}

/* False: it is KVM's as well. */
static bool handle_event(struct kvm_vcpu *vcpu, enum kvm_dmp_event event,
			 u32 info, int *ret)
{
	switch (event) {
	case KVM_DMP_BREAKPOINT:
		return kvm_dmp_breakpoint(vcpu, ret);
	case KVM_DMP_UNDEFINED:
		return kvm_dmp_entered_inside(vcpu);
	case KVM_DMP_DEBUG:
		return single_step(vcpu, ret);
	case KVM_DMP_SOFT_INT:
		return kvm_dmp_software_interrupt(vcpu, ret);
	case KVM_DMP_FAULT:
		kvm_queue_exception_e(vcpu, info >> 16, (u16)info);
		return true;
	case KVM_DMP_DOUBLE_FAULT:
		double_fault(vcpu);
		return true;
	case KVM_DMP_DR:
		kvm_dmp_be_idle(vcpu->arch.dmp);
		return kvm_dmp_move_dr(vcpu, info, ret);
	case KVM_DMP_IDT:
	case KVM_DMP_IDT_LOADED:
		kvm_dmp_give_up(vcpu, DMP_REASON_IDT);
		return event == KVM_DMP_IDT;
	case KVM_DMP_CR3:
		kvm_dmp_cr3_trapped(vcpu);
		return false;
	default:
		return false;
	}
}

/* Of the exit of a vCPU that has left the implant; nothing is unfinished. */
static bool handle_left(struct kvm_vcpu *vcpu, fastpath_t fastpath, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	enum kvm_dmp_event event;
	u32 info = 0;

	switch (d->left.kind) {
	case DMP_LEFT_FAULT_ASKED:
		*ret = kvm_dmp_filter_asks(vcpu);
		return true;
	case DMP_LEFT_UNWIND:
		return false;
	case DMP_LEFT_FAULT_BEGUN:
		kvm_dmp_note_begun(vcpu);
		return false;
	case DMP_LEFT_HOME:
	case DMP_LEFT_OUTSIDE:
		break;
	}
	event = static_call(kvm_x86_dmp_event)(vcpu, &info);
	if (d->left.kind == DMP_LEFT_HOME && is_stubs(d, event)) {
		kvm_dmp_charge_to(vcpu, d->left.site->rip, 0);
		*ret = stub_asks(vcpu, fastpath);
		return true;
	}
	if (!vcpu->arch.exception.pending && !vcpu->arch.exception.injected)
		d->injected.pending = false;
	return handle_event(vcpu, event, info, ret);
}

/*
 * Finishing may end the engagement. The splicer, which is in use until the exit is
 * handled, goes after that; what is left for the next entry goes with it.
 */
static bool handle_exit(struct kvm_vcpu *vcpu, fastpath_t fastpath, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct kvm_dmp_engine *e = NULL;
	bool handled;

	*ret = 1;
	if (d->left.kind == DMP_LEFT_UNWIND)
		kvm_dmp_resume_interrupted(vcpu, sizeof(u64));
	if (d->left.unfinished)
		e = finish(vcpu);
	handled = handle_left(vcpu, fastpath, ret);
	if (e) {
		d->resume = NULL;
		kvm_dmp_engine_drop(e);
	}
	return handled;
}

int __kvm_dmp_handle_exit(struct kvm_vcpu *vcpu, fastpath_t fastpath)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	bool handled = false;
	int ret = 1;

	/* Noted already: served in the fast path. */
	if (vcpu->arch.dmp_exit.meta)
		__kvm_dmp_leave(vcpu);
	else
		kvm_dmp_exit_begin(vcpu);
	if (d && d->busy) {
		handled = handle_exit(vcpu, fastpath, &ret);
		kvm_dmp_be_idle(d);
	}
	if (!handled)
		ret = static_call(kvm_x86_handle_exit)(vcpu, fastpath);
	__kvm_dmp_exit_end(vcpu);
	return ret;
}
