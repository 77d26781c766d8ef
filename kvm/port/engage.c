// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engaging, in two halves. A worker (or whoever asks) makes ready: it collects the memory
 * slots and pins the guest's memory, while the guest runs. Then the vCPU's own thread,
 * between two entries, builds the machine tables. Disengaging is one step and may be taken
 * by any thread (life.h).
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "eligible.h"
#include "engage.h"
#include "host.h"
#include "implant.h"
#include "inject.h"
#include "life.h"
#include "memory.h"
#include "mmu.h"
#include "trust.h"
#include "x86.h"

/*
 * At most one machine table for so many frames of the guest's, and some: half
 * of all memory in tables of 4 KiB pages is more than any real guest has.
 */
#define TABLES_SHARE	8
#define TABLES_MIN	1024

/* Likewise address spaces, which take two pages more each. */
#define ROOTS_SHARE	64
#define ROOTS_MIN	128

/*
 * Entries that one call of the engine's may look at, some nanoseconds each, with
 * engine_lock held. Engaging looks at each frame's a few times; beyond that some
 * dozen searches through all tables of a guest that has many.
 */
#define WORK_SHARE	8
#define WORK_MIN	(64ull << 20)

static bool is_preparing(struct kvm_dmp_vm *vm)
{
	return READ_ONCE(vm->policy.state) == DMP_STATE_PREPARING;
}

/* First half: everything but the vCPU's part. The policy says PREPARING. */
static enum dmp_reason make_ready(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	enum dmp_reason why = kvm_dmp_vm_refusal(kvm);
	u64 start = ktime_get_ns();
	struct kvm_dmp_engine *e;

	if (why)
		return why;
	e = kvzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e || kvm_dmp_inject_failure(e, _THIS_IP_)) {
		kvfree(e);
		return DMP_REASON_NO_MEMORY;
	}
	e->kvm = kvm;
	e->mmu.ops = &kvm_dmp_host_ops;
	e->mmu.host = e;
	e->mmu.va_base = __va(0);

	if (READ_ONCE(vm->mode) == KVM_DMP_ON && !kvm_dmp_alloc_splicer(e)) {
		kvm_dmp_free_splicer(e);
		kvfree(e);
		return DMP_REASON_NO_MEMORY;
	}

	/* From now on MMU notifiers note what they see. */
	mutex_lock(&vm->engine_lock);
	WRITE_ONCE(vm->engine, e);
	mutex_unlock(&vm->engine_lock);

	why = kvm_dmp_gather_slots(e);
	if (!why)
		why = kvm_dmp_pin_memory(e);
	if (why)
		return why;
	e->mmu.tables_max = e->frames / TABLES_SHARE + TABLES_MIN;
	e->mmu.roots_max = min(e->frames / ROOTS_SHARE + ROOTS_MIN,
			       (unsigned long)DMP_ROOTS_MAX);
	e->mmu.work_max = e->frames * WORK_SHARE + WORK_MIN;
	e->prepare_ns = ktime_get_ns() - start;
	return DMP_REASON_NONE;
}

/* Under slots_lock. False when another thread has made ready meanwhile. */
static bool making_begin(struct kvm_dmp_vm *vm)
{
	bool begin;

	mutex_lock(&vm->engine_lock);
	begin = is_preparing(vm) && !vm->engine;
	vm->making = begin;
	vm->cancelled = DMP_REASON_NONE;
	mutex_unlock(&vm->engine_lock);
	return begin;
}

