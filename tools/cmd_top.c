// SPDX-License-Identifier: GPL-2.0-only
/* dmp top: the instructions that cause the exits, live. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "select.h"
#include "term.h"
#include "view_table.h"

#define HEAD_LINES	3	/* above the table's own heading */
#define RATE_WIDTH	9
#define SHARE_WIDTH	6

enum { OPT_DELAY = SEL_OWN, OPT_ITERATIONS };

static const struct dmp_opt top_opts[] = {
	SELECT_OPTS,
	{ "delay", 'd', "SECS", "between refreshes, 0.1 to 3600 (default 1)",
	  OPT_DELAY },
	{ "iterations", 'i', "N", "end after N refreshes", OPT_ITERATIONS },
	{ NULL }
};

struct top {
	struct dmp_ctx *ctx;
	struct select sel;
	double delay;
	u64 iterations;			/* 0: no end */
	bool screen;
	const struct vm *vm;
	struct view view;
	struct record_filter filter;
	struct snapshot prev, now;
	bool has_rates;			/* prev is one delay older than now */
	struct record_list list;	/* merged deltas, largest first */
	double seconds;
	u64 exits;			/* since prev */
};

static double rate_of(const struct top *t, u64 n)
{
	return t->seconds > 0 ? n / t->seconds : 0;
}

/* A counter that went down was reset: what it has now is new. */
static u64 counter_delta(u64 now, u64 before)
{
	return now >= before ? now - before : now;
}

static u64 kind_delta(const struct top *t, const struct status_count *k)
{
	const struct status *prev = &t->prev.st;
	size_t i;

	for (i = 0; i < prev->kinds.n; i++)
		if (!strcmp(prev->kinds.v[i].name, k->name))
			return counter_delta(k->n, prev->kinds.v[i].n);
	return k->n;
}

static const char *status_or(const struct top *t, const char *key)
{
	const char *s = status_get(&t->now.st, key);

	return s ? s : "?";
}

/* The line below the first: what is wrong, or the page faults by kind. */
static void put_second_line(const struct top *t, FILE *f, int width)
{
	char line[1024];
	size_t i, len;

	if (!strcmp(status_or(t, "mode"), "off")) {
		snprintf(line, sizeof(line),
			 "the monitor is off: dmp mode monitor --vm %s",
			 t->vm->id);
	} else if (t->now.bad_hot.count || t->now.bad_status.count) {
		struct dmp_err keep = t->ctx->err;

		snapshot_check(t->ctx, t->vm, &t->now);
		snprintf(line, sizeof(line), "%.1000s", t->ctx->err.msg);
		t->ctx->err = keep;
	} else if (!view_warning(t->ctx, &t->view, line, sizeof(line))) {
		len = snprintf(line, sizeof(line), "page faults/s:");
		for (i = 0; i < t->now.st.kinds.n && len < 900; i++)
			len += snprintf(line + len, sizeof(line) - len,
					"  %s %.0f", t->now.st.kinds.v[i].name,
					rate_of(t, kind_delta(t, &t->now.st.kinds.v[i])));
	}
	print_cut(f, line, width);
}

static void put_head(const struct top *t, FILE *f, int width)
{
	const struct vm *vm = t->vm;
	char line[1024];

	snprintf(line, sizeof(line),
		 "dmp top  VM %s%s%.60s%s  %s %s  %s  vCPUs %s  %.0f exits/s",
		 vm->id, vm->name ? " (" : "", vm->name ? vm->name : "",
		 vm->name ? ")" : "", status_or(t, "isa"),
		 status_or(t, "paging"), status_or(t, "mode"),
		 status_or(t, "vcpus"), rate_of(t, t->exits));
	print_cut(f, line, width);
	put_second_line(t, f, width);
	fputc('\n', f);
}

static void fill_table(const struct top *t, struct table *tab, int width,
		       size_t rows)
{
	int rate = table_add_col(tab, "EXITS/s", true, RATE_WIDTH, 0);
	int share = table_add_col(tab, "SHARE", true, SHARE_WIDTH, 0);
	struct view_cols cols;
	size_t i;

	view_add_cols(tab, &t->view, width, &cols);
	if (width)
		view_fix_cols(tab, &cols, width, RATE_WIDTH + SHARE_WIDTH + 2);
	for (i = 0; i < t->list.n && i < rows; i++) {
		const struct record *r = &t->list.v[i];

		table_add_row(tab);
		table_set(tab, rate, "%.*f", rate_of(t, r->delta) < 10,
			  rate_of(t, r->delta));
		table_set(tab, share, "%.1f%%",
			  t->exits ? 100.0 * r->delta / t->exits : 0);
		view_set_cells(tab, &t->view, &cols, r);
	}
	table_fit(tab, width);
}

