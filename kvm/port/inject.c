// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on purpose; see inject.h.
 */
#include <linux/module.h>

#include "inject.h"

/* dmp_fail_alloc=N lets the Nth allocation of each engagement fail. */
static unsigned int fail_alloc;
module_param_named(dmp_fail_alloc, fail_alloc, uint, 0644);
MODULE_PARM_DESC(dmp_fail_alloc, "Fail the Nth DMP allocation (default 0: none)");

/* The log names the place by its line, or by @where the engine called. */
bool __kvm_dmp_inject_failure(struct kvm_dmp_engine *e, unsigned long where,
			      const char *file, unsigned int line)
{
	unsigned int nth = READ_ONCE(fail_alloc);

	if (likely(++e->allocations != nth) || !nth)
		return false;
	pr_info("kvm-dmp: allocation %u fails: %s:%u: %pS\n", nth,
		kbasename(file), line, (void *)where);
	return true;
}
