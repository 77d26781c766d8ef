/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an engaged VM has; shared by engage.c and engaged.c only.
 */
#ifndef KVM_DMP_ENGINE_H
#define KVM_DMP_ENGINE_H

#include "port.h"
#include "splicer/start.h"

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

/*
 * Detach the engine, under engine_lock: no hook finds it from then on. The
 * caller then calls kvm_dmp_engine_drop() without the lock. NULL when there
 * is none.
 */
struct kvm_dmp_engine *kvm_dmp_engine_detach(struct kvm *kvm,
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
 * A fault that was not the guest's is @kind: charge the exit and emulate the
 * instruction, or let it run again. As an exit handler returns. Without the lock.
 */
int kvm_dmp_fault_end(struct kvm_vcpu *vcpu, enum dmp_fault_kind kind,
		      gva_t gva, void *insn, int insn_len);

/* Bring KVM's statistics up to date; under engine_lock. */
void kvm_dmp_update_stats(struct kvm *kvm);

/* What an engine takes, guest memory not counted; 0 for NULL. engine_lock. */
u64 kvm_dmp_engine_bytes(const struct kvm_dmp_engine *e);

/*
 * Whether this allocation is the one to fail (kvm.dmp_fail_alloc); then the
 * kernel log says that it was made at @where.
 */
bool __kvm_dmp_inject_failure(struct kvm_dmp_engine *e, unsigned long where,
			      const char *file, unsigned int line);
#define kvm_dmp_inject_failure(e, where) \
	__kvm_dmp_inject_failure(e, where, __FILE__, __LINE__)

/*
 * Memory (memory.c). gather_slots() fills in mmu.slot[], under slots_lock;
 * pin_memory() every frame's hfn; unpin_memory() takes what either has left.
 */
enum dmp_reason kvm_dmp_gather_slots(struct kvm_dmp_engine *e);
enum dmp_reason kvm_dmp_pin_memory(struct kvm_dmp_engine *e);
void kvm_dmp_unpin_memory(struct kvm_dmp_engine *e);

/*
 * Frame records (records.c) of all slots, .gfns and .frames known. On false
 * what there is has to be freed. record_hfn(): of the page at an address in
 * the array; 0 where no slot's records are.
 */
bool kvm_dmp_alloc_records(struct kvm_dmp_engine *e);
void kvm_dmp_free_records(struct kvm_dmp_engine *e);
u64 kvm_dmp_record_hfn(struct kvm_dmp_engine *e, const void *at);

/*
 * The splicer (splice.c), when its guest is trusted; then .splicer is set, else
 * .no_splicer. On false what there is has to be freed.
 */
bool kvm_dmp_alloc_splicer(struct kvm_dmp_engine *e);
void kvm_dmp_free_splicer(struct kvm_dmp_engine *e);

/* Whether all that MMU notifiers saw left the pinned pages where they are. */
bool kvm_dmp_check_suspects(struct kvm_dmp_vm *vm);

#endif /* KVM_DMP_ENGINE_H */
