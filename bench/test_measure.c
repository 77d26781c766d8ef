// SPDX-License-Identifier: GPL-2.0-only
/*
 * measure.c against a made-up VM: exits happen only when the test says so and
 * at each CPUID, counts wrap, and the marks can be switched off.
 */
#include <stdio.h>
#include <stdlib.h>

#define mark_read mark_read_hardware
#include "mark.h"
#undef mark_read

static uint32_t vm[MARK_NR];
static unsigned int vm_answers = MARK_NR;

static unsigned int mark_read(struct mark *m)
{
	unsigned int i;

	if (!vm_answers)
		return 0;
	for (i = 0; i < MARK_NR; i++) {
		/* Each subleaf is a CPUID exit, counted before it answers. */
		if (i == MARK_EXITS || i == MARK_CPUID) {
			vm[MARK_EXITS]++;
			vm[MARK_CPUID]++;
		}
		m->count[i] = i < vm_answers ? vm[i] : 0;
	}
	return vm_answers;
}

#include "measure.c"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "test_measure: line %d: %s\n", __LINE__, #cond);	\
		exit(1);						\
	}								\
} while (0)

static void check_counts(uint32_t start)
{
	struct measure m;
	int i;

	for (i = 0; i < MARK_NR; i++)
		vm[i] = start;
	measure_calibrate();
	CHECK(measure_nr_marks() == vm_answers);

	measure_begin(&m);
	CHECK(measure_end(&m));
	for (i = 0; i < MARK_NR; i++)
		CHECK(m.exits[i] == 0);

	measure_begin(&m);
	for (i = 0; i < MARK_NR; i++)
		vm[i] += 1000 + i;
	CHECK(measure_end(&m));
	for (i = 0; i < MARK_NR; i++)
		CHECK(m.exits[i] == (i < (int)vm_answers ? 1000u + i : 0));
}

int main(void)
{
	struct measure m;

	check_counts(0);
	check_counts(UINT32_MAX - 10);	/* wraps while calibrating */
	check_counts(UINT32_MAX - 200);	/* wraps while measuring */

	vm_answers = MARK_BASIC;
	check_counts(0);
	check_counts(UINT32_MAX - 200);

	measure_begin(&m);
	vm_answers = MARK_NR;
	CHECK(measure_end(&m));
	CHECK(measure_nr_marks() == MARK_BASIC);

	measure_calibrate();
	measure_begin(&m);
	vm_answers = MARK_BASIC;
	CHECK(measure_end(&m));
	CHECK(measure_nr_marks() == MARK_BASIC);

	measure_begin(&m);
	vm_answers = 0;
	CHECK(!measure_end(&m));

	measure_calibrate();
	CHECK(!measure_nr_marks());
	measure_begin(&m);
	CHECK(measure_end(&m));
	CHECK(m.exits[MARK_EXITS] == 0);
	puts("test_measure: PASS");
	return 0;
}
