/* SPDX-License-Identifier: GPL-2.0-only */
/* Columns of text, fitted to a width. */
#ifndef DMP_TOOL_TABLE_H
#define DMP_TOOL_TABLE_H

#include <stdio.h>

#include "util.h"

#define TABLE_COLS	16

struct table_col {
	const char *title;
	bool right;		/* align right */
	int min;		/* wide at least; what it may shrink to */
	int max;		/* wide at most; 0: no limit */
	int width;		/* set by table_fit() */
};

struct table {
	struct table_col col[TABLE_COLS];
	int cols;
	char **cell;		/* cols * rows */
	size_t rows;
	bool failed;		/* out of memory: a row is missing */
};

/* Add a column; returns its number. Before the first row. */
int table_add_col(struct table *t, const char *title, bool right, int min,
		  int max);
/* Begin a row of empty cells. */
void table_add_row(struct table *t);
/* Set a cell of the row begun last. */
void table_set(struct table *t, int col, const char *fmt, ...) __printf(3, 4);
/* Choose widths: as wide as the text, within @width (0: no limit) if possible. */
void table_fit(struct table *t, int width);
void table_print_head(const struct table *t, FILE *f);
void table_print_row(const struct table *t, FILE *f, size_t row);
void table_free(struct table *t);

/* Columns of the terminal on stdout, or 0 if it is none. */
int term_width(void);

/* Print @s and a newline, cut to @width columns (0: no limit). */
void print_cut(FILE *f, const char *s, int width);

#endif /* DMP_TOOL_TABLE_H */
