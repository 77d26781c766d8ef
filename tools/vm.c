// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "vm.h"

/* "a,,b,c" is the value "a,b": QEMU doubles a comma to quote it. */
static char *name_unquote(const char *s)
{
	char *name = strdup(s), *to = name;

	if (!name)
		return NULL;
	for (; *s; s++) {
		if (*s == ',' && *++s != ',')
			break;
		*to++ = *s;
	}
	*to = '\0';
	text_clean(name);
	return name;
}

/* The value of -name: "foo[,...]" or "...,guest=foo[,...]". */
static char *name_of_value(const char *val)
{
	const char *p = val;

	if (!strchr(val, '=') || strcspn(val, ",") < strcspn(val, "="))
		return name_unquote(val);
	while (p && strncmp(p, "guest=", 6)) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	return p ? name_unquote(p + 6) : NULL;
}

char *vm_name_from_cmdline(const char *cmdline, size_t len)
{
	const char *p = cmdline, *end = cmdline + len;
	bool next = false;
	char *name = NULL;

	/* @cmdline[len] is NUL (read_file), so strlen() stays inside. */
	for (; p < end && !name; p += strlen(p) + 1) {
		if (next)
			name = name_of_value(p);
		next = !strcmp(p, "-name") || !strcmp(p, "--name");
	}
	if (name && !*name) {
		free(name);
		name = NULL;
	}
	return name;
}

static char *vm_find_name(struct dmp_ctx *ctx, u64 pid)
{
	char path[4096], *buf, *name;
	size_t len;

	snprintf(path, sizeof(path), "%s/%llu/cmdline", ctx->proc,
		 (unsigned long long)pid);
	if (read_file(path, &buf, &len))
		return NULL;
	name = vm_name_from_cmdline(buf, len);
	free(buf);
	return name;
}

static bool parse_id(const char *s, u64 *pid, u64 *fd)
{
	struct span rest = { s, strlen(s) }, head;

	if (rest.len >= VM_ID_MAX || !strchr(s, '-') || strchr(s, 'x'))
		return false;
	head = span_cut(&rest, '-');
	return parse_u64(head, pid) && parse_u64(rest, fd);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool has_module(struct dmp_ctx *ctx, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/module/%s", ctx->sysfs, name);
	return is_dir(path);
}

static int check_module(struct dmp_ctx *ctx)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/module/kvm", ctx->sysfs);
	if (stat(path, &st))
		return err_set(&ctx->err,
			       "KVM is not loaded (no %s): load kvm-dmp's kvm.ko and kvm-amd.ko or kvm-intel.ko",
			       path);
	strncat(path, "/parameters/dmp", sizeof(path) - strlen(path) - 1);
	if (stat(path, &st))
		return err_set(&ctx->err,
			       "the kvm module loaded is one without dmp (no %s): unload it and load kvm-dmp's",
			       path);
	return 0;
}

static int no_kvm_dir(struct dmp_ctx *ctx, const char *path, int error)
{
	struct statfs fs;

	if (error == EACCES || error == EPERM)
		return err_set(&ctx->err, "%s: permission denied: run dmp as root",
			       path);
	if (error != ENOENT && error != ENOTDIR)
		return err_set(&ctx->err, "%s: %s", path, strerror(error));
	if (!has_module(ctx, "kvm_amd") && !has_module(ctx, "kvm_intel"))
		return err_set(&ctx->err,
			       "kvm.ko is loaded alone: load kvm-amd.ko or kvm-intel.ko");
	if (!statfs(ctx->debugfs, &fs) && fs.f_type == DEBUGFS_MAGIC)
		return err_set(&ctx->err,
			       "%s does not exist though debugfs is mounted and KVM loaded: see dmesg",
			       path);
	return err_set(&ctx->err,
		       "debugfs is not mounted on %s: mount -t debugfs none %s",
		       ctx->debugfs, ctx->debugfs);
}

static int vm_add(struct dmp_ctx *ctx, struct vm_list *list, const char *id)
{
	struct vm vm = { 0 }, *v;

	if (!parse_id(id, &vm.pid, &vm.fd))
		return 0;
	v = realloc(list->v, (list->n + 1) * sizeof(*v));
	if (!v)
		return err_set(&ctx->err, "out of memory");
	list->v = v;
	span_copy(vm.id, sizeof(vm.id), (struct span){ id, strlen(id) });
	if (asprintf(&vm.dir, "%s/kvm/%s/dmp", ctx->debugfs, id) < 0)
		return err_set(&ctx->err, "out of memory");
	vm.name = vm_find_name(ctx, vm.pid);
	list->v[list->n++] = vm;
	return 0;
}

static int vm_cmp(const void *a, const void *b)
{
	const struct vm *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

int vm_list_read(struct dmp_ctx *ctx, struct vm_list *list)
{
	struct dirent *de;
	char path[4096];
	int ret = 0;
	DIR *d;

	*list = (struct vm_list){ 0 };
	if (check_module(ctx))
		return -1;
	snprintf(path, sizeof(path), "%s/kvm", ctx->debugfs);
	d = opendir(path);
	if (!d)
		return no_kvm_dir(ctx, path, errno);
	while (!ret && (de = readdir(d)))
		ret = vm_add(ctx, list, de->d_name);
	closedir(d);
	if (!ret && !list->n)
		ret = err_set(&ctx->err,
			      "no VM is running (none in %s): start one", path);
	if (ret)
		vm_list_free(list);
	else
		qsort(list->v, list->n, sizeof(*list->v), vm_cmp);
	return ret;
}

void vm_list_free(struct vm_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		free(list->v[i].name);
		free(list->v[i].dir);
	}
	free(list->v);
	*list = (struct vm_list){ 0 };
}

