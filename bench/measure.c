// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "measure.h"

#define CALIBRATE_PAIRS	32

/* Set by measure_calibrate(), only read afterwards. */
static unsigned int nr_marks;
static uint64_t empty_tsc;
static uint32_t empty_exits[MARK_NR];

unsigned int measure_nr_marks(void)
{
	return nr_marks;
}

/*
 * The marks stand outside the time stamps, so that their own exits cost no
 * time. Everything in *m is written before the first time stamp: the page it
 * lies in may be copy-on-write, and that fault is not to be timed.
 */
void measure_begin(struct measure *m)
{
	memset(m, 0, sizeof(*m));
	if (nr_marks)
		mark_read(&m->mark);
	m->tsc = mark_tsc();
}

bool measure_end(struct measure *m)
{
	uint64_t ticks = mark_tsc() - m->tsc;
	unsigned int known;
	struct mark now;
	int i;

	m->insns = ticks > empty_tsc ? ticks - empty_tsc : 0;
	if (!nr_marks)
		return true;
	known = mark_read(&now);
	if (!known)
		return false;
	if (nr_marks > known)	/* monitoring has ended: those are lost */
		nr_marks = known;
	for (i = 0; i < (int)nr_marks; i++)	/* modulo 2^32, as the counts are */
		m->exits[i] = now.count[i] - m->mark.count[i] - empty_exits[i];
	return true;
}

/* What disturbs an empty pair only adds to it, so the least is the constant. */
void measure_calibrate(void)
{
	uint32_t least[MARK_NR];
	uint64_t least_tsc = UINT64_MAX;
	struct measure m;
	struct mark probe;
	int i, pair;

	nr_marks = mark_read(&probe);
	empty_tsc = 0;
	memset(empty_exits, 0, sizeof(empty_exits));
	memset(least, 0xff, sizeof(least));

	for (pair = 0; pair < CALIBRATE_PAIRS; pair++) {
		measure_begin(&m);
		measure_end(&m);
		if (m.insns < least_tsc)
			least_tsc = m.insns;
		for (i = 0; i < MARK_NR; i++)
			if (m.exits[i] < least[i])
				least[i] = m.exits[i];
	}
	empty_tsc = least_tsc;
	memcpy(empty_exits, least, sizeof(least));
}
