// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trust, and memory for the implant; see trust.h.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>

#include "inject.h"
#include "splicer/relic.h"
#include "splicer/site.h"
#include "trust.h"

/*
 * The implant runs in the guest's kernel and writes machine tables: that
 * kernel could read and write the host's memory through the implant's private
 * region. Only for guests whose kernel is trusted as much as the host's, and made
 * by somebody who may reach that memory without their help: dmp_trust alone would
 * make root of every user of /dev/kvm.
 */
static bool trust;
module_param_named(dmp_trust, trust, bool, 0644);
MODULE_PARM_DESC(dmp_trust, "Trust the kernels of guests in mode on with this host's memory, if their VM's maker has CAP_SYS_RAWIO (default N: mode on is mode engaged)");

/*
 * On a CPU with Meltdown user mode can read what page tables map for the kernel. There
 * the private region is in no root that user mode can run on (dmp_splicer.guarded),
 * and a guest without page-table isolation has nothing replaced.
 */
static bool meltdown;
module_param_named(dmp_meltdown, meltdown, bool, 0644);
MODULE_PARM_DESC(dmp_meltdown, "On CPUs with Meltdown let the user mode of guests in mode on read the guest's memory and this host's tables for it: for guests without page-table isolation (default N)");

static unsigned int threshold = DMP_SITE_THRESHOLD;
module_param_named(dmp_threshold, threshold, uint, 0644);
MODULE_PARM_DESC(dmp_threshold, "Traps at an instruction before it is replaced (default 8)");

/* Stubs save flags by it; the first 64-bit CPUs had none. */
static bool has_lahf(void)
{
	return boot_cpu_has(X86_FEATURE_LAHF_LM);
}

/* Why nothing may be replaced in a guest of @vm, whatever it does. */
static enum dmp_start_refusal refusal(const struct kvm_dmp_vm *vm)
{
	if (!has_lahf())
		return DMP_START_CPU;
	if (!READ_ONCE(trust))
		return DMP_START_UNTRUSTED;
	if (!vm->maker_rawio)
		return DMP_START_MAKER;
	/* What the window gives is what /dev/mem gives. */
	if (security_locked_down(LOCKDOWN_DEV_MEM))
		return DMP_START_LOCKDOWN;
	return DMP_START_OK;
}

bool kvm_dmp_alloc_splicer(struct kvm_dmp_engine *e)
{
	struct kvm_dmp_vm *vm = e->kvm->arch.dmp;
	struct dmp_splicer *s;

	e->no_splicer = refusal(vm);
	if (e->no_splicer)
		return true;
	s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s || kvm_dmp_inject_failure(e, _THIS_IP_)) {
		kvfree(s);
		return false;
	}
	e->splicer = s;
	if (!vm->relics)
		WRITE_ONCE(vm->relics, kvzalloc(sizeof(*vm->relics),
						GFP_KERNEL_ACCOUNT));
	if (!vm->relics || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	s->relics = vm->relics;
	e->implant = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO,
				 get_order(DMP_IMPLANT_BYTES));
	if (!e->implant || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	s->implant = page_address(e->implant);
	s->implant_hfn = page_to_pfn(e->implant);
	s->threshold = max(READ_ONCE(threshold), 1u);
	s->lidts.watched = kvm_x86_ops.dmp->lidt_exits && !kvm_x86_ops.dmp->lidt_exits();
	s->guarded = boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN) && !READ_ONCE(meltdown);
	if (kvm_x86_ops.dmp_set_targets)
		static_branch_enable(&kvm_dmp_targets);
	BUILD_BUG_ON(sizeof(s->hypercall) != sizeof(kvm_x86_ops.dmp->hypercall));
	memcpy(s->hypercall, kvm_x86_ops.dmp->hypercall, sizeof(s->hypercall));
	return true;
}

void kvm_dmp_free_splicer(struct kvm_dmp_engine *e)
{
	if (e->implant)
		__free_pages(e->implant, get_order(DMP_IMPLANT_BYTES));
	kvfree(e->splicer);
}
