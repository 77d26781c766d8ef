// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's part of minivm: 64-bit code that rewrites page table entries
 * and checks what it sees through them. Copied into the VM as it is.
 */
#define MINIVM_GUEST
#include "minivm.h"

#define STRING(x)		STRING_OF(x)
#define STRING_OF(x)		#x
#define GUEST_SHARED_WORD	0x7000	/* as assembly can read it */
#define GUEST_L1_WORD		0x5000

#define GUEST __attribute__((section("guest_text"), used))

GUEST static inline void out(unsigned short port, unsigned int value)
{
	__asm__ volatile("outl %0, %1" :: "a"(value), "d"(port) : "memory");
}

GUEST static inline void wrmsr(unsigned int msr, unsigned long long value)
{
	__asm__ volatile("wrmsr" :: "c"(msr), "a"((unsigned int)value),
			 "d"((unsigned int)(value >> 32)));
}

GUEST static inline unsigned long long rdmsr(unsigned int msr)
{
	unsigned int low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (unsigned long long)high << 32;
}

/* A write of an entry, by an instruction that a JMP has room in. */
GUEST static inline void set_pte(volatile unsigned long long *pte,
				 unsigned long long value)
{
	__asm__ volatile("%{disp32%} movq %1, (%0)" :: "r"(pte), "r"(value) : "memory");
}

/*
 * The #PF handler, and another one: maps the window's page as shared->fault_pte
 * says. It begins with an instruction that a JMP has room in. (Nothing else may
 * fault.)
 */
__asm__(".macro fault_handler name\n"
	".pushsection guest_text, \"ax\"\n"
	".globl \\name\n"
	"\\name:\n\t"
	"test $0, %eax\n\t"
	"push %rax\n\tpush %rcx\n\tpush %rdx\n\tpush %rsi\n\tpush %rdi\n\t"
	"mov %cr2, %rax\n\t"
	"shr $12, %rax\n\t"
	"and $511, %eax\n\t"
	"mov $" STRING(GUEST_SHARED_WORD) ", %ecx\n\t"
	"mov 24(%rcx), %rdx\n\t"
	"{disp32} mov %rdx, " STRING(GUEST_L1_WORD) "(,%rax,8)\n\t"
	"incq 32(%rcx)\n\t"
	"pop %rdi\n\tpop %rsi\n\tpop %rdx\n\tpop %rcx\n\tpop %rax\n\t"
	"add $8, %rsp\n\t"
	"iretq\n"
	".popsection\n"
	".endm\n"
	"fault_handler guest_fault\n"
	"fault_handler guest_fault_other\n");
_Static_assert(GUEST_SHARED == GUEST_SHARED_WORD && GUEST_L1 == GUEST_L1_WORD &&
	       __builtin_offsetof(struct shared, fault_pte) == 24 &&
	       __builtin_offsetof(struct shared, faults) == 32, "guest_fault()");

/* The same table as before; the VMM can't know. */
GUEST static void load_idt(void)
{
	struct {
		unsigned short limit;
		unsigned long long base;
	} __attribute__((packed)) idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	__asm__ volatile("lidt %0" :: "m"(idt));
}

/*
 * One round: every page of the window gets another frame, is read, compared
 * with what was written there last, and written. The entries start without A
 * and D, and have to have A after the read and D after the write. (D may come
 * early: the engine sets both at once for a supervisor's page.) One page a
 * round is not there, and the guest's own fault maps it.
 */
GUEST static unsigned int play_round(unsigned long long round)
{
	volatile unsigned long long *pte = (void *)GUEST_L1;
	volatile unsigned long long *seen = (void *)GUEST_SEEN;
	volatile struct shared *shared = (void *)GUEST_SHARED;
	unsigned long long faults = shared->faults;
	volatile unsigned long long *word;
	unsigned int i, f, bad = 0;

	for (i = 0; i < WINDOW_PAGES; i++) {
		f = (i + round) % WINDOW_PAGES;
		shared->fault_pte = (GUEST_FRAMES + f * 4096ull) | PTE_P | PTE_RW;
		set_pte(&pte[i], i == round % WINDOW_PAGES ? 0 : shared->fault_pte);
		word = (void *)(WINDOW_VA + i * 4096ull);
		__asm__ volatile("invlpg (%0)" :: "r"(word) : "memory");
		bad += *word != seen[f];
		bad += !(pte[i] & PTE_A);
		*word = seen[f] = round * 0x9e3779b97f4a7c15ull + f;
		bad += !(pte[i] & PTE_D);
		if (shared->want_lidt)
			load_idt();
	}
	return bad + (shared->faults != faults + 1);
}

/* A nested guest that does one VMMCALL (APM volume 2, 15.5 and appendix B). */
GUEST static void run_nested(void)
{
	volatile unsigned char *vmcb = (void *)GUEST_VMCB;
	unsigned long long cr, rip, stack = GUEST_NESTED_STACK;
	unsigned int i;

#define V8(at)	(*(volatile unsigned char *)(vmcb + (at)))
#define V16(at)	(*(volatile unsigned short *)(vmcb + (at)))
#define V32(at)	(*(volatile unsigned int *)(vmcb + (at)))
#define V64(at)	(*(volatile unsigned long long *)(vmcb + (at)))
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, GUEST_HSAVE);
	for (i = 0; i < 4096; i += 8)
		V64(i) = 0;
	V32(0x010) = 3;			/* intercept VMRUN and VMMCALL */
	V32(0x058) = 1;			/* ASID */
	V16(0x400 + 0x10) = 8;		/* CS */
	V16(0x400 + 0x12) = 0x29b;
	V32(0x400 + 0x14) = ~0u;
	V16(0x400 + 0x22) = 0x93;	/* SS */
	V32(0x400 + 0x24) = ~0u;
	V64(0x400 + 0xd0) = rdmsr(MSR_EFER);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr));
	V64(0x400 + 0x148) = cr;
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr));
	V64(0x400 + 0x150) = cr;
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr));
	V64(0x400 + 0x158) = cr;
	V64(0x400 + 0x160) = 0x400;	/* DR7 */
	V64(0x400 + 0x168) = 0xffff0ff0;
	V64(0x400 + 0x170) = 2;		/* RFLAGS */
	V64(0x400 + 0x1d8) = stack;
	__asm__ volatile("lea 1f(%%rip), %0\n\t"
			 "jmp 2f\n"
			 "1:\tmovl $0x600d, (%%rax)\n\t"
			 "vmmcall\n"
			 "2:" : "=r"(rip));
	V64(0x400 + 0x178) = rip;
	V64(0x400 + 0x1f8) = GUEST_SHARED +	/* RAX: the word that it writes */
			     __builtin_offsetof(struct shared, nested_word);
	__asm__ volatile("clgi\n\tvmrun\n\tstgi" :: "a"(vmcb) :
			 "memory", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
			 "r10", "r11", "r12", "r13", "r14", "r15");
	((volatile struct shared *)GUEST_SHARED)->nested_exit = V64(0x070);
}

GUEST void guest_main(void)
{
	volatile struct shared *shared = (void *)GUEST_SHARED;
	unsigned long long round;

	for (round = 1;; round++) {
		out(PORT_ROUND, play_round(round));
		if (shared->want_nested) {
			shared->want_nested = 0;
			run_nested();
			out(PORT_NESTED, 0);
		}
	}
}
