// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into dmp: a `ctl` that answers as the kernel's does. A write of
 * WORD to .../dmp/ctl goes through; then, if there is ctl.WORD beside it, its
 * first word is the errno to fail with (0: none), and ctl.WORD.status and
 * ctl.WORD.sites, if there, become `status` and `sites`. What has been written stays in ctl.log.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE	4096

static const char *ctl_path(int fd, char *path)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_SIZE - 1);
	if (n < 8)
		return NULL;
	path[n] = '\0';
	return strcmp(path + n - 8, "/dmp/ctl") ? NULL : path;
}

/* Puts @from.@file where @file is, if it is there. */
static bool replace(const char *ctl, const char *from, const char *file)
{
	char new[PATH_SIZE + 128], to[PATH_SIZE + 64];

	snprintf(new, sizeof(new), "%s.%s", from, file);
	snprintf(to, sizeof(to), "%.*s%s", (int)strlen(ctl) - 3, ctl, file);
	return !rename(new, to) || errno == ENOENT;
}

static int answer(const char *ctl, const char *word)
{
	char from[PATH_SIZE + 64], to[PATH_SIZE + 64];
	int error = 0;
	FILE *f;

	snprintf(to, sizeof(to), "%s.log", ctl);
	f = fopen(to, "a");
	if (f) {
		fprintf(f, "%s\n", word);
		fclose(f);
	}
	snprintf(from, sizeof(from), "%s.%s", ctl, word);
	f = fopen(from, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%d", &error) != 1)
		error = EPROTO;
	fclose(f);
	if (!replace(ctl, from, "status") || !replace(ctl, from, "sites"))
		error = EPROTO;
	return error;
}

ssize_t write(int fd, const void *buf, size_t count)
{
	ssize_t (*real)(int fd, const void *buf, size_t count) =
		(ssize_t (*)(int fd, const void *buf, size_t count))dlsym(RTLD_NEXT, "write");
	char path[PATH_SIZE], word[32];
	const char *ctl = ctl_path(fd, path);
	int error;

	if (ctl && count && count < sizeof(word)) {
		memcpy(word, buf, count);
		word[count] = '\0';
		word[strcspn(word, "\n")] = '\0';
		error = answer(ctl, word);
		if (error) {
			errno = error;
			return -1;
		}
	}
	return real(fd, buf, count);
}
