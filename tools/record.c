// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "record.h"

/* Fields a record cannot do without. */
enum { HAVE_RIP = 1, HAVE_CODE = 2, HAVE_HITS = 4, HAVE_ALL = 7 };

/* A list under way, and the line it is at. */
struct parsing {
	struct record_list *list;
	struct bad_lines *bad;
	size_t room;
	struct record record;
	unsigned int have;
};

static bool parse_bytes(struct span s, struct record *r)
{
	u64 byte;

	if (span_eq(s, "-"))
		return true;
	if (!s.len || s.len % 2)
		return false;
	r->nr_bytes = 0;
	for (; s.len; s.p += 2, s.len -= 2) {
		struct span two = { s.p, 2 };

		if (!parse_hex(two, &byte))
			return false;
		if (r->nr_bytes < INSN_MAX)
			r->bytes[r->nr_bytes++] = byte;
	}
	return true;
}

static bool parse_small(struct span s, u64 max, u64 *val)
{
	return parse_u64(s, val) && *val <= max;
}

/* Returns false if the value is not one; unknown keys are passed over. */
static bool parse_field(struct span key, struct span val, void *to)
{
	struct parsing *p = to;
	struct record *r = &p->record;
	bool ok = true;
	u64 v = 0;

	if (span_eq(key, "rip")) {
		ok = parse_u64(val, &r->rip);
		p->have |= HAVE_RIP;
	} else if (span_eq(key, "code")) {
		ok = parse_small(val, UINT32_MAX, &v);
		r->code = v;
		p->have |= HAVE_CODE;
	} else if (span_eq(key, "hits")) {
		ok = parse_u64(val, &r->hits);
		p->have |= HAVE_HITS;
	} else if (span_eq(key, "vcpu")) {
		ok = parse_small(val, UINT32_MAX, &v);
		r->vcpu = v;
	} else if (span_eq(key, "cpl")) {
		ok = parse_small(val, 3, &v);
		r->cpl = v;
	} else if (span_eq(key, "exact")) {
		ok = parse_small(val, 1, &v);
		r->exact = v;
	} else if (span_eq(key, "bits")) {
		ok = parse_u64(val, &v) && (v == 16 || v == 32 || v == 64);
		r->bits = v;
	} else if (span_eq(key, "kind")) {
		ok = val.len && val.len < sizeof(r->kind);
		span_copy(r->kind, sizeof(r->kind), val);
	} else if (span_eq(key, "arg")) {
		ok = parse_u64(val, &r->arg);
	} else if (span_eq(key, "weight")) {
		ok = parse_u64(val, &r->weight);
	} else if (span_eq(key, "over")) {
		ok = parse_u64(val, &r->over);
	} else if (span_eq(key, "bytes")) {
		ok = parse_bytes(val, r);
	}
	return ok;
}

static int key_cmp(const struct record *a, const struct record *b)
{
	if (a->rip != b->rip)
		return a->rip < b->rip ? -1 : 1;
	if (a->code != b->code)
		return a->code < b->code ? -1 : 1;
	if (a->arg != b->arg)
		return a->arg < b->arg ? -1 : 1;
	if (a->cpl != b->cpl)
		return a->cpl < b->cpl ? -1 : 1;
	return strcmp(a->kind, b->kind);
}

static int key_vcpu_cmp(const void *pa, const void *pb)
{
	const struct record *a = pa, *b = pb;
	int c = key_cmp(a, b);

	if (c)
		return c;
	return a->vcpu < b->vcpu ? -1 : a->vcpu > b->vcpu;
}

static int list_add(struct parsing *p)
{
	struct record_list *list = p->list;

	if (list->n == p->room) {
		size_t more = p->room ? p->room * 2 : 256;
		struct record *v = realloc(list->v, more * sizeof(*v));

		if (!v)
			return -1;
		list->v = v;
		p->room = more;
	}
	list->v[list->n++] = p->record;
	return 0;
}

