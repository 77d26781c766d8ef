/* SPDX-License-Identifier: GPL-2.0-only */
/* The columns that describe a record, the same in `hot` and `top`. */
#ifndef DMP_TOOL_VIEW_TABLE_H
#define DMP_TOOL_VIEW_TABLE_H

#include "table.h"
#include "view.h"

/* Narrower than this, address and symbol share one column. */
#define VIEW_WIDE	110

struct view_cols {
	int cpl, reason, addr, sym, insn;	/* -1: not there */
};

/* Add the columns, for a line of @width (0: no limit), last in the table. */
void view_add_cols(struct table *t, const struct view *v, int width,
		   struct view_cols *c);
/*
 * Fix their widths, so that a table shown again and again does not jump;
 * @left is what the columns before them take, blanks included.
 */
void view_fix_cols(struct table *t, const struct view_cols *c, int width,
		   int left);
/* Fill them in, in the row begun last. */
void view_set_cells(struct table *t, const struct view *v,
		    const struct view_cols *c, const struct record *r);

#endif /* DMP_TOOL_VIEW_TABLE_H */
