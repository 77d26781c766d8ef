// SPDX-License-Identifier: GPL-2.0-only
/*
 * Feed the parsers what a kernel would never write. Built with ASan and UBSan;
 * that it ends is the test. usage: fuzz [SEED [ROUNDS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "view_site.h"
#include "view_table.h"

#define MAX	4096

static u64 state;

/* xorshift64*, Vigna 2016 */
static u64 rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

#define SEED(text)	{ text, sizeof(text) - 1 }

static const struct span seeds[] = {
	SEED("vcpu=0 rip=0xffffffff81234567 cpl=0 code=0x4e kind=guest arg=0x0 hits=123 weight=120 over=0 exact=1 bytes=488900\n"
	     "vcpu=1 rip=0xffffffff81234567 cpl=0 code=0x4e kind=guest arg=0x0 hits=7 weight=7 over=1 exact=0 bytes=-\n"
	     "vcpu=0 rip=0x401000 cpl=3 code=0x72 hits=1 new=key bits=32 bytes=0fa2\n"),
	SEED("version 0.1\nisa svm\nmode monitor\npaging shadow\nvcpus 2\nexits 10\n"
	     "charged 9\nlstar 0xffffffff81000000\ntotal code=0x4e n=3\nkind name=guest n=2\n"),
	SEED("mode engaged\nstate backed-off\nreason broken\ndetail audit\nretry_ms 100\ntables 7\nengine_bytes 4096\n"
	     "pinned_pages 8\nended reason=broken n=1\nfault name=lazy-a n=2\n"
	     "finding gfn=0x1 level=1 index=17 guest=0x1 machine=0x2 leaf maps another frame\n"),
	SEED("ffffffff81000000 T _text\nffffffff81000040 t foo\nffffffff82000000 D bar\n"
	     "ffffffffc0000000 t baz\t[mod]\nffffffff81000080 T entry_SYSCALL_64\n"),
	SEED("rip=0xffffffff81234567 state=spliced tactic=jmp form=xchg traps=8 since=2 finished=3 undos=1 reason=- stub=0xffffffff80000000 size=640 insns=1 bytes=488907c3cc\n"
	     "rip=0x5 state=refused tactic=none form=- traps=9 reason=no-room bytes=-\n"),
	SEED("mode on\nstate engaged\nspliced 0\nsplice_refusal not-trusted\nstubs 3\nfilter_lazy_a 5\n"),
	SEED("qemu\0-name\0guest=foo,,bar,debug-threads=on\0-m\0"),
};

static size_t mutate(char *buf)
{
	const struct span *seed = &seeds[rnd() % ARRAY_SIZE(seeds)];
	size_t len = seed->len, n = rnd() % 8, i;

	if (rnd() % 8 == 0) {	/* pure noise */
		len = rnd() % MAX;
		for (i = 0; i < len; i++)
			buf[i] = rnd();
		return len;
	}
	memcpy(buf, seed->p, len);
	while (n--) {
		size_t at = rnd() % len, from = rnd() % len;
		size_t size = rnd() % 16;

		if (at + size > len || from + size > len)
			size = 0;
		switch (rnd() % 4) {
		case 0:
			buf[at] = rnd();
			break;
		case 1:
			buf[at] = "0123456789abcdefxX=- \n\t[]-"[rnd() % 26];
			break;
		case 2:
			memmove(buf + at, buf + from, size);
			break;
		default:
			len = at + 1;
		}
	}
	return len;
}

static void print_all(struct dmp_ctx *ctx, const struct record_list *raw,
		      const struct status *st, FILE *out)
{
	struct view v = { .names_fit = true, .has_symbols = true };
	struct json j = { .f = out };
	struct record_list merged;
	struct table t = { 0 };
	struct view_cols cols;
	char line[128];		/* shorter than some */
	int width = rnd() % 200;
	size_t i;

	(void)ctx;
	view_update(&v, st);
	records_merge(raw, &merged);
	records_sort(&merged, rnd() % 3);
	view_add_cols(&t, &v, width, &cols);
	json_open(&j, NULL, '[');
	for (i = 0; i < merged.n; i++) {
		table_add_row(&t);
		view_set_cells(&t, &v, &cols, &merged.v[i]);
		json_open(&j, NULL, '{');
		view_json_record(&j, &v, &merged.v[i], raw);
		json_close(&j, '}');
	}
	machine_json(&j, st);
	json_close(&j, ']');
	machine_reason(st, line, sizeof(line));
	machine_size(st, line, sizeof(line));
	table_fit(&t, width);
	for (i = 0; i < t.rows; i++)
		table_print_row(&t, out, i);
	table_free(&t);
	records_free(&merged);
}

static void print_sites(const char *text, size_t len, FILE *out)
{
	struct json j = { .f = out };
	struct site_list sites;
	struct table t = { 0 };
	struct view v = { 0 };
	size_t i;

	if (sites_parse(text, len, &sites))
		return;
	view_site_table(&t, &v, &sites);
	table_fit(&t, rnd() % 200);
	for (i = 0; i < t.rows; i++)
		table_print_row(&t, out, i);
	json_open(&j, NULL, '[');
	for (i = 0; i < sites.n; i++) {
		json_open(&j, NULL, '{');
		view_json_site_members(&j, &v, &sites.v[i]);
		view_json_site(&j, sites_find(&sites, sites.v[i].rip));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	table_free(&t);
	sites_free(&sites);
}

static void one(const char *text, size_t len, FILE *out)
{
	struct bad_lines bad = { 0 };
	struct record_list raw = { 0 };
	struct dmp_ctx ctx = { 0 };
	struct symbol_hit hit;
	struct symbols sy;
	struct status st;
	u64 slide;

	records_parse(text, len, &raw, &bad);
	bad_lines_error(&bad, "hot", &ctx.err);
	status_parse(text, len, &st, &bad);
	if (!symbols_parse(text, len, "map", &sy, &ctx.err)) {
		if (!symbols_find_slide(&sy, status_get_u64(&st, "lstar"), &slide))
			symbols_slide(&sy, slide);
		symbols_find(&sy, rnd(), &hit);
		symbols_find(&sy, 0xffffffff81000000 + rnd() % 256, &hit);
		symbols_free(&sy);
	}
	records_diff(&raw, &raw);
	print_sites(text, len, out);
	print_all(&ctx, &raw, &st, out);
	records_free(&raw);
	status_free(&st);
	free(vm_name_from_cmdline(text, len));
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	u64 rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000, i;
	FILE *out = fopen("/dev/null", "w");
	char buf[MAX];

	if (!out)
		return 1;
	for (i = 0; i < rounds; i++) {
		char *text;
		size_t len;

		/* Each round can be replayed alone. */
		state = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
		len = mutate(buf);
		text = malloc(len + 1);	/* exact, so that ASan sees overruns */
		if (!text)
			return 1;
		memcpy(text, buf, len);
		text[len] = '\0';
		one(text, len, out);
		free(text);
	}
	fclose(out);
	printf("fuzz: seed %llu, %llu rounds\n", (unsigned long long)seed,
	       (unsigned long long)rounds);
	return 0;
}