/* The engine is ready unless there is a reason why not; then it goes. */
static enum dmp_reason making_end(struct kvm *kvm, enum dmp_reason why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	mutex_lock(&vm->engine_lock);
	if (vm->cancelled)
		why = vm->cancelled;
	if (!why) {
		smp_store_release(&vm->engine->ready, true); /* to kvm_dmp_service() */
		vm->making = false;
	} else if (vm->engine) {
		e = kvm_dmp_engine_detach_unready(kvm, why);
	} else {
		dmp_policy_refused(&vm->policy, ktime_get_ns(), why, 0);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	/* Who waits for the end of it wants the memory to be free, too. */
	WRITE_ONCE(vm->making, false);
	kvm_dmp_state_changed(vm);
	return why;
}

static void prepare(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct mem_cgroup *memcg, *old;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	bool ready;

	/* Whoever this thread is, the memory is the VM's. */
	memcg = get_mem_cgroup_from_mm(kvm->mm);
	old = set_active_memcg(memcg);
	mutex_lock(&kvm->slots_lock);
	ready = making_begin(vm) && !making_end(kvm, make_ready(kvm));
	mutex_unlock(&kvm->slots_lock);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	if (!ready)
		return;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(KVM_REQ_DMP, vcpu);
		kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/*
 * Makes ready when the policy wants it. Once engaged, frees KVM's own shadow
 * pages: they are of no use any more, but nobody has to wait for that.
 */
static void engage_worker(struct work_struct *work)
{
	struct kvm_dmp_vm *vm = container_of(work, struct kvm_dmp_vm, engage_work);
	struct kvm *kvm = vm->kvm;

	if (READ_ONCE(vm->engaged))
		kvm_mmu_zap_all(kvm);
	else if (is_preparing(vm))
		prepare(kvm);
}

/*
 * A vCPU's thread, so there is a VM. The work holds no reference to it: were
 * the worker's the last, the modules could be unloaded while it still returns
 * through their text. kvm_dmp_pre_destroy_vm() waits for it instead.
 */
static void queue_vm_work(struct kvm_dmp_vm *vm)
{
	queue_work(system_unbound_wq, &vm->engage_work);
}

int kvm_dmp_engage(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	bool go;
	long r;

	mutex_lock(&vm->engine_lock);
	if (vm->engaged) {
		mutex_unlock(&vm->engine_lock);
		return 0;
	}
	go = dmp_policy_force(&vm->policy);
	mutex_unlock(&vm->engine_lock);
	if (!go && !is_preparing(vm))
		return -EINVAL;
	if (go)
		prepare(kvm);
	r = wait_event_interruptible_timeout(vm->wait, !is_preparing(vm) &&
					     !atomic_read(&vm->leaving), 10 * HZ);
	if (r < 0)
		return r;
	if (!r)
		return -EBUSY;	/* the vCPU does not run; it engages when it does */
	return READ_ONCE(vm->policy.state) == DMP_STATE_ENGAGED ? 0 : -EAGAIN;
}

void kvm_dmp_stand_down(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	bool held;

	/* The policy may want it again before it is held back: once more. */
	do {
		kvm_dmp_disengage(kvm, DMP_REASON_REQUEST);
		flush_work(&vm->engage_work);
		mutex_lock(&vm->engine_lock);
		held = dmp_policy_hold(&vm->policy,
				       ktime_get_ns() + KVM_DMP_HOLD_NS);
		mutex_unlock(&vm->engine_lock);
		cond_resched();
	} while (!held && !fatal_signal_pending(current));
}

/*
 * Second half, in the vCPU's thread under engine_lock. On a refusal the
 * detached engine, for the caller to drop.
 */
static struct kvm_dmp_engine *take_into_use(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;
	enum dmp_reason why = kvm_dmp_vcpu_refusal(vcpu);
	u64 start = ktime_get_ns();

	if (why)
		return kvm_dmp_engine_detach(vcpu->kvm, why);
	/* Of an engine that has come and gone since the vCPU's last entry. */
	if (vcpu->arch.dmp->splicer)
		kvm_dmp_splice_stop(vcpu);
	e->mmu.paging = kvm_dmp_vcpu_paging(vcpu);
	kvm_mmu_unload(vcpu);
	vcpu->arch.dmp->root_valid = false;
	if (!dmp_mmu_load_root(&e->mmu, kvm_dmp_cr3_gfn(vcpu)))
		return kvm_dmp_engine_check(vcpu->kvm);
	WRITE_ONCE(vm->engaged, true);
	kvm_dmp_splice_start(vcpu);
	e->engage_ns = ktime_get_ns() - start;
	queue_vm_work(vm);
	dmp_policy_engaged(&vm->policy, ktime_get_ns());
	kvm_dmp_state_changed(vm);
	return kvm_dmp_engine_check(vcpu->kvm);
}

/* KVM_REQ_DMP, in the vCPU's thread before it enters the guest. */
void kvm_dmp_service(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct kvm_dmp_engine *e = NULL;

	mutex_lock(&vm->engine_lock);
	/*
	 * A vCPU that slept through a disengagement: with the last VM's static
	 * branch off it will not come to kvm_dmp_load(), and the VM may soon be
	 * engaged again.
	 */
	if (d && d->splicer && !vm->engaged)
		kvm_dmp_splice_stop(vcpu);
	if (vm->engine && smp_load_acquire(&vm->engine->ready)) { /* making_end() */
		if (!kvm_dmp_check_suspects(vm))
			e = kvm_dmp_engine_detach(vcpu->kvm,
						  DMP_REASON_MEMORY_CHANGED);
		else if (!vm->engaged)
			e = take_into_use(vcpu);
		else if (d && d->splicer && kvm_dmp_has_other_idt(vcpu))
			e = kvm_dmp_engine_detach(vcpu->kvm, DMP_REASON_IDT);
	} else if (dmp_policy_tick(&vm->policy, ktime_get_ns(),
				   atomic64_read(&vm->faults))) {
		queue_vm_work(vm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
}

static bool is_logging_dirty(struct kvm *kvm)
{
	struct kvm_memory_slot *memslot;
	int bkt;

	kvm_for_each_memslot(memslot, bkt, __kvm_memslots(kvm, 0))
		if (memslot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			return true;
	return false;
}

/* Under slots_lock; also when only a slot's flags change. */
void kvm_dmp_memslots_change(struct kvm *kvm)
{
	if (static_branch_unlikely(&kvm_dmp_machine) &&
	    READ_ONCE(kvm->arch.dmp->engine))
		kvm_dmp_disengage(kvm, is_logging_dirty(kvm) ?
				  DMP_REASON_DIRTY_LOGGING : DMP_REASON_MEMSLOTS);
}

/* The vCPU's thread, wherever paging registers change. */
void __kvm_dmp_reset_context(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = NULL;
	struct dmp_paging paging;
	enum dmp_reason why;

	if (!READ_ONCE(vm->engaged))
		return;
	mutex_lock(&vm->engine_lock);
	if (vm->engaged) {
		why = kvm_dmp_vcpu_refusal(vcpu);
		paging = kvm_dmp_vcpu_paging(vcpu);
		if (!why && memcmp(&paging, &vm->engine->mmu.paging, sizeof(paging)))
			why = DMP_REASON_PAGING_MODE;
		if (why)
			e = kvm_dmp_engine_detach(vcpu->kvm, why);
		else
			vcpu->arch.dmp->root_valid = false;
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
}

void kvm_dmp_engine_init_vm(struct kvm_dmp_vm *vm, struct kvm *kvm)
{
	vm->kvm = kvm;
	mutex_init(&vm->engine_lock);
	spin_lock_init(&vm->suspect_lock);
	init_waitqueue_head(&vm->wait);
	INIT_WORK(&vm->engage_work, engage_worker);
}

/*
 * Nobody has a reference any more, so nothing queues work; the vCPUs and the
 * memory slots are still there. Who makes ready gives up.
 */
void kvm_dmp_pre_destroy_vm(struct kvm *kvm)
{
	kvm_dmp_disengage(kvm, DMP_REASON_REQUEST);
	cancel_work_sync(&kvm->arch.dmp->engage_work);
}
