// SPDX-License-Identifier: GPL-2.0-only
/*
 * Breakpoints and software interrupts; see interrupt.h.
 */
#include "interrupt.h"
#include "leave.h"
#include "life.h"
#include "mmu.h"
#include "relic.h"
#include "splicer/leave.h"
#include "splicer/lidt.h"
#include "undo.h"
#include "x86.h"

void kvm_dmp_give_up(struct kvm_vcpu *vcpu, enum dmp_reason why)
{
	kvm_dmp_be_idle(vcpu->arch.dmp);
	if (READ_ONCE(vcpu->kvm->arch.dmp->engaged))
		kvm_dmp_disengage(vcpu->kvm, why);
}

bool kvm_dmp_entered_inside(struct kvm_vcpu *vcpu)
{
	u64 site;

	if (!dmp_splicer_is_within(vcpu->arch.dmp->splicer, kvm_rip_read(vcpu), &site))
		return false;
	if (kvm_dmp_undo_site(vcpu->kvm, site, DMP_SITE_ENTERED) == -EBUSY)
		kvm_dmp_give_up(vcpu, DMP_REASON_IDT);
	return true;
}

bool kvm_dmp_breakpoint(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	const struct dmp_relic *relic;
	u64 rip = kvm_rip_read(vcpu);

	/* Where a splice led once, among what the implant has there now. */
	relic = kvm_dmp_relic_at(vcpu, rip);
	if (relic) {
		kvm_dmp_be_idle(d);
		*ret = kvm_dmp_run_relic(vcpu, relic);
		return true;
	}

	/* It is about to be executed, and may be: on KVM's tables. */
	if (dmp_lidt_is_at(d->splicer, rip)) {
		kvm_dmp_give_up(vcpu, DMP_REASON_IDT);
		return true;
	}
	if (dmp_splicer_breakpoint(d->splicer, rip)) {
		d->resume = dmp_splicer_site(d->splicer, rip);
		return true;
	}
	if (kvm_dmp_entered_inside(vcpu))
		return true;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		return false;
	kvm_queue_exception(vcpu, BP_VECTOR);
	return true;
}

/* The byte at linear address @gva, as the CPU fetches it: no protection key counts. */
static bool fetch_byte(struct kvm_vcpu *vcpu, u64 gva, u8 *byte)
{
	struct kvm_mmu *mmu = vcpu->arch.walk_mmu;
	u64 access = PFERR_FETCH_MASK;
	gpa_t gpa;

	if (static_call(kvm_x86_get_cpl)(vcpu) == 3)
		access |= PFERR_USER_MASK;
	gpa = mmu->gva_to_gpa(vcpu, mmu, gva, access, NULL);
	return gpa != INVALID_GPA && !kvm_vcpu_read_guest(vcpu, gpa, byte, 1);
}

/* Of an instruction in front of which others stand: SDM vol. 2A, 2.1.1, 2.2.1. */
static bool is_prefix(struct kvm_vcpu *vcpu, u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64 ... 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	case 0x40 ... 0x4f:
		return is_64_bit_mode(vcpu);
	default:
		return false;
	}
}

#define OPCODE_INT	0xcd
#define OPCODE_INTO	0xce

bool kvm_dmp_software_interrupt(struct kvm_vcpu *vcpu, int *ret)
{
	u64 rip = kvm_get_linear_rip(vcpu), at = rip, site;
	u8 byte, vector = OF_VECTOR;

	/* In the middle of a splice the guest's memory has something else. */
	if (dmp_splicer_breakpoint(vcpu->arch.dmp->splicer, rip) ||
	    dmp_splicer_is_within(vcpu->arch.dmp->splicer, rip, &site) ||
	    kvm_dmp_relic_at(vcpu, rip))
		return kvm_dmp_breakpoint(vcpu, ret);
	do {
		if (!fetch_byte(vcpu, at++, &byte))
			return true;
	} while (is_prefix(vcpu, byte) && at - rip < DMP_INSN_LEN_MAX);
	switch (byte) {
	case DMP_SPLICE_INT3:
		return kvm_dmp_breakpoint(vcpu, ret);
	case OPCODE_INT:
		if (!fetch_byte(vcpu, at, &vector))
			return true;
		fallthrough;
	case OPCODE_INTO:
		kvm_queue_interrupt(vcpu, vector, true);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return true;
	default:
		/* Without the intercept it does what it does. */
		kvm_dmp_give_up(vcpu, DMP_REASON_EMULATION);
		return true;
	}
}
