// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "report.h"

#define MAX_N		(1ul << 24)
#define MAX_SECONDS	(1ul << 20)
#define DEFAULT_ROUNDS	3

static const char help[] =
"usage: dmp-bench [options]\n"
"Measures operations in instructions (time stamp ticks) and VM exits per unit.\n"
"\n"
"  --op NAME       measure this operation (repeatable; see --list)\n"
"  --n N           units a round, instead of each operation's own\n"
"  --rounds R      rounds; the median is shown (default 3)\n"
"  --mode NAME     for the rows: native, nested, shadow, ...; native has no exits\n"
"  --machine NAME  for the rows: svm, ...\n"
"  --json FILE     append one JSON object a line to FILE (- is stdout), no table\n"
"  --shell PATH    POSIX shell for `shell` (default /bin/sh)\n"
"  --true PATH     program for `exec` (default dmp-true beside dmp-bench)\n"
"  --progress      name each operation on stderr before it starts\n"
"  --load SECONDS  do not measure: cycle through the operations that long,\n"
"                  checking all they do, and print a checksum\n"
"  --loop N        the same, N cycles; the checksum depends on N, --op and --n\n"
"  --list          list the operations; --help prints this\n"
"\n"
"Exits with 0, 1 when an operation failed, 2 for bad arguments. TMPDIR (or /tmp)\n"
"has to be writable for `shell`.\n";

enum {
	OPT_OP = 1, OPT_N, OPT_ROUNDS, OPT_MODE, OPT_MACHINE, OPT_JSON, OPT_SHELL, OPT_TRUE,
	OPT_PROGRESS, OPT_LOAD, OPT_LOOP, OPT_LIST, OPT_HELP
};

static const struct option long_options[] = {
	{ "op",	      required_argument, NULL, OPT_OP },
	{ "n",	      required_argument, NULL, OPT_N },
	{ "rounds",   required_argument, NULL, OPT_ROUNDS },
	{ "mode",     required_argument, NULL, OPT_MODE },
	{ "machine",  required_argument, NULL, OPT_MACHINE },
	{ "json",     required_argument, NULL, OPT_JSON },
	{ "shell",    required_argument, NULL, OPT_SHELL },
	{ "true",     required_argument, NULL, OPT_TRUE },
	{ "progress", no_argument,	 NULL, OPT_PROGRESS },
	{ "load",     required_argument, NULL, OPT_LOAD },
	{ "loop",     required_argument, NULL, OPT_LOOP },
	{ "list",     no_argument,	 NULL, OPT_LIST },
	{ "help",     no_argument,	 NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 }
};

__printf(1, 2)
static void __noreturn usage(const char *fmt, ...)
{
	va_list ap;

	fputs("dmp-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (see --help)\n", stderr);
	exit(2);
}

static unsigned long number(const char *option, const char *text, unsigned long max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || !value || value > max)
		usage("%s takes 1 to %lu, not '%s'", option, max, text);
	return value;
}

/* Names go into JSON and file names as they are. */
static const char *word(const char *option, const char *text)
{
	const char *c = text;

	while (*c && isascii(*c) && (isalnum(*c) || strchr("._+-", *c)))
		c++;
	if (!*text || *c)
		usage("%s takes letters, digits and ._+- only, not '%s'", option, text);
	return text;
}

static void add_op(struct options *o, const char *name)
{
	size_t i;

	if (o->nr_ops == OPTIONS_MAX_OPS)
		usage("more than %d --op", OPTIONS_MAX_OPS);
	for (i = 0; i < bench_nr_ops; i++) {
		if (strcmp(bench_ops[i].name, name))
			continue;
		o->op[o->nr_ops++] = &bench_ops[i];
		return;
	}
	usage("no operation '%s'; --list shows them", name);
}

static void __noreturn list_ops(void)
{
	size_t i;

	for (i = 0; i < bench_nr_ops; i++)
		printf("%-8s %-10s %6lu%s\n", bench_ops[i].name, bench_ops[i].unit, bench_ops[i].n,
		       bench_ops[i].is_default ? "" : "  only when asked for");
	exit(ferror(stdout) || fflush(stdout) ? 1 : 0);
}

static void __noreturn print_help(void)
{
	fputs(help, stdout);
	exit(ferror(stdout) || fflush(stdout) ? 1 : 0);
}

static void take(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_OP:
		add_op(o, arg);
		break;
	case OPT_N:
		o->n = number("--n", arg, MAX_N);
		break;
	case OPT_ROUNDS:
		o->rounds = number("--rounds", arg, REPORT_MAX_ROUNDS);
		break;
	case OPT_MODE:
		o->mode = word("--mode", arg);
		break;
	case OPT_MACHINE:
		o->machine = word("--machine", arg);
		break;
	case OPT_JSON:
		o->json = arg;
		break;
	case OPT_SHELL:
		o->shell = arg;
		break;
	case OPT_TRUE:
		o->true_path = arg;
		break;
	case OPT_PROGRESS:
		o->progress = true;
		break;
	case OPT_LOAD:
		o->load_seconds = number("--load", arg, MAX_SECONDS);
		break;
	case OPT_LOOP:
		o->loops = number("--loop", arg, MAX_N);
		break;
	case OPT_LIST:
		list_ops();
	case OPT_HELP:
		print_help();
	default:
		exit(2);	/* getopt_long() has said it, in one line */
	}
}

static void check(const struct options *o)
{
	if (o->load_seconds && o->loops)
		usage("--load and --loop exclude each other");
	if ((o->load_seconds || o->loops) && (o->rounds || o->json))
		usage("--load and --loop measure nothing: no --rounds, no --json");
}

void options_parse(struct options *o, int argc, char **argv)
{
	char progname[] = "dmp-bench";
	size_t i;
	int opt;

	memset(o, 0, sizeof(*o));
	o->machine = "unknown";
	o->mode = "unknown";
	o->shell = "/bin/sh";
	if (argc > 0)
		argv[0] = progname;	/* for getopt's messages */
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take(o, opt, optarg);
	if (optind < argc)
		usage("what is '%s'?", argv[optind]);
	check(o);
	if (!o->rounds)
		o->rounds = DEFAULT_ROUNDS;
	if (o->nr_ops)
		return;
	for (i = 0; i < bench_nr_ops; i++)
		if (bench_ops[i].is_default)
			o->op[o->nr_ops++] = &bench_ops[i];
}
