// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults that the filter asks about, and those that KVM injects; see filter.h.
 */
#include "filter.h"
#include "frame.h"
#include "leave.h"
#include "life.h"
#include "machine.h"
#include "mmu.h"
#include "relic.h"
#include "splicer/leave.h"
#include "splicer/site_trap.h"
#include "x86.h"

void __kvm_dmp_injected(struct kvm_vcpu *vcpu, u64 address, u16 error_code)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->splicer)
		return;
	d->injected.pending = true;
	d->injected.address = address;
	d->injected.error_code = error_code;
}

int kvm_dmp_resume_interrupted(struct kvm_vcpu *vcpu, unsigned int skip)
{
	struct fault_frame frame;

	if (!kvm_dmp_read_frame(vcpu, skip, &frame) ||
	    !kvm_dmp_unwind(vcpu, kvm_dmp_frame_home(vcpu, &frame), &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	return 1;
}

static u32 frame_access(const struct fault_frame *frame)
{
	u32 access = frame->error_code & (DMP_PF_W | DMP_PF_U | DMP_PF_I);

	if (!(access & DMP_PF_U) && !kvm_dmp_is_users(frame) &&
	    frame->rflags & X86_EFLAGS_AC)
		access |= DMP_ACCESS_AC;
	return access;
}

/* To the guest's handler, with the frame mended. */
static int deliver(struct kvm_vcpu *vcpu, struct fault_frame *frame,
		   u64 error_code, u64 home)
{
	struct x86_exception e;
	struct fault_frame was = *frame;

	kvm_dmp_note(vcpu, DMP_KIND_PF_GUEST);
	++vcpu->stat.pf_guest;
	frame->error_code = error_code;
	frame->rip = home;
	vcpu->arch.dmp->deliver = true;
	if ((was.error_code != error_code || was.rip != home) &&
	    kvm_write_guest_virt_system(vcpu, kvm_rsp_read(vcpu), frame,
					2 * sizeof(u64), &e))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	return 1;
}

static bool is_injected(struct kvm_vcpu *vcpu, const struct fault_frame *frame)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	bool is = d->injected.pending &&
		  d->injected.address == vcpu->arch.cr2 &&
		  d->injected.error_code == (u16)frame->error_code;

	d->injected.pending = false;
	return is;
}

static bool is_exposed(struct kvm_vcpu *vcpu, const struct fault_frame *frame)
{
	return dmp_splicer_is_exposed(vcpu->arch.dmp->splicer, frame->rip, vcpu->arch.cr2);
}

/*
 * A fault in the agent, which takes none: something that it relies on does not
 * hold. Or of a stub that does not find the private region where it runs. What it was
 * doing is done by the VMM, and then it is over.
 */
static int implant_faulted(struct kvm_vcpu *vcpu, const struct fault_frame *frame)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	if (!kvm_dmp_unwind(vcpu, frame->rip, frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	kvm_dmp_leave_implant(vcpu);
	if (d->left.kind == DMP_LEFT_FAULT_BEGUN)
		kvm_dmp_note_begun(vcpu);
	mutex_lock(&vm->engine_lock);
	kvm_dmp_finish(vcpu);
	if (vm->engaged && vm->engine->mmu.splicer == d->splicer) {
		dmp_mmu_end(&vm->engine->mmu, is_exposed(vcpu, frame) ?
			    DMP_BROKEN_EXPOSED : DMP_BROKEN_STUCK);
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	return 1;
}

/*
 * The kernel's fetch faulted: did it go to where a splice led once, and nothing is, or
 * astray? False: neither.
 */
static bool go_to_relic(struct kvm_vcpu *vcpu, const struct fault_frame *frame, int *ret)
{
	const struct dmp_relic *relic = kvm_dmp_relic_at(vcpu, frame->rip), *astray = NULL;

	if (!relic)
		astray = kvm_dmp_relic_astray(vcpu, frame->rip);
	if (!relic && !astray)
		return false;
	*ret = 1;
	if (!kvm_dmp_unwind(vcpu, frame->rip, frame)) {
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return true;
	}
	kvm_dmp_be_idle(vcpu->arch.dmp);
	*ret = relic ? kvm_dmp_run_relic(vcpu, relic) :
		       kvm_dmp_lead_back(vcpu, astray);
	return true;
}

/*
 * Faults that the tables have no part in: true, with *@ret. *@home is where the fault
 * was taken.
 */
static bool is_seen_to(struct kvm_vcpu *vcpu, struct fault_frame *frame, u64 *home,
		       int *ret)
{
	bool users = kvm_dmp_is_users(frame);

	if (!users && (dmp_splicer_in_agent(vcpu->arch.dmp->splicer, frame->rip) ||
		       is_exposed(vcpu, frame))) {
		*ret = implant_faulted(vcpu, frame);
		return true;
	}
	/* INT $14 in the kernel: no error code, but its RIP. */
	if (frame->error_code >> 32) {
		*ret = deliver(vcpu, frame, frame->error_code, frame->rip);
		return true;
	}
	if (!users && frame->rip == vcpu->arch.cr2 && go_to_relic(vcpu, frame, ret))
		return true;
	*home = kvm_dmp_frame_home(vcpu, frame);
	kvm_dmp_charge_to(vcpu, *home, frame->cs & 3);
	if (!is_injected(vcpu, frame))
		return false;
	*ret = deliver(vcpu, frame, frame->error_code, *home);
	return true;
}

/*
 * What the engine makes of @fault, taken at @home. *@e: it was detached for that, and
 * is the caller's to drop.
 */
static enum dmp_fault_kind take_fault(struct kvm_vcpu *vcpu, const struct fault_frame *frame,
				      u64 home, struct dmp_fault *fault,
				      struct kvm_dmp_engine **e)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	enum dmp_fault_kind kind = DMP_FAULT_RESOLVED;

	mutex_lock(&vm->engine_lock);
	if (vm->engaged && vm->engine->mmu.splicer == d->splicer) {
		fault->access = frame_access(frame);
		kind = dmp_mmu_fault(&vm->engine->mmu, fault);
		if (kind == DMP_FAULT_TABLE && !(frame->cs & 3)) {
			dmp_site_trap(&vm->engine->mmu, home, fault->gva,
				      fault->gpa >> PAGE_SHIFT);
			d->resume = dmp_splicer_site(d->splicer, home);
		}
		*e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	return kind;
}

int kvm_dmp_filter_asks(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct dmp_fault fault = { .gva = vcpu->arch.cr2 };
	struct kvm_dmp_engine *e = NULL;
	struct fault_frame frame;
	enum dmp_fault_kind kind;
	u64 home;
	int ret;

	++vcpu->stat.pf_taken;
	kvm_dmp_note(vcpu, DMP_KIND_PF_HIDDEN);
	if (!kvm_dmp_read_frame(vcpu, 0, &frame))
		return kvm_dmp_resume_interrupted(vcpu, 0);
	if (is_seen_to(vcpu, &frame, &home, &ret))
		return ret;
	kind = take_fault(vcpu, &frame, home, &fault, &e);
	/* MMIO has to exit. */
	vm->user_fault_exits += kvm_dmp_is_users(&frame) && kind != DMP_FAULT_EMULATE;
	if (kind == DMP_FAULT_GUEST && !e)
		return deliver(vcpu, &frame, fault.error_code, home);
	if (e)
		d->resume = NULL;
	if (!kvm_dmp_unwind(vcpu, home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	kvm_dmp_engine_drop(e);
	kvm_dmp_be_idle(d);
	return kvm_dmp_fault_end(vcpu, kind, fault.gva, NULL, 0);
}
