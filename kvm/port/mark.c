// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab's marks: CPUIDs by which a guest, its user mode included, learns how often it
 * exits. Guest's side: bench/mark.h. In the vCPU's own thread.
 */
#include <linux/module.h>

#include "charge.h"
#include "state.h"

DEFINE_STATIC_KEY_FALSE(kvm_dmp_marks);

/*
 * kvm.dmp_marks: answer the lab's CPUID marks with exit counts. They tell a
 * guest, its user mode included, how often it exits: for measuring only.
 */
static int marks_param_set(const char *val, const struct kernel_param *kp)
{
	bool on;
	int r = kstrtobool(val, &on);

	if (r)
		return r;
	if (on)
		static_branch_enable(&kvm_dmp_marks);
	else
		static_branch_disable(&kvm_dmp_marks);
	return 0;
}

static int marks_param_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n",
			  static_key_enabled(&kvm_dmp_marks) ? 'Y' : 'N');
}

static const struct kernel_param_ops marks_param_ops = {
	.set = marks_param_set,
	.get = marks_param_get,
};

module_param_cb(dmp_marks, &marks_param_ops, NULL, 0644);
MODULE_PARM_DESC(dmp_marks, "Answer CPUID marks with exit counts (default N)");

/* As in bench/mark.h. */
#define MARK_MAGIC	0x21504d44	/* "DMP!" */

/* With what the vendor counts, the @nth. */
static u32 exits_with(struct kvm *kvm, unsigned int nth)
{
	const struct kvm_dmp_vendor *vendor = kvm_x86_ops.dmp;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	unsigned int kind;
	u32 code, sum = 0;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		const struct dmp_monitor *m = kvm_dmp_monitor_of(vcpu);

		for (code = vendor->counted[nth].first;
		     m && code <= vendor->counted[nth].last; code++)
			for (kind = 0; kind < DMP_KIND_COUNT; kind++)
				sum += dmp_monitor_tally(m, dmp_tally_of(code),
							 kind);
	}
	return sum;
}

/* KVM's own counters, which count with DMP off, too. */
static void mark_from_stats(struct kvm *kvm, u32 *exits, u32 *pf, u32 *intr)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	*exits = 0;
	*pf = 0;
	*intr = 0;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		*exits += vcpu->stat.exits;
		*pf += vcpu->stat.pf_taken;
		*intr += vcpu->stat.irq_exits;
	}
}

bool __kvm_dmp_mark(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx,
		    u32 *edx)
{
	struct kvm *kvm = vcpu->kvm;

	if (*ecx == 0) {
		mark_from_stats(kvm, ebx, ecx, edx);
	} else if (*ecx == 1 && READ_ONCE(vcpu->arch.dmp_exit.batch)) {
		kvm_dmp_drain(vcpu);
		*ebx = exits_with(kvm, 0);
		*ecx = exits_with(kvm, 1);
		*edx = exits_with(kvm, 2);
	} else {
		return false;
	}
	*eax = MARK_MAGIC;
	return true;
}
