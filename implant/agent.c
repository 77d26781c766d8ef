// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent: what a stub leaves after it has written the guest's entry, done in
 * the guest, without an exit, as far as it can be. It does what
 * dmp_table_follow() does (engine/mmu/table.c): for user leaves of any kind and most
 * supervisor leaves (agent_leaf.h), large ones (agent_large.h), links to tables that
 * begin and end empty (agent_link.h), and roots that lose their last one (agent_root.h).
 *
 * It runs in the guest's kernel, on a stack of its own, and may be stopped by
 * an exit at any instruction. So whatever it changes it notes first: change()
 * puts a word and its old value into the log. Unless the vCPU comes to the end,
 * which is one store of commit(), the VMM takes all of it back and does the work
 * itself (engine/code/agent.c). What need not be taken back (caches, contents of an
 * unused record) is not noted.
 *
 * Everything is reached by the window and the records; there is no libc, no
 * data, no call out of it: all is this file and what it includes. One vCPU.
 */
#include "agent_large.h"
#include "agent_leaf.h"
#include "agent_link.h"
#include "agent_work.h"

/* As is_user_code(), engine/splicer/hidden.c. */
static bool is_user_code(const struct work *w, u64 entry)
{
	const u64 user = DMP_PTE_P | DMP_PTE_US;

	return (entry & user) == user &&
	       !(entry & DMP_PTE_NX && !(w->implant->leaf_mask & DMP_PTE_NX));
}

/*
 * Whether user mode can run on the root from now on: then it may not show all of the
 * implant. One that it can run on no more may hide it for longer than it has to.
 */
static bool makes_users(const struct work *w)
{
	return w->implant->state & DMP_IMPLANT_GUARDED &&
	       is_user_code(w, w->new) && !(w->table->flags & DMP_TABLE_USER);
}

static bool follow_link(const struct work *w)
{
	bool root = w->table->flags & DMP_TABLE_ROOT;

	/* Where the implant itself may show. */
	if (w->table->flags & DMP_TABLE_OVERLAID ||
	    (root && (w->index >= DMP_ENTRIES / 2 || makes_users(w))))
		return false;
	if (is_large(w->new) || (is_large(w->old) && !(w->new & DMP_PTE_P)))
		return follow_large(w);
	if (w->new & DMP_PTE_P)
		return !(w->old & DMP_PTE_P) && !w->was && link_new(w);
	if (!(w->old & DMP_PTE_P))
		return !w->was && commit(w);
	return is_mapping(w, w->was) && unlink_old(w);
}

/*
 * ---- Faults ----
 */

#define RFLAGS_AC	(1ull << 18)

/* An address in the guest's tables and in the machine's, down to the leaf. */
struct walk {
	volatile u64 *guest, *machine;	/* the tables that have it */
	u32 level;		/* 1; 2: a large page */
	u64 table_frame;	/* the guest entry that links the table */
	u64 leaf;		/* the guest's */
	bool rw, us, nx;
};

/*
 * False: the guest maps nothing there, or not in the simple way: all levels
 * present, accessed, and linked.
 */
static bool walk_down(const struct work *w, u64 gva, struct walk *walk)
{
	volatile u64 *guest = in_window(w, w->implant->guest_root);
	volatile u64 *machine = in_window(w, w->implant->root);
	u32 level = w->implant->levels;
	const struct dmp_frame *frame;
	u64 entry, link;

	walk->table_frame = 0;
	walk->rw = true;
	walk->us = true;
	walk->nx = false;
	for (;; level--) {
		entry = guest[dmp_index(gva, level)];
		link = machine[dmp_index(gva, level)];
		if (!(entry & DMP_PTE_P) ||
		    entry & DMP_PTE_ADDR & ~w->implant->frame_mask ||
		    entry & w->implant->leaf_mask & DMP_PTE_NX)
			return false;
		walk->rw &= !!(entry & DMP_PTE_RW);
		walk->us &= !!(entry & DMP_PTE_US);
		walk->nx |= !!(entry & DMP_PTE_NX);
		if (level == 1 || (level == 2 && entry & DMP_PTE_PS))
			break;
		if (entry & DMP_PTE_PS || !(entry & DMP_PTE_A) ||
		    !is_mapping(w, link))
			return false;
		frame = frame_of(w, entry);
		if (!frame || !frame->leaf)
			return false;
		walk->table_frame = entry;
		guest = host_page(w, dmp_pte_gfn(frame->leaf));
		machine = host_page(w, dmp_pte_gfn(link));
	}
	walk->guest = guest;
	walk->machine = machine;
	walk->level = level;
	walk->leaf = entry;
	return true;
}

