/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the port keeps: of each VM, of each vCPU, and, while a VM is engaged, or about to
 * be, its engine with the memory behind the guest.
 */
#ifndef KVM_DMP_STATE_H
#define KVM_DMP_STATE_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dmp.h"
#include "kvm_cache_regs.h"
#include "mmu/machine.h"
#include "splicer/leave.h"
#include "splicer/splicer.h"
#include "splicer/start.h"
#include "watch/policy.h"

enum kvm_dmp_mode {
	KVM_DMP_OFF,		/* nothing is charged */
	KVM_DMP_MONITOR,	/* exits are charged */
	KVM_DMP_ENGAGED,	/* and machine tables used whenever possible */
	KVM_DMP_ON,		/* and instructions replaced */
	KVM_DMP_MODES
};

/*
 * kvm->arch.dmp->engine. Made and pinned by one thread under slots_lock, then
 * taken into use by the vCPU's; from then on all under engine_lock.
 */
struct kvm_dmp_engine {
	struct dmp_mmu mmu;
	struct kvm *kvm;
	unsigned long hva[DMP_SLOTS_MAX];	/* of mmu.slot[], same index */
	unsigned long frames;			/* in all slots */
	unsigned long accounted;		/* pages of RLIMIT_MEMLOCK */
	bool ready;				/* pinned; may be taken into use */

	/* For mode on; NULL when instructions are not to be replaced. */
	struct dmp_splicer *splicer;
	struct page *implant;			/* of splicer->implant */
	enum dmp_start_refusal no_splicer;	/* why .splicer is NULL in mode on */

	/* Frame records: as one array, of gfn 0 to gfns, or by slots. */
	bool one_array;
	struct dmp_frame *records;
	struct page **record_pages;		/* .no_records where there is no slot */
	struct page *no_records;		/* zeroes */
	unsigned long gfns;

	u64 allocations;			/* for fault injection */
	u64 prepare_ns, engage_ns;		/* what it took */
};

struct kvm_dmp_range {
	unsigned long start, end;	/* host addresses */
};

#define KVM_DMP_SUSPECTS	8

/* kvm->arch.dmp; there for the VM's whole life. */
struct kvm_dmp_vm {
	struct kvm *kvm;		/* constant */
	struct mutex lock;		/* mode changes; vCPU creation */
	enum kvm_dmp_mode mode;		/* written under lock */
	bool no_memory;			/* some vCPU has no monitor; under lock */

	/*
	 * What the process that made the VM was allowed; constant. Others act for
	 * it later: a worker, whoever writes to debugfs.
	 */
	bool maker_rawio;		/* CAP_SYS_RAWIO: the host's memory */
	bool maker_ipc_lock;		/* CAP_IPC_LOCK: as much as there is */
	unsigned long maker_memlock;	/* RLIMIT_MEMLOCK, in pages */

	/*
	 * Machine tables. engine_lock nests inside kvm->srcu and slots_lock,
	 * outside of mmap_lock and mmu_lock; it is not taken by MMU notifiers.
	 */
	struct mutex engine_lock;
	bool engaged;			/* written under engine_lock; any reads */
	struct kvm_dmp_engine *engine;	/* under engine_lock: in use (engaged) or
					 * made ready, to be taken into use
					 */
	bool making;			/* some thread makes the engine ready: set
					 * under slots_lock and engine_lock
					 */
	enum dmp_reason cancelled;	/* why that is to end; under engine_lock */
	atomic_t leaving;		/* engines detached and not yet freed */
	struct dmp_policy policy;	/* under engine_lock */
	atomic64_t faults;		/* page-fault exits of all vCPUs, for it */
	struct dmp_mmu_stats stats;	/* of engines gone by; under engine_lock */
	u64 audits;			/* under engine_lock */
	struct dmp_finding finding;	/* the last audit's; under engine_lock */
	bool flush_owed;		/* vCPU's thread, under engine_lock */
	struct dmp_relics *relics;	/* made with the first splicer, by who makes
					 * an engine ready, and kept
					 */
	u64 relic_runs, relic_repairs;	/* the vCPU's thread; */
	u64 astray;			/*   the instruction it was led back to last, */
	unsigned int astray_times;	/*   and how often in a row: relic.c */
	u64 user_fault_exits;		/* by the filter, for user mode; vCPU's thread */
	enum dmp_start_refusal splice_refusal;	/* of the last start; engine_lock */
	u64 splice_retry;		/* root loads at which to try again; likewise */
	struct work_struct engage_work;
	wait_queue_head_t wait;		/* policy.state has changed */

	/* What MMU notifiers saw; the vCPU looks at it before it enters. */
	spinlock_t suspect_lock;
	unsigned int suspects;		/* above the array: all of memory */
	struct kvm_dmp_range suspect[KVM_DMP_SUSPECTS];
};

/* What the vCPU's own thread does at the end of an exit. */
enum kvm_dmp_charge {
	KVM_DMP_CHARGE_OFF,
	KVM_DMP_CHARGE_ON,
	KVM_DMP_CHARGE_RESET,		/* reset the monitor first, then ON;
					 * vcpu->arch.dmp_exit.batch is NULL
					 */
};

/*
 * vcpu->arch.dmp; NULL when there was no memory for it. Once published it
 * and the monitor live as long as the vCPU, so that no reader needs a lock.
 */
struct kvm_dmp_vcpu {
	enum kvm_dmp_charge charge;	/* written under kvm_dmp_vm.lock; RESET to
					 * ON by the vCPU, by cmpxchg
					 */
	struct dmp_batch batch;		/* the vCPU's thread only */
	struct dmp_monitor *monitor;	/* NULL until first needed; written once,
					 * under kvm_dmp_vm.lock, with release
					 */
	u64 outside[DMP_KIND_COUNT];	/* notes outside of any exit */
	bool putting;			/* it is being put: nothing may sleep */

	/* Machine tables; the vCPU's thread only. */
	bool root_valid;		/* the loaded root is the guest's CR3 */
	struct dmp_write write;		/* between write_begin() and end() */

	/*
	 * The implant. The vCPU's thread, but for what is said. While .inside
	 * the vCPU may stand in the implant; from then until its exit is
	 * handled it is .busy, and the splicer stays: who frees it waits. What
	 * is not done yet when it is outside is in .left; .left.unfinished
	 * also under engine_lock by whoever audits.
	 */
	struct dmp_splicer *splicer;	/* NULL: not spliced; may be used while
					 * .busy
					 */
	bool inside, busy;
	struct dmp_left left;
	struct dmp_site *resume;	/* RIP may be inside of its splice */
	bool deliver;			/* RIP is the #PF handler, and the fault
					 * the guest's: on behind the filter
					 */
	u64 followed_cr3;		/* of the root that the engine has for the
					 * loaded one; with .targets
					 */
	u32 targets_version;		/* of splicer->target[] the CPU knows */
	u64 idt;			/* VT-x: what IDTR was; vendor/vmx.c */
	u64 idt_address;		/* what it was when that began, and */
	u16 idt_limit;			/* its limit */
	struct {
		bool pending;
		u64 handler, home;	/* RIP now; where the fault was taken */
	} begun;			/* the filter has still to look at a #PF */
	struct {
		bool pending;
		u16 error_code;
		u64 address;
	} injected;			/* a #PF of KVM's own */
};

static inline u64 kvm_dmp_cr3_gfn(struct kvm_vcpu *vcpu)
{
	return (kvm_read_cr3(vcpu) & DMP_PTE_ADDR) >> PAGE_SHIFT;
}

#endif /* KVM_DMP_STATE_H */
