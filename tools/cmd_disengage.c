// SPDX-License-Identifier: GPL-2.0-only
/* dmp disengage: back to KVM's own paging. */
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "opts.h"
#include "snapshot.h"
#include "view.h"

static bool wants_engaged(const struct status *st)
{
	const char *mode = status_get(st, "mode");

	return mode && (!strcmp(mode, "engaged") || !strcmp(mode, "on"));
}

static void print_json(const struct vm *vm, const struct status *st,
		       const char *result)
{
	struct json j = { .f = stdout, .flat = 2 };

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-disengage-1");
	view_json_vm(&j, vm);
	json_str(&j, "result", result);
	machine_json(&j, st);
	json_close(&j, '}');
}

static void print_text(const struct vm *vm, const struct status *st, bool was)
{
	char name[256];

	machine_vm_name(vm, name, sizeof(name));
	printf("%s %s", name, was ? "is on KVM's own paging again" : "was not engaged");
	if (wants_engaged(st))
		printf("; mode %s stays, so in %.0f s it may engage by itself (dmp mode monitor keeps it off)\n",
		       status_get(st, "mode"), status_get_u64(st, "retry_ms") / 1e3);
	else
		printf("; its mode is %s, so it stays off\n",
		       status_get(st, "mode") ? status_get(st, "mode") : "unknown");
}

static int tell(struct dmp_ctx *ctx, const struct vm *vm,
		const struct status *st, bool was)
{
	char name[256];

	if (machine_is_engaged(st))
		return err_set(&ctx->err, "%s is engaged again already; dmp mode monitor keeps it off",
			       machine_vm_name(vm, name, sizeof(name)));
	if (ctx->json)
		print_json(vm, st, was ? "disengaged" : "not-engaged");
	else
		print_text(vm, st, was);
	return 0;
}

static int disengage_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	struct bad_lines bad;
	struct status st;
	bool was;
	int ret;

	if (status_read(ctx, vm, &st, &bad))
		return -1;
	was = machine_is_engaged(&st);
	status_free(&st);
	if (vm_write(ctx, vm, "ctl", "disengage\n") ||
	    status_read(ctx, vm, &st, &bad))
		return -1;
	ret = tell(ctx, vm, &st, was);
	status_free(&st);
	return ret ? ret : status_check(ctx, vm, &bad);
}

static int disengage(struct dmp_ctx *ctx)
{
	return vm_do(ctx, disengage_vm);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_disengage, argc, argv, disengage);
}

const struct dmp_cmd cmd_disengage = {
	.name = "disengage",
	.summary = "put a VM back on KVM's own paging, for a minute at least",
	.help =
"The mode stays: a VM in mode engaged or on may engage again by itself when a minute\n"
"is over and its page faults call for it. dmp mode monitor (or off) disengages\n"
"for good; dmp engage engages at once.\n",
	.run = run,
};
