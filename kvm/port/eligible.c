// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which guests can run on machine tables; see eligible.h.
 */
#include "eligible.h"
#include "cpuid.h"
#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "x86.h"

/*
 * The bit that makes traps fault, 0 without one. As svm_adjust_mmio_mask() and
 * kvm_get_shadow_phys_bits() do, and unlike boot_cpu_data.x86_phys_bits, which
 * leaves out bits that hold keys. Where SYSCFG cannot be read, nothing that
 * depends on it is used.
 */
static u64 find_trap_bit(void)
{
	struct dmp_host_cpu cpu = {
		.phys_bits = boot_cpu_data.x86_phys_bits,
	};
	u32 ebx;
	u64 syscfg;

	if (boot_cpu_data.extended_cpuid_level >= 0x80000008)
		cpu.phys_bits = cpuid_eax(0x80000008) & 0xff;
	if (boot_cpu_data.extended_cpuid_level >= 0x8000001f &&
	    cpuid_eax(0x8000001f) & 3) {	/* SME, SEV */
		ebx = cpuid_ebx(0x8000001f);
		cpu.has_key_bit = true;
		cpu.key_bit = ebx & 0x3f;
		if (!rdmsrl_safe(MSR_AMD64_SYSCFG, &syscfg) &&
		    syscfg & MSR_AMD64_SYSCFG_MEM_ENCRYPT)
			cpu.bits_taken = ebx >> 6 & 0x3f;
	}
	return dmp_choose_trap_bit(&cpu);
}

/* CPUID and RDMSR take exits where the host is a guest itself: once. */
static u64 trap_bit(void)
{
	static u64 known = 1;	/* no such bit: not found out yet */
	u64 bit = READ_ONCE(known);

	if (bit == 1) {
		bit = find_trap_bit();
		WRITE_ONCE(known, bit);
	}
	return bit;
}

enum dmp_reason kvm_dmp_vm_refusal(struct kvm *kvm)
{
	if (tdp_enabled)
		return DMP_REASON_NESTED_PAGING;
	if (atomic_read(&kvm->online_vcpus) != 1)
		return DMP_REASON_VCPUS;
	/* With memory encryption an hfn is not all that an entry needs. */
	if (!trap_bit() || shadow_me_mask)
		return DMP_REASON_HOST_CPU;
	return DMP_REASON_NONE;
}

enum dmp_reason kvm_dmp_vcpu_refusal(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.dmp)
		return DMP_REASON_NO_MEMORY;
	if (is_guest_mode(vcpu))
		return DMP_REASON_NESTED_GUEST;
	if (is_smm(vcpu))
		return DMP_REASON_SMM;
	if (!is_long_mode(vcpu) || !is_paging(vcpu) ||
	    !kvm_read_cr0_bits(vcpu, X86_CR0_WP))
		return DMP_REASON_PAGING_MODE;
	return kvm_dmp_vm_refusal(vcpu->kvm);
}

struct dmp_paging kvm_dmp_vcpu_paging(struct kvm_vcpu *vcpu)
{
	struct dmp_paging paging = {
		.levels = kvm_read_cr4_bits(vcpu, X86_CR4_LA57) ? 5 : 4,
		.guest_phys_bits = cpuid_maxphyaddr(vcpu),
		.trap_bit = trap_bit(),
		.trap_fill = shadow_nonpresent_or_rsvd_mask,
	};

	if (vcpu->arch.efer & EFER_NX)
		paging.flags |= DMP_PAGING_NX;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_SMEP))
		paging.flags |= DMP_PAGING_SMEP;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_SMAP))
		paging.flags |= DMP_PAGING_SMAP;
	if (kvm_read_cr4_bits(vcpu, X86_CR4_PCIDE))
		paging.flags |= DMP_PAGING_PCIDS;
	if (guest_cpuid_has(vcpu, X86_FEATURE_GBPAGES))
		paging.flags |= DMP_PAGING_GBPAGES;
	if (guest_cpuid_is_amd_or_hygon(vcpu))
		paging.flags |= DMP_PAGING_AMD;
	return paging;
}

/*
 * QEMU (7.2, target/i386) asks the intercept of INTn for INT3, too, and never
 * that of #BP. On hardware it is that of #BP; APM vol. 2, 15.12.4.
 */
bool kvm_dmp_int3_is_swint(void)
{
	return hypervisor_cpuid_base("TCGTCGTCGTCG", 0);
}
EXPORT_SYMBOL_GPL(kvm_dmp_int3_is_swint);
