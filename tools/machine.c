// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <string.h>

#include "machine.h"
#include "reason.h"

#define GUEST_PAGE	4096u

/* Keys the section shows in its own words; the rest is listed as it is. */
static const char *const own_keys[] = {
	"state", "reason", "detail", "retry_ms", "engagements", "refusals",
	"disengagements", "tables", "roots", "engine_bytes", "pinned_pages",
	"prepare_ns", "engage_ns", "audits", "spliced", "splice_refusal",
	"handler", "implant", "stubs", "undone", "finished", "filter_lazy_a",
	"stub_misses", "guarded", "lidt", "user_fault_exits",
};

static unsigned long long number(const struct status *st, const char *key)
{
	return status_get_u64(st, key);
}

bool machine_owns_key(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(own_keys); i++)
		if (!strcmp(own_keys[i], key))
			return true;
	return false;
}

bool machine_is_known(const struct status *st)
{
	return status_get(st, "state");
}

bool machine_is_engaged(const struct status *st)
{
	const char *state = status_get(st, "state");

	return state && !strcmp(state, "engaged");
}

u64 machine_guest_bytes(const struct status *st)
{
	u64 bytes;

	if (__builtin_mul_overflow(status_get_u64(st, "pinned_pages"),
				   (u64)GUEST_PAGE, &bytes))
		return UINT64_MAX;
	return bytes;
}

/* The engine's memory as a part of the guest's. */
static double share(const struct status *st)
{
	double guest = machine_guest_bytes(st);

	return guest ? number(st, "engine_bytes") / guest : 0;
}

static void put_bytes(u64 bytes, char *buf, size_t size)
{
	if (bytes >= 1u << 20)
		snprintf(buf, size, "%.1f MiB", bytes / 1048576.0);
	else
		snprintf(buf, size, "%.1f KiB", bytes / 1024.0);
}

static void put_memory(const struct status *st, char *buf, size_t size)
{
	char bytes[32];

	put_bytes(status_get_u64(st, "engine_bytes"), bytes, sizeof(bytes));
	if (machine_guest_bytes(st))
		snprintf(buf, size, "%s (%.2f%% of guest memory)", bytes,
			 100 * share(st));
	else
		snprintf(buf, size, "%s", bytes);
}

void machine_size(const struct status *st, char *buf, size_t size)
{
	char memory[80];

	put_memory(st, memory, sizeof(memory));
	snprintf(buf, size, "%llu tables, %llu roots, %s", number(st, "tables"),
		 number(st, "roots"), memory);
}

void machine_time(const struct status *st, char *buf, size_t size)
{
	snprintf(buf, size, "pinned in %.1f ms, built in %.1f ms",
		 number(st, "prepare_ns") / 1e6, number(st, "engage_ns") / 1e6);
}

/* The reason's name, NULL when there has been none. */
static const char *reason_name(const struct status *st)
{
	const char *name = status_get(st, "reason");

	return name && strcmp(name, "none") ? name : NULL;
}

void machine_reason(const struct status *st, char *buf, size_t size)
{
	const char *name = reason_name(st), *detail = status_get(st, "detail");
	const struct reason *r = reason_find(name);

	snprintf(buf, size, "%s%s%s%s%s%s%s%s", r ? r->words : "",
		 r ? " (" : "", name ? name : "no reason given",
		 detail ? ", " : "", detail ? detail : "", r ? ")" : "",
		 r && r->advice ? ": " : "", r && r->advice ? r->advice : "");
}

bool machine_finding(const struct status *st, char *buf, size_t size)
{
	const struct status_finding *f = &st->finding;

	if (!st->has_finding)
		return false;
	if (f->level)
		snprintf(buf, size, "%s: entry %llu of the level-%llu table at guest frame 0x%llx (guest 0x%llx, machine 0x%llx)",
			 f->what, (unsigned long long)f->index,
			 (unsigned long long)f->level,
			 (unsigned long long)f->gfn,
			 (unsigned long long)f->guest,
			 (unsigned long long)f->machine);
	else
		snprintf(buf, size, "%s: guest frame 0x%llx", f->what,
			 (unsigned long long)f->gfn);
	return true;
}

