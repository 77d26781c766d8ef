/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The port's inner side: what it keeps for each VM and vCPU.
 */
#ifndef KVM_DMP_PORT_H
#define KVM_DMP_PORT_H

#include <linux/mutex.h>
#include <asm/cpufeature.h>

#include "dmp.h"

enum kvm_dmp_mode {
	KVM_DMP_OFF,		/* nothing is charged */
	KVM_DMP_MONITOR,	/* exits are charged */
	KVM_DMP_MODES
};

extern const char * const kvm_dmp_mode_name[KVM_DMP_MODES];

/* kvm->arch.dmp; there for the VM's whole life. */
struct kvm_dmp_vm {
	struct mutex lock;		/* mode changes; vCPU creation */
	enum kvm_dmp_mode mode;		/* written under lock */
	bool no_memory;			/* some vCPU has no monitor; under lock */
};

/* What the vCPU's own thread does at the end of an exit. */
enum kvm_dmp_charge {
	KVM_DMP_CHARGE_OFF,
	KVM_DMP_CHARGE_ON,
	KVM_DMP_CHARGE_RESET,		/* reset the monitor first, then ON */
};

/*
 * vcpu->arch.dmp; NULL when there was no memory for it. Once published it
 * and the monitor live as long as the vCPU, so that no reader needs a lock.
 */
struct kvm_dmp_vcpu {
	/* The exit being handled; the vCPU's thread only. */
	struct dmp_exit_key key;
	bool in_exit;

	enum kvm_dmp_charge charge;	/* any thread, READ_ONCE/WRITE_ONCE */
	struct dmp_monitor *monitor;	/* NULL until first needed; written once,
					 * under kvm_dmp_vm.lock, with release
					 */
	u64 outside[DMP_KIND_COUNT];	/* notes outside of any exit */
};

/*
 * Change a VM's mode. May sleep. -ENOMEM leaves the mode as it was.
 */
int kvm_dmp_set_mode(struct kvm *kvm, enum kvm_dmp_mode mode);

/* Forget all exits charged so far, at each vCPU's next exit. */
void kvm_dmp_reset(struct kvm *kvm);

static inline bool kvm_dmp_is_svm(void)
{
	return boot_cpu_has(X86_FEATURE_SVM);
}

/* The monitor as readers may see it: NULL when there is none or it is stale. */
const struct dmp_monitor *kvm_dmp_monitor_of(struct kvm_vcpu *vcpu);

#endif /* KVM_DMP_PORT_H */
