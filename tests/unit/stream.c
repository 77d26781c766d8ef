// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "stream.h"

u64 stream_random(u64 *rng)
{
	u64 z = *rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u64 stream_seed(void)
{
	static u64 seed;
	const char *given = getenv("DMP_SEED");

	if (seed)
		return seed;
	if (!given)
		given = getenv("DMP_RUN_SEED");
	seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 1000003;
	seed += !seed;
	printf("seed: DMP_SEED=%llu\n", seed);
	return seed;
}

/* Codes of SVM and of VMX, direct, high and other. */
static const u32 codes[] = {
	0x4e, 0x400, 0x7b, 0x7c, 0x10, 0, 30, 48, 175, 176, 0x40f, 0x410,
	0xffffffff,
};

void stream_key(unsigned int index, struct dmp_exit_key *key)
{
	*key = (struct dmp_exit_key) {
		.rip = 0xffffffff81000000ull + index / 2 * 5,
		.code = codes[index / 2 % DMP_ARRAY_SIZE(codes)],
		.arg = index & 1 ? 0xc0000080 + index / 64 % 8 : 0,
		.cpl = index / 4 % 2 * 3,
		.kind = index / 8 % DMP_KIND_COUNT,
	};
}

/* x^(-halves / 2); Newton, so that no test needs libm. */
static double rank_weight(double x, unsigned int halves)
{
	double root = x, w = 1;
	unsigned int i;

	for (i = 0; i < 60; i++)
		root = (root + x / root) / 2;
	for (i = 0; i < halves; i++)
		w /= root;
	return w;
}

void stream_start(struct stream *s, u64 seed)
{
	unsigned int i;
	double sum = 0;

	s->rng = seed;
	s->at = 0;
	s->sum = calloc(s->n, sizeof(*s->sum));
	if (!s->sum)
		abort();
	for (i = 0; i < s->n; i++)
		s->sum[i] = sum += rank_weight(i + 1, s->halves);
}

void stream_end(struct stream *s)
{
	free(s->sum);
	s->sum = NULL;
}

static unsigned int next_rank(struct stream *s)
{
	double x = (stream_random(&s->rng) >> 11) / 9007199254740992. *
		   s->sum[s->n - 1];
	unsigned int low = 0, high = s->n - 1;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (s->sum[mid] > x)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

unsigned int stream_next(struct stream *s)
{
	u64 at = s->at++;

	switch (s->kind) {
	case STREAM_UNIFORM:
		return stream_random(&s->rng) % s->n;
	case STREAM_CYCLIC:
		return at % s->n;
	case STREAM_BURIED:
		return at % 5 ? stream_random(&s->rng) % s->n : s->n;
	case STREAM_SHIFT:
		return next_rank(s) + at / s->period * s->n;
	case STREAM_TABLE:
		return s->table[next_rank(s)];
	case STREAM_ZIPF:
		break;
	}
	return next_rank(s);
}
