// SPDX-License-Identifier: GPL-2.0-only
/*
 * What `exec` executes: an ordinary static program that does nothing, so that
 * what is timed is the exec and the C library's start-up.
 */
int main(void)
{
	return 0;
}
