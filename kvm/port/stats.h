/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's figures: among KVM's own statistics, and summed over engagements.
 */
#ifndef KVM_DMP_STATS_H
#define KVM_DMP_STATS_H

#include "state.h"

/* Bring KVM's statistics up to date; under engine_lock. */
void kvm_dmp_update_stats(struct kvm *kvm);

/* Add @more to @sum, member by member. */
void kvm_dmp_add_stats(struct dmp_mmu_stats *sum, const struct dmp_mmu_stats *more);

/* What an engine takes, guest memory not counted; 0 for NULL. engine_lock. */
u64 kvm_dmp_engine_bytes(const struct kvm_dmp_engine *e);

#endif /* KVM_DMP_STATS_H */
