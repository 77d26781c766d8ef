/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a guest's kernel may have the implant, and memory for it.
 */
#ifndef KVM_DMP_TRUST_H
#define KVM_DMP_TRUST_H

#include "state.h"

/*
 * The splicer, when its guest is trusted: then .splicer is set, else .no_splicer. On
 * false what there is has to be freed.
 */
bool kvm_dmp_alloc_splicer(struct kvm_dmp_engine *e);
void kvm_dmp_free_splicer(struct kvm_dmp_engine *e);

#endif /* KVM_DMP_TRUST_H */
