// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model machine; see model.h. Its host: memory, and the calls to the engine.
 * Host pages that are free are poisoned for ASan, so the engine cannot touch them
 * unnoticed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "mmu/machine.h"
#include "splicer/finish.h"
#include "splicer/leave.h"
#include "splicer/target.h"
#include "model_parts.h"

/*
 * ---- Randomness and failure ----
 */

u64 m_random(struct machine *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng * 0x2545f4914f6cdd1dull;
}

u64 m_below(struct machine *m, u64 n)
{
	return (m_random(m) >> 16) % n;
}

bool m_chance(struct machine *m, unsigned int percent)
{
	return m_below(m, 100) < percent;
}

void m_fail(struct machine *m, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "step %llu (%s): ", m->step, m->op ? m->op : "?");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nreplay: DMP_SEED=%llu DMP_STEPS=%llu\n", m->seed,
		m->step + 1);
	fflush(NULL);
	_exit(1);	/* the arena is poisoned: nothing to unwind through */
}

/*
 * ---- Host memory ----
 */

void *m_page(const struct machine *m, u64 hfn)
{
	return m->arena + ((hfn - 1) << DMP_PAGE_SHIFT);
}

static u64 take_page(struct machine *m, enum page_state state)
{
	u64 hfn;

	if (!m->nfree)
		return 0;
	hfn = m->free[--m->nfree];
	ASAN_UNPOISON_MEMORY_REGION(m_page(m, hfn), DMP_PAGE_SIZE);
	memset(m_page(m, hfn), 0, DMP_PAGE_SIZE);
	m->state[hfn] = state;
	return hfn;
}

static u64 host_alloc_page(void *host)
{
	struct machine *m = host;
	u64 hfn;

	m->allocs++;
	if (m->fail_at && (m->fail_once ? m->allocs == m->fail_at :
					  m->allocs >= m->fail_at))
		return 0;
	hfn = take_page(m, PAGE_ENGINE);
	m->live_pages += !!hfn;
	return hfn;
}

