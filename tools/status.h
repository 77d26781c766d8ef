/* SPDX-License-Identifier: GPL-2.0-only */
/* The `status` file of a VM: keys and values, then exact totals. */
#ifndef DMP_TOOL_STATUS_H
#define DMP_TOOL_STATUS_H

#include "util.h"

enum dmp_isa { ISA_UNKNOWN, ISA_SVM, ISA_VMX };

struct status_key {
	char key[32];
	char val[160];
};

struct status_total {
	u32 code;
	u64 n;
};

struct status_count {
	char name[24];
	u64 n;
};

struct status_counts {
	struct status_count *v;		/* in the order of the file */
	size_t n;
};

/* What an audit found: struct dmp_finding of engine/mmu/state.h. */
struct status_finding {
	char what[96];
	u64 gfn, level, index, guest, machine;
};

struct status {
	struct status_key *keys;	/* in the order of the file */
	size_t nr_keys;
	struct status_total *totals;
	size_t nr_totals;
	struct status_counts kinds;	/* page faults, as the monitor has them */
	struct status_counts faults;	/* on machine tables */
	struct status_counts ended;	/* engagements, by reason */
	bool has_finding;
	struct status_finding finding;
};

/*
 * Parse. Bad lines are noted in @bad, the others kept; unknown keys are kept
 * like known ones. Returns 0, or -1 when out of memory.
 */
int status_parse(const char *text, size_t len, struct status *st,
		 struct bad_lines *bad);
void status_free(struct status *st);

/* The value of @key, or NULL. */
const char *status_get(const struct status *st, const char *key);
/* The same as a number, 0 if absent. */
u64 status_get_u64(const struct status *st, const char *key);
/* The number after `@field=` in the value of @key, 0 if absent. */
u64 status_get_field(const struct status *st, const char *key, const char *field);
enum dmp_isa status_isa(const struct status *st);

/* How the value of @key is to be taken. */
enum status_type { STATUS_TEXT, STATUS_NUMBER, STATUS_HEX };
enum status_type status_type(const struct status_key *k);

#endif /* DMP_TOOL_STATUS_H */
