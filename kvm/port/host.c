// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine asks of its host; see host.h.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "host.h"
#include "inject.h"
#include "records.h"

static u64 host_alloc_page(void *host)
{
	struct kvm_dmp_engine *e = host;
	struct page *page;

	if (kvm_dmp_inject_failure(e, _RET_IP_))
		return 0;
	/* Rather disengage than have somebody killed for it. */
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO |
			  __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	return page ? page_to_pfn(page) : 0;
}

static void host_free_page(void *host, u64 hfn)
{
	__free_page(pfn_to_page(hfn));
}

/* One vCPU, outside of the guest: it is enough to flush before it enters. */
static void host_flush_tlb(void *host)
{
	struct kvm_dmp_engine *e = host;

	e->kvm->arch.dmp->flush_owed = true;
}

static u64 host_page_hfn(void *host, const void *at)
{
	return kvm_dmp_record_hfn(host, at);
}

/* Only the vCPU's own thread gives up for a signal: it is the VM's. */
static bool host_go_on(void *host)
{
	cond_resched();
	return !kvm_get_running_vcpu() || !fatal_signal_pending(current);
}

const struct dmp_host_ops kvm_dmp_host_ops = {
	.alloc_page	= host_alloc_page,
	.free_page	= host_free_page,
	.flush_tlb	= host_flush_tlb,
	.go_on		= host_go_on,
	.page_hfn	= host_page_hfn,
};
