/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The port's inner side: what it keeps for each VM and vCPU.
 */
#ifndef KVM_DMP_PORT_H
#define KVM_DMP_PORT_H

#include <linux/mutex.h>
#include <asm/cpufeature.h>

#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dmp.h"
#include "mmu/machine.h"
#include "kvm_cache_regs.h"
#include "watch/policy.h"
#include "splicer/leave.h"
#include "splicer/splicer.h"

enum kvm_dmp_mode {
	KVM_DMP_OFF,		/* nothing is charged */
	KVM_DMP_MONITOR,	/* exits are charged */
	KVM_DMP_ENGAGED,	/* and machine tables used whenever possible */
	KVM_DMP_ON,		/* and instructions replaced */
	KVM_DMP_MODES
};

extern const char * const kvm_dmp_mode_name[KVM_DMP_MODES];

/* Everything that exists only for machine tables; see engaged.c. */
struct kvm_dmp_engine;

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

/*
 * Change a VM's mode. May sleep. -ENOMEM leaves the mode as it was.
 */
int kvm_dmp_set_mode(struct kvm *kvm, enum kvm_dmp_mode mode);

/*
 * Forget all exits charged so far, at each vCPU's next exit. -ENODATA in mode
 * OFF: what was charged before is kept, and no exit would come by to drop it.
 */
int kvm_dmp_reset(struct kvm *kvm);

/* What the vCPU has counted and not charged yet is charged; its own thread. */
void kvm_dmp_drain(struct kvm_vcpu *vcpu);

/* Machine tables: engage.c makes and unmakes, engaged.c runs on them. */
void kvm_dmp_engine_init_vm(struct kvm_dmp_vm *vm, struct kvm *kvm);
void kvm_dmp_engine_destroy_vm(struct kvm *kvm);

/*
 * Engage now, whatever the rate of faults. May sleep; returns 0 when engaged,
 * -EAGAIN on a refusal whose reason is in vm->policy, -EBUSY when the vCPU
 * does not run (it engages when it does), -EINVAL when the mode is not ENGAGED.
 */
int kvm_dmp_engage(struct kvm *kvm);

/*
 * Back to KVM's own paging. May be called by any thread that may sleep and
 * holds no lock inside slots_lock; on return no vCPU runs on machine tables
 * and none of the guest's memory is pinned.
 */
void kvm_dmp_disengage(struct kvm *kvm, enum dmp_reason why);

/*
 * Disengage at somebody's wish, and for KVM_DMP_HOLD_NS do not be engaged by
 * the rate of faults, or a busy guest would be so within a second.
 * kvm_dmp_engage() is not held back. Context as for kvm_dmp_disengage(), but
 * not under slots_lock.
 */
#define KVM_DMP_HOLD_NS	(60ull * NSEC_PER_SEC)
void kvm_dmp_stand_down(struct kvm *kvm);

/*
 * Replacing instructions: spliced.c runs with the implant, splice.c begins and
 * ends it. start() is called under engine_lock, engaged, with a root loaded.
 */
void kvm_dmp_splice_start(struct kvm_vcpu *vcpu);
void kvm_dmp_splice_stop(struct kvm_vcpu *vcpu);

/* Whether IDTR is not what it was at that start, in the vCPU's thread. */
bool kvm_dmp_has_other_idt(struct kvm_vcpu *vcpu);
void kvm_dmp_unwind_begun(struct kvm_vcpu *vcpu);

/*
 * Debug registers, debugreg.c: whether a breakpoint of the guest's is in its
 * kernel, or may be; and its access, KVM_DMP_DR: a write may disengage. True:
 * handled, with *@ret.
 */
bool kvm_dmp_watches_kernel(struct kvm_vcpu *vcpu);
bool kvm_dmp_move_dr(struct kvm_vcpu *vcpu, u32 info, int *ret);

/*
 * MOV to and from CR3 (cr3.c). show(): the guest is to read what vcpu->arch.cr3
 * is, which was just taken into use; engine_lock. trapped(): the instruction at
 * RIP has exited for one. write(): the one that @left says; as an exit handler.
 */
void kvm_dmp_show_cr3(struct kvm_vcpu *vcpu);
void kvm_dmp_cr3_trapped(struct kvm_vcpu *vcpu);
int kvm_dmp_write_cr3(struct kvm_vcpu *vcpu);

/*
 * What the guest has kept of splices (relic.c): the relic that leads to @gva, where
 * the kernel of the guest's is about to run and has mapped nothing; NULL: none.
 * run() it: in place of the guest's instruction; as an exit handler, not busy.
 */
const struct dmp_relic *kvm_dmp_relic_at(struct kvm_vcpu *vcpu, u64 gva);
int kvm_dmp_run_relic(struct kvm_vcpu *vcpu, const struct dmp_relic *relic);

/*
 * The relic by which the kernel of the guest's has come to @gva, since it has written
 * a byte of the splice back while nobody looked; NULL: none. lead_back() puts that
 * right, and the guest goes on at the instruction, or the instruction alone is run; as
 * run_relic().
 */
#define KVM_DMP_ASTRAY_MOST	8	/* times in a row before it is put right */
const struct dmp_relic *kvm_dmp_relic_astray(struct kvm_vcpu *vcpu, u64 gva);
int kvm_dmp_lead_back(struct kvm_vcpu *vcpu, const struct dmp_relic *relic);

/*
 * Wait until no vCPU but the caller's own uses the splicer. All have been asked
 * to leave the guest, and the engine is detached.
 */
void kvm_dmp_wait_idle(struct kvm *kvm);

/*
 * A vCPU that is outside has left something undone: do it, under engine_lock.
 * finish_all() waits until they are outside, which they have been asked to be.
 */
void kvm_dmp_finish(struct kvm_vcpu *vcpu);
void kvm_dmp_finish_all(struct kvm *kvm);

/*
 * Undo the splice at @rip, or all of them with @rip 0 (but not that of the #PF
 * handler, which stays for as long as the VM is spliced); the guest's
 * instructions are as they were, and are not replaced again before the VM is
 * engaged anew. 0; -ENOENT: there is none; -EBUSY: it is the handler's;
 * -ENODATA: not spliced.
 */
int kvm_dmp_undo(struct kvm *kvm, u64 rip);

/* Likewise, with a reason of one's own. */
int kvm_dmp_undo_site(struct kvm *kvm, u64 rip, enum dmp_site_refusal why);

/* Run the audit. 0: clean; -EILSEQ: not (see vm->finding); -ENODATA: not engaged. */
int kvm_dmp_audit(struct kvm *kvm);

static inline u64 kvm_dmp_cr3_gfn(struct kvm_vcpu *vcpu)
{
	return (kvm_read_cr3(vcpu) & DMP_PTE_ADDR) >> PAGE_SHIFT;
}

/* The monitor as readers may see it: NULL when there is none or it is stale. */
const struct dmp_monitor *kvm_dmp_monitor_of(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_PORT_H */