static size_t row_limit(const struct top *t, int screen_rows)
{
	size_t room = screen_rows > HEAD_LINES + 1 ?
		      screen_rows - HEAD_LINES - 1 : 1;

	if (!t->sel.has_count && t->screen)
		return room;
	if (!t->sel.count)
		return t->screen ? room : SIZE_MAX;
	return t->screen && t->sel.count > room ? room : t->sel.count;
}

static int put_frame(const struct top *t, FILE *f, int width, int screen_rows)
{
	struct table tab = { 0 };
	bool failed;
	size_t i;

	put_head(t, f, width);
	fill_table(t, &tab, width, row_limit(t, screen_rows));
	if (t->screen)
		fputs("\033[7m", f);
	table_print_head(&tab, f);
	if (t->screen)
		fputs("\033[0m", f);
	for (i = 0; i < tab.rows; i++)
		table_print_row(&tab, f, i);
	failed = tab.failed;
	table_free(&tab);
	return failed ? err_set(&t->ctx->err, "out of memory") : 0;
}

static int show_screen(const struct top *t)
{
	char *text = NULL;
	int cols, rows, ret;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return err_set(&t->ctx->err, "out of memory");
	term_size(&cols, &rows);
	ret = put_frame(t, f, cols, rows);
	if (fclose(f) && !ret)
		ret = err_set(&t->ctx->err, "out of memory");
	if (!ret)
		term_show(text, len);
	free(text);
	return ret;
}

