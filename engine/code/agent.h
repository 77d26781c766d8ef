/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent (implant/agent.c): what does in the guest most of what stubs cannot
 * do themselves. Here: its installation, and what the VMM does about a vCPU that
 * was stopped in it.
 */
#ifndef DMP_AGENT_H
#define DMP_AGENT_H

#include "code/filter.h"
#include "code/implant.h"

/*
 * Follow what a stub has written; runs in the guest (tests run it, too). True:
 * done. False: not to be done here; what was begun has to be taken back, by
 * dmp_agent_take_back() (splicer.h).
 */
bool dmp_agent_follow(struct dmp_implant *implant);

/* What the CPU pushes at a page fault; SDM vol. 3, 6.14.2. */
struct dmp_fault_frame {
	u64 error_code;
	u64 rip, cs, rflags, rsp, ss;
};

/*
 * The page fault at @gva: the guest's own, or hidden and resolved, or for the
 * VMM: DMP_AGENT_*. What was begun when the vCPU is stopped in it has to be taken
 * back, too. The error code in @frame becomes the guest's when it is delivered.
 */
u32 dmp_agent_fault(struct dmp_implant *implant, u64 gva,
		    struct dmp_fault_frame *frame);

/*
 * Write the agent's code, DMP_AGENT_CODE_BYTES, to @page, its pages in turn,
 * which the guest will see DMP_AGENT_DISTANCE below the implant. Stubs enter it
 * at its first byte, the filter at DMP_AGENT_FAULT, by calls. @hypercall: the
 * instruction by which it asks the VMM.
 */
void dmp_agent_install(u8 *const page[DMP_AGENT_CODE_BYTES / DMP_PAGE_SIZE],
		       const u8 hypercall[DMP_FILTER_HYPERCALL_BYTES]);

/* Of these, what is code. */
u32 dmp_agent_code_bytes(void);

/*
 * A vCPU that is not running has its RIP in the agent's code: gives @regs back
 * as they were when the stub called, with RIP where it was to return to. True:
 * the agent was done, and only the way back is missing.
 */
bool dmp_agent_leave(struct dmp_implant *implant, u64 agent_gva,
		     struct dmp_filter_regs *regs);

#endif /* DMP_AGENT_H */
