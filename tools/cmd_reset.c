// SPDX-License-Identifier: GPL-2.0-only
/* dmp reset: forget what the monitor has counted. */
#include <errno.h>

#include "machine.h"
#include "opts.h"
#include "vm.h"

static int reset_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	int ret = vm_write_errno(ctx, vm, "ctl", "reset\n");
	char name[256];

	if (ret == -ENODATA)
		err_set(&ctx->err, "%s is in mode off, so nothing is counted: dmp mode monitor",
			machine_vm_name(vm, name, sizeof(name)));
	return ret ? -1 : 0;
}

static int reset(struct dmp_ctx *ctx)
{
	return vm_do(ctx, reset_vm);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_reset, argc, argv, reset);
}

const struct dmp_cmd cmd_reset = {
	.name = "reset",
	.summary = "forget what the monitor has counted, and start anew",
	.run = run,
};
