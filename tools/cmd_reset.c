// SPDX-License-Identifier: GPL-2.0-only
/* dmp reset: forget what the monitor has counted. */
#include "opts.h"
#include "vm.h"

static int reset(struct dmp_ctx *ctx)
{
	struct vm_list vms;
	struct vm *vm;
	int ret;

	if (vm_list_read(ctx, &vms))
		return DMP_FAIL;
	vm = vm_pick(ctx, &vms);
	ret = vm ? vm_write(ctx, vm, "ctl", "reset\n") : -1;
	vm_list_free(&vms);
	return ret ? DMP_FAIL : DMP_OK;
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct opt_walk w = { .i = 1 };

	switch (opts_next(ctx, NULL, &w, argc, argv)) {
	case OPT_END:
		return reset(ctx);
	case OPT_HELP:
		return cmd_help(&cmd_reset);
	case OPT_OPERAND:
		return usage_err(ctx, "reset", "unexpected '%.80s'", w.val);
	default:
		return DMP_USAGE;
	}
}

const struct dmp_cmd cmd_reset = {
	.name = "reset",
	.summary = "forget what the monitor has counted, and start anew",
	.run = run,
};
