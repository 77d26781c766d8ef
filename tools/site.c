// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "site.h"

/* A list under way, and the line it is at. */
struct parsing {
	struct site_list *list;
	size_t room;
	struct site site;
	bool has_rip;
};

static bool parse_bytes(struct span s, struct site *site)
{
	u64 byte;

	if (span_eq(s, "-"))
		return true;
	if (!s.len || s.len % 2 || s.len > 2 * SITE_BYTES_MAX)
		return false;
	for (; s.len; s.p += 2, s.len -= 2) {
		if (!parse_hex((struct span){ s.p, 2 }, &byte))
			return false;
		site->bytes[site->nr_bytes++] = byte;
	}
	return true;
}

/* Returns false if the value is not one; unknown keys are passed over. */
static bool parse_field(struct span key, struct span val, void *to)
{
	struct parsing *p = to;
	struct site *site = &p->site;
	const struct { const char *key; u64 *to; } numbers[] = {
		{ "rip", &site->rip }, { "traps", &site->traps },
		{ "since", &site->since }, { "finished", &site->finished },
		{ "undos", &site->undos }, { "stub", &site->stub },
		{ "size", &site->size }, { "insns", &site->insns },
	};
	const struct { const char *key; char *to; size_t size; } words[] = {
		{ "state", site->state, sizeof(site->state) },
		{ "tactic", site->tactic, sizeof(site->tactic) },
		{ "form", site->form, sizeof(site->form) },
		{ "reason", site->reason, sizeof(site->reason) },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!span_eq(key, numbers[i].key))
			continue;
		p->has_rip |= !i;
		return parse_u64(val, numbers[i].to);
	}
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!span_eq(key, words[i].key))
			continue;
		span_copy(words[i].to, words[i].size, val);
		return val.len && val.len < words[i].size;
	}
	return !span_eq(key, "bytes") || parse_bytes(val, site);
}

static int list_add(struct parsing *p)
{
	struct site_list *list = p->list;

	if (list->n == p->room) {
		size_t more = p->room ? p->room * 2 : 64;
		struct site *v = realloc(list->v, more * sizeof(*v));

		if (!v)
			return -1;
		list->v = v;
		p->room = more;
	}
	list->v[list->n++] = p->site;
	return 0;
}

static int parse_line(struct span line, unsigned int lineno, void *to)
{
	struct parsing *p = to;

	p->site = (struct site){ .state = "unknown", .tactic = "none",
				 .form = "-", .reason = "-" };
	p->has_rip = false;
	if (!line_fields(line, lineno, &p->list->bad, parse_field, p))
		return 0;
	if (p->has_rip)
		return list_add(p);
	bad_line(&p->list->bad, lineno, "no rip=");
	return 0;
}

static int site_cmp(const void *pa, const void *pb)
{
	const struct site *a = pa, *b = pb;

	return a->rip < b->rip ? -1 : a->rip > b->rip;
}

int sites_parse(const char *text, size_t len, struct site_list *list)
{
	struct parsing p = { .list = list };

	*list = (struct site_list){ 0 };
	if (lines_parse(text, len, &list->bad, parse_line, &p)) {
		sites_free(list);
		return -1;
	}
	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), site_cmp);
	return 0;
}

int sites_read(struct dmp_ctx *ctx, const struct vm *vm, struct site_list *list)
{
	char path[4096], *text;
	size_t len;
	int ret;

	*list = (struct site_list){ 0 };
	vm_path(vm, "sites", path, sizeof(path));
	if (access(path, F_OK) && !vm_has_ended(ctx, vm))
		return 0;
	if (vm_read(ctx, vm, "sites", &text, &len))
		return -1;
	ret = sites_parse(text, len, list);
	free(text);
	return ret ? err_set(&ctx->err, "out of memory") : 0;
}

int sites_check(struct dmp_ctx *ctx, const struct vm *vm,
		const struct site_list *list)
{
	char path[4096];

	vm_path(vm, "sites", path, sizeof(path));
	return bad_lines_error(&list->bad, path, &ctx->err);
}

void sites_free(struct site_list *list)
{
	free(list->v);
	*list = (struct site_list){ 0 };
}

const struct site *sites_find(const struct site_list *list, u64 rip)
{
	struct site key = { .rip = rip };

	return list->n ? bsearch(&key, list->v, list->n, sizeof(key), site_cmp) :
			 NULL;
}

bool site_is_spliced(const struct site *site)
{
	return !strcmp(site->state, "spliced");
}

void site_state(const struct site *site, char *buf, size_t size)
{
	bool why = strcmp(site->reason, "-");

	snprintf(buf, size, "%s%s%s", site->state, why ? ": " : "",
		 why ? site->reason : "");
}
