// SPDX-License-Identifier: GPL-2.0-only
/*
 * Undoing splices; see undo.h.
 */
#include "leave.h"
#include "life.h"
#include "splicer/site.h"
#include "undo.h"

int kvm_dmp_undo_site(struct kvm *kvm, u64 rip, enum dmp_site_refusal why)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	static const int undone[] = {
		[DMP_UNDO_NONE]		= -ENOENT,
		[DMP_UNDO_DONE]		= 0,
		[DMP_UNDO_HANDLER]	= -EBUSY,
	};
	struct kvm_dmp_engine *e = NULL;
	struct dmp_splicer *s;
	int r = -ENODATA;

	mutex_lock(&vm->engine_lock);
	s = vm->engaged ? vm->engine->mmu.splicer : NULL;
	if (s && s->active) {
		/* As for an audit. It flushes before it enters again. */
		kvm_make_all_cpus_request(kvm, KVM_REQ_DMP);
		kvm_dmp_finish_all(kvm);
		r = undone[dmp_sites_undo(&vm->engine->mmu, rip, why)];
		e = kvm_dmp_engine_check(kvm);
	}
	mutex_unlock(&vm->engine_lock);
	kvm_dmp_engine_drop(e);
	return r;
}

int kvm_dmp_undo(struct kvm *kvm, u64 rip)
{
	return kvm_dmp_undo_site(kvm, rip, DMP_SITE_ASKED);
}
