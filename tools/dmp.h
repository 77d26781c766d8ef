/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs of `dmp`, and what each of them gets.
 *
 * A verb is one file, cmd_VERB.c, with one struct dmp_cmd, which stands in
 * the table in main.c. That is all it takes to add one.
 */
#ifndef DMP_TOOL_DMP_H
#define DMP_TOOL_DMP_H

#include "util.h"

#define DMP_TOOL_VERSION	"0.1"

/* The options any verb accepts, before or after its name. */
struct dmp_ctx {
	const char *debugfs;	/* where debugfs is mounted */
	const char *sysfs;
	const char *proc;
	const char *vm;		/* --vm, or NULL: the only one */
	const char *symbols;	/* --symbols FILE, or NULL */
	bool has_slide;
	u64 slide;		/* --slide, modulo 2^64 */
	bool json;
	bool att;		/* AT&T syntax */
	struct dmp_err err;
};

struct dmp_opt {
	const char *name;	/* long name, without dashes */
	char letter;		/* or 0 */
	const char *arg;	/* name of its argument, or NULL */
	const char *help;
	int id;			/* what the verb's own switch sees */
};

struct dmp_cmd {
	const char *name;
	const char *args;	/* its operands, for the usage line */
	const char *summary;
	const char *help;	/* more text for --help, or NULL */
	const struct dmp_opt *opts;	/* ends with a NULL name, or NULL */
	/*
	 * @argv[0] is the verb. Returns DMP_OK, DMP_FAIL or DMP_USAGE; for
	 * the latter two @ctx->err has the line, or is empty if it has been
	 * printed or there is nothing to say.
	 */
	int (*run)(struct dmp_ctx *ctx, int argc, char **argv);
};

extern const struct dmp_cmd cmd_top, cmd_hot, cmd_status, cmd_mode, cmd_reset;
extern const struct dmp_cmd cmd_engage, cmd_disengage, cmd_audit;
extern const struct dmp_cmd cmd_sites, cmd_undo;

#endif /* DMP_TOOL_DMP_H */
