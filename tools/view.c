// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "disasm.h"
#include "exitname.h"
#include "view.h"

int view_open(struct dmp_ctx *ctx, struct view *v)
{
	*v = (struct view){ .att = ctx->att };
	if (!ctx->symbols)
		return 0;
	if (symbols_read(ctx->symbols, &v->sy, &ctx->err))
		return -1;
	v->has_symbols = true;
	v->names_fit = true;
	v->forced = ctx->has_slide;
	if (v->forced)
		symbols_slide(&v->sy, ctx->slide);
	return 0;
}

void view_close(struct view *v)
{
	symbols_free(&v->sy);
}

void view_update(struct view *v, const struct status *st)
{
	u64 lstar = status_get_u64(st, "lstar"), slide;

	v->isa = status_isa(st);
	if (!v->has_symbols || v->forced || lstar == v->lstar)
		return;
	v->lstar = lstar;
	v->names_fit = !symbols_find_slide(&v->sy, lstar, &slide);
	if (v->names_fit && slide)
		symbols_slide(&v->sy, slide);
}

bool view_warning(const struct dmp_ctx *ctx, const struct view *v, char *buf,
		  size_t size)
{
	if (!v->has_symbols || v->names_fit)
		return false;
	snprintf(buf, size,
		 "%s is not of this guest: no slide brings its system call entry to LSTAR 0x%llx; no names shown (--slide N forces one)",
		 ctx->symbols, (unsigned long long)v->lstar);
	return true;
}

void view_address(const struct record *r, char *buf, size_t size)
{
	snprintf(buf, size, "0x%llx", (unsigned long long)r->rip);
}

static bool find_symbol(const struct view *v, const struct record *r,
			struct symbol_hit *hit)
{
	return v->names_fit && symbols_find(&v->sy, r->rip, hit);
}

void view_symbol(const struct view *v, const struct record *r, char *buf,
		 size_t size)
{
	struct symbol_hit hit;

	buf[0] = '\0';
	if (!find_symbol(v, r, &hit))
		return;
	snprintf(buf, size, "%s+0x%llx%s%s%s", hit.name,
		 (unsigned long long)hit.off, hit.module ? " [" : "",
		 hit.module ? hit.module : "", hit.module ? "]" : "");
}

static const char *kind_of(const struct record *r)
{
	return strcmp(r->kind, "none") ? r->kind : NULL;
}

void view_reason(const struct view *v, const struct record *r, char *buf,
		 size_t size)
{
	char name[EXIT_NAME_MAX], arg[EXIT_NAME_MAX];
	const char *kind = kind_of(r);

	exit_name(name, sizeof(name), v->isa, r->code);
	exit_arg(arg, sizeof(arg), v->isa, r->code, r->arg);
	snprintf(buf, size, "%s%s%s%s%s", name, arg[0] ? " " : "", arg,
		 kind ? " " : "", kind ? kind : "");
}

void view_insn(const struct view *v, const struct record *r, char *buf,
	       size_t size)
{
	if (disasm(buf, size, v->att ? DISASM_ATT : DISASM_INTEL, r->bits,
		   r->rip, r->bytes, r->nr_bytes))
		return;
	snprintf(buf, size, r->nr_bytes ? "(bad)" : "-");
}

void view_json_vm(struct json *j, const struct vm *vm)
{
	json_open(j, "vm", '{');
	json_str(j, "id", vm->id);
	json_num(j, "pid", vm->pid);
	json_str(j, "name", vm->name);
	json_close(j, '}');
}

static void json_vcpus(struct json *j, const struct record *r,
		       const struct record_list *raw)
{
	size_t i;

	json_open(j, "vcpus", '[');
	for (i = r->first; i < r->first + r->count; i++)
		if (i == r->first || raw->v[i].vcpu != raw->v[i - 1].vcpu)
			json_num(j, NULL, raw->v[i].vcpu);
	json_close(j, ']');
}

static void json_insn(struct json *j, const struct view *v,
		      const struct record *r)
{
	char hex[2 * INSN_MAX + 1] = "", insn[DISASM_MAX];
	size_t i;

	for (i = 0; i < r->nr_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", r->bytes[i]);
	json_str(j, "bytes", hex[0] ? hex : NULL);
	json_str(j, "insn",
		 disasm(insn, sizeof(insn), v->att ? DISASM_ATT : DISASM_INTEL,
			r->bits, r->rip, r->bytes, r->nr_bytes) ? insn : NULL);
}

void view_json_symbol(struct json *j, const struct view *v,
		      const struct record *r)
{
	struct symbol_hit hit;

	if (find_symbol(v, r, &hit)) {
		json_str(j, "symbol", hit.name);
		json_num(j, "offset", hit.off);
		json_str(j, "module", hit.module);
		return;
	}
	json_str(j, "symbol", NULL);
	json_str(j, "offset", NULL);
	json_str(j, "module", NULL);
}

void view_json_record(struct json *j, const struct view *v,
		      const struct record *r, const struct record_list *raw)
{
	char name[EXIT_NAME_MAX], arg[EXIT_NAME_MAX];

	exit_name(name, sizeof(name), v->isa, r->code);
	exit_arg(arg, sizeof(arg), v->isa, r->code, r->arg);
	json_hex(j, "rip", r->rip);
	view_json_symbol(j, v, r);
	json_insn(j, v, r);
	json_num(j, "cpl", r->cpl);
	json_num(j, "code", r->code);
	json_str(j, "reason", name);
	json_str(j, "kind", r->kind);
	json_num(j, "arg", r->arg);
	json_str(j, "arg_name", arg[0] ? arg : NULL);
	json_num(j, "hits", r->hits);
	json_bool(j, "exact", r->exact);
	json_num(j, "weight", r->weight);
	json_num(j, "over", r->over);
	json_vcpus(j, r, raw);
}
