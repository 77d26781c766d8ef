/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is left of splices of earlier engagements.
 *
 * A guest may have kept the bytes of a splice that it read, and go by them when
 * the splice and its stub are gone: a kprobe on a spliced instruction takes the
 * splice's JMP for the instruction and emulates it, and when it is taken away it
 * writes the JMP's first byte back. So for each splice there ever was (of the last
 * DMP_RELICS_MAX) the VM keeps where it led to and what it replaced:
 *
 * - who comes to that address has the instruction itself emulated by the host
 *   (the port's relic.c), engaged or not;
 * - nothing else is ever placed there: room.c, splicer.c;
 * - what is written back while the VM is not engaged makes, with the rest of the
 *   guest's instruction, a JMP to somewhere else, most likely to where nothing is
 *   (the kernel's last 2 GiB, or the first of user space): who comes there has the
 *   byte put right, and runs the instruction;
 * - when the VM is engaged anew the places are watched as those of splices that
 *   have been undone, and what is written back is spliced again:
 *   dmp_site_restore_shown().
 *
 * Written only by the engine's calls, under the host's lock. dmp_relic_at() may be
 * called by the vCPU's thread at any other time.
 */
#ifndef DMP_RELIC_H
#define DMP_RELIC_H

#include "code/splice.h"

struct dmp_mmu;
struct dmp_site;

struct dmp_relic {
	u64 rip;		/* of the instruction that was replaced */
	u64 entry;		/* where the JMP there leads; 0: none is here */
	u8 insn_len;		/* the instruction's */
	u8 len;			/* bytes of the splice */
	bool is_cr3;		/* as of struct dmp_site */
	u8 bytes[DMP_SPLICE_BYTES_MAX];		/* the splice, */
	u8 original[DMP_SPLICE_BYTES_MAX];	/* and what it replaced */
};

#define DMP_RELICS_MAX	256
/* Watched in an engagement: half of its sites, and code pages, are for new ones. */
#define DMP_RELICS_WATCHED 96

/* The host allocates it, zeroed, and keeps it as long as the VM. */
struct dmp_relics {
	u32 noted;		/* in all: the last ones are there */
	struct dmp_relic relic[DMP_RELICS_MAX];
};

/* @site, a site, has been spliced. The relic at the same two addresses goes. */
void dmp_relic_note(struct dmp_relics *relics, const struct dmp_site *site);

/* That which leads to @entry; NULL: there is none. */
const struct dmp_relic *dmp_relic_at(const struct dmp_relics *relics, u64 entry);

/*
 * That at whose place a splice's first byte before the rest of the guest's
 * instruction is a JMP to @gva; NULL: there is none.
 */
const struct dmp_relic *dmp_relic_astray(const struct dmp_relics *relics, u64 gva);

/* Whether @now, the guest's .len bytes at .rip, are that. */
bool dmp_relic_is_astray(const struct dmp_relic *relic, const u8 *now);

/*
 * Whether @now, the guest's .len bytes at .rip, are still that place: each byte is
 * the guest's own one, the splice's, or an INT3.
 */
bool dmp_relic_is_there(const struct dmp_relic *relic, const u8 *now);

/*
 * Whether [gva, gva + bytes) has bytes of a JMP that relics of other
 * instructions than that at @rip lead to.
 */
bool dmp_relics_hold(const struct dmp_relics *relics, u64 gva, u64 bytes, u64 rip);

/*
 * The splicer has been started: watch the places of relics, as far as the guest
 * maps them and they are what they were. What cannot be watched is left out.
 * Broken without memory.
 */
void dmp_relics_watch(struct dmp_mmu *mmu);

#endif /* DMP_RELIC_H */
