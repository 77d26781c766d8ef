/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Marks: reading the VM's exit counts from inside the guest, in user mode.
 *
 * A mark is the CPUID instruction with EAX = MARK_LEAF and ECX = a subleaf.
 * Our KVM with kvm.dmp_marks=1 answers with EAX = MARK_MAGIC and:
 *
 *   subleaf	EBX		ECX			EDX
 *   0		all exits	page-fault exits	external-interrupt exits
 *   1		CPUID exits	control-register exits	INVLPG exits
 *
 * Subleaf 1 is answered while the VM's exits are monitored (kvm.dmp=monitor).
 * Counts are of the whole VM since it was made, modulo 2^32, and include the
 * exit of the very CPUID that reads them. Page-fault exits are #PF exits
 * under shadow paging, nested page faults under nested paging. Two marks with
 * nothing between them therefore differ by a constant, which measure.c finds
 * out and subtracts.
 *
 * Anything else (a bare machine, another hypervisor, marks off) answers with
 * another EAX: that leaf is reserved for hypervisors (Intel SDM vol. 2A,
 * CPUID, "40000000H - 4FFFFFFFH").
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#include <stdint.h>

#define MARK_LEAF	0x40444d50u
#define MARK_MAGIC	0x21504d44u	/* "DMP!" */

enum mark_count {
	MARK_EXITS,
	MARK_PF,
	MARK_INTR,
	MARK_BASIC,		/* so many come with subleaf 0 */
	MARK_CPUID = MARK_BASIC,
	MARK_CR,
	MARK_INVLPG,
	MARK_NR
};

struct mark {
	uint32_t count[MARK_NR];
};

/* Returns EAX. Traps to the VMM in a guest; takes no exit elsewhere. */
static inline uint32_t mark_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[3])
{
	uint32_t eax = leaf, ecx = subleaf;

	asm volatile("cpuid"
		     : "+a" (eax), "=b" (out[0]), "+c" (ecx), "=d" (out[2])
		     : : "memory");
	out[1] = ecx;
	return eax;
}

/*
 * Returns how many of the counts are known, from the first: MARK_NR, MARK_BASIC
 * where only subleaf 0 is answered (KVM counts by reason only while it
 * monitors), or 0 where nobody answers. The others are 0.
 */
static inline unsigned int mark_read(struct mark *m)
{
	*m = (struct mark){ 0 };
	if (mark_cpuid(MARK_LEAF, 0, &m->count[MARK_EXITS]) != MARK_MAGIC)
		return 0;
	if (mark_cpuid(MARK_LEAF, 1, &m->count[MARK_CPUID]) == MARK_MAGIC)
		return MARK_NR;
	m->count[MARK_CPUID] = 0;
	m->count[MARK_CR] = 0;
	m->count[MARK_INVLPG] = 0;
	return MARK_BASIC;
}

/*
 * The time stamp, with all earlier loads and stores done and no later one
 * begun (Intel SDM vol. 2B, RDTSC). Under QEMU's -icount shift=0 it counts
 * executed instructions.
 */
static inline uint64_t mark_tsc(void)
{
	uint32_t lo, hi;

	asm volatile("mfence; lfence; rdtsc; lfence"
		     : "=a" (lo), "=d" (hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

#endif /* BENCH_MARK_H */
