// SPDX-License-Identifier: GPL-2.0-only
/* One execution of a program, twice; see case.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "case_parts.h"

#define SNAPSHOTS	(DMP_SPLICE_INSNS + 2)

struct run {
	struct world *w;
	struct program *p;
	struct tally *tally;
	struct setup s;
	/* REF, before each instruction and at the end. */
	struct state ref[SNAPSHOTS];
	u32 refs;
	bool ref_faults;
	/* DMP. */
	u32 steps;		/* instructions so far */
	u32 stop_at;		/* leave before this one; 0: never */
	bool stop_counted;	/* leave when a count is half done */
	bool is_stopped;
	bool is_slow;		/* the hypercall was reached */
	bool has_left;		/* the rest is not that of one run */
	bool is_followed;	/* the machine entry is what it should be */
	u64 misses;
	char message[CASE_MESSAGE];
};

static bool __attribute__((format(printf, 2, 3)))
bad(struct run *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->message, CASE_MESSAGE, format, args);
	va_end(args);
	return false;
}

static u64 table_entry(const struct run *r, int cpu)
{
	return r->w->memory[cpu]->table[r->s.change.table][r->s.change.index];
}

static u64 machine_entry(const struct private *p, const struct change *c)
{
	return p->machine[c->table][c->index];
}

/*
 * ---- REF ----
 */

static void ref_hook(struct run *r, u64 rip)
{
	if (r->refs == SNAPSHOTS)
		return;
	world_get(r->w, REF, &r->ref[r->refs]);
	r->ref[r->refs].rip = rip;
	if (r->refs == 1 && r->s.is_hit)
		r->s.change.new = table_entry(r, REF);
	r->refs++;
}

static void run_ref(struct run *r)
{
	world_set(r->w, REF, &r->s.state);
	r->ref_faults = !world_run(r->w, REF, r->p->site, r->p->stop);
	if (r->ref_faults)
		return;
	if (r->refs == 1 && r->s.is_hit)
		r->s.change.new = table_entry(r, REF);
	world_get(r->w, REF, &r->ref[r->refs]);
	r->ref[r->refs++].rip = r->p->stop;
}

static const struct state *ref_at(const struct run *r, u64 rip)
{
	u32 i;

	for (i = 0; i < r->refs; i++)
		if (r->ref[i].rip == rip)
			return &r->ref[i];
	return NULL;
}

/*
 * ---- Ways out ----
 */

/* Flags that mean nothing while an instruction that defines all is undone. */
static u64 dead_flags(const struct run *r)
{
	switch (r->p->insn.form) {
	case DMP_FORM_CMPXCHG:
	case DMP_FORM_XADD:
	case DMP_FORM_ADD:
	case DMP_FORM_OR:
	case DMP_FORM_AND:
	case DMP_FORM_SUB:
	case DMP_FORM_XOR:
	case DMP_FORM_NEG:
		return FLAGS_STATUS;
	default:
		return 0;
	}
}

/* @got, at got->rip, is what REF was there. */
static bool check_state(struct run *r, const struct state *got)
{
	const struct state *want = ref_at(r, got->rip);
	u64 flags;
	int i;

	if (!want)
		return bad(r, "REF was never at %llx", got->rip);
	for (i = 0; i < 16; i++)
		if (got->reg[i] != want->reg[i])
			return bad(r, "register %d is %llx, not %llx, at %llx",
				   i, got->reg[i], want->reg[i], got->rip);
	flags = got->flags ^ want->flags;
	if (got->rip == r->p->site)
		flags &= ~dead_flags(r);
	if (flags)
		return bad(r, "flags are %llx, not %llx, at %llx", got->flags,
			   want->flags, got->rip);
	return true;
}

