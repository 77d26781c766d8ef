#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Assembles and links implant/filter.S and writes engine/filter_blob.h, which
# is checked in (make check compares): the engine then builds without this.
# usage: generate.sh [FILE]	(FILE instead of engine/filter_blob.h)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"
OUT=$BUILD/implant
HEADER=${1:-$TOP/engine/filter_blob.h}
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

# Offset of a label.
at() {
	local value
	value=$(nm "$OUT/filter.elf" | awk -v name="$1" '$3 == name { print $1 }')
	[ -n "$value" ] || fail "no label $1"
	echo $((16#$value))
}

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
	od -An -v -w12 -tx1 "$OUT/filter.bin" | sed 's/ \(..\)/ 0x\1,/g; s/^ /\t/'
	printf '};\n\n#endif /* DMP_FILTER_BLOB_H */\n'
} >"$HEADER.new"
mv "$HEADER.new" "$HEADER"
