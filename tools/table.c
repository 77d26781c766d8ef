// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "table.h"

int table_add_col(struct table *t, const char *title, bool right, int min,
		  int max)
{
	t->col[t->cols] = (struct table_col){ title, right, min, max, 0 };
	return t->cols++;
}

void table_add_row(struct table *t)
{
	size_t n = (t->rows + 1) * t->cols;
	char **cell = realloc(t->cell, n * sizeof(*cell));

	if (!cell) {
		t->failed = true;
		return;
	}
	t->cell = cell;
	memset(cell + t->rows * t->cols, 0, t->cols * sizeof(*cell));
	t->rows++;
}

void table_set(struct table *t, int col, const char *fmt, ...)
{
	char *text;
	va_list ap;

	if (t->failed)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		t->failed = true;
	else
		t->cell[(t->rows - 1) * t->cols + col] = text;
	va_end(ap);
}

static const char *cell_text(const struct table *t, size_t row, int col)
{
	const char *s = t->cell[row * t->cols + col];

	return s ? s : "";
}

static int natural_width(const struct table *t, int col)
{
	const struct table_col *c = &t->col[col];
	size_t w = strlen(c->title), i;

	for (i = 0; i < t->rows; i++) {
		size_t len = strlen(cell_text(t, i, col));

		w = len > w ? len : w;
	}
	if ((int)w < c->min)
		w = c->min;
	if (c->max && (int)w > c->max)
		w = c->max;
	return w;
}

/* The column that gives way next: the widest above its minimum, or NULL. */
static struct table_col *find_shrinkable(struct table *t)
{
	struct table_col *best = NULL;
	int i;

	for (i = 0; i < t->cols; i++) {
		struct table_col *c = &t->col[i];

		if (c->min && c->width > c->min &&
		    (!best || c->width >= best->width))
			best = c;
	}
	return best;
}

void table_fit(struct table *t, int width)
{
	struct table_col *c;
	int i, total = t->cols - 1;

	for (i = 0; i < t->cols; i++) {
		t->col[i].width = natural_width(t, i);
		total += t->col[i].width;
	}
	while (width && total > width && (c = find_shrinkable(t))) {
		c->width--;
		total--;
	}
}

static void print_cell(const struct table_col *c, FILE *f, const char *s,
		       bool last)
{
	int len = strlen(s);
	bool cut = len > c->width && c->width > 1;

	if (cut)
		fprintf(f, "%.*s~", c->width - 1, s);
	else if (last && !c->right)
		fprintf(f, "%.*s", c->width, s);
	else
		fprintf(f, c->right ? "%*.*s" : "%-*.*s", c->width, c->width, s);
	if (!last)
		putc(' ', f);
}

void table_print_head(const struct table *t, FILE *f)
{
	int i;

	for (i = 0; i < t->cols; i++)
		print_cell(&t->col[i], f, t->col[i].title, i == t->cols - 1);
	putc('\n', f);
}

void table_print_row(const struct table *t, FILE *f, size_t row)
{
	int i;

	for (i = 0; i < t->cols; i++)
		print_cell(&t->col[i], f, cell_text(t, row, i), i == t->cols - 1);
	putc('\n', f);
}

void table_free(struct table *t)
{
	size_t i;

	for (i = 0; i < t->rows * t->cols; i++)
		free(t->cell[i]);
	free(t->cell);
	*t = (struct table){ 0 };
}

int term_width(void)
{
	struct winsize ws;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_col)
		return 80;
	return ws.ws_col;
}

void print_cut(FILE *f, const char *s, int width)
{
	int len = strlen(s);

	if (width && len > width) {
		len = width;
		/* Not inside a UTF-8 character. */
		while (len && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	fprintf(f, "%.*s\n", len, s);
}
