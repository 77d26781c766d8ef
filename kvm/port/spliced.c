// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running with the implant: taking the vCPU out of it at each exit, and the
 * exits that are the implant's. All in the vCPU's own thread.
 *
 * INV: after __kvm_dmp_leave() nobody finds RIP, a register or the frame of an
 * exception to be the implant's.
 */
#include "engine.h"
#include "frame.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/lidt.h"
#include "splicer/relic.h"
#include "splicer/site_trap.h"
#include "splicer/target.h"
#include "mmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"
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

/* From here on d->splicer may go. */
static void be_idle(struct kvm_dmp_vcpu *d)
{
	smp_store_release(&d->busy, false);	/* pairs with kvm_dmp_wait_idle() */
}

void __kvm_dmp_injected(struct kvm_vcpu *vcpu, u64 address, u16 error_code)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->splicer)
		return;
	d->injected.pending = true;
	d->injected.address = address;
	d->injected.error_code = error_code;
}

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

static void leave(struct kvm_vcpu *vcpu)
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
		leave(vcpu);
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
 * ---- The frame of a page fault ----
 */

/* User mode may have jumped to the implant: its RIP is its own. */
static bool is_users(const struct fault_frame *frame)
{
	return (frame->cs & 3) == 3;
}

static u64 frame_home(struct kvm_vcpu *vcpu, const struct fault_frame *frame)
{
	return is_users(frame) ? frame->rip :
	       dmp_splicer_home(vcpu->arch.dmp->splicer, frame->rip);
}

