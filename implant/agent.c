// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent: what a stub leaves after it has written the guest's entry, done in
 * the guest, without an exit, as far as it can be. It does what
 * dmp_table_follow() does (engine/mmu/table.c), for user leaves of any kind, large
 * ones among them (agent_large.h), for most supervisor leaves, and for links to
 * tables that begin and end empty.
 *
 * It runs in the guest's kernel, on a stack of its own, and may be stopped by
 * an exit at any instruction. So whatever it changes it notes first: change()
 * puts a word and its old value into the log. Unless the vCPU comes to the end,
 * which is one store of commit(), the VMM takes all of it back and does the work
 * itself (engine/code/agent.c). What need not be taken back (caches, contents of an
 * unused record) is not noted.
 *
 * Everything is reached by the window and the records; there is no libc, no
 * data, no call out of this file. One vCPU.
 */
#include "code/agent.h"
#include "agent_env.h"
#include "mmu/state.h"

/* A guest entry whose frame has a record: see struct dmp_implant. */
#define KEPT		(DMP_PTE_NX | DMP_PTE_G | DMP_PTE_US)

#define RFLAGS_AC	(1ull << 18)

/* What an entry's translation is when it is none: no entry at all. */
#define NO_ENTRY	DMP_PTE_PS

struct work {
	struct dmp_implant *implant;
	struct dmp_agent *agent;
	struct dmp_table *table;
	volatile u64 *guest, *machine;	/* the entries */
	u64 old, new, was;
	u32 index;
};

static struct dmp_agent_change *log_change(const struct work *w, u64 at, u64 old)
{
	struct dmp_agent *agent = w->agent;
	u32 n = agent->logged;

	if (n == DMP_AGENT_LOG_MAX)
		return NULL;
	agent->log[n].at = at;
	agent->log[n].old = old;
	agent_barrier();
	agent->logged = n + 1;
	agent_barrier();
	return &agent->log[n];
}

/* The word at @at is about to be changed. False: the log is full. */
static bool change(const struct work *w, const volatile void *at)
{
	u64 *word = (u64 *)((u64)at & ~7ull);

	return log_change(w, (u64)word, *word);
}

/* What @kind says is about to be done to @number. NULL: the log is full. */
static struct dmp_agent_change *note(const struct work *w, u64 number, u32 kind)
{
	return log_change(w, number << DMP_AGENT_KIND_SHIFT | kind, 0);
}

/* One store: the log is void, the work done. */
static bool commit(const struct work *w)
{
	agent_barrier();
	*(volatile u64 *)&w->agent->logged = 1ull << 32;
	return true;
}

/* The record of the frame that @entry names; NULL when there is none. */
static struct dmp_frame *frame_of(const struct work *w, u64 entry)
{
	if (entry & DMP_PTE_ADDR & ~w->implant->frame_mask)
		return NULL;
	return agent_frame(w->implant, dmp_pte_gfn(entry));
}

static struct dmp_table *table_of(const struct work *w, u32 id)
{
	return agent_table(w->implant, id);
}

static volatile u64 *host_page(const struct work *w, u64 hfn)
{
	return agent_page(w->implant, hfn);
}

/* What is at @gva of the window. */
static volatile u64 *in_window(const struct work *w, u64 gva)
{
	return host_page(w, (gva - w->implant->window) >> DMP_PAGE_SHIFT);
}

/* The guest's table of @table. */
static volatile u64 *guest_page(const struct work *w,
				const struct dmp_table *table)
{
	return host_page(w, ((u64)table->guest - w->agent->va_base) >>
			    DMP_PAGE_SHIFT);
}

static bool is_trap(const struct work *w, u64 machine)
{
	return machine & w->implant->trap;
}

static bool is_mapping(const struct work *w, u64 machine)
{
	return machine & DMP_PTE_P && !is_trap(w, machine);
}

/*
 * Half of what the agent does in an exec is this: so one instruction an entry, which
 * reading it as volatile would not be.
 */
static bool is_empty(const volatile u64 *page)
{
	const u64 *entries = (const u64 *)page;
	u64 any = 0;
	u32 i, k;

	for (i = 0; i < DMP_ENTRIES && !any; i += 32) {
#pragma GCC unroll 32
		for (k = 0; k < 32; k++)
			any |= entries[i + k];
	}
	return !any;
}

