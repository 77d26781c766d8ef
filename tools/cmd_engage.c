// SPDX-License-Identifier: GPL-2.0-only
/* dmp engage: run a VM on machine tables now. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "opts.h"
#include "snapshot.h"
#include "view.h"

enum outcome { ENGAGED, ALREADY, REFUSED, WAITING };

static const char *const outcome_name[] = {
	[ENGAGED] = "engaged", [ALREADY] = "already", [REFUSED] = "refused",
	[WAITING] = "waiting",
};

static void print_json(const struct vm *vm, const struct status *st,
		       enum outcome outcome)
{
	struct json j = { .f = stdout, .flat = 2 };

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-engage-1");
	view_json_vm(&j, vm);
	json_str(&j, "result", outcome_name[outcome]);
	machine_json(&j, st);
	json_close(&j, '}');
}

/* The outcome as a line: on stdout, or the error. */
static int tell(struct dmp_ctx *ctx, const struct vm *vm,
		const struct status *st, enum outcome outcome)
{
	char line[MACHINE_LINE_MAX], time[80], name[256];

	machine_vm_name(vm, name, sizeof(name));
	if (outcome == WAITING)
		return err_set(&ctx->err, "%s is not engaged yet: its vCPU does not run (is the guest paused?); it will be when it does",
			       name);
	if (outcome == REFUSED) {
		machine_reason(st, line, sizeof(line));
		return err_set(&ctx->err, "%s is not engaged: %s", name, line);
	}
	if (ctx->json)
		return 0;
	machine_size(st, line, sizeof(line));
	machine_time(st, time, sizeof(time));
	if (outcome == ALREADY)
		printf("%s is engaged already: %s\n", name, line);
	else
		printf("%s is engaged: %s; %s\n", name, time, line);
	return 0;
}

/* Ask the kernel; -1 with ctx->err set when it did not even try. */
static int ask(struct dmp_ctx *ctx, const struct vm *vm,
	       const struct status *st, enum outcome *outcome)
{
	const char *mode = status_get(st, "mode");
	int ret;

	*outcome = ENGAGED;
	if (machine_is_engaged(st)) {
		*outcome = ALREADY;
		return 0;
	}
	if ((!mode || (strcmp(mode, "engaged") && strcmp(mode, "on"))) &&
	    vm_write(ctx, vm, "mode", "engaged\n"))
		return -1;
	ret = vm_write_errno(ctx, vm, "ctl", "engage\n");
	if (ret == -EAGAIN)
		*outcome = REFUSED;
	else if (ret == -EBUSY)
		*outcome = WAITING;
	else if (ret)
		return -1;
	ctx->err.msg[0] = '\0';
	return 0;
}

static int engage_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	enum outcome outcome;
	struct bad_lines bad;
	struct status st;
	int ret;

	if (status_read(ctx, vm, &st, &bad))
		return -1;
	ret = ask(ctx, vm, &st, &outcome);
	status_free(&st);
	if (ret || status_read(ctx, vm, &st, &bad))
		return -1;
	/* Between the kernel's answer and now it may have changed. */
	if (outcome != WAITING && outcome != REFUSED && !machine_is_engaged(&st))
		outcome = REFUSED;
	else if (outcome != ALREADY && machine_is_engaged(&st))
		outcome = ENGAGED;
	if (ctx->json)
		print_json(vm, &st, outcome);
	ret = tell(ctx, vm, &st, outcome);
	status_free(&st);
	return ret ? ret : status_check(ctx, vm, &bad);
}

static int engage(struct dmp_ctx *ctx)
{
	return vm_do(ctx, engage_vm);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_engage, argc, argv, engage);
}

const struct dmp_cmd cmd_engage = {
	.name = "engage",
	.summary = "run a VM on machine tables now, whatever its rate of page faults",
	.help =
"Sets mode engaged first unless the VM's mode is that or on. A VM that cannot be\n"
"engaged runs on as before; the reason is printed, the exit status is 1, and\n"
"the mode stays: it engages by itself when it can and when it pays.\n",
	.run = run,
};
