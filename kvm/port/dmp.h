/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM calls: the hooks. Each is one call; with DMP off each is a static
 * branch that is not taken.
 *
 * This header is included by KVM's own files, so it says no more than they
 * need. What the port keeps is in state.h.
 */
#ifndef KVM_DMP_H
#define KVM_DMP_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>

#include "watch/monitor.h"

/* Some VM of this host charges its exits. */
DECLARE_STATIC_KEY_FALSE(kvm_dmp_monitoring);
/* CPUID marks are answered (kvm.dmp_marks). */
DECLARE_STATIC_KEY_FALSE(kvm_dmp_marks);

/*
 * Life of a VM and its vCPUs. init_vm may sleep and fails with -ENOMEM;
 * destroy_vm and destroy_vcpu take one that was never initialized, too.
 * pre_destroy_vm is for one that may have run, and comes before the rest.
 */
int kvm_dmp_init_vm(struct kvm *kvm);
void kvm_dmp_pre_destroy_vm(struct kvm *kvm);
void kvm_dmp_destroy_vm(struct kvm *kvm);
void kvm_dmp_create_vcpu(struct kvm_vcpu *vcpu);
void kvm_dmp_destroy_vcpu(struct kvm_vcpu *vcpu);
void kvm_dmp_create_debugfs(struct kvm *kvm);

/* Hooks of a VM that runs, or may run, on machine tables: see machine.c, engage.c. */
DECLARE_STATIC_KEY_FALSE(kvm_dmp_machine);
bool __kvm_dmp_engaged(struct kvm_vcpu *vcpu);
int kvm_dmp_load(struct kvm_vcpu *vcpu);
int kvm_dmp_page_fault(struct kvm_vcpu *vcpu, gva_t gva, u64 error_code,
		       void *insn, int insn_len);
bool __kvm_dmp_relic_fault(struct kvm_vcpu *vcpu, u64 gva, int *ret);
bool __kvm_dmp_new_pgd(struct kvm_vcpu *vcpu);
void __kvm_dmp_reset_context(struct kvm_vcpu *vcpu);
bool __kvm_dmp_write_begin(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int bytes);
void kvm_dmp_write_end(struct kvm_vcpu *vcpu);
bool __kvm_dmp_emulation_failed(struct kvm_vcpu *vcpu);
void kvm_dmp_service(struct kvm_vcpu *vcpu);
void kvm_dmp_memslots_change(struct kvm *kvm);

/* Hooks of a VM whose instructions are replaced: see leave.c, exits.c. */
DECLARE_STATIC_KEY_FALSE(kvm_dmp_splicing);
/* Some CPU lets loads of chosen values into CR3 pass; see engine/splicer/target.h. */
DECLARE_STATIC_KEY_FALSE(kvm_dmp_targets);
bool __kvm_dmp_spliced(struct kvm_vcpu *vcpu);
void __kvm_dmp_set_idt(struct kvm_vcpu *vcpu);
void __kvm_dmp_enter(struct kvm_vcpu *vcpu);
void __kvm_dmp_leave(struct kvm_vcpu *vcpu);
int __kvm_dmp_handle_exit(struct kvm_vcpu *vcpu, fastpath_t fastpath);
/*
 * The fast path: interrupts off; no single step and no interrupt shadow to look after.
 * cpuid_irqoff(): of 64-bit code; @next_rip 0: the CPU does not tell. reenter(): what
 * KVM does between one that was answered and the next entry, where it does not.
 */
fastpath_t __kvm_dmp_hypercall_irqoff(struct kvm_vcpu *vcpu);
void __kvm_dmp_reenter(struct kvm_vcpu *vcpu);
fastpath_t __kvm_dmp_cpuid_irqoff(struct kvm_vcpu *vcpu, u64 next_rip);
void __kvm_dmp_injected(struct kvm_vcpu *vcpu, u64 address, u16 error_code);
/* Whether INT3 exits as INTn does, and not as #BP: in QEMU's TCG. */
bool kvm_dmp_int3_is_swint(void);

void __kvm_dmp_exit_end(struct kvm_vcpu *vcpu);
void __kvm_dmp_vcpu_put(struct kvm_vcpu *vcpu);
void __kvm_dmp_note(struct kvm_vcpu *vcpu, enum dmp_exit_kind kind);
bool __kvm_dmp_mark(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx,
		    u32 *edx);

/*
 * ---- The vendors: kvm/port/vendor, part of their modules ----
 */