/* Whether the guest's tables themselves forbid it; with CR0.WP set. */
static bool is_forbidden(const struct walk *walk, u64 error)
{
	return (error & DMP_PF_W && !walk->rw) ||
	       (error & DMP_PF_U && !walk->us) ||
	       (error & DMP_PF_I && walk->nx);
}

/* Set A, and D for a write, where the guest's leaf lacks them; follow it. */
static bool set_ad(struct work *w, const struct walk *walk, u64 gva, u64 error)
{
	const struct dmp_frame *frame = frame_of(w, walk->table_frame);
	u64 want = DMP_PTE_A | (error & DMP_PF_W ? DMP_PTE_D : 0);

	w->table = table_of(w, frame->tables);
	if (!(want & ~walk->leaf) || !frame->tables || w->table->next ||
	    w->table->level != walk->level || !(w->table->flags & DMP_TABLE_HELD) ||
	    w->table->flags & DMP_TABLE_MIXED ||
	    host_page(w, w->table->hfn) != walk->machine)
		return false;
	w->index = dmp_index(gva, walk->level);
	w->guest = walk->guest;
	w->machine = walk->machine;
	w->old = walk->leaf;
	w->new = walk->leaf | want;
	w->was = w->machine[w->index];
	if (!change(w, &w->guest[w->index]))
		return false;
	w->guest[w->index] = w->new;
	return walk->level == 1 ? follow_leaf(w) : follow_large(w);
}

/* What the CPU takes a kernel's access to user space for. */
static bool may_reach_user(u64 error, const struct dmp_fault_frame *frame)
{
	return error & DMP_PF_U ||
	       (!(error & DMP_PF_I) && frame->rflags & RFLAGS_AC);
}

u32 dmp_agent_fault(struct dmp_implant *implant, u64 gva,
		    struct dmp_fault_frame *frame)
{
	struct work w = { .implant = implant, .agent = &implant->agent };
	const u64 known = DMP_PF_P | DMP_PF_W | DMP_PF_U | DMP_PF_RSVD | DMP_PF_I;
	u64 error = frame->error_code;
	struct walk walk;

	/*
	 * A stub's; not a fault at all (INT n pushes no error code); the kernel may
	 * have gone where only the VMM knows what for (relic.h).
	 */
	if (error & ~known || (error & (DMP_PF_I | DMP_PF_U)) == DMP_PF_I ||
	    frame->rip - w.agent->public_start <
	    w.agent->public_end - w.agent->public_start ||
	    !walk_down(&w, gva, &walk))
		return DMP_AGENT_ASK;
	if (is_forbidden(&walk, error)) {
		/* The host's CPU has NX, and says more than the guest's would. */
		if (implant->state & DMP_IMPLANT_NO_FETCH)
			error &= ~(u64)DMP_PF_I;
		frame->error_code = (error & ~(u64)DMP_PF_RSVD) | DMP_PF_P;
		w.agent->delivered++;
		return DMP_AGENT_DELIVER;
	}
	if (!walk.us || !may_reach_user(error, frame) ||
	    !set_ad(&w, &walk, gva, error))
		return DMP_AGENT_ASK;
	w.agent->resolved++;
	return DMP_AGENT_RESOLVED;
}

/*
 * Follow the entry that a stub has written. True: all is done; false: the VMM
 * has to be asked, which takes back what is in the log.
 */
bool dmp_agent_follow(struct dmp_implant *implant)
{
	const struct dmp_cache_entry *last = &implant->last[implant->agent.last];
	struct work w = {
		.implant = implant,
		.agent = &implant->agent,
		.old = implant->old,
		.index = implant->agent.entry >> 3 & (DMP_ENTRIES - 1),
	};

	w.table = table_of(&w, last->table);
	if (w.table->next || !w.table->guest ||
	    w.table->flags & DMP_TABLE_MIXED ||
	    !(w.table->flags & DMP_TABLE_HELD))
		return false;
	w.guest = in_window(&w, last->guest);
	w.new = w.guest[w.index];
	w.machine = host_page(&w, w.table->hfn);
	w.was = w.machine[w.index];
	return w.table->level == 1 ? follow_leaf(&w) : follow_link(&w);
}
