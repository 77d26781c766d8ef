// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent on the model machine: the very source, with the model's memory
 * where it expects the implant's, and stopped now and then between two of its
 * steps, as an exit would.
 */
#include <setjmp.h>
#include <string.h>

#include "model_parts.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/space.h"

/* In place of implant/agent_env.h. */
#define DMP_AGENT_ENV_H

static struct machine *machine;
static unsigned int steps_left;		/* until it is stopped */
static jmp_buf stopped;

static void agent_barrier(void)
{
	__asm__ volatile("" ::: "memory");
	if (!steps_left--)
		longjmp(stopped, 1);
}

static volatile u64 *agent_page(const struct dmp_implant *implant, u64 hfn)
{
	u64 is, gva = implant->window + (hfn << DMP_PAGE_SHIFT);

	if (!dmp_space_lookup(machine->mmu, gva, &is) || is != hfn)
		m_fail(machine, "the agent reaches for host page %#llx", hfn);
	return m_page(machine, hfn);
}

static struct dmp_frame *agent_frame(const struct dmp_implant *implant, u64 gfn)
{
	static struct dmp_frame none;

	if (gfn > implant->frame_mask >> DMP_PAGE_SHIFT)
		m_fail(machine, "the agent reaches for frame %#llx", gfn);
	if (memcmp(&none, &(struct dmp_frame){ 0 }, sizeof(none)))
		m_fail(machine, "the agent writes where no record is");
	return gfn < M_GFNS ? &machine->records[gfn] : &none;
}

static struct dmp_table *agent_table(const struct dmp_implant *implant, u32 id)
{
	u64 is, gva = implant->agent.tables +
		      (id >> DMP_CHUNK_SHIFT << DMP_PAGE_SHIFT);

	if (!dmp_space_lookup(machine->mmu, gva, &is) ||
	    m_page(machine, is) != dmp_chunk(machine->mmu, id >> DMP_CHUNK_SHIFT))
		m_fail(machine, "the agent reaches for table %u", id);
	return dmp_table_of(machine->mmu, id);
}

static void agent_invlpg(u64 gva)
{
	m_tlb_forget_page(machine, gva, true);
}

#include "../../implant/agent.c"

/*
 * ---- The log ----
 */

/* The cache and the tables' flags, as the agent finds them. */
static struct {
	struct dmp_cache_entry cache[DMP_CACHE_SLOTS];
	u16 flags[DMP_CHUNKS_MAX << DMP_CHUNK_SHIFT];
} found;

static void note_found(const struct machine *m)
{
	u32 id;

	memcpy(found.cache, m->splicer->implant->cache, sizeof(found.cache));
	for (id = 1; id < m->mmu->chunks << DMP_CHUNK_SHIFT; id++)
		found.flags[id] = dmp_table_of(m->mmu, id)->flags;
}

static bool is_logged(const struct dmp_agent *agent, const void *at)
{
	u32 i;

	for (i = 0; i < agent->logged; i++)
		if (agent->log[i].at == ((u64)at & ~7ull))
			return true;
	return false;
}

/*
 * It is not done: what it has changed can be taken back. What the VMM does then
 * would hide most of what is missing. An entry of the cache may be void instead.
 */
static void check_log(struct machine *m)
{
	const struct dmp_implant *implant = m->splicer->implant;
	const u64 *now = (const u64 *)implant->cache, *was = (const u64 *)found.cache;
	u32 i, words = sizeof(struct dmp_cache_entry) / 8;

	for (i = 0; i < DMP_CACHE_SLOTS * words; i++)
		if (now[i] != was[i] && !is_logged(&implant->agent, &now[i]) &&
		    implant->cache[i / words].tag != DMP_CACHE_VOID)
			m_fail(m, "word %u of cache entry %u is not in the log",
			       i % words, i / words);
	for (i = 1; i < m->mmu->chunks << DMP_CHUNK_SHIFT; i++)
		if (dmp_table_of(m->mmu, i)->flags != found.flags[i] &&
		    !is_logged(&implant->agent, &dmp_table_of(m->mmu, i)->flags))
			m_fail(m, "flags of table %u are not in the log", i);
}

/* Where the guest sees what is at @at. */
static u64 guest_address(struct machine *m, u64 at)
{
	const struct dmp_splicer *s = m->splicer;
	u64 hfn = m_host_page_hfn(m, (void *)at), c;

	if (at - (u64)m->records < M_GFNS * DMP_FRAME_BYTES)
		return s->implant->frames + at - (u64)m->records;
	if (hfn - s->implant_hfn < M_IMPLANT_PAGES)
		return s->implant_gva + at - (u64)s->implant;
	for (c = 0; c < m->mmu->chunks; c++)
		if (dmp_va_hfn(m->mmu, dmp_chunk(m->mmu, c)) == hfn)
			return s->implant->agent.tables + c * DMP_PAGE_SIZE +
			       (at & (DMP_PAGE_SIZE - 1));
	return s->implant->window + (hfn << DMP_PAGE_SHIFT) +
	       (at & (DMP_PAGE_SIZE - 1));
}

/* It was stopped, or asks: what is in its log, the guest's way. */
static void show_log(struct machine *m)
{
	struct dmp_agent *agent = &m->splicer->implant->agent;
	u32 i;

	for (i = 0; i < agent->logged; i++)
		if (!(agent->log[i].at & DMP_AGENT_KINDS))
			agent->log[i].at = guest_address(m, agent->log[i].at);
}

