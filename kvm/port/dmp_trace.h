/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_dmp

#if !defined(KVM_DMP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KVM_DMP_TRACE_H

#include <linux/tracepoint.h>

#include "watch/monitor.h"
#include "splicer/leave.h"

/* An instruction has caused another power of two of exits (16 and up). */
TRACE_EVENT(kvm_dmp_hot,
	TP_PROTO(unsigned int vcpu_id, const struct dmp_exit_key *key),
	TP_ARGS(vcpu_id, key),

	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u64, rip)
		__field(u32, code)
		__field(u32, arg)
		__field(u8, cpl)
		__field(u8, kind)
	),

	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = key->rip;
		__entry->code = key->code;
		__entry->arg = key->arg;
		__entry->cpl = key->cpl;
		__entry->kind = key->kind;
	),

	TP_printk("vcpu %u rip 0x%llx cpl %u code 0x%x arg 0x%x kind %s",
		  __entry->vcpu_id, __entry->rip, __entry->cpl,
		  __entry->code, __entry->arg,
		  __print_symbolic(__entry->kind,
				   { DMP_KIND_NONE, "none" },
				   { DMP_KIND_PF_GUEST, "guest" },
				   { DMP_KIND_PF_HIDDEN, "hidden" },
				   { DMP_KIND_PF_TABLE, "table" },
				   { DMP_KIND_PF_MMIO, "mmio" }))
);

/*
 * A vCPU was taken out of the implant: it stood at @rip there, for the guest
 * it is at @home; see struct dmp_left. @step: enum dmp_stub_phase of a stub,
 * enum dmp_filter_left_kind of the filter.
 */
TRACE_EVENT(kvm_dmp_leave,
	TP_PROTO(unsigned int vcpu_id, u32 code, u64 rip, u64 home,
		 const struct dmp_left *left),
	TP_ARGS(vcpu_id, code, rip, home, left),

	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(u32, code)
		__field(u64, rip)
		__field(u64, home)
		__field(u8, kind)
		__field(u8, step)
	),

	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->code = code;
		__entry->rip = rip;
		__entry->home = home;
		__entry->kind = left->kind;
		__entry->step = left->kind == DMP_LEFT_HOME ? left->stub.phase :
							      left->filter.kind;
	),

	TP_printk("vcpu %u code 0x%x rip 0x%llx home 0x%llx kind %u step %u",
		  __entry->vcpu_id, __entry->code, __entry->rip,
		  __entry->home, __entry->kind, __entry->step)
);

#endif /* KVM_DMP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../dmp/port
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE dmp_trace

/* This part must be outside protection */
#include <trace/define_trace.h>
