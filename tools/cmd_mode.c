// SPDX-License-Identifier: GPL-2.0-only
/* dmp mode: show or set what the engine does for a VM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "opts.h"
#include "view.h"
#include "vm.h"

static const char *const modes[] = { "off", "monitor", "engaged", "on" };

static bool is_mode(const char *s)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(s, modes[i]))
			return true;
	return false;
}

/* The word in `mode`, malloc'd; NULL with ctx->err set. */
static char *read_mode(struct dmp_ctx *ctx, const struct vm *vm)
{
	char path[4096], *text;
	size_t len, n;

	if (vm_read(ctx, vm, "mode", &text, &len))
		return NULL;
	n = strcspn(text, "\n");
	if (!n || n + 1 != len || strspn(text, "abcdefghijklmnopqrstuvwxyz-_") != n) {
		vm_path(vm, "mode", path, sizeof(path));
		err_set(&ctx->err, "%s:1: bad format: not a mode's name", path);
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static int show_mode(struct dmp_ctx *ctx, const struct vm *vm)
{
	struct json j = { .f = stdout, .flat = 2 };
	char *mode = read_mode(ctx, vm);

	if (!mode)
		return -1;
	if (ctx->json) {
		json_open(&j, NULL, '{');
		json_str(&j, "schema", "dmp-mode-1");
		view_json_vm(&j, vm);
		json_str(&j, "mode", mode);
		json_close(&j, '}');
	} else {
		printf("%s\n", mode);
	}
	free(mode);
	return 0;
}

static int set_mode(struct dmp_ctx *ctx, const struct vm *vm, const char *want)
{
	char text[32], *now;
	int ret = 0;

	snprintf(text, sizeof(text), "%s\n", want);
	if (vm_write(ctx, vm, "mode", text))
		return -1;
	now = read_mode(ctx, vm);
	if (!now)
		return -1;
	if (strcmp(now, want))
		ret = err_set(&ctx->err, "VM %s is in mode %s, not %s: dmp status --vm %s may say why",
			      vm->id, now, want, vm->id);
	free(now);
	return ret;
}

static int mode(struct dmp_ctx *ctx, const char *want)
{
	struct vm_list vms;
	struct vm *vm;
	int ret = -1;

	if (vm_list_read(ctx, &vms))
		return DMP_FAIL;
	vm = vm_pick(ctx, &vms);
	if (vm && want)
		ret = set_mode(ctx, vm, want);
	if (vm && (!want || (!ret && ctx->json)))
		ret = show_mode(ctx, vm);
	vm_list_free(&vms);
	return ret ? DMP_FAIL : DMP_OK;
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct opt_walk w = { .i = 1 };
	const char *want = NULL;
	int id;

	while ((id = opts_next(ctx, NULL, &w, argc, argv)) != OPT_END) {
		if (id == OPT_HELP)
			return cmd_help(&cmd_mode);
		if (id != OPT_OPERAND)
			return DMP_USAGE;
		if (want)
			return usage_err(ctx, "mode", "unexpected '%.80s'", w.val);
		want = w.val;
		if (!is_mode(want))
			return usage_err(ctx, "mode", "no mode '%.80s'", want);
	}
	return mode(ctx, want);
}

const struct dmp_cmd cmd_mode = {
	.name = "mode",
	.args = "[off|monitor|engaged|on]",
	.summary = "show or set what the engine does for a VM",
	.help =
"off      nothing\n"
"monitor  charge every exit to the guest instruction that caused it\n"
"engaged  monitor, and run the guest on machine tables whenever it pays; dmp\n"
"         engage does not wait for that\n"
"on       engaged, and replace the guest's instructions that trap; only with\n"
"         kvm.dmp_trust=1, for the guest's kernel can then reach all of the\n"
"         host's memory\n",
	.run = run,
};
