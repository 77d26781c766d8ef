/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory for frame records, one for each 4 KiB page of the guest's.
 */
#ifndef KVM_DMP_RECORDS_H
#define KVM_DMP_RECORDS_H

#include "state.h"

/* Of all slots, .gfns and .frames known. On false what there is has to be freed. */
bool kvm_dmp_alloc_records(struct kvm_dmp_engine *e);
void kvm_dmp_free_records(struct kvm_dmp_engine *e);

/* Of the page at an address in the one array; 0 where no slot's records are. */
u64 kvm_dmp_record_hfn(struct kvm_dmp_engine *e, const void *at);

#endif /* KVM_DMP_RECORDS_H */
