// SPDX-License-Identifier: GPL-2.0-only
/* Two emulated CPUs; see world.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "world.h"

static const int reg_ids[18] = {
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
	UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
	UC_X86_REG_RIP, UC_X86_REG_EFLAGS,
};

/* splitmix64: any seed will do. */
u64 random64(u64 *rng)
{
	u64 z = *rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u32 below(u64 *rng, u32 n)
{
	return (u32)(random64(rng) >> 32) % n;
}

u64 number_of(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void must(uc_err err, const char *what)
{
	if (err == UC_ERR_OK)
		return;
	fprintf(stderr, "%s: %s\n", what, uc_strerror(err));
	abort();
}

static void *pages(size_t bytes)
{
	void *p = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);

	if (!p)
		abort();
	memset(p, 0, bytes);
	return p;
}

static void map(uc_engine *uc, u64 gva, void *host, size_t bytes, u32 prot)
{
	must(uc_mem_map_ptr(uc, gva, (bytes + PAGE - 1) / PAGE * PAGE, prot,
			    host), "map");
}

u64 world_table_gva(unsigned int t)
{
	/* 0 and 2 share a slot of the cache. */
	static const u64 gva[TABLES] = {
		DMAP_GVA, DMAP_GVA + PAGE, DMAP_GVA + 0x100 * PAGE, KERNEL_GVA,
	};

	return gva[t];
}

static void map_memory(struct world *w, int cpu)
{
	struct memory *m = w->memory[cpu];
	uc_engine *uc = w->uc[cpu];
	u32 prot = cpu == REF ? UC_PROT_READ | UC_PROT_WRITE : UC_PROT_READ;
	unsigned int t;

	for (t = 0; t < TABLES; t++)
		map(uc, world_table_gva(t), m->table[t], PAGE, prot);
	prot = UC_PROT_READ | UC_PROT_WRITE;
	map(uc, DATA_GVA, m->data[0], 2 * PAGE, prot);
	map(uc, KERNEL_GVA + PAGE, m->data[2], PAGE, prot);
	map(uc, STACK_GVA, m->stack, sizeof(m->stack), prot);
	map(uc, CODE_GVA, w->code[cpu], CODE_PAGES * PAGE, UC_PROT_ALL);
}

static void map_private(struct world *w)
{
	struct private *p = w->private;
	uc_engine *uc = w->uc[DMP];
	u32 prot = UC_PROT_READ | UC_PROT_WRITE;
	unsigned int t;

	for (t = 0; t < TABLES; t++) {
		map(uc, GUEST_GVA + t * PAGE, w->memory[DMP]->table[t], PAGE,
		    prot);
		map(uc, MACHINE_GVA + t * PAGE, p->machine[t], PAGE, prot);
	}
	map(uc, FRAMES_GVA, p->frame, sizeof(p->frame), prot);
	map(uc, IMPLANT_GVA, &p->implant, sizeof(p->implant), prot);
}

_Static_assert(offsetof(struct private, frame) % PAGE == 0 &&
	       offsetof(struct private, implant) % PAGE == 0 &&
	       offsetof(struct memory, data) % PAGE == 0 &&
	       offsetof(struct memory, stack) % PAGE == 0, "all are mapped");

static void hook_ref(uc_engine *uc, u64 rip, u32 size, void *arg)
{
	struct world *w = arg;

	(void)uc;
	(void)size;
	if (w->hook)
		w->hook(w->arg, REF, rip);
}

static void hook_dmp(uc_engine *uc, u64 rip, u32 size, void *arg)
{
	struct world *w = arg;

	(void)uc;
	(void)size;
	if (w->hook)
		w->hook(w->arg, DMP, rip);
}

struct world *world_make(void)
{
	struct world *w = calloc(1, sizeof(*w));
	int cpu;

	if (!w)
		abort();
	w->private = pages(sizeof(*w->private));
	w->expected = pages(sizeof(*w->expected));
	w->stub = pages(2 * PAGE);
	for (cpu = 0; cpu < CPUS; cpu++) {
		w->memory[cpu] = pages(sizeof(*w->memory[cpu]));
		w->code[cpu] = pages(CODE_PAGES * PAGE);
	}
	return w;
}

static void hook_interrupt(uc_engine *uc, u32 number, void *arg)
{
	struct world *w = arg;

	w->interrupt = (int)number;
	uc_emu_stop(uc);
}

static void close_all(struct world *w)
{
	int cpu;

	for (cpu = 0; cpu < CPUS; cpu++)
		if (w->uc[cpu])
			uc_close(w->uc[cpu]);
}

void world_free(struct world *w)
{
	int cpu;

	close_all(w);
	for (cpu = 0; cpu < CPUS; cpu++) {
		free(w->memory[cpu]);
		free(w->code[cpu]);
	}
	free(w->stub);
	free(w->expected);
	free(w->private);
	free(w);
}

static void open_cpu(struct world *w, int cpu)
{
	void *function = cpu == REF ? (void *)hook_ref : (void *)hook_dmp;
	uc_hook hook;

	must(uc_open(UC_ARCH_X86, UC_MODE_64, &w->uc[cpu]), "open");
	must(uc_hook_add(w->uc[cpu], &hook, UC_HOOK_CODE, function, w, (u64)1,
			 (u64)0), "hook");
	must(uc_hook_add(w->uc[cpu], &hook, UC_HOOK_INTR,
			 (void *)hook_interrupt, w, (u64)1, (u64)0), "hook");
	map_memory(w, cpu);
}

/*
 * New CPUs: an old one would go on with what it has translated, whether it is
 * mapped anew or not.
 */
void world_reload(struct world *w, u64 stub)
{
	int cpu;

	close_all(w);
	for (cpu = 0; cpu < CPUS; cpu++)
		open_cpu(w, cpu);
	map_private(w);
	if (stub)
		map(w->uc[DMP], stub & ~(PAGE - 1), w->stub, 2 * PAGE,
		    UC_PROT_ALL);
}

void world_get(struct world *w, int cpu, struct state *s)
{
	void *to[18];
	int i;

	for (i = 0; i < 16; i++)
		to[i] = &s->reg[i];
	to[16] = &s->rip;
	s->flags = 0;
	to[17] = &s->flags;
	must(uc_reg_read_batch(w->uc[cpu], (int *)reg_ids, to, 18), "read");
}

void world_set(struct world *w, int cpu, const struct state *s)
{
	void *from[17];
	int ids[17], i;

	for (i = 0; i < 16; i++) {
		from[i] = (void *)&s->reg[i];
		ids[i] = reg_ids[i];
	}
	from[16] = (void *)&s->flags;
	ids[16] = UC_X86_REG_EFLAGS;
	must(uc_reg_write_batch(w->uc[cpu], ids, from, 17), "write");
}

bool world_run(struct world *w, int cpu, u64 rip, u64 stop)
{
	w->interrupt = -1;
	w->err = uc_emu_start(w->uc[cpu], rip, stop, 0, 0);
	return w->err == UC_ERR_OK && w->interrupt < 0;
}
