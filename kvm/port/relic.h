/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest has kept of splices that are gone.
 */
#ifndef KVM_DMP_RELIC_H
#define KVM_DMP_RELIC_H

#include "state.h"

/*
 * The relic that leads to @gva, where the guest's kernel is about to run and has mapped
 * nothing; NULL: none. run() it: in place of the guest's instruction; as an exit
 * handler, not busy.
 */
const struct dmp_relic *kvm_dmp_relic_at(struct kvm_vcpu *vcpu, u64 gva);
int kvm_dmp_run_relic(struct kvm_vcpu *vcpu, const struct dmp_relic *relic);

/*
 * The relic by which the guest's kernel has come to @gva, since it has written a byte of
 * the splice back while nobody looked; NULL: none. lead_back() puts that right, and the
 * guest goes on at the instruction, or the instruction alone is run; as run_relic().
 */
#define KVM_DMP_ASTRAY_MOST	8	/* times in a row before it is put right */
const struct dmp_relic *kvm_dmp_relic_astray(struct kvm_vcpu *vcpu, u64 gva);
int kvm_dmp_lead_back(struct kvm_vcpu *vcpu, const struct dmp_relic *relic);

#endif /* KVM_DMP_RELIC_H */
