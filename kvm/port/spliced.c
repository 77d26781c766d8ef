// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running with the implant: taking the vCPU out of it at each exit, and the
 * exits that are the implant's. All in the vCPU's own thread.
 *
 * INV: after __kvm_dmp_leave() nobody finds RIP, a register or the frame of an
 * exception to be the implant's.
 */
#include <asm/desc_defs.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "engine.h"
#include "mmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"

bool __kvm_dmp_spliced(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.dmp && vcpu->arch.dmp->splicer;
}
EXPORT_SYMBOL_GPL(__kvm_dmp_spliced);

/*
 * The guest goes on with an instruction that a splice has displaced. It may as
 * well do so in the stub at once, where the #BP would lead it; unless an event
 * is delivered first, which must not see that.
 */
static void resume_in_stub(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	u64 to = dmp_site_resume(d->resume, kvm_rip_read(vcpu));

	d->resume = NULL;
	if (to && !vcpu->arch.exception.injected &&
	    !vcpu->arch.interrupt.injected && !vcpu->arch.nmi_injected)
		kvm_rip_write(vcpu, to);
}

void __kvm_dmp_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->splicer)
		return;
	WRITE_ONCE(d->busy, true);
	WRITE_ONCE(d->inside, true);
	d->begun.pending = false;
	if (d->resume)
		resume_in_stub(vcpu);
}

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

static u32 exit_reason(struct kvm_vcpu *vcpu, u64 *info1)
{
	u32 reason, intr, code;
	u64 info2;

	static_call(kvm_x86_get_exit_info)(vcpu, &reason, info1, &info2, &intr,
					   &code);
	return reason;
}

static bool is_hypercall(struct kvm_vcpu *vcpu)
{
	u64 info1;

	return exit_reason(vcpu, &info1) == (kvm_dmp_is_svm() ?
		(u32)SVM_EXIT_VMMCALL : (u32)EXIT_REASON_VMCALL);
}

static_assert(VCPU_REGS_RSP == 4 && VCPU_REGS_R15 == 15);

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
}

void __kvm_dmp_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->inside)
		return;
	d->resume = NULL;
	if (likely(!dmp_splicer_has(d->splicer, kvm_rip_read(vcpu)))) {
		d->left.kind = DMP_LEFT_OUTSIDE;
		d->left.unfinished = false;
	} else {
		leave(vcpu);
	}
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
	if (vm->engaged && vm->engine->mmu.splicer == d->splicer)
		dmp_splicer_finish(&vm->engine->mmu, &d->left);
}

static void finish(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	mutex_lock(&vm->engine_lock);
	kvm_dmp_finish(vcpu);
	if (vm->engaged)
		e = kvm_dmp_engine_check(vcpu->kvm);
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
}

/*
 * ---- The frame of a page fault ----
 */

/* What the CPU pushes, and the error code above; SDM vol. 3, 6.14.2. */
struct fault_frame {
	u64 error_code;
	u64 rip, cs, rflags, rsp, ss;
};

/* The segment that @selector names in the guest's tables, as the CPU loads it. */
static bool load_segment(struct kvm_vcpu *vcpu, u16 selector, int seg)
{
	struct kvm_segment var, ldt;
	struct x86_exception e;
	struct desc_struct desc;
	struct desc_ptr gdt;
	u64 table;

	static_call(kvm_x86_get_gdt)(vcpu, &gdt);
	kvm_get_segment(vcpu, &ldt, VCPU_SREG_LDTR);
	table = selector & SEGMENT_TI_MASK ? ldt.base : gdt.address;
	if (kvm_read_guest_virt(vcpu, table + (selector & ~7), &desc,
				sizeof(desc), &e))
		return false;
	var = (struct kvm_segment){
		.base = get_desc_base(&desc),
		.limit = desc.g ? get_desc_limit(&desc) << 12 | 0xfff :
				  get_desc_limit(&desc),
		.selector = selector,
		.type = desc.type | 1,
		.present = desc.p, .dpl = desc.dpl, .db = desc.d, .s = desc.s,
		.l = desc.l, .g = desc.g, .avl = desc.avl,
	};
	static_call(kvm_x86_set_segment)(vcpu, &var, seg);
	return true;
}

