// SPDX-License-Identifier: GPL-2.0-only
/*
 * Charging exits to guest instructions, and the lab's marks.
 *
 * Everything here runs in the vCPU's own thread.
 */
#include <asm/svm.h>
#include <asm/vmx.h>

#include "port.h"
#include "x86.h"
#include "kvm_cache_regs.h"

#define CREATE_TRACE_POINTS
#include "dmp_trace.h"

void __kvm_dmp_exit_begin(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (unlikely(!d || READ_ONCE(d->charge) == KVM_DMP_CHARGE_OFF))
		return;
	d->in_exit = true;
	d->key.kind = DMP_KIND_NONE;
	d->key.rip = kvm_rip_read(vcpu);
	static_call(kvm_x86_dmp_exit_key)(vcpu, &d->key);
}

/*
 * The bytes at the instruction's address, as far as its page reaches when the
 * next one is not there. Best effort: what an exit did (a CR3 load from user
 * space, say) may already have changed what is mapped.
 */
static unsigned int fetch_insn(struct kvm_vcpu *vcpu, u64 rip, u8 *bytes)
{
	unsigned int rest = PAGE_SIZE - offset_in_page(rip);
	struct x86_exception e;

	if (is_guest_mode(vcpu))
		return 0;
	if (!kvm_read_guest_virt(vcpu, rip, bytes, DMP_INSN_MAX, &e))
		return DMP_INSN_MAX;
	if (rest >= DMP_INSN_MAX ||
	    kvm_read_guest_virt(vcpu, rip, bytes, rest, &e))
		return 0;
	return rest;
}

static noinline void charge_event(struct kvm_vcpu *vcpu,
				  enum dmp_monitor_event event)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	unsigned int slot = dmp_monitor_event_slot(d->monitor);
	u8 bytes[DMP_INSN_MAX];
	unsigned int len;

	/* In the fast path interrupts are off: guest memory may not be read. */
	if (event == DMP_EVENT_CAPTURE && !irqs_disabled()) {
		len = fetch_insn(vcpu, d->key.rip, bytes);
		if (len)
			dmp_monitor_set_bytes(d->monitor, slot, bytes, len);
	}
	trace_kvm_dmp_hot(vcpu->vcpu_id, &d->key);
}

/* Page-fault exits between two looks at the clock. */
#define POLICY_TICK	64

void __kvm_dmp_exit_end(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	enum dmp_monitor_event event;

	/* Monitoring began or ended while this exit was being handled. */
	if (unlikely(!d || !d->in_exit))
		return;
	d->in_exit = false;
	if (unlikely(READ_ONCE(d->charge) == KVM_DMP_CHARGE_RESET)) {
		dmp_monitor_reset(d->monitor);
		memset(d->outside, 0, sizeof(d->outside));
		cmpxchg(&d->charge, KVM_DMP_CHARGE_RESET, KVM_DMP_CHARGE_ON);
	}

	++vcpu->stat.dmp_exits;
	if (d->key.kind) {
		++(&vcpu->stat.dmp_pf_guest)[d->key.kind - DMP_KIND_PF_GUEST];
		if (unlikely(++d->faults % POLICY_TICK == 0) && !irqs_disabled())
			kvm_dmp_policy_tick(vcpu);
	}
	event = dmp_monitor_charge(d->monitor, &d->key);
	if (unlikely(event != DMP_EVENT_NONE))
		charge_event(vcpu, event);
}

/* The stat fields above are indexed by kind. */
static_assert(offsetof(struct kvm_vcpu_stat, dmp_pf_mmio) -
	      offsetof(struct kvm_vcpu_stat, dmp_pf_guest) ==
	      (DMP_KIND_PF_MMIO - DMP_KIND_PF_GUEST) * sizeof(u64));

void __kvm_dmp_note(struct kvm_vcpu *vcpu, enum dmp_exit_kind kind)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || READ_ONCE(d->charge) == KVM_DMP_CHARGE_OFF)
		return;
	if (d->in_exit)
		d->key.kind = kind;
	else
		d->outside[kind]++;
}

/* bench/mark.h is the guest's side of this. */
#define MARK_LEAF	0x40444d50	/* "@DMP" */
#define MARK_MAGIC	0x21504d44	/* "DMP!" */

/* First and last exit code of what a mark's subleaf 1 counts. */
struct code_range { u32 first, last; };

static const struct code_range svm_counted[] = {
	{ SVM_EXIT_CPUID, SVM_EXIT_CPUID },
	{ SVM_EXIT_READ_CR0, SVM_EXIT_WRITE_CR0 + 15 },
	{ SVM_EXIT_INVLPG, SVM_EXIT_INVLPG },
};

static const struct code_range vmx_counted[] = {
	{ EXIT_REASON_CPUID, EXIT_REASON_CPUID },
	{ EXIT_REASON_CR_ACCESS, EXIT_REASON_CR_ACCESS },
	{ EXIT_REASON_INVLPG, EXIT_REASON_INVLPG },
};

static u32 exits_with(struct kvm *kvm, const struct code_range *range)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	unsigned int kind;
	u32 code, sum = 0;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		const struct dmp_monitor *m = kvm_dmp_monitor_of(vcpu);

		for (code = range->first; m && code <= range->last; code++)
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
	const struct code_range *counted = kvm_dmp_is_svm() ? svm_counted :
							      vmx_counted;
	struct kvm *kvm = vcpu->kvm;

	if (*eax != MARK_LEAF)
		return false;
	if (*ecx == 0) {
		mark_from_stats(kvm, ebx, ecx, edx);
	} else if (*ecx == 1 && static_branch_unlikely(&kvm_dmp_monitoring)) {
		*ebx = exits_with(kvm, &counted[0]);
		*ecx = exits_with(kvm, &counted[1]);
		*edx = exits_with(kvm, &counted[2]);
	} else {
		return false;
	}
	*eax = MARK_MAGIC;
	return true;
}
