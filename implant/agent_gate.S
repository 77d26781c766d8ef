/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's gate: stubs call it, on its own stack, with everything else
 * theirs; see stub_follow.c. It returns when the agent has done the work, and
 * otherwise asks the VMM, which finds the stub by the address of return.
 *
 * Registers are saved in an order that engine/code/agent.c knows, by which it tells,
 * wherever the vCPU is stopped, which of them are on the stack.
 */
#include "code/implant.h"

	.set	implant, gate + DMP_AGENT_DISTANCE

	.section .text.gate, "ax"
	.globl	gate, hypercall
gate:
	.irp	reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push	%\reg
	.endr
	lea	implant(%rip), %rdi
	call	dmp_agent_follow
	test	%al, %al
	jz	hypercall
	.irp	reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop	%\reg
	.endr
	ret
hypercall:
	.byte	0x0f, 0x01, 0xd9	/* vmmcall, or what the loader puts */
	ud2


/*
 * The filter calls it for a fault, with the CPU's frame where save[] says the
 * stack was. Always returns, with agent.answer.
 */
	.org	DMP_AGENT_FAULT, 0xcc
	.globl	fault_gate
fault_gate:
	.irp	reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push	%\reg
	.endr
	lea	implant(%rip), %rdi
	mov	%cr2, %rsi
	mov	DMP_IMPLANT_SAVE + 8 * 4(%rdi), %rdx
	call	dmp_agent_fault
	mov	%eax, implant + DMP_IMPLANT_AGENT + DMP_AGENT_ANSWER(%rip)
	.irp	reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop	%\reg
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