/* The counts of the two frames differ from @want's by what is not undone. */
static bool check_counts(struct run *r, struct private *want, int counted)
{
	const struct change *c = &r->s.change;
	struct dmp_frame *frame = oracle_frame(r->w->private, c->old);
	struct dmp_frame *same = oracle_frame(want, c->old);
	u64 base;

	base = counted < 0 ? c->old : c->new;
	if (frame && frame->writable !=
	    same->writable + (counted && oracle_frame(r->w->private, base) ==
			      frame ? counted : 0))
		return bad(r, "count of the old frame: %u, %u, %d",
			   frame->writable, same->writable, counted);
	frame = oracle_frame(r->w->private, c->new);
	same = oracle_frame(want, c->new);
	if (frame && frame->writable !=
	    same->writable + (counted && oracle_frame(r->w->private, base) ==
			      frame ? counted : 0))
		return bad(r, "count of the new frame: %u, %u, %d",
			   frame->writable, same->writable, counted);
	return true;
}

static bool check_exit(struct run *r, const struct dmp_stub_exit *exit)
{
	const struct change *c = &r->s.change;
	struct private *before = r->w->expected;

	if (!r->s.is_hit)
		return exit->phase != DMP_STUB_FINISH ||
		       bad(r, "to be finished after a miss");
	if (table_entry(r, DMP) !=
	    (exit->phase == DMP_STUB_RESTART ? c->old : c->new))
		return bad(r, "phase %d, but the entry is %llx", exit->phase,
			   table_entry(r, DMP));
	if (exit->phase == DMP_STUB_DONE)
		return machine_entry(r->w->private, c) ==
			       oracle_machine(r->w, c->new) ||
		       bad(r, "done, but the machine's is %llx",
			   machine_entry(r->w->private, c));
	if (machine_entry(r->w->private, c) != c->machine)
		return bad(r, "phase %d, but the machine's is %llx",
			   exit->phase, machine_entry(r->w->private, c));
	if (exit->phase == DMP_STUB_FINISH &&
	    (exit->old != c->old || exit->index != c->index ||
	     exit->at.table != c->table ||
	     exit->at.guest != GUEST_GVA + c->table * PAGE ||
	     exit->at.machine != MACHINE_GVA + c->table * PAGE))
		return bad(r, "finish %llu/%u of %llx, not %u/%u of %llx",
			   exit->at.table, exit->index, exit->old, c->table,
			   c->index, c->old);
	return check_counts(r, before, exit->counted);
}

/* last[] is all of one table, or of none. */
static bool check_last(struct run *r, const struct dmp_implant *im)
{
	const struct dmp_cache_entry *last = &im->last[r->p->stub.last];
	unsigned int t;

	if (last->tag == DMP_CACHE_VOID && last->guest == DMP_CACHE_VOID)
		return true;
	for (t = 0; t < TABLES; t++)
		if (last->tag == world_table_gva(t) && last->table == t &&
		    last->guest == GUEST_GVA + t * PAGE &&
		    last->machine == MACHINE_GVA + t * PAGE)
			return true;
	return bad(r, "last[] is of no table: %llx", last->tag);
}

/*
 * Leave from @at, which becomes what the guest sees; @im is that of the vCPU,
 * or a copy.
 */
static bool leave(struct run *r, struct state *at, struct dmp_implant *im,
		  struct dmp_stub_exit *exit)
{
	u64 offset = at->rip - r->p->stub.gva;

	if (!dmp_stub_leave(&r->p->stub, im, (u32)offset, at->reg, &at->flags,
			    exit))
		return bad(r, "no row for %llx", offset);
	at->rip = exit->rip;
	return check_last(r, im) && check_state(r, at) && check_exit(r, exit);
}

/* The VMM's part: undo what is half done, then follow. */
static void finish(struct run *r, const struct dmp_stub_exit *exit)
{
	struct private *p = r->w->private;

	if (exit->counted > 0)
		oracle_frame(p, r->s.change.new)->writable--;
	else if (exit->counted < 0)
		oracle_frame(p, exit->old)->writable++;
	oracle_follow(r->w, p, &r->s.change);
}

/*
 * ---- DMP ----
 */

static bool is_in_stub(const struct run *r, u64 rip)
{
	return rip - r->p->stub.gva < r->p->stub.code;
}

