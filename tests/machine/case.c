// SPDX-License-Identifier: GPL-2.0-only
/* One execution of a program, twice; see case.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "code/agent.h"
#include "code/agent_blob.h"
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
	uc_err ref_err;
	struct sweep *sweep;	/* NULL: none */
	/* DMP. */
	u32 steps;		/* instructions so far */
	u32 stop_at;		/* leave before this one; 0: never */
	bool stop_counted;	/* leave when a count is half done */
	bool is_stopped;
	bool is_slow;		/* the agent was asked, */
	bool asks_vmm;		/*   and could not */
	bool has_left;		/* the rest is not that of one run */
	bool is_same_fault;	/* of REF and DMP, and nothing written by it */
	u64 fault_rip;		/* where the guest sees DMP's */
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
	r->ref_err = r->w->err;
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

/* What the word at @gva, @now, is when the agent's log has been taken back. */
static u64 taken_back(const struct run *r, u64 gva, u64 now)
{
	const struct dmp_agent *agent = &r->w->private->implant.agent;
	u32 i;

	for (i = agent->logged; i-- > 0;)
		if (agent->log[i].at == gva)
			now = agent->log[i].old;
	return now;
}

/* Take it back: dmp_agent_take_back(), without an engine around it. */
static bool take_back_log(struct run *r)
{
	struct dmp_agent *agent = &r->w->private->implant.agent;
	u64 *word;

	while (agent->logged) {
		word = world_private(r->w, agent->log[--agent->logged].at);
		if (!word)
			return bad(r, "%llx in the log", agent->log[agent->logged].at);
		*word = agent->log[agent->logged].old;
	}
	return true;
}

static u32 writable(const struct run *r, const struct dmp_frame *frame)
{
	u64 at = (u64)frame - (u64)r->w->private->frame, word;

	at += offsetof(struct dmp_frame, writable);
	memcpy(&word, (char *)r->w->private->frame + (at & ~7ull), 8);
	return (u32)(taken_back(r, FRAMES_GVA + (at & ~7ull), word) >>
		     8 * (at & 7));
}

/* The counts of the two frames differ from @want's by what is not undone. */
static bool check_counts(struct run *r, struct private *want, int counted)
{
	const struct change *c = &r->s.change;
	struct dmp_frame *frame = oracle_frame(r->w->private, c->old);
	struct dmp_frame *same = oracle_frame(want, c->old);
	u64 base;

	base = counted < 0 ? c->old : c->new;
	if (frame && writable(r, frame) !=
	    same->writable + (counted && oracle_frame(r->w->private, base) ==
			      frame ? counted : 0))
		return bad(r, "count of the old frame: %u, %u, %d",
			   writable(r, frame), same->writable, counted);
	frame = oracle_frame(r->w->private, c->new);
	same = oracle_frame(want, c->new);
	if (frame && writable(r, frame) !=
	    same->writable + (counted && oracle_frame(r->w->private, base) ==
			      frame ? counted : 0))
		return bad(r, "count of the new frame: %u, %u, %d",
			   writable(r, frame), same->writable, counted);
	return true;
}

