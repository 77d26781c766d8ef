/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failures on purpose, for tests.
 */
#ifndef KVM_DMP_INJECT_H
#define KVM_DMP_INJECT_H

#include "state.h"

/*
 * Whether this allocation is the one to fail (kvm.dmp_fail_alloc); then the
 * kernel log says that it was made at @where.
 */
bool __kvm_dmp_inject_failure(struct kvm_dmp_engine *e, unsigned long where,
			      const char *file, unsigned int line);
#define kvm_dmp_inject_failure(e, where) \
	__kvm_dmp_inject_failure(e, where, __FILE__, __LINE__)

#endif /* KVM_DMP_INJECT_H */