/*
 * ---- Leaves ----
 */

/*
 * The machine entry for the guest's @new; NO_ENTRY: that is for the VMM. The
 * frame whose writable mappings it adds to is put into *@frame.
 */
static u64 translate(const struct work *w, struct dmp_frame **frame)
{
	const struct dmp_implant *implant = w->implant;
	const struct dmp_frame *record;
	u64 most, new = w->new;

	*frame = NULL;
	if (!(new & DMP_PTE_P))
		return 0;
	/* Reserved, or no RAM; without NXE, NX is part of the mask. */
	if (new & implant->leaf_mask & ~(DMP_PTE_P | DMP_PTE_US | DMP_PTE_A))
		return NO_ENTRY;
	record = frame_of(w, new);
	if (!record || !record->leaf || record->code)
		return NO_ENTRY;
	if (!(new & DMP_PTE_US)) {
		/* The VMM sets A and D, and notes direct mappings. */
		if (!(new & DMP_PTE_A) || dmp_pte_is_code(new) ||
		    (new & DMP_PTE_RW && (!(new & DMP_PTE_D) || record->held ||
					  !record->dmap_table ||
					  record->dmap_index == w->index)))
			return NO_ENTRY;
	} else if (!(new & DMP_PTE_A)) {
		/* Lazy A. What is lazy in D, too, is once it has its A. */
		return new & DMP_PTE_RW && record->held ? NO_ENTRY :
							  implant->lazy;
	} else if (new & DMP_PTE_RW && !(new & DMP_PTE_D)) {
		return NO_ENTRY;	/* dmp_root.lazy_d */
	}
	most = record->leaf;
	if (!(new & DMP_PTE_RW))
		return (most & ~DMP_PTE_RW) | (new & KEPT);
	if (!(most & DMP_PTE_RW))
		return NO_ENTRY;	/* a table, or ROM */
	*frame = (struct dmp_frame *)record;
	return most | (new & KEPT);
}

/* Whether @frame, mapped by the entry until now, may simply be left. */
static bool may_leave(const struct work *w, const struct dmp_frame *frame)
{
	if (!frame || !frame->leaf || frame->code ||
	    dmp_pte_gfn(frame->leaf) != dmp_pte_gfn(w->was))
		return false;
	return frame->dmap_table != w->table->id ||
	       frame->dmap_index != w->index;
}

