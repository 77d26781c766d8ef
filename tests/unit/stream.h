/* SPDX-License-Identifier: GPL-2.0-only */
/* Streams of exits to test the monitor with, repeatable from a seed. */
#ifndef DMP_TEST_STREAM_H
#define DMP_TEST_STREAM_H

#include "watch/monitor.h"

enum stream_kind {
	STREAM_UNIFORM,		/* any of n keys */
	STREAM_ZIPF,		/* key of rank r with r^-(halves / 2) */
	STREAM_CYCLIC,		/* 0, 1, ..., n - 1, 0, ...: worst for a cache */
	STREAM_BURIED,		/* key n every 5th time, else any of n */
	STREAM_SHIFT,		/* Zipf; all ranks get new keys each @period */
	STREAM_TABLE,		/* Zipf over the indexes in @table */
};

struct stream {
	enum stream_kind kind;
	unsigned int n;
	unsigned int halves;
	u64 period;
	unsigned int *table;	/* STREAM_TABLE: n indexes, the caller's */
	u64 rng, at;
	double *sum;		/* Zipf: cumulated weights */
};

u64 stream_random(u64 *rng);

/* DMP_SEED from the environment, else from the clock; printed. */
u64 stream_seed(void);

/* Key number @index. All differ; pairs of them share a RIP. */
void stream_key(unsigned int index, struct dmp_exit_key *key);

/* Fill in kind, n, halves, period and table first. */
void stream_start(struct stream *s, u64 seed);
void stream_end(struct stream *s);

/* The index of the next key. */
unsigned int stream_next(struct stream *s);

#endif /* DMP_TEST_STREAM_H */
