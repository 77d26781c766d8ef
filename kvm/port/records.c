// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for frame records; see records.h.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "inject.h"
#include "records.h"

#define RECORD_GFP (GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL | \
		    __GFP_NOWARN)

/* How much of one array may be holes: so many times the rest, and some. */
#define SPARSE_TIMES	8
#define SPARSE_PAGES	65536

static unsigned long page_of(u64 gfn)
{
	return gfn * sizeof(struct dmp_frame) >> PAGE_SHIFT;
}

/* The pages that records of @slot lie in. */
static bool alloc_slot_pages(struct kvm_dmp_engine *e, const struct dmp_slot *slot)
{
	unsigned long i = page_of(slot->base_gfn);
	unsigned long end = page_of(slot->base_gfn + slot->npages) + 1;
	struct page *page;

	for (; i < end; i++) {
		if (e->record_pages[i] != e->no_records)
			continue;
		page = alloc_page(RECORD_GFP);
		if (!page || kvm_dmp_inject_failure(e, _THIS_IP_)) {
			if (page)
				__free_page(page);
			return false;
		}
		e->record_pages[i] = page;
	}
	return true;
}

/*
 * One array, which is what stubs want: pages where there are slots, one page of
 * zeroes between them. That is the engine's own: the array can be written.
 */
static bool alloc_array(struct kvm_dmp_engine *e)
{
	unsigned long pages = page_of(e->gfns) + 1, i;
	unsigned int s;

	e->record_pages = kvcalloc(pages, sizeof(*e->record_pages),
				   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!e->record_pages || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	e->no_records = alloc_page(RECORD_GFP);
	if (!e->no_records || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	for (i = 0; i < pages; i++)
		e->record_pages[i] = e->no_records;
	for (s = 0; s < e->mmu.slots; s++)
		if (!alloc_slot_pages(e, &e->mmu.slot[s]))
			return false;
	e->records = vmap(e->record_pages, pages, VM_MAP, PAGE_KERNEL);
	if (!e->records || kvm_dmp_inject_failure(e, _THIS_IP_))
		return false;
	for (s = 0; s < e->mmu.slots; s++)
		e->mmu.slot[s].frames = e->records + e->mmu.slot[s].base_gfn;
	return true;
}

static bool alloc_by_slot(struct kvm_dmp_engine *e)
{
	struct dmp_slot *slot = e->mmu.slot;
	unsigned int s;

	for (s = 0; s < e->mmu.slots; s++, slot++) {
		slot->frames = kvcalloc(slot->npages, sizeof(*slot->frames),
					GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL |
					__GFP_NOWARN);
		if (!slot->frames || kvm_dmp_inject_failure(e, _THIS_IP_))
			return false;
	}
	return true;
}

bool kvm_dmp_alloc_records(struct kvm_dmp_engine *e)
{
	e->one_array = e->splicer && page_of(e->gfns) <
		       SPARSE_TIMES * page_of(e->frames) + SPARSE_PAGES;
	return e->one_array ? alloc_array(e) : alloc_by_slot(e);
}

void kvm_dmp_free_records(struct kvm_dmp_engine *e)
{
	unsigned long pages = page_of(e->gfns) + 1, i;
	unsigned int s;

	if (!e->one_array) {
		for (s = 0; s < e->mmu.slots; s++)
			kvfree(e->mmu.slot[s].frames);
		return;
	}
	vunmap(e->records);
	for (i = 0; e->record_pages && i < pages; i++)
		if (e->record_pages[i] && e->record_pages[i] != e->no_records)
			__free_page(e->record_pages[i]);
	if (e->no_records)
		__free_page(e->no_records);
	kvfree(e->record_pages);
}

u64 kvm_dmp_record_hfn(struct kvm_dmp_engine *e, const void *at)
{
	struct page *page = e->record_pages[(at - (void *)e->records) >> PAGE_SHIFT];

	return page == e->no_records ? 0 : page_to_pfn(page);
}
