#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds what runs in the guest: implant/filter.S into engine/code/filter_blob.h, and
# implant/agent.c with its gate into engine/code/agent_blob.h. Both are checked in
# (make check compares): the engine then builds without this.
# usage: generate.sh [DIR]	(DIR instead of engine/code)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"
OUT=$BUILD/implant
TO=${1:-$TOP/engine/code}
FROM=$TOP/implant
mkdir -p "$OUT"

# The filter twice: that for roots without the private region does more.
build_filter() { # NAME OPTION...
	local name=$OUT/$1
	gcc -c -Wall -Werror -Wa,--fatal-warnings -I"$TOP/engine" "${@:2}" -o "$name.o" "$FROM/filter.S"
	! readelf -rW "$name.o" | grep '^Relocation section' >&2 ||
		fail "relocations in $1: it would not be position-independent"
	ld -nostdlib --fatal-warnings --no-undefined --orphan-handling=error \
		-T "$FROM/filter.lds" -o "$name.elf" "$name.o"
	objcopy -O binary -j .text "$name.elf" "$name.bin"
	objcopy -O binary -j .rows --set-section-flags .rows=alloc "$name.elf" "$name.rows"
	[ -s "$name.bin" ] && [ -s "$name.rows" ] || fail "no code or no rows"
}
build_filter filter
build_filter filter_guarded -DGUARDED

# Entered from user mode, before what the guest does about branches that user mode
# may have trained: all that an implant may branch by is its own code.
no_indirect() {
	! objdump -d --no-show-raw-insn "$OUT/$1.elf" | grep -E '\s(bnd |notrack )?l?(jmp|call)q?\s+\*' >&2 ||
		fail "indirect branches in $1"
}
no_indirect filter
no_indirect filter_guarded

# Offset of a label.
at() { # LABEL filter|filter_guarded|agent
	local value
	value=$(nm "$OUT/$2.elf" | awk -v name="$1" '$3 == name { print $1 }')
	[ -n "$value" ] || fail "no label $1"
	echo $((16#$value))
}

bytes() { od -An -v -w15 -tx1 "$1" | sed 's/ \(..\)/ 0x\1,/g; s/^ /\t/'; }

filter_arrays() { # NAME
	printf 'static const struct dmp_filter_row dmp_%s_rows[] = {\n' "$1"
	od -An -v -w6 -tu2 "$OUT/$1.rows" | sort -n -k1,1 | awk '{
		printf "\t{ %d, 0x%04x, %d, %d },\n", $1, $2, $3 % 256, int($3 / 256) }'
	printf '};\n\nstatic const u8 dmp_%s_code[] = {\n' "$1"
	bytes "$OUT/$1.bin"
	printf '};\n\n'
}

filter_numbers() { # NAME
	cat <<-END
	{
		.code = dmp_$1_code, .bytes = sizeof(dmp_$1_code),
		.row = dmp_$1_rows, .rows = DMP_ARRAY_SIZE(dmp_$1_rows),
		.code_end = $(at code_end "$1"), .deliver_end = $(at deliver_end "$1"),
		.hypercall = $(at hypercall "$1"), .iretq = $(at resolved "$1"),
		.public_high = $(($(at public_high "$1") - 4)),
		.public_last = $(($(at public_last "$1") - 4)),
		.public_first = $(($(at public_first "$1") - 4)),
	},
	END
}

{
	cat <<-'END'
	/* SPDX-License-Identifier: GPL-2.0-only */
	/*
	 * The filter's code and rows, for engine/code/filter.c: made from
	 * implant/filter.S by implant/generate.sh.
	 */
	#ifndef DMP_FILTER_BLOB_H
	#define DMP_FILTER_BLOB_H

	#include "arch/types.h"

	END
	cat <<'END'
/* From @offset to the next row's; sorted. */
struct dmp_filter_row {
	u16 offset;
	u16 saved;	/* registers in save[], by number */
	u8 kind;
	u8 popped;	/* the error code */
};

/* The code, and offsets in it. */
struct dmp_filter_blob {
	const u8 *code;
	const struct dmp_filter_row *row;
	u16 bytes, rows;
	u16 code_end;	/* constants follow */
	u16 deliver_end;	/* of a jmp rel32 */
	u16 hypercall;	/* 3 bytes */
	u16 iretq;	/* of a resolved fault */
	u16 public_high, public_last, public_first;	/* of rip: halves */
};

END
	filter_arrays filter
	filter_arrays filter_guarded
	printf '/* By dmp_filter_place.guarded. */\nstatic const struct dmp_filter_blob dmp_filter_blobs[2] = {\n'
	{ filter_numbers filter; filter_numbers filter_guarded; } | sed 's/^/\t/'
	printf '};\n\n#endif /* DMP_FILTER_BLOB_H */\n'
} >"$OUT/filter_blob.h"

# The agent: C, for no address in particular, with nothing but code, and without
# what needs state that a kernel's own code would not expect to be changed.
gcc -c -std=gnu11 -O2 -Wall -Wextra -Werror -I"$TOP/engine" -ffreestanding -fno-builtin \
	-fpie -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -fno-strict-aliasing -fno-jump-tables \
	-fno-tree-loop-distribute-patterns -mgeneral-regs-only -mno-red-zone \
	-mmemset-strategy=unrolled_loop:-1:noalign -mmemcpy-strategy=unrolled_loop:-1:noalign \
	-o "$OUT/agent.o" "$FROM/agent.c"
gcc -c -Wall -Werror -Wa,--fatal-warnings -I"$TOP/engine" -o "$OUT/agent_gate.o" \
	"$FROM/agent_gate.S"
! readelf -rW "$OUT/agent_gate.o" "$OUT/agent.o" | grep R_X86_64_ | grep -v 'R_X86_64_P[CL]' >&2 ||
	fail "relocations in the agent that are no distances: it would not be position-independent"
ld -nostdlib --fatal-warnings --no-undefined --orphan-handling=error \
	-T "$FROM/agent.lds" -o "$OUT/agent.elf" "$OUT/agent_gate.o" "$OUT/agent.o"
# The guest's direction flag is what it was.
! objdump -d --no-show-raw-insn "$OUT/agent.elf" | grep -E '\s(rep|repz|repnz|stos|movs|lods|scas|cmps)[bwlq]?\s' >&2 ||
	fail "string instructions in the agent"
no_indirect agent
objcopy -O binary -j .text "$OUT/agent.elf" "$OUT/agent.bin"
[ -s "$OUT/agent.bin" ] || fail "no code"
{
	cat <<-'END'
	/* SPDX-License-Identifier: GPL-2.0-only */
	/*
	 * The agent's code, for engine/code/agent.c: made from implant/agent.c and
	 * implant/agent_gate.S by implant/generate.sh.
	 */
	#ifndef DMP_AGENT_BLOB_H
	#define DMP_AGENT_BLOB_H

	#include "arch/types.h"

	END
	printf '#define DMP_AGENT_HYPERCALL\t%d\t/* 3 bytes */\n' "$(at hypercall agent)"
	printf '\nstatic const u8 dmp_agent_code[] = {\n'
	bytes "$OUT/agent.bin"
	printf '};\n\n#endif /* DMP_AGENT_BLOB_H */\n'
} >"$OUT/agent_blob.h"
cp "$OUT/filter_blob.h" "$OUT/agent_blob.h" "$TO"
