// SPDX-License-Identifier: GPL-2.0-only
/* Two emulated CPUs; see world.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "code/agent.h"
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

u64 seed_of_run(void)
{
	u64 seed = number_of("DMP_SEED", number_of("DMP_RUN_SEED", (u64)time(NULL)));

	printf("DMP_SEED=%llu\n", seed);
	return seed;
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

u8 *world_byte(struct memory *m, u64 gva)
{
	u64 offset = gva & (PAGE - 1);
	unsigned int t;

	for (t = 0; t < TABLES; t++)
		if (gva - world_table_gva(t) < PAGE)
			return (u8 *)m->table[t] + offset;
	if (gva - DATA_GVA < 2 * PAGE)
		return m->data[0] + (gva - DATA_GVA);
	if (gva - STACK_GVA < STACK_PAGES * PAGE)
		return (u8 *)m->stack + (gva - STACK_GVA);
	switch (gva - offset) {
	case KERNEL_GVA + PAGE:
		return m->data[2] + offset;
	case BELOW_GVA:
		return m->data[3] + offset;
	case FIXED_GVA:
		return m->data[4] + offset;
	default:
		return NULL;
	}
}

bool world_has(u64 gva)
{
	static struct memory some;

	return world_byte(&some, gva);
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
	map(uc, BELOW_GVA, m->data[3], PAGE, prot);
	map(uc, FIXED_GVA, m->data[4], PAGE, UC_PROT_READ);
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
	map(uc, RECORDS_GVA, p->records, sizeof(p->records), prot);
	map(uc, AGENT_GVA, w->agent, DMP_AGENT_CODE_BYTES,
	    UC_PROT_READ | UC_PROT_EXEC);
}

_Static_assert(offsetof(struct private, frame) % PAGE == 0 &&
	       offsetof(struct private, implant) % PAGE == 0 &&
	       offsetof(struct private, records) % PAGE == 0 &&
	       offsetof(struct memory, data) % PAGE == 0 &&
	       offsetof(struct memory, stack) % PAGE == 0, "all are mapped");

u64 *world_private(struct world *w, u64 gva)
{
	struct private *p = w->private;
	const struct {
		u64 gva;
		void *at;
		size_t bytes;
	} some[] = {
		{ MACHINE_GVA, p->machine, sizeof(p->machine) },
		{ FRAMES_GVA, p->frame, sizeof(p->frame) },
		{ IMPLANT_GVA, &p->implant, sizeof(p->implant) },
		{ RECORDS_GVA, p->records, sizeof(p->records) },
	};
	unsigned int i;

	for (i = 0; i < DMP_ARRAY_SIZE(some); i++)
		if (gva - some[i].gva < some[i].bytes)
			return (u64 *)((char *)some[i].at + (gva - some[i].gva));
	return NULL;
}

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

static void make_agent(struct world *w)
{
	static const u8 nop[] = { 0x0f, 0x1f, 0x00 };
	u8 *page[DMP_AGENT_CODE_BYTES / PAGE];
	unsigned int i;

	w->agent = pages(DMP_AGENT_CODE_BYTES);
	for (i = 0; i < DMP_ARRAY_SIZE(page); i++)
		page[i] = w->agent + i * PAGE;
	dmp_agent_install(page, nop);
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
	w->landing = pages(2 * PAGE);
	w->start = pages(sizeof(*w->start));
	make_agent(w);
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

static bool hook_refused(uc_engine *uc, uc_mem_type type, u64 gva, int size,
			 int64_t value, void *arg)
{
	struct world *w = arg;

	(void)size;
	(void)value;
	w->refused[uc == w->uc[DMP]] = (struct refused){ (int)type, gva };
	return false;
}

static void close_all(struct world *w)
{
	int cpu;

	for (cpu = 0; cpu < CPUS; cpu++) {
		if (w->uc[cpu])
			uc_close(w->uc[cpu]);
		w->uc[cpu] = NULL;
	}
	w->stub_page = 0;
	w->landing_page = 0;
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
	free(w->landing);
	free(w->agent);
	free(w->start);
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
	must(uc_hook_add(w->uc[cpu], &hook, UC_HOOK_MEM_INVALID,
			 (void *)hook_refused, w, (u64)1, (u64)0), "hook");
	map_memory(w, cpu);
}

static void forget_code(uc_engine *uc, u64 from, u64 bytes)
{
	must(uc_ctl_remove_cache(uc, from, from + bytes), "remove_cache");
}

/*
 * A CPU would go on with what it has translated, whether it is mapped anew or
 * not: it has to be told. New CPUs cost a millisecond, so there are some only
 * now and then: what was translated takes memory until then.
 */
#define RELOADS_MAX	500

static void unmap(struct world *w, u64 page)
{
	if (page)
		must(uc_mem_unmap(w->uc[DMP], page, 2 * PAGE), "unmap");
}

/* Two pages at @gva, for which *@page is told. */
static void map_code(struct world *w, u8 *at, u64 *page, u64 gva)
{
	*page = gva & ~(PAGE - 1);
	if (!gva)
		return;
	map(w->uc[DMP], *page, at, 2 * PAGE, UC_PROT_ALL);
	forget_code(w->uc[DMP], *page, 2 * PAGE);
}

void world_reload(struct world *w, u64 stub)
{
	int cpu;

	if (++w->reloads % RELOADS_MAX == 0)
		close_all(w);
	if (!w->uc[REF]) {
		for (cpu = 0; cpu < CPUS; cpu++)
			open_cpu(w, cpu);
		map_private(w);
	}
	unmap(w, w->stub_page);
	unmap(w, w->landing_page);
	map_code(w, w->stub, &w->stub_page, stub);
	map_code(w, w->landing, &w->landing_page, w->landing_gva);
	for (cpu = 0; cpu < CPUS; cpu++)
		forget_code(w->uc[cpu], CODE_GVA, CODE_PAGES * PAGE);
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
	w->refused[cpu] = (struct refused){ 0 };
	w->err = uc_emu_start(w->uc[cpu], rip, stop, 0, 0);
	return w->err == UC_ERR_OK && w->interrupt < 0;
}
