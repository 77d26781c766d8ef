/* SPDX-License-Identifier: GPL-2.0-only */
/* The VMs of this host, as KVM's debugfs lists them: one PID-FD each. */
#ifndef DMP_TOOL_VM_H
#define DMP_TOOL_VM_H

#include "dmp.h"

#define VM_ID_MAX	24	/* "PID-FD" */

struct vm {
	char id[VM_ID_MAX];
	u64 pid, fd;
	char *name;		/* QEMU's -name, or NULL */
	char *dir;		/* DEBUGFS/kvm/ID/dmp */
};

struct vm_list {
	struct vm *v;
	size_t n;
};

/*
 * All VMs, by PID and FD; none is an error too, as are no module, stock KVM,
 * no debugfs, no permission. Returns 0 or -1 with ctx->err set.
 */
int vm_list_read(struct dmp_ctx *ctx, struct vm_list *list);
void vm_list_free(struct vm_list *list);

/* The one --vm means, or the only one; NULL with ctx->err set otherwise. */
struct vm *vm_pick(struct dmp_ctx *ctx, struct vm_list *list);

/*
 * Do @what, which returns 0 or -1 with ctx->err set, to the VM that vm_pick()
 * finds. Returns DMP_OK or DMP_FAIL.
 */
int vm_do(struct dmp_ctx *ctx,
	  int (*what)(struct dmp_ctx *ctx, const struct vm *vm));

/*
 * Read or write @file in the VM's dmp directory. Returns 0 or -1 with
 * ctx->err set; a VM that has ended is told from other errors.
 */
int vm_read(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
	    char **buf, size_t *len);
int vm_write(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
	     const char *text);
/* As vm_write(), but returns 0 or a negative errno, for a verb that knows it. */
int vm_write_errno(struct dmp_ctx *ctx, const struct vm *vm, const char *file,
		   const char *text);
bool vm_has_ended(struct dmp_ctx *ctx, const struct vm *vm);

/* The path of @file, for messages; cut to @size. */
void vm_path(const struct vm *vm, const char *file, char *buf, size_t size);

/* KVM's default mode for new VMs into @buf; -1 if unreadable. */
int vm_default_mode(struct dmp_ctx *ctx, char *buf, size_t size);

/* QEMU's -name out of a /proc/PID/cmdline; malloc'd, or NULL. */
char *vm_name_from_cmdline(const char *cmdline, size_t len);

#endif /* DMP_TOOL_VM_H */
