// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent's installation, and the way out of it; see agent.h.
 */
#include "code/agent.h"
#include "code/agent_blob.h"

_Static_assert(sizeof(dmp_agent_code) <= DMP_AGENT_CODE_BYTES, "");

#define INT3	0xcc
#define RSP	4

/* As its gate pushes them; implant/agent_gate.S. */
static const u8 pushed[] = { 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

void dmp_agent_install(u8 *const page[DMP_AGENT_CODE_BYTES / DMP_PAGE_SIZE],
		       const u8 hypercall[DMP_FILTER_HYPERCALL_BYTES])
{
	u32 i, at = DMP_AGENT_HYPERCALL;
	u8 byte;

	for (i = 0; i < DMP_AGENT_CODE_BYTES; i++) {
		byte = i < sizeof(dmp_agent_code) ? dmp_agent_code[i] : INT3;
		if (i - at < DMP_FILTER_HYPERCALL_BYTES)
			byte = hypercall[i - at];
		page[i / DMP_PAGE_SIZE][i % DMP_PAGE_SIZE] = byte;
	}
}

u32 dmp_agent_code_bytes(void)
{
	return sizeof(dmp_agent_code);
}

/*
 * What is not on the stack is still, or again, in its register. The gate's
 * last instructions leave what they have popped below RSP.
 */
bool dmp_agent_leave(struct dmp_implant *implant, u64 agent_gva,
		     struct dmp_filter_regs *regs)
{
	struct dmp_agent *agent = &implant->agent;
	const u64 *top = agent->stack + DMP_ARRAY_SIZE(agent->stack) - 1;
	u64 top_gva = agent_gva + DMP_AGENT_DISTANCE + DMP_IMPLANT_BYTES - 8;
	u64 depth = (top_gva - regs->gpr[RSP]) / 8;
	bool done = agent->done;
	u32 i;

	for (i = 0; i < DMP_ARRAY_SIZE(pushed) && i < depth; i++)
		regs->gpr[pushed[i]] = *(top - 1 - i);
	regs->rip = *top;
	regs->gpr[RSP] = implant->save[RSP];
	return done;
}
