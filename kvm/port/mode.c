// SPDX-License-Identifier: GPL-2.0-only
/*
 * Modes, and the life of VMs and vCPUs.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "charge.h"
#include "engage.h"
#include "life.h"
#include "mode.h"

const char * const kvm_dmp_mode_name[KVM_DMP_MODES] = {
	[KVM_DMP_OFF]		= "off",
	[KVM_DMP_MONITOR]	= "monitor",
	[KVM_DMP_ENGAGED]	= "engaged",
	[KVM_DMP_ON]		= "on",
};

DEFINE_STATIC_KEY_FALSE(kvm_dmp_monitoring);
EXPORT_SYMBOL_GPL(kvm_dmp_monitoring);

DEFINE_STATIC_KEY_FALSE(kvm_dmp_machine);
EXPORT_SYMBOL_GPL(kvm_dmp_machine);

DEFINE_STATIC_KEY_FALSE(kvm_dmp_splicing);
EXPORT_SYMBOL_GPL(kvm_dmp_splicing);
DEFINE_STATIC_KEY_FALSE(kvm_dmp_targets);

/* kvm.dmp: the mode of VMs created from now on. */
static enum kvm_dmp_mode default_mode;

static int mode_param_set(const char *val, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(kvm_dmp_mode_name, val);

	if (mode < 0)
		return mode;
	WRITE_ONCE(default_mode, mode);
	return 0;
}

static int mode_param_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n",
			  kvm_dmp_mode_name[READ_ONCE(default_mode)]);
}

static const struct kernel_param_ops mode_param_ops = {
	.set = mode_param_set,
	.get = mode_param_get,
};

module_param_cb(dmp, &mode_param_ops, NULL, 0644);
MODULE_PARM_DESC(dmp, "DMP mode of new VMs: off (default), monitor, engaged, on");

/* Begin or end to want machine tables, under vm->lock. */
static void set_machine(struct kvm *kvm, bool on)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;

	if (on)
		static_branch_inc(&kvm_dmp_machine);
	mutex_lock(&vm->engine_lock);
	if (on)
		dmp_policy_start(&vm->policy);
	mutex_unlock(&vm->engine_lock);
	if (on)
		return;
	/* A worker may still be making ready; it ends in a state to stop in. */
	do {
		kvm_dmp_disengage(kvm, DMP_REASON_REQUEST);
		flush_work(&vm->engage_work);
		mutex_lock(&vm->engine_lock);
		dmp_policy_stop(&vm->policy);
		mutex_unlock(&vm->engine_lock);
		cond_resched();
	} while (READ_ONCE(vm->policy.state) != DMP_STATE_OFF);
	/* A vCPU may be handling an exit from machine tables; let it end. */
	synchronize_srcu(&kvm->srcu);
	static_branch_dec(&kvm_dmp_machine);
}

int kvm_dmp_set_mode(struct kvm *kvm, enum kvm_dmp_mode mode)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	bool charging = mode != KVM_DMP_OFF, machine = mode >= KVM_DMP_ENGAGED;
	bool charged, had_machine;
	enum kvm_dmp_mode was;
	int r = 0;

	mutex_lock(&vm->lock);
	was = vm->mode;
	charged = was != KVM_DMP_OFF;
	had_machine = was >= KVM_DMP_ENGAGED;
	if (charging && !charged)
		r = kvm_dmp_set_charging(kvm, true);
	if (r)
		goto out;
	if (mode == KVM_DMP_ON && was != KVM_DMP_ON)
		static_branch_inc(&kvm_dmp_splicing);
	WRITE_ONCE(vm->mode, mode);
	if (machine != had_machine)
		set_machine(kvm, machine);
	else if (machine && mode != was)
		kvm_dmp_disengage(kvm, DMP_REASON_REQUEST);
	/* A vCPU that was spliced finds out before it enters the guest again. */
	if (was == KVM_DMP_ON && mode != KVM_DMP_ON) {
		synchronize_srcu(&kvm->srcu);
		static_branch_dec(&kvm_dmp_splicing);
	}
	/* Last: a vCPU leaves the implant where exits are charged. */
	if (charged && !charging)
		r = kvm_dmp_set_charging(kvm, false);
out:
	mutex_unlock(&vm->lock);
	return r;
}

int kvm_dmp_init_vm(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return -ENOMEM;
	mutex_init(&vm->lock);
	vm->maker_rawio = has_capability_noaudit(current, CAP_SYS_RAWIO);
	vm->maker_ipc_lock = has_capability_noaudit(current, CAP_IPC_LOCK);
	vm->maker_memlock = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	kvm_dmp_engine_init_vm(vm, kvm);
	kvm->arch.dmp = vm;
	return kvm_dmp_set_mode(kvm, READ_ONCE(default_mode));
}

void kvm_dmp_destroy_vm(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;

	if (!vm)
		return;
	kvm_dmp_engine_destroy_vm(kvm);
	if (vm->mode != KVM_DMP_OFF)
		static_branch_dec(&kvm_dmp_monitoring);
	if (vm->mode >= KVM_DMP_ENGAGED)
		static_branch_dec(&kvm_dmp_machine);
	if (vm->mode == KVM_DMP_ON)
		static_branch_dec(&kvm_dmp_splicing);
	kvm->arch.dmp = NULL;
	kvfree(vm->relics);
	kfree(vm);
}

/*
 * The vCPU is in the VM's array already: a mode change before this finds no
 * vcpu->arch.dmp and passes it by; it gets the mode here. Without memory it
 * runs, and is not charged.
 */
void kvm_dmp_create_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);

	mutex_lock(&vm->lock);
	WRITE_ONCE(vcpu->arch.dmp, d);
	if (!d || (vm->mode != KVM_DMP_OFF && kvm_dmp_charge_vcpu(vcpu)))
		vm->no_memory = true;
	mutex_unlock(&vm->lock);
	if (atomic_read(&vcpu->kvm->online_vcpus) > 1)
		kvm_dmp_disengage(vcpu->kvm, DMP_REASON_VCPUS);
}

void kvm_dmp_destroy_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d)
		return;
	vcpu->arch.dmp = NULL;
	kvfree(d->monitor);
	kfree(d);
}
