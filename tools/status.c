// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "status.h"

static const char *const number_keys[] = {
	"vcpus", "exits", "charged", "evictions", "epochs", "slots", "bound",
	"retry_ms", "engagements", "refusals", "disengagements", "tables",
	"roots", "engine_bytes", "pinned_pages", "prepare_ns", "engage_ns",
	"audits", "spliced", "stubs", "undone", "finished", "filter_lazy_a",
	"stub_misses", "guarded", "user_fault_exits",
};

static struct span span_of(const char *s)
{
	return (struct span){ s, strlen(s) };
}

/* Without the blanks before it. */
static struct span span_trim(struct span s)
{
	while (s.len && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.len--;
	}
	return s;
}

static bool is_number_key(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(number_keys); i++)
		if (!strcmp(key, number_keys[i]))
			return true;
	return false;
}

/* Room for one more element; NULL when out of memory. Doubles at powers of 2. */
static void *array_grow(void **v, size_t n, size_t size)
{
	void *p;

	if (n & (n - 1))
		return (char *)*v + n * size;
	p = realloc(*v, (n ? n * 2 : 1) * size);
	if (!p)
		return NULL;
	*v = p;
	return (char *)p + n * size;
}

/* The number after `key=` in @line; the rest of the line is passed over. */
static bool find_field(struct span line, const char *key, struct span *val)
{
	struct span word;

	while ((word = span_word(&line)).len) {
		*val = word;
		if (span_eq(span_cut(val, '='), key) && val->len)
			return true;
	}
	return false;
}

static int add_total(struct status *st, struct span line, const char **why)
{
	struct status_total *t;
	struct span val;
	u64 code, n;

	if (!find_field(line, "code", &val) || !parse_u64(val, &code) ||
	    code > UINT32_MAX) {
		*why = "total without a valid code=";
		return 0;
	}
	if (!find_field(line, "n", &val) || !parse_u64(val, &n)) {
		*why = "total without a valid n=";
		return 0;
	}
	t = array_grow((void **)&st->totals, st->nr_totals, sizeof(*t));
	if (!t)
		return -1;
	*t = (struct status_total){ code, n };
	st->nr_totals++;
	return 0;
}

/* A count of something that @field names. */
static int add_count(struct status_counts *counts, const char *field,
		     struct span line, const char **why)
{
	struct status_count *c;
	struct span val, name;
	u64 n;

	if (!find_field(line, field, &name) || name.len >= sizeof(c->name)) {
		*why = "line without a valid name= or reason=";
		return 0;
	}
	if (!find_field(line, "n", &val) || !parse_u64(val, &n)) {
		*why = "line without a valid n=";
		return 0;
	}
	c = array_grow((void **)&counts->v, counts->n, sizeof(*c));
	if (!c)
		return -1;
	span_copy(c->name, sizeof(c->name), name);
	c->n = n;
	counts->n++;
	return 0;
}

/* Fields, then words up to the end of the line. */
static void set_finding(struct status *st, struct span line, const char **why)
{
	struct status_finding f = { 0 };
	const struct { const char *key; u64 *to; } fields[] = {
		{ "gfn", &f.gfn }, { "level", &f.level }, { "index", &f.index },
		{ "guest", &f.guest }, { "machine", &f.machine },
	};
	struct span val, rest = line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (find_field(line, fields[i].key, &val) &&
		    parse_u64(val, fields[i].to))
			continue;
		*why = "finding without gfn, level, index, guest and machine";
		return;
	}
	do {
		line = rest;
		val = span_word(&rest);
	} while (val.len && memchr(val.p, '=', val.len));
	span_copy(f.what, sizeof(f.what), span_trim(line));
	st->finding = f;
	st->has_finding = true;
}

static int add_key(struct status *st, struct span key, struct span val,
		   const char **why)
{
	struct status_key k, *to;
	u64 v;

	if (key.len >= sizeof(k.key) || val.len >= sizeof(k.val)) {
		*why = "line too long";
		return 0;
	}
	span_copy(k.key, sizeof(k.key), key);
	span_copy(k.val, sizeof(k.val), val);
	if (is_number_key(k.key) && !parse_u64(val, &v)) {
		*why = "value is not a number";
		return 0;
	}
	if (!strcmp(k.key, "lstar") && !parse_hex(val, &v)) {
		*why = "lstar is not a hex number";
		return 0;
	}
	to = array_grow((void **)&st->keys, st->nr_keys, sizeof(k));
	if (!to)
		return -1;
	*to = k;
	st->nr_keys++;
	return 0;
}

static int add_line(struct status *st, struct span line, const char **why)
{
	struct span key = span_word(&line);

	if (!key.len)
		return 0;
	if (span_eq(key, "total"))
		return add_total(st, line, why);
	if (span_eq(key, "kind"))
		return add_count(&st->kinds, "name", line, why);
	if (span_eq(key, "fault"))
		return add_count(&st->faults, "name", line, why);
	if (span_eq(key, "ended"))
		return add_count(&st->ended, "reason", line, why);
	if (span_eq(key, "finding")) {
		set_finding(st, line, why);
		return 0;
	}
	return add_key(st, key, span_trim(line), why);
}

int status_parse(const char *text, size_t len, struct status *st,
		 struct bad_lines *bad)
{
	struct span rest = { text, len };
	unsigned int lineno = 0;

	*st = (struct status){ 0 };
	while (rest.len) {
		size_t before = rest.len;
		struct span line = span_cut(&rest, '\n');
		const char *why = line_fault(line, before != line.len);

		lineno++;
		if (!why && add_line(st, line, &why)) {
			status_free(st);
			return -1;
		}
		if (why)
			bad_line(bad, lineno, "%s", why);
	}
	return 0;
}

void status_free(struct status *st)
{
	free(st->keys);
	free(st->totals);
	free(st->kinds.v);
	free(st->faults.v);
	free(st->ended.v);
	*st = (struct status){ 0 };
}

const char *status_get(const struct status *st, const char *key)
{
	size_t i;

	for (i = 0; i < st->nr_keys; i++)
		if (!strcmp(st->keys[i].key, key))
			return st->keys[i].val;
	return NULL;
}

u64 status_get_u64(const struct status *st, const char *key)
{
	const char *s = status_get(st, key);
	u64 v = 0;

	if (s && !strcmp(key, "lstar"))
		parse_hex(span_of(s), &v);
	else if (s && !parse_u64(span_of(s), &v))
		v = 0;
	return v;
}

u64 status_get_field(const struct status *st, const char *key, const char *field)
{
	const char *s = status_get(st, key);
	struct span val;
	u64 v;

	if (!s || !find_field(span_of(s), field, &val) || !parse_u64(val, &v))
		return 0;
	return v;
}

enum dmp_isa status_isa(const struct status *st)
{
	const char *s = status_get(st, "isa");

	if (s && !strcmp(s, "svm"))
		return ISA_SVM;
	if (s && !strcmp(s, "vmx"))
		return ISA_VMX;
	return ISA_UNKNOWN;
}

enum status_type status_type(const struct status_key *k)
{
	u64 v;

	if (!strcmp(k->key, "lstar"))
		return STATUS_HEX;
	/* Unknown keys: by their looks; 0x... stays as it was written. */
	if (is_number_key(k->key) ||
	    (!strchr(k->val, 'x') && strcmp(k->key, "version") &&
	     parse_u64(span_of(k->val), &v)))
		return STATUS_NUMBER;
	return STATUS_TEXT;
}
