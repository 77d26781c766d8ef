// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: lab-send KIND	stdin, as it comes, to the machine that runs Bochs
 *	  lab-send --end	ends the emulated machine when its console is out
 *
 * Port E9 of Bochs is its standard output. Each piece goes out behind a line of
 * \1, KIND and its size; machine.py reads them. A lock keeps pieces whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/io.h>
#include <termios.h>
#include <unistd.h>

#define PORT_OUT	0xe9
#define PORT_SHUTDOWN	0x8900
#define LOCK		"/dev/mem"	/* a file that there is everywhere */

static char piece[1 << 16];

/* The string instruction is one instruction a byte, not a loop. */
static void put(const void *bytes, size_t size)
{
	asm volatile("rep outsb"
		     : "+S" (bytes), "+c" (size)
		     : "d" (PORT_OUT)
		     : "memory");
}

static int end(void)
{
	const char *c;

	tcdrain(STDOUT_FILENO);
	for (c = "Shutdown"; *c; c++)
		outb(*c, PORT_SHUTDOWN);
	return 1;		/* it is not that machine */
}

int main(int argc, char **argv)
{
	int lock = open(LOCK, O_RDONLY);
	char head[64];
	ssize_t size;

	if (argc != 2 || lock < 0 || iopl(3)) {
		fprintf(stderr, "usage: lab-send KIND|--end (as root)\n");
		return 2;
	}
	if (!strcmp(argv[1], "--end"))
		return end();
	while ((size = read(STDIN_FILENO, piece, sizeof(piece))) > 0) {
		flock(lock, LOCK_EX);
		put(head, snprintf(head, sizeof(head), "\1%.32s %zd\n", argv[1], size));
		put(piece, size);
		flock(lock, LOCK_UN);
	}
	return size < 0;
}
