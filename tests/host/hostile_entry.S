/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of hostile: entry points, running a piece of code until it traps,
 * and the shapes of code that are spliced.
 */
#include "hostile.h"

	.section .head, "ax"
	.globl	guest_entry
guest_entry:
	lea	kernel_stack + 8192(%rip), %rsp
	xor	%ebp, %ebp
	call	guest_main
	ud2

/* void run(struct cpu *cpu): registers from it, then IRETQ. */
	.globl	run
run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, kernel_rsp(%rip)
	mov	%rdi, current(%rip)
	pushq	160(%rdi)	/* ss */
	pushq	152(%rdi)	/* rsp */
	pushq	144(%rdi)	/* rflags */
	pushq	136(%rdi)	/* cs */
	pushq	128(%rdi)	/* rip */
	xor	%eax, %eax
	mov	%rax, %cr2	/* hidden faults change it: design, 4 */
	mov	0(%rdi), %rax
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	mov	56(%rdi), %rdi
	iretq

/* Stack: vector, error code, frame. Ends the run. */
	.globl	common
common:
	push	%rax
	mov	current(%rip), %rax
	test	%rax, %rax
	jz	died
	mov	%rcx, 8(%rax)
	mov	%rdx, 16(%rax)
	mov	%rbx, 24(%rax)
	mov	%rbp, 40(%rax)
	mov	%rsi, 48(%rax)
	mov	%rdi, 56(%rax)
	mov	%r8, 64(%rax)
	mov	%r9, 72(%rax)
	mov	%r10, 80(%rax)
	mov	%r11, 88(%rax)
	mov	%r12, 96(%rax)
	mov	%r13, 104(%rax)
	mov	%r14, 112(%rax)
	mov	%r15, 120(%rax)
	popq	0(%rax)
	popq	168(%rax)	/* vector */
	popq	176(%rax)	/* error code */
	popq	128(%rax)
	popq	136(%rax)
	popq	144(%rax)
	popq	152(%rax)
	popq	160(%rax)
	mov	%cr2, %rcx
	mov	%rcx, 184(%rax)
	movq	$0, current(%rip)
	mov	kernel_rsp(%rip), %rsp
	cld
	pushq	$2		/* no TF, AC, NT, DF */
	popfq
	mov	$0x10, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	%ecx, %ss
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

died:
	movabs	$DIRECT + PA_SHARED, %rax
	mov	8(%rsp), %rcx
	mov	%rcx, 40(%rax)
	mov	24(%rsp), %rcx
	mov	%rcx, 48(%rax)
	mov	%cr2, %rcx
	mov	%rcx, 56(%rax)
	mov	16(%rsp), %rcx
	mov	%rcx, 64(%rax)
	mov	$PORT_DIED, %edx
	out	%eax, %dx
	jmp	.

	.globl	vector_entries, pf_entry, pf_entry_b, soft_entry
	.balign	16
vector_entries:
	.set	i, 0
	.rept	256
	.balign	16
	.if	i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21
	.else
	pushq	$0
	.endif
	pushq	$i
	jmp	common
	.set	i, i + 1
	.endr

/* An NMI: on a stack of its own, whatever is going on. */
	.globl	nmi_entry
	.balign	16
nmi_entry:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi
	cld
	call	nmi_seen
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

/* As Linux's: what CLAC is without SMAP, CLD. */
	.balign	16
pf_entry:
	.byte	0x0f, 0x1f, 0x00
	cld
	pushq	$14
	jmp	common
	.balign	16
pf_entry_b:
	.byte	0x0f, 0x1f, 0x40, 0x00
	cld
	pushq	$14
	jmp	common
	.balign	16
/* For INT $14: no error code. */
soft_entry:
	.byte	0x0f, 0x1f, 0x00
	cld
	pushq	$0
	pushq	$0x114
	jmp	common

/* Ways into code other than IRETQ; no register but RIP changes. */
	.globl	jump_to, return_to, landing
jump_to:
	jmp	*jump_target(%rip)
return_to:
	pushq	jump_target(%rip)
	ret
	.balign	16
landing:
	int3
	int3

/* Handlers that are hard to splice, or not at all. */
	.globl	odd_handlers, odd_count
	.balign	64
odd_1:	jmp	odd_1b			/* JMP rel8 */
	.byte	0x90, 0x90, 0x90
odd_1b:	pushq	$14
	jmp	common
	.balign	64
odd_2:	.byte	0x66, 0x90		/* NOP of two bytes */
	cld
	pushq	$14
	jmp	common
	.balign	64
odd_3:	jmp	odd_3b			/* JMP rel32 */
	.balign	64
odd_3b:	pushq	$14
	.fill	200, 1, 0x90
	jmp	common
	.balign	64
odd_4:	cmpw	$14, (%rsp)		/* a branch */
	je	odd_4b
odd_4b:	pushq	$14
	jmp	common
	.balign	64
odd_5:	swapgs				/* privileged */
	swapgs
	pushq	$14
	jmp	common
	.balign	64
odd_6:	pushfq
	popfq
	testb	$4, (%rsp)
	pushq	$14
	jmp	common
	.balign	64
odd_7:	testl	$4, odd_word(%rip)	/* RIP-relative */
	pushq	$14
	jmp	common
	.balign	64
odd_8:	call	odd_8b			/* CALL, as Linux's */
odd_8b:	add	$8, %rsp
	pushq	$14
	jmp	common
	.balign	64
