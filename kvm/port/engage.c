// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making an engine and unmaking it: eligibility, and what the policy wishes.
 *
 * Engaging has two halves. A worker (or whoever asks) makes ready: it collects
 * the memory slots and pins the guest's memory, while the guest runs. Then the
 * vCPU's own thread, between two entries, builds the machine tables.
 * Disengaging is one step and may be taken by any thread.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "engine.h"
#include "splicer/target.h"
#include "cpuid.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "x86.h"
#include "kvm_cache_regs.h"

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

/*
 * For tests. dmp_audit=N audits after one in N engine operations, at random;
 * dmp_fail_alloc=N lets the Nth allocation of each engagement fail.
 */
static unsigned int audit_every;
module_param_named(dmp_audit, audit_every, uint, 0644);
MODULE_PARM_DESC(dmp_audit, "Audit one in N DMP operations (default 0: never)");
static unsigned int fail_alloc;
module_param_named(dmp_fail_alloc, fail_alloc, uint, 0644);
MODULE_PARM_DESC(dmp_fail_alloc, "Fail the Nth DMP allocation (default 0: none)");

static void set_state_changed(struct kvm_dmp_vm *vm)
{
	wake_up_all(&vm->wait);
}

/*
 * ---- What the engine asks of its host ----
 */

/* The log names the place by its line, or by @where the engine called. */
bool __kvm_dmp_inject_failure(struct kvm_dmp_engine *e, unsigned long where,
			      const char *file, unsigned int line)
{
	unsigned int nth = READ_ONCE(fail_alloc);

	if (likely(++e->allocations != nth) || !nth)
		return false;
	pr_info("kvm-dmp: allocation %u fails: %s:%u: %pS\n", nth,
		kbasename(file), line, (void *)where);
	return true;
}

static u64 host_alloc_page(void *host)
{
	struct kvm_dmp_engine *e = host;
	struct page *page;

	if (kvm_dmp_inject_failure(e, _RET_IP_))
		return 0;
	/* Rather disengage than have somebody killed for it. */
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO |
			  __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	return page ? page_to_pfn(page) : 0;
}

static void host_free_page(void *host, u64 hfn)
{
	__free_page(pfn_to_page(hfn));
}

/* One vCPU, outside of the guest: it is enough to flush before it enters. */
static void host_flush_tlb(void *host)
{
	struct kvm_dmp_engine *e = host;

	e->kvm->arch.dmp->flush_owed = true;
}

static u64 host_page_hfn(void *host, const void *at)
{
	return kvm_dmp_record_hfn(host, at);
}

/* Only the vCPU's own thread gives up for a signal: it is the VM's. */
static bool host_go_on(void *host)
{
	cond_resched();
	return !kvm_get_running_vcpu() || !fatal_signal_pending(current);
}

static const struct dmp_host_ops host_ops = {
	.alloc_page	= host_alloc_page,
	.free_page	= host_free_page,
	.flush_tlb	= host_flush_tlb,
	.go_on		= host_go_on,
	.page_hfn	= host_page_hfn,
};

/*
 * ---- Eligibility ----
 */

/*
 * The bit that makes traps fault, 0 without one. As svm_adjust_mmio_mask() and
 * kvm_get_shadow_phys_bits() do, and unlike boot_cpu_data.x86_phys_bits, which
 * leaves out bits that hold keys. Where SYSCFG cannot be read, nothing that
 * depends on it is used.
 */
static u64 find_trap_bit(void)
{
	struct dmp_host_cpu cpu = {
		.phys_bits = boot_cpu_data.x86_phys_bits,
	};
	u32 ebx;
	u64 syscfg;

	if (boot_cpu_data.extended_cpuid_level >= 0x80000008)
		cpu.phys_bits = cpuid_eax(0x80000008) & 0xff;
	if (boot_cpu_data.extended_cpuid_level >= 0x8000001f &&
	    cpuid_eax(0x8000001f) & 3) {	/* SME, SEV */
		ebx = cpuid_ebx(0x8000001f);
		cpu.has_key_bit = true;
		cpu.key_bit = ebx & 0x3f;
		if (!rdmsrl_safe(MSR_AMD64_SYSCFG, &syscfg) &&
		    syscfg & MSR_AMD64_SYSCFG_MEM_ENCRYPT)
			cpu.bits_taken = ebx >> 6 & 0x3f;
	}
	return dmp_choose_trap_bit(&cpu);
}

/* CPUID and RDMSR take exits where the host is a guest itself: once. */
static u64 trap_bit(void)
{
	static u64 known = 1;	/* no such bit: not found out yet */
	u64 bit = READ_ONCE(known);

	if (bit == 1) {
		bit = find_trap_bit();
		WRITE_ONCE(known, bit);
	}
	return bit;
}

/* What can be told without the vCPU. */
static enum dmp_reason vm_refusal(struct kvm *kvm)
{
	if (tdp_enabled)
		return DMP_REASON_NESTED_PAGING;
	if (atomic_read(&kvm->online_vcpus) != 1)
		return DMP_REASON_VCPUS;
	/* With memory encryption an hfn is not all that an entry needs. */
	if (!trap_bit() || shadow_me_mask)
		return DMP_REASON_HOST_CPU;
	return DMP_REASON_NONE;
}

