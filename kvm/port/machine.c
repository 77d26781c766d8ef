// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running on machine tables: what the hooks do while a VM is engaged. All in the vCPU's own
 * thread.
 */
#include "cr3.h"
#include "debugreg.h"
#include "implant.h"
#include "kvm_cache_regs.h"
#include "life.h"
#include "machine.h"
#include "mmu.h"
#include "x86.h"

#define DR7_ENABLES	0xff	/* L0 to G3: SDM vol. 3, 17.2.4 */

/*
 * Only a VM's first vCPU runs on machine tables. A second one may enter
 * before its creation has ended and disengaged the VM.
 */
static bool is_engaged(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->kvm->arch.dmp->engaged) && !vcpu->vcpu_idx;
}

/*
 * Also true just after another thread has disengaged the VM, until this vCPU
 * has a root of KVM's own again.
 */
bool __kvm_dmp_engaged(struct kvm_vcpu *vcpu)
{
	return is_engaged(vcpu) ||
	       !VALID_PAGE(vcpu->arch.mmu->root.hpa);
}
EXPORT_SYMBOL_GPL(__kvm_dmp_engaged);

/*
 * KVM's tables. Who has disengaged the VM may still be about to make its request:
 * on no way may the vCPU come here and enter with a splicer, which would lead it
 * to stubs that KVM's tables do not show, with #PF not intercepted.
 */
static int load_kvms(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (d && d->splicer)
		kvm_dmp_splice_stop(vcpu);
	return kvm_mmu_load(vcpu);
}

/*
 * Before each entry, in place of kvm_mmu_load(). A disengagement after this
 * has made a request, which keeps the vCPU from entering.
 *
 * While the host's user space debugs the guest nothing is replaced, as with
 * breakpoints of the guest's own (debugreg.c). Nor would an INT3 that it
 * has written to the guest's memory be seen in a page with splices. Whoever
 * asks for it has to wait for KVM_RUN to end, so it begins here.
 */
int kvm_dmp_load(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct kvm_dmp_engine *e = NULL;
	struct dmp_mmu *mmu;
	u64 hfn;

	if (!is_engaged(vcpu))
		return load_kvms(vcpu);
	/* DR7 may also be set by the host's user space. */
	if (unlikely(vcpu->guest_debug || vcpu->arch.dr7 & DR7_ENABLES) && d->splicer &&
	    (vcpu->guest_debug || kvm_dmp_watches_kernel(vcpu))) {
		kvm_dmp_disengage(vcpu->kvm, vcpu->guest_debug ?
				  DMP_REASON_DEBUGGER : DMP_REASON_DEBUG);
		return load_kvms(vcpu);
	}
	if (likely(d->root_valid && !vm->flush_owed))
		return 0;

	mutex_lock(&vm->engine_lock);
	if (vm->engaged && !d->root_valid) {
		mmu = &vm->engine->mmu;
		hfn = dmp_mmu_load_root(mmu, kvm_dmp_cr3_gfn(vcpu));
		if (hfn) {
			static_call(kvm_x86_load_mmu_pgd)(vcpu, PFN_PHYS(hfn),
							  mmu->paging.levels);
			d->root_valid = true;
			if (unlikely(mmu->stats.root_loads >= vm->splice_retry))
				kvm_dmp_splice_start(vcpu);
			kvm_dmp_show_cr3(vcpu);
		}
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	if (vm->flush_owed) {
		vm->flush_owed = false;
		static_call(kvm_x86_flush_tlb_current)(vcpu);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	/* It may have waited for the lock while the VM was disengaged. */
	return READ_ONCE(vm->engaged) ? 0 : load_kvms(vcpu);
}

bool __kvm_dmp_new_pgd(struct kvm_vcpu *vcpu)
{
	if (!is_engaged(vcpu))
		return false;
	/* VMRUN and VM entry load CR3 with a paging mode of their own. */
	if (is_guest_mode(vcpu)) {
		kvm_dmp_disengage(vcpu->kvm, DMP_REASON_NESTED_GUEST);
		return false;
	}
	vcpu->arch.dmp->root_valid = false;
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	return true;
}

/* The access that faulted (SDM vol. 3, 4.6.1 for what SMAP asks). */
static u32 fault_access(struct kvm_vcpu *vcpu, u64 error_code)
{
	u32 access = error_code & (PFERR_WRITE_MASK | PFERR_USER_MASK |
				   PFERR_FETCH_MASK);

	if (!(access & PFERR_USER_MASK) &&
	    static_call(kvm_x86_get_cpl)(vcpu) != 3 &&
	    static_call(kvm_x86_get_rflags)(vcpu) & X86_EFLAGS_AC)
		access |= DMP_ACCESS_AC;
	return access;
}

static void inject(struct kvm_vcpu *vcpu, const struct dmp_fault *fault)
{
	struct x86_exception exception = {
		.vector = PF_VECTOR,
		.error_code_valid = true,
		.error_code = fault->error_code,
		.address = fault->gva,
	};

	kvm_inject_emulated_page_fault(vcpu, &exception);
}

int kvm_dmp_fault_end(struct kvm_vcpu *vcpu, enum dmp_fault_kind kind,
		      gva_t gva, void *insn, int insn_len)
{
	switch (kind) {
	case DMP_FAULT_TABLE:
		kvm_dmp_note(vcpu, DMP_KIND_PF_TABLE);
		break;
	case DMP_FAULT_EMULATE:
		kvm_dmp_note(vcpu, DMP_KIND_PF_MMIO);
		break;
	default:
		/* Resolved, or no longer engaged: the guest tries again. */
		return 1;
	}
	return x86_emulate_instruction(vcpu, gva, EMULTYPE_PF, insn, insn_len);
}

int kvm_dmp_page_fault(struct kvm_vcpu *vcpu, gva_t gva, u64 error_code,
		       void *insn, int insn_len)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct dmp_fault fault = { .gva = gva };
	enum dmp_fault_kind kind = DMP_FAULT_RESOLVED;
	struct kvm_dmp_engine *e = NULL;

	++vcpu->stat.pf_taken;
	mutex_lock(&vm->engine_lock);
	if (is_engaged(vcpu)) {
		fault.access = fault_access(vcpu, error_code);
		kind = dmp_mmu_fault(&vm->engine->mmu, &fault);
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);

	if (kind == DMP_FAULT_GUEST) {
		inject(vcpu, &fault);
		return 1;
	}
	return kvm_dmp_fault_end(vcpu, kind, gva, insn, insn_len);
}

bool __kvm_dmp_emulation_failed(struct kvm_vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->kvm->arch.dmp->engaged))
		return false;
	kvm_dmp_disengage(vcpu->kvm, DMP_REASON_EMULATION);
	return true;
}

/* On true engine_lock stays held until kvm_dmp_write_end(). */
bool __kvm_dmp_write_begin(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int bytes)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	if (!is_engaged(vcpu))
		return false;
	mutex_lock(&vm->engine_lock);
	if (vm->engaged) {
		if (dmp_mmu_write_begin(&vm->engine->mmu, gpa, bytes,
					&vcpu->arch.dmp->write))
			return true;
		/* No table, or a write that cannot be followed. */
		e = kvm_dmp_engine_check(vcpu->kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	return false;
}

void kvm_dmp_write_end(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e;

	dmp_mmu_write_end(&vm->engine->mmu, &vcpu->arch.dmp->write);
	e = kvm_dmp_engine_check(vcpu->kvm);
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
}
