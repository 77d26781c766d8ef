/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest operating system on the model machine: it builds, changes and tears
 * down page tables the way kernels do, and some ways that only few do.
 */
#ifndef GUEST_H
#define GUEST_H

#include "model.h"

#define G_SPACES	200

enum frame_type { G_FREE, G_DATA, G_TABLE, G_ROOT, G_KERNEL, G_HUGE_FREE, G_HUGE };

struct space {
	bool used, self_map;
	u64 root;
	u16 pcid;
};

struct guest {
	struct machine m;
	u8 type[M_GFNS];
	u16 refs[M_GFNS];
	struct space space[G_SPACES];
	unsigned int cur;
	int pcid_owner[16];
	u64 kernel_root;	/* template; also the first space's root */
	u64 dmap_l2, vmalloc_l2;
	bool shared;		/* tables have several parents somewhere */
	bool aged;		/* A cleared and not flushed: that is allowed */
	bool dmap_1g;
	u64 nfree;
	u64 freed;		/* frame freed last */
	u64 rip[16];		/* instructions that store 8 bytes, if any */
	unsigned int rips;
};

void g_boot(struct guest *g, u64 seed, unsigned int levels);
void g_step(struct guest *g);
/* @n address spaces more, each loaded once. */
void g_many_roots(struct guest *g, unsigned int n);
/* Load any of them. */
void g_switch(struct guest *g);
void g_shutdown(struct guest *g);

#endif /* GUEST_H */
