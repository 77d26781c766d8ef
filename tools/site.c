// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "site.h"

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
static bool parse_field(struct span key, struct span val, struct site *site,
			bool *has_rip)
{
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
		*has_rip |= !i;
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

static bool parse_line(struct span line, unsigned int lineno, struct site *site,
		       struct bad_lines *bad)
{
	struct span word, val, key;
	bool has_rip = false;

	*site = (struct site){ .state = "unknown", .tactic = "none",
			       .form = "-", .reason = "-" };
	while ((word = span_word(&line)).len) {
		val = word;
		key = span_cut(&val, '=');
		if (key.len == word.len || !key.len) {
			bad_line(bad, lineno, "'%.*s' is not key=value",
				 word.len < 40 ? (int)word.len : 40, word.p);
			return false;
		}
		if (!parse_field(key, val, site, &has_rip)) {
			bad_line(bad, lineno, "bad value in '%.*s'",
				 word.len < 60 ? (int)word.len : 60, word.p);
			return false;
		}
	}
	if (!has_rip)
		bad_line(bad, lineno, "no rip=");
	return has_rip;
}

static int site_cmp(const void *pa, const void *pb)
{
	const struct site *a = pa, *b = pb;

	return a->rip < b->rip ? -1 : a->rip > b->rip;
}

int sites_parse(const char *text, size_t len, struct site_list *list)
{
	struct span rest = { text, len };
	unsigned int lineno = 0;
	size_t room = 0;

	*list = (struct site_list){ 0 };
	while (rest.len) {
		size_t before = rest.len;
		struct span line = span_cut(&rest, '\n');
		const char *why = line_fault(line, before != line.len);

		lineno++;
		if (why)
			bad_line(&list->bad, lineno, "%s", why);
		if (why || !line.len)
			continue;
		if (list->n == room) {
			struct site *v;

			room = room ? room * 2 : 64;
			v = realloc(list->v, room * sizeof(*v));
			if (!v) {
				sites_free(list);
				return -1;
			}
			list->v = v;
		}
		list->n += parse_line(line, lineno, &list->v[list->n], &list->bad);
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
