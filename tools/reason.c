// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "reason.h"
#include "util.h"

static const struct reason reasons[] = {
	{ "request", "somebody asked for it", NULL },
	{ "nested-paging", "KVM uses nested paging on this host",
	  "load kvm-amd with npt=0 or kvm-intel with ept=0" },
	{ "several-vcpus", "the VM has more than one vCPU",
	  "start it with one (-smp 1)" },
	{ "paging-mode", "the guest is not in 64-bit mode with paging and CR0.WP",
	  "try again when its kernel runs" },
	{ "nested-guest", "the vCPU runs a guest of its own",
	  "try again when it does not" },
	{ "smm", "the vCPU is in system management mode", "try again" },
	{ "dirty-logging", "writes to guest memory are logged, as in a migration",
	  "try again when that is over" },
	{ "memory-slots", "the guest's memory slots changed or are too many",
	  "try again when they are settled" },
	{ "host-cpu", "the host's CPU reserves no bit of page-table entries, or encrypts memory",
	  "use another host" },
	{ "cannot-pin", "the guest's memory could not be pinned",
	  "give it memory that can be: anonymous, shared, or of huge pages" },
	{ "no-memory", "the host has too little free memory",
	  "free some and try again" },
	{ "memory-changed", "other memory is behind some guest addresses, as with a balloon",
	  "try again" },
	{ "cannot-emulate", "the guest wrote a page table with an instruction KVM cannot emulate",
	  "dmp hot --kind table shows such writes" },
	{ "broken", "the engine found itself inconsistent",
	  "report it, with dmp status and dmesg" },
	{ "double-fault", "the guest took a double fault while its instructions were replaced",
	  "report it, with dmp status and dmesg" },
	{ "handler-changed", "the guest has another page-fault handler",
	  "try again" },
	{ "implant-address-used", "the guest uses addresses that the replaced code was at",
	  "try again" },
	{ "kernel-breakpoint", "the guest has set a hardware breakpoint in its kernel",
	  "try again when it is gone" },
	{ "debugger", "the guest is debugged from the host (a breakpoint or step of QEMU's gdb stub)",
	  "try again when that has ended" },
	{ "code-mapped-twice", "the guest maps replaced code, or its page-fault handler, by tables of more than one kind (page-table isolation does)",
	  "nothing is replaced in it any more; engaging goes on" },
	{ "too-much-work", "the guest maps its memory so that following it would take too long",
	  "many writable mappings of the same pages do; it is tried again after a while" },
	{ "memlock-limit", "whoever made the VM may not lock so much memory",
	  "start it with a higher limit (ulimit -l, LimitMEMLOCK=) or with CAP_IPC_LOCK" },
	{ "not-isolated", "the guest's kernel writes page tables while its user mode could read what replaced instructions need (this CPU has Meltdown)",
	  "a guest with page-table isolation (pti=on) does not; nothing is replaced in it any more; engaging goes on" },
	{ "too-many-tables", "the guest has more page tables than are followed: one for each 8 pages of its memory, and 1024",
	  "it is tried again after a while" },
	{ "table-not-in-ram", "the guest uses a page table that is not in its RAM",
	  "report it, with dmp status: no known kernel does" },
};

static const struct reason splice_reasons[] = {
	{ "page-fault-handler", "the guest's page-fault handler cannot be spliced", NULL },
	{ "no-room", "the guest leaves no addresses for the implant", NULL },
	{ "memory-layout", "the guest's memory is too scattered", NULL },
	{ "broken", "the engine found itself inconsistent",
	  "report it, with dmp status and dmesg" },
	{ "not-trusted", "the guest's kernel is not trusted with the host's memory",
	  "if it may be, kvm.dmp_trust=1 and dmp disengage, dmp engage" },
	{ "maker-not-privileged", "the process that started the VM may not reach the host's memory (CAP_SYS_RAWIO)",
	  "start the VM with that capability, if its kernel may be trusted" },
	{ "host-locked-down", "the host is locked down, so nobody may reach its memory",
	  NULL },
	{ "host-cpu", "this is not done on this kind of CPU yet", NULL },
	{ "kernel-breakpoint", "the guest has set a hardware breakpoint in its kernel",
	  NULL },
	{ "debugger", "the guest is debugged from the host (a breakpoint or step of QEMU's gdb stub)",
	  "remove its breakpoints" },
	{ "code-mapped-twice", "the guest maps replaced code, or its page-fault handler, by tables of more than one kind",
	  "a guest without page-table isolation (nopti) does not" },
	{ "not-isolated", "the guest's user mode could read its kernel's memory and the host's tables for it (this CPU has Meltdown)",
	  "pti=on for the guest's kernel; kvm.dmp_meltdown=1 if nobody in the guest is to be kept from it" },
};

static const struct reason *find(const struct reason *r, size_t n,
				 const char *name)
{
	size_t i;

	for (i = 0; name && i < n; i++)
		if (!strcmp(r[i].name, name))
			return &r[i];
	return NULL;
}

const struct reason *reason_find(const char *name)
{
	return find(reasons, ARRAY_SIZE(reasons), name);
}

const struct reason *splice_reason_find(const char *name)
{
	return find(splice_reasons, ARRAY_SIZE(splice_reasons), name);
}
