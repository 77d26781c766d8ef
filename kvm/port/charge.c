// SPDX-License-Identifier: GPL-2.0-only
/*
 * Charging exits to guest instructions. What is said to be nothing else runs in the vCPU's
 * own thread.
 */
#include <linux/mm.h>
#include <linux/random.h>

#include "arch/pte.h"
#include "charge.h"
#include "kvm_cache_regs.h"
#include "x86.h"

#define CREATE_TRACE_POINTS
#include "dmp_trace.h"

/*
 * What the guest has at @gva, within one page, by its tables as they are: unlike
 * KVM's own walk this sets no A, for the CPU may not have fetched anything there.
 * Not in the paging modes from before long mode. SDM vol. 3, 4.5.
 */
static bool peek(struct kvm_vcpu *vcpu, u64 gva, u8 *bytes, unsigned int count)
{
	unsigned int level = kvm_read_cr4_bits(vcpu, X86_CR4_LA57) ? 5 : 4;
	u64 gpa = kvm_read_cr3(vcpu), entry, mask;

	if (!is_paging(vcpu))
		return !kvm_vcpu_read_guest(vcpu, gva, bytes, count);
	if (!is_long_mode(vcpu))
		return false;
	for (;; level--) {
		gpa = (gpa & DMP_PTE_ADDR) + dmp_index(gva, level) * sizeof(entry);
		if (kvm_vcpu_read_guest(vcpu, gpa, &entry, sizeof(entry)) ||
		    !(entry & DMP_PTE_P))
			return false;
		if (dmp_pte_is_leaf(entry, level))
			break;
		gpa = entry;
	}
	mask = (dmp_level_pages(level) << PAGE_SHIFT) - 1;
	gpa = (entry & DMP_PTE_ADDR & ~mask) | (gva & mask);
	return !kvm_vcpu_read_guest(vcpu, gpa, bytes, count);
}

/*
 * The bytes at the instruction's address, as far as its page reaches when the
 * next one is not there. Best effort: what an exit did (a CR3 load from user
 * space, say) may already have changed what is mapped.
 */
static unsigned int fetch_insn(struct kvm_vcpu *vcpu, u64 rip, u8 *bytes)
{
	unsigned int rest = PAGE_SIZE - offset_in_page(rip);
	unsigned int here = min_t(unsigned int, rest, DMP_INSN_MAX);

	if (is_guest_mode(vcpu) || !peek(vcpu, rip, bytes, here))
		return 0;
	if (here == DMP_INSN_MAX ||
	    !peek(vcpu, rip + here, bytes + here, DMP_INSN_MAX - here))
		return here;
	return DMP_INSN_MAX;
}

/*
 * Not in the fast path, nor when the vCPU is put. preemptible() says so only in
 * kernels that count.
 */
static bool may_sleep(struct kvm_vcpu *vcpu)
{
	return !irqs_disabled() && !vcpu->arch.dmp->putting;
}

static void charge_event(struct kvm_vcpu *vcpu, const struct dmp_exit_key *key,
			 enum dmp_monitor_event event)
{
	struct dmp_monitor *m = vcpu->arch.dmp->monitor;
	unsigned int slot = dmp_monitor_event_slot(m);
	u8 bytes[DMP_INSN_MAX];
	unsigned int len;

	/* Where one may not sleep guest memory may not be read: later, then. */
	if (event == DMP_EVENT_CAPTURE && may_sleep(vcpu)) {
		len = fetch_insn(vcpu, key->rip, bytes);
		if (len)
			dmp_monitor_set_bytes(m, slot, bytes, len);
	}
	trace_kvm_dmp_hot(vcpu->vcpu_id, key);
}

/* The stat fields are indexed by kind. */
static_assert(offsetof(struct kvm_vcpu_stat, dmp_pf_mmio) -
	      offsetof(struct kvm_vcpu_stat, dmp_exits) ==
	      DMP_KIND_PF_MMIO * sizeof(u64));

/* Charge what is in a slot of the batch, and empty it. */
static void charge_slot(struct kvm_vcpu *vcpu, struct dmp_batch_slot *slot)
{
	struct dmp_exit_key key = dmp_exit_key_of(slot->rip, slot->meta);
	struct kvm_dmp_vm *vm = vcpu->kvm->arch.dmp;
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	enum dmp_monitor_event event;
	u64 n = slot->count;

	if (!n)
		return;
	slot->count = 0;
	vcpu->stat.dmp_exits += n;
	if (key.kind) {
		(&vcpu->stat.dmp_exits)[key.kind] += n;
		atomic64_add(n, &vm->faults);
		/* The policy looks at it where one may sleep. */
		if (static_branch_unlikely(&kvm_dmp_machine) &&
		    !READ_ONCE(vm->engaged))
			kvm_make_request(KVM_REQ_DMP, vcpu);
	}
	event = dmp_monitor_charge_many(d->monitor, &key, n);
	if (event != DMP_EVENT_NONE)
		charge_event(vcpu, &key, event);
}

void kvm_dmp_drain(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	unsigned int i;

	for (i = 0; i < DMP_BATCH_SLOTS; i++)
		charge_slot(vcpu, &d->batch.slot[i]);
}

static void reset(struct kvm_dmp_vcpu *d)
{
	memset(&d->batch, 0, sizeof(d->batch));
	dmp_monitor_reset(d->monitor);
	memset(d->outside, 0, sizeof(d->outside));
	cmpxchg(&d->charge, KVM_DMP_CHARGE_RESET, KVM_DMP_CHARGE_ON);
}

