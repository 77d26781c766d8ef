/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest saw of splices and writes back. The one thing besides A and D that is ever
 * changed in the guest's memory: bytes of a splice that it has written there itself.
 */
#ifndef DMP_SITE_SHOWN_H
#define DMP_SITE_SHOWN_H

#include "splicer/state.h"

/*
 * A guest that read its code where it is executed saw splices, and may write
 * back what it saw: a probe that is taken away does. Bytes [*first, *end) of
 * code page @code were written, which what is changed here is added to. Where
 * those are what a site has shown, now or ever, the guest's own are put there.
 * Not where the rest of the site's place has something else: a guest that
 * patches a jump of its own into it writes the JMP's opcode last, which is the
 * splice's, too. And INT3 by itself is the guest's: a probe.
 */
void dmp_site_restore_shown(struct dmp_mmu *mmu, unsigned int code,
			    unsigned int *first, unsigned int *end);

/*
 * After that, and when copies are refreshed: who writes back what it saw may look
 * whether it is there. Linux does, and has a BUG() for it (text_poke(), which takes
 * a probe away). Where the guest's own is whole again, and the splice was what
 * it has written, the splice is shown once more, as if not undone; or made anew, if
 * it was one of an earlier engagement.
 */
void dmp_site_show_again(struct dmp_mmu *mmu, unsigned int code);

#endif /* DMP_SITE_SHOWN_H */
