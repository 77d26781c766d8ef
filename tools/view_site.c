// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "disasm.h"
#include "view_site.h"

static enum disasm_syntax syntax(const struct view *v)
{
	return v->att ? DISASM_ATT : DISASM_INTEL;
}

/* The address as a record, for what there is for those. */
static struct record record_at(u64 rip)
{
	return (struct record){ .rip = rip, .bits = 64, .kind = "none" };
}

static const char *or_null(const char *word)
{
	return strcmp(word, "-") ? word : NULL;
}

void view_site_add_cols(struct table *t, struct site_cols *c)
{
	c->state = table_add_col(t, "SITE", false, 8, 0);
	c->tactic = table_add_col(t, "TACTIC", false, 3, 0);
	c->form = table_add_col(t, "FORM", false, 3, 0);
	c->before = table_add_col(t, "BEFORE", true, 0, 0);
	c->since = table_add_col(t, "SINCE", true, 0, 0);
}

void view_site_set_cells(struct table *t, const struct site_cols *c,
			 const struct site *site)
{
	char state[64];

	if (!site)
		return;
	site_state(site, state, sizeof(state));
	table_set(t, c->state, "%s", state);
	table_set(t, c->tactic, "%s",
		  strcmp(site->tactic, "none") ? site->tactic : "-");
	table_set(t, c->form, "%s", site->form);
	table_set(t, c->before, "%llu", (unsigned long long)site->traps);
	table_set(t, c->since, "%llu", (unsigned long long)site->since);
}

struct site_table {
	struct table *t;
	const struct view *v;
	struct site_cols cols;
	int addr, sym, calls, undos, insn;
};

static void set_place(const struct site_table *s, u64 rip, const char *indent,
		      const char *insn)
{
	struct record r = record_at(rip);
	char symbol[VIEW_TEXT];

	table_set(s->t, s->addr, "0x%llx", (unsigned long long)rip);
	if (s->sym >= 0) {
		view_symbol(s->v, &r, symbol, sizeof(symbol));
		table_set(s->t, s->sym, "%s", symbol);
	}
	table_set(s->t, s->insn, "%s%s", indent, insn);
}

/* All that the splice covers: the first is the site's own. */
static void add_insns(const struct site_table *s, const struct site *site)
{
	char insn[DISASM_MAX];
	size_t at = 0, len;

	if (!site->nr_bytes)
		set_place(s, site->rip, "", "-");
	while (at < site->nr_bytes) {
		if (at)
			table_add_row(s->t);
		len = disasm(insn, sizeof(insn), syntax(s->v), 64,
			     site->rip + at, site->bytes + at,
			     site->nr_bytes - at);
		set_place(s, site->rip + at, at ? "+ " : "", len ? insn : "(bad)");
		at += len ? len : site->nr_bytes;
	}
}

void view_site_table(struct table *t, const struct view *v,
		     const struct site_list *list)
{
	struct site_table s = { .t = t, .v = v, .sym = -1 };
	size_t i;

	view_site_add_cols(t, &s.cols);
	s.calls = table_add_col(t, "CALLS", true, 0, 0);
	s.undos = table_add_col(t, "UNDOS", true, 0, 0);
	s.addr = table_add_col(t, "ADDRESS", false, 0, 0);
	if (v->has_symbols && v->names_fit)
		s.sym = table_add_col(t, "SYMBOL", false, 18, 0);
	s.insn = table_add_col(t, "INSTRUCTION", false, 14, 0);
	for (i = 0; i < list->n; i++) {
		const struct site *site = &list->v[i];

		table_add_row(t);
		view_site_set_cells(t, &s.cols, site);
		table_set(t, s.calls, "%llu", (unsigned long long)site->finished);
		table_set(t, s.undos, "%llu", (unsigned long long)site->undos);
		add_insns(&s, site);
	}
}

static void json_counts(struct json *j, const struct site *site)
{
	json_str(j, "state", site->state);
	json_str(j, "tactic",
		 strcmp(site->tactic, "none") ? site->tactic : NULL);
	json_str(j, "form", or_null(site->form));
	json_num(j, "before", site->traps);
	json_num(j, "since", site->since);
	json_num(j, "calls", site->finished);
	json_num(j, "undos", site->undos);
	json_str(j, "refusal", or_null(site->reason));
}

void view_json_site(struct json *j, const struct site *site)
{
	if (!site) {
		json_str(j, "site", NULL);
		return;
	}
	json_open(j, "site", '{');
	json_counts(j, site);
	json_close(j, '}');
}

static void json_insns(struct json *j, const struct view *v,
		       const struct site *site)
{
	char insn[DISASM_MAX];
	size_t at, len;

	json_open(j, "insns", '[');
	for (at = 0; at < site->nr_bytes; at += len) {
		len = disasm(insn, sizeof(insn), syntax(v), 64, site->rip + at,
			     site->bytes + at, site->nr_bytes - at);
		if (!len)
			break;
		json_str(j, NULL, insn);
	}
	json_close(j, ']');
}

void view_json_site_members(struct json *j, const struct view *v,
			    const struct site *site)
{
	char hex[2 * SITE_BYTES_MAX + 1] = "";
	struct record r = record_at(site->rip);
	size_t i;

	for (i = 0; i < site->nr_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", site->bytes[i]);
	json_hex(j, "rip", site->rip);
	view_json_symbol(j, v, &r);
	json_counts(j, site);
	json_str(j, "bytes", hex[0] ? hex : NULL);
	json_insns(j, v, site);
	if (site->stub) {
		json_hex(j, "stub", site->stub);
		json_num(j, "stub_bytes", site->size);
	} else {
		json_str(j, "stub", NULL);
		json_num(j, "stub_bytes", 0);
	}
}
