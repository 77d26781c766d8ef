// SPDX-License-Identifier: GPL-2.0-only
/* The CPU and memory that the filter runs on; see world.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/filter_blob.h"
#include "world.h"

#define REGS	18

static int reg_id[REGS] = {	/* gpr by number, rip, rflags */
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
	UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
	UC_X86_REG_RIP, UC_X86_REG_RFLAGS,
};

static void must(uc_err err, const char *what)
{
	if (err == UC_ERR_OK)
		return;
	fprintf(stderr, "%s: %s\n", what, uc_strerror(err));
	abort();
}

u64 world_random(struct world *world)	/* splitmix64 */
{
	u64 z = world->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

bool world_one_in(struct world *world, unsigned int n)
{
	return world_random(world) % n == 0;
}

static bool is_end(const struct world *world, u64 rip)
{
	return rip == DELIVER_GVA || rip == FILTER_GVA + world->blob->hypercall ||
	       rip == FILTER_GVA + world->blob->iretq;
}

static u64 cr3_of(const struct world *world)
{
	u64 cr3;

	must(uc_reg_read(world->uc, UC_X86_REG_CR3, &cr3), "cr3");
	return cr3;
}

/* Whether the root that is loaded has the private region. */
static bool has_private(const struct world *world)
{
	return !world->implant->private || cr3_of(world) == PRIVATE_CR3;
}

static void on_private(uc_engine *uc, uc_mem_type type, uint64_t gva, int size,
		       int64_t value, void *data)
{
	struct world *world = data;

	(void)uc, (void)type, (void)gva, (void)size, (void)value;
	world->exposed |= !has_private(world);
}

/* On a stack of its own, and with nothing in its log yet. */
static bool is_agent_ready(const struct world *world)
{
	u64 rsp;

	must(uc_reg_read(world->uc, UC_X86_REG_RSP, &rsp), "rsp");
	return rsp == IMPLANT_GVA + DMP_IMPLANT_BYTES - 8 &&
	       !world->implant->agent.logged && !world->implant->agent.done;
}

/* MOV to CR3: 0F 22 and a ModRM byte of it, perhaps with a prefix. */
static bool loads_cr3(const u8 *code, u32 size)
{
	code += size >= 3 ? size - 3 : 0;
	return size >= 3 && code[0] == 0x0f && code[1] == 0x22 && (code[2] & 0x38) == 3 << 3;
}

static void on_code(uc_engine *uc, uint64_t rip, uint32_t size, void *data)
{
	struct world *world = data;
	u64 offset = rip - FILTER_GVA;

	if (offset < DMP_PAGE_SIZE && world->on_step)
		world->on_step(world, offset);
	if (world->returning)
		return;
	if (is_end(world, rip) || (world->stop_at && world->steps + 1 == world->stop_at &&
			     offset < DMP_PAGE_SIZE)) {
		uc_emu_stop(uc);
		return;
	}
	if (offset >= DMP_PAGE_SIZE) {	/* the agent's */
		world->agent_lost |= !is_agent_ready(world);
		world->exposed |= !has_private(world);
		world->agent_done = world->implant->agent.answer == DMP_AGENT_RESOLVED;
		world->implant->agent.done = world->agent_done;
		return;
	}
	world->steps++;
	memset(world->ran + offset, 1, size);
	world->cr3_loads += loads_cr3(world->code + offset, size);
}

/* Memory of @count pages, those from @first on mapped at @gva. */
static void *pages(struct world *world, u64 gva, size_t count, size_t first)
{
	size_t bytes = count * DMP_PAGE_SIZE, skip = first * DMP_PAGE_SIZE;
	char *at = aligned_alloc(DMP_PAGE_SIZE, bytes);

	memset(at, 0, bytes);
	must(uc_mem_map_ptr(world->uc, gva + skip, bytes - skip, UC_PROT_ALL,
			    at + skip), "map");
	world->block[world->blocks++] = at;
	return at;
}

/* Flat segments of both rings, for iretq. */
static void set_gdt(struct world *world)
{
	static const u64 gdt[] = {
		0, 0x00af9b000000ffff, 0x00cf93000000ffff,	/* 8, 0x10 */
		0x00cff3000000ffff, 0x00affb000000ffff,		/* 0x1b, 0x23 */
	};
	uc_x86_mmr gdtr = { .base = STACK_GVA, .limit = sizeof(gdt) - 1 };

	memcpy(world->stack, gdt, sizeof(gdt));
	must(uc_reg_write(world->uc, UC_X86_REG_GDTR, &gdtr), "gdtr");
}

struct world *world_new(u64 seed, bool guarded)
{
	const struct dmp_filter_place place = {
		.filter = FILTER_GVA,
		.implant = IMPLANT_GVA,
		.public_start = PUBLIC_START,
		.public_end = PUBLIC_END,
		.hypercall = { 0x0f, 0x01, guarded ? 0xc1 : 0xd9 },	/* VT-x's, AMD-V's */
		.guarded = guarded,
	};
	struct world *world = calloc(1, sizeof(*world));
	unsigned int hfn, i;
	uc_hook hook;

	world->rng = seed;
	world->guarded = guarded;
	world->blob = &dmp_filter_blobs[guarded];
	must(uc_open(UC_ARCH_X86, UC_MODE_64, &world->uc), "open");
	/* hfn 0 stays unmapped: nothing may be read through a frame without RAM. */
	world->memory = pages(world, WINDOW_GVA, HFNS, 1);
	world->records = (void *)((char *)pages(world, RECORDS_GVA & -4096ull, 1, 0) +
				  RECORDS_GVA % DMP_PAGE_SIZE);
	world->code = pages(world, FILTER_GVA, 1, 0);
	/* The agent's part: RET. */
	memset(pages(world, FILTER_GVA - DMP_AGENT_CODE_BYTES, 1, 0), 0xc3,
	       DMP_PAGE_SIZE);
	world->implant = pages(world, IMPLANT_GVA, DMP_IMPLANT_BYTES / DMP_PAGE_SIZE, 0);
	world->stack = pages(world, STACK_GVA, 1, 0);
	memset(pages(world, DELIVER_GVA, 1, 0), 0xcc, DMP_PAGE_SIZE);
	set_gdt(world);
	if (dmp_filter_install(world->code, DMP_PAGE_SIZE, &place) != DMP_FILTER_INSTALLED ||
	    !dmp_filter_deliver(world->code, guarded, FILTER_GVA, DELIVER_GVA))
		abort();
	must(uc_hook_add(world->uc, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, on_private,
			 world, WINDOW_GVA, WINDOW_GVA + HFNS * DMP_PAGE_SIZE - 1), "hook");
	must(uc_hook_add(world->uc, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, on_private,
			 world, RECORDS_GVA, RECORDS_GVA + GFNS * DMP_FRAME_BYTES - 1), "hook");
	must(uc_hook_add(world->uc, &hook, UC_HOOK_CODE, on_code, world, 1, 0), "hook");

	for (hfn = 1; hfn < HFNS; hfn++)
		for (i = 0; i < DMP_ENTRIES; i++)
			world->memory[hfn][i] = world_random(world);
	return world;
}

void world_free(struct world *world)
{
	uc_close(world->uc);
	while (world->blocks)
		free(world->block[--world->blocks]);
	free(world);
}

void world_get_regs(struct world *world, struct dmp_filter_regs *regs)
{
	void *to[REGS];
	unsigned int i;

	for (i = 0; i < 16; i++)
		to[i] = &regs->gpr[i];
	to[16] = &regs->rip;
	to[17] = &regs->rflags;
	must(uc_reg_read_batch(world->uc, reg_id, to, REGS), "registers");
}

void world_set_regs(struct world *world, const struct dmp_filter_regs *regs)
{
	void *from[REGS];
	unsigned int i;

	for (i = 0; i < 16; i++)
		from[i] = (void *)&regs->gpr[i];
	from[16] = (void *)&regs->rip;
	from[17] = (void *)&regs->rflags;
	must(uc_reg_write_batch(world->uc, reg_id, from, REGS), "registers");
}

void world_set_fault(struct world *world, const struct fault *fault)
{
	u64 offset = fault->regs.gpr[4] - STACK_GVA;

	memcpy((char *)world->stack + offset, fault->frame, sizeof(fault->frame));
	world_set_regs(world, &fault->regs);
	must(uc_reg_write(world->uc, UC_X86_REG_CR2, &fault->cr2), "cr2");
	world->steps = 0;
	world->cr3_loads = 0;
}

enum outcome world_run(struct world *world)
{
	u64 rip;
	uc_err err;

	must(uc_reg_read(world->uc, UC_X86_REG_RIP, &rip), "rip");
	err = uc_emu_start(world->uc, rip, ~0ull, 0, 0);
	must(uc_reg_read(world->uc, UC_X86_REG_RIP, &rip), "rip");
	if (err != UC_ERR_OK) {
		fprintf(stderr, "the filter faults at its offset %llu: %s\n",
			rip - FILTER_GVA, uc_strerror(err));
		return LOST;
	}
	if (world->agent_lost) {
		fprintf(stderr, "the agent's stack or log is not what it should be\n");
		return LOST;
	}
	if (world->exposed) {
		fprintf(stderr, "the private region, with a root loaded that has none\n");
		return LOST;
	}
	if (rip == FILTER_GVA + world->blob->hypercall)
		return HYPERCALL;
	if (rip == FILTER_GVA + world->blob->iretq)
		return RESOLVED;
	return rip == DELIVER_GVA ? DELIVERED : LOST;
}

void world_come_back(struct world *world)
{
	u64 cr3 = HERE_CR3;

	must(uc_reg_write(world->uc, UC_X86_REG_CR3, &cr3), "cr3");
	world->implant->away = 0;
}

bool world_is_where_it_says(struct world *world)
{
	return cr3_of(world) == HERE_CR3 || world->implant->away;
}

bool world_iretq(struct world *world)
{
	uc_err err;

	world->returning = true;
	err = uc_emu_start(world->uc, FILTER_GVA + world->blob->iretq, ~0ull, 0, 1);
	world->returning = false;
	return err == UC_ERR_OK;
}
