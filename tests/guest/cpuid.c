// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID in several spellings, across a page's end, under single step, and where it is
 * made to fault: a hypervisor that answers it without its emulator has to find where
 * the next instruction begins.
 */
#include <asm/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define TURNS	4
#define DEAD	0xdeadbeefdeadbeefull

typedef uint8_t u8;

struct answer { u64 rax, rbx, rcx, rdx; };

static u8 *code;		/* two pages */

static const struct { const char *name, *bytes; unsigned int length; } forms[] = {
	{ "cpuid", "\x0f\xa2", 2 },
	{ "rex.w cpuid", "\x48\x0f\xa2", 3 },
	{ "rex.wrxb cpuid", "\x4f\x0f\xa2", 3 },
	{ "data16 cpuid", "\x66\x0f\xa2", 3 },
	{ "cs cpuid", "\x2e\x0f\xa2", 3 },
	{ "rep cpuid", "\xf3\x0f\xa2", 3 },
	{ "fs gs data16 rex.w cpuid", "\x64\x65\x66\x48\x0f\xa2", 6 },
};

/* Of which no bit depends on when it is asked, or on the CPU asked. */
static const struct { u32 leaf, subleaf; } leaves[] = {
	{ 0, 0 }, { 2, 0 }, { 7, 0 }, { 0x80000000, 0 }, { 0x80000002, 7 },
	{ 0x12345678, 0x9abc }, { 0xffffffff, 0 },
};

/* Sets TF, so that what comes next is stepped over: PUSHF; OR; POPF. */
static const u8 set_tf[] = { 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d };

/* The form @i, of which so many bytes are on the first page, and RET. */
static u8 *put(unsigned int i, unsigned int before)
{
	u8 *at = code + PAGE - before;

	memset(code, 0xcc, 2 * PAGE);
	memcpy(at - sizeof(set_tf), set_tf, sizeof(set_tf));
	memcpy(at, forms[i].bytes, forms[i].length);
	at[forms[i].length] = 0xc3;
	return at;
}

static struct answer ask(u8 *at, u32 leaf, u32 subleaf)
{
	struct answer a = { DEAD << 32 | leaf, DEAD, DEAD << 32 | subleaf, DEAD };

	asm volatile("callq *%4" : "+a"(a.rax), "+b"(a.rbx), "+c"(a.rcx), "+d"(a.rdx)
		     : "r"(at) : "memory", "cc");
	return a;
}

static void run_leaf(u32 leaf, u32 subleaf)
{
	struct answer want = ask(put(0, 64), leaf, subleaf), is;
	unsigned int i, before, turn;

	CHECK(!((want.rax | want.rbx | want.rcx | want.rdx) >> 32), "upper halves");
	for (i = 0; i < ARRAY_SIZE(forms); i++)
		for (before = 0; before < 8; before++) {
			u8 *at = put(i, before);

			for (turn = 0; turn < TURNS * scale; turn++) {
				is = ask(at, leaf, subleaf);
				CHECK(!memcmp(&is, &want, sizeof(is)), "%s, %u: leaf 0x%x differs",
				      forms[i].name, before, leaf);
			}
		}
}

static void call(void *at)
{
	ask(at, 0, 0);
}

static void run_steps(void)
{
	unsigned int i, before;
	struct caught c;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		for (before = 0; before < 8; before++) {
			u8 *at = put(i, before);

			CHECK(catches(call, at - sizeof(set_tf), &c), "%s: no step", forms[i].name);
			CHECK(c.trap == 1 && c.rip == (u64)at + forms[i].length,
			      "%s, %u: trap %llu, RIP +%lld", forms[i].name, before,
			      (unsigned long long)c.trap, (long long)(c.rip - (u64)at));
		}
}

/* Where the kernel and the CPU can make it fault for user mode. */
static void run_faults(void)
{
	unsigned int i;
	struct caught c;
	bool faults;
	u8 *at;

	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		at = put(i, 64);
		if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
			return;
		faults = catches(call, at, &c);
		MUST(syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1));
		CHECK(faults && c.trap == 13 && c.rip == (u64)at, "%s does not fault",
		      forms[i].name);
	}
}

int test_cpuid(void)
{
	void *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	MUST(p);
	code = p;
	for (i = 0; i < ARRAY_SIZE(leaves); i++)
		run_leaf(leaves[i].leaf, leaves[i].subleaf);
	say("%u forms: each answers as the plain one", (u32)ARRAY_SIZE(forms));
	run_steps();
	say("each is one step");
	run_faults();
	MUST(munmap(p, 2 * PAGE));
	return 0;
}
