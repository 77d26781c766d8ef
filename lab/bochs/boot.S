/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option ROM: loads what disk.py wrote to the disk and enters it.
 *
 * A kernel that a boot loader fetches through the BIOS, and that then unpacks
 * itself, would take this emulator a minute and a half. This takes half a second:
 * the BIOS calls a ROM before it looks for a disk, the disk is read by
 * programmed I/O, which the emulator does a block at a time, and the kernel is
 * unpacked already and entered as a PVH guest is: in 32-bit mode with paging
 * off, EBX holding the address of struct hvm_start_info (Xen's
 * public/arch-x86/hvm/start_info.h).
 *
 * The first sector of the disk is a table of rows of three words: first sector,
 * number of sectors, address. The last row has no sectors; its address is the entry.
 */
#define TABLE		0x7000
#define START_INFO	0x8000	/* as in disk.py */

#define ATA_DATA	0x1f0
#define ATA_COUNT	0x1f2
#define ATA_STATUS	0x1f7
#define ATA_CONTROL	0x3f6
#define ATA_BUSY	0x80
#define ATA_REQUEST	0x08
#define READ_SECTORS	0x20

	.code16
rom:
	.byte 0x55, 0xaa, ROM_SIZE / 512
	cli
	lgdtl %cs:gdtr - rom
	mov $0x92, %dx			/* address line 20 */
	in %dx, %al
	or $2, %al
	out %al, %dx
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $8, $(ROM_BASE + protected - rom)

	.code32
protected:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $TABLE, %esp
	cld
	mov $ATA_CONTROL, %edx
	mov $2, %al			/* no interrupts */
	out %al, %dx
	xor %ebx, %ebx
	mov $1, %ecx
	mov $TABLE, %edi
	call read
	mov $TABLE, %esi
1:	lodsl
	mov %eax, %ebx
	lodsl
	mov %eax, %ecx
	lodsl
	mov %eax, %edi
	jecxz 2f
	call read
	jmp 1b
2:	mov $START_INFO, %ebx
	jmp *%edi

/* Reads ECX > 0 sectors from EBX to EDI, and leaves those behind the last. */
read:
	push %esi
1:	mov $256, %esi			/* a command's most; written as 0 */
	cmp %esi, %ecx
	jae 2f
	mov %ecx, %esi
2:	sub %esi, %ecx
	push %ecx
	call idle
	mov $ATA_COUNT, %edx
	mov %esi, %eax
	out %al, %dx
	mov %ebx, %eax			/* LBA, 28 bits */
	inc %edx
	out %al, %dx
	inc %edx
	shr $8, %eax
	out %al, %dx
	inc %edx
	shr $8, %eax
	out %al, %dx
	inc %edx
	shr $8, %eax
	or $0xe0, %al
	out %al, %dx
	inc %edx
	mov $READ_SECTORS, %al
	out %al, %dx
	add %esi, %ebx
3:	call idle
	test $ATA_REQUEST, %al
	jz 3b
	mov $ATA_DATA, %edx
	mov $512 / 4, %ecx
	rep insl
	dec %esi
	jnz 3b
	pop %ecx
	test %ecx, %ecx
	jnz 1b
	pop %esi
	ret

/* Waits for the disk; its status in AL. */
idle:
	mov $ATA_STATUS, %edx
1:	in %dx, %al
	test $ATA_BUSY, %al
	jnz 1b
	ret

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 8: code */
	.quad 0x00cf93000000ffff	/* 16: data */
gdtr:
	.word . - gdt - 1
	.long ROM_BASE + gdt - rom
	.org ROM_SIZE - 1		/* and a byte that makes the sum 0 */
