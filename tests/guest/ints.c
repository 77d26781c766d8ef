// SPDX-License-Identifier: GPL-2.0-only
/*
 * INT3 and INT n in every spelling, from user mode: which exception, with what
 * error code, and behind how many bytes. Who intercepts #BP or INT n has to tell
 * them apart by the guest's bytes, which may lie on two pages, or in a segment
 * that does not begin at 0.
 */
#include <asm/ldt.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

/* Below 4 GiB, for 32-bit code. Two pages with all rights, and one with none. */
#define CODE	0x20000000
#define END	(code + 2 * PAGE)
#define TURNS	300		/* across the two pages' border */
#define GETPID32 20
#define SEL_CODE32 0x07		/* LDT, 0 */
#define BASE32	0x0ffff000u	/* of that segment */
#define SEL_CODE64 0x33		/* Linux's */

typedef uint8_t u8;
typedef uint16_t u16;

struct far_pointer {
	u32 offset;
	u16 selector;
} __attribute__((packed));

static u8 *code;

/* Its trap and its RIP: so many bytes behind the beginning. */
static const struct form {
	const char *name, *bytes;
	int length, sig, trap, behind;
} forms[] = {
	{ "int3", "\xcc", 1, SIGTRAP, 3, 1 },
	{ "rep int3", "\xf3\xcc", 2, SIGTRAP, 3, 2 },
	{ "data16 int3", "\x66\xcc", 2, SIGTRAP, 3, 2 },
	{ "rex.w int3", "\x48\xcc", 2, SIGTRAP, 3, 2 },
	{ "cs int3", "\x2e\xcc", 2, SIGTRAP, 3, 2 },
	{ "int $3", "\xcd\x03", 2, SIGTRAP, 3, 2 },
	{ "rex.w int $3", "\x48\xcd\x03", 3, SIGTRAP, 3, 3 },
	{ "cs data16 int $3", "\x2e\x66\xcd\x03", 4, SIGTRAP, 3, 4 },
	{ "int $4", "\xcd\x04", 2, SIGSEGV, 4, 2 },
	{ "int $1", "\xcd\x01", 2, SIGSEGV, 13, 0 },
	{ "int $14", "\xcd\x0e", 2, SIGSEGV, 13, 0 },
	{ "int $0x20", "\xcd\x20", 2, SIGSEGV, 13, 0 },
	{ "int $0xcc", "\xcd\xcc", 2, SIGSEGV, 13, 0 },
	{ "int $0xcd", "\xcd\xcd", 2, SIGSEGV, 13, 0 },
	{ "rex.w int $0xcc", "\x48\xcd\xcc", 3, SIGSEGV, 13, 0 },
	{ "fs gs data16 int $0xfe", "\x64\x65\x66\xcd\xfe", 5, SIGSEGV, 13, 0 },
};

static const struct { const char *name, *bytes; int length; } calls[] = {
	{ "int $0x80", "\xcd\x80", 2 }, { "rex.w int $0x80", "\x48\xcd\x80", 3 },
	{ "data16 int $0x80", "\x66\xcd\x80", 3 }, { "cs int $0x80", "\x2e\xcd\x80", 3 },
	{ "rep int $0x80", "\xf3\xcd\x80", 3 }, { "fs gs data16 int $0x80", "\x64\x65\x66\xcd\x80", 5 },
};

/* mov $GETPID32, %eax; what there is; ret */
static u8 *put_code(const char *bytes, int length, u8 *at)
{
	static const u8 load[] = { 0xb8, GETPID32, 0, 0, 0 };

	memcpy(at - sizeof(load), load, sizeof(load));
	memcpy(at, bytes, length);
	if (at + length < END)
		at[length] = 0xc3;
	return at - sizeof(load);
}

static long result;
static void call(void *at) { result = ((long (*)(void))at)(); }

static void run_forms(void)
{
	struct caught c;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		for (k = 0; k < 6; k++) {
			u8 *at = code + (k ? PAGE - k : 64);

			CHECK(catches(call, put_code(forms[i].bytes, forms[i].length, at), &c),
			      "%s: nothing happens", forms[i].name);
			say("%s, %u: signal %d, trap %llu, error 0x%llx, RIP +%lld", forms[i].name,
			    k, c.sig, (unsigned long long)c.trap, (unsigned long long)c.error,
			    (long long)(c.rip - (u64)at));
			CHECK(c.sig == forms[i].sig && c.trap == (u64)forms[i].trap &&
			      c.rip == (u64)at + forms[i].behind, "%s", forms[i].name);
		}
	/* As far as there is anything to fetch. */
	CHECK(catches(call, put_code("\xcc", 1, END - 1), &c), "INT3, and no more");
	say("int3 on the last byte: signal %d, trap %llu", c.sig, (unsigned long long)c.trap);
	CHECK(c.trap == 3 && c.rip == (u64)END, "RIP 0x%llx", (unsigned long long)c.rip);
	CHECK(catches(call, put_code("\xcd", 1, END - 1), &c), "half an INT n");
	say("int cut in two: signal %d, trap %llu, CR2 0x%llx", c.sig,
	    (unsigned long long)c.trap, (unsigned long long)c.cr2);
	CHECK(c.trap == 14 && c.rip == (u64)END - 1, "RIP 0x%llx", (unsigned long long)c.rip);
}

