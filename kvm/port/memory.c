// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory behind an engaged guest: which slots there are, pinning it, and
 * what the host does to it meanwhile.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/page_counter.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "inject.h"
#include "memory.h"
#include "records.h"

#define PIN_BATCH	512	/* pages */
#define PIN_RESERVE	(16ul << (20 - PAGE_SHIFT))	/* left for others */

/*
 * ---- Guest memory ----
 */

/*
 * Whether @pages more can be brought in for @mm. What is pinned cannot be
 * reclaimed: a VM that lives within a limit because the rest of it is swapped
 * out or was never touched would be killed by engaging.
 */
static bool has_room(struct mm_struct *mm, unsigned long pages)
{
	long room = si_mem_available() - (totalram_pages() >> 5);
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mm), *m;
	unsigned long limit;

	for (m = memcg; m; m = parent_mem_cgroup(m)) {
		limit = min(READ_ONCE(m->memory.max), READ_ONCE(m->memory.high));
		room = min_t(long, room, limit - page_counter_read(&m->memory));
	}
	mem_cgroup_put(memcg);
#endif
	return room >= (long)(pages + PIN_RESERVE);
}

/* Pin @n pages at @hva of another process's memory into @pages. */
static long pin_batch(struct mm_struct *mm, unsigned long hva, unsigned long n,
		      unsigned int gup, struct page **pages)
{
	long got;

	mmap_read_lock(mm);
	got = pin_user_pages_remote(mm, hva, n, gup | FOLL_LONGTERM, pages,
				    NULL, NULL);
	mmap_read_unlock(mm);
	return got;
}

static int pin_slot(struct kvm_dmp_engine *e, struct mm_struct *mm,
		    unsigned int s, struct page **pages)
{
	struct dmp_slot *slot = &e->mmu.slot[s];
	unsigned int gup = slot->flags & DMP_SLOT_RO ? 0 : FOLL_WRITE;
	unsigned long done = 0, n;
	long got, i;

	while (done < slot->npages) {
		if (READ_ONCE(e->kvm->arch.dmp->cancelled))
			return -EINTR;
		n = min_t(unsigned long, PIN_BATCH, slot->npages - done);
		if (!has_room(mm, n))
			return -ENOMEM;
		got = pin_batch(mm, e->hva[s] + (done << PAGE_SHIFT), n, gup,
				pages);
		if (got <= 0)
			return got ?: -EFAULT;
		for (i = 0; i < got; i++)
			slot->frames[done + i] =
				dmp_frame_make(page_to_pfn(pages[i]), slot->flags);
		done += got;
		cond_resched();
	}
	return 0;
}

static void unpin_slot(struct dmp_slot *slot, struct page **pages)
{
	bool dirty = !(slot->flags & DMP_SLOT_RO);
	unsigned long i, n = 0;

	for (i = 0; slot->frames && i < slot->npages && slot->frames[i].leaf; i++) {
		pages[n++] = pfn_to_page(dmp_frame_hfn(&slot->frames[i]));
		if (n == PIN_BATCH) {
			unpin_user_pages_dirty_lock(pages, n, dirty);
			n = 0;
			cond_resched();
		}
	}
	if (n)
		unpin_user_pages_dirty_lock(pages, n, dirty);
}

void kvm_dmp_unpin_memory(struct kvm_dmp_engine *e)
{
	struct page **pages = kmalloc_array(PIN_BATCH, sizeof(*pages),
					    GFP_KERNEL | __GFP_NOFAIL);
	unsigned int s;

	for (s = 0; s < e->mmu.slots; s++)
		unpin_slot(&e->mmu.slot[s], pages);
	kfree(pages);
	if (e->accounted)
		account_locked_vm(e->kvm->mm, e->accounted, false);
}

/*
 * Charge all frames to @mm as locked, as VFIO does; what the limit is was noted
 * when the VM was made, for current may be a worker, or root.
 */
static bool account(struct kvm_dmp_engine *e, struct mm_struct *mm)
{
	const struct kvm_dmp_vm *vm = e->kvm->arch.dmp;
	bool may;

	mmap_write_lock(mm);
	may = vm->maker_ipc_lock ||
	      mm->locked_vm + e->frames <= vm->maker_memlock;
	may = may && !__account_locked_vm(mm, e->frames, true, current, true);
	mmap_write_unlock(mm);
	if (may)
		e->accounted = e->frames;
	return may;
}

enum dmp_reason kvm_dmp_pin_memory(struct kvm_dmp_engine *e)
{
	enum dmp_reason why = DMP_REASON_PIN;
	struct mm_struct *mm = e->kvm->mm;
	struct page **pages;
	unsigned int s;
	int r;

	pages = kmalloc_array(PIN_BATCH, sizeof(*pages), GFP_KERNEL);
	if (!pages || kvm_dmp_inject_failure(e, _THIS_IP_)) {
		kfree(pages);
		return DMP_REASON_NO_MEMORY;
	}
	if (!mmget_not_zero(mm))
		goto out_free;
	why = account(e, mm) ? DMP_REASON_NONE : DMP_REASON_MEMLOCK;
	for (s = 0; s < e->mmu.slots && !why; s++) {
		r = pin_slot(e, mm, s, pages);
		if (r)
			why = r == -ENOMEM ? DMP_REASON_NO_MEMORY : DMP_REASON_PIN;
	}
	mmput(mm);
out_free:
	kfree(pages);
	return why;
}

