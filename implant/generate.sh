#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds what runs in the guest: implant/filter.S into engine/filter_blob.h, and
# implant/agent.c with its gate into engine/agent_blob.h. Both are checked in
# (make check compares): the engine then builds without this.
# usage: generate.sh [DIR]	(DIR instead of engine)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"
OUT=$BUILD/implant
TO=${1:-$TOP/engine}
FROM=$TOP/implant
mkdir -p "$OUT"

gcc -c -Wall -Werror -Wa,--fatal-warnings -I"$TOP/engine" -o "$OUT/filter.o" "$FROM/filter.S"
! readelf -rW "$OUT/filter.o" | grep '^Relocation section' >&2 ||
	fail "relocations in filter.o: it would not be position-independent"
ld -nostdlib --fatal-warnings --no-undefined --orphan-handling=error \
	-T "$FROM/filter.lds" -o "$OUT/filter.elf" "$OUT/filter.o"
objcopy -O binary -j .text "$OUT/filter.elf" "$OUT/filter.bin"
objcopy -O binary -j .rows --set-section-flags .rows=alloc "$OUT/filter.elf" "$OUT/filter.rows"
[ -s "$OUT/filter.bin" ] && [ -s "$OUT/filter.rows" ] || fail "no code or no rows"

# Entered from user mode, before what the guest does about branches that user mode
# may have trained: all that an implant may branch by is its own code.
no_indirect() {
	! objdump -d --no-show-raw-insn "$OUT/$1.elf" | grep -E '\s(bnd |notrack )?l?(jmp|call)q?\s+\*' >&2 ||
		fail "indirect branches in $1"
}
no_indirect filter

# Offset of a label.
at() { # LABEL [filter|agent]
	local value
	value=$(nm "$OUT/${2:-filter}.elf" | awk -v name="$1" '$3 == name { print $1 }')
	[ -n "$value" ] || fail "no label $1"
	echo $((16#$value))
}

bytes() { od -An -v -w12 -tx1 "$1" | sed 's/ \(..\)/ 0x\1,/g; s/^ /\t/'; }

define() { printf '#define DMP_FILTER_%s\t%d\t/* %s */\n' "$1" "$2" "$3"; }

{
	cat <<-'END'
	/* SPDX-License-Identifier: GPL-2.0-only */
	/*
	 * The filter's code and rows, for engine/filter.c: made from
	 * implant/filter.S by implant/generate.sh.
	 */
	#ifndef DMP_FILTER_BLOB_H
	#define DMP_FILTER_BLOB_H

	#include "types.h"

	END
	define CODE_END "$(at code_end)" "constants follow"
	define DELIVER_END "$(at deliver_end)" "of a jmp rel32"
	define HYPERCALL "$(at hypercall)" "3 bytes"
	define IRETQ "$(at resolved)" "of a resolved fault"
	define PUBLIC_HIGH $(($(at public_high) - 4)) "of rip: high half"
	define PUBLIC_LAST $(($(at public_last) - 4)) "low half"
	define PUBLIC_FIRST $(($(at public_first) - 4)) "low half"
	cat <<'END'

/* From @offset to the next row's; sorted. */
struct dmp_filter_row {
	u16 offset;
	u16 saved;	/* registers in save[], by number */
	u8 kind;
	u8 popped;	/* the error code */
};

static const struct dmp_filter_row dmp_filter_rows[] = {
END
	od -An -v -w6 -tu2 "$OUT/filter.rows" | sort -n -k1,1 | awk '{
		printf "\t{ %d, 0x%04x, %d, %d },\n", $1, $2, $3 % 256, int($3 / 256) }'
	printf '};\n\nstatic const u8 dmp_filter_code[] = {\n'
	bytes "$OUT/filter.bin"
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
	 * The agent's code, for engine/agent.c: made from implant/agent.c and
	 * implant/agent_gate.S by implant/generate.sh.
	 */
	#ifndef DMP_AGENT_BLOB_H
	#define DMP_AGENT_BLOB_H

	#include "types.h"

	END
	printf '#define DMP_AGENT_HYPERCALL\t%d\t/* 3 bytes */\n' "$(at hypercall agent)"
	printf '\nstatic const u8 dmp_agent_code[] = {\n'
	bytes "$OUT/agent.bin"
	printf '};\n\n#endif /* DMP_AGENT_BLOB_H */\n'
} >"$OUT/agent_blob.h"
cp "$OUT/filter_blob.h" "$OUT/agent_blob.h" "$TO"
