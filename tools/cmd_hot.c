// SPDX-License-Identifier: GPL-2.0-only
/* dmp hot: the instructions that cause the exits, once. */
#include <stdio.h>
#include <string.h>

#include "select.h"
#include "view_site.h"
#include "view_table.h"

enum { OPT_BY = SEL_OWN };

static const struct dmp_opt hot_opts[] = {
	SELECT_OPTS,
	{ "by", 0, "hits|weight", "order: exits counted, or recent ones (aged)",
	  OPT_BY },
	{ NULL }
};

struct hot {
	struct dmp_ctx *ctx;
	struct select sel;
	enum record_order order;
	const struct vm *vm;
	struct view view;
	struct snapshot snap;
	struct record_list list;	/* merged, filtered, sorted */
	size_t distinct;		/* merged, before the filter */
	u64 exits;
};

static double share_of(const struct hot *h, u64 n)
{
	return h->exits ? (double)n / h->exits : 0;
}

static size_t nr_shown(const struct hot *h)
{
	size_t n = h->list.n;

	return h->sel.count && h->sel.count < n ? h->sel.count : n;
}

/* The kernel's own instructions only: an address says nothing of user space. */
static const struct site *site_of(const struct hot *h, const struct record *r)
{
	return r->cpl ? NULL : sites_find(&h->snap.sites, r->rip);
}

static void fill_table(const struct hot *h, struct table *t, int width)
{
	int rank = table_add_col(t, "#", true, 0, 0);
	int hits = table_add_col(t, "EXITS ", true, 0, 0);
	int share = table_add_col(t, "SHARE", true, 0, 0);
	int weight = h->order == BY_WEIGHT ?
		     table_add_col(t, "WEIGHT", true, 0, 0) : -1;
	struct site_cols sites;
	struct view_cols cols;
	size_t i;

	if (h->snap.sites.n)
		view_site_add_cols(t, &sites);
	view_add_cols(t, &h->view, width, &cols);
	for (i = 0; i < nr_shown(h); i++) {
		const struct record *r = &h->list.v[i];

		table_add_row(t);
		table_set(t, rank, "%zu", i + 1);
		table_set(t, hits, "%llu%c", (unsigned long long)r->hits,
			  r->exact ? ' ' : '+');
		table_set(t, share, "%.1f%%", 100 * share_of(h, r->hits));
		if (weight >= 0)
			table_set(t, weight, "%llu",
				  (unsigned long long)r->weight);
		if (h->snap.sites.n)
			view_site_set_cells(t, &sites, site_of(h, r));
		view_set_cells(t, &h->view, &cols, r);
	}
}

static const char *or_unknown(const char *s)
{
	return s ? s : "?";
}

static void print_head(const struct hot *h)
{
	const struct vm *vm = h->vm;
	const struct status *st = &h->snap.st;

	printf("VM %s%s%s%s: %s, %s paging, mode %s, %s vCPUs, %llu exits charged\n",
	       vm->id, vm->name ? " (" : "", vm->name ? vm->name : "",
	       vm->name ? ")" : "", or_unknown(status_get(st, "isa")),
	       or_unknown(status_get(st, "paging")),
	       or_unknown(status_get(st, "mode")),
	       or_unknown(status_get(st, "vcpus")),
	       (unsigned long long)h->exits);
	if (h->view.has_symbols && h->view.names_fit && h->view.sy.slide)
		printf("symbols of %s, slide %s0x%llx\n", h->ctx->symbols,
		       (s64)h->view.sy.slide < 0 ? "-" : "",
		       (unsigned long long)((s64)h->view.sy.slide < 0 ?
					    -h->view.sy.slide :
					    h->view.sy.slide));
}

static void print_foot(const struct hot *h)
{
	bool all_exact = true;
	u64 sum = 0;
	size_t i;

	for (i = 0; i < nr_shown(h); i++) {
		sum += h->list.v[i].hits;
		all_exact &= h->list.v[i].exact;
	}
	printf("%zu of %zu instructions listed, %.1f%% of all exits",
	       nr_shown(h), h->distinct, 100 * share_of(h, sum));
	printf(all_exact ? "\n" : "; + means at least so many\n");
	if (!h->distinct && status_get(&h->snap.st, "mode") &&
	    !strcmp(status_get(&h->snap.st, "mode"), "off"))
		printf("the monitor is off: dmp mode monitor --vm %s\n",
		       h->vm->id);
}

static int print_text(const struct hot *h)
{
	struct table t = { 0 };
	int width = term_width();
	bool failed;
	size_t i;

	fill_table(h, &t, width);
	print_head(h);
	if (t.rows) {
		table_fit(&t, width);
		table_print_head(&t, stdout);
	}
	for (i = 0; i < t.rows; i++)
		table_print_row(&t, stdout, i);
	print_foot(h);
	failed = t.failed;
	table_free(&t);
	return failed ? err_set(&h->ctx->err, "out of memory") : 0;
}

