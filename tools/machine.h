/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What `status` says of a VM's machine tables, for the verbs that show it.
 * Each takes a status whose kernel knows of them: machine_is_known().
 */
#ifndef DMP_TOOL_MACHINE_H
#define DMP_TOOL_MACHINE_H

#include <stdio.h>

#include "json.h"
#include "status.h"
#include "vm.h"

#define MACHINE_LINE_MAX	512

bool machine_is_known(const struct status *st);
bool machine_is_engaged(const struct status *st);

/* Bytes of guest memory that are pinned: all of it. 0 when not engaged. */
u64 machine_guest_bytes(const struct status *st);

/* "12 tables, 3 roots, 1.5 MiB (0.15% of guest memory)" */
void machine_size(const struct status *st, char *buf, size_t size);

/* "pinned in 1.2 ms, built in 3.4 ms" */
void machine_time(const struct status *st, char *buf, size_t size);

/* The last refusal's or end's reason: "words (name): advice", or the name. */
void machine_reason(const struct status *st, char *buf, size_t size);

/* What the last audit that failed found, in words; false when there is none. */
bool machine_finding(const struct status *st, char *buf, size_t size);

/* `status`: the section, and which keys stand in it instead of in the list. */
void machine_print(const struct status *st);
bool machine_owns_key(const char *key);

/* The member "machine": an object, or null when the kernel does not know. */
void machine_json(struct json *j, const struct status *st);
/* The member "finding": an object or null. */
void machine_json_finding(struct json *j, const struct status *st);

/* "VM 1-2 (name)" */
const char *machine_vm_name(const struct vm *vm, char *buf, size_t size);

#endif /* DMP_TOOL_MACHINE_H */
