/* SPDX-License-Identifier: GPL-2.0-only */
/* What every file of the tool uses: types, errors, bounded text. */
#ifndef DMP_TOOL_UTIL_H
#define DMP_TOOL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(f, a)	__attribute__((format(printf, f, a)))

/* Exit status of the program. */
enum { DMP_OK = 0, DMP_FAIL = 1, DMP_USAGE = 2 };

/*
 * An error is one line, made where it is found and printed once, by main().
 * Library functions return 0 or -1 with the line in @msg.
 */
struct dmp_err {
	char msg[2048];
};

/* Set the line; returns -1, so that `return err_set(...)` reads well. */
int err_set(struct dmp_err *err, const char *fmt, ...) __printf(2, 3);
/* Append to the line. */
void err_add(struct dmp_err *err, const char *fmt, ...) __printf(2, 3);

/* A piece of text that is not NUL-terminated. */
struct span {
	const char *p;
	size_t len;
};

bool span_eq(struct span s, const char *word);
/* Cut the text up to @sep (or all) off the front of @s. */
struct span span_cut(struct span *s, char sep);
/* The next run of non-blanks; empty at the end. */
struct span span_word(struct span *s);
/* Copy, cut to @size - 1 bytes. */
void span_copy(char *buf, size_t size, struct span s);

/* The whole of @s is one number: 0x hex or decimal. False on overflow too. */
bool parse_u64(struct span s, u64 *val);
/* The whole of @s is hex digits, with or without 0x. */
bool parse_hex(struct span s, u64 *val);

/*
 * Why @line is no line of text ("control character", "not ended", ...), or
 * NULL if it is one. @ended: a newline followed it.
 */
const char *line_fault(struct span line, bool ended);

/* What was wrong with the lines of a file; good lines are kept. */
struct bad_lines {
	unsigned int count;
	unsigned int first;	/* line number, from 1 */
	char why[96];		/* about the first */
};

void bad_line(struct bad_lines *bad, unsigned int lineno, const char *fmt, ...)
	__printf(3, 4);
/*
 * For each line of @text that is one, and not empty, call @line until it returns
 * non-zero; the value it returned last. The others are noted in @bad.
 */
int lines_parse(const char *text, size_t len, struct bad_lines *bad,
		int (*line)(struct span line, unsigned int lineno, void *to),
		void *to);
/*
 * All of @line is words, KEY=VALUE, that @field takes: it returns false for a
 * value that is none. False: it is not, which is noted in @bad.
 */
bool line_fields(struct span line, unsigned int lineno, struct bad_lines *bad,
		 bool (*field)(struct span key, struct span val, void *to),
		 void *to);
/* The error line for @path; -1 if there was a bad line, else 0. */
int bad_lines_error(const struct bad_lines *bad, const char *path,
		    struct dmp_err *err);

/*
 * Read all of @path (size unknown beforehand, as in debugfs). On success
 * *@buf is the caller's to free and is NUL-terminated past *@len. Returns 0
 * or a negative errno.
 */
int read_file(const char *path, char **buf, size_t *len);
/* Write @text in one write(2). Returns 0 or a negative errno. */
int write_file(const char *path, const char *text);

/* Nobody reads our standard output any more. */
bool output_closed(void);

/* Replace what a terminal would obey (control characters) by '?'. */
void text_clean(char *s);

#endif /* DMP_TOOL_UTIL_H */
