/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The #PF filter: runs in the guest's kernel before the guest's own #PF
 * handler, whose first bytes were replaced by a jump to here. Design, section 4.
 *
 * On entry, as the CPU made it (APM vol. 2, 8.9): interrupts off, no swapgs
 * done, CR2 the fault's address, every register the interrupted code's, and
 *	0(%rsp)  error code	8(%rsp)  rip	16(%rsp) cs
 *	24(%rsp) rflags		32(%rsp) rsp	40(%rsp) ss
 *
 * It goes on in one of three ways:
 *   deliver	jump to what the splice displaced of the guest's handler
 *   hypercall	to the VMM, which moves RIP itself
 *   resolved	the fault was a lazy A or D; iretq to the instruction that took it
 * What it cannot tell itself it asks the agent first (implant/agent.c).
 * Registers and stack are those of the entry then, with two exceptions: the
 * arithmetic flags are clobbered (an exception handler's flags at entry are
 * the interrupted code's, which are on the stack; DF, AC and the like stay),
 * and resolved has taken the error code off the stack.
 *
 * Where the loaded root may not show the private region, the walk and the agent's
 * work are done with another root loaded (implant.private), which has the same
 * implant, and the stack that the CPU's frame is on; `away` says so to the VMM.
 *
 * Interrupts are off, so only an exit can stop it. `row` says, for each
 * instruction that follows, how the VMM makes an end of it (engine/code/filter.c).
 */
#include "code/filter.h"
#include "code/implant.h"

	.set	implant, filter + DMP_FILTER_DISTANCE
#define IMPLANT(field)	implant + DMP_IMPLANT_##field(%rip)

/* Registers by number: save[] and rows. */
	.set	number_rax, 0
	.set	number_rcx, 1
	.set	number_rdx, 2
	.set	number_rsi, 6
	.set	number_rdi, 7
	.set	number_r8, 8
	.set	number_r9, 9
	.set	number_r10, 10

/* From here on: kind, registers that save[] holds, error code popped or not. */
	.macro row kind, saved=0, popped=0
1001:	.pushsection .rows, "a"
	.short	1001b - filter, \saved
	.byte	\kind, \popped
	.popsection
	.endm

	.set	saved, 0
	.macro save reg
	mov	%\reg, implant + DMP_IMPLANT_SAVE + 8 * number_\reg(%rip)
	.set	saved, saved | 1 << number_\reg
	row	DMP_FILTER_BEFORE, saved
	.endm

	.macro restore reg
	mov	implant + DMP_IMPLANT_SAVE + 8 * number_\reg(%rip), %\reg
	.endm

	.macro restore_all
	.irp	reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10
	restore	\reg
	.endr
	.endm

/*
 * Load another root, by \reg, for as long as the private region is needed. To
 * \nowhere when none can be loaded without an exit. The VMM loads the old one
 * again whenever it finds `away`: twice is as good as once.
 */
	.macro go_private reg, nowhere
#ifdef GUARDED
	mov	IMPLANT(PRIVATE), %\reg
	test	%\reg, %\reg
	jz	1002f
	js	\nowhere
	movb	$1, IMPLANT(AWAY)
	mov	%\reg, %cr3
1002:
#endif
	.endm

	.macro come_back reg
#ifdef GUARDED
	cmpb	$0, IMPLANT(AWAY)
	je	1003f
	mov	IMPLANT(HERE), %\reg
	mov	%\reg, %cr3
	movb	$0, IMPLANT(AWAY)
1003:
#endif
	.endm

	.text
	.globl	filter, deliver_end, hypercall, resolved, code_end
	.globl	public_high, public_last, public_first
filter:
	row	DMP_FILTER_BEFORE
	testb	$(DMP_FILTER_PF_P | DMP_FILTER_PF_RSVD), (%rsp)
	jnz	present
	testb	$DMP_FILTER_PF_U, (%rsp)
	jz	kernel
deliver:
	.byte	0xe9			/* jmp, to where dmp_filter_deliver() says */
	.long	0
deliver_end:

/* From kernel mode: a stub's are for the VMM; not present, the guest's own. */
kernel:
	cmpl	$0x7fffffff, 12(%rsp)	/* rip, against the public region, */
public_high:				/* which crosses no 4 GiB boundary */
	jne	outside
	cmpl	$0x7fffffff, 8(%rsp)
public_last:
	ja	outside
	cmpl	$0x7fffffff, 8(%rsp)
public_first:
	jb	outside
hypercall:
	.byte	0x0f, 0x01, 0xd9	/* vmmcall, or what the loader puts */
	ud2

present:
	testb	$DMP_FILTER_PF_RSVD, (%rsp)
	jnz	trap
	testb	$DMP_FILTER_PF_U, (%rsp)
	jz	kernel
	testb	$DMP_FILTER_PF_W, (%rsp)
	jz	agent
	testb	$(DMP_IMPLANT_LAZY_D | DMP_IMPLANT_LAZY_ANY), IMPLANT(STATE)
	jnz	agent
	/*
	 * At the kernel's addresses the page may be the implant's, of which
	 * user mode is not to know: to the guest nothing is present there.
	 */
	save	rax
	mov	%cr2, %rax
	test	%rax, %rax
	restore	rax
	js	hypercall
	jmp	deliver
	.set	saved, 0
	row	DMP_FILTER_BEFORE

outside:
	testb	$(DMP_FILTER_PF_P | DMP_FILTER_PF_RSVD), (%rsp)
	jz	deliver
/*
 * To the agent, on its stack. Wherever it is stopped before all is done, the VMM
 * looks at the fault anew: a row needs to say no more than where the stack is, and
 * rax. When all was done there would be nothing to see, and the VMM be asked for it.
 */
agent:
	movq	$0, implant + DMP_IMPLANT_AGENT + DMP_AGENT_LOGGED(%rip)
	mov	%rsp, implant + DMP_IMPLANT_SAVE + 8 * 4(%rip)
	row	DMP_FILTER_AGENT, 1 << 4
	lea	implant + DMP_IMPLANT_BYTES(%rip), %rsp
#ifdef GUARDED
	mov	%rax, implant + DMP_IMPLANT_SAVE(%rip)
	row	DMP_FILTER_AGENT, 1 << 4 | 1
	go_private rax, nowhere
#endif
	.byte	0xe8			/* call, and no relocation */
	.long	filter - DMP_AGENT_CODE_BYTES + DMP_AGENT_FAULT - (. + 4)
#ifdef GUARDED
	come_back rax
	restore	rax
#endif
	mov	implant + DMP_IMPLANT_SAVE + 8 * 4(%rip), %rsp
	cmpl	$DMP_AGENT_DELIVER, implant + DMP_IMPLANT_AGENT + DMP_AGENT_ANSWER(%rip)
	jb	hypercall
	je	deliver
	add	$8, %rsp
	jmp	resolved
#ifdef GUARDED
nowhere:
	restore	rax
	mov	implant + DMP_IMPLANT_SAVE + 8 * 4(%rip), %rsp
	jmp	hypercall
#endif
	row	DMP_FILTER_BEFORE

/* What the hardware calls reserved bits is a trap: a lazy A, or not for us. */
trap:
	testb	$DMP_FILTER_PF_U, (%rsp)
	jz	kernel
	.irp	reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10
	save	\reg
	.endr

/*
 * Walk both tables, or take the last walk's word. rdi: address; rsi, rdx: machine
 * and guest table; r10: frame records; r8: what the guest's entries deny, by
 * bit: a P, RW, US or A that one lacks, an NX, PS or reserved bit that one has.
 * r8 is looked at in the end only: until then a guest entry, whatever it is,
 * leads to some frame of RAM.
 *
 * Links have A set (dmp_translate_link()); traps and empty entries do not.
 */
	.macro level shift
	mov	%rdi, %rcx
	shr	$\shift, %rcx
	and	$511, %ecx
	mov	(%rsi,%rcx,8), %rsi
	mov	(%rdx,%rcx,8), %rdx
	test	$DMP_FILTER_PTE_A, %sil
	jz	fail
	and	address(%rip), %rsi
	add	IMPLANT(WINDOW), %rsi
	xor	$(DMP_FILTER_PTE_P | DMP_FILTER_PTE_RW | DMP_FILTER_PTE_US | DMP_FILTER_PTE_A), %rdx
	or	%rdx, %r8
	and	IMPLANT(FRAME_MASK), %rdx
	shr	$9, %rdx		/* gfn * 8 */
	lea	(%rdx,%rdx,2), %rdx	/* gfn * DMP_FRAME_BYTES */
	mov	(%r10,%rdx), %rdx
	and	address(%rip), %rdx
	jz	fail			/* no RAM */
	add	IMPLANT(WINDOW), %rdx
	.endm

	go_private rax, ask
	mov	%cr2, %rdi
	mov	IMPLANT(FRAMES), %r10
	mov	%rdi, %r9
	shr	$21, %r9
	cmp	%r9, IMPLANT(WALK_TAG)
	jne	walk
	mov	IMPLANT(WALK_MACHINE), %rsi
	mov	IMPLANT(WALK_GUEST), %rdx
	mov	IMPLANT(WALK_DENIED), %r8

/* rdi: index; rax: the guest's leaf; r9, rcx: its frame's record and leaf. */
leaf:
	shr	$12, %edi
	and	$511, %edi
	mov	IMPLANT(LAZY), %rax
	cmp	%rax, (%rsi,%rdi,8)
	jne	fail
	mov	(%rdx,%rdi,8), %rax
	mov	%rax, %r9
	xor	$(DMP_FILTER_PTE_P | DMP_FILTER_PTE_RW | DMP_FILTER_PTE_US), %r9
	or	%r9, %r8
	test	%r8, IMPLANT(LEAF_MASK)
	jnz	fail
	testb	$(DMP_FILTER_PF_W | DMP_FILTER_PF_I), (%rsp)
	jnz	write_or_fetch

	/* r9 is the guest's leaf but for its low bits. */
	.macro frame_of_leaf
	and	IMPLANT(FRAME_MASK), %r9
	shr	$9, %r9
	lea	(%r9,%r9,2), %r9
	mov	(%r10,%r9), %rcx
	.endm

	/* rcx: the machine entry. */
	.macro add_flags
	mov	kept(%rip), %r8
	and	%rax, %r8
	or	%r8, %rcx
	.endm

read:
	frame_of_leaf
	test	$DMP_FILTER_PTE_RW, %al
	jz	read_only
	test	$DMP_FILTER_PTE_RW, %cl
	jz	fail			/* a guest table, ROM or no RAM */
	test	$DMP_FILTER_PTE_D, %al
	jz	clean
	add_flags
	lea	DMP_FILTER_PTE_A(%rax), %r8
commit_writable:
	lock cmpxchg %r8, (%rdx,%rdi,8)
	row	DMP_FILTER_COMMIT, saved
	jnz	fail
	mov	%rcx, (%rsi,%rdi,8)
	row	DMP_FILTER_COUNT, saved
	incl	DMP_FRAME_WRITABLE(%r10,%r9)
	row	DMP_FILTER_TALLY, saved
done:
	incq	IMPLANT(LAZY_A)
	row	DMP_FILTER_DONE, saved
	come_back rax
	restore_all
	add	$8, %rsp
	row	DMP_FILTER_DONE, 0, 1
resolved:
	iretq

	row	DMP_FILTER_BEFORE, saved
clean:
	orl	$DMP_IMPLANT_LAZY_D, IMPLANT(STATE)
read_only:
	and	$~DMP_FILTER_PTE_RW, %rcx
	jz	fail
	add_flags
	lea	DMP_FILTER_PTE_A(%rax), %r8
	lock cmpxchg %r8, (%rdx,%rdi,8)
	row	DMP_FILTER_COMMIT, saved
	jnz	fail
	mov	%rcx, (%rsi,%rdi,8)
	row	DMP_FILTER_TALLY, saved
	jmp	done

	row	DMP_FILTER_BEFORE, saved
write_or_fetch:
	testb	$DMP_FILTER_PF_I, (%rsp)
	jz	write
	test	%r8, %r8		/* NX */
	js	fail
	testb	$DMP_FILTER_PF_W, (%rsp)
	jz	read
write:
	test	$DMP_FILTER_PTE_RW, %r8b
	jnz	fail
	frame_of_leaf
	test	$DMP_FILTER_PTE_RW, %cl
	jz	fail
	add_flags
	lea	DMP_FILTER_PTE_A(%rax), %r8
	or	$DMP_FILTER_PTE_D, %r8
	jmp	commit_writable

walk:
	mov	IMPLANT(ROOT), %rsi
	mov	IMPLANT(GUEST_ROOT), %rdx
	xor	%r8d, %r8d
	cmpl	$5, IMPLANT(LEVELS)
	jne	1f
	level	48
1:	level	39
	level	30
	level	21
	test	$DMP_FILTER_PTE_PS, %r8b
	jnz	fail
	/* Whoever takes the vCPU out between these voids the tag. */
	mov	%rsi, IMPLANT(WALK_MACHINE)
	mov	%rdx, IMPLANT(WALK_GUEST)
	mov	%r8, IMPLANT(WALK_DENIED)
	mov	%r9, IMPLANT(WALK_TAG)
	jmp	leaf

fail:
	restore_all
	jmp	agent
#ifdef GUARDED
ask:
	restore_all
	jmp	hypercall
#endif
code_end:

	.balign	8, 0xcc
address:
	.quad	0x000ffffffffff000	/* DMP_PTE_ADDR */
kept:
	.quad	0x8000000000000104	/* NX, G, US */

	.section .note.GNU-stack, "", @progbits
