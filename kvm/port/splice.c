// SPDX-License-Identifier: GPL-2.0-only
/*
 * Beginning and end of an implant: trust, memory, the guest's #PF handler.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <asm/desc_defs.h>

#include "engine.h"
#include "cpuid.h"
#include "lapic.h"
#include "x86.h"
#include "splicer/relic.h"
#include "splicer/site.h"
#include "splicer/start.h"

/*
 * The implant runs in the guest's kernel and writes machine tables: that
 * kernel could read and write the host's memory through the implant's private
 * region. Only for guests whose kernel is trusted as much as the host's, and made
 * by somebody who may reach that memory without their help: dmp_trust alone would
 * make root of every user of /dev/kvm.
 */
static bool trust;
module_param_named(dmp_trust, trust, bool, 0644);
MODULE_PARM_DESC(dmp_trust, "Trust the kernels of guests in mode on with this host's memory, if their VM's maker has CAP_SYS_RAWIO (default N: mode on is mode engaged)");

/*
 * On a CPU with Meltdown user mode can read what page tables map for the kernel. There
 * the private region is in no root that user mode can run on (dmp_splicer.guarded),
 * and a guest without page-table isolation has nothing replaced.
 */
static bool meltdown;
module_param_named(dmp_meltdown, meltdown, bool, 0644);
MODULE_PARM_DESC(dmp_meltdown, "On CPUs with Meltdown let the user mode of guests in mode on read the guest's memory and this host's tables for it: for guests without page-table isolation (default N)");

static unsigned int threshold = DMP_SITE_THRESHOLD;
module_param_named(dmp_threshold, threshold, uint, 0644);
MODULE_PARM_DESC(dmp_threshold, "Traps at an instruction before it is replaced (default 8)");

/*
 * QEMU (7.2, target/i386) asks the intercept of INTn for INT3, too, and never
 * that of #BP. On hardware it is that of #BP; APM vol. 2, 15.12.4.
 */
bool kvm_dmp_int3_is_swint(void)
{
	return hypervisor_cpuid_base("TCGTCGTCGTCG", 0);
}
EXPORT_SYMBOL_GPL(kvm_dmp_int3_is_swint);

/* A guest that was refused is tried again after so many loads of CR3, and more. */
#define SPLICE_RETRY	100

/* Stubs save flags by it; the first 64-bit CPUs had none. */
static bool has_lahf(void)
{
	return boot_cpu_has(X86_FEATURE_LAHF_LM);
}

/* Why nothing may be replaced in a guest of @vm, whatever it does. */
static enum dmp_start_refusal refusal(const struct kvm_dmp_vm *vm)
{
	if (!has_lahf())
		return DMP_START_CPU;
	if (!READ_ONCE(trust))
		return DMP_START_UNTRUSTED;
	if (!vm->maker_rawio)
		return DMP_START_MAKER;
	/* What the window gives is what /dev/mem gives. */
	if (security_locked_down(LOCKDOWN_DEV_MEM))
		return DMP_START_LOCKDOWN;
	return DMP_START_OK;
}

bool kvm_dmp_alloc_splicer(struct kvm_dmp_engine *e)
{
	struct kvm_dmp_vm *vm = e->kvm->arch.dmp;
	struct dmp_splicer *s;

	e->no_splicer = refusal(vm);
	if (e->no_splicer)
		return true;
	s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s || kvm_dmp_inject_failure(e, _THIS_IP_)) {
		kvfree(s);
		return false;
	}
	e->splicer = s;
	if (!vm->relics)
		WRITE_ONCE(vm->relics, kvzalloc(sizeof(*vm->relics),
						GFP_KERNEL_ACCOUNT));
	if (!vm->relics || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	s->relics = vm->relics;
	e->implant = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO,
				 get_order(DMP_IMPLANT_BYTES));
	if (!e->implant || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	s->implant = page_address(e->implant);
	s->implant_hfn = page_to_pfn(e->implant);
	s->threshold = max(READ_ONCE(threshold), 1u);
	s->lidts.watched = kvm_x86_ops.dmp->lidt_exits && !kvm_x86_ops.dmp->lidt_exits();
	s->guarded = boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN) && !READ_ONCE(meltdown);
	if (kvm_x86_ops.dmp_set_targets)
		static_branch_enable(&kvm_dmp_targets);
	BUILD_BUG_ON(sizeof(s->hypercall) != sizeof(kvm_x86_ops.dmp->hypercall));
	memcpy(s->hypercall, kvm_x86_ops.dmp->hypercall, sizeof(s->hypercall));
	return true;
}

void kvm_dmp_free_splicer(struct kvm_dmp_engine *e)
{
	if (e->implant)
		__free_pages(e->implant, get_order(DMP_IMPLANT_BYTES));
	kvfree(e->splicer);
}

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

void kvm_dmp_splice_start(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct dmp_start start = {
		.host_pages = PFN_UP(__pa(high_memory)),
		.frames = e->records, .gfns = e->gfns,
	};
	struct desc_ptr idt;

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
	/* An interrupt that is delivered without an exit would see the implant. */
	if (kvm_vcpu_apicv_active(vcpu))
		vm->splice_refusal = DMP_START_CPU;
	/* Such a guest would be engaged and disengaged for ever. */
	else if (vm->policy.by_reason[DMP_REASON_CODE])
		vm->splice_refusal = DMP_START_CODE;
	else if (e->splicer->guarded && vm->policy.by_reason[DMP_REASON_EXPOSED])
		vm->splice_refusal = DMP_START_EXPOSED;
	else if (vcpu->guest_debug)
		vm->splice_refusal = DMP_START_DEBUGGER;
	else if (kvm_dmp_watches_kernel(vcpu))
		vm->splice_refusal = DMP_START_DEBUG;
	else
		vm->splice_refusal = dmp_splicer_start(&e->mmu, e->splicer,
						       &start);
	if (vm->splice_refusal) {
		vm->splice_retry = 2 * e->mmu.stats.root_loads + SPLICE_RETRY;
		return;
	}
	d->splicer = e->splicer;
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
	/* Pairs with be_idle(). */
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

int kvm_dmp_undo_site(struct kvm *kvm, u64 rip, enum dmp_site_refusal why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	static const int undone[] = {
		[DMP_UNDO_NONE]		= -ENOENT,
		[DMP_UNDO_DONE]		= 0,
		[DMP_UNDO_HANDLER]	= -EBUSY,
	};
	struct kvm_dmp_engine *e = NULL;
	struct dmp_splicer *s;
	int r = -ENODATA;

	mutex_lock(&vm->engine_lock);
	s = vm->engaged ? vm->engine->mmu.splicer : NULL;
	if (s && s->active) {
		/* As for an audit. It flushes before it enters again. */
		kvm_make_all_cpus_request(kvm, KVM_REQ_DMP);
		kvm_dmp_finish_all(kvm);
		r = undone[dmp_sites_undo(&vm->engine->mmu, rip, why)];
		e = kvm_dmp_engine_check(kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	return r;
}

int kvm_dmp_undo(struct kvm *kvm, u64 rip)
{
	return kvm_dmp_undo_site(kvm, rip, DMP_SITE_ASKED);
}
