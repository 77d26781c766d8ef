// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbols.h"

#define SLIDE_ALIGN	(2ull << 20)
#define SLIDE_MAX	(1ull << 30)	/* KERNEL_IMAGE_SIZE */
#define KERNEL_HALF	(1ull << 63)
#define FUNC_MAX	(1ull << 20)	/* no function is larger */

/* What MSR_LSTAR may hold: 64-bit entries, newest first. */
static const char *const entries[] = {
	"entry_SYSCALL_64",
	"entry_SYSCALL_64_trampoline",	/* 4.15 to 4.20 with KPTI */
	"system_call",			/* before 4.2 */
};

static const char *sym_name(const struct symbols *sy, const struct symbol *s)
{
	return sy->pool + s->name;
}

static bool is_text(char type)
{
	return type && strchr("tTwWvViI", type);
}

/* Linker marks: they end the text, but nothing executes in them. */
static bool is_mark(const char *name)
{
	return !strcmp(name, "_etext") || !strcmp(name, "_einittext") ||
	       !strcmp(name, "__end_rodata") || !strcmp(name, "_end");
}

/* How good a name is among several of one address; higher is better. */
static int name_rank(const struct symbols *sy, const struct symbol *s)
{
	const char *name = sym_name(sy, s);

	if (!is_text(s->type) || is_mark(name))
		return 0;
	if (name[0] == '_')
		return 1;
	return strchr("wWvV", s->type) ? 2 : s->type == 'T' ? 4 : 3;
}

static const struct symbols *sort_sy;	/* qsort() passes no context */

static int sym_cmp(const void *pa, const void *pb)
{
	const struct symbol *a = pa, *b = pb;
	int d;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	d = name_rank(sort_sy, a) - name_rank(sort_sy, b);
	if (d)
		return d;
	/* The first in the file wins: it stands last here. */
	return a->order < b->order ? 1 : a->order > b->order ? -1 : 0;
}

static void sort_symbols(struct symbols *sy)
{
	sort_sy = sy;
	if (sy->n)
		qsort(sy->v, sy->n, sizeof(*sy->v), sym_cmp);
}

static u32 pool_add(struct symbols *sy, struct span s)
{
	u32 at = sy->pool_len;

	if (!s.len)
		return 0;
	memcpy(sy->pool + at, s.p, s.len);
	sy->pool[at + s.len] = '\0';
	sy->pool_len += s.len + 1;
	return at;
}

static const char *parse_symbol(struct symbols *sy, struct span line)
{
	struct span addr = span_word(&line), type = span_word(&line);
	struct span name = span_word(&line), mod = span_word(&line);
	struct symbol *s = &sy->v[sy->n];

	if (!parse_hex(addr, &s->addr) || addr.len < 8)
		return "no address at the start";
	if (type.len != 1 || !strchr("aAbBcCdDgGiInNrRsStTuUvVwW?-", *type.p))
		return "no symbol type after the address";
	if (!name.len)
		return "no symbol name";
	if (mod.len && (mod.p[0] != '[' || mod.p[mod.len - 1] != ']'))
		return "more than address, type, name and [module]";
	if (span_word(&line).len)
		return "more than address, type, name and [module]";
	if (mod.len) {
		mod.p++;
		mod.len -= 2;
	}
	s->type = *type.p;
	s->order = sy->n;
	s->name = pool_add(sy, name);
	s->module = pool_add(sy, mod);
	sy->n++;
	return NULL;
}

static size_t count_lines(const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	size_t n = 1;

	while (p < end && (p = memchr(p, '\n', end - p))) {
		n++;
		p++;
	}
	return n;
}

static bool all_zero(const struct symbols *sy)
{
	size_t i;

	for (i = 0; i < sy->n; i++)
		if (sy->v[i].addr)
			return false;
	return true;
}

static int parse_lines(struct span rest, const char *path, struct symbols *sy,
		       struct dmp_err *err)
{
	unsigned int lineno = 0;

	while (rest.len) {
		struct span line = span_cut(&rest, '\n');
		const char *why = line_fault(line, true);

		lineno++;
		if (!why && line.len)
			why = parse_symbol(sy, line);
		if (why)
			return err_set(err, "%s:%u: bad format: %s (a System.map or kallsyms is wanted)",
				       path, lineno, why);
	}
	if (!sy->n)
		return err_set(err, "%s: no symbols in it", path);
	if (all_zero(sy))
		return err_set(err, "%s: all addresses are 0: copy it as root in the guest (kernel.kptr_restrict)",
			       path);
	return 0;
}

int symbols_parse(const char *text, size_t len, const char *path,
		  struct symbols *sy, struct dmp_err *err)
{
	*sy = (struct symbols){ 0 };
	if (len > UINT32_MAX / 2)
		return err_set(err, "%s: too large", path);
	/* Each name is followed by a blank, a newline or the end. */
	sy->pool = malloc(len + 2);
	sy->v = malloc(count_lines(text, len) * sizeof(*sy->v));
	if (!sy->pool || !sy->v) {
		symbols_free(sy);
		return err_set(err, "out of memory");
	}
	sy->pool[0] = '\0';
	sy->pool_len = 1;
	if (parse_lines((struct span){ text, len }, path, sy, err)) {
		symbols_free(sy);
		return -1;
	}
	sort_symbols(sy);
	return 0;
}

int symbols_read(const char *path, struct symbols *sy, struct dmp_err *err)
{
	size_t len;
	char *text;
	int ret = read_file(path, &text, &len);

	*sy = (struct symbols){ 0 };
	if (ret)
		return err_set(err, "%s: %s", path, strerror(-ret));
	ret = symbols_parse(text, len, path, sy, err);
	free(text);
	return ret;
}

void symbols_free(struct symbols *sy)
{
	free(sy->v);
	free(sy->pool);
	*sy = (struct symbols){ 0 };
}

static bool slide_fits(u64 slide)
{
	u64 size = slide & KERNEL_HALF ? -slide : slide;

	return size < SLIDE_MAX && !(slide & (SLIDE_ALIGN - 1));
}

int symbols_find_slide(const struct symbols *sy, u64 lstar, u64 *slide)
{
	bool named = false;
	size_t i, j;

	*slide = 0;
	if (!lstar)
		return 0;
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		for (j = 0; j < sy->n; j++) {
			if (sy->v[j].module ||
			    strcmp(sym_name(sy, &sy->v[j]), entries[i]))
				continue;
			named = true;
			if (!slide_fits(lstar - sy->v[j].addr))
				continue;
			*slide = lstar - sy->v[j].addr;
			return 0;
		}
	}
	return named ? -1 : 0;
}

void symbols_slide(struct symbols *sy, u64 slide)
{
	size_t i;

	sy->slide += slide;
	for (i = 0; i < sy->n && slide; i++)
		if (!sy->v[i].module && sy->v[i].addr & KERNEL_HALF)
			sy->v[i].addr += slide;
	sort_symbols(sy);
}

bool symbols_find(const struct symbols *sy, u64 addr, struct symbol_hit *hit)
{
	size_t lo = 0, hi = sy->n;
	const struct symbol *s;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sy->v[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || !(addr & KERNEL_HALF))
		return false;
	s = &sy->v[lo - 1];
	if (!name_rank(sy, s) || addr - s->addr >= FUNC_MAX)
		return false;
	hit->name = sym_name(sy, s);
	hit->module = s->module ? sy->pool + s->module : NULL;
	hit->off = addr - s->addr;
	return true;
}
