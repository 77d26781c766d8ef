// SPDX-License-Identifier: GPL-2.0-only
#include "view_table.h"

#define CPL_WIDTH	3
#define ADDR_WIDTH	18	/* 0x and 16 digits */

void view_add_cols(struct table *t, const struct view *v, int width,
		   struct view_cols *c)
{
	bool names = v->has_symbols && v->names_fit;
	bool narrow = width && width < VIEW_WIDE;

	c->cpl = table_add_col(t, "CPL", true, 0, 0);
	c->reason = table_add_col(t, "REASON", false, 12, 0);
	c->addr = -1;
	c->sym = -1;
	if (!names || !narrow)
		c->addr = table_add_col(t, "ADDRESS", false, 0, 0);
	if (names)
		c->sym = table_add_col(t, narrow ? "WHERE" : "SYMBOL", false,
				       18, 0);
	c->insn = table_add_col(t, "INSTRUCTION", false, 14, 0);
}

static void fix(struct table *t, int col, int width)
{
	t->col[col].min = width;
	t->col[col].max = width;
}

void view_fix_cols(struct table *t, const struct view_cols *c, int width,
		   int left)
{
	/* Each column but the last is followed by a blank. */
	int rest = width - left - (CPL_WIDTH + 1) - 2;

	fix(t, c->cpl, CPL_WIDTH);
	if (c->addr >= 0) {
		fix(t, c->addr, ADDR_WIDTH);
		rest -= ADDR_WIDTH + (c->sym >= 0);
	}
	if (rest < 36)
		rest = 36;
	if (c->sym >= 0) {
		fix(t, c->reason, rest * 26 / 100);
		fix(t, c->sym, rest * 38 / 100);
		fix(t, c->insn, rest - rest * 26 / 100 - rest * 38 / 100);
	} else {
		fix(t, c->reason, rest * 40 / 100);
		fix(t, c->insn, rest - rest * 40 / 100);
	}
}

void view_set_cells(struct table *t, const struct view *v,
		    const struct view_cols *c, const struct record *r)
{
	char buf[VIEW_TEXT];

	table_set(t, c->cpl, "%u", r->cpl);
	view_reason(v, r, buf, sizeof(buf));
	table_set(t, c->reason, "%s", buf);
	if (c->addr >= 0) {
		view_address(r, buf, sizeof(buf));
		table_set(t, c->addr, "%s", buf);
	}
	if (c->sym >= 0) {
		view_symbol(v, r, buf, sizeof(buf));
		if (!buf[0] && c->addr < 0)
			view_address(r, buf, sizeof(buf));
		table_set(t, c->sym, "%s", buf);
	}
	view_insn(v, r, buf, sizeof(buf));
	table_set(t, c->insn, "%s", buf);
}
