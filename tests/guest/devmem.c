// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory mapped by user space. The guest is to be booted with
 * iomem=relaxed; what is read is there on every machine of the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define IOAPIC	0xfec00000ul
#define ROM	0x000f0000ul
#define HOLE	0xd0000000ul	/* nothing is there */

static volatile u32 *map(int fd, u64 at, char *to)
{
	char *p = mmap(to, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, at);

	CHECK(p == to, "mmap of 0x%llx: %s", (unsigned long long)at, strerror(errno));
	return (volatile u32 *)p;
}

static u32 ioapic(volatile u32 *regs, u32 index)
{
	regs[0] = index;
	return regs[4];
}

static void ioapic_version(volatile u32 *regs)
{
	unsigned int i;
	u32 v = ioapic(regs, 1);

	CHECK((v & 0xff) >= 0x11 && (v & 0xff) <= 0x20, "IOAPIC version 0x%x", v);
	for (i = 0; i < 200; i++) {
		CHECK(ioapic(regs, 1) == v, "IOAPIC version, again");
		CHECK(regs[0] == 1, "IOAPIC index");
	}
}

/* The same place seen by another process, before and after its page is gone. */
static void in_child(volatile u32 *regs)
{
	pid_t pid = MUST(fork());

	if (!pid) {
		ioapic_version(regs);
		_exit(0);
	}
	reap(pid);
}

int test_devmem(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile u32 *regs, *rom, *hole;
	u64 sum = 0;
	unsigned int i, round;

	CHECK(fd >= 0, "/dev/mem: %s", strerror(errno));
	for (round = 0; round < 3 * scale; round++) {
		regs = map(fd, IOAPIC, ARENA + (round % 3) * PAGE);
		rom = map(fd, ROM, ARENA + HUGE);
		hole = map(fd, HOLE, ARENA + 2 * HUGE);
		ioapic_version(regs);
		in_child(regs);
		MUST(mprotect((void *)regs, PAGE, PROT_READ));
		CHECK(!can_write((void *)regs), "a write to a device's page, read-only");
		MUST(mprotect((void *)regs, PAGE, PROT_READ | PROT_WRITE));
		ioapic_version(regs);
		for (i = 0; i < PAGE / 4; i++)
			sum = sum * 31 + rom[i];
		CHECK(sum, "the ROM is empty");
		CHECK(hole[5] == hole[6], "reads of nothing");
		hole[5] = 1;
		/* RAM where the device was: the old translation must be gone. */
		map_anon((char *)regs, PAGE, MAP_PRIVATE);
		CHECK(holds((void *)regs, 0), "new memory in place of a device");
		fill((void *)regs, 5);
		CHECK(holds((void *)regs, 5), "new memory in place of a device, written");
	}
	say("devmem: done");
	MUST(munmap(ARENA, 3 * HUGE));
	close(fd);
	return 0;
}
