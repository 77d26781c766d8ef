/* SPDX-License-Identifier: GPL-2.0-only */
/* A live display: the terminal taken over and given back, waits, signals. */
#ifndef DMP_TOOL_TERM_H
#define DMP_TOOL_TERM_H

#include <stdio.h>

#include "util.h"

enum term_event {
	TERM_TIME,	/* the time is over */
	TERM_REDRAW,	/* size changed, or stopped and continued */
	TERM_QUIT,	/* q, or SIGINT, SIGTERM, SIGHUP, SIGQUIT */
};

/*
 * Begin: catch signals; with @screen also switch to the alternate screen and
 * to unbuffered, unechoed keys. term_end() undoes all of it, and also runs at
 * exit(). Returns 0 or -1 if stdout is no usable terminal.
 */
int term_begin(bool screen);
void term_end(void);

void term_size(int *cols, int *rows);

/* Wait until @deadline (CLOCK_MONOTONIC, seconds) or something happens. */
enum term_event term_wait(double deadline);

/* Replace what is on the screen by the lines of @text; one write. */
void term_show(const char *text, size_t len);

double term_now(void);

#endif /* DMP_TOOL_TERM_H */