static bool step(struct run *r, u64 rip)
{
	struct dmp_implant im;
	struct dmp_stub_exit exit;
	struct state at;

	memcpy(&im, &r->w->private->implant, offsetof(struct dmp_implant, rest));
	world_get(r->w, DMP, &at);
	at.rip = rip;
	if (!leave(r, &at, &im, &exit))
		return false;
	r->tally->rows++;
	if (r->stop_counted && exit.counted) {
		r->is_stopped = true;
		uc_emu_stop(r->w->uc[DMP]);
		return true;
	}
	if (rip == r->p->stub.gva + r->p->stub.hypercall) {
		r->is_slow = true;
		finish(r, &exit);
	}
	return true;
}

static void dmp_hook(struct run *r, u64 rip)
{
	if (r->message[0] || r->is_stopped)
		return;
	r->steps++;
	if (is_in_stub(r, rip) && r->steps == r->stop_at) {
		r->is_stopped = true;
		uc_emu_stop(r->w->uc[DMP]);
		return;
	}
	if (is_in_stub(r, rip) && !step(r, rip)) {
		char why[CASE_MESSAGE / 2];

		snprintf(why, sizeof(why), "%.190s", r->message);
		bad(r, "at stub+%llx: %s", rip - r->p->stub.gva, why);
		uc_emu_stop(r->w->uc[DMP]);
	}
}

static void any_hook(void *arg, int cpu, u64 rip)
{
	if (cpu == REF)
		ref_hook(arg, rip);
	else
		dmp_hook(arg, rip);
}

/* Where the guest goes on in the spliced code, when it is at @rip. */
static u64 resume_at(const struct run *r, u64 rip)
{
	if (rip == r->p->site || rip - r->p->site >= r->p->plan.len)
		return rip;
	return dmp_stub_resume(&r->p->stub, rip);
}

/* Stopped within the stub: leave, finish, and run the rest. */
static bool leave_for_good(struct run *r, bool *ran)
{
	struct dmp_stub_exit exit;
	struct state at;
	u64 rip;

	world_get(r->w, DMP, &at);
	if (!is_in_stub(r, at.rip))
		return bad(r, "stopped at %llx", at.rip);
	if (!leave(r, &at, &r->w->private->implant, &exit))
		return false;
	r->tally->interrupted++;
	r->tally->phases[exit.phase]++;
	r->tally->counted += !!exit.counted;
	if (exit.phase == DMP_STUB_FINISH)
		finish(r, &exit);
	r->is_stopped = false;
	r->has_left = true;
	r->stop_at = 0;
	r->stop_counted = false;
	world_set(r->w, DMP, &at);
	rip = resume_at(r, at.rip);
	if (!rip)
		return bad(r, "no way back to %llx", at.rip);
	*ran = rip == r->p->stop || world_run(r->w, DMP, rip, r->p->stop);
	return !r->message[0];
}

/* A fault: where REF has it, too, or because DMP may not write tables. */
static bool check_fault(struct run *r)
{
	struct dmp_stub_exit exit;
	struct state at;

	r->tally->faults++;
	world_get(r->w, DMP, &at);
	if (is_in_stub(r, at.rip) &&
	    !leave(r, &at, &r->w->private->implant, &exit))
		return false;
	if (!check_state(r, &at))
		return false;
	if (at.rip == r->p->site && r->s.is_hit)
		return bad(r, "faults at a table that it knows: %s",
			   uc_strerror(r->w->err));
	if (r->ref_faults && at.rip == r->ref[r->refs - 1].rip)
		return true;
	/* The site, or a PUSH displaced, to where a table is. */
	return r->s.table < TABLES || at.reg[DMP_REG_RSP] - STACK_GVA >
					      STACK_PAGES * PAGE ||
	       bad(r, "faults at %llx, where REF does not", at.rip);
}