/* All but some of the log is taken, by what changes nothing. */
static void limit_log(struct machine *m, struct dmp_agent *agent)
{
	u32 room = m->agent_room;

	if (!room && (m->calm || !m_chance(m, 3)))
		return;
	room = room ? room - 1 : m_below(m, 20);
	for (agent->logged = 0; agent->logged < DMP_AGENT_LOG_MAX - room;)
		agent->log[agent->logged++] = (struct dmp_agent_change){
			(u64)&agent->delivered, agent->delivered };
}

bool m_agent(struct machine *m)
{
	struct dmp_agent *agent = &m->splicer->implant->agent;
	u64 links = agent->links, unlinks = agent->unlinks;
	volatile bool done = false;

	machine = m;
	m->pool_empty += !agent->ready_count;
	m->pool_full += agent->freed_count == DMP_POOL_MAX;
	steps_left = m->agent_stop ? m->agent_stop - 1 :
		     !m->calm && m_chance(m, 30) ? m_below(m, M_AGENT_STEPS) : ~0u;
	limit_log(m, agent);
	note_found(m);
	if (!setjmp(stopped)) {
		done = dmp_agent_follow(m->splicer->implant);
		m->agent_asks += !done;
	} else {
		m->agent_stops++;
	}
	if (agent->done != done || (done && agent->logged))
		m_fail(m, "the agent returned %d, logged %u", done, agent->logged);
	m->agent_dones += done;
	m->agent_links += agent->links - links;
	m->agent_unlinks += agent->unlinks - unlinks;
	if (!done) {
		check_log(m);
		show_log(m);
	}
	return done;
}

/* The error code the CPU has for it; false: not one that the agent sees. */
static bool make_error(struct machine *m, u64 gva, u32 access, u64 *error)
{
	struct machine_walk walk;

	m_walk_machine(m, gva, &walk);
	*error = access & (DMP_PF_W | DMP_PF_U | DMP_PF_I);
	if (walk.trap)
		*error |= DMP_PF_RSVD | (m_chance(m, 50) ? DMP_PF_P : 0);
	else if (walk.mapped)
		*error |= DMP_PF_P;
	return walk.trap || walk.mapped;
}

/* The guest's leaf of @gva, or 0. */
static u64 leaf_now(struct machine *m, u64 gva)
{
	struct ref_walk walk;

	m_ref_walk(m, m->cr3_gfn, gva, DMP_ACCESS_AC, &walk);
	return walk.kind != REF_MAPPED ? 0 :
	       ((u64 *)m_real(m, walk.table[walk.leaf]))[walk.index[walk.leaf]];
}

/* What the agent says it did, it did, and counts. */
static void check_answer(struct machine *m, u64 gva, u64 error, u32 answer, u64 was,
			 const struct dmp_agent *before)
{
	const struct dmp_agent *agent = &m->splicer->implant->agent;
	u64 want = DMP_PTE_A | (error & DMP_PF_W ? DMP_PTE_D : 0);

	if (agent->resolved != before->resolved + (answer == DMP_AGENT_RESOLVED) ||
	    agent->delivered != before->delivered + (answer == DMP_AGENT_DELIVER))
		m_fail(m, "the agent answered %u: resolved %llu, delivered %llu", answer,
		       agent->resolved, agent->delivered);
	if (answer != DMP_AGENT_RESOLVED)
		return;
	if (!(want & ~was) || want & ~leaf_now(m, gva))
		m_fail(m, "the agent resolved %#llx at %#llx: now %#llx", was, gva,
		       leaf_now(m, gva));
	m->agent_lazy_d += error & DMP_PF_W && was & DMP_PTE_A;
}

u32 m_agent_fault(struct machine *m, u64 gva, u32 access, u32 *error_code)
{
	struct dmp_left left = {
		.kind = DMP_LEFT_FAULT_ASKED, .unfinished = true,
	};
	struct dmp_fault_frame frame = {
		.rflags = access & DMP_ACCESS_AC ? 1u << 18 : 0,
	};
	volatile u32 answer = DMP_AGENT_ASK;
	struct dmp_agent *agent, before;
	u64 error, was;

	if (!m->splicer || !m->splicer->active || m_chance(m, 30) ||
	    !make_error(m, gva, access, &frame.error_code) || !m_can_work(m))
		return DMP_AGENT_ASK;
	agent = &m->splicer->implant->agent;
	agent->logged = 0;
	agent->done = 0;
	before = *agent;
	error = frame.error_code;
	was = leaf_now(m, gva);
	machine = m;
	/* Large pages take more than a thousand. */
	steps_left = m_chance(m, 30) ? m_below(m, m_chance(m, 50) ? 12 : 1200) : ~0u;
	if (!setjmp(stopped))
		answer = dmp_agent_fault(m->splicer->implant, gva, &frame);
	else
		m->agent_stops++;
	/* As dmp_filter_leave(), when it is stopped at its last instructions. */
	if (agent->done)
		answer = DMP_AGENT_RESOLVED;
	m->agent_answers[answer]++;
	*error_code = frame.error_code;
	check_answer(m, gva, error, answer, was, &before);
	if (answer != DMP_AGENT_ASK || !agent->logged)
		return answer;
	show_log(m);
	m->in_engine = true;
	dmp_splicer_finish(m->mmu, &left);
	m_after_call(m);
	/* Before the VMM does the same work, which would hide what is left of it. */
	if (m->calm || m_chance(m, 20))
		m_audit(m);
	return answer;
}
