// SPDX-License-Identifier: GPL-2.0-only
/*
 * The frame of a page fault, and IRET's work; see frame.h.
 */
#include <asm/desc_defs.h>

#include "frame.h"
#include "mmu.h"
#include "x86.h"
#include "kvm_cache_regs.h"

#define TYPE_CODE	8
#define TYPE_CONFORMING	4
#define TYPE_WRITABLE	2

/* Whether IRET to @selector's privilege level would take it for CS, or SS. */
static bool may_return_to(const struct desc_struct *desc, u16 selector, int seg)
{
	unsigned int rpl = selector & SEGMENT_RPL_MASK;

	if (!desc->p || !desc->s)
		return false;
	if (seg == VCPU_SREG_SS)
		return (desc->type & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE &&
		       desc->dpl == rpl;
	return desc->type & TYPE_CODE && !(desc->l && desc->d) &&
	       (desc->type & TYPE_CONFORMING ? desc->dpl <= rpl : desc->dpl == rpl);
}

static bool is_null(u16 selector)
{
	return !(selector & ~SEGMENT_RPL_MASK);
}

/*
 * The segment that @selector names in the guest's tables, as IRET loads it. They may
 * have changed since the CPU had it: the guest's memory is not only the guest's.
 */
static bool load_segment(struct kvm_vcpu *vcpu, u16 selector, int seg)
{
	struct kvm_segment var, ldt;
	struct x86_exception e;
	struct desc_struct desc = { .dpl = selector & SEGMENT_RPL_MASK };
	struct desc_ptr gdt;
	u64 table, limit;

	static_call(kvm_x86_get_gdt)(vcpu, &gdt);
	kvm_get_segment(vcpu, &ldt, VCPU_SREG_LDTR);
	table = selector & SEGMENT_TI_MASK ? ldt.base : gdt.address;
	limit = selector & SEGMENT_TI_MASK ? ldt.limit : gdt.size;
	/* The kernel's SS may be none, in 64-bit mode. */
	if (!(seg == VCPU_SREG_SS && is_null(selector) && !desc.dpl) &&
	    ((selector | 7) > limit ||
	     kvm_read_guest_virt(vcpu, table + (selector & ~7), &desc,
				 sizeof(desc), &e) ||
	     !may_return_to(&desc, selector, seg)))
		return false;
	var = (struct kvm_segment){
		.base = get_desc_base(&desc),
		.limit = desc.g ? get_desc_limit(&desc) << 12 | 0xfff :
				  get_desc_limit(&desc),
		.selector = selector,
		.type = desc.type | 1,
		.present = desc.p, .unusable = !desc.p, .dpl = desc.dpl, .db = desc.d, .s = desc.s,
		.l = desc.l, .g = desc.g, .avl = desc.avl,
	};
	static_call(kvm_x86_set_segment)(vcpu, &var, seg);
	return true;
}

bool kvm_dmp_unwind(struct kvm_vcpu *vcpu, u64 rip, const struct fault_frame *f)
{
	struct kvm_segment cs, ss;

	kvm_get_segment(vcpu, &cs, VCPU_SREG_CS);
	kvm_get_segment(vcpu, &ss, VCPU_SREG_SS);
	if ((u16)f->cs != cs.selector &&
	    !load_segment(vcpu, f->cs, VCPU_SREG_CS))
		return false;
	/* An IST empties SS without another CS. */
	if ((u16)f->ss != ss.selector &&
	    !load_segment(vcpu, f->ss, VCPU_SREG_SS))
		return false;
	kvm_rip_write(vcpu, rip);
	kvm_rsp_write(vcpu, f->rsp);
	static_call(kvm_x86_set_rflags)(vcpu, f->rflags);
	return true;
}

/* The agent's stack is in no memory of the guest's. */
bool kvm_dmp_read_frame(struct kvm_vcpu *vcpu, unsigned int skip,
			struct fault_frame *frame)
{
	const struct dmp_splicer *s = vcpu->arch.dmp->splicer;
	u64 rsp = kvm_rsp_read(vcpu);
	struct x86_exception e;

	frame->error_code = 0;
	if (s && rsp - s->implant_gva <= DMP_IMPLANT_BYTES - sizeof(*frame)) {
		memcpy((u8 *)frame + skip, (u8 *)s->implant + (rsp - s->implant_gva),
		       sizeof(*frame) - skip);
		return true;
	}
	return !kvm_read_guest_virt(vcpu, rsp, (u8 *)frame + skip,
				    sizeof(*frame) - skip, &e);
}

u64 kvm_dmp_frame_home(struct kvm_vcpu *vcpu, const struct fault_frame *frame)
{
	return kvm_dmp_is_users(frame) ? frame->rip :
	       dmp_splicer_home(vcpu->arch.dmp->splicer, frame->rip);
}

void kvm_dmp_note_begun(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	d->begun.handler = kvm_rip_read(vcpu);
	d->begun.pending = kvm_dmp_read_frame(vcpu, 0, &frame);
	if (d->begun.pending)
		d->begun.home = kvm_dmp_frame_home(vcpu, &frame);
}

void kvm_dmp_unwind_begun(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	struct fault_frame frame;

	if (!d->begun.pending || kvm_rip_read(vcpu) != d->begun.handler)
		return;
	d->begun.pending = false;
	if (!kvm_dmp_read_frame(vcpu, 0, &frame) ||
	    !kvm_dmp_unwind(vcpu, d->begun.home, &frame))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}
