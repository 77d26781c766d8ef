// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of the MSRs that guests are seen to touch. SDM vol. 4; APM vol. 2,
 * appendix A; KVM's and Hyper-V's own are in the kernel's uapi and docs.
 */
#include "exitname.h"

static const struct {
	u32 msr;
	const char *name;
} names[] = {
	{ 0x00000010, "TSC" },
	{ 0x0000001b, "APIC_BASE" },
	{ 0x0000003a, "FEAT_CTL" },
	{ 0x0000003b, "TSC_ADJUST" },
	{ 0x00000048, "SPEC_CTRL" },
	{ 0x00000049, "PRED_CMD" },
	{ 0x0000008b, "UCODE_REV" },
	{ 0x000000fe, "MTRRcap" },
	{ 0x0000010a, "ARCH_CAPABILITIES" },
	{ 0x0000010b, "FLUSH_CMD" },
	{ 0x00000174, "SYSENTER_CS" },
	{ 0x00000175, "SYSENTER_ESP" },
	{ 0x00000176, "SYSENTER_EIP" },
	{ 0x00000179, "MCG_CAP" },
	{ 0x0000017a, "MCG_STATUS" },
	{ 0x00000186, "EVENTSEL0" },
	{ 0x000001a0, "MISC_ENABLE" },
	{ 0x000001d9, "DEBUGCTL" },
	{ 0x00000277, "PAT" },
	{ 0x000002ff, "MTRRdefType" },
	{ 0x0000038f, "PERF_GLOBAL_CTRL" },
	{ 0x000006e0, "TSC_DEADLINE" },
	{ 0x00000802, "X2APIC_ID" },
	{ 0x00000808, "X2APIC_TPR" },
	{ 0x0000080b, "X2APIC_EOI" },
	{ 0x0000080d, "X2APIC_LDR" },
	{ 0x0000080f, "X2APIC_SPIV" },
	{ 0x00000830, "X2APIC_ICR" },
	{ 0x00000832, "X2APIC_LVTT" },
	{ 0x00000835, "X2APIC_LVT0" },
	{ 0x00000836, "X2APIC_LVT1" },
	{ 0x00000838, "X2APIC_TMICT" },
	{ 0x00000839, "X2APIC_TMCCT" },
	{ 0x0000083e, "X2APIC_TDCR" },
	{ 0x0000083f, "X2APIC_SELF_IPI" },
	{ 0x00000da0, "XSS" },
	{ 0x40000000, "HV_GUEST_OS_ID" },
	{ 0x40000001, "HV_HYPERCALL" },
	{ 0x40000020, "HV_TIME_REF_COUNT" },
	{ 0x40000070, "HV_EOI" },
	{ 0x40000071, "HV_ICR" },
	{ 0x400000b0, "HV_STIMER0_CONFIG" },
	{ 0x400000b1, "HV_STIMER0_COUNT" },
	{ 0x4b564d00, "KVM_WALL_CLOCK_NEW" },
	{ 0x4b564d01, "KVM_SYSTEM_TIME_NEW" },
	{ 0x4b564d02, "KVM_ASYNC_PF_EN" },
	{ 0x4b564d03, "KVM_STEAL_TIME" },
	{ 0x4b564d04, "KVM_PV_EOI_EN" },
	{ 0x4b564d05, "KVM_POLL_CONTROL" },
	{ 0x4b564d06, "KVM_ASYNC_PF_INT" },
	{ 0x4b564d07, "KVM_ASYNC_PF_ACK" },
	{ 0xc0000080, "EFER" },
	{ 0xc0000081, "STAR" },
	{ 0xc0000082, "LSTAR" },
	{ 0xc0000083, "CSTAR" },
	{ 0xc0000084, "SYSCALL_MASK" },
	{ 0xc0000100, "FS_BASE" },
	{ 0xc0000101, "GS_BASE" },
	{ 0xc0000102, "KERNEL_GS_BASE" },
	{ 0xc0000103, "TSC_AUX" },
	{ 0xc0010004, "K7_PERFCTR0" },
	{ 0xc0010000, "K7_EVNTSEL0" },
	{ 0xc0010010, "SYSCFG" },
	{ 0xc0010015, "HWCR" },
	{ 0xc0010114, "VM_CR" },
	{ 0xc0010117, "VM_HSAVE_PA" },
	{ 0xc001011f, "VIRT_SPEC_CTRL" },
	{ 0xc0010130, "SEV_ES_GHCB" },
	{ 0xc0011029, "DE_CFG" },
};

const char *msr_name(u32 msr)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].msr == msr)
			return names[i].name;
	return NULL;
}
