// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the files of a VM say; see show.h.
 */
#include "charge.h"
#include "code/agent.h"
#include "mmu.h"
#include "mode.h"
#include "show.h"
#include "splicer/relic.h"
#include "splicer/site_names.h"
#include "splicer/space.h"
#include "stats.h"

static const char * const kind_name[DMP_KIND_COUNT] = {
	[DMP_KIND_NONE]		= "none",
	[DMP_KIND_PF_GUEST]	= "guest",
	[DMP_KIND_PF_HIDDEN]	= "hidden",
	[DMP_KIND_PF_TABLE]	= "table",
	[DMP_KIND_PF_MMIO]	= "mmio",
};

/* Exact sums over all vCPUs. */
struct vm_totals {
	u64 exits, charged, evictions, epochs, bound, slots;
	u64 kind[DMP_KIND_COUNT];
	u64 outside[DMP_KIND_COUNT];
};

static void sum_totals(struct kvm *kvm, struct vm_totals *t)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	unsigned int k;

	memset(t, 0, sizeof(*t));
	kvm_for_each_vcpu(i, vcpu, kvm) {
		const struct dmp_monitor *m = kvm_dmp_monitor_of(vcpu);

		t->exits += vcpu->stat.exits;
		if (!m)
			continue;
		t->charged += dmp_monitor_total(m);
		t->evictions += dmp_monitor_evictions(m);
		t->epochs += dmp_monitor_epochs(m);
		t->bound += dmp_monitor_unlisted_bound(m);
		t->slots += dmp_monitor_slots(m);
		for (k = 0; k < DMP_KIND_COUNT; k++) {
			t->kind[k] += dmp_monitor_kind_total(m, k);
			t->outside[k] += vcpu->arch.dmp->outside[k];
		}
	}
}

static void show_codes(struct seq_file *s, struct kvm *kvm)
{
	unsigned int tally, kind;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 n;

	for (tally = 0; tally < DMP_TALLIES; tally++) {
		n = 0;
		kvm_for_each_vcpu(i, vcpu, kvm) {
			const struct dmp_monitor *m = kvm_dmp_monitor_of(vcpu);

			for (kind = 0; m && kind < DMP_KIND_COUNT; kind++)
				n += dmp_monitor_tally(m, tally, kind);
		}
		if (n)
			seq_printf(s, "total code=0x%x n=%llu\n",
				   dmp_tally_code(tally), n);
	}
}

/* Where the guest's system calls enter: tells its kernel's load address. */
static u64 guest_lstar(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);
	struct msr_data msr = { .index = MSR_LSTAR, .host_initiated = true };

	if (!vcpu || static_call(kvm_x86_get_msr)(vcpu, &msr))
		return 0;
	return msr.data;
}

static void show_machine_stats(struct seq_file *s, const struct dmp_mmu_stats *t)
{
	seq_printf(s, "fault name=guest n=%llu\n", t->guest_faults);
	seq_printf(s, "fault name=lazy-a n=%llu\n", t->lazy_a);
	seq_printf(s, "fault name=lazy-d n=%llu\n", t->lazy_d);
	seq_printf(s, "fault name=table n=%llu\n", t->table_writes);
	seq_printf(s, "fault name=no-ram n=%llu\n", t->no_ram);
	seq_printf(s, "fault name=rom n=%llu\n", t->ro_writes);
	seq_printf(s, "fault name=spurious n=%llu\n", t->spurious);
	seq_printf(s, "fault name=lazy-vmm n=%llu\n", t->lazy_vmm);
	seq_printf(s, "fault name=repaired n=%llu\n", t->repaired);
	seq_printf(s, "promotions %llu\n", t->promotions);
	seq_printf(s, "demotions %llu\n", t->demotions);
	seq_printf(s, "alias_searches %llu\n", t->alias_searches);
	seq_printf(s, "stale_tables %llu\n", t->stale_found);
	seq_printf(s, "root_loads %llu\n", t->root_loads);
	seq_printf(s, "root_builds %llu\n", t->root_builds);
	seq_printf(s, "root_evictions %llu\n", t->root_evictions);
	seq_printf(s, "entries_followed %llu\n", t->entries_followed);
	seq_printf(s, "tlb_flushes %llu\n", t->flushes);
}

