// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define FILE_MAX	(256ul << 20)	/* nothing we read is larger */

int err_set(struct dmp_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -1;
}

void err_add(struct dmp_err *err, const char *fmt, ...)
{
	size_t len = strlen(err->msg);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg + len, sizeof(err->msg) - len, fmt, ap);
	va_end(ap);
}

bool span_eq(struct span s, const char *word)
{
	return s.len == strlen(word) && !memcmp(s.p, word, s.len);
}

struct span span_cut(struct span *s, char sep)
{
	const char *end = s->len ? memchr(s->p, sep, s->len) : NULL;
	struct span head = *s;

	if (!end) {
		s->p += s->len;
		s->len = 0;
		return head;
	}
	head.len = end - s->p;
	s->p += head.len + 1;
	s->len -= head.len + 1;
	return head;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_word(struct span *s)
{
	struct span w;

	while (s->len && is_blank(*s->p)) {
		s->p++;
		s->len--;
	}
	w.p = s->p;
	while (s->len && !is_blank(*s->p)) {
		s->p++;
		s->len--;
	}
	w.len = s->p - w.p;
	return w;
}

void span_copy(char *buf, size_t size, struct span s)
{
	size_t n = s.len < size ? s.len : size - 1;

	memcpy(buf, s.p, n);
	buf[n] = '\0';
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static bool parse_base(struct span s, int base, u64 *val)
{
	u64 v = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		int d = digit_of(s.p[i]);

		if (d >= base || __builtin_mul_overflow(v, (u64)base, &v) ||
		    __builtin_add_overflow(v, (u64)d, &v))
			return false;
	}
	*val = v;
	return s.len > 0;
}

static bool has_0x(struct span s)
{
	return s.len > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x';
}

bool parse_hex(struct span s, u64 *val)
{
	if (has_0x(s)) {
		s.p += 2;
		s.len -= 2;
	}
	return parse_base(s, 16, val);
}

bool parse_u64(struct span s, u64 *val)
{
	return has_0x(s) ? parse_hex(s, val) : parse_base(s, 10, val);
}

const char *line_fault(struct span line, bool ended)
{
	size_t i;

	if (!ended)
		return "line is cut off (no newline)";
	for (i = 0; i < line.len; i++) {
		unsigned char c = line.p[i];

		if ((c < ' ' && c != '\t') || c >= 0x7f)
			return "not plain text";
	}
	return NULL;
}

void bad_line(struct bad_lines *bad, unsigned int lineno, const char *fmt, ...)
{
	va_list ap;

	if (bad->count++)
		return;
	bad->first = lineno;
	va_start(ap, fmt);
	vsnprintf(bad->why, sizeof(bad->why), fmt, ap);
	va_end(ap);
	text_clean(bad->why);
}

int lines_parse(const char *text, size_t len, struct bad_lines *bad,
		int (*line)(struct span line, unsigned int lineno, void *to),
		void *to)
{
	struct span rest = { text, len };
	unsigned int lineno = 0;
	int ret = 0;

	while (rest.len && !ret) {
		size_t before = rest.len;
		struct span s = span_cut(&rest, '\n');
		const char *why = line_fault(s, before != s.len);

		lineno++;
		if (why)
			bad_line(bad, lineno, "%s", why);
		else if (s.len)
			ret = line(s, lineno, to);
	}
	return ret;
}

bool line_fields(struct span line, unsigned int lineno, struct bad_lines *bad,
		 bool (*field)(struct span key, struct span val, void *to),
		 void *to)
{
	struct span word, val, key;

	while ((word = span_word(&line)).len) {
		val = word;
		key = span_cut(&val, '=');
		if (key.len == word.len || !key.len) {
			bad_line(bad, lineno, "'%.*s' is not key=value",
				 word.len < 40 ? (int)word.len : 40, word.p);
			return false;
		}
		if (!field(key, val, to)) {
			bad_line(bad, lineno, "bad value in '%.*s'",
				 word.len < 60 ? (int)word.len : 60, word.p);
			return false;
		}
	}
	return true;
}

int bad_lines_error(const struct bad_lines *bad, const char *path,
		    struct dmp_err *err)
{
	if (!bad->count)
		return 0;
	err_set(err, "%s:%u: bad format: %s", path, bad->first, bad->why);
	if (bad->count > 1)
		err_add(err, " (%u bad lines, left out)", bad->count);
	else
		err_add(err, " (line left out)");
	return -1;
}

static int read_fd(int fd, char **buf, size_t *len)
{
	size_t size = 1 << 16, used = 0;
	char *p = malloc(size), *q;
	ssize_t n;

	while (p) {
		n = read(fd, p + used, size - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			free(p);
			return n;
		}
		if (!n) {
			p[used] = '\0';
			*buf = p;
			*len = used;
			return 0;
		}
		used += n;
		if (used + 1 < size)
			continue;
		size *= 2;
		q = size <= FILE_MAX ? realloc(p, size) : NULL;
		if (!q)
			break;
		p = q;
	}
	free(p);
	return size > FILE_MAX ? -EFBIG : -ENOMEM;
}

int read_file(const char *path, char **buf, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), ret;

	if (fd < 0)
		return -errno;
	ret = read_fd(fd, buf, len);
	close(fd);
	return ret;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_TRUNC);
	int ret = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = write(fd, text, strlen(text));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		ret = -errno;
	else if ((size_t)n != strlen(text))
		ret = -EIO;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

void text_clean(char *s)
{
	unsigned char *p = (unsigned char *)s;

	for (; *p; p++) {
		/* C1 controls, 0xc2 0x80..0x9f in UTF-8, are obeyed as well. */
		if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			*p = p[1] = '?';
		else if (*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

bool output_closed(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}