static int parse_line(struct span line, unsigned int lineno, void *to)
{
	struct parsing *p = to;

	p->record = (struct record){ .kind = "none", .bits = 64 };
	p->have = 0;
	if (!line_fields(line, lineno, p->bad, parse_field, p))
		return 0;
	if (p->have == HAVE_ALL)
		return list_add(p);
	bad_line(p->bad, lineno, "no %s=", !(p->have & HAVE_RIP) ? "rip" :
		 !(p->have & HAVE_CODE) ? "code" : "hits");
	return 0;
}

int records_parse(const char *text, size_t len, struct record_list *list,
		  struct bad_lines *bad)
{
	struct parsing p = { .list = list, .bad = bad };

	*list = (struct record_list){ 0 };
	if (lines_parse(text, len, bad, parse_line, &p)) {
		records_free(list);
		return -1;
	}
	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), key_vcpu_cmp);
	return 0;
}

void records_free(struct record_list *list)
{
	free(list->v);
	*list = (struct record_list){ 0 };
}

/*
 * A record that was not there has come in since, so all its hits are new. One
 * whose hits went down has been evicted and readmitted: the hits it has now
 * are new, those between are lost.
 */
void records_diff(struct record_list *now, const struct record_list *before)
{
	size_t i, j = 0;

	for (i = 0; i < now->n; i++) {
		struct record *r = &now->v[i];

		while (j < before->n && key_vcpu_cmp(&before->v[j], r) < 0)
			j++;
		r->delta = r->hits;
		if (j < before->n && !key_vcpu_cmp(&before->v[j], r) &&
		    before->v[j].hits <= r->hits)
			r->delta -= before->v[j].hits;
	}
}

static u64 add_sat(u64 a, u64 b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static void record_add(struct record *to, const struct record *r)
{
	/* The same user address may hold other code elsewhere: longest wins. */
	if (r->nr_bytes > to->nr_bytes) {
		memcpy(to->bytes, r->bytes, sizeof(to->bytes));
		to->nr_bytes = r->nr_bytes;
		to->bits = r->bits;
	}
	to->exact &= r->exact;
	to->hits = add_sat(to->hits, r->hits);
	to->weight = add_sat(to->weight, r->weight);
	to->over = add_sat(to->over, r->over);
	to->delta = add_sat(to->delta, r->delta);
	to->count++;
}

int records_merge(const struct record_list *raw, struct record_list *merged)
{
	struct record *last = NULL;
	size_t i;

	*merged = (struct record_list){ 0 };
	if (!raw->n)
		return 0;
	merged->v = calloc(raw->n, sizeof(*merged->v));
	if (!merged->v)
		return -1;
	for (i = 0; i < raw->n; i++) {
		if (last && !key_cmp(last, &raw->v[i])) {
			record_add(last, &raw->v[i]);
			continue;
		}
		last = &merged->v[merged->n++];
		*last = raw->v[i];
		last->first = i;
		last->count = 1;
	}
	return 0;
}

/* Equal ones by ->first: the order of the keys. */
#define CMP_LARGEST(field)						\
static int cmp_##field(const void *pa, const void *pb)			\
{									\
	const struct record *a = pa, *b = pb;				\
									\
	if (a->field != b->field)					\
		return a->field < b->field ? 1 : -1;			\
	return a->first < b->first ? -1 : a->first > b->first;		\
}
CMP_LARGEST(hits)
CMP_LARGEST(weight)
CMP_LARGEST(delta)

void records_sort(struct record_list *merged, enum record_order order)
{
	if (merged->n)
		qsort(merged->v, merged->n, sizeof(*merged->v),
		      order == BY_HITS ? cmp_hits :
		      order == BY_WEIGHT ? cmp_weight : cmp_delta);
}

static bool record_passes(const struct record *r, const struct record_filter *f)
{
	return (!f->kind || !strcmp(f->kind, r->kind)) &&
	       (f->cpl < 0 || f->cpl == r->cpl) &&
	       (!f->has_code || f->code == r->code) &&
	       (!f->moving || r->delta);
}

void records_filter(struct record_list *list, const struct record_filter *f)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++)
		if (record_passes(&list->v[i], f))
			list->v[n++] = list->v[i];
	list->n = n;
}