/* The fault was hidden, and is over: back to where it was taken. */
static int resume_interrupted(struct kvm_vcpu *vcpu, unsigned int skip)
{
	struct fault_frame frame;

	if (!kvm_dmp_read_frame(vcpu, skip, &frame) ||
	    !kvm_dmp_unwind(vcpu, frame_home(vcpu, &frame), &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	return 1;
}

static u32 frame_access(const struct fault_frame *frame)
{
	u32 access = frame->error_code & (DMP_PF_W | DMP_PF_U | DMP_PF_I);

	if (!(access & DMP_PF_U) && !is_users(frame) &&
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

/*
 * The vCPU is at its #PF handler, and the filter has still to look at the
 * fault. Should the splice be gone before it does, the guest would see what
 * may be a hidden one: then the fault is unwound instead, and taken again.
 */
static void note_begun(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	d->begun.handler = kvm_rip_read(vcpu);
	d->begun.pending = kvm_dmp_read_frame(vcpu, 0, &frame);
	if (d->begun.pending)
		d->begun.home = frame_home(vcpu, &frame);
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
	leave(vcpu);
	if (d->left.kind == DMP_LEFT_FAULT_BEGUN)
		note_begun(vcpu);
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
	be_idle(vcpu->arch.dmp);
	*ret = relic ? kvm_dmp_run_relic(vcpu, relic) :
		       kvm_dmp_lead_back(vcpu, astray);
	return true;
}

/* The filter asks. The vCPU is at the guest's handler, with the CPU's frame. */
static int filter_asks(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct dmp_fault fault = { .gva = vcpu->arch.cr2 };
	enum dmp_fault_kind kind = DMP_FAULT_RESOLVED;
	struct kvm_dmp_engine *e = NULL;
	struct fault_frame frame;
	u64 home;
	int ret;

	++vcpu->stat.pf_taken;
	kvm_dmp_note(vcpu, DMP_KIND_PF_HIDDEN);
	if (!kvm_dmp_read_frame(vcpu, 0, &frame))
		return resume_interrupted(vcpu, 0);
	if (!is_users(&frame) && (dmp_splicer_in_agent(d->splicer, frame.rip) ||
				  is_exposed(vcpu, &frame)))
		return implant_faulted(vcpu, &frame);
	/* INT $14 in the kernel: no error code, but its RIP. */
	if (frame.error_code >> 32)
		return deliver(vcpu, &frame, frame.error_code, frame.rip);
	if (!is_users(&frame) && frame.rip == fault.gva &&
	    go_to_relic(vcpu, &frame, &ret))
		return ret;
	home = frame_home(vcpu, &frame);
	kvm_dmp_charge_to(vcpu, home, frame.cs & 3);
	if (is_injected(vcpu, &frame))
		return deliver(vcpu, &frame, frame.error_code, home);

	mutex_lock(&vm->engine_lock);
	if (vm->engaged && vm->engine->mmu.splicer == d->splicer) {
		fault.access = frame_access(&frame);
		kind = dmp_mmu_fault(&vm->engine->mmu, &fault);
		if (kind == DMP_FAULT_TABLE && !(frame.cs & 3)) {
			dmp_site_trap(&vm->engine->mmu, home, fault.gva,
				      fault.gpa >> PAGE_SHIFT);
			d->resume = dmp_splicer_site(d->splicer, home);
		}
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	/* MMIO has to exit. */
	vm->user_fault_exits += is_users(&frame) && kind != DMP_FAULT_EMULATE;
	if (kind == DMP_FAULT_GUEST && !e)
		return deliver(vcpu, &frame, fault.error_code, home);
	if (e)
		d->resume = NULL;
	if (!kvm_dmp_unwind(vcpu, home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	kvm_dmp_engine_drop(e);
	be_idle(d);
	return kvm_dmp_fault_end(vcpu, kind, fault.gva, NULL, 0);
}

/*
 * ---- Other exits ----
 */

/*
 * Whoever disengages at the same time waits for this vCPU to be idle. And this one
 * may have an engine to drop (handle_exit()), which kvm_dmp_disengage() waits for.
 */
static void disengage(struct kvm_vcpu *vcpu, enum dmp_reason why)
{
	be_idle(vcpu->arch.dmp);
	if (READ_ONCE(vcpu->kvm->arch.dmp->engaged))
		kvm_dmp_disengage(vcpu->kvm, why);
}

/* It came to the middle of an instruction in a splice, where others lie. */
static bool entered_inside(struct kvm_vcpu *vcpu)
{
	u64 site;

	if (!dmp_splicer_is_within(vcpu->arch.dmp->splicer, kvm_rip_read(vcpu), &site))
		return false;
	if (kvm_dmp_undo_site(vcpu->kvm, site, DMP_SITE_ENTERED) == -EBUSY)
		disengage(vcpu, DMP_REASON_IDT);
	return true;
}

/* A #BP at @rip: of a splice's, or the guest's own. */
static bool breakpoint(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	const struct dmp_relic *relic;
	u64 rip = kvm_rip_read(vcpu);

	/* Where a splice led once, among what the implant has there now. */
	relic = kvm_dmp_relic_at(vcpu, rip);
	if (relic) {
		be_idle(d);
		*ret = kvm_dmp_run_relic(vcpu, relic);
		return true;
	}

	/* It is about to be executed, and may be: on KVM's tables. */
	if (dmp_lidt_is_at(d->splicer, rip)) {
		disengage(vcpu, DMP_REASON_IDT);
		return true;
	}
	if (dmp_splicer_breakpoint(d->splicer, rip)) {
		d->resume = dmp_splicer_site(d->splicer, rip);
		return true;
	}
	if (entered_inside(vcpu))
		return true;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		return false;
	kvm_queue_exception(vcpu, BP_VECTOR);
	return true;
}

/* The byte at linear address @gva, as the CPU fetches it: no protection key counts. */
static bool fetch_byte(struct kvm_vcpu *vcpu, u64 gva, u8 *byte)
{
	struct kvm_mmu *mmu = vcpu->arch.walk_mmu;
	u64 access = PFERR_FETCH_MASK;
	gpa_t gpa;

	if (static_call(kvm_x86_get_cpl)(vcpu) == 3)
		access |= PFERR_USER_MASK;
	gpa = mmu->gva_to_gpa(vcpu, mmu, gva, access, NULL);
	return gpa != INVALID_GPA && !kvm_vcpu_read_guest(vcpu, gpa, byte, 1);
}

/* Of an instruction in front of which others stand: SDM vol. 2A, 2.1.1, 2.2.1. */
static bool is_prefix(struct kvm_vcpu *vcpu, u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64 ... 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	case 0x40 ... 0x4f:
		return is_64_bit_mode(vcpu);
	default:
		return false;
	}
}

#define OPCODE_INT	0xcd
#define OPCODE_INTO	0xce

/*
 * INT3, INT n or INTO, where they all exit as the second. They may have prefixes.
 * What is not there any more faults when it runs again.
 */
static bool software_interrupt(struct kvm_vcpu *vcpu, int *ret)
{
	u64 rip = kvm_get_linear_rip(vcpu), at = rip, site;
	u8 byte, vector = OF_VECTOR;

	/* In the middle of a splice the guest's memory has something else. */
	if (dmp_splicer_breakpoint(vcpu->arch.dmp->splicer, rip) ||
	    dmp_splicer_is_within(vcpu->arch.dmp->splicer, rip, &site) ||
	    kvm_dmp_relic_at(vcpu, rip))
		return breakpoint(vcpu, ret);
	do {
		if (!fetch_byte(vcpu, at++, &byte))
			return true;
	} while (is_prefix(vcpu, byte) && at - rip < DMP_INSN_LEN_MAX);
	switch (byte) {
	case DMP_SPLICE_INT3:
		return breakpoint(vcpu, ret);
	case OPCODE_INT:
		if (!fetch_byte(vcpu, at, &vector))
			return true;
		fallthrough;
	case OPCODE_INTO:
		kvm_queue_interrupt(vcpu, vector, true);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return true;
	default:
		/* Without the intercept it does what it does. */
		disengage(vcpu, DMP_REASON_EMULATION);
		return true;
	}
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
	be_idle(d);
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
	disengage(vcpu, DMP_REASON_DOUBLE_FAULT);
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
		return breakpoint(vcpu, ret);
	case KVM_DMP_UNDEFINED:
		return entered_inside(vcpu);
	case KVM_DMP_DEBUG:
		return single_step(vcpu, ret);
	case KVM_DMP_SOFT_INT:
		return software_interrupt(vcpu, ret);
	case KVM_DMP_FAULT:
		kvm_queue_exception_e(vcpu, info >> 16, (u16)info);
		return true;
	case KVM_DMP_DOUBLE_FAULT:
		double_fault(vcpu);
		return true;
	case KVM_DMP_DR:
		be_idle(vcpu->arch.dmp);
		return kvm_dmp_move_dr(vcpu, info, ret);
	case KVM_DMP_IDT:
	case KVM_DMP_IDT_LOADED:
		disengage(vcpu, DMP_REASON_IDT);
		return event == KVM_DMP_IDT;
	case KVM_DMP_CR3:
		kvm_dmp_cr3_trapped(vcpu);
		return false;
	default:
		return false;
	}
}

void kvm_dmp_unwind_begun(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	if (!d->begun.pending || kvm_rip_read(vcpu) != d->begun.handler)
		return;
	d->begun.pending = false;
	if (!kvm_dmp_read_frame(vcpu, 0, &frame) ||
	    !kvm_dmp_unwind(vcpu, d->begun.home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}

/* Of the exit of a vCPU that has left the implant; nothing is unfinished. */
static bool handle_left(struct kvm_vcpu *vcpu, fastpath_t fastpath, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	enum kvm_dmp_event event;
	u32 info = 0;

	switch (d->left.kind) {
	case DMP_LEFT_FAULT_ASKED:
		*ret = filter_asks(vcpu);
		return true;
	case DMP_LEFT_UNWIND:
		return false;
	case DMP_LEFT_FAULT_BEGUN:
		note_begun(vcpu);
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
		resume_interrupted(vcpu, sizeof(u64));
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
		be_idle(d);
	}
	if (!handled)
		ret = static_call(kvm_x86_handle_exit)(vcpu, fastpath);
	__kvm_dmp_exit_end(vcpu);
	return ret;
}
