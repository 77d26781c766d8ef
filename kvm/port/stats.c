// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's figures; see stats.h. Readers of KVM's own statistics
 * (KVM_GET_STATS_FD) take no lock: those are kept up to date wherever they change.
 */
#include "stats.h"

void kvm_dmp_add_stats(struct dmp_mmu_stats *sum, const struct dmp_mmu_stats *more)
{
	const u64 *from = (const u64 *)more;
	u64 *to = (u64 *)sum;
	unsigned int i;

	for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
		to[i] += from[i];
}

u64 kvm_dmp_engine_bytes(const struct kvm_dmp_engine *e)
{
	u64 bytes;

	if (!e)
		return 0;
	bytes = (e->mmu.pages << PAGE_SHIFT) + sizeof(*e) +
		e->frames * sizeof(struct dmp_frame);
	/* Code and tables of the implant's are among the pages. */
	if (e->splicer)
		bytes += sizeof(*e->splicer) +
			 (PAGE_SIZE << get_order(DMP_IMPLANT_BYTES));
	return bytes;
}

void kvm_dmp_update_stats(struct kvm *kvm)
{
	const struct kvm_dmp_vm *vm = kvm->arch.dmp;
	const struct kvm_dmp_engine *e = vm->engine;
	struct kvm_vm_stat *stat = &kvm->stat;

	lockdep_assert_held(&vm->engine_lock);
	stat->dmp_engaged = vm->engaged;
	stat->dmp_engagements = vm->policy.engagements;
	stat->dmp_disengagements = vm->policy.disengagements;
	stat->dmp_audits = vm->audits;
	stat->dmp_tables = e ? e->mmu.tables : 0;
	stat->dmp_roots = e ? e->mmu.roots : 0;
	stat->dmp_engine_bytes = kvm_dmp_engine_bytes(e);
}
