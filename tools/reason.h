/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a VM is not engaged: the kernel's words (engine/watch/policy.c) in plain ones. */
#ifndef DMP_TOOL_REASON_H
#define DMP_TOOL_REASON_H

struct reason {
	const char *name;	/* as in `status` */
	const char *words;	/* what is, or was, the case */
	const char *advice;	/* what to do about it, or NULL */
};

/* NULL for "none" and for a name this tool does not know. */
const struct reason *reason_find(const char *name);

/* Likewise why nothing is replaced (enum dmp_start_refusal, engine/splicer/start.h). */
const struct reason *splice_reason_find(const char *name);

#endif /* DMP_TOOL_REASON_H */
