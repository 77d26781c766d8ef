/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starting an implant: what has to be known for it, and why there is none.
 */
#ifndef DMP_START_H
#define DMP_START_H

#include "splicer/state.h"

/* Why there is no implant. */
enum dmp_start_refusal {
	DMP_START_OK,
	DMP_START_HANDLER,	/* the guest's #PF handler cannot be spliced */
	DMP_START_NO_ROOM,	/* no addresses that the guest leaves alone */
	DMP_START_LAYOUT,	/* guest memory too scattered for its records */
	DMP_START_BROKEN,	/* see mmu->broken */
	/* The host's own; dmp_splicer_start() is not called then. */
	DMP_START_UNTRUSTED,	/* nobody has said that the guest is trusted */
	DMP_START_MAKER,	/* the VM's maker may not read the host's memory */
	DMP_START_LOCKDOWN,	/* nor may anybody: the host is locked down */
	DMP_START_CPU,		/* not on this kind of CPU yet */
	DMP_START_DEBUG,	/* the guest has a breakpoint in its kernel */
	DMP_START_DEBUGGER,	/* the host's user space debugs it */
	DMP_START_CODE,		/* its handler, or a site, is mapped twice */
	DMP_START_EXPOSED,	/* its user mode could read what the implant maps */
	DMP_START_REASONS
};

const char *dmp_start_refusal_name(enum dmp_start_refusal why);

/* What the host knows when it starts an implant. */
struct dmp_start {
	u64 handler;		/* gva that IDT gate 14 leads to */
	u64 gate;		/* gva of that gate */
	u64 host_pages;		/* no hfn is above */
	struct dmp_frame *frames;	/* the records are one array: of gfn 0 */
	u64 gfns;		/* so many */
};

#endif /* DMP_START_H */