/* Whether the kernel has 32-bit system calls. */
static bool run_calls(void)
{
	unsigned int i, k;

	call(put_code(calls[0].bytes, 2, code + 64));
	if (result != getpid()) {
		say("no 32-bit system calls");
		return false;
	}
	for (k = 0; k < TURNS * scale; k++)
		for (i = 0; i < ARRAY_SIZE(calls); i++) {
			call(put_code(calls[i].bytes, calls[i].length, code + PAGE - k % 7));
			CHECK(result == getpid(), "%s: returns %ld", calls[i].name, result);
		}
	say("system calls: %u", TURNS * scale * (u32)ARRAY_SIZE(calls));
	return true;
}

/*
 * A 32-bit segment that does not begin at 0. The way back is a far JMP to 64-bit
 * code, which finds its stack where it was.
 */
static u64 stack64, frame64;

static __attribute__((noinline, noclone)) void enter32(void *at)
{
	asm volatile("movq %%rsp, %0\n\tmovq %%rbp, %1\n\tljmpl *(%%rdx)\n"
		     ".globl back_from_32\nback_from_32:\n\t"
		     "movq %0, %%rsp\n\tmovq %1, %%rbp"
		     : "+m"(stack64), "+m"(frame64), "+d"(at) : "a"(GETPID32)
		     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "memory", "cc");
}

/* jmp *back_from_32, in 64-bit code that 32-bit code can reach; EAX is kept. */
static void put_way_back(u8 *at)
{
	extern char back_from_32[];
	u64 to = (u64)back_from_32;

	memcpy(at, "\x48\xb9", 2);			/* movabs $, %rcx */
	memcpy(at + 2, &to, 8);
	memcpy(at + 10, "\x48\xa3", 2);			/* mov %rax, result */
	to = (u64)&result;
	memcpy(at + 12, &to, 8);
	memcpy(at + 20, "\xff\xe1", 2);			/* jmp *%rcx */
}

static void run_segment(void)
{
	struct user_desc desc = {
		.base_addr = BASE32, .limit = 0xfffff, .seg_32bit = 1,
		.contents = MODIFY_LDT_CONTENTS_CODE, .limit_in_pages = 1,
	};
	struct far_pointer far = { .selector = SEL_CODE32 };
	struct caught c;
	unsigned int i, k;
	u8 *at, *way = code + 256;
	u32 to = (u32)(u64)way;

	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc))) {
		say("no LDT");
		return;
	}
	put_way_back(way);
	for (k = 0; k < 6; k++) {
		at = code + (k ? PAGE - k : 64);
		far.offset = (u32)(u64)at - BASE32;
		put_code("\xcc", 1, at);
		CHECK(catches(enter32, &far, &c), "INT3 in a segment");
		say("segment: int3, %u: signal %d, trap %llu, RIP +%lld", k, c.sig,
		    (unsigned long long)c.trap, (long long)(c.rip - far.offset));
		CHECK(c.trap == 3 && c.rip == far.offset + 1ull, "RIP");
		put_code("\xb0\x7f\xfe\xc0\xce", 5, at);	/* mov $127, %al; inc %al; into */
		CHECK(catches(enter32, &far, &c), "INTO");
		say("segment: into, %u: signal %d, trap %llu, RIP +%lld", k, c.sig,
		    (unsigned long long)c.trap, (long long)(c.rip - far.offset));
		CHECK(c.trap == 4 && c.rip == far.offset + 5ull, "RIP");
		for (i = 0; i < ARRAY_SIZE(calls); i++) {
			if (calls[i].bytes[0] == 0x48)	/* DEC EAX there */
				continue;
			put_code(calls[i].bytes, calls[i].length, at);
			at[calls[i].length] = 0xea;	/* ljmp $SEL_CODE64, $way */
			memcpy(at + calls[i].length + 1, &to, 4);
			at[calls[i].length + 5] = SEL_CODE64;
			at[calls[i].length + 6] = 0;
			result = 0;
			enter32(&far);
			CHECK(result == getpid(), "segment: %s: returns %ld", calls[i].name, result);
		}
	}
	say("segment: system calls");
}

int test_ints(void)
{
	void *p = mmap((void *)CODE, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	MUST(p == (void *)CODE ? 0 : -1);
	code = p;
	MUST(mprotect(END, PAGE, PROT_NONE));
	run_forms();
	if (run_calls())
		run_segment();
	/* A hypercall of user mode's does no harm, whatever it is. */
	memcpy(code + 64, "\x0f\x01\xd9\xc3", 4);
	catches(call, code + 64, NULL);
	MUST(munmap(p, 3 * PAGE));
	return 0;
}
