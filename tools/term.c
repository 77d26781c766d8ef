// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "term.h"

/* ECMA-48, and xterm's private modes: alternate screen, cursor. */
#define SCREEN_ON	"\033[?1049h\033[?25l\033[2J"
#define SCREEN_OFF	"\033[?25h\033[?1049l"
#define HOME		"\033[H"
#define CLEAR_LINE	"\033[K"
#define CLEAR_BELOW	"\033[J"

static volatile sig_atomic_t want_quit, want_redraw, want_stop;
static sigset_t wait_mask;	/* signals come in only while waiting */
static bool screen_on, keys_on, keys_eof;
static struct termios saved;

static void on_signal(int sig)
{
	switch (sig) {
	case SIGWINCH:
		want_redraw = 1;
		break;
	case SIGTSTP:
		want_stop = 1;
		break;
	default:
		want_quit = 1;
	}
}

static void put(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			want_quit = 1;	/* nobody is looking */
			return;
		}
		s += n;
		len -= n;
	}
}

static void screen_enter(void)
{
	struct termios raw;

	keys_on = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &saved);
	if (keys_on) {
		raw = saved;
		raw.c_lflag &= ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	put(SCREEN_ON, strlen(SCREEN_ON));
	screen_on = true;
}

static void screen_leave(void)
{
	if (!screen_on)
		return;
	screen_on = false;
	put(SCREEN_OFF, strlen(SCREEN_OFF));
	if (keys_on)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

int term_begin(bool screen)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH,
				    SIGTSTP };
	struct sigaction sa = { .sa_handler = on_signal };
	const char *term = getenv("TERM");
	struct sigaction old;
	sigset_t block;
	size_t i;

	if (screen && (!term || !*term || !strcmp(term, "dumb")))
		return -1;
	sigemptyset(&sa.sa_mask);
	sigemptyset(&block);
	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		if (sigs[i] == SIGTSTP && !screen)
			continue;
		/* What our parent ignores (nohup) stays ignored. */
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(sigs[i], &sa, NULL);
		sigaddset(&block, sigs[i]);
	}
	sigprocmask(SIG_BLOCK, &block, &wait_mask);
	for (i = 0; i < ARRAY_SIZE(sigs); i++)
		sigdelset(&wait_mask, sigs[i]);
	if (screen) {
		atexit(term_end);
		screen_enter();
	}
	return 0;
}

void term_end(void)
{
	screen_leave();
}

void term_size(int *cols, int *rows)
{
	struct winsize ws;

	*cols = 80;
	*rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws))
		return;
	if (ws.ws_col)
		*cols = ws.ws_col;
	if (ws.ws_row)
		*rows = ws.ws_row;
}

double term_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Give the terminal back, stop as asked, take it again. */
static void stop_self(void)
{
	bool was_on = screen_on;

	want_stop = 0;
	screen_leave();
	raise(SIGSTOP);
	if (was_on)
		screen_enter();
	want_redraw = 1;
}

static bool key_is_quit(void)
{
	char key[64];
	ssize_t n = read(STDIN_FILENO, key, sizeof(key));

	if (!n || (n < 0 && errno != EINTR && errno != EAGAIN))
		keys_eof = true;	/* the terminal hung up */
	return n > 0 && (memchr(key, 'q', n) || memchr(key, 'Q', n));
}

static int wait_once(double left)
{
	struct pollfd p = { .fd = keys_on && !keys_eof ? STDIN_FILENO : -1,
			    .events = POLLIN };
	struct timespec ts = { .tv_sec = left };

	ts.tv_nsec = (left - ts.tv_sec) * 1e9;
	if (ppoll(&p, 1, &ts, &wait_mask) > 0 && key_is_quit())
		want_quit = 1;
	return want_quit;
}

enum term_event term_wait(double deadline)
{
	double left;

	for (;;) {
		left = deadline - term_now();
		if (wait_once(left > 0 ? left : 0) || output_closed())
			return TERM_QUIT;
		if (want_stop)
			stop_self();
		if (want_redraw) {
			want_redraw = 0;
			return TERM_REDRAW;
		}
		if (left <= 0)
			return TERM_TIME;
	}
}

void term_show(const char *text, size_t len)
{
	const char *p = text, *end = text + len, *nl;
	char *frame = NULL;
	size_t size;
	FILE *f = open_memstream(&frame, &size);

	if (!f)
		return;
	fputs(HOME, f);
	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', end - p);
		if (!nl)
			break;
		/*
		 * Clear first: behind a full line the cursor still stands on
		 * its last character. And no newline after the last line, or
		 * the screen would scroll.
		 */
		fputs(nl + 1 < end ? CLEAR_LINE : CLEAR_BELOW, f);
		fwrite(p, 1, nl - p, f);
		if (nl + 1 < end)
			fputs("\r\n", f);
	}
	if (!fclose(f))
		put(frame, size);
	free(frame);
}