/* What an exit is for, in no vendor's words. */
enum kvm_dmp_event {
	KVM_DMP_OTHER,
	KVM_DMP_HYPERCALL,
	KVM_DMP_CR3,		/* MOV to or from CR3 */
	KVM_DMP_DR,		/* one to or from a debug register */
	KVM_DMP_IDT,		/* LIDT, not executed; or one was, and what
				 * exits now will again
				 */
	KVM_DMP_IDT_LOADED,	/* LIDT was executed; the exit is another one's */
	KVM_DMP_BREAKPOINT,	/* #BP, RIP at the instruction */
	KVM_DMP_UNDEFINED,	/* #UD */
	KVM_DMP_SOFT_INT,	/* INT n, and INT3 */
	KVM_DMP_DEBUG,		/* #DB */
	KVM_DMP_FAULT,		/* #SS or #GP */
	KVM_DMP_DOUBLE_FAULT,
};

/* What is said of some: of FAULT, and of DR. */
#define KVM_DMP_FAULT_INFO(vector, error_code)	\
	((vector) << 16 | (u16)(error_code))
#define KVM_DMP_DR_NUMBER	0xf
#define KVM_DMP_DR_WRITE	0x10
#define KVM_DMP_DR_KNOWN_GPR	0x20
#define KVM_DMP_DR_GPR_SHIFT	8

struct kvm_dmp_vendor {
	const char *isa;
	u8 hypercall[3];
	u64 write_cr3;		/* DMP_META() of MOV to CR3 */
	bool (*lidt_exits)(void);	/* NULL: it can */
	/* First and last code of what a mark's subleaf 1 counts. */
	struct { u32 first, last; } counted[3];
};

/*
 * For struct kvm_x86_ops, see there. irqoff(): the fast path of hypercalls and CPUID
 * while instructions are replaced; svm_dmp_irqoff(): whether VMRUN is to come next.
 */
extern const struct kvm_dmp_vendor svm_dmp_vendor, vmx_dmp_vendor;
void svm_dmp_exit_begin(struct kvm_vcpu *vcpu);
void vmx_dmp_exit_begin(struct kvm_vcpu *vcpu);
int svm_dmp_event(struct kvm_vcpu *vcpu, u32 *info);
int vmx_dmp_event(struct kvm_vcpu *vcpu, u32 *info);
void svm_dmp_intercepts(struct kvm_vcpu *vcpu, bool spliced);
void vmx_dmp_intercepts(struct kvm_vcpu *vcpu, bool spliced);
bool svm_dmp_irqoff(struct kvm_vcpu *vcpu);
fastpath_t vmx_dmp_irqoff(struct kvm_vcpu *vcpu);
int vmx_dmp_set_targets(struct kvm_vcpu *vcpu, const u64 *values, int count);

/*
 * The vendor's half of kvm_dmp_exit_begin(): the exit is for @code and @arg,
 * at @rip and @cpl.
 */
static __always_inline void kvm_dmp_exit_is(struct kvm_vcpu *vcpu, u64 rip,
					    u32 code, u32 arg, u8 cpl)
{
	vcpu->arch.dmp_exit.rip = rip;
	vcpu->arch.dmp_exit.meta = DMP_META(code, arg, cpl);
	vcpu->arch.dmp_exit.kind = DMP_KIND_NONE;
}

/* The exit is the implant's, on behalf of the guest's instruction at @rip. */
static inline void kvm_dmp_charge_to(struct kvm_vcpu *vcpu, u64 rip, u8 cpl)
{
	vcpu->arch.dmp_exit.rip = rip;
	vcpu->arch.dmp_exit.meta = dmp_meta_at_cpl(vcpu->arch.dmp_exit.meta, cpl);
}

/*
 * Before KVM handles an exit: take the vCPU out of the implant, before anybody
 * looks (mode on charges exits, too), and remember whom it is charged to.
 */
static __always_inline void kvm_dmp_exit_begin(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_dmp_splicing))
		__kvm_dmp_leave(vcpu);
	static_call(kvm_x86_dmp_exit_begin)(vcpu);
}

/* An exit handled in the fast path, interrupts off. */
static __always_inline void kvm_dmp_exit_fast(struct kvm_vcpu *vcpu)
{
	if (!static_branch_unlikely(&kvm_dmp_monitoring))
		return;
	/* One that was the implant's is noted, and the vCPU stays in there. */
	if (!static_branch_unlikely(&kvm_dmp_splicing) ||
	    !vcpu->arch.dmp_exit.meta)
		kvm_dmp_exit_begin(vcpu);
	__kvm_dmp_exit_end(vcpu);
}

/* The vCPU stops running: what it has counted so far goes into the table. */
static __always_inline void kvm_dmp_vcpu_put(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_dmp_monitoring))
		__kvm_dmp_vcpu_put(vcpu);
}

/* The exit being handled is of this kind; the last note counts. */
static __always_inline void kvm_dmp_note(struct kvm_vcpu *vcpu,
					 enum dmp_exit_kind kind)
{
	if (!static_branch_unlikely(&kvm_dmp_monitoring))
		return;
	if (likely(vcpu->arch.dmp_exit.meta))
		vcpu->arch.dmp_exit.kind = kind;
	else
		__kvm_dmp_note(vcpu, kind);
}