static void show_finding(struct seq_file *s, const struct dmp_finding *f)
{
	if (f->what)
		seq_printf(s, "finding gfn=0x%llx level=%u index=%u guest=0x%llx machine=0x%llx %s\n",
			   f->gfn, f->level, f->index, f->guest, f->machine,
			   f->what);
}

/* Until the rate of faults counts again; without a fault nothing asks. */
static u64 retry_ms(const struct dmp_policy *p)
{
	u64 now = ktime_get_ns();

	return p->not_before > now ?
	       div_u64(p->not_before - now, NSEC_PER_MSEC) : 0;
}

static void show_policy(struct seq_file *s, const struct dmp_policy *p)
{
	unsigned int i;

	seq_printf(s, "state %s\n", dmp_state_name(p->state));
	seq_printf(s, "reason %s\n", dmp_reason_name(p->reason));
	if (p->detail)
		seq_printf(s, "detail %s\n", dmp_broken_name(p->detail));
	if (p->state == DMP_STATE_BACKED_OFF)
		seq_printf(s, "retry_ms %llu\n", retry_ms(p));
	seq_printf(s, "engagements %llu\n", p->engagements);
	seq_printf(s, "refusals %llu\n", p->refusals);
	seq_printf(s, "disengagements %llu\n", p->disengagements);
	for (i = 0; i < DMP_REASONS; i++)
		if (p->by_reason[i])
			seq_printf(s, "ended reason=%s n=%llu\n",
				   dmp_reason_name(i), p->by_reason[i]);
}

static void show_splicer(struct seq_file *s, const struct kvm_dmp_vm *vm)
{
	const struct dmp_mmu *mmu = vm->engine ? &vm->engine->mmu : NULL;
	const struct dmp_splicer *sp = mmu ? mmu->splicer : NULL;

	seq_printf(s, "spliced %d\n", sp && sp->active);
	if (vm->splice_refusal)
		seq_printf(s, "splice_refusal %s\n",
			   dmp_start_refusal_name(vm->splice_refusal));
	if (!sp)
		return;
	seq_printf(s, "guarded %d\n", sp->guarded);
	if (sp->lidts.watched)
		seq_printf(s, "lidt instructions=%u pages=%llu doubtful=%llu\n", sp->lidts.count,
			   sp->lidts.pages, sp->lidts.doubtful);
	seq_printf(s, "handler 0x%llx\n", sp->prologue.rip);
	seq_printf(s, "implant 0x%llx\n", sp->implant_gva);
	seq_printf(s, "stubs %llu\n", sp->stubs);
	seq_printf(s, "undone %llu\n", sp->undone);
	seq_printf(s, "finished %llu\n", sp->finished);
	seq_printf(s, "filter_lazy_a %llu\n", sp->implant->lazy_a);
	seq_printf(s, "agent_resolved %llu\n", sp->implant->agent.resolved);
	seq_printf(s, "agent_delivered %llu\n", sp->implant->agent.delivered);
	seq_printf(s, "agent_leaves %llu\n", sp->implant->agent.leaves);
	seq_printf(s, "agent_links %llu\n", sp->implant->agent.links);
	seq_printf(s, "agent_unlinks %llu\n", sp->implant->agent.unlinks);
	seq_printf(s, "stub_misses %llu\n", sp->implant->misses);
}

