// SPDX-License-Identifier: GPL-2.0-only
/* dmp: look at, and control, the DMP engine in this host's KVM. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "opts.h"

static const struct dmp_cmd *const commands[] = {
	&cmd_top, &cmd_hot, &cmd_sites, &cmd_status, &cmd_mode, &cmd_engage,
	&cmd_disengage, &cmd_undo, &cmd_audit, &cmd_reset,
};

enum { O_VERSION = 1 };

static const struct dmp_opt main_opts[] = {
	{ "version", 'V', NULL, "print the tool's version", O_VERSION },
	{ NULL }
};

static void print_usage(FILE *f)
{
	size_t i;

	fprintf(f, "usage: dmp [options] VERB [options]\n\n"
		"Which guest instructions make a KVM guest exit, and DMP's controls.\n"
		"\nVerbs (dmp VERB --help says more):\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(f, "\nGlobal options:\n");
	opts_print(f, dmp_global_opts);
	opts_print(f, main_opts);
	fprintf(f, "\nExit status: 0 done, 1 it could not be done, 2 wrong usage.\n");
}

static const struct dmp_cmd *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int run_verb(struct dmp_ctx *ctx, const char *verb, int argc, char **argv)
{
	const struct dmp_cmd *cmd = find_command(verb);

	if (!cmd) {
		err_set(&ctx->err, "unknown verb '%.80s'; see dmp --help", verb);
		return DMP_USAGE;
	}
	return cmd->run(ctx, argc, argv);
}

static int run(struct dmp_ctx *ctx, int argc, char **argv)
{
	struct opt_walk w = { .i = 1 };

	switch (opts_next(ctx, main_opts, &w, argc, argv)) {
	case OPT_OPERAND:
		return run_verb(ctx, w.val, argc - w.i + 1, argv + w.i - 1);
	case OPT_HELP:
		print_usage(stdout);
		return DMP_OK;
	case O_VERSION:
		printf("dmp %s\n", DMP_TOOL_VERSION);
		return DMP_OK;
	case OPT_END:
		print_usage(stderr);
		return DMP_USAGE;
	default:
		return DMP_USAGE;
	}
}

/* A reader that has gone away is no error of ours; a full disk is. */
static int flush_output(struct dmp_ctx *ctx, int ret)
{
	int bad;

	errno = 0;
	bad = fflush(stdout) || ferror(stdout);
	if (!bad || ret != DMP_OK || errno == EPIPE || output_closed())
		return ret;
	err_set(&ctx->err, "writing the output: %s",
		strerror(errno ? errno : EIO));
	return DMP_FAIL;
}

int main(int argc, char **argv)
{
	static struct dmp_ctx ctx = {
		.debugfs = "/sys/kernel/debug",
		.sysfs = "/sys",
		.proc = "/proc",
	};
	int ret;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	ret = flush_output(&ctx, run(&ctx, argc, argv));
	text_clean(ctx.err.msg);
	if (ret != DMP_OK && ctx.err.msg[0])
		fprintf(stderr, "dmp: %s\n", ctx.err.msg);
	return ret;
}
