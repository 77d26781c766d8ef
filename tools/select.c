// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "exitname.h"
#include "select.h"

bool opt_number(const char *val, u64 max, u64 *n)
{
	return parse_u64((struct span){ val, strlen(val) }, n) && *n <= max;
}

int select_opt(struct dmp_ctx *ctx, const char *verb, struct select *s, int id,
	       const char *val)
{
	u64 n;

	switch (id) {
	case SEL_COUNT:
		if (!opt_number(val, 1u << 30, &n))
			return usage_err(ctx, verb, "bad number for -n: '%.40s'", val);
		s->has_count = true;
		s->count = n;
		break;
	case SEL_KIND:
		s->kind = val;
		break;
	case SEL_CPL:
		if (!opt_number(val, 3, &n))
			return usage_err(ctx, verb, "--cpl is 0 to 3, not '%.40s'", val);
		s->cpl = n;
		break;
	case SEL_CODE:
		s->code = val;
		break;
	}
	return DMP_OK;
}

int select_filter(struct dmp_ctx *ctx, const struct select *s, int isa,
		  struct record_filter *f)
{
	*f = (struct record_filter){
		.kind = s->kind,
		.cpl = s->cpl,
		.has_code = s->code,
	};
	if (s->code && !exit_code_parse(s->code, isa, &f->code))
		return err_set(&ctx->err,
			       "no exit code is named '%.40s' on this machine (dmp status lists those seen)",
			       s->code);
	return 0;
}
