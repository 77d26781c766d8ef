/* SPDX-License-Identifier: GPL-2.0-only */
/* The monitor's records: reading them, adding vCPUs up, what is new. */
#ifndef DMP_TOOL_RECORD_H
#define DMP_TOOL_RECORD_H

#include "util.h"

#define INSN_MAX	15	/* bytes; SDM vol. 2, 2.3.11 */

struct record {
	/* The key, with kind (a word, so that new ones need no new tool). */
	u64 rip;
	u64 arg;
	u32 code;
	u8 cpl;
	char kind[16];

	u32 vcpu;
	bool exact;		/* hits is all the exits it ever had */
	u8 nr_bytes;		/* 0: not captured */
	u8 bits;		/* 16, 32 or 64: how to decode */
	u8 bytes[INSN_MAX];
	u64 hits;		/* exits since the monitor admitted it */
	u64 weight;		/* aged */
	u64 over;		/* weight may be too high by this */
	u64 delta;		/* hits since the previous reading */

	/* In a merged list: which records of the raw list it adds up. */
	size_t first, count;
};

struct record_list {
	struct record *v;	/* sorted by key, then vCPU */
	size_t n;
};

/*
 * Parse the text of `hot`. Bad lines are noted in @bad, the others kept.
 * Returns 0, or -1 when out of memory. An empty list is valid.
 */
int records_parse(const char *text, size_t len, struct record_list *list,
		  struct bad_lines *bad);
void records_free(struct record_list *list);

/* Set every delta: @now against @before, per vCPU. */
void records_diff(struct record_list *now, const struct record_list *before);

/* One record a key. Returns 0, or -1 when out of memory. */
int records_merge(const struct record_list *raw, struct record_list *merged);

enum record_order { BY_HITS, BY_WEIGHT, BY_DELTA };
/* Largest first; equal ones stay in the order of their keys. */
void records_sort(struct record_list *merged, enum record_order order);

struct record_filter {
	const char *kind;	/* NULL: any */
	int cpl;		/* -1: any */
	bool has_code;
	u32 code;
	bool moving;		/* only with delta != 0 */
};

/* Drop the records that do not pass, in place. */
void records_filter(struct record_list *list, const struct record_filter *f);

#endif /* DMP_TOOL_RECORD_H */
