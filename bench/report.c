// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "report.h"

static const struct {
	const char *json, *head;
} columns[MARK_NR] = {
	[MARK_EXITS]	= { "exits",	    "exits" },
	[MARK_PF]	= { "pf_exits",	    "pf" },
	[MARK_INTR]	= { "intr_exits",   "intr" },
	[MARK_CPUID]	= { "cpuid_exits",  "cpuid" },
	[MARK_CR]	= { "cr_exits",	    "cr" },
	[MARK_INVLPG]	= { "invlpg_exits", "invlpg" },
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double sort_to_median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), compare);
	return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

void report_fill(struct report_row *row, double *insns, double exits[MARK_NR][REPORT_MAX_ROUNDS],
		 unsigned int rounds)
{
	int i;

	row->insns = sort_to_median(insns, rounds);
	row->spread = row->insns > 0 ? (insns[rounds - 1] - insns[0]) / row->insns : 0;
	for (i = 0; i < MARK_NR; i++)
		row->exits[i] = sort_to_median(exits[i], rounds);
}

void report_table(FILE *f, const struct report *r)
{
	size_t i;
	int c;

	fprintf(f, "machine %s, mode %s, per unit, median of %u round%s%s\n", r->machine, r->mode,
		r->rounds, r->rounds == 1 ? "" : "s",
		r->nr_exits ? "" : "; no marks here, so exits are not known");
	fprintf(f, "%-8s %-10s %7s %11s %7s", "op", "unit", "n", "insns", "spread");
	for (c = 0; c < r->nr_exits; c++)
		fprintf(f, " %9s", columns[c].head);
	fputc('\n', f);
	for (i = 0; i < r->nr_rows; i++) {
		const struct report_row *row = &r->row[i];

		fprintf(f, "%-8s %-10s %7lu %11.1f %7.4f", row->op->name, row->op->unit, row->n,
			row->insns, row->spread);
		for (c = 0; c < r->nr_exits; c++)
			fprintf(f, " %9.4f", row->exits[c]);
		fputc('\n', f);
	}
}

void report_json(FILE *f, const struct report *r)
{
	size_t i;
	int c;

	for (i = 0; i < r->nr_rows; i++) {
		const struct report_row *row = &r->row[i];

		fprintf(f, "{\"machine\":\"%s\",\"mode\":\"%s\",\"op\":\"%s\",\"unit\":\"%s\",",
			r->machine, r->mode, row->op->name, row->op->unit);
		fprintf(f, "\"n\":%lu,\"insns\":%.1f,", row->n, row->insns);
		for (c = 0; c < r->nr_exits; c++)
			fprintf(f, "\"%s\":%.4f,", columns[c].json, row->exits[c]);
		fprintf(f, "\"spread\":%.4f}\n", row->spread);
	}
}
