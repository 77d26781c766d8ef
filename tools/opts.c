// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"

enum {
	G_VM = 1000, G_SYMBOLS, G_SLIDE, G_JSON, G_SYNTAX, G_DEBUGFS, G_SYSFS,
	G_PROC, G_HELP,
};

const struct dmp_opt dmp_global_opts[] = {
	{ "vm", 0, "VM", "PID, PID-FD or QEMU's -name; the only VM by default",
	  G_VM },
	{ "symbols", 0, "FILE", "the guest's System.map or /proc/kallsyms",
	  G_SYMBOLS },
	{ "slide", 0, "N", "add N to FILE's addresses; found by itself if it can be",
	  G_SLIDE },
	{ "syntax", 0, "intel|att", "of the disassembly (default intel)", G_SYNTAX },
	{ "json", 0, NULL, "JSON output (all verbs but reset)", G_JSON },
	{ "debugfs", 0, "DIR", "default /sys/kernel/debug", G_DEBUGFS },
	{ "sysfs", 0, "DIR", "default /sys", G_SYSFS },
	{ "proc", 0, "DIR", "default /proc", G_PROC },
	{ "help", 'h', NULL, "this text", G_HELP },
	{ NULL }
};

static int bad_opt(struct dmp_ctx *ctx, const char *what, const char *name,
		   int len)
{
	err_set(&ctx->err, "%s '%.*s'; see dmp --help", what, len, name);
	return OPT_BAD;
}

static bool parse_slide(const char *s, u64 *val)
{
	bool minus = *s == '-';
	u64 v;

	if (!parse_u64((struct span){ s + minus, strlen(s + minus) }, &v))
		return false;
	*val = minus ? -v : v;
	return true;
}

/* Returns 0 when taken, OPT_* or the id when it is not global. */
static int take_global(struct dmp_ctx *ctx, int id, const char *val)
{
	switch (id) {
	case G_VM:
		ctx->vm = val;
		break;
	case G_SYMBOLS:
		ctx->symbols = val;
		break;
	case G_SLIDE:
		ctx->has_slide = true;
		if (!parse_slide(val, &ctx->slide))
			return bad_opt(ctx, "bad number for --slide:", val, 40);
		break;
	case G_JSON:
		ctx->json = true;
		break;
	case G_SYNTAX:
		ctx->att = !strcmp(val, "att");
		if (!ctx->att && strcmp(val, "intel"))
			return bad_opt(ctx, "--syntax is intel or att, not", val, 40);
		break;
	case G_DEBUGFS:
		ctx->debugfs = val;
		break;
	case G_SYSFS:
		ctx->sysfs = val;
		break;
	case G_PROC:
		ctx->proc = val;
		break;
	case G_HELP:
		return OPT_HELP;
	default:
		return id;
	}
	return 0;
}

static const struct dmp_opt *find_in(const struct dmp_opt *o, const char *name,
				     size_t len, char letter)
{
	for (; o && o->name; o++)
		if (letter ? o->letter == letter :
		    strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

static const struct dmp_opt *find_opt(const struct dmp_opt *own,
				      const char *name, size_t len, char letter)
{
	const struct dmp_opt *o = find_in(own, name, len, letter);

	return o ? o : find_in(dmp_global_opts, name, len, letter);
}

static int next_long(struct dmp_ctx *ctx, const struct dmp_opt *own,
		     struct opt_walk *w, int argc, char **argv)
{
	const char *arg = argv[w->i++], *name = arg + 2;
	size_t len = strcspn(name, "=");
	const struct dmp_opt *o = find_opt(own, name, len, 0);

	if (!o)
		return bad_opt(ctx, "unknown option", arg, (int)len + 2);
	w->val = name[len] ? name + len + 1 : NULL;
	if (!o->arg && w->val)
		return bad_opt(ctx, "no argument allowed for", arg, (int)len + 2);
	if (o->arg && !w->val) {
		if (w->i >= argc)
			return bad_opt(ctx, "argument missing for", arg, 80);
		w->val = argv[w->i++];
	}
	return take_global(ctx, o->id, w->val);
}

static int next_letter(struct dmp_ctx *ctx, const struct dmp_opt *own,
		       struct opt_walk *w, int argc, char **argv)
{
	char letter[3] = { '-', *w->rest++, 0 };
	const struct dmp_opt *o = find_opt(own, NULL, 0, letter[1]);

	if (!o)
		return bad_opt(ctx, "unknown option", letter, 2);
	w->val = NULL;
	if (o->arg) {
		if (*w->rest)
			w->val = w->rest;
		else if (w->i < argc)
			w->val = argv[w->i++];
		else
			return bad_opt(ctx, "argument missing for", letter, 2);
		w->rest = NULL;
	}
	return take_global(ctx, o->id, w->val);
}

int opts_next(struct dmp_ctx *ctx, const struct dmp_opt *own,
	      struct opt_walk *w, int argc, char **argv)
{
	int id = 0;

	while (!id) {
		if (w->rest && *w->rest) {
			id = next_letter(ctx, own, w, argc, argv);
			continue;
		}
		w->rest = NULL;
		if (w->i >= argc)
			return OPT_END;
		if (w->only_operands || argv[w->i][0] != '-' || !argv[w->i][1]) {
			w->val = argv[w->i++];
			return OPT_OPERAND;
		}
		if (!strcmp(argv[w->i], "--")) {
			w->only_operands = true;
			w->i++;
		} else if (argv[w->i][1] == '-') {
			id = next_long(ctx, own, w, argc, argv);
		} else {
			w->rest = argv[w->i++] + 1;
		}
	}
	return id;
}

void opts_print(FILE *f, const struct dmp_opt *opts)
{
	char left[48];

	for (; opts && opts->name; opts++) {
		snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
			 opts->letter ? '-' : ' ', opts->letter ? opts->letter : ' ',
			 opts->letter ? ", " : "  ", opts->name,
			 opts->arg ? " " : "", opts->arg ? opts->arg : "");
		fprintf(f, "  %-26s %s\n", left, opts->help);
	}
}

int usage_err(struct dmp_ctx *ctx, const char *verb, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	err_set(&ctx->err, "%s; see dmp %s --help", what, verb);
	return DMP_USAGE;
}

int cmd_help(const struct dmp_cmd *cmd)
{
	printf("usage: dmp [options] %s [options]%s%s\n\n%s\n", cmd->name,
	       cmd->args ? " " : "", cmd->args ? cmd->args : "", cmd->summary);
	if (cmd->help)
		printf("\n%s", cmd->help);
	if (cmd->opts) {
		printf("\nOptions of %s:\n", cmd->name);
		opts_print(stdout, cmd->opts);
	}
	printf("\nGlobal options:\n");
	opts_print(stdout, dmp_global_opts);
	return DMP_OK;
}

int opts_none(struct dmp_ctx *ctx, const struct dmp_cmd *cmd, int argc,
	      char **argv, int (*body)(struct dmp_ctx *ctx))
{
	struct opt_walk w = { .i = 1 };

	switch (opts_next(ctx, NULL, &w, argc, argv)) {
	case OPT_END:
		return body(ctx);
	case OPT_HELP:
		return cmd_help(cmd);
	case OPT_OPERAND:
		return usage_err(ctx, cmd->name, "unexpected '%.80s'", w.val);
	default:
		return DMP_USAGE;
	}
}
