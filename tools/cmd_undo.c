// SPDX-License-Identifier: GPL-2.0-only
/* dmp undo: put replaced instructions back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "opts.h"
#include "site.h"
#include "view.h"

enum { OPT_SITE = 1 };

static const struct dmp_opt undo_opts[] = {
	{ "site", 's', "ADDR|all", "which instruction: its guest address, or all",
	  OPT_SITE },
	{ NULL }
};

/* vm_do() has no argument to hand on. */
static struct {
	bool all;
	u64 rip;
} what;

static size_t nr_spliced(const struct site_list *list)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++)
		n += site_is_spliced(&list->v[i]) &&
		     strcmp(list->v[i].tactic, "prologue");
	return n;
}

static void print_json(const struct vm *vm, const struct site_list *before,
		       const struct site_list *after)
{
	struct json j = { .f = stdout, .flat = 2 };
	const struct site *now;
	size_t i;

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-undo-1");
	view_json_vm(&j, vm);
	json_open(&j, "undone", '[');
	for (i = 0; i < before->n; i++) {
		now = sites_find(after, before->v[i].rip);
		if (site_is_spliced(&before->v[i]) && now && !site_is_spliced(now))
			json_hex(&j, NULL, now->rip);
	}
	json_close(&j, ']');
	json_num(&j, "spliced", nr_spliced(after));
	json_close(&j, '}');
}

static int explain(struct dmp_ctx *ctx, const struct vm *vm, int error)
{
	char name[256];

	machine_vm_name(vm, name, sizeof(name));
	if (error == -ENODATA)
		return err_set(&ctx->err, "%s has no replaced instructions: dmp status says why",
			       name);
	if (error == -ENOENT && what.all && !vm_has_ended(ctx, vm))
		return err_set(&ctx->err, "%s has no replaced instructions now", name);
	if (error == -ENOENT && !vm_has_ended(ctx, vm))
		return err_set(&ctx->err, "%s has no replaced instruction at 0x%llx: dmp sites lists them",
			       name, (unsigned long long)what.rip);
	if (error == -EBUSY)
		return err_set(&ctx->err, "0x%llx is the guest's page-fault handler, which is spliced as long as anything is: dmp disengage",
			       (unsigned long long)what.rip);
	return -1;
}

static int ask(struct dmp_ctx *ctx, const struct vm *vm)
{
	char text[40] = "undo all\n";
	int ret;

	if (!what.all)
		snprintf(text, sizeof(text), "undo 0x%llx\n",
			 (unsigned long long)what.rip);
	ret = vm_write_errno(ctx, vm, "ctl", text);
	return ret ? explain(ctx, vm, ret) : 0;
}

static int undo_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	struct site_list before, after;
	char name[256];
	int ret;

	if (sites_read(ctx, vm, &before))
		return -1;
	ret = ask(ctx, vm);
	if (!ret)
		ret = sites_read(ctx, vm, &after);
	if (!ret) {
		if (ctx->json)
			print_json(vm, &before, &after);
		else
			printf("%s: undone; %zu replaced instructions left\n",
			       machine_vm_name(vm, name, sizeof(name)),
			       nr_spliced(&after));
		ret = sites_check(ctx, vm, &after);
		sites_free(&after);
	}
	sites_free(&before);
	return ret;
}

static int set_site(struct dmp_ctx *ctx, const char *val)
{
	what.all = !strcmp(val, "all");
	if (what.all)
		return DMP_OK;
	if (!parse_u64((struct span){ val, strlen(val) }, &what.rip) || !what.rip)
		return usage_err(ctx, "undo", "--site is an address or all, not '%.40s'",
				 val);
	return DMP_OK;
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct opt_walk w = { .i = 1 };
	bool has_site = false;
	int id;

	while ((id = opts_next(ctx, undo_opts, &w, argc, argv)) != OPT_END) {
		if (id == OPT_HELP)
			return cmd_help(&cmd_undo);
		if (id == OPT_BAD)
			return DMP_USAGE;
		if (id == OPT_OPERAND)
			return usage_err(ctx, "undo", "unexpected '%.80s'", w.val);
		if (set_site(ctx, w.val))
			return DMP_USAGE;
		has_site = true;
	}
	if (!has_site)
		return usage_err(ctx, "undo", "--site says which: an address of dmp sites, or all");
	return vm_do(ctx, undo_vm);
}

const struct dmp_cmd cmd_undo = {
	.name = "undo",
	.summary = "put replaced instructions of a VM back",
	.help =
"Such an instruction is left alone until the VM is engaged anew: each of its\n"
"writes to a guest page table takes an exit. The splice of the guest's\n"
"page-fault handler cannot be undone alone: dmp disengage undoes everything.\n",
	.opts = undo_opts,
	.run = run,
};
