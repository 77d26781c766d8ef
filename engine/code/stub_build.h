/* SPDX-License-Identifier: GPL-2.0-only */
/* How stubs are made: shared by the files that do it. */
#ifndef DMP_STUB_BUILD_H
#define DMP_STUB_BUILD_H

#include "code/stub.h"

/* What the instruction means for the status flags. */
enum dmp_stub_flags {
	DMP_FLAGS_KEPT,		/* neither read nor written */
	DMP_FLAGS_DEFINED,	/* all written (or undefined), none read */
	DMP_FLAGS_USED		/* read, or written in part */
};

struct dmp_stub_build {
	struct dmp_emit e;
	const struct dmp_stub_site *site;
	struct dmp_insn insn;
	struct dmp_code code;		/* of .insn, at the site */
	struct dmp_stub *stub;
	struct dmp_stub_row now;	/* of what is emitted next */
	bool many_rows;			/* they do not fit */

	enum dmp_stub_flags flags;
	bool rax_is_data;		/* an operand other than the address */
	u16 scratch;			/* registers saved first */
	/*
	 * The registers a stub works with. .address: address, then offset in
	 * the table, at last address of the machine entry. .base: of the
	 * guest's table, then whatever. .temp: free until COMMIT; RAX is
	 * afterwards.
	 */
	u8 address, base, temp;
	u8 value;			/* operand that stands for RAX; or NONE */

	struct dmp_label out, hit, found, other, end, tail;
	struct dmp_label rare, present, read_only, lazy, changed, slow, kept;
};

/* The row for what is emitted from here on is .now. */
void dmp_stub_row(struct dmp_stub_build *b);

/* Store @reg in implant->save[], load it; the row says so. */
void dmp_stub_save(struct dmp_stub_build *b, u8 reg);
void dmp_stub_restore(struct dmp_stub_build *b, u8 reg);

static inline struct dmp_emit_mem dmp_stub_at(const struct dmp_stub_build *b,
					      u32 offset)
{
	return dmp_emit_at(b->site->implant + offset);
}

/* A word of implant->last[] as the stub uses it. */
static inline struct dmp_emit_mem dmp_stub_last(const struct dmp_stub_build *b,
						u32 offset)
{
	return dmp_stub_at(b, DMP_IMPLANT_LAST + offset +
			      b->stub->last * DMP_CACHE_BYTES);
}

/*
 * Make the machine entry follow the guest's. The straight part begins after
 * COMMIT and runs into .end; the rest, with .now as it was after COMMIT,
 * stands elsewhere. .address holds the offset of the entry; RAX and .base are
 * free, the latter still the gva of the guest's table.
 */
void dmp_stub_follow(struct dmp_stub_build *b);
void dmp_stub_follow_rest(struct dmp_stub_build *b);

/* What stands for @insn, MOV to or from CR3: the @i-th of the splice. */
void dmp_stub_cr3(struct dmp_stub_build *b, const struct dmp_insn *insn, u32 i);

/* Numbers that the code reads; behind it. */
void dmp_stub_constants(struct dmp_stub_build *b);

/*
 * The displaced instructions from the @first on, and the way back; .now is
 * that of a vCPU with all registers its own.
 */
void dmp_stub_tail(struct dmp_stub_build *b, u32 first);

/* Sets up @b for @site and @code; then what the emitter's failure means. */
enum dmp_stub_refusal dmp_stub_open(struct dmp_stub_build *b,
				    const struct dmp_stub_site *site,
				    u8 *code, u32 size, struct dmp_stub *stub);
enum dmp_stub_refusal dmp_stub_close(struct dmp_stub_build *b);

#endif /* DMP_STUB_BUILD_H */