static int show_json(const struct top *t)
{
	struct json j = { .f = stdout };
	size_t i;

	json_open(&j, NULL, '{');
	json_str(&j, "schema", "dmp-top-1");
	view_json_vm(&j, t->vm);
	json_str(&j, "mode", status_get(&t->now.st, "mode"));
	json_real(&j, "seconds", t->seconds, 3);
	json_num(&j, "exits", t->exits);
	json_real(&j, "exits_per_s", rate_of(t, t->exits), 1);
	json_open(&j, "kinds", '{');
	for (i = 0; i < t->now.st.kinds.n; i++)
		json_real(&j, t->now.st.kinds.v[i].name,
			  rate_of(t, kind_delta(t, &t->now.st.kinds.v[i])), 1);
	json_close(&j, '}');
	json_open(&j, "records", '[');
	for (i = 0; i < t->list.n && i < row_limit(t, 0); i++) {
		const struct record *r = &t->list.v[i];

		json_open(&j, NULL, '{');
		json_real(&j, "per_s", rate_of(t, r->delta), 1);
		json_real(&j, "share",
			  t->exits ? (double)r->delta / t->exits : 0, 6);
		view_json_record(&j, &t->view, r, &t->now.raw);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	return 0;
}

static int show(const struct top *t)
{
	int ret;

	if (t->screen)
		return show_screen(t);
	if (t->ctx->json) {
		ret = show_json(t);
	} else {
		ret = put_frame(t, stdout, term_width(), 0);
		putchar('\n');
	}
	fflush(stdout);
	return ret;
}

static u64 exits_between(const struct snapshot *now, const struct snapshot *prev,
			 u64 listed)
{
	u64 n = counter_delta(status_get_u64(&now->st, "charged"),
			      status_get_u64(&prev->st, "charged"));

	return n > listed ? n : listed;
}

/* Make ->now a new reading and ->list what it has over the one before. */
static int refresh(struct top *t)
{
	struct snapshot next;
	u64 listed = 0;
	size_t i;

	if (snapshot_read(t->ctx, t->vm, &next))
		return -1;
	snapshot_free(&t->prev);
	t->prev = t->now;
	t->now = next;
	t->seconds = t->has_rates ? t->now.time - t->prev.time : 0;
	view_update(&t->view, &t->now.st);
	records_diff(&t->now.raw, t->has_rates ? &t->prev.raw : &t->now.raw);
	records_free(&t->list);
	if (records_merge(&t->now.raw, &t->list))
		return err_set(&t->ctx->err, "out of memory");
	for (i = 0; i < t->list.n; i++)
		listed += t->list.v[i].delta;
	t->exits = exits_between(&t->now, t->has_rates ? &t->prev : &t->now,
				 listed);
	records_filter(&t->list, &t->filter);
	records_sort(&t->list, BY_DELTA);
	t->has_rates = true;
	return 0;
}

/* Returns 0 when it is to end, -1 with ctx->err set. */
static int loop(struct top *t)
{
	double next = term_now();
	u64 shown = 0;

	for (;;) {
		next += t->delay;
		if (next < term_now())
			next = term_now();	/* we were stopped, or are slow */
		for (;;) {
			enum term_event e = term_wait(next);

			if (e == TERM_QUIT)
				return snapshot_check(t->ctx, t->vm, &t->now);
			if (e == TERM_TIME)
				break;
			if (t->screen && show(t))
				return -1;
		}
		if (refresh(t) || show(t))
			return -1;
		if (++shown == t->iterations)
			return snapshot_check(t->ctx, t->vm, &t->now);
	}
}

static int top_vm(struct top *t)
{
	char text[512];
	int ret = -1;

	t->screen = isatty(STDOUT_FILENO) && !t->ctx->json;
	if (refresh(t) ||
	    select_filter(t->ctx, &t->sel, t->view.isa, &t->filter))
		goto out;
	t->filter.moving = true;
	if (term_begin(t->screen)) {
		t->screen = false;
		term_begin(false);
	}
	if (!t->screen && view_warning(t->ctx, &t->view, text, sizeof(text)))
		fprintf(stderr, "dmp: warning: %s\n", text);
	t->list.n = 0;		/* nothing has a rate yet */
	ret = t->screen ? show(t) : 0;
	if (!ret)
		ret = loop(t);
	term_end();
out:
	records_free(&t->list);
	snapshot_free(&t->prev);
	snapshot_free(&t->now);
	return ret;
}

static int top(struct top *t)
{
	struct vm_list vms;
	int ret = -1;

	if (view_open(t->ctx, &t->view))
		return DMP_FAIL;
	if (!vm_list_read(t->ctx, &vms)) {
		t->vm = vm_pick(t->ctx, &vms);
		if (t->vm)
			ret = top_vm(t);
		vm_list_free(&vms);
	}
	view_close(&t->view);
	return ret ? DMP_FAIL : DMP_OK;
}

static int top_opt(struct top *t, int id, const char *val)
{
	char *end;

	switch (id) {
	case OPT_DELAY:
		t->delay = strtod(val, &end);
		if (end == val || *end || !(t->delay >= 0.1 && t->delay <= 3600))
			return usage_err(t->ctx, "top",
					 "-d is 0.1 to 3600 seconds, not '%.40s'",
					 val);
		return DMP_OK;
	case OPT_ITERATIONS:
		if (!opt_number(val, UINT64_MAX, &t->iterations) ||
		    !t->iterations)
			return usage_err(t->ctx, "top",
					 "bad number for --iterations: '%.40s'",
					 val);
		return DMP_OK;
	default:
		return select_opt(t->ctx, "top", &t->sel, id, val);
	}
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct top t = { .ctx = ctx, .sel = SELECT_INIT, .delay = 1,
			 .filter.cpl = -1 };
	struct opt_walk w = { .i = 1 };
	int id;

	while ((id = opts_next(ctx, top_opts, &w, argc, argv)) != OPT_END) {
		if (id == OPT_HELP)
			return cmd_help(&cmd_top);
		if (id == OPT_BAD)
			return DMP_USAGE;
		if (id == OPT_OPERAND)
			return usage_err(ctx, "top", "unexpected '%.80s'", w.val);
		if (top_opt(&t, id, w.val))
			return DMP_USAGE;
	}
	return top(&t);
}

const struct dmp_cmd cmd_top = {
	.name = "top",
	.summary = "watch the guest instructions that cause VM exits, live",
	.help =
"On a terminal: q quits, the table fills the screen. Otherwise each refresh is\n"
"a table of its own, with --json one object a line. The first comes after one\n"
"delay, for rates are differences.\n",
	.opts = top_opts,
	.run = run,
};