static bool check_exit(struct run *r, const struct dmp_stub_exit *exit)
{
	const struct change *c = &r->s.change;
	struct private *before = r->w->expected;
	u64 machine = machine_entry(r->w->private, c);

	if (!r->s.is_hit)
		return exit->phase != DMP_STUB_FINISH ||
		       bad(r, "to be finished after a miss");
	if (table_entry(r, DMP) !=
	    (exit->phase == DMP_STUB_RESTART ? c->old : c->new))
		return bad(r, "phase %d, but the entry is %llx", exit->phase,
			   table_entry(r, DMP));
	if (exit->phase == DMP_STUB_DONE)
		return machine == oracle_machine(r->w, c->new) ||
		       bad(r, "done, but the machine's is %llx", machine);
	machine = taken_back(r, MACHINE_GVA + c->table * PAGE + c->index * 8,
			     machine);
	if (machine != c->machine)
		return bad(r, "phase %d, but the machine's is %llx",
			   exit->phase, machine);
	if (exit->phase == DMP_STUB_FINISH &&
	    (exit->old != c->old || exit->index != c->index ||
	     exit->at.table != c->table + 1 ||
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
		if (last->tag == world_table_gva(t) && last->table == t + 1 &&
		    last->guest == GUEST_GVA + t * PAGE &&
		    last->machine == MACHINE_GVA + t * PAGE)
			return true;
	return bad(r, "last[] is of no table: %llx", last->tag);
}

static bool is_in_stub(const struct run *r, u64 rip)
{
	return rip - r->p->stub.gva < r->p->stub.code;
}

static bool is_in_agent(u64 rip)
{
	return rip - AGENT_GVA < DMP_AGENT_CODE_BYTES;
}

/* From the agent to the stub; as leave_agent() of splicer.c. */
static void leave_agent(struct run *r, struct state *at)
{
	struct dmp_filter_regs regs = { .rip = at->rip };
	const struct dmp_stub *stub = &r->p->stub;

	memcpy(regs.gpr, at->reg, sizeof(regs.gpr));
	at->rip = stub->gva + stub->ask;
	if (dmp_agent_leave(&r->w->private->implant, AGENT_GVA, &regs))
		at->rip = regs.rip;
	memcpy(at->reg, regs.gpr, sizeof(regs.gpr));
}

/*
 * Leave from @at, which becomes what the guest sees; @im is that of the vCPU,
 * or a copy.
 */
static bool leave(struct run *r, struct state *at, struct dmp_implant *im,
		  struct dmp_stub_exit *exit)
{
	u64 offset;

	if (is_in_agent(at->rip))
		leave_agent(r, at);
	offset = at->rip - r->p->stub.gva;
	if (!dmp_stub_leave(&r->p->stub, im, (u32)offset, at->reg, &at->flags,
			    exit))
		return bad(r, "no row for %llx", offset);
	at->rip = exit->rip;
	return check_last(r, im) && check_state(r, at) && check_exit(r, exit);
}

/* The VMM's part: undo what is half done, then follow. */
static bool finish(struct run *r, const struct dmp_stub_exit *exit)
{
	struct private *p = r->w->private;

	if (!take_back_log(r))
		return false;
	if (exit->counted > 0)
		oracle_frame(p, r->s.change.new)->writable--;
	else if (exit->counted < 0)
		oracle_frame(p, exit->old)->writable++;
	oracle_follow(r->w, p, &r->s.change);
	return true;
}

/*
 * ---- DMP ----
 */

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
	r->is_slow |= rip == AGENT_GVA;
	if (rip == AGENT_GVA + DMP_AGENT_HYPERCALL) {
		r->asks_vmm = true;
		r->is_stopped = true;
		uc_emu_stop(r->w->uc[DMP]);
	}
	return true;
}

/* Of struct sweep, for what stands at @rip. */
static bool *sweep_left(const struct run *r, u64 rip)
{
	return is_in_agent(rip) ? &r->sweep->agent_left[rip - AGENT_GVA] :
				  &r->sweep->left[rip - r->p->stub.gva];
}

static void note_reached(struct run *r, u64 rip)
{
	if (r->steps < CASE_STEPS)
		r->tally->reached[r->steps]++;
	if (!r->sweep)
		return;
	if (is_in_agent(rip))
		r->sweep->agent_seen[rip - AGENT_GVA] = true;
	else
		r->sweep->seen[rip - r->p->stub.gva] = true;
}

static bool is_to_stop(const struct run *r, u64 rip)
{
	if (r->sweep)
		return !r->has_left && !*sweep_left(r, rip);
	return r->steps == r->stop_at;
}

static void dmp_hook(struct run *r, u64 rip)
{
	if (r->message[0] || r->is_stopped)
		return;
	r->steps++;
	if (!is_in_stub(r, rip) && !is_in_agent(rip))
		return;
	if (!r->has_left)
		note_reached(r, rip);
	if (is_to_stop(r, rip)) {
		r->is_stopped = true;
		uc_emu_stop(r->w->uc[DMP]);
		return;
	}
	if (!step(r, rip)) {
		char why[CASE_MESSAGE / 2];

		snprintf(why, sizeof(why), "%.190s", r->message);
		bad(r, "at %s+%llx: %s", is_in_agent(rip) ? "agent" : "stub",
		    rip - (is_in_agent(rip) ? AGENT_GVA : r->p->stub.gva), why);
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

static void note_left(struct run *r, u64 rip, const struct dmp_stub_exit *exit)
{
	struct tally *t = r->tally;

	/* Not as if it had been interrupted, but what it comes to. */
	if (r->asks_vmm)
		return;
	t->interrupted++;
	t->agent_left += is_in_agent(rip);
	t->phases[exit->phase]++;
	t->counted += !!exit->counted;
	if (r->steps < CASE_STEPS)
		t->stopped[r->steps]++;
	if (r->sweep)
		*sweep_left(r, rip) = true;
	t->cover[COVER_LEFT_RESTART] += exit->phase == DMP_STUB_RESTART;
	t->cover[COVER_LEFT_FINISH] += exit->phase == DMP_STUB_FINISH;
	t->cover[COVER_LEFT_DONE] += exit->phase == DMP_STUB_DONE;
	t->cover[COVER_LEFT_MISS] += !r->s.is_hit;
	t->cover[COVER_LEFT_DISPLACED] += exit->phase == DMP_STUB_DONE &&
		r->p->plan.count > 1 && is_in_stub(r, rip) &&
		rip - r->p->stub.gva > r->p->stub.moved[1];
}

/* Stopped within the stub or the agent: leave, finish, and run the rest. */
static bool leave_for_good(struct run *r, bool *ran)
{
	struct dmp_stub_exit exit;
	struct state at;
	u64 rip;

	world_get(r->w, DMP, &at);
	rip = at.rip;
	if (!is_in_stub(r, rip) && !is_in_agent(rip))
		return bad(r, "stopped at %llx", rip);
	if (!leave(r, &at, &r->w->private->implant, &exit))
		return false;
	note_left(r, rip, &exit);
	if (exit.phase == DMP_STUB_FINISH && !finish(r, &exit))
		return false;
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

/* REF has it, too: of the same kind, at the same address. */
static bool check_same_fault(struct run *r, const struct state *at)
{
	const struct refused *ref = &r->w->refused[REF];
	const struct refused *dmp = &r->w->refused[DMP];
	u64 *cover = r->tally->cover;

	if (at->rip != r->p->site) {
		cover[r->has_left ? COVER_FAULT_LATER : COVER_FAULT_DISPLACED]++;
		/* A PUSH on two pages, one of them a table, stops sooner. */
		r->is_same_fault = ref->gva == dmp->gva &&
				   ref->type == dmp->type;
		return r->is_same_fault || r->s.at_table ||
		       bad(r, "displaced, it faults at %llx, not %llx", dmp->gva,
			   ref->gva);
	}
	cover[COVER_NOT_MAPPED] += ref->type != UC_MEM_WRITE_PROT;
	cover[COVER_READ_ONLY] += ref->type == UC_MEM_WRITE_PROT;
	cover[COVER_NOT_CANONICAL] += (ref->gva >> 47) + 1 > 1 &&
				      (ref->gva >> 47) + 1 < 1 << 17;
	cover[COVER_VOID] += r->s.is_void;
	/* DMP may fail at the part that is a table, before it comes to that. */
	if (r->s.at_table)
		return true;
	r->is_same_fault = true;
	/* A stub that finds the void page reads first, and the entry whole. */
	if (r->s.is_void)
		return (dmp->gva ^ DMP_CACHE_VOID) < PAGE ||
		       bad(r, "void: faults at %llx", dmp->gva);
	if (r->w->err != r->ref_err || ref->type != dmp->type)
		return bad(r, "REF: %s, DMP: %s", uc_strerror(r->ref_err),
			   uc_strerror(r->w->err));
	return ref->gva == dmp->gva ||
	       bad(r, "faults at %llx, not %llx", dmp->gva, ref->gva);
}

/* The site, or a PUSH displaced, to where a table is. */
static bool check_fault_of_table(struct run *r, const struct state *at)
{
	const struct refused *dmp = &r->w->refused[DMP];

	if (at->rip == r->p->site && r->s.at_table) {
		r->tally->cover[COVER_FAULT_OF_TABLE]++;
		return (dmp->type == UC_MEM_WRITE_PROT &&
			dmp->gva - r->s.gva < r->p->insn.op_size) ||
		       bad(r, "a table's write faults with %d at %llx",
			   dmp->type, dmp->gva);
	}
	return r->s.at_table || at->reg[DMP_REG_RSP] - STACK_GVA >
					STACK_PAGES * PAGE ||
	       bad(r, "faults at %llx, where REF does not", at->rip);
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
	r->fault_rip = at.rip;
	if (at.rip == r->p->site && r->s.is_hit)
		return bad(r, "faults at a table that it knows: %s",
			   uc_strerror(r->w->err));
	if (r->ref_faults && at.rip == r->ref[r->refs - 1].rip)
		return check_same_fault(r, &at);
	return check_fault_of_table(r, &at);
}

/* Whoever can do it has done it: the stub, the agent, the VMM. */
static bool check_speed(struct run *r)
{
	const struct change *c = &r->s.change;
	bool fast = oracle_is_fast(r->w, c), agent = oracle_agent_does(r->w, c);

	if (r->is_slow == fast)
		return bad(r, "slow: %d", r->is_slow);
	r->tally->agent_done += r->is_slow && !r->asks_vmm;
	return !r->is_slow || r->asks_vmm == !agent ||
	       bad(r, "%llx, before %llx: the agent %s", c->new, c->old,
		   agent ? "asks for what it can do" : "does what it may not");
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
	if (r->s.is_hit && (!r->has_left || r->asks_vmm) && !check_speed(r))
		return false;
	if (!r->s.is_hit && !r->has_left &&
	    w->private->implant.misses != r->misses + 1)
		return bad(r, "misses: %llu", w->private->implant.misses);
	return true;
}

/*
 * Unicorn writes an operand on two pages byte by byte up to where it may not,
 * which no CPU does.
 */
static void take_back(struct run *r, int cpu)
{
	u64 gva = r->s.gva;
	u32 i;

	for (i = 0; i < r->p->insn.op_size; i++, gva++)
		if (world_has(gva))
			*world_byte(r->w->memory[cpu], gva) =
				*world_byte(r->w->start, gva);
}

/* The site's fault leaves memory as it was, any other as it is with REF. */
static bool check_nothing_written(struct run *r)
{
	struct world *w = r->w;

	if (r->fault_rip == r->p->site) {
		if (r->s.is_crossing)
			take_back(r, DMP);
		return !memcmp(w->start, w->memory[DMP], sizeof(*w->start)) ||
		       bad(r, "what faults has written");
	}
	return !r->is_same_fault ||
	       !memcmp(w->memory[REF], w->memory[DMP], sizeof(*w->start)) ||
	       bad(r, "memory differs before the fault at %llx", r->fault_rip);
}

static bool check_memory(struct run *r, bool faulted)
{
	struct world *w = r->w;

	if (faulted) {
		if (!check_nothing_written(r))
			return false;
		/* What DMP could not write is taken back. */
		memcpy(w->memory[REF], w->memory[DMP], sizeof(*w->memory[REF]));
	} else if (memcmp(w->memory[REF], w->memory[DMP],
			  sizeof(*w->memory[REF]))) {
		return bad(r, "memory differs");
	}
	memcpy(w->start, w->memory[DMP], sizeof(*w->start));
	if (memcmp(w->private->machine, w->expected->machine,
		   sizeof(w->private->machine)))
		return bad(r, "machine tables differ: %llx, not %llx",
			   machine_entry(w->private, &r->s.change),
			   machine_entry(w->expected, &r->s.change));
	if (memcmp(w->private->frame, w->expected->frame,
		   sizeof(w->private->frame)))
		return bad(r, "frames differ");
	if (memcmp(w->private->records, w->expected->records, PAGE))
		return bad(r, "records of tables differ");
	if (w->private->implant.agent.logged)
		return bad(r, "something is left in the log");
	return check_last(r, &w->private->implant);
}

static void note_path(struct run *r, bool faulted)
{
	const struct change *c = &r->s.change;
	enum path path = PATH_OTHER;
	u32 steps = r->steps;

	if (faulted || r->has_left || r->is_slow || r->is_stopped)
		return;
	/* What is displaced would have run anyway. */
	steps -= r->refs - 2;
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
	static const u8 range[] = { 50, 90, 90, 250 };
	bool ran;

	if (r->sweep)
		;
	else if (!below(rng, 4))
		r->stop_counted = true;
	else if (below(rng, 2))
		r->stop_at = 2 + below(rng, range[below(rng, 4)]);
	r->misses = r->w->private->implant.misses;
	world_set(r->w, DMP, &r->s.state);
	ran = world_run(r->w, DMP, r->p->site, r->p->stop);
	/* Once more where the rest comes to ask the VMM. */
	while (r->is_stopped && !r->message[0])
		if (!leave_for_good(r, &ran))
			return false;
	if (r->message[0])
		return false;
	if (ran ? !check_end(r) : !check_fault(r))
		return false;
	if (r->s.is_hit)
		oracle_follow(r->w, r->w->expected, &r->s.change);
	note_path(r, !ran);
	return check_memory(r, !ran);
}

static void cover_case(struct run *r)
{
	const struct setup *s = &r->s;
	u64 *cover = r->tally->cover;

	cover_registers(cover, r->p);
	cover_operand(cover, s->gva, r->p->insn.op_size);
	cover[COVER_ON_STACK] += r->p->plan.count > 1 &&
		s->gva - (s->state.reg[DMP_REG_RSP] - 12) < 24;
	cover[COVER_FIRST_ENTRY] += s->is_hit && !s->change.index;
	cover[COVER_LAST_ENTRY] += s->is_hit &&
				   s->change.index == DMP_ENTRIES - 1;
}

const char *case_run(struct world *w, struct program *p, u64 *rng,
		     struct tally *tally, struct sweep *sweep)
{
	static struct run run;
	struct run *r = &run;

	*r = (struct run){
		.w = w, .p = p, .tally = tally, .sweep = sweep,
	};
	w->hook = any_hook;
	w->arg = r;
	case_setup(&r->s, w, p, rng);
	tally->cases++;
	tally->targets[r->s.target]++;
	tally->hits += r->s.is_hit;
	cover_case(r);
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
