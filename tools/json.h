/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * JSON on a stream. The writer puts the commas; the caller opens and closes
 * in pairs. @key is NULL inside an array.
 */
#ifndef DMP_TOOL_JSON_H
#define DMP_TOOL_JSON_H

#include <stdio.h>

#include "util.h"

#define JSON_DEPTH	8	/* more is a bug in the caller; as .flat: never */

struct json {
	FILE *f;
	int flat;		/* members at this depth or more: in one line */
	int depth;
	bool more[JSON_DEPTH];	/* a member came before, by depth */
};

void json_open(struct json *j, const char *key, char bracket);	/* { or [ */
void json_close(struct json *j, char bracket);			/* } or ] */
void json_str(struct json *j, const char *key, const char *val);  /* NULL: null */
void json_num(struct json *j, const char *key, u64 val);
void json_hex(struct json *j, const char *key, u64 val);	/* "0x..." */
void json_real(struct json *j, const char *key, double val, int digits);
void json_bool(struct json *j, const char *key, bool val);

#endif /* DMP_TOOL_JSON_H */
