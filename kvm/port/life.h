/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of an engine: how it ends, and when it is looked at.
 */
#ifndef KVM_DMP_LIFE_H
#define KVM_DMP_LIFE_H

#include "state.h"

/* For who waits in kvm_dmp_engage() or kvm_dmp_disengage(). */
static inline void kvm_dmp_state_changed(struct kvm_dmp_vm *vm)
{
	wake_up_all(&vm->wait);
}

/*
 * Detach the engine, under engine_lock: no hook finds it from then on. The
 * caller then calls kvm_dmp_engine_drop() without the lock. NULL when there
 * is none.
 */
struct kvm_dmp_engine *kvm_dmp_engine_detach(struct kvm *kvm,
					     enum dmp_reason why);

/* Likewise, by the thread that was to make it ready (.making) and gives up. */
struct kvm_dmp_engine *kvm_dmp_engine_detach_unready(struct kvm *kvm,
						     enum dmp_reason why);

/*
 * Free a detached engine: get every vCPU out of the guest, then give back
 * tables and pinned memory. May sleep.
 */
void kvm_dmp_engine_drop(struct kvm_dmp_engine *e);

/*
 * After any engine operation, under engine_lock: runs the audit if it is due.
 * The engine when it is broken and was detached, for the caller to drop.
 */
struct kvm_dmp_engine *kvm_dmp_engine_check(struct kvm *kvm);

/*
 * Back to KVM's own paging. May be called by any thread that may sleep and
 * holds no lock inside slots_lock; on return no vCPU runs on machine tables
 * and none of the guest's memory is pinned.
 */
void kvm_dmp_disengage(struct kvm *kvm, enum dmp_reason why);

/* Run the audit. 0: clean; -EILSEQ: not (see vm->finding); -ENODATA: not engaged. */
int kvm_dmp_audit(struct kvm *kvm);

/* Nobody runs or uses the VM any more, or it was never made whole. */
void kvm_dmp_engine_destroy_vm(struct kvm *kvm);

#endif /* KVM_DMP_LIFE_H */
