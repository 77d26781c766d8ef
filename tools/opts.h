/* SPDX-License-Identifier: GPL-2.0-only */
/* Options: the global ones and a verb's own, from tables. */
#ifndef DMP_TOOL_OPTS_H
#define DMP_TOOL_OPTS_H

#include <stdio.h>

#include "dmp.h"

enum {
	OPT_END = -1,		/* no more options; operands start at *i */
	OPT_BAD = -2,		/* ctx->err says why */
	OPT_HELP = -3,
	OPT_OPERAND = -4,	/* *val is one */
};

/*
 * Walks argv. Global options are taken care of inside; a verb's own are
 * returned by id with their argument in @val. Start with @i = 1.
 */
struct opt_walk {
	int i;
	const char *rest;	/* unread letters of -abc */
	bool only_operands;	/* past "--" */
	const char *val;
};

int opts_next(struct dmp_ctx *ctx, const struct dmp_opt *own,
	      struct opt_walk *w, int argc, char **argv);

extern const struct dmp_opt dmp_global_opts[];
void opts_print(FILE *f, const struct dmp_opt *opts);

/* Usage errors, for a verb: set the line, return DMP_USAGE. */
int usage_err(struct dmp_ctx *ctx, const char *verb, const char *fmt, ...)
	__printf(3, 4);

/*
 * The whole command line of a verb that has no options of its own and no
 * operands; then @body, whose result is returned.
 */
int opts_none(struct dmp_ctx *ctx, const struct dmp_cmd *cmd, int argc,
	      char **argv, int (*body)(struct dmp_ctx *ctx));

/* `dmp VERB --help` on stdout; returns DMP_OK. */
int cmd_help(const struct dmp_cmd *cmd);

#endif /* DMP_TOOL_OPTS_H */