/* Machine tables: the engine's state, and sums over all its lives. */
static void show_engine(struct seq_file *s, struct kvm_dmp_vm *vm)
{
	const struct kvm_dmp_engine *e;
	struct dmp_mmu_stats sum;

	mutex_lock(&vm->engine_lock);
	show_policy(s, &vm->policy);
	e = vm->engine;
	sum = vm->stats;
	if (e)
		kvm_dmp_add_stats(&sum, &e->mmu.stats);
	seq_printf(s, "tables %u\n", e ? e->mmu.tables : 0);
	seq_printf(s, "roots %u\n", e ? e->mmu.roots : 0);
	seq_printf(s, "engine_bytes %llu\n", kvm_dmp_engine_bytes(e));
	seq_printf(s, "pinned_pages %lu\n", e ? e->frames : 0ul);
	seq_printf(s, "work_most %llu\n", e ? e->mmu.work_most : 0ull);
	seq_printf(s, "work_max %llu\n", e ? e->mmu.work_max : 0ull);
	seq_printf(s, "prepare_ns %llu\n", e ? e->prepare_ns : 0ull);
	seq_printf(s, "engage_ns %llu\n", e ? e->engage_ns : 0ull);
	seq_printf(s, "audits %llu\n", vm->audits);
	seq_printf(s, "relics %u\n", READ_ONCE(vm->relics) ? vm->relics->noted : 0);
	seq_printf(s, "relic_runs %llu\n", vm->relic_runs);
	seq_printf(s, "relic_repairs %llu\n", vm->relic_repairs);
	seq_printf(s, "user_fault_exits %llu\n", vm->user_fault_exits);
	show_splicer(s, vm);
	show_finding(s, &vm->finding);
	show_machine_stats(s, &sum);
	mutex_unlock(&vm->engine_lock);
}

int kvm_dmp_show_status(struct seq_file *s, void *v)
{
	struct kvm *kvm = s->private;
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct vm_totals t;
	unsigned int k;

	sum_totals(kvm, &t);
	seq_puts(s, "version 1\n");
	seq_printf(s, "isa %s\n", kvm_x86_ops.dmp->isa);
	seq_printf(s, "mode %s\n", kvm_dmp_mode_name[READ_ONCE(vm->mode)]);
	seq_printf(s, "paging %s\n", tdp_enabled ? "nested" : "shadow");
	seq_printf(s, "vcpus %d\n", atomic_read(&kvm->online_vcpus));
	seq_printf(s, "exits %llu\n", t.exits);
	seq_printf(s, "charged %llu\n", t.charged);
	seq_printf(s, "evictions %llu\n", t.evictions);
	seq_printf(s, "epochs %llu\n", t.epochs);
	seq_printf(s, "slots %llu\n", t.slots);
	seq_printf(s, "bound %llu\n", t.bound);
	seq_printf(s, "lstar 0x%llx\n", guest_lstar(kvm));
	if (READ_ONCE(vm->no_memory))
		seq_puts(s, "problem no memory for the monitor of some vCPU\n");
	show_engine(s, vm);
	show_codes(s, kvm);
	for (k = 0; k < DMP_KIND_COUNT; k++)
		seq_printf(s, "kind name=%s n=%llu outside=%llu\n", kind_name[k],
			   t.kind[k], t.outside[k]);
	return 0;
}

static void show_row(struct seq_file *s, unsigned int vcpu_id,
		     const struct dmp_monitor_row *row)
{
	/* The estimate as the bounds give it: at most `over` too high. */
	u64 over = row->high - row->low;

	seq_printf(s, "vcpu=%u rip=0x%llx cpl=%u code=0x%x kind=%s arg=0x%x ",
		   vcpu_id, row->key.rip, row->key.cpl, row->key.code,
		   kind_name[row->key.kind], row->key.arg);
	seq_printf(s, "hits=%llu weight=%llu over=%llu exact=%d bytes=",
		   row->hits, row->weight, over,
		   !!(row->flags & DMP_ENTRY_EXACT));
	if (row->len)
		seq_printf(s, "%*phN\n", row->len, row->bytes);
	else
		seq_puts(s, "-\n");
}

int kvm_dmp_show_hot(struct seq_file *s, void *v)
{
	struct kvm *kvm = s->private;
	struct dmp_monitor_row row;
	struct kvm_vcpu *vcpu;
	unsigned int slot;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		const struct dmp_monitor *m = kvm_dmp_monitor_of(vcpu);

		for (slot = 0; m && slot < dmp_monitor_slots(m); slot++)
			if (dmp_monitor_read(m, slot, &row) == DMP_READ_ROW)
				show_row(s, vcpu->vcpu_id, &row);
	}
	return 0;
}

