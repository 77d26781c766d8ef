// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of an engine, and what is done with it after each operation; see life.h.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "leave.h"
#include "life.h"
#include "memory.h"
#include "mmu.h"
#include "records.h"
#include "splicer/target.h"
#include "stats.h"
#include "trust.h"

/* For tests: dmp_audit=N audits after one in N engine operations, at random. */
static unsigned int audit_every;
module_param_named(dmp_audit, audit_every, uint, 0644);
MODULE_PARM_DESC(dmp_audit, "Audit one in N DMP operations (default 0: never)");

static void engine_free(struct kvm_dmp_engine *e)
{
	dmp_mmu_destroy(&e->mmu);
	kvm_dmp_unpin_memory(e);
	kvm_dmp_free_records(e);
	kvm_dmp_free_splicer(e);
	kvfree(e);
}

struct kvm_dmp_engine *kvm_dmp_engine_detach_unready(struct kvm *kvm,
						     enum dmp_reason why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;

	lockdep_assert_held(&vm->engine_lock);
	if (!e)
		return NULL;
	if (vm->engaged)
		dmp_policy_disengaged(&vm->policy, ktime_get_ns(), why,
				      e->mmu.broken);
	else
		dmp_policy_refused(&vm->policy, ktime_get_ns(), why,
				   e->mmu.broken);
	kvm_dmp_add_stats(&vm->stats, &e->mmu.stats);
	/* The guest's tables have changed under what KVM's shadow pages say. */
	if (vm->engaged)
		kvm_mmu_zap_all(kvm);
	WRITE_ONCE(vm->engaged, false);
	WRITE_ONCE(vm->engine, NULL);
	atomic_inc(&vm->leaving);	/* until kvm_dmp_engine_drop() */
	kvm_dmp_update_stats(kvm);
	kvm_dmp_state_changed(vm);
	return e;
}

struct kvm_dmp_engine *kvm_dmp_engine_detach(struct kvm *kvm,
					     enum dmp_reason why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;

	lockdep_assert_held(&vm->engine_lock);
	if (!vm->making)
		return kvm_dmp_engine_detach_unready(kvm, why);
	/* Its maker is at work on it, and detaches it itself. */
	if (!vm->cancelled)
		WRITE_ONCE(vm->cancelled, why);
	return NULL;
}

void kvm_dmp_engine_drop(struct kvm_dmp_engine *e)
{
	struct kvm_dmp_vm *vm;

	if (!e)
		return;
	vm = e->kvm->arch.dmp;
	/*
	 * Waits until no vCPU is in the guest; each then goes through
	 * vcpu_enter_guest() again, finds no engine, and loads a root of
	 * KVM's own with a flush.
	 */
	kvm_make_all_cpus_request(e->kvm, KVM_REQ_DMP);
	kvm_dmp_wait_idle(e->kvm);
	engine_free(e);
	atomic_dec(&vm->leaving);
	kvm_dmp_state_changed(vm);
}

void kvm_dmp_disengage(struct kvm *kvm, enum dmp_reason why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e;

	mutex_lock(&vm->engine_lock);
	e = kvm_dmp_engine_detach(kvm, why);
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	/*
	 * The maker holds slots_lock, and waits for nobody who calls this. Who
	 * has detached an engine drops it before all else.
	 */
	wait_event(vm->wait,
		   !READ_ONCE(vm->making) && !atomic_read(&vm->leaving));
}

static bool run_audit(struct kvm_dmp_vm *vm)
{
	struct dmp_mmu *mmu = &vm->engine->mmu;

	vm->audits++;
	if (dmp_mmu_audit(mmu))
		return true;
	vm->finding = mmu->finding;
	if (mmu->broken == DMP_BROKEN_AUDIT)
		pr_warn("kvm-dmp: audit: %s: gfn 0x%llx level %u index %u guest 0x%llx machine 0x%llx\n",
			vm->finding.what, vm->finding.gfn, vm->finding.level,
			vm->finding.index, vm->finding.guest,
			vm->finding.machine);
	return false;
}

/* What the guest may do, or the host lack, is no invariant that is broken. */
static enum dmp_reason broken_reason(enum dmp_broken why)
{
	switch (why) {
	case DMP_BROKEN_NO_MEMORY:
		return DMP_REASON_NO_MEMORY;
	case DMP_BROKEN_TOO_MANY_TABLES:
		return DMP_REASON_TABLES;
	case DMP_BROKEN_TABLE_NOT_RAM:
		return DMP_REASON_NOT_RAM;
	case DMP_BROKEN_HANDLER:
		return DMP_REASON_IDT;
	case DMP_BROKEN_ADDRESS:
		return DMP_REASON_ADDRESS;
	case DMP_BROKEN_CODE:
		return DMP_REASON_CODE;
	case DMP_BROKEN_WORK:
		return DMP_REASON_WORK;
	case DMP_BROKEN_EXPOSED:
		return DMP_REASON_EXPOSED;
	default:
		return DMP_REASON_BROKEN;
	}
}

struct kvm_dmp_engine *kvm_dmp_engine_check(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	unsigned int every = READ_ONCE(audit_every);

	if (static_branch_unlikely(&kvm_dmp_targets))
		dmp_target_settle(&vm->engine->mmu);
	if (unlikely(every) && prandom_u32_max(every) == 0)
		run_audit(vm);
	dmp_mmu_call_ends(&vm->engine->mmu);
	kvm_dmp_update_stats(kvm);
	if (likely(!vm->engine->mmu.broken))
		return NULL;
	return kvm_dmp_engine_detach(kvm, broken_reason(vm->engine->mmu.broken));
}

int kvm_dmp_audit(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;
	int r = -ENODATA;

	mutex_lock(&vm->engine_lock);
	if (vm->engaged) {
		/* The vCPU may not change guest entries meanwhile. */
		kvm_make_all_cpus_request(kvm, KVM_REQ_DMP);
		kvm_dmp_finish_all(kvm);
		r = run_audit(vm) ? 0 : -EILSEQ;
		e = kvm_dmp_engine_check(kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	return r;
}

void kvm_dmp_engine_destroy_vm(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;

	vm->engaged = false;
	vm->engine = NULL;
	if (e)
		engine_free(e);
}