static int print_json(const struct hot *h)
{
	struct json j = { .f = stdout, .flat = 3 };
	const struct status *st = &h->snap.st;
	size_t i;

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-hot-1");
	view_json_vm(&j, h->vm);
	json_str(&j, "isa", status_get(st, "isa"));
	json_str(&j, "paging", status_get(st, "paging"));
	json_str(&j, "mode", status_get(st, "mode"));
	json_num(&j, "exits", h->exits);
	if (h->view.has_symbols && h->view.names_fit)
		json_hex(&j, "slide", h->view.sy.slide);
	else
		json_str(&j, "slide", NULL);
	json_num(&j, "instructions", h->distinct);
	json_open(&j, "records", '[');
	for (i = 0; i < nr_shown(h); i++) {
		const struct record *r = &h->list.v[i];

		json_open(&j, NULL, '{');
		json_num(&j, "rank", i + 1);
		json_real(&j, "share", share_of(h, r->hits), 6);
		view_json_record(&j, &h->view, r, &h->snap.raw);
		view_json_site(&j, site_of(h, r));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	return 0;
}

static int hot_print(struct hot *h)
{
	struct record_filter filter;
	char text[512];

	view_update(&h->view, &h->snap.st);
	if (select_filter(h->ctx, &h->sel, h->view.isa, &filter))
		return -1;
	if (view_warning(h->ctx, &h->view, text, sizeof(text)))
		fprintf(stderr, "dmp: warning: %s\n", text);
	h->exits = snapshot_exits(&h->snap);
	if (records_merge(&h->snap.raw, &h->list))
		return err_set(&h->ctx->err, "out of memory");
	h->distinct = h->list.n;
	records_filter(&h->list, &filter);
	records_sort(&h->list, h->order);
	return h->ctx->json ? print_json(h) : print_text(h);
}

static int hot_vm(struct hot *h)
{
	int ret;

	if (snapshot_read(h->ctx, h->vm, &h->snap))
		return -1;
	ret = hot_print(h);
	if (!ret)
		ret = snapshot_check(h->ctx, h->vm, &h->snap);
	records_free(&h->list);
	snapshot_free(&h->snap);
	return ret;
}

static int hot(struct hot *h)
{
	struct vm_list vms;
	int ret = -1;

	if (view_open(h->ctx, &h->view))
		return DMP_FAIL;
	if (!vm_list_read(h->ctx, &vms)) {
		h->vm = vm_pick(h->ctx, &vms);
		if (h->vm)
			ret = hot_vm(h);
		vm_list_free(&vms);
	}
	view_close(&h->view);
	return ret ? DMP_FAIL : DMP_OK;
}

static int hot_opt(struct hot *h, int id, const char *val)
{
	if (id != OPT_BY)
		return select_opt(h->ctx, "hot", &h->sel, id, val);
	if (!strcmp(val, "weight"))
		h->order = BY_WEIGHT;
	else if (!strcmp(val, "hits"))
		h->order = BY_HITS;
	else
		return usage_err(h->ctx, "hot",
				 "--by is hits or weight, not '%.40s'", val);
	return DMP_OK;
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct hot h = { .ctx = ctx, .sel = SELECT_INIT };
	struct opt_walk w = { .i = 1 };
	int id;

	while ((id = opts_next(ctx, hot_opts, &w, argc, argv)) != OPT_END) {
		if (id == OPT_HELP)
			return cmd_help(&cmd_hot);
		if (id == OPT_BAD)
			return DMP_USAGE;
		if (id == OPT_OPERAND)
			return usage_err(ctx, "hot", "unexpected '%.80s'", w.val);
		if (hot_opt(&h, id, w.val))
			return DMP_USAGE;
	}
	return hot(&h);
}

const struct dmp_cmd cmd_hot = {
	.name = "hot",
	.summary = "list the guest instructions that cause the most VM exits",
	.help =
"EXITS counts since the monitor admitted the instruction; 123+ says that it\n"
"was there before and lost its place in between, so there were at least 123.\n"
"SHARE is of all exits charged since the monitor was started or reset. Page\n"
"faults have a kind: guest (the guest's own), hidden (virtualization's), table\n"
"(a write to a guest page table), mmio.\n"
"With instructions replaced (mode on), SITE says of each whether it is, or why\n"
"not; BEFORE and SINCE are its traps until then and after: see dmp sites.\n",
	.opts = hot_opts,
	.run = run,
};