/*
 * The VM runs on machine tables: mmu->root.hpa is invalid and stays so. Only
 * the vCPU's own thread may rely on the answer, until it next sleeps.
 */
static __always_inline bool kvm_dmp_engaged(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_dmp_machine) &&
	       __kvm_dmp_engaged(vcpu);
}

/* The guest loads CR3. True: KVM has nothing to do with its own roots. */
static __always_inline bool kvm_dmp_new_pgd(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_dmp_machine) &&
	       __kvm_dmp_new_pgd(vcpu);
}

/*
 * A page fault: of kernel code that runs where a splice led before its engagement
 * was over? True: it has been seen to, *@ret as an exit handler returns.
 */
static __always_inline bool kvm_dmp_relic_fault(struct kvm_vcpu *vcpu, u64 gva,
						u64 error_code, int *ret)
{
	return unlikely((error_code & (PFERR_FETCH_MASK | PFERR_USER_MASK)) ==
			PFERR_FETCH_MASK) &&
	       __kvm_dmp_relic_fault(vcpu, gva, ret);
}

/* The paging mode may have changed. */
static __always_inline void kvm_dmp_reset_context(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_dmp_machine))
		__kvm_dmp_reset_context(vcpu);
}

/*
 * Around an emulated write to guest memory; @bytes within one page. True: a
 * guest table is there, and kvm_dmp_write_end() must follow.
 */
static __always_inline bool kvm_dmp_write_begin(struct kvm_vcpu *vcpu,
						gpa_t gpa, unsigned int bytes)
{
	return static_branch_unlikely(&kvm_dmp_machine) &&
	       __kvm_dmp_write_begin(vcpu, gpa, bytes);
}

/*
 * An instruction cannot be emulated. True: it was one that faulted on machine
 * tables; these are gone now, and the guest may just run it again.
 */
static __always_inline bool kvm_dmp_emulation_failed(struct kvm_vcpu *vcpu,
						     bool page_fault)
{
	return static_branch_unlikely(&kvm_dmp_machine) && page_fault &&
	       __kvm_dmp_emulation_failed(vcpu);
}

/* Whether the vCPU runs with the implant, and takes its own page faults. */
static __always_inline bool kvm_dmp_spliced(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_dmp_splicing) &&
	       __kvm_dmp_spliced(vcpu);
}

/*
 * IDTR is set, by whatever way but the guest's own LIDT: an ioctl, emulation, SMM.
 * Any context.
 */
static __always_inline void kvm_dmp_set_idt(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_dmp_splicing))
		__kvm_dmp_set_idt(vcpu);
}

/* The guest is about to run; interrupts are off. */
static __always_inline void kvm_dmp_enter(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_dmp_splicing))
		__kvm_dmp_enter(vcpu);
}

/*
 * In place of the vendor's handle_exit(): the exit is charged, and may be the
 * implant's. One branch for all of it.
 */
static __always_inline int kvm_dmp_handle_exit(struct kvm_vcpu *vcpu,
					       fastpath_t fastpath)
{
	int r;

	if (!static_branch_unlikely(&kvm_dmp_monitoring))
		return static_call(kvm_x86_handle_exit)(vcpu, fastpath);
	if (static_branch_unlikely(&kvm_dmp_splicing))
		return __kvm_dmp_handle_exit(vcpu, fastpath);
	static_call(kvm_x86_dmp_exit_begin)(vcpu);
	r = static_call(kvm_x86_handle_exit)(vcpu, fastpath);
	__kvm_dmp_exit_end(vcpu);
	return r;
}

/* KVM injects a page fault: the filter is to let it pass. */
static __always_inline void kvm_dmp_injected(struct kvm_vcpu *vcpu, u64 address,
					     u16 error_code)
{
	if (static_branch_unlikely(&kvm_dmp_splicing))
		__kvm_dmp_injected(vcpu, address, error_code);
}

/* bench/mark.h is the guest's side of this. */
#define KVM_DMP_MARK_LEAF	0x40444d50	/* "@DMP" */

/* Whether a CPUID with @eax may be a mark. */
static __always_inline bool kvm_dmp_is_mark(u32 eax)
{
	return static_branch_unlikely(&kvm_dmp_marks) && eax == KVM_DMP_MARK_LEAF;
}

/*
 * Answer a CPUID that is a mark (bench/mark.h): with counts of exits so far.
 * False when it is not one; then the registers are as they were.
 */
static __always_inline bool kvm_dmp_mark(struct kvm_vcpu *vcpu, u32 *eax,
					 u32 *ebx, u32 *ecx, u32 *edx)
{
	if (kvm_dmp_is_mark(*eax))
		return __kvm_dmp_mark(vcpu, eax, ebx, ecx, edx);
	return false;
}

#endif /* KVM_DMP_H */
