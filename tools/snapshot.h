/* SPDX-License-Identifier: GPL-2.0-only */
/* One reading of a VM: its monitor's records, its status, its sites. */
#ifndef DMP_TOOL_SNAPSHOT_H
#define DMP_TOOL_SNAPSHOT_H

#include "record.h"
#include "site.h"
#include "status.h"
#include "vm.h"

struct snapshot {
	double time;			/* seconds, monotonic */
	struct record_list raw;
	struct status st;
	struct site_list sites;
	struct bad_lines bad_hot, bad_status;
};

/* Returns 0, or -1 with ctx->err set. Bad lines alone are no failure here. */
int snapshot_read(struct dmp_ctx *ctx, const struct vm *vm, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/* If lines were bad: set ctx->err and return -1. */
int snapshot_check(struct dmp_ctx *ctx, const struct vm *vm,
		   const struct snapshot *s);

/* `status` alone, with the same contract. */
int status_read(struct dmp_ctx *ctx, const struct vm *vm, struct status *st,
		struct bad_lines *bad);
int status_check(struct dmp_ctx *ctx, const struct vm *vm,
		 const struct bad_lines *bad);

/* All exits that the records were drawn from. */
u64 snapshot_exits(const struct snapshot *s);

#endif /* DMP_TOOL_SNAPSHOT_H */