static void print_row(const char *name, const char *fmt, ...) __printf(2, 3);
static void print_row(const char *name, const char *fmt, ...)
{
	va_list ap;

	printf("    %-12s ", name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void print_state(const struct status *st)
{
	const char *state = status_get(st, "state");
	unsigned long long retry = number(st, "retry_ms");

	if (retry)
		print_row("state", "%s, for another %.1f s", state, retry / 1e3);
	else
		print_row("state", "%s", state);
}

/* NULL: there is none, or nothing is to be replaced. */
static const struct reason *splice_reason(const struct status *st)
{
	return splice_reason_find(status_get(st, "splice_refusal"));
}

static void put_splice_state(const struct status *st, char *buf, size_t size)
{
	const char *name = status_get(st, "splice_refusal");
	const struct reason *r = splice_reason(st);

	if (number(st, "spliced"))
		snprintf(buf, size, "yes");
	else if (!name)
		snprintf(buf, size, "no%s", machine_is_engaged(st) ? "" :
			 ": not engaged");
	else
		snprintf(buf, size, "no: %s%s%s%s%s%s", r ? r->words : "",
			 r ? " (" : "", name, r ? ")" : "",
			 r && r->advice ? ": " : "",
			 r && r->advice ? r->advice : "");
}

static unsigned long long lidt(const struct status *st, const char *field)
{
	return status_get_field(st, "lidt", field);
}

/* Where the mode is another, and nothing is spliced, there is nothing to say. */
static void print_splice(const struct status *st)
{
	const char *mode = status_get(st, "mode");
	char line[MACHINE_LINE_MAX];

	if (!status_get(st, "spliced") ||
	    (!number(st, "spliced") && (!mode || strcmp(mode, "on"))))
		return;
	printf("  replaced instructions\n");
	put_splice_state(st, line, sizeof(line));
	print_row("spliced", "%s", line);
	if (!status_get(st, "stubs"))
		return;
	print_row("handler", "%s", status_get(st, "handler"));
	print_row("implant", "%s", status_get(st, "implant"));
	if (number(st, "guarded"))
		print_row("guarded", "user mode's page tables show nothing of the host's (this CPU has Meltdown)");
	if (status_get(st, "lidt"))
		print_row("LIDT", "does not exit on this CPU: %llu trapped, %llu pages of kernel code looked through, %llu places in doubt",
			  lidt(st, "instructions"), lidt(st, "pages"),
			  lidt(st, "doubtful"));
	print_row("stubs", "%llu made, %llu undone", number(st, "stubs"),
		  number(st, "undone"));
	print_row("without exit", "%llu accessed bits set by the filter",
		  number(st, "filter_lazy_a"));
	print_row("with exit", "%llu entries finished by the VMM, %llu page faults of user mode",
		  number(st, "finished"), number(st, "user_fault_exits"));
	print_row("passed by", "%llu writes of stubs to what they do not know as a table",
		  number(st, "stub_misses"));
}

static void print_counts(const char *title, const struct status_counts *counts)
{
	size_t i;

	if (counts->n)
		printf("    %s\n", title);
	for (i = 0; i < counts->n; i++)
		printf("      %-22s %10s %12llu\n", counts->v[i].name, "",
		       (unsigned long long)counts->v[i].n);
}

void machine_print(const struct status *st)
{
	char line[MACHINE_LINE_MAX];

	printf("  machine tables\n");
	print_state(st);
	if (reason_name(st)) {
		machine_reason(st, line, sizeof(line));
		print_row("last reason", "%s", line);
	}
	print_row("so far", "engaged %llu times, disengaged %llu, refused %llu, audited %llu",
		  number(st, "engagements"), number(st, "disengagements"),
		  number(st, "refusals"), number(st, "audits"));
	if (machine_finding(st, line, sizeof(line)))
		print_row("audit found", "%s", line);
	print_row("tables", "%llu", number(st, "tables"));
	print_row("roots", "%llu", number(st, "roots"));
	put_memory(st, line, sizeof(line));
	print_row("memory", "%s", line);
	if (machine_is_engaged(st)) {
		put_bytes(machine_guest_bytes(st), line, sizeof(line));
		print_row("pinned", "%s of guest memory", line);
		machine_time(st, line, sizeof(line));
		print_row("engaging", "%s", line);
	}
	print_counts("ended or refused, by reason", &st->ended);
	print_counts("faults by kind", &st->faults);
	print_splice(st);
}

static void json_counts(struct json *j, const char *key, const char *name,
			const struct status_counts *counts)
{
	size_t i;

	json_open(j, key, '[');
	for (i = 0; i < counts->n; i++) {
		json_open(j, NULL, '{');
		json_str(j, name, counts->v[i].name);
		json_num(j, "n", counts->v[i].n);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void machine_json_finding(struct json *j, const struct status *st)
{
	const struct status_finding *f = &st->finding;

	if (!st->has_finding) {
		json_str(j, "finding", NULL);
		return;
	}
	json_open(j, "finding", '{');
	json_str(j, "what", f->what);
	json_hex(j, "gfn", f->gfn);
	json_num(j, "level", f->level);
	json_num(j, "index", f->index);
	json_hex(j, "guest", f->guest);
	json_hex(j, "machine", f->machine);
	json_close(j, '}');
}

static void json_splice(struct json *j, const struct status *st)
{
	static const char *const numbers[] = {
		"stubs", "undone", "finished", "filter_lazy_a", "stub_misses",
		"user_fault_exits",
	};
	static const char *const lidts[] = { "instructions", "pages", "doubtful" };
	const struct reason *r = splice_reason(st);
	size_t i;

	if (!status_get(st, "spliced")) {
		json_str(j, "splice", NULL);
		return;
	}
	json_open(j, "splice", '{');
	json_bool(j, "spliced", number(st, "spliced"));
	json_str(j, "refusal", status_get(st, "splice_refusal"));
	json_str(j, "why", r ? r->words : NULL);
	json_str(j, "advice", r ? r->advice : NULL);
	json_str(j, "handler", status_get(st, "handler"));
	json_str(j, "implant", status_get(st, "implant"));
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		json_num(j, numbers[i], number(st, numbers[i]));
	json_bool(j, "guarded", number(st, "guarded"));
	if (status_get(st, "lidt")) {
		json_open(j, "lidt", '{');
		for (i = 0; i < ARRAY_SIZE(lidts); i++)
			json_num(j, lidts[i], lidt(st, lidts[i]));
		json_close(j, '}');
	} else {
		json_str(j, "lidt", NULL);
	}
	json_close(j, '}');
}

void machine_json(struct json *j, const struct status *st)
{
	static const char *const numbers[] = {
		"retry_ms", "engagements", "refusals", "disengagements",
		"audits", "tables", "roots", "engine_bytes", "prepare_ns",
		"engage_ns",
	};
	const struct reason *r = reason_find(reason_name(st));
	size_t i;

	if (!machine_is_known(st)) {
		json_str(j, "machine", NULL);
		return;
	}
	json_open(j, "machine", '{');
	json_str(j, "state", status_get(st, "state"));
	json_str(j, "reason", reason_name(st));
	json_str(j, "detail", status_get(st, "detail"));
	json_str(j, "why", r ? r->words : NULL);
	json_str(j, "advice", r ? r->advice : NULL);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		json_num(j, numbers[i], number(st, numbers[i]));
	json_num(j, "guest_bytes", machine_guest_bytes(st));
	json_real(j, "share", share(st), 6);
	json_counts(j, "ended", "reason", &st->ended);
	json_counts(j, "faults", "fault", &st->faults);
	machine_json_finding(j, st);
	json_splice(j, st);
	json_close(j, '}');
}

const char *machine_vm_name(const struct vm *vm, char *buf, size_t size)
{
	snprintf(buf, size, "VM %s%s%.200s%s", vm->id, vm->name ? " (" : "",
		 vm->name ? vm->name : "", vm->name ? ")" : "");
	return buf;
}