/*
 * There is no batch to count in: charging has ended, or is to begin anew. The
 * batch is given back without a lock; should charging end at this moment the
 * next exit but one comes here again.
 */
static noinline void end_uncounted(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->monitor)
		return;
	if (READ_ONCE(d->charge) == KVM_DMP_CHARGE_OFF) {
		kvm_dmp_drain(vcpu);
		return;
	}
	if (READ_ONCE(d->charge) == KVM_DMP_CHARGE_RESET)
		reset(d);
	WRITE_ONCE(vcpu->arch.dmp_exit.batch, &d->batch);
	smp_mb();	/* pairs with the one in set_vcpu_charge() */
	if (READ_ONCE(d->charge) != KVM_DMP_CHARGE_ON)
		WRITE_ONCE(vcpu->arch.dmp_exit.batch, NULL);
}

static noinline void end_other(struct kvm_vcpu *vcpu,
			       struct dmp_batch_slot *slot, u64 rip, u64 meta)
{
	charge_slot(vcpu, slot);
	dmp_batch_take(slot, rip, meta);
}

/*
 * With what the hooks before it take, this has 60 instructions. An exit is
 * counted in the batch; one in DMP_BATCH_MAX of the same kind charges them.
 */
void __kvm_dmp_exit_end(struct kvm_vcpu *vcpu)
{
	struct dmp_batch *batch = READ_ONCE(vcpu->arch.dmp_exit.batch);
	u64 rip = vcpu->arch.dmp_exit.rip;
	u64 meta = dmp_meta_of_kind(vcpu->arch.dmp_exit.meta, vcpu->arch.dmp_exit.kind);
	struct dmp_batch_slot *slot;

	vcpu->arch.dmp_exit.meta = 0;
	if (unlikely(!batch))
		end_uncounted(vcpu);
	else if (unlikely(!dmp_batch_add(batch, rip, meta, &slot)))
		end_other(vcpu, slot, rip, meta);
}

/* Preemption may be disabled. */
void __kvm_dmp_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (!d || !d->monitor)
		return;
	d->putting = true;
	kvm_dmp_drain(vcpu);
	d->putting = false;
}

void __kvm_dmp_note(struct kvm_vcpu *vcpu, enum dmp_exit_kind kind)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	if (d && READ_ONCE(d->charge) != KVM_DMP_CHARGE_OFF)
		d->outside[kind]++;
}

/*
 * ---- Whose exits are charged: any thread ----
 */

/* Give @vcpu a monitor, once. Called with the VM's lock held; may sleep. */
static int provide_monitor(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;
	size_t bytes = dmp_monitor_bytes(DMP_MONITOR_SETS);
	void *mem;

	if (d->monitor)
		return 0;
	mem = kvmalloc(PAGE_ALIGN(bytes), GFP_KERNEL_ACCOUNT);
	if (!mem)
		return -ENOMEM;
	if (WARN_ON_ONCE(dmp_monitor_init(mem, bytes, DMP_MONITOR_SETS,
					  get_random_u64()) != DMP_MONITOR_OK)) {
		kvfree(mem);
		return -EINVAL;
	}
	/* Pairs with the acquire in kvm_dmp_monitor_of(). */
	smp_store_release(&d->monitor, mem);
	return 0;
}

/*
 * Under vm->lock. The vCPU may be in the middle of an exit: it may still
 * count this one in its batch, and drains that at the next.
 */
static void set_vcpu_charge(struct kvm_vcpu *vcpu, enum kvm_dmp_charge charge)
{
	struct kvm_dmp_vcpu *d = vcpu->arch.dmp;

	WRITE_ONCE(d->charge, charge);
	smp_mb();	/* pairs with the one in end_uncounted() */
	WRITE_ONCE(vcpu->arch.dmp_exit.batch,
		   charge == KVM_DMP_CHARGE_ON ? &d->batch : NULL);
}

int kvm_dmp_set_charging(struct kvm *kvm, bool on)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		r = on && vcpu->arch.dmp ? provide_monitor(vcpu) : 0;
		if (r)
			return r;
	}
	if (on)
		static_branch_inc(&kvm_dmp_monitoring);
	else
		static_branch_dec(&kvm_dmp_monitoring);
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.dmp)
			set_vcpu_charge(vcpu, on ? KVM_DMP_CHARGE_ON :
						   KVM_DMP_CHARGE_OFF);
	return 0;
}

int kvm_dmp_charge_vcpu(struct kvm_vcpu *vcpu)
{
	int r = provide_monitor(vcpu);

	if (!r)
		set_vcpu_charge(vcpu, KVM_DMP_CHARGE_ON);
	return r;
}

int kvm_dmp_reset(struct kvm *kvm)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r = 0;

	mutex_lock(&vm->lock);
	if (vm->mode == KVM_DMP_OFF)
		r = -ENODATA;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.dmp &&
		    vcpu->arch.dmp->charge == KVM_DMP_CHARGE_ON)
			set_vcpu_charge(vcpu, KVM_DMP_CHARGE_RESET);
	mutex_unlock(&vm->lock);
	return r;
}

const struct dmp_monitor *kvm_dmp_monitor_of(struct kvm_vcpu *vcpu)
{
	struct kvm_dmp_vcpu *d = READ_ONCE(vcpu->arch.dmp);

	if (!d || READ_ONCE(d->charge) == KVM_DMP_CHARGE_RESET)
		return NULL;
	/* Pairs with the release in provide_monitor(). */
	return smp_load_acquire(&d->monitor);
}
