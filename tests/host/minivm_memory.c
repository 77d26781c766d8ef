// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may become of an engaged VM's memory: its slots, and what is behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "minivm_test.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/*
 * ---- Memory slots ----
 */

static char *other_mem;

void other_mem_make(void)
{
	other_mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void slot_add(void) { vm_slot(vm, 1, 0, 1ull << 32, 1 << 20, other_mem); }
static void slot_move(void) { vm_slot(vm, 1, 0, 2ull << 32, 1 << 20, other_mem); }
void slot_del(void) { vm_slot(vm, 1, 0, 2ull << 32, 0, other_mem); }
static void log_on(void)
{
	vm_slot(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, GUEST_BYTES, vm->mem);
}
static void log_off(void) { vm_slot(vm, 0, 0, 0, GUEST_BYTES, vm->mem); }

void test_slots(void)
{
	other_mem_make();
	ends("a new memory slot", "memory-slots", slot_add);
	ends("a memory slot moves", "memory-slots", slot_move);
	ends("a memory slot goes", "memory-slots", slot_del);
}

/*
 * A guest that costs the most: each frame of many is a table, and has two writable
 * mappings beside the direct one, so that making it a table takes a search through
 * all others. Links of the tables come last.
 */
static void many_tables(bool linked)
{
	const uint64_t link = PTE_P | PTE_RW | PTE_A, frames = GUEST_MANY_L1 | link | PTE_D;
	uint64_t *l2 = (uint64_t *)(vm->mem + GUEST_MANY_L2), *l1 = l2 + 3 * 512;
	uint64_t *pdpt = (uint64_t *)(vm->mem + GUEST_PDPT);
	unsigned int i;

	for (i = 0; i < 2 * GUEST_MANY; i++)
		l1[i] = frames + ((i + 7 * (1 + i / GUEST_MANY)) % GUEST_MANY << 12);
	for (i = 0; i < 2 * GUEST_MANY / 512; i++)
		l2[i] = (GUEST_MANY_L2 + 0x3000 + i * 0x1000) | link;
	for (i = 0; i < GUEST_MANY; i++)
		l2[512 + i] = (GUEST_MANY_L1 + i * 0x1000ull) | link;
	for (i = 0; i < 3; i++)
		pdpt[2 + i] = linked ? (GUEST_MANY_L2 + i * 0x1000) | link : 0;
}

/* With such tables the VM is refused, and nothing comes of it; without them it is not. */
static void refuses_tables(const char *name, const char *why, void (*make)(bool))
{
	long long start;

	vm_ctl(vm, "mode", "monitor");
	make(true);
	vm_ctl(vm, "mode", vm_mode());
	start = now_ns();
	refuses(name, why);
	printf("FIGURE %s: refused after %.2f s\n", name, (now_ns() - start) / 1e9);
	guest_goes_on(name);
	nothing_left(name);
	vm_ctl(vm, "mode", "monitor");
	make(false);
	vm_ctl(vm, "mode", vm_mode());
	stays("without them", no_act);
}

void test_work(void)
{
	refuses_tables("tables mapped three times", "too-much-work", many_tables);
}

/*
 * Each large page is a table that the guest has not: five times 512, all of one piece of
 * memory, are more than one for each eighth of its frames and 1024.
 */
static void many_large(bool linked)
{
	const uint64_t link = PTE_P | PTE_RW | PTE_A;
	uint64_t *pdpt = (uint64_t *)(vm->mem + GUEST_PDPT);
	uint64_t *pd = (uint64_t *)(vm->mem + GUEST_MANY_L2);
	unsigned int i;

	for (i = 0; i < 5 * 512; i++)
		pd[i] = GUEST_SCRATCH | link | PTE_D | PTE_PS;
	for (i = 0; i < 5; i++)
		pdpt[2 + i] = linked ? (GUEST_MANY_L2 + i * 0x1000) | link : 0;
}

void test_tables(void)
{
	refuses_tables("2560 large pages", "too-many-tables", many_large);
}

static unsigned int dirty_pages(void)
{
	static uint64_t map[GUEST_BYTES >> 18];
	struct kvm_dirty_log log = { .dirty_bitmap = map };
	unsigned int i, n = 0;

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		return ~0u;
	for (i = 0; i < GUEST_BYTES >> 18; i++)
		n += __builtin_popcountll(map[i]);
	return n;
}

void test_dirty_log(void)
{
	unsigned int n;

	if (!engage())
		return;
	ends("dirty logging", "dirty-logging", log_on);
	refuses("dirty logging is on", "dirty-logging");
	dirty_pages();
	guest_goes_on("dirty logging is on");
	n = dirty_pages();
	check(n >= WINDOW_PAGES + 2 && n < WINDOW_PAGES + 10,
	      "dirty logging is on: %u pages dirty, %u rewritten", n, WINDOW_PAGES);
	log_off();
	stays("dirty logging is off again", log_off);
}

/*
 * ---- The memory behind ----
 */

static char *scratch(void) { return vm->mem + GUEST_SCRATCH; }

void discard(void)
{
	madvise(scratch() + 8192, 4096, MADV_DONTNEED);
}

static void remap(void)
{
	mmap(scratch() + 16384, 8192, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void move_away(void)
{
	void *to = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mremap(scratch() + 65536, 65536, 65536, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	mmap(scratch() + 65536, 65536, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(to, 65536);
}

static void unmap(void)
{
	munmap(scratch() + 0x100000, 4096);
}

static void protect(void)
{
	mprotect(scratch(), GUEST_SCRATCH_BYTES, PROT_READ);
	mprotect(scratch(), GUEST_SCRATCH_BYTES, PROT_READ | PROT_WRITE);
}

static void fork_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		memset(scratch(), 0x55, GUEST_SCRATCH_BYTES);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void collapse(void)
{
	int r = madvise(vm->mem, GUEST_BYTES, MADV_HUGEPAGE);
	unsigned long i;
	int e = 0;

	for (i = 0; i < GUEST_BYTES; i += 2 << 20)
		if (madvise(vm->mem + i, 2 << 20, MADV_COLLAPSE))
			e = errno;
	check(!r, "MADV_COLLAPSE on pinned memory: %s", e ? strerror(e) : "done");
}

static void page_out(void)
{
	madvise(vm->mem, GUEST_BYTES, MADV_COLD);
	madvise(vm->mem, GUEST_BYTES, 21 /* MADV_PAGEOUT */);
}

#define KSM "/sys/kernel/mm/ksm/"

static void ksm_pass(void)
{
	long from = sysfs_number(KSM "full_scans");
	unsigned int i;

	sysfs(KSM "sleep_millisecs", "5");
	sysfs(KSM "pages_to_scan", "4000");
	sysfs(KSM "run", "1");
	for (i = 0; i < 3000 && sysfs_number(KSM "full_scans") < from + 2; i++)
		pause_ms(10);
	check(sysfs_number(KSM "full_scans") >= from + 2, "KSM: two passes");
}

static void ksm(void)
{
	madvise(scratch(), GUEST_SCRATCH_BYTES, MADV_MERGEABLE);
	ksm_pass();
}

void test_ksm(void)
{
	unsigned int i;

	memset(scratch(), 0x77, GUEST_SCRATCH_BYTES);
	stays("KSM", ksm);
	/* Merged while on KVM's paging; engaging gets it pages of its own. */
	check(!vm_ctl(vm, "mode", "monitor") && is_state("off"), "KSM: not engaged");
	/* Two passes will do, when nobody else holds the pages for a moment. */
	for (i = 0; i < 20 && sysfs_number(KSM "pages_sharing") <= 100; i++)
		ksm_pass();
	check(sysfs_number(KSM "pages_sharing") > 100,
	      "KSM: %ld pages merged, into %ld; %ld like no other, %ld changed too often",
	      sysfs_number(KSM "pages_sharing"), sysfs_number(KSM "pages_shared"),
	      sysfs_number(KSM "pages_unshared"), sysfs_number(KSM "pages_volatile"));
	vm_ctl(vm, "mode", vm_mode());
	guest_goes_on("merged");
	if (engage())
		guest_goes_on("merged, then engaged");
	nothing_left("KSM");
	sysfs(KSM "run", "2");
	madvise(scratch(), GUEST_SCRATCH_BYTES, MADV_UNMERGEABLE);
	sysfs(KSM "run", "0");
}

#define NUMA "/sys/kernel/debug/sched/numa_balancing/"

/* Its scanner makes entries that fault, to see who uses what. */
static void balance_numa(void)
{
	long from = host_vmstat("numa_pte_updates");
	unsigned int i;

	sysfs(NUMA "scan_delay_ms", "10");
	sysfs(NUMA "scan_period_min_ms", "10");
	sysfs(NUMA "scan_period_max_ms", "20");
	check(sysfs("/proc/sys/kernel/numa_balancing", "1"), "NUMA balancing on");
	for (i = 0; i < 500 && host_vmstat("numa_pte_updates") < from + 1000; i++)
		pause_ms(10);
	check(host_vmstat("numa_pte_updates") >= from + 1000,
	      "NUMA balancing: %ld entries", host_vmstat("numa_pte_updates") - from);
}

/* Private memory that is pinned is passed by; shared memory is not. */
void test_numa(void)
{
	stays("NUMA balancing", balance_numa);
	vm_ctl(vm, "ctl", "disengage");
	guest_goes_on("NUMA balancing, not engaged");
	stays("NUMA balancing, engaged again", no_act);
	sysfs("/proc/sys/kernel/numa_balancing", "0");
	nothing_left("NUMA balancing");
}

void test_memory(void)
{
	ends("a page is given back", "memory-changed", discard);
	ends("other memory is mapped", "memory-changed", remap);
	ends("memory is moved away", "memory-changed", move_away);
	ends("memory is unmapped", "memory-changed", unmap);
	refuses("memory is unmapped", "cannot-pin");
	mmap(scratch() + 0x100000, 4096, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	/* While it is read-only it is not what was pinned, if the vCPU looks. */
	if (engage())
		protect();
	guest_goes_on("mprotect and back");
	stays("fork", fork_child);
	stays("khugepaged's collapse", collapse);
	stays("page-out", page_out);
	nothing_left("memory");
}

