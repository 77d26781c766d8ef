// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <time.h>

#include "snapshot.h"

int status_read(struct dmp_ctx *ctx, const struct vm *vm, struct status *st,
		struct bad_lines *bad)
{
	size_t len;
	char *text;
	int ret;

	*st = (struct status){ 0 };
	*bad = (struct bad_lines){ 0 };
	if (vm_read(ctx, vm, "status", &text, &len))
		return -1;
	ret = status_parse(text, len, st, bad);
	free(text);
	return ret ? err_set(&ctx->err, "out of memory") : 0;
}

int status_check(struct dmp_ctx *ctx, const struct vm *vm,
		 const struct bad_lines *bad)
{
	char path[4096];

	vm_path(vm, "status", path, sizeof(path));
	return bad_lines_error(bad, path, &ctx->err);
}

int snapshot_read(struct dmp_ctx *ctx, const struct vm *vm, struct snapshot *s)
{
	struct timespec ts;
	size_t len;
	char *text;
	int ret;

	*s = (struct snapshot){ 0 };
	if (vm_read(ctx, vm, "hot", &text, &len))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->time = ts.tv_sec + ts.tv_nsec / 1e9;
	ret = records_parse(text, len, &s->raw, &s->bad_hot);
	free(text);
	if (ret)
		return err_set(&ctx->err, "out of memory");
	/* Totals after their parts, so that no share is above 100%. */
	if (status_read(ctx, vm, &s->st, &s->bad_status)) {
		snapshot_free(s);
		return -1;
	}
	if (sites_read(ctx, vm, &s->sites)) {
		snapshot_free(s);
		return -1;
	}
	return 0;
}

void snapshot_free(struct snapshot *s)
{
	records_free(&s->raw);
	sites_free(&s->sites);
	status_free(&s->st);
}

int snapshot_check(struct dmp_ctx *ctx, const struct vm *vm,
		   const struct snapshot *s)
{
	char path[4096];

	vm_path(vm, "hot", path, sizeof(path));
	if (bad_lines_error(&s->bad_hot, path, &ctx->err))
		return -1;
	if (sites_check(ctx, vm, &s->sites))
		return -1;
	return status_check(ctx, vm, &s->bad_status);
}

u64 snapshot_exits(const struct snapshot *s)
{
	u64 listed = 0, charged = status_get_u64(&s->st, "charged");
	size_t i;

	for (i = 0; i < s->raw.n; i++)
		if (__builtin_add_overflow(listed, s->raw.v[i].hits, &listed))
			return UINT64_MAX;
	return charged > listed ? charged : listed;
}
