// SPDX-License-Identifier: GPL-2.0-only
/* dmp sites: the instructions replaced, and those that are not and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "view_site.h"

struct sites {
	struct dmp_ctx *ctx;
	struct view view;
	struct status st;
	struct site_list list;		/* by traps before and since, most first */
};

static int more_traps(const void *pa, const void *pb)
{
	const struct site *a = pa, *b = pb;
	bool as = site_is_spliced(a), bs = site_is_spliced(b);
	u64 an = a->traps + a->since + a->finished;
	u64 bn = b->traps + b->since + b->finished;

	if (as != bs)
		return as ? -1 : 1;
	if (an != bn)
		return an > bn ? -1 : 1;
	return a->rip < b->rip ? -1 : a->rip > b->rip;
}

static size_t nr_spliced(const struct site_list *list)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++)
		n += site_is_spliced(&list->v[i]);
	return n;
}

static int print_text(const struct sites *s, const struct vm *vm)
{
	struct table t = { 0 };
	int width = term_width();
	bool failed;
	size_t i;

	view_site_table(&t, &s->view, &s->list);
	if (t.rows) {
		table_fit(&t, width);
		table_print_head(&t, stdout);
	}
	for (i = 0; i < t.rows; i++)
		table_print_row(&t, stdout, i);
	failed = t.failed;
	table_free(&t);
	printf("VM %s: %zu instructions replaced, %zu not\n", vm->id,
	       nr_spliced(&s->list), s->list.n - nr_spliced(&s->list));
	return failed ? err_set(&s->ctx->err, "out of memory") : 0;
}

static void print_json(const struct sites *s, const struct vm *vm)
{
	struct json j = { .f = stdout, .flat = 3 };
	size_t i;

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-sites-1");
	view_json_vm(&j, vm);
	if (s->view.has_symbols && s->view.names_fit)
		json_hex(&j, "slide", s->view.sy.slide);
	else
		json_str(&j, "slide", NULL);
	json_num(&j, "spliced", nr_spliced(&s->list));
	json_open(&j, "sites", '[');
	for (i = 0; i < s->list.n; i++) {
		json_open(&j, NULL, '{');
		view_json_site_members(&j, &s->view, &s->list.v[i]);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}

static int show(struct sites *s, const struct vm *vm)
{
	char text[512];

	view_update(&s->view, &s->st);
	if (view_warning(s->ctx, &s->view, text, sizeof(text)))
		fprintf(stderr, "dmp: warning: %s\n", text);
	if (s->list.n)
		qsort(s->list.v, s->list.n, sizeof(*s->list.v), more_traps);
	if (!s->ctx->json)
		return print_text(s, vm);
	print_json(s, vm);
	return 0;
}

static int sites_vm(struct dmp_ctx *ctx, const struct vm *vm)
{
	struct sites s = { .ctx = ctx };
	struct bad_lines bad;
	int ret = -1;

	if (view_open(ctx, &s.view))
		return -1;
	if (!sites_read(ctx, vm, &s.list)) {
		if (!status_read(ctx, vm, &s.st, &bad)) {
			ret = show(&s, vm);
			if (!ret)
				ret = sites_check(ctx, vm, &s.list);
			if (!ret)
				ret = status_check(ctx, vm, &bad);
			status_free(&s.st);
		}
		sites_free(&s.list);
	}
	view_close(&s.view);
	return ret;
}

static int sites(struct dmp_ctx *ctx)
{
	return vm_do(ctx, sites_vm);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	return opts_none(ctx, &cmd_sites, argc, argv, sites);
}

const struct dmp_cmd cmd_sites = {
	.name = "sites",
	.summary = "list the guest instructions that are replaced, and those that are not and why",
	.help =
"BEFORE: traps until it was replaced; SINCE: traps since (its stub did not know\n"
"the table); CALLS: hypercalls of its stub (it knew the table, but left what\n"
"follows to the VMM). Under each instruction stand those that had to be moved\n"
"along with it. Without machine tables, or in a mode but on, there is none.\n",
	.run = run,
};