static void host_free_page(void *host, u64 hfn)
{
	struct machine *m = host;
	u32 other;

	if (!hfn || hfn > M_HOST_PAGES || m->state[hfn] != PAGE_ENGINE)
		m_fail(m, "freed a page that is not the engine's: %#llx", hfn);
	m->state[hfn] = PAGE_FREE;
	m->live_pages--;
	memset(m_page(m, hfn), 0xa5, DMP_PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(m_page(m, hfn), DMP_PAGE_SIZE);
	/* Anywhere in the stack: now and then reused at once, mostly not. */
	m->free[m->nfree++] = hfn;
	other = m_below(m, m->nfree);
	m->free[m->nfree - 1] = m->free[other];
	m->free[other] = hfn;
}

u64 *m_real(struct machine *m, u64 gfn)
{
	return m_page(m, m->hfn_of[gfn]);
}

u64 *m_ref(struct machine *m, u64 gfn)
{
	return (u64 *)(m->ref + (gfn << DMP_PAGE_SHIFT));
}

bool m_is_ram(struct machine *m, u64 gfn)
{
	return gfn < M_GFNS && m->hfn_of[gfn];
}

bool m_is_rom(u64 gfn)
{
	return gfn - M_ROM < M_ROM_PAGES;
}

void m_store(struct machine *m, u64 gfn, unsigned int offset,
	     const void *data, unsigned int bytes)
{
	memcpy((char *)m_real(m, gfn) + offset, data, bytes);
	memcpy((char *)m_ref(m, gfn) + offset, data, bytes);
}

bool m_is_held(struct machine *m, u64 gfn)
{
	unsigned int s;

	for (s = 0; s < m->mmu->slots; s++)
		if (gfn - m->mmu->slot[s].base_gfn < m->mmu->slot[s].npages)
			return m->mmu->slot[s].frames[gfn -
					m->mmu->slot[s].base_gfn].held;
	return false;
}

/*
 * ---- The engine ----
 */

static bool host_go_on(void *host)
{
	struct machine *m = host;

	return ++m->pauses != m->stop_at;
}

static const struct dmp_host_ops host_ops = {
	.alloc_page = host_alloc_page,
	.free_page = host_free_page,
	.flush_tlb = m_host_flush_tlb,
	.go_on = host_go_on,
	.page_hfn = m_host_page_hfn,
};

/* What costs a table's length was counted: searches, and new tables. */
static void check_work(struct machine *m)
{
	const struct dmp_mmu_stats *stats = &m->mmu->stats;
	u64 n = stats->alias_searches + stats->splits + stats->promotions;

	if (!m->mmu->broken && m->mmu->work < (n - m->worked) * DMP_ENTRIES)
		m_fail(m, "%llu entries for %llu tables and searches", m->mmu->work,
		       n - m->worked);
	m->worked = n;
}

/* After every call of the engine's. */
void m_after_call(struct machine *m)
{
	m->in_engine = false;
	dmp_target_settle(m->mmu);
	check_work(m);
	dmp_mmu_call_ends(m->mmu);
	if (m->mmu->broken && !m->broken) {
		bool may = m->may_break >> m->mmu->broken & 1;

		/* With one CPU and no stray writers nothing else may happen. */
		if (!may && m->mmu->broken != DMP_BROKEN_NO_MEMORY &&
		    m->mmu->broken != DMP_BROKEN_TOO_MANY_TABLES &&
		    !(m->hostile && m->mmu->broken == DMP_BROKEN_TABLE_NOT_RAM))
			m_fail(m, "broken: %s (%s)",
			       dmp_broken_name(m->mmu->broken),
			       m->mmu->finding.what ? m->mmu->finding.what : "");
		if (!may && !m->hostile && !m->fail_at)
			m_fail(m, "broken: %s",
			       dmp_broken_name(m->mmu->broken));
		m_check_memory(m);
		m->broken = true;
		m_tlb_forget(m);
		return;
	}
	m_check_tlb(m);
	m_check_tables(m);
	m_check_cache(m);
}

void m_audit(struct machine *m)
{
	const struct dmp_finding *f = &m->mmu->finding;

	if (m->broken || dmp_mmu_audit(m->mmu))
		return;
	m_fail(m, "audit: %s: gfn %#llx level %u index %u guest %#llx machine %#llx",
	       f->what, f->gfn, f->level, f->index, f->guest, f->machine);
}

/* As a stub does it, when the CPU lets it, and the VMM when it next looks. */
static bool load_alone(struct machine *m)
{
	struct dmp_left left = {
		.unfinished = true, .switched = DMP_SWITCHED_ONLY,
	};
	u64 cr3 = m->cr3_gfn << DMP_PAGE_SHIFT;
	const struct dmp_cr3_target *target;
	struct dmp_implant *implant;
	unsigned int i;

	if (!m->mmu->splicer || !m->mmu->splicer->active)
		return false;
	implant = m->mmu->splicer->implant;
	for (i = 0; i < DMP_TARGETS_MAX; i++) {
		target = &implant->target[i];
		if (target->machine && !(target->minus_cr3 + cr3))
			break;
	}
	if (i == DMP_TARGETS_MAX)
		return false;
	implant->root = target->root;
	implant->guest_root = target->guest_root;
	implant->private = target->private;
	implant->here = target->machine;
	dmp_filter_forget(implant);
	implant->guest_cr3 = cr3;
	m->cr3_hfn = dmp_pte_gfn(target->machine);
	m->targets++;
	m->in_engine = true;
	dmp_splicer_finish(m->mmu, &left);
	m_after_call(m);
	return true;
}

void m_load_root(struct machine *m)
{
	if (m->broken || load_alone(m))
		return;
	m->in_engine = true;
	m->cr3_hfn = m_chance(m, 50) ? dmp_mmu_switch_root(m->mmu, m->cr3_gfn) : 0;
	m->switches += !!m->cr3_hfn;
	if (!m->cr3_hfn)
		m->cr3_hfn = dmp_mmu_load_root(m->mmu, m->cr3_gfn);
	if (m->cr3_hfn && m->mmu->splicer)
		m->mmu->splicer->implant->guest_cr3 = m->cr3_gfn << DMP_PAGE_SHIFT;
	m_after_call(m);
	if (!m->broken && !m->cr3_hfn)
		m_fail(m, "no machine root, and not broken");
}

/* A struct dmp_mmu begins with nothing known of a frame but its host frame. */
static void forget_frames(struct machine *m)
{
	unsigned int s;
	u64 i;

	for (s = 0; s < m->mmu->slots; s++)
		for (i = 0; i < m->mmu->slot[s].npages; i++)
			if (m->mmu->slot[s].frames[i].leaf)
				m->mmu->slot[s].frames[i] = dmp_frame_make(
					dmp_frame_hfn(&m->mmu->slot[s].frames[i]),
					m->mmu->slot[s].flags);
}

void m_engage(struct machine *m)
{
	m->broken = false;
	forget_frames(m);
	m_load_root(m);
}

void m_disengage(struct machine *m)
{
	struct dmp_mmu *mmu = m->mmu;
	struct dmp_mmu fresh = {
		.ops = mmu->ops, .host = mmu->host, .va_base = mmu->va_base,
		.paging = mmu->paging, .slots = mmu->slots,
		.roots_max = mmu->roots_max, .tables_max = mmu->tables_max,
	};

	dmp_mmu_destroy(mmu);
	m_tlb_forget(m);
	if (m->live_pages || mmu->pages)
		m_fail(m, "%llu pages leaked, %llu counted", m->live_pages,
		       mmu->pages);
	memcpy(fresh.slot, mmu->slot, sizeof(fresh.slot));
	*mmu = fresh;
	m->worked = 0;
	free(m->splicer);
	m->splicer = NULL;
	m->broken = true;
	m_check_memory(m);
}

/*
 * ---- Power on, power off ----
 */

static void *grab(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		abort();
	return p;
}

static void add_slot(struct machine *m, u64 base, u64 npages, u32 flags)
{
	struct dmp_slot *slot = &m->mmu->slot[m->mmu->slots];
	struct dmp_frame *frames = m->records + base;
	u64 i, hfn;

	m->mmu->slots++;
	*slot = (struct dmp_slot){ base, npages, flags, frames };
	for (i = 0; i < npages; i++) {
		if (base + i - M_HOLE < M_HOLE_PAGES)
			continue;
		hfn = take_page(m, PAGE_GUEST);
		frames[i] = dmp_frame_make(hfn, flags);
		m->hfn_of[base + i] = hfn;
		m->gfn_of[hfn] = base + i;
	}
}

/* Whether the guest's memory lies in the host's as it would with large pages. */
static bool in_order(u64 seed)
{
	return (seed >> 1) % 4 == 1;
}

void m_start(struct machine *m, u64 seed, unsigned int levels, u16 flags)
{
	u32 i, j, swap;

	*m = (struct machine){ .seed = seed, .op = "start" };
	m->rng = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	m->mmu = grab(1, sizeof(*m->mmu));
	m->arena = mmap(NULL, (size_t)M_HFNS << DMP_PAGE_SHIFT,
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->arena == MAP_FAILED)
		abort();
	m->state = grab(M_HFNS + 1, 1);
	m->gfn_of = grab(M_HFNS + 1, sizeof(*m->gfn_of));
	m->free = grab(M_HOST_PAGES, sizeof(*m->free));
	m->hfn_of = grab(M_GFNS, sizeof(*m->hfn_of));
	m->ref = grab(M_GFNS, DMP_PAGE_SIZE);
	for (i = 0; i < M_HOST_PAGES; i++)
		m->free[m->nfree++] = M_HOST_PAGES - i;
	for (i = M_HOST_PAGES - 1; i > 0 && !in_order(seed); i--) {
		j = m_below(m, i + 1);
		swap = m->free[i];
		m->free[i] = m->free[j];
		m->free[j] = swap;
	}
	ASAN_POISON_MEMORY_REGION(m->arena, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT);
	memset(m->state + M_HOST_PAGES + 1, PAGE_HOST, M_HFNS - M_HOST_PAGES);
	m->records = m_page(m, M_HOST_PAGES + 1);
	m->mmu->ops = &host_ops;
	m->mmu->host = m;
	m->mmu->roots_max = M_ROOTS;
	m->mmu->va_base = m->arena - DMP_PAGE_SIZE;
	m->mmu->paging = (struct dmp_paging){
		.levels = levels, .guest_phys_bits = 40, .flags = flags,
		.trap_bit = TRAP_BIT,
		.trap_fill = 0x1full << 41,
	};
	add_slot(m, 0, M_LOW_PAGES, 0);
	add_slot(m, M_ROM, M_ROM_PAGES, DMP_SLOT_RO);
	add_slot(m, M_HIGH, M_HIGH_PAGES, 0);
	m->broken = true;
}

void m_stop(struct machine *m)
{
	ASAN_UNPOISON_MEMORY_REGION(m->arena, (size_t)M_HOST_PAGES << DMP_PAGE_SHIFT);
	munmap(m->arena, (size_t)M_HFNS << DMP_PAGE_SHIFT);
	free(m->splicer);
	free(m->mmu);
	free(m->state);
	free(m->gfn_of);
	free(m->free);
	free(m->hfn_of);
	free(m->ref);
}
