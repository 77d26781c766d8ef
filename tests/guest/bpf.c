// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel memory that comes and goes: maps that live in vmalloc space, some of
 * them mapped by user space, too, and programs whose text is made, protected
 * and freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define MAPS	8u
#define WORDS	20000u		/* u64 each: 40 pages of vmalloc */

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int make_map(unsigned int flags)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8,
		.max_entries = WORDS, .map_flags = flags,
	};

	return MUST(bpf(BPF_MAP_CREATE, &attr));
}

static void put(int map, u32 key, u64 value)
{
	union bpf_attr attr = { .map_fd = map, .key = (u64)&key, .value = (u64)&value };

	MUST(bpf(BPF_MAP_UPDATE_ELEM, &attr));
}

static u64 get(int map, u32 key)
{
	u64 value = 0;
	union bpf_attr attr = { .map_fd = map, .key = (u64)&key, .value = (u64)&value };

	MUST(bpf(BPF_MAP_LOOKUP_ELEM, &attr));
	return value;
}

/* Whether the kernel is told to compile programs. */
static bool is_compiling(void)
{
	int fd = open("/proc/sys/net/core/bpf_jit_enable", O_RDONLY);
	char how = '0';

	if (fd >= 0 && read(fd, &how, 1) != 1)
		how = '0';
	close(fd);
	return how != '0';
}

/* Bytes of code that @prog was compiled to. */
static u32 compiled(int prog)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = {
		.info = { .bpf_fd = prog, .info_len = sizeof(info), .info = (u64)&info },
	};

	MUST(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr));
	return info.jited_prog_len;
}

/* A filter that lets @keep bytes of each datagram through. */
static int make_program(u32 keep)
{
	struct bpf_insn insns[66];
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (u64)insns, .insn_cnt = 66,
		.license = (u64)"GPL",
	};
	unsigned int i;

	for (i = 0; i < 64; i++)
		insns[i] = (struct bpf_insn){
			.code = BPF_ALU64 | (i ? BPF_ADD : BPF_MOV) | BPF_K, .imm = i ? 1 : keep - 63
		};
	insns[64] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_K, .imm = 0 };
	insns[65] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return MUST(bpf(BPF_PROG_LOAD, &attr));
}

static void run_program(u32 keep)
{
	int pair[2], prog = make_program(keep);
	char buf[128] = "";

	CHECK(!is_compiling() || compiled(prog), "a filter that is not compiled");
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)));
	close(prog);
	MUST(write(pair[0], buf, 100));
	CHECK(read(pair[1], buf, sizeof(buf)) == (long)keep, "a filter of %u bytes", keep);
	close(pair[0]);
	close(pair[1]);
}

static void use_map(int map, unsigned int m, unsigned int round)
{
	u64 *p = mmap(ARENA + m * HUGE, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		      map, 0);
	unsigned int i;

	CHECK(p != MAP_FAILED, "mmap of a map: %s", strerror(errno));
	for (i = 0; i < WORDS; i += 131)
		put(map, i, i * 3ull + m + round);
	for (i = 0; i < WORDS; i += 131)
		CHECK(p[i] == i * 3ull + m + round, "word %u seen by user space", i);
	for (i = 0; i < WORDS; i += 64)
		p[i] = ~(u64)i;
	for (i = 0; i < WORDS; i += 64)
		CHECK(get(map, i) == ~(u64)i, "word %u seen by the kernel", i);
}

int test_bpf(void)
{
	unsigned int round, i;
	int map[MAPS];

	for (round = 0; round < 3 * scale; round++) {
		for (i = 0; i < MAPS; i++) {
			map[i] = make_map(BPF_F_MMAPABLE);
			use_map(map[i], i, round);
			run_program(64 + (i + round) % 30);
		}
		for (i = 0; i < MAPS; i++) {
			CHECK(get(map[i], 64) == ~64ull, "map %u", i);
			if (i & 1)
				close(map[i]);		/* its mapping keeps it */
			CHECK(((u64 *)(ARENA + i * HUGE))[64] == ~64ull, "map %u, mapped", i);
			MUST(munmap(ARENA + i * HUGE, WORDS * 8));
			if (!(i & 1))
				close(map[i]);
			close(make_map(0));
			run_program(70 + i);
		}
		say("bpf %u", round);
	}
	return 0;
}
