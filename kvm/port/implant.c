// SPDX-License-Identifier: GPL-2.0-only
/*
 * Beginning and end of the implant, for a vCPU; see implant.h.
 */
#include <asm/desc_defs.h>

#include "cpuid.h"
#include "debugreg.h"
#include "frame.h"
#include "implant.h"
#include "lapic.h"
#include "x86.h"

/* A guest that was refused is tried again after so many loads of CR3, and more. */
#define SPLICE_RETRY	100

/*
 * Where #PF leads to; 0 when that is no kernel's 64-bit handler. Nor one that
 * user mode may enter by INT $14: that pushes no error code. Read as the CPU
 * does, with no regard to the privilege level the vCPU is at.
 */
static u64 find_handler(struct kvm_vcpu *vcpu, u64 *gate_gva)
{
	struct desc_ptr idt;
	gate_desc gate;
	gpa_t gpa;

	static_call(kvm_x86_get_idt)(vcpu, &idt);
	if (idt.size < (PF_VECTOR + 1) * sizeof(gate) - 1)
		return 0;
	*gate_gva = idt.address + PF_VECTOR * sizeof(gate);
	/* The engine takes no gate that crosses a page: dmp_splicer_start(). */
	gpa = kvm_mmu_gva_to_gpa_system(vcpu, *gate_gva, NULL);
	if (gpa == INVALID_GPA || offset_in_page(gpa) > PAGE_SIZE - sizeof(gate) ||
	    kvm_vcpu_read_guest(vcpu, gpa, &gate, sizeof(gate)))
		return 0;
	if (!gate.bits.p || gate.bits.type != GATE_INTERRUPT || gate.bits.dpl)
		return 0;
	return gate_offset(&gate);
}

/*
 * How many values of CR3 the CPU lets pass. None where they may hold a PCID: a
 * machine root has but one name.
 */
static u32 cr3_targets(struct kvm_vcpu *vcpu)
{
	u32 count = static_call(kvm_x86_dmp_set_targets)(vcpu, NULL, 0);

	return guest_cpuid_has(vcpu, X86_FEATURE_PCID) ? 0 :
	       min_t(u32, count, DMP_TARGETS_MAX);
}

/* Why this guest, as it is at this moment, is to go without. */
static enum dmp_start_refusal start_refusal(struct kvm_vcpu *vcpu,
					    const struct kvm_dmp_engine *e)
{
	const struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;

	/* An interrupt that is delivered without an exit would see the implant. */
	if (kvm_vcpu_apicv_active(vcpu))
		return DMP_START_CPU;
	/* Such a guest would be engaged and disengaged for ever. */
	if (vm->policy.by_reason[DMP_REASON_CODE])
		return DMP_START_CODE;
	if (e->splicer->guarded && vm->policy.by_reason[DMP_REASON_EXPOSED])
		return DMP_START_EXPOSED;
	if (vcpu->guest_debug)
		return DMP_START_DEBUGGER;
	return kvm_dmp_watches_kernel(vcpu) ? DMP_START_DEBUG : DMP_START_OK;
}

static void begin(struct kvm_vcpu *vcpu, struct dmp_splicer *splicer)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct desc_ptr idt;

	d->splicer = splicer;
	d->injected.pending = false;
	d->resume = NULL;
	d->deliver = false;
	d->targets_version = 0;
	static_call(kvm_x86_get_idt)(vcpu, &idt);
	d->idt_address = idt.address;
	d->idt_limit = idt.size;
	static_call(kvm_x86_dmp_intercepts)(vcpu, true);
	static_call(kvm_x86_update_exception_bitmap)(vcpu);
}

void kvm_dmp_splice_start(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;
	struct dmp_start start = {
		.host_pages = PFN_UP(__pa(high_memory)),
		.frames = e->records, .gfns = e->gfns,
	};

	lockdep_assert_held(&vm->engine_lock);
	vm->splice_refusal = DMP_START_OK;
	vm->splice_retry = U64_MAX;
	if (!e->splicer) {
		if (vm->mode == KVM_DMP_ON)
			vm->splice_refusal = e->no_splicer;
		return;
	}
	e->splicer->targets = cr3_targets(vcpu);
	start.handler = find_handler(vcpu, &start.gate);
	vm->splice_refusal = start_refusal(vcpu, e);
	if (!vm->splice_refusal)
		vm->splice_refusal = dmp_splicer_start(&e->mmu, e->splicer,
						       &start);
	if (vm->splice_refusal)
		vm->splice_retry = 2 * e->mmu.stats.root_loads + SPLICE_RETRY;
	else
		begin(vcpu, e->splicer);
}

/* It looks before it enters again: kvm_dmp_service(). */
void __kvm_dmp_set_idt(struct kvm_vcpu *vcpu)
{
	if (__kvm_dmp_spliced(vcpu))
		kvm_make_request(KVM_REQ_DMP, vcpu);
}
EXPORT_SYMBOL_GPL(__kvm_dmp_set_idt);

bool kvm_dmp_has_other_idt(struct kvm_vcpu *vcpu)
{
	const struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct desc_ptr idt;

	static_call(kvm_x86_get_idt)(vcpu, &idt);
	return idt.address != d->idt_address || idt.size != d->idt_limit;
}

void kvm_dmp_splice_stop(struct kvm_vcpu *vcpu)
{
	vcpu->arch.dmp->splicer = NULL;
	vcpu->arch.dmp->resume = NULL;
	vcpu->arch.dmp->deliver = false;
	kvm_dmp_unwind_begun(vcpu);
	static_call(kvm_x86_dmp_intercepts)(vcpu, false);
	static_call(kvm_x86_update_exception_bitmap)(vcpu);
}