static bool follow_leaf(const struct work *w)
{
	struct dmp_frame *frame, *old_frame = NULL;
	u64 machine;

	/* Paths to what stubs know, and code, are the VMM's. */
	if (w->table->flags & (DMP_TABLE_PATH | DMP_TABLE_CODE) &&
	    !(w->old & w->new & DMP_PTE_US))
		return false;
	machine = translate(w, &frame);
	if (machine == NO_ENTRY)
		return false;
	if (w->old & DMP_PTE_P) {
		old_frame = frame_of(w, w->old);
		if (is_mapping(w, w->was) ? !may_leave(w, old_frame) :
		    !old_frame || (old_frame->dmap_table == w->table->id &&
				   old_frame->dmap_index == w->index))
			return false;
	} else if (is_mapping(w, w->was)) {
		return false;
	}
	if (is_mapping(w, w->was) && w->was & DMP_PTE_RW) {
		if (!change(w, &old_frame->writable))
			return false;
		old_frame->writable--;
	}
	if (frame) {
		if (!change(w, &frame->writable))
			return false;
		frame->writable++;
	}
	if (!change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = machine;
	w->agent->leaves++;
	return commit(w);
}

/*
 * ---- Where the kernel maps a frame ----
 *
 * In its direct mapping, and some frames once more: in the pair of that table
 * (see dmp_table_pair()).
 */

#define PLACES	2

struct place {
	struct dmp_table *table;	/* level 1 */
	volatile u64 *machine;		/* the leaf */
	u64 gva;
	u32 top;			/* index of .gva in the root */
};

/* Whether @machine links @child. */
static bool links(const struct work *w, u64 machine,
		  const struct dmp_table *child)
{
	return is_mapping(w, machine) && dmp_pte_gfn(machine) == child->hfn;
}

/*
 * The one address that entry @index of @place->table translates, by climbing.
 * False: there may be others. The table that roots share has many links.
 */
static bool climb(const struct work *w, u32 index, struct place *place)
{
	const volatile u64 *root = in_window(w, w->implant->root);
	struct dmp_table *table = place->table, *parent;
	u32 levels = w->implant->levels;
	u64 gva = 0;

	for (;; table = parent) {
		gva |= (u64)index << (DMP_PAGE_SHIFT + 9 * (table->level - 1));
		index = table->parent_index;
		if (table->flags & DMP_TABLE_TWICE)
			return false;
		if (table->level + 1u == levels)
			break;
		if (table->links != 1)
			return false;
		parent = table_of(w, table->parent);
		if (!parent->id || parent->level != table->level + 1 ||
		    !links(w, host_page(w, parent->hfn)[index], table))
			return false;
	}
	place->gva = gva | dmp_top_gva(levels, index);
	place->top = index;
	return links(w, root[index], table);
}

/* The way to @place is one to what stubs know. */
static bool mark_path(const struct work *w, const struct place *place)
{
	struct dmp_table *table;

	for (table = place->table;; table = table_of(w, table->parent)) {
		if (!(table->flags & DMP_TABLE_PATH)) {
			if (!change(w, &table->flags))
				return false;
			table->flags |= DMP_TABLE_PATH;
		}
		if (table->level + 1u == w->implant->levels)
			return true;
	}
}

/* @place is entry @index of table @id: whether it is a supervisor's leaf of @frame. */
static bool set_place(const struct work *w, struct place *place, u32 id, u32 index,
		      const struct dmp_frame *frame)
{
	u64 leaf;

	place->table = table_of(w, id);
	/* A table dropped has no page any more, and is not in the window. */
	if (!place->table->id || place->table->level != 1)
		return false;
	place->machine = &host_page(w, place->table->hfn)[index];
	leaf = *place->machine;
	return is_mapping(w, leaf) && !(leaf & DMP_PTE_US) &&
	       dmp_pte_gfn(leaf) == dmp_pte_gfn(frame->leaf);
}

/* The guest's leaf at @place; of a large one, that. */
static u64 guest_leaf(const struct work *w, const struct place *place, u32 index)
{
	return place->table->guest ? guest_page(w, place->table)[index] :
				     place->table->attr;
}

/*
 * Where the guest may write @frame, the direct mapping first; 0: that is not known.
 * Where it may not, nothing has to be taken, or given back: Linux keeps its image's
 * mapping of what was freed of read-only data.
 */
static u32 find_places(const struct work *w, const struct dmp_frame *frame,
		       struct place place[PLACES])
{
	u32 pair;

	if (!frame->dmap_table || !set_place(w, &place[0], frame->dmap_table,
					     frame->dmap_index, frame))
		return 0;
	pair = place[0].table->pair;
	return pair && set_place(w, &place[1], pair, frame->dmap_index, frame) &&
	       guest_leaf(w, &place[1], frame->dmap_index) & DMP_PTE_RW ? 2 : 1;
}

/*
 * ---- Links ----
 */

/* The one of @place by which stubs may know the frame; NULL: none. */
static const struct place *known_place(const struct work *w,
				       const struct place *place, u32 places)
{
	u64 link = in_window(w, w->implant->root)[w->agent->cache_top];
	u32 i;

	if (!w->agent->cache_top || link != w->agent->cache_link)
		return NULL;
	for (i = 0; i < places; i++)
		if (place[i].top == w->agent->cache_top)
			return &place[i];
	return NULL;
}

/* Stubs will write @child by @place. */
static bool learn(const struct work *w, struct dmp_table *child,
		  const struct dmp_frame *frame, const struct place *place)
{
	u32 slot = dmp_cache_place(w->implant, place->gva);
	struct dmp_cache_entry *entry = &w->implant->cache[slot];

	if (!mark_path(w, place) || !change(w, &entry->tag) || !change(w, &entry->guest) ||
	    !change(w, &entry->machine) || !change(w, &entry->table))
		return false;
	child->cache_slot = slot;
	entry->tag = place->gva;
	entry->guest = w->implant->window + (frame->leaf & DMP_PTE_ADDR);
	entry->machine = child->level == 1 ?
			 w->implant->window + (child->hfn << DMP_PAGE_SHIFT) :
			 w->agent->slow;
	entry->table = child->id;
	return true;
}

/* A frame that can become a table: RAM, and nothing else than memory so far. */
static bool may_promote(const struct dmp_frame *frame)
{
	return frame && frame->leaf & DMP_PTE_RW && !frame->tables &&
	       !frame->held && !frame->code && !frame->aliased && !frame->paired;
}

/* Whether INVLPG drops all that was cached of @machine: SDM vol. 3, 4.10.4.1. */
static bool is_dropped_by_invlpg(const struct work *w, u64 machine)
{
	return machine & DMP_PTE_G || !(w->implant->state & DMP_IMPLANT_PCIDS);
}

/* Take away the writable mappings of @frame, which are at @place. */
static bool protect(const struct work *w, struct dmp_frame *frame,
		    struct place *place, u32 places)
{
	u32 i;

	if (frame->writable != places || !change(w, &frame->leaf) ||
	    !change(w, &frame->tables) || !change(w, &frame->dmap_table))
		return false;
	for (i = 0; i < places; i++) {
		if (!(*place[i].machine & DMP_PTE_RW) ||
		    !is_dropped_by_invlpg(w, *place[i].machine) ||
		    !climb(w, frame->dmap_index, &place[i]) ||
		    !change(w, place[i].machine))
			return false;
		*place[i].machine &= ~DMP_PTE_RW;
	}
	frame->leaf &= ~DMP_PTE_RW;
	frame->writable = 0;
	frame->held = 1;
	frame->paired = places > 1;
	for (i = 0; i < places; i++)
		agent_invlpg(place[i].gva);
	return true;
}

/* One from the pool, empty, linked by the entry; its guest is the caller's. */
static struct dmp_table *take(const struct work *w)
{
	struct dmp_agent *agent = w->agent;
	struct dmp_table *child;

	if (!agent->ready_count)
		return NULL;
	child = table_of(w, agent->ready[agent->ready_count - 1]);
	if (!change(w, &agent->ready_count) || !change(w, &child->flags) ||
	    !change(w, &child->links) || !change(w, &agent->linked))
		return NULL;
	agent->ready_count--;
	agent->linked++;
	child->next = 0;
	child->links = 1;
	child->parent = w->table->id;
	child->parent_index = w->index;
	child->level = w->table->level - 1;
	child->pair = 0;
	return child;
}

/* The machine entry that links @child for the guest's. */
static u64 link_entry(const struct work *w, const struct dmp_table *child)
{
	return child->hfn << DMP_PAGE_SHIFT | DMP_PTE_P | DMP_PTE_A |
	       (w->new & (DMP_PTE_RW | DMP_PTE_US | DMP_PTE_NX));
}

/* The table of @frame, which the entry links now. */
static struct dmp_table *take_table(const struct work *w, struct dmp_frame *frame)
{
	struct dmp_table *child = take(w);

	if (!child)
		return NULL;
	child->guest = (u64 *)(w->agent->va_base + (frame->leaf & DMP_PTE_ADDR));
	child->gfn = dmp_pte_gfn(w->new);
	child->attr = 0;
	child->flags = DMP_TABLE_HELD | DMP_TABLE_CACHED;
	frame->tables = child->id;
	return child;
}

static bool link_new(const struct work *w)
{
	struct dmp_frame *frame = frame_of(w, w->new);
	struct place place[PLACES];
	const struct place *known;
	struct dmp_table *child;
	u32 places;

	/* PS: large, or reserved; G is where AMD reserves it. */
	if (!(w->new & DMP_PTE_A) || w->new & (DMP_PTE_PS | DMP_PTE_G) ||
	    w->new & w->implant->leaf_mask & DMP_PTE_NX ||
	    w->implant->state & DMP_IMPLANT_WAITING ||
	    !may_promote(frame))
		return false;
	places = find_places(w, frame, place);
	if (!places || !protect(w, frame, place, places) ||
	    !is_empty(host_page(w, dmp_pte_gfn(frame->leaf))))
		return false;
	known = known_place(w, place, places);
	child = known ? take_table(w, frame) : NULL;
	if (!child || !learn(w, child, frame, known) ||
	    !change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = link_entry(w, child);
	w->implant->walk_tag = ~0ull;
	w->agent->links++;
	return commit(w);
}

/* The table that the entry linked, if it can be unlinked here. */
static struct dmp_table *find_child(const struct work *w,
				    const struct dmp_frame *frame)
{
	const u32 any = DMP_TABLE_CACHED | DMP_TABLE_TWICE;
	struct dmp_table *child;

	if (!frame || frame->held != 1 || frame->code || frame->aliased ||
	    frame->writable || !frame->tables)
		return NULL;
	child = table_of(w, frame->tables);
	if (child->hfn != dmp_pte_gfn(w->was) || !child->links ||
	    child->next || child->level + 1 != w->table->level ||
	    (child->flags & ~any) != DMP_TABLE_HELD)
		return NULL;
	return child;
}

/* No flush: it becomes stronger. */
static bool unprotect(const struct work *w, struct dmp_frame *frame)
{
	const u64 writable = DMP_PTE_P | DMP_PTE_RW | DMP_PTE_D;
	struct place place[PLACES];
	u32 i, places;

	places = find_places(w, frame, place);
	/* What promotion took, no more and no less. */
	if (places != 1u + frame->paired || !change(w, &frame->leaf) ||
	    !change(w, &frame->tables) || !change(w, &frame->dmap_table))
		return false;
	for (i = 0; i < places; i++) {
		if (*place[i].machine & DMP_PTE_RW ||
		    (guest_leaf(w, &place[i], frame->dmap_index) & writable) !=
		    writable || !change(w, place[i].machine))
			return false;
		*place[i].machine |= DMP_PTE_RW;
	}
	frame->leaf |= DMP_PTE_RW;
	frame->writable = places;
	frame->held = 0;
	frame->paired = 0;
	return true;
}

static void forget(struct dmp_cache_entry *entry, const struct dmp_table *table)
{
	if (entry->table != table->id)
		return;
	/* Void before it is not whole. */
	*(volatile u64 *)&entry->tag = DMP_CACHE_VOID;
	*(volatile u64 *)&entry->guest = DMP_CACHE_VOID;
}

#include "agent_root.h"

/* @child, which nothing links any more, becomes one of the pool's. */
static bool give_back(const struct work *w, struct dmp_table *child, u16 flags)
{
	struct dmp_agent *agent = w->agent;

	if (!change(w, &child->flags) || !change(w, &agent->freed_count) ||
	    !change(w, &agent->unlinked) || !change(w, &child->links))
		return false;
	agent->freed[agent->freed_count] = child->id;
	agent->freed_count++;
	agent->unlinked++;
	child->links = 0;
	child->flags = flags;
	return true;
}

/* Others link it, too: KPTI's two tops, of one user space. */
static bool unlink_shared(const struct work *w, struct dmp_table *child)
{
	if (!change(w, &child->links) || !change(w, &w->machine[w->index]))
		return false;
	child->links--;
	w->machine[w->index] = 0;
	w->implant->walk_tag = ~0ull;
	return commit(w);
}

static bool unlink_old(const struct work *w)
{
	struct dmp_frame *frame = frame_of(w, w->old);
	struct dmp_agent *agent = w->agent;
	struct dmp_table *child = find_child(w, frame);

	/* A way to what stubs know: the cache would have to go. */
	if (w->table->flags & DMP_TABLE_PATH &&
	    (w->table->level < w->implant->levels ||
	     w->index == agent->cache_top))
		return false;
	if (child && child->links > 1)
		return unlink_shared(w, child);
	if (!child || agent->freed_count == DMP_POOL_MAX ||
	    !is_empty(host_page(w, child->hfn)) || !unprotect(w, frame))
		return false;
	frame->tables = 0;
	if (child->flags & DMP_TABLE_CACHED)
		forget(&w->implant->cache[child->cache_slot], child);
	forget(&w->implant->last[0], child);
	forget(&w->implant->last[1], child);
	if (!give_back(w, child, DMP_TABLE_POOL) ||
	    !change(w, &w->machine[w->index]))
		return false;
	w->machine[w->index] = 0;
	w->implant->walk_tag = ~0ull;
	if (!let_go_of_emptied(w))
		return false;
	agent->unlinks++;
	return commit(w);
}

#include "agent_large.h"

/* As has_user_code(), space.c, of one entry. */
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