static void show_site(struct seq_file *s, const struct dmp_site *site)
{
	if (site->state == DMP_SITE_FREE)
		return;
	seq_printf(s, "rip=0x%llx state=%s tactic=%s form=%s ", site->rip,
		   dmp_site_state_name(site->state),
		   dmp_tactic_name(dmp_site_tactic(site)),
		   site->insn_len ? dmp_insn_form_name(site->form) : "-");
	seq_printf(s, "traps=%llu since=%llu finished=%llu undos=%u reason=%s ",
		   site->traps, site->since, site->finished, site->undos,
		   site->state == DMP_SITE_REFUSED ?
		   dmp_site_refusal_name(site) : "-");
	if (site->state == DMP_SITE_SPLICED)
		seq_printf(s, "stub=0x%llx size=%u insns=%u ", site->stub.gva,
			   site->stub.size, site->stub.plan.count);
	if (site->state == DMP_SITE_SPLICED)
		seq_printf(s, "bytes=%*phN\n", site->shown, site->original);
	else if (site->insn_len)
		seq_printf(s, "bytes=%*phN\n", site->insn_len, site->insn);
	else
		seq_puts(s, "bytes=-\n");
}

int kvm_dmp_show_sites(struct seq_file *s, void *v)
{
	struct kvm *kvm = s->private;
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	const struct dmp_splicer *sp;
	unsigned int i;

	mutex_lock(&vm->engine_lock);
	sp = vm->engine ? vm->engine->mmu.splicer : NULL;
	if (sp)
		show_site(s, &sp->prologue);
	for (i = 0; sp && i < sp->sites; i++)
		show_site(s, &sp->site[i]);
	mutex_unlock(&vm->engine_lock);
	return 0;
}

/* %ph takes 64 bytes at the most. */
static void show_bytes(struct seq_file *s, const u8 *bytes, unsigned int n)
{
	unsigned int i, some;

	for (i = 0; i < n; i += some) {
		some = min(n - i, 64u);
		seq_printf(s, "%*phN", some, bytes + i);
	}
	seq_putc(s, '\n');
}

/* A stub, past or present: @site's. */
static void show_stub(struct seq_file *s, const struct dmp_splicer *sp,
		      const struct dmp_site *site)
{
	u64 gva = site->stub.gva;
	unsigned int i;

	for (i = 0; gva && i < sp->rooms; i++) {
		if (gva - sp->room[i].gva >= PAGE_SIZE)
			continue;
		seq_printf(s, "gva=0x%llx rip=0x%llx bytes=", gva, site->rip);
		show_bytes(s, sp->room[i].page + (gva - sp->room[i].gva),
			   site->stub.code);
	}
}

/* Page by page: they are not next to each other in the host's memory. */
static void show_agent(struct seq_file *s, const struct kvm_dmp_engine *e)
{
	u64 gva = e->mmu.splicer->agent_gva, end = gva + dmp_agent_code_bytes();
	unsigned int n;
	u64 hfn;

	for (; gva < end; gva += n) {
		n = min_t(u64, end - gva, PAGE_SIZE);
		if (!dmp_space_lookup(&e->mmu, gva, &hfn))
			return;
		seq_printf(s, "gva=0x%llx rip=0x%llx bytes=", gva, gva);
		show_bytes(s, dmp_hfn_va(&e->mmu, hfn), n);
	}
}

/* What runs in the guest: filter, agent, stubs, their constants left out. */
int kvm_dmp_show_code(struct seq_file *s, void *v)
{
	struct kvm *kvm = s->private;
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	const struct dmp_splicer *sp;
	unsigned int i;
	u64 hfn;

	mutex_lock(&vm->engine_lock);
	sp = vm->engine ? vm->engine->mmu.splicer : NULL;
	if (sp && dmp_space_lookup(&vm->engine->mmu, sp->filter_gva, &hfn)) {
		seq_printf(s, "gva=0x%llx rip=0x%llx bytes=", sp->filter_gva,
			   sp->filter_gva);
		show_bytes(s, dmp_hfn_va(&vm->engine->mmu, hfn),
			   dmp_filter_code_bytes(sp->guarded));
		show_agent(s, vm->engine);
		show_stub(s, sp, &sp->prologue);
	}
	for (i = 0; sp && i < sp->sites; i++)
		show_stub(s, sp, &sp->site[i]);
	mutex_unlock(&vm->engine_lock);
	return 0;
}