odd_9:	sub	$8, %rsp		/* moves RSP first */
	movl	$14, (%rsp)
	movl	$0, 4(%rsp)
	jmp	common
	.balign	4096
	.fill	4093, 1, 0xcc
odd_10:	cld				/* leaves its page */
	cld
	cld
	cld
	cld
	pushq	$14
	jmp	common

	.section .rodata
	.balign	8
odd_handlers:
	.quad	odd_1, odd_2, odd_3, odd_4, odd_5, odd_6, odd_7, odd_8, odd_9
	.quad	odd_10
odd_count: .long (odd_count - odd_handlers) / 8
odd_word: .long	0

/*
 * ---- Shapes ----
 *
 * RDI: the entry; RSI: its value. By bit of the argument: where a shape is
 * entered. Not inside of what JMP rel32 takes of an instruction: design, 5. Nor
 * at the second byte of a SETcc that is XCHG %eax, %esp: a hidden fault on a
 * stack that is not there, as with stack-table (hostile.c).
 */
	.globl	shapes, shape_count
	.macro	shape entries
	.pushsection .rodata.list, "a"
	.quad	1000f, 1002f, 1001f - 1000f, \entries
	.popsection
1000:
	.endm
	.macro	out
1001:	ud2
1002:
	.endm

	.section .rodata.list, "a"
	.balign	8
shapes:
	.section .rodata.code, "a"
	shape	0x7e1				/* 0: one of 8 bytes */
	movq	$0x163, 0x10(%rdi)
	inc	%rax
	out
	shape	0x1e9				/* 1: 3 bytes, and 3 */
	mov	%rsi, (%rdi)
	mov	%rdx, %rax
	inc	%rcx
	out
	shape	0x9				/* 2: Linux's native_set_pte() */
	mov	%rsi, (%rdi)
	ret
1001:	int3
	int3
	int3
	ud2
1002:
	shape	0xa1				/* 3 */
	lock orq $2, (%rdi)
	sete	%al
	out
	shape	0xf5				/* 4: three instructions; NARROW */
	mov	%esi, (%rdi)
	inc	%ecx
	inc	%edx
	inc	%eax
	out
	shape	0xe9				/* 5 */
	xchg	%rsi, (%rdi)
	add	$7, %rcx
	out
	shape	0x50b				/* 6: flags matter */
	mov	%rsi, %rax
	lock cmpxchg %rdx, (%rdi)
	sete	%cl
	out
	shape	0x3d1				/* 7: Linux's clear_bit(): a byte */
	lock andb $0xfd, (%rdi)
	adc	$0, %rax
	out
	shape	0x100001e9				/* 8: to somewhere else by JMP rel32 */
	mov	%rsi, (%rdi)
	.byte	0xe9
	.long	1f - . - 4
	.fill	20, 1, 0x90
1:	inc	%rbx
	out
	shape	0x7e9				/* 9: RIP-relative behind it */
	mov	%rsi, (%rdi)
	lea	0x100(%rip), %r8
	out
	shape	0x39				/* 10: a stack operand displaced */
	mov	%rsi, (%rdi)
	push	%rcx
	pop	%r9
	out
	shape	0x71				/* 11: with an index */
	mov	%rsi, (%rdi,%r11)
	pushfq
	pop	%r10
	out
	shape	0x3e1				/* 12 */
	lock btsq $1, (%rdi)
	setc	%al
	out
	shape	0xe1				/* 13 */
	lock xadd %rsi, (%rdi)
	inc	%rcx
	out
	shape	0x1e9				/* 14: what follows faults */
	mov	%rsi, (%rdi)
	mov	(%rbx), %r8
	inc	%r9
	out
	shape	0x29				/* 15: pops where it was */
	mov	%rsi, (%rdi)
	pop	%r8
	out
	.section .rodata.list, "a"
	.set	shapes_end, .
	.section .rodata
	.balign	4
shape_count: .long (shapes_end - shapes) / 32

/* Not of shapes, whose sites write TARGET: Linux's flush of the TLB. */
	.globl	cr3_shape
	.section .rodata.code, "a"
cr3_code:
	mov	%cr3, %rax
	mov	%rax, %cr3
cr3_out:
	ud2
cr3_end:
	.section .rodata
	.balign	8
cr3_shape: .quad cr3_code, cr3_end, cr3_out - cr3_code, 0x9

/* Each on a page of its own: they are written at different times. */
	.data
	.balign	4096
	.globl	idt, idt2, gdt, tss, current, jump_target
	.globl	kernel_stack, trap_stack, run_stack, pf_stack, nmi_stack
idt:	.fill	4096, 1, 0
idt2:	.fill	4096, 1, 0
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CS */
	.quad	0x00cf93000000ffff
	.quad	0x00cffb000000ffff	/* 32-bit, for user mode */
	.quad	0x00cff3000000ffff
	.quad	0x00affb000000ffff	/* 64-bit */
	.quad	0, 0			/* TSS: hostile_lib.c */
	.balign	4096
tss:	.fill	4096, 1, 0
current: .quad	0
jump_target: .quad 0
kernel_rsp: .quad 0
	.balign	4096
kernel_stack: .fill 8192, 1, 0
trap_stack: .fill 8192, 1, 0
run_stack: .fill 8192, 1, 0
pf_stack: .fill 8192, 1, 0
nmi_stack: .fill 8192, 1, 0
	.section .note.GNU-stack, "", @progbits
