/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Undoing splices while the guest runs on.
 */
#ifndef KVM_DMP_UNDO_H
#define KVM_DMP_UNDO_H

#include "state.h"

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

#endif /* KVM_DMP_UNDO_H */