static bool check_end(struct run *r)
{
	struct world *w = r->w;
	struct state at;

	if (r->ref_faults)
		return bad(r, "REF faults, DMP does not");
	world_get(w, DMP, &at);
	at.rip = r->p->stop;
	if (!check_state(r, &at))
		return false;
	if (r->s.is_hit && !r->has_left &&
	    r->is_slow == oracle_is_fast(w, &r->s.change))
		return bad(r, "slow: %d", r->is_slow);
	if (!r->s.is_hit && !r->has_left &&
	    w->private->implant.misses != r->misses + 1)
		return bad(r, "misses: %llu", w->private->implant.misses);
	return true;
}

static bool check_memory(struct run *r, bool faulted)
{
	struct world *w = r->w;

	/* What DMP could not write for REF's sake is taken back. */
	if (faulted)
		memcpy(w->memory[REF], w->memory[DMP], sizeof(*w->memory[REF]));
	else if (memcmp(w->memory[REF], w->memory[DMP], sizeof(*w->memory[REF])))
		return bad(r, "memory differs");
	if (memcmp(w->private->machine, w->expected->machine,
		   sizeof(w->private->machine)))
		return bad(r, "machine tables differ: %llx, not %llx",
			   machine_entry(w->private, &r->s.change),
			   machine_entry(w->expected, &r->s.change));
	if (memcmp(w->private->frame, w->expected->frame,
		   sizeof(w->private->frame)))
		return bad(r, "frames differ");
	return check_last(r, &w->private->implant);
}

static void note_path(struct run *r, bool faulted)
{
	const struct change *c = &r->s.change;
	enum path path = PATH_OTHER;
	u32 steps = r->steps;

	if (faulted || r->has_left || r->is_slow || r->p->plan.count > 1 + r->p->has_stack)
		return;
	if (!r->s.is_hit)
		path = PATH_MISS;
	else if (r->s.target != TARGET_LAST)
		return;
	else if (c->machine & DMP_PTE_RW && !(c->new & DMP_PTE_P))
		path = PATH_CLEAR;
	else if (!c->machine && (c->new & 3) == 3)
		path = PATH_NEW;
	else if (c->machine & DMP_PTE_RW && !(c->new & DMP_PTE_RW))
		path = PATH_PROTECT;
	if (!r->tally->paths[path]++ || steps < r->tally->least[path])
		r->tally->least[path] = steps;
	if (steps > r->tally->most[path])
		r->tally->most[path] = steps;
}

static bool run_dmp(struct run *r, u64 *rng)
{
	bool ran;

	if (!below(rng, 4))
		r->stop_counted = true;
	else if (below(rng, 2))
		r->stop_at = 2 + below(rng, below(rng, 2) ? 50 : 90);
	r->misses = r->w->private->implant.misses;
	world_set(r->w, DMP, &r->s.state);
	ran = world_run(r->w, DMP, r->p->site, r->p->stop);
	if (r->message[0] || (r->is_stopped && !leave_for_good(r, &ran)))
		return false;
	if (ran ? !check_end(r) : !check_fault(r))
		return false;
	if (r->s.is_hit)
		oracle_follow(r->w, r->w->expected, &r->s.change);
	note_path(r, !ran);
	return check_memory(r, !ran);
}

const char *case_run(struct world *w, struct program *p, u64 *rng,
		     struct tally *tally)
{
	static struct run run;
	struct run *r = &run;

	*r = (struct run){ .w = w, .p = p, .tally = tally };
	w->hook = any_hook;
	w->arg = r;
	case_setup(&r->s, w, p, rng);
	tally->cases++;
	tally->targets[r->s.target]++;
	tally->hits += r->s.is_hit;
	run_ref(r);
	if (r->s.is_hit && r->ref_faults && r->refs == 1) {
		bad(r, "REF faults at a table, %llx: %s", r->s.gva, uc_strerror(w->err));
		return r->message;
	}
	run_dmp(r, rng);
	tally->slow += r->is_slow;
	tally->misses += !r->s.is_hit;
	return r->message[0] ? r->message : NULL;
}