/*
 * As IRET would (SDM vol. 2A), from the frame at @rsp: RIP, CS, RFLAGS, RSP,
 * SS; all that is the implant's in it becomes the guest's. False when the
 * guest's memory is not there: then its next step faults likewise.
 */
static bool unwind(struct kvm_vcpu *vcpu, u64 rip, const struct fault_frame *f)
{
	struct kvm_segment cs;

	kvm_get_segment(vcpu, &cs, VCPU_SREG_CS);
	if ((u16)f->cs != cs.selector &&
	    (!load_segment(vcpu, f->cs, VCPU_SREG_CS) ||
	     !load_segment(vcpu, f->ss, VCPU_SREG_SS)))
		return false;
	kvm_rip_write(vcpu, rip);
	kvm_rsp_write(vcpu, f->rsp);
	static_call(kvm_x86_set_rflags)(vcpu, f->rflags);
	return true;
}

static bool read_frame(struct kvm_vcpu *vcpu, unsigned int skip,
		       struct fault_frame *frame)
{
	struct x86_exception e;

	frame->error_code = 0;
	return !kvm_read_guest_virt(vcpu, kvm_rsp_read(vcpu), (u8 *)frame + skip,
				    sizeof(*frame) - skip, &e);
}

/* The fault was hidden, and is over: back to where it was taken. */
static int resume_interrupted(struct kvm_vcpu *vcpu, unsigned int skip)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	if (!read_frame(vcpu, skip, &frame) ||
	    !unwind(vcpu, dmp_splicer_home(d->splicer, frame.rip), &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	return 1;
}

static u32 frame_access(const struct fault_frame *frame)
{
	u32 access = frame->error_code & (DMP_PF_W | DMP_PF_U | DMP_PF_I);

	if (!(access & DMP_PF_U) && (frame->cs & 3) != 3 &&
	    frame->rflags & X86_EFLAGS_AC)
		access |= DMP_ACCESS_AC;
	return access;
}

/* To the guest's handler, with the frame mended. */
static int deliver(struct kvm_vcpu *vcpu, struct fault_frame *frame,
		   u32 error_code, u64 home)
{
	struct x86_exception e;
	struct fault_frame was = *frame;

	kvm_dmp_note(vcpu, DMP_KIND_PF_GUEST);
	++vcpu->stat.pf_guest;
	frame->error_code = error_code;
	frame->rip = home;
	kvm_rip_write(vcpu, vcpu->arch.dmp->splicer->implant->deliver);
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

	++vcpu->stat.pf_taken;
	kvm_dmp_note(vcpu, DMP_KIND_PF_HIDDEN);
	if (!read_frame(vcpu, 0, &frame))
		return resume_interrupted(vcpu, 0);
	home = dmp_splicer_home(d->splicer, frame.rip);
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
	if (kind == DMP_FAULT_GUEST && !e)
		return deliver(vcpu, &frame, fault.error_code, home);
	if (e)
		d->resume = NULL;
	if (!unwind(vcpu, home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	kvm_dmp_engine_drop(e);
	be_idle(d);
	switch (kind) {
	case DMP_FAULT_TABLE:
		kvm_dmp_note(vcpu, DMP_KIND_PF_TABLE);
		break;
	case DMP_FAULT_EMULATE:
		kvm_dmp_note(vcpu, DMP_KIND_PF_MMIO);
		break;
	default:
		return 1;
	}
	return x86_emulate_instruction(vcpu, fault.gva, EMULTYPE_PF, NULL, 0);
}

/*
 * ---- Other exits ----
 */

/* A #BP at @rip: of a splice's, or the guest's own. */
static bool breakpoint(struct kvm_vcpu *vcpu)
{
	u64 rip = kvm_rip_read(vcpu);
	u64 resume = dmp_splicer_breakpoint(vcpu->arch.dmp->splicer, rip);

	if (resume) {
		kvm_rip_write(vcpu, resume);
		return true;
	}
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		return false;
	kvm_queue_exception(vcpu, BP_VECTOR);
	return true;
}

/* INT3 or INT n, where the former exits as the latter. */
static bool software_interrupt(struct kvm_vcpu *vcpu)
{
	struct x86_exception e;
	u8 insn[2];

	/* In the middle of a splice the guest's memory has something else. */
	if (dmp_splicer_breakpoint(vcpu->arch.dmp->splicer, kvm_rip_read(vcpu)))
		return breakpoint(vcpu);
	if (kvm_read_guest_virt(vcpu, kvm_rip_read(vcpu), insn, 1, &e))
		return true;
	if (insn[0] == DMP_SPLICE_INT3)
		return breakpoint(vcpu);
	if (kvm_read_guest_virt(vcpu, kvm_rip_read(vcpu) + 1, insn + 1, 1, &e))
		return true;
	kvm_queue_interrupt(vcpu, insn[1], true);
	return true;
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

static bool svm_exit(struct kvm_vcpu *vcpu, int *ret)
{
	u64 info1;

	switch (exit_reason(vcpu, &info1)) {
	case SVM_EXIT_EXCP_BASE + BP_VECTOR:
		return breakpoint(vcpu);
	case SVM_EXIT_EXCP_BASE + DB_VECTOR:
		return single_step(vcpu, ret);
	case SVM_EXIT_SWINT:
		return software_interrupt(vcpu);
	case SVM_EXIT_EXCP_BASE + SS_VECTOR:
		kvm_queue_exception_e(vcpu, SS_VECTOR, info1);
		return true;
	case SVM_EXIT_EXCP_BASE + DF_VECTOR:
		/* A fault that could not be delivered; perhaps for our tables. */
		kvm_dmp_disengage(vcpu->kvm, DMP_REASON_DOUBLE_FAULT);
		kvm_queue_exception_e(vcpu, DF_VECTOR, 0);
		return true;
	case SVM_EXIT_IDTR_WRITE:
		kvm_dmp_disengage(vcpu->kvm, DMP_REASON_IDT);
		return true;
	default:
		return false;
	}
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
	d->begun.pending = read_frame(vcpu, 0, &frame);
	if (d->begun.pending)
		d->begun.home = dmp_splicer_home(d->splicer, frame.rip);
}

void kvm_dmp_unwind_begun(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	if (!d->begun.pending || kvm_rip_read(vcpu) != d->begun.handler)
		return;
	d->begun.pending = false;
	if (!read_frame(vcpu, 0, &frame) ||
	    !unwind(vcpu, d->begun.home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}

static bool handle_exit(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	*ret = 1;
	/* First what needs the splicer: finishing may disengage, and free it. */
	if (d->left.kind == DMP_LEFT_UNWIND)
		resume_interrupted(vcpu, sizeof(u64));
	if (d->left.unfinished)
		finish(vcpu);
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
		if (is_hypercall(vcpu)) {
			d->resume = d->left.site;
			return true;
		}
		break;
	case DMP_LEFT_OUTSIDE:
		break;
	}
	if (!vcpu->arch.exception.pending && !vcpu->arch.exception.injected)
		d->injected.pending = false;
	return kvm_dmp_is_svm() && svm_exit(vcpu, ret);
}

int __kvm_dmp_handle_exit(struct kvm_vcpu *vcpu, fastpath_t fastpath)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	bool handled = false;
	int ret = 1;

	kvm_dmp_exit_begin(vcpu);
	if (d && d->busy) {
		handled = handle_exit(vcpu, &ret);
		be_idle(d);
	}
	if (!handled)
		ret = static_call(kvm_x86_handle_exit)(vcpu, fastpath);
	__kvm_dmp_exit_end(vcpu);
	return ret;
}
