// SPDX-License-Identifier: GPL-2.0-only
/* dmp status: what the engine says of each VM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exitname.h"
#include "json.h"
#include "machine.h"
#include "opts.h"
#include "snapshot.h"
#include "view.h"

#define MODE_MAX	32

static int total_cmp(const void *pa, const void *pb)
{
	const struct status_total *a = pa, *b = pb;

	if (a->n != b->n)
		return a->n < b->n ? 1 : -1;
	return a->code < b->code ? -1 : a->code > b->code;
}

static u64 sum_totals(const struct status *st)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i < st->nr_totals; i++)
		sum += st->totals[i].n;
	return sum;
}

static void print_totals(const struct status *st)
{
	double sum = sum_totals(st);
	char name[EXIT_NAME_MAX];
	size_t i;

	if (st->nr_totals)
		printf("  exits by code\n");
	for (i = 0; i < st->nr_totals; i++) {
		const struct status_total *t = &st->totals[i];

		exit_name(name, sizeof(name), status_isa(st), t->code);
		printf("    %-24s 0x%-8x %12llu %5.1f%%\n", name, t->code,
		       (unsigned long long)t->n, sum ? 100 * t->n / sum : 0);
	}
	if (st->kinds.n)
		printf("  page faults by kind\n");
	for (i = 0; i < st->kinds.n; i++)
		printf("    %-24s %10s %12llu\n", st->kinds.v[i].name, "",
		       (unsigned long long)st->kinds.v[i].n);
}

static void print_text(const struct vm *vm, const struct status *st)
{
	bool machine = machine_is_known(st);
	size_t i;

	printf("VM %s%s%s%s\n", vm->id, vm->name ? " (" : "",
	       vm->name ? vm->name : "", vm->name ? ")" : "");
	for (i = 0; i < st->nr_keys; i++)
		if (!machine || !machine_owns_key(st->keys[i].key))
			printf("  %-12s %s\n", st->keys[i].key, st->keys[i].val);
	if (machine)
		machine_print(st);
	print_totals(st);
}

static void json_keys(struct json *j, const struct status *st)
{
	size_t i;
	u64 v = 0;

	json_open(j, "status", '{');
	for (i = 0; i < st->nr_keys; i++) {
		const struct status_key *k = &st->keys[i];
		struct span val = { k->val, strlen(k->val) };

		/* A name may occur once only. */
		if (status_get(st, k->key) != k->val)
			continue;
		switch (status_type(k)) {
		case STATUS_NUMBER:
			parse_u64(val, &v);
			json_num(j, k->key, v);
			break;
		case STATUS_HEX:
			parse_hex(val, &v);
			json_hex(j, k->key, v);
			break;
		case STATUS_TEXT:
			json_str(j, k->key, k->val);
			break;
		}
	}
	json_close(j, '}');
}

static void print_json(struct json *j, const struct vm *vm,
		       const struct status *st)
{
	char name[EXIT_NAME_MAX];
	size_t i;

	json_open(j, NULL, '{');
	view_json_vm(j, vm);
	json_keys(j, st);
	json_open(j, "totals", '[');
	for (i = 0; i < st->nr_totals; i++) {
		exit_name(name, sizeof(name), status_isa(st), st->totals[i].code);
		json_open(j, NULL, '{');
		json_num(j, "code", st->totals[i].code);
		json_str(j, "reason", name);
		json_num(j, "n", st->totals[i].n);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_open(j, "kinds", '[');
	for (i = 0; i < st->kinds.n; i++) {
		json_open(j, NULL, '{');
		json_str(j, "kind", st->kinds.v[i].name);
		json_num(j, "n", st->kinds.v[i].n);
		json_close(j, '}');
	}
	json_close(j, ']');
	machine_json(j, st);
	json_close(j, '}');
}

/* Returns 0, or -1 with ctx->err set: bad lines too, once the rest is shown. */
static int show_vm(struct dmp_ctx *ctx, const struct vm *vm, struct json *j)
{
	struct bad_lines bad;
	struct status st;

	if (status_read(ctx, vm, &st, &bad))
		return -1;
	if (st.nr_totals)
		qsort(st.totals, st.nr_totals, sizeof(*st.totals), total_cmp);
	if (j)
		print_json(j, vm, &st);
	else
		print_text(vm, &st);
	status_free(&st);
	return status_check(ctx, vm, &bad);
}

/* One VM's failure does not keep the others from being shown. */
static int show_all(struct dmp_ctx *ctx, const struct vm_list *vms,
		    struct json *j)
{
	struct dmp_err first = { 0 };
	size_t i;

	for (i = 0; i < vms->n; i++) {
		if (!show_vm(ctx, &vms->v[i], j))
			continue;
		/* Ended since it was listed: it is simply not there. */
		if (!vm_has_ended(ctx, &vms->v[i]) && !first.msg[0])
			first = ctx->err;
	}
	if (!first.msg[0])
		return 0;
	ctx->err = first;
	return -1;
}

static int show_one(struct dmp_ctx *ctx, struct vm_list *vms, struct json *j)
{
	struct vm *vm = vm_pick(ctx, vms);

	return vm ? show_vm(ctx, vm, j) : -1;
}

static int status(struct dmp_ctx *ctx)
{
	struct json json = { .f = stdout, .flat = 5 }, *j = ctx->json ? &json : NULL;
	char mode[MODE_MAX] = "?";
	struct vm_list vms;
	int ret;

	if (vm_list_read(ctx, &vms))
		return DMP_FAIL;
	vm_default_mode(ctx, mode, sizeof(mode));
	if (ctx->vm && !vm_pick(ctx, &vms)) {
		vm_list_free(&vms);
		return DMP_FAIL;
	}
	if (j) {
		json_open(j, NULL, '{');
		json_str(j, "schema", "dmp-status-1");
		json_str(j, "tool", DMP_TOOL_VERSION);
		json_str(j, "default_mode", mode);
		json_open(j, "vms", '[');
	} else {
		printf("dmp %s; new VMs start in mode %s\n", DMP_TOOL_VERSION,
		       mode);
	}
	ret = ctx->vm ? show_one(ctx, &vms, j) : show_all(ctx, &vms, j);
	if (j) {
		json_close(j, ']');
		json_close(j, '}');
	}
	vm_list_free(&vms);
	return ret ? DMP_FAIL : DMP_OK;
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_status, argc, argv, status);
}

const struct dmp_cmd cmd_status = {
	.name = "status",
	.summary = "show the engine's state and exact exit counts, of all VMs or --vm",
	.run = run,
};
