/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM's mode, and the life of VMs and vCPUs with it.
 */
#ifndef KVM_DMP_MODE_H
#define KVM_DMP_MODE_H

#include "state.h"

extern const char * const kvm_dmp_mode_name[KVM_DMP_MODES];

/*
 * Change a VM's mode. May sleep. -ENOMEM leaves the mode as it was.
 */
int kvm_dmp_set_mode(struct kvm *kvm, enum kvm_dmp_mode mode);

#endif /* KVM_DMP_MODE_H */
