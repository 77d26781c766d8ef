// SPDX-License-Identifier: GPL-2.0-only
/* dmp audit: check a VM's machine tables against the guest's tables. */
#include <errno.h>
#include <stdio.h>

#include "machine.h"
#include "opts.h"
#include "snapshot.h"
#include "view.h"

enum verdict { CLEAN, VIOLATED, NOT_ENGAGED };

static const char *const verdict_name[] = {
	[CLEAN] = "clean", [VIOLATED] = "violated", [NOT_ENGAGED] = "not-engaged",
};

static void print_json(const struct vm *vm, const struct status *st,
		       enum verdict verdict)
{
	struct json j = { .f = stdout, .flat = 2 };

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-audit-1");
	view_json_vm(&j, vm);
	json_str(&j, "result", verdict_name[verdict]);
	if (verdict == VIOLATED)
		machine_json_finding(&j, st);
	else
		json_str(&j, "finding", NULL);
	machine_json(&j, st);
	json_close(&j, '}');
}

static int tell(struct dmp_ctx *ctx, const struct vm *vm,
		const struct status *st, enum verdict verdict)
{
	char line[MACHINE_LINE_MAX], name[256];

	machine_vm_name(vm, name, sizeof(name));
	if (verdict == NOT_ENGAGED)
		return err_set(&ctx->err, "%s is not engaged, so there is nothing to audit: dmp engage",
			       name);
	if (verdict == VIOLATED) {
		if (!machine_finding(st, line, sizeof(line)))
			snprintf(line, sizeof(line), "the kernel does not say what (see dmesg)");
		return err_set(&ctx->err, "%s failed the audit and was disengaged: %s: report it",
			       name, line);
	}
	if (!ctx->json) {
		machine_size(st, line, sizeof(line));
		printf("%s is clean: %s\n", name, line);
	}
	return 0;
}

static int audit_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	enum verdict verdict = CLEAN;
	struct bad_lines bad;
	struct status st;
	int ret = vm_write_errno(ctx, vm, "ctl", "audit\n");

	if (ret == -EILSEQ)
		verdict = VIOLATED;
	else if (ret == -ENODATA)
		verdict = NOT_ENGAGED;
	else if (ret)
		return -1;
	ctx->err.msg[0] = '\0';
	if (status_read(ctx, vm, &st, &bad))
		return -1;
	if (ctx->json)
		print_json(vm, &st, verdict);
	ret = tell(ctx, vm, &st, verdict);
	status_free(&st);
	return ret ? ret : status_check(ctx, vm, &bad);
}

static int audit(struct dmp_ctx *ctx)
{
	return vm_do(ctx, audit_vm);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_audit, argc, argv, audit);
}

const struct dmp_cmd cmd_audit = {
	.name = "audit",
	.summary = "check a VM's machine tables against the guest's tables",
	.help =
"Exit status 0: every entry and count is as it should be. 1: one is not (the VM\n"
"was disengaged, and runs on), or there was nothing to check.\n",
	.run = run,
};