static bool vm_matches(const struct vm *vm, const char *want)
{
	char pid[24];

	snprintf(pid, sizeof(pid), "%llu", (unsigned long long)vm->pid);
	return !strcmp(vm->id, want) || !strcmp(pid, want) ||
	       (vm->name && !strcmp(vm->name, want));
}

/* Append " 12-3 (foo), 14-3 ..." of the VMs that match @want (NULL: all). */
static void err_add_vms(struct dmp_ctx *ctx, const struct vm_list *list,
			const char *want)
{
	const char *sep = " ";
	size_t i;

	for (i = 0; i < list->n; i++) {
		const struct vm *vm = &list->v[i];

		if (want && !vm_matches(vm, want))
			continue;
		err_add(&ctx->err, vm->name ? "%s%s (%s)" : "%s%s", sep, vm->id,
			vm->name);
		sep = ", ";
	}
}

struct vm *vm_pick(struct dmp_ctx *ctx, struct vm_list *list)
{
	struct vm *found = NULL;
	size_t i, matches = 0;

	for (i = 0; i < list->n; i++) {
		struct vm *vm = &list->v[i];

		if (ctx->vm && !strcmp(vm->id, ctx->vm))
			return vm;
		if (ctx->vm && !vm_matches(vm, ctx->vm))
			continue;
		found = vm;
		matches++;
	}
	if (matches == 1)
		return found;
	if (!matches)
		err_set(&ctx->err, "no VM '%.80s'; running:", ctx->vm);
	else if (ctx->vm)
		err_set(&ctx->err, "--vm %.80s means %zu VMs, say PID-FD:",
			ctx->vm, matches);
	else
		err_set(&ctx->err, "%zu VMs are running, choose one with --vm:",
			matches);
	err_add_vms(ctx, list, matches ? ctx->vm : NULL);
	return NULL;
}

void vm_path(const struct vm *vm, const char *file, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", vm->dir, file);
}

bool vm_has_ended(struct dmp_ctx *ctx, const struct vm *vm)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/kvm/%s", ctx->debugfs, vm->id);
	return !is_dir(path);
}

static int vm_io_err(struct dmp_ctx *ctx, const struct vm *vm, const char *path,
		     int error)
{
	/* debugfs answers EIO for a file that is going away. */
	if (vm_has_ended(ctx, vm))
		return err_set(&ctx->err, "VM %s has ended", vm->id);
	if (!is_dir(vm->dir))
		return err_set(&ctx->err,
			       "VM %s has no %s: KVM could not make it (see dmesg)",
			       vm->id, vm->dir);
	if (error == EACCES)
		return err_set(&ctx->err, "%s: permission denied: run dmp as root",
			       path);
	if (error == EPERM)
		return err_set(&ctx->err,
			       "%s: not permitted: run dmp as root, and without kernel lockdown",
			       path);
	return err_set(&ctx->err, "%s: %s", path, strerror(error));
}

int vm_read(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
	    char **buf, size_t *len)
{
	char path[4096];
	int ret;

	vm_path(vm, file, path, sizeof(path));
	ret = read_file(path, buf, len);
	return ret ? vm_io_err(ctx, vm, path, -ret) : 0;
}

int vm_write_errno(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
		   const char *text)
{
	char path[4096];
	int ret;

	vm_path(vm, file, path, sizeof(path));
	ret = write_file(path, text);
	if (ret == -EINVAL && !vm_has_ended(ctx, vm))
		err_set(&ctx->err,
			"this KVM does not take '%.*s' in %s (wrong version, or not in this state)",
			(int)strcspn(text, "\n"), text, path);
	else if (ret)
		vm_io_err(ctx, vm, path, -ret);
	return ret;
}

int vm_write(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
	     const char *text)
{
	return vm_write_errno(ctx, vm, file, text) ? -1 : 0;
}

int vm_default_mode(struct dmp_ctx *ctx, char *buf, size_t size)
{
	char path[4096], *text;
	struct span s;
	size_t len;

	snprintf(path, sizeof(path), "%s/module/kvm/parameters/dmp", ctx->sysfs);
	if (read_file(path, &text, &len))
		return -1;
	s = (struct span){ text, strcspn(text, "\n") };
	span_copy(buf, size, s);
	text_clean(buf);
	free(text);
	return 0;
}

int vm_do(struct dmp_ctx *ctx,
	  int (*what)(struct dmp_ctx *ctx, const struct vm *vm))
{
	struct vm_list vms;
	struct vm *vm;
	int ret;

	if (vm_list_read(ctx, &vms))
		return DMP_FAIL;
	vm = vm_pick(ctx, &vms);
	ret = vm ? what(ctx, vm) : -1;
	vm_list_free(&vms);
	return ret ? DMP_FAIL : DMP_OK;
}
