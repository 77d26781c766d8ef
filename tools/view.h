/* SPDX-License-Identifier: GPL-2.0-only */
/* A record in words: where it is, why it exits, what it executes. */
#ifndef DMP_TOOL_VIEW_H
#define DMP_TOOL_VIEW_H

#include "json.h"
#include "snapshot.h"
#include "symbols.h"

#define VIEW_TEXT	512

struct view {
	enum dmp_isa isa;
	bool att;
	bool has_symbols;	/* --symbols was given */
	bool names_fit;		/* and a slide was found */
	bool forced;		/* --slide */
	u64 lstar;		/* what the slide was found with */
	struct symbols sy;
};

/* Load --symbols. Returns 0, or -1 with ctx->err set. */
int view_open(struct dmp_ctx *ctx, struct view *v);
void view_close(struct view *v);
/* Take ISA and slide from the status; again when the guest has rebooted. */
void view_update(struct view *v, const struct status *st);
/* One line about symbols that do not fit; false if there is nothing to say. */
bool view_warning(const struct dmp_ctx *ctx, const struct view *v, char *buf,
		  size_t size);

void view_address(const struct record *r, char *buf, size_t size);
/* "name+0x12 [module]"; empty if unknown. */
void view_symbol(const struct view *v, const struct record *r, char *buf,
		 size_t size);
/* "PF excp guest", "io port 0x3f8", "CR_ACCESS CR3" */
void view_reason(const struct view *v, const struct record *r, char *buf,
		 size_t size);
/* "-" if the bytes are not known. */
void view_insn(const struct view *v, const struct record *r, char *buf,
	       size_t size);

/* "vm": {...} of every JSON output. */
void view_json_vm(struct json *j, const struct vm *vm);
/* "symbol", "offset", "module" of where @r is. */
void view_json_symbol(struct json *j, const struct view *v,
		      const struct record *r);
/* The members that describe @r, inside an object the caller opened. */
void view_json_record(struct json *j, const struct view *v,
		      const struct record *r, const struct record_list *raw);

#endif /* DMP_TOOL_VIEW_H */
