/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the engine asks of its host: pages, flushes, time.
 */
#ifndef KVM_DMP_HOST_H
#define KVM_DMP_HOST_H

#include "state.h"

extern const struct dmp_host_ops kvm_dmp_host_ops;	/* .host is struct kvm_dmp_engine */

#endif /* KVM_DMP_HOST_H */
