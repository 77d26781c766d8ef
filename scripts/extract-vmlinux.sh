#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Take the ELF image of the kernel out of a bzImage.
# usage: extract-vmlinux.sh VMLINUZ OUT
#
# The payload is one compressed stream somewhere in the file, followed by other
# bytes. Every place that looks like the start of a stream is tried, until one
# unpacks to an ELF file; complaints about what follows the stream are normal.
set -eu

if [ $# -ne 2 ]; then
	echo "usage: $0 VMLINUZ OUT" >&2
	exit 2
fi
vmlinuz=$1
out=$2
if [ ! -r "$vmlinuz" ]; then
	echo "$0: cannot read $vmlinuz" >&2
	exit 1
fi
tmp=$(mktemp "$out.XXXXXX")
trap 'rm -f "$tmp"' EXIT

is_elf() {
	[ "$(head -c 4 "$tmp" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ]
}

# offsets PATTERN: byte offsets (from 0) where the pattern occurs
offsets() {
	LC_ALL=C grep -abo -P "$1" "$vmlinuz" | cut -d: -f1
}

# try PATTERN COMMAND...: unpack with the command from each offset
try() {
	pattern=$1
	shift
	if ! command -v "$1" >/dev/null 2>&1; then
		missing="$missing $1"
		return 1
	fi
	for offset in $(offsets "$pattern"); do
		tail -c "+$((offset + 1))" "$vmlinuz" |
			"$@" >"$tmp" 2>/dev/null || true
		if is_elf; then
			return 0
		fi
	done
	return 1
}

missing=
if try '\xfd7zXZ\x00' xz -dc --single-stream ||
   try '\x28\xb5\x2f\xfd' zstd -dcq ||
   try '\x1f\x8b\x08' gzip -dc ||
   try '\x02\x21\x4c\x18' lz4 -dc ||
   try '\x04\x22\x4d\x18' lz4 -dc; then
	chmod 644 "$tmp"
	mv "$tmp" "$out"
	trap - EXIT
	exit 0
fi
echo "$0: no kernel found in $vmlinuz${missing:+ (not tried:$missing)}" >&2
exit 1
