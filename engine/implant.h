/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VMM places in the guest's address space, as the code there sees it.
 *
 * Two regions. The public one lies within reach of rel32 from the guest's
 * kernel: code (stubs and the #PF filter) and, for each vCPU, its page and
 * cache. The private one fills top-level slots of its own: a window onto host
 * memory and the frame records.
 *
 * Included by C and by assembly (with __ASSEMBLER__); a static assertion ties
 * the numbers for assembly to the structures.
 */
#ifndef DMP_IMPLANT_H
#define DMP_IMPLANT_H

#define DMP_CACHE_SLOTS		256
#define DMP_CACHE_BYTES		32	/* sizeof(struct dmp_cache_entry) */
#define DMP_FRAME_BYTES		24	/* sizeof(struct dmp_frame) */

/* Of struct dmp_frame, what stubs touch; see machine.h. */
#define DMP_FRAME_LEAF		0	/* u64: hfn << 12 | P | A | D, and RW */
					/*   unless writes must trap; 0: no RAM */
#define DMP_FRAME_WRITABLE	12	/* u32 */

/* Offsets in struct dmp_implant. */
#define DMP_IMPLANT_SAVE	0
#define DMP_IMPLANT_FLAGS	128
#define DMP_IMPLANT_OLD		136
#define DMP_IMPLANT_LAST	192
#define DMP_IMPLANT_LEAF_MASK	256
#define DMP_IMPLANT_FRAMES	264
#define DMP_IMPLANT_WINDOW	272
#define DMP_IMPLANT_ROOT	280
#define DMP_IMPLANT_LEVELS	288
#define DMP_IMPLANT_STATE	292
#define DMP_IMPLANT_DELIVER	296
#define DMP_IMPLANT_TRAP	304
#define DMP_IMPLANT_LAZY_A	312
#define DMP_IMPLANT_MISSES	320
#define DMP_IMPLANT_GUEST_ROOT	328
#define DMP_IMPLANT_FRAME_MASK	336
#define DMP_IMPLANT_LAZY	344
#define DMP_IMPLANT_WALK_TAG	352
#define DMP_IMPLANT_WALK_MACHINE 360
#define DMP_IMPLANT_WALK_GUEST	368
#define DMP_IMPLANT_WALK_DENIED	376
#define DMP_IMPLANT_CACHE	4096
#define DMP_IMPLANT_BYTES	(4096 + DMP_CACHE_SLOTS * DMP_CACHE_BYTES)

/* struct dmp_implant.state */
#define DMP_IMPLANT_LAZY_D	1	/* a user leaf is read-only for its D */

/*
 * The filter's code lies this far below the implant's page, always: it reaches
 * its data by distances fixed when it was assembled.
 */
#define DMP_FILTER_DISTANCE	4096

#ifndef __ASSEMBLER__
#include "pte.h"

/*
 * Where a page of the guest's leads when it is written: a held level-1 guest
 * table. An entry that is not in use has DMP_CACHE_VOID as its tag and its
 * guest: no canonical address lies in the page of the tag, and one that is not
 * canonical and does faults where the table would be read, as it should.
 */
#define DMP_CACHE_VOID		(1ull << 63)

struct dmp_cache_entry {
	u64 tag;	/* gva of the page, by which the guest writes it */
	u64 guest;	/* gva, in the window, of the guest's table */
	u64 machine;	/* gva, in the window, of its machine table */
	u64 table;	/* id, for the VMM */
};

/* One for each vCPU, at one gva. Written by stubs, filter and VMM. */
struct dmp_implant {
	u64 save[16];		/* registers of the code a stub interrupts, by
				 * their number in instructions (the filter)
				 */
	u64 flags;		/* AH as by LAHF, AL as by SETO */
	u64 old;		/* the guest's entry before a stub wrote it */
	u64 spare[6];
	/* Hit last: [0] by stores, [1] by what reads and writes. */
	struct dmp_cache_entry last[2];
	/*
	 * Bits of a guest leaf that decide whether a stub may translate it:
	 * P, US, A and what is reserved or beyond all frames; it may when the
	 * rest is P | US | A.
	 */
	u64 leaf_mask;
	u64 frames;		/* gva of the record of gfn 0 */
	u64 window;		/* gva of host-physical address 0 */
	u64 root;		/* gva, in the window, of the loaded machine root */
	u32 levels;		/* of the guest's paging */
	u32 state;		/* DMP_IMPLANT_LAZY_D */
	u64 deliver;		/* gva: what the filter's splice displaced */
	u64 trap;		/* paging.trap_bit */
	u64 lazy_a;		/* counts: resolved by the filter */
	u64 misses;		/* left to the plain instruction */
	u64 guest_root;		/* gva, in the window, of the loaded guest root */
	u64 frame_mask;		/* address bits of a guest entry that may be set:
				 * each gfn made of them has a record
				 */
	u64 lazy;		/* the machine entry DMP_TRAP_LAZY */
	/*
	 * The filter's last walk: level-1 tables of the 2 MiB at tag << 21, as
	 * gvas in the window. Whatever changes an entry above level 1, or the
	 * root, voids the tag; see dmp_filter_forget().
	 */
	u64 walk_tag, walk_machine, walk_guest, walk_denied;
	u64 rest[(4096 - 384) / 8];
	struct dmp_cache_entry cache[DMP_CACHE_SLOTS];
};

static inline unsigned int dmp_cache_slot(u64 gva)
{
	return gva >> DMP_PAGE_SHIFT & (DMP_CACHE_SLOTS - 1);
}

_Static_assert(sizeof(struct dmp_cache_entry) == DMP_CACHE_BYTES, "");
_Static_assert(sizeof(struct dmp_implant) == DMP_IMPLANT_BYTES, "");
_Static_assert(offsetof(struct dmp_implant, save) == DMP_IMPLANT_SAVE, "");
_Static_assert(offsetof(struct dmp_implant, flags) == DMP_IMPLANT_FLAGS, "");
_Static_assert(offsetof(struct dmp_implant, old) == DMP_IMPLANT_OLD, "");
_Static_assert(offsetof(struct dmp_implant, last) == DMP_IMPLANT_LAST, "");
_Static_assert(offsetof(struct dmp_implant, leaf_mask) == DMP_IMPLANT_LEAF_MASK, "");
_Static_assert(offsetof(struct dmp_implant, frames) == DMP_IMPLANT_FRAMES, "");
_Static_assert(offsetof(struct dmp_implant, window) == DMP_IMPLANT_WINDOW, "");
_Static_assert(offsetof(struct dmp_implant, root) == DMP_IMPLANT_ROOT, "");
_Static_assert(offsetof(struct dmp_implant, levels) == DMP_IMPLANT_LEVELS, "");
_Static_assert(offsetof(struct dmp_implant, state) == DMP_IMPLANT_STATE, "");
_Static_assert(offsetof(struct dmp_implant, deliver) == DMP_IMPLANT_DELIVER, "");
_Static_assert(offsetof(struct dmp_implant, trap) == DMP_IMPLANT_TRAP, "");
_Static_assert(offsetof(struct dmp_implant, lazy_a) == DMP_IMPLANT_LAZY_A, "");
_Static_assert(offsetof(struct dmp_implant, misses) == DMP_IMPLANT_MISSES, "");
_Static_assert(offsetof(struct dmp_implant, guest_root) == DMP_IMPLANT_GUEST_ROOT, "");
_Static_assert(offsetof(struct dmp_implant, frame_mask) == DMP_IMPLANT_FRAME_MASK, "");
_Static_assert(offsetof(struct dmp_implant, lazy) == DMP_IMPLANT_LAZY, "");
_Static_assert(offsetof(struct dmp_implant, walk_tag) == DMP_IMPLANT_WALK_TAG, "");
_Static_assert(offsetof(struct dmp_implant, walk_machine) == DMP_IMPLANT_WALK_MACHINE, "");
_Static_assert(offsetof(struct dmp_implant, walk_guest) == DMP_IMPLANT_WALK_GUEST, "");
_Static_assert(offsetof(struct dmp_implant, walk_denied) == DMP_IMPLANT_WALK_DENIED, "");
_Static_assert(offsetof(struct dmp_implant, cache) == DMP_IMPLANT_CACHE, "");
#endif /* __ASSEMBLER__ */

#endif /* DMP_IMPLANT_H */