/* What the vCPU does at this moment; its own thread. */
static enum dmp_reason vcpu_refusal(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.dmp)
		return DMP_REASON_NO_MEMORY;
	if (is_guest_mode(vcpu))
		return DMP_REASON_NESTED_GUEST;
	if (is_smm(vcpu))
		return DMP_REASON_SMM;
	if (!is_long_mode(vcpu) || !is_paging(vcpu) ||
	    !kvm_read_cr0_bits(vcpu, X86_CR0_WP))
		return DMP_REASON_PAGING_MODE;
	return vm_refusal(vcpu->kvm);
}

static struct dmp_paging vcpu_paging(struct kvm_vcpu *vcpu)
{
	struct dmp_paging paging = {
		.levels = kvm_read_cr4_bits(vcpu, X86_CR4_LA57) ? 5 : 4,
		.guest_phys_bits = cpuid_maxphyaddr(vcpu),
		.trap_bit = trap_bit(),
		.trap_fill = shadow_nonpresent_or_rsvd_mask,
	};

	if (vcpu->arch.efer & EFER_NX)
		paging.flags |= DMP_PAGING_NX;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_SMEP))
		paging.flags |= DMP_PAGING_SMEP;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_SMAP))
		paging.flags |= DMP_PAGING_SMAP;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_PCIDE))
		paging.flags |= DMP_PAGING_PCIDS;
	if (guest_cpuid_has(vcpu, X86_FEATURE_GBPAGES))
		paging.flags |= DMP_PAGING_GBPAGES;
	if (guest_cpuid_is_amd_or_hygon(vcpu))
		paging.flags |= DMP_PAGING_AMD;
	return paging;
}

/*
 * ---- The engine's life ----
 */

static void engine_free(struct kvm_dmp_engine *e)
{
	dmp_mmu_destroy(&e->mmu);
	kvm_dmp_unpin_memory(e);
	kvm_dmp_free_records(e);
	kvm_dmp_free_splicer(e);
	kvfree(e);
}

static void add_stats(struct dmp_mmu_stats *sum, const struct dmp_mmu_stats *more)
{
	const u64 *from = (const u64 *)more;
	u64 *to = (u64 *)sum;
	unsigned int i;

	for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
		to[i] += from[i];
}

static struct kvm_dmp_engine *detach(struct kvm *kvm, enum dmp_reason why)
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
	add_stats(&vm->stats, &e->mmu.stats);
	/* The guest's tables have changed under what KVM's shadow pages say. */
	if (vm->engaged)
		kvm_mmu_zap_all(kvm);
	WRITE_ONCE(vm->engaged, false);
	WRITE_ONCE(vm->engine, NULL);
	atomic_inc(&vm->leaving);	/* until kvm_dmp_engine_drop() */
	kvm_dmp_update_stats(kvm);
	set_state_changed(vm);
	return e;
}

struct kvm_dmp_engine *kvm_dmp_engine_detach(struct kvm *kvm,
					     enum dmp_reason why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;

	lockdep_assert_held(&vm->engine_lock);
	if (!vm->making)
		return detach(kvm, why);
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
	set_state_changed(vm);
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

static bool is_preparing(struct kvm_dmp_vm *vm)
{
	return READ_ONCE(vm->policy.state) == DMP_STATE_PREPARING;
}

/* First half: everything but the vCPU's part. The policy says PREPARING. */
static enum dmp_reason make_ready(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	enum dmp_reason why = vm_refusal(kvm);
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
	e->mmu.ops = &host_ops;
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
		e = detach(kvm, why);
	} else {
		dmp_policy_refused(&vm->policy, ktime_get_ns(), why, 0);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	/* Who waits for the end of it wants the memory to be free, too. */
	WRITE_ONCE(vm->making, false);
	set_state_changed(vm);
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

/*
 * Second half, in the vCPU's thread under engine_lock. On a refusal the
 * detached engine, for the caller to drop.
 */
static struct kvm_dmp_engine *take_into_use(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;
	enum dmp_reason why = vcpu_refusal(vcpu);
	u64 start = ktime_get_ns();

	if (why)
		return kvm_dmp_engine_detach(vcpu->kvm, why);
	/* Of an engine that has come and gone since the vCPU's last entry. */
	if (vcpu->arch.dmp->splicer)
		kvm_dmp_splice_stop(vcpu);
	e->mmu.paging = vcpu_paging(vcpu);
	kvm_mmu_unload(vcpu);
	vcpu->arch.dmp->root_valid = false;
	if (!dmp_mmu_load_root(&e->mmu, kvm_dmp_cr3_gfn(vcpu)))
		return kvm_dmp_engine_check(vcpu->kvm);
	WRITE_ONCE(vm->engaged, true);
	kvm_dmp_splice_start(vcpu);
	e->engage_ns = ktime_get_ns() - start;
	queue_vm_work(vm);
	dmp_policy_engaged(&vm->policy, ktime_get_ns());
	set_state_changed(vm);
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
		why = vcpu_refusal(vcpu);
		paging = vcpu_paging(vcpu);
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

/* After that; or the VM was never made whole. */
void kvm_dmp_engine_destroy_vm(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_dmp_engine *e = vm->engine;

	vm->engaged = false;
	vm->engine = NULL;
	if (e)
		engine_free(e);
}
