/* SPDX-License-Identifier: GPL-2.0-only */
/* A site in words, the same in `sites` and `hot`. */
#ifndef DMP_TOOL_VIEW_SITE_H
#define DMP_TOOL_VIEW_SITE_H

#include "site.h"
#include "table.h"
#include "view.h"

/* The table of `sites`: a row for each, and for each moved instruction. */
void view_site_table(struct table *t, const struct view *v,
		     const struct site_list *list);

/* The members of a site's object, which the caller has opened. */
void view_json_site_members(struct json *j, const struct view *v,
			    const struct site *site);
/* The member "site" of another object; null for NULL. */
void view_json_site(struct json *j, const struct site *site);

/* Columns that say of a record what site it is; all empty for NULL. */
struct site_cols {
	int state, tactic, form, before, since;
};

void view_site_add_cols(struct table *t, struct site_cols *c);
void view_site_set_cells(struct table *t, const struct site_cols *c,
			 const struct site *site);

#endif /* DMP_TOOL_VIEW_SITE_H */