/* The largest first: there most of what is looked for is. */
static enum dmp_reason add_slot(struct kvm_dmp_engine *e,
				const struct kvm_memory_slot *memslot)
{
	struct dmp_slot *slot = e->mmu.slot;
	unsigned int s = e->mmu.slots;

	if (memslot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return DMP_REASON_DIRTY_LOGGING;
	if (s == DMP_SLOTS_MAX)
		return DMP_REASON_MEMSLOTS;
	for (; s && slot[s - 1].npages < memslot->npages; s--) {
		slot[s] = slot[s - 1];
		e->hva[s] = e->hva[s - 1];
	}
	slot[s].base_gfn = memslot->base_gfn;
	slot[s].npages = memslot->npages;
	slot[s].flags = memslot->flags & KVM_MEM_READONLY ? DMP_SLOT_RO : 0;
	e->hva[s] = memslot->userspace_addr;
	e->mmu.slots++;
	e->frames += memslot->npages;
	e->gfns = max(e->gfns, (unsigned long)(memslot->base_gfn + memslot->npages));
	return DMP_REASON_NONE;
}

/* Under slots_lock. KVM's private slots are no memory of the guest's. */
enum dmp_reason kvm_dmp_gather_slots(struct kvm_dmp_engine *e)
{
	struct kvm_memory_slot *memslot;
	enum dmp_reason why;
	int bkt;

	kvm_for_each_memslot(memslot, bkt, __kvm_memslots(e->kvm, 0)) {
		if (memslot->id >= KVM_USER_MEM_SLOTS)
			continue;
		why = add_slot(e, memslot);
		if (why)
			return why;
	}
	return kvm_dmp_alloc_records(e) ? DMP_REASON_NONE : DMP_REASON_NO_MEMORY;
}

/*
 * ---- Changes of the memory behind the guest ----
 */

/*
 * From an MMU notifier, when it is over: no lock that sleeps. Most are about
 * pages that did not change, since they are pinned.
 */
void kvm_arch_memory_changed(struct kvm *kvm, unsigned long start,
			     unsigned long end)
{
	struct kvm_dmp_vm *vm = kvm->arch.dmp;

	if (!static_branch_unlikely(&kvm_dmp_machine) || !READ_ONCE(vm->engine))
		return;
	spin_lock(&vm->suspect_lock);
	if (vm->suspects < KVM_DMP_SUSPECTS)
		vm->suspect[vm->suspects] = (struct kvm_dmp_range){ start, end };
	if (vm->suspects <= KVM_DMP_SUSPECTS)
		vm->suspects++;
	spin_unlock(&vm->suspect_lock);
	kvm_make_all_cpus_request(kvm, KVM_REQ_DMP);
}

/* Whether pages [first, end) of slot @s are still the ones pinned. */
static bool is_unchanged(struct kvm_dmp_engine *e, unsigned int s,
			 unsigned long first, unsigned long end)
{
	const struct dmp_slot *slot = &e->mmu.slot[s];
	unsigned int gup = slot->flags & DMP_SLOT_RO ? 0 : FOLL_WRITE;
	struct page *page;
	bool same;

	for (; first < end; first++) {
		if (pin_user_pages_fast(e->hva[s] + (first << PAGE_SHIFT), 1,
					gup, &page) != 1)
			return false;
		same = page_to_pfn(page) == dmp_frame_hfn(&slot->frames[first]);
		unpin_user_page(page);
		if (!same)
			return false;
		cond_resched();
	}
	return true;
}

static bool is_range_unchanged(struct kvm_dmp_engine *e,
			       const struct kvm_dmp_range *range)
{
	unsigned long first, end, bytes;
	unsigned int s;

	for (s = 0; s < e->mmu.slots; s++) {
		bytes = e->mmu.slot[s].npages << PAGE_SHIFT;
		first = max(range->start, e->hva[s]);
		end = min(range->end, e->hva[s] + bytes);
		if (first < end &&
		    !is_unchanged(e, s, (first - e->hva[s]) >> PAGE_SHIFT,
				  (end - e->hva[s] + PAGE_SIZE - 1) >> PAGE_SHIFT))
			return false;
	}
	return true;
}

bool kvm_dmp_check_suspects(struct kvm_dmp_vm *vm)
{
	struct kvm_dmp_range all = { 0, ULONG_MAX }, range[KVM_DMP_SUSPECTS];
	unsigned int n, i;

	spin_lock(&vm->suspect_lock);
	n = vm->suspects;
	vm->suspects = 0;
	memcpy(range, vm->suspect, sizeof(range));
	spin_unlock(&vm->suspect_lock);
	if (n > KVM_DMP_SUSPECTS)
		return is_range_unchanged(vm->engine, &all);
	for (i = 0; i < n; i++)
		if (!is_range_unchanged(vm->engine, &range[i]))
			return false;
	return true;
}

