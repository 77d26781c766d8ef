// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the test "idt": user memory is read with another IDT loaded, in which the #PF
 * handler counts what comes, and goes on to the kernel's own. Interrupts are
 * disabled, and nothing that exits comes between LIDT and the access.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/desc.h>
#include <asm/traps.h>

#define PF_RSVD	8	/* of the error code: a reserved bit, which Linux sets nowhere */

static gate_desc table[IDT_ENTRIES] __aligned(PAGE_SIZE);

/* The handler's, below. */
extern unsigned long dmp_idt_faults, dmp_idt_reserved, dmp_idt_next;
extern const char dmp_idt_handler[];
unsigned long dmp_idt_faults, dmp_idt_reserved, dmp_idt_next;

asm(".pushsection .text\n"
	"dmp_idt_handler:\n"
	"	incq dmp_idt_faults(%rip)\n"
	"	testb $" __stringify(PF_RSVD) ", (%rsp)\n"
	"	jz 1f\n"
	"	incq dmp_idt_reserved(%rip)\n"
	"1:	jmp *dmp_idt_next(%rip)\n"
	".popsection");

module_param_named(faults, dmp_idt_faults, ulong, 0444);
module_param_named(reserved, dmp_idt_reserved, ulong, 0444);

static int fetch(const char *value, const struct kernel_param *param)
{
	struct desc_ptr old, new = { .size = sizeof(table) - 1, .address = (unsigned long)table };
	unsigned long address, flags;
	char byte;
	long failed;

	if (kstrtoul(value, 0, &address))
		return -EINVAL;
	local_irq_save(flags);
	store_idt(&old);
	memcpy(table, (void *)old.address, sizeof(table));
	dmp_idt_next = gate_offset(&table[X86_TRAP_PF]);
	pack_gate(&table[X86_TRAP_PF], GATE_INTERRUPT, (unsigned long)dmp_idt_handler, 0, 0,
		  __KERNEL_CS);
	asm volatile("lidt %0" :: "m" (new));
	failed = copy_from_user_nofault(&byte, (void __user *)address, 1);
	asm volatile("lidt %0" :: "m" (old));
	local_irq_restore(flags);
	return failed ? -EFAULT : 0;
}

static const struct kernel_param_ops fetch_ops = { .set = fetch };
module_param_cb(fetch, &fetch_ops, NULL, 0200);

static int __init dmp_idt_init(void)
{
	return 0;
}

static void __exit dmp_idt_exit(void)
{
}

module_init(dmp_idt_init);
module_exit(dmp_idt_exit);
MODULE_LICENSE("GPL");
