/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exact counting of exits, to compare the monitor with.
 */
#ifndef MONITOR_EXACT_H
#define MONITOR_EXACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "watch/monitor.h"
#include "stream.h"

#define TOP	20
#define MAX_KEYS	0x80000u

#define check(cond, ...) do {					\
	if (!(cond)) {						\
		print_error(__VA_ARGS__);			\
		print_error("\nreplay: DMP_SEED=%llu\n", stream_seed()); \
		fail_msg("%s", #cond);				\
	}							\
} while (0)

struct exact {
	u64 total;
	u64 epoch[MAX_KEYS];
	double weight[MAX_KEYS];	/* as of epoch */
	u64 hits[MAX_KEYS];
	u64 tally[DMP_TALLIES][DMP_KIND_COUNT];
};

struct dmp_monitor *monitor_new(unsigned int nsets, u64 seed);
void exact_charge(struct exact *x, unsigned int index,
		  const struct dmp_exit_key *key);
double exact_weight(const struct exact *x, unsigned int index);
bool exact_same_key(const struct dmp_exit_key *a, const struct dmp_exit_key *b);
unsigned int exact_index_of(const struct dmp_exit_key *key);
unsigned int exact_set_index(const struct dmp_monitor *m,
			     const struct dmp_exit_key *key);
void exact_run_stream(const char *name, struct stream *s, u64 charges,
		      struct dmp_monitor *m, u64 seed);
void exact_run_new(const char *name, struct stream *s, u64 charges,
		   unsigned int nsets);

#endif /* MONITOR_EXACT_H */
