/* SPDX-License-Identifier: GPL-2.0-only */
/* Which records to show: the options `hot` and `top` share. */
#ifndef DMP_TOOL_SELECT_H
#define DMP_TOOL_SELECT_H

#include "opts.h"
#include "record.h"

enum { SEL_COUNT = 1, SEL_KIND, SEL_CPL, SEL_CODE, SEL_OWN };

#define SELECT_OPTS							\
	{ "count", 'n', "N", "show N instructions (0: all)", SEL_COUNT }, \
	{ "kind", 'k', "KIND", "only none, guest, hidden, table or mmio", \
	  SEL_KIND },							\
	{ "cpl", 0, "CPL", "only this privilege level, 0 to 3", SEL_CPL }, \
	{ "code", 0, "CODE", "only this exit code, by number or name", SEL_CODE }

struct select {
	bool has_count;
	size_t count;		/* 0: all */
	const char *kind;
	int cpl;		/* -1: any */
	const char *code;	/* a name means something once the ISA is known */
};

#define SELECT_INIT	{ .count = 20, .cpl = -1 }

/* Take one option. Returns DMP_OK or DMP_USAGE with ctx->err set. */
int select_opt(struct dmp_ctx *ctx, const char *verb, struct select *s, int id,
	       const char *val);
/* The filter for @isa (an enum dmp_isa). Returns 0, or -1 with ctx->err set. */
int select_filter(struct dmp_ctx *ctx, const struct select *s, int isa,
		  struct record_filter *f);

/* A whole decimal number in [0, max]; false if @val is none. */
bool opt_number(const char *val, u64 max, u64 *n);

#endif /* DMP_TOOL_SELECT_H */
