// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>

#include "json.h"

/* Length of the UTF-8 character at @s (RFC 3629), or 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 :
		   s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	size_t i;

	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) ||	/* overlong */
	    (s[0] == 0xed && s[1] >= 0xa0) ||	/* surrogate */
	    (s[0] == 0xf0 && s[1] < 0x90) ||	/* overlong */
	    (s[0] == 0xf4 && s[1] >= 0x90))	/* past U+10FFFF */
		return 0;
	return n;
}

static void put_string(FILE *f, const char *str)
{
	const unsigned char *s = (const unsigned char *)str;

	putc('"', f);
	while (*s) {
		size_t n = utf8_len(s);

		if (!n)
			fputs("\\ufffd", f);
		else if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			fprintf(f, "\\u%04x", *s);
		else
			fwrite(s, 1, n, f);
		s += n ? n : 1;
	}
	putc('"', f);
}

static void new_line(struct json *j)
{
	if (j->depth < j->flat)
		fprintf(j->f, "\n%*s", j->depth * 2, "");
}

static void put_key(struct json *j, const char *key)
{
	if (j->depth) {
		if (j->more[j->depth - 1])
			fputs(j->depth < j->flat ? "," : ", ", j->f);
		j->more[j->depth - 1] = true;
		new_line(j);
	}
	if (key) {
		put_string(j->f, key);
		fputs(": ", j->f);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	put_key(j, key);
	putc(bracket, j->f);
	assert(j->depth < JSON_DEPTH);
	j->more[j->depth++] = false;
}

void json_close(struct json *j, char bracket)
{
	bool any = j->more[--j->depth];

	if (any && j->depth + 1 < j->flat)
		new_line(j);
	putc(bracket, j->f);
	if (!j->depth)
		putc('\n', j->f);
}

void json_str(struct json *j, const char *key, const char *val)
{
	put_key(j, key);
	if (val)
		put_string(j->f, val);
	else
		fputs("null", j->f);
}

void json_num(struct json *j, const char *key, u64 val)
{
	put_key(j, key);
	fprintf(j->f, "%llu", (unsigned long long)val);
}

void json_hex(struct json *j, const char *key, u64 val)
{
	put_key(j, key);
	fprintf(j->f, "\"0x%llx\"", (unsigned long long)val);
}

void json_real(struct json *j, const char *key, double val, int digits)
{
	put_key(j, key);
	fprintf(j->f, "%.*f", digits, val);
}

void json_bool(struct json *j, const char *key, bool val)
{
	put_key(j, key);
	fputs(val ? "true" : "false", j->f);
}
