#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# usage: root.sh OUT LAB-SEND
# Packs the emulated host's root that no job changes: busybox, the guest's VMM
# (this machine's QEMU) and what scripts and hooks need, each with the libraries it is
# linked to, at the path it has here. Not compressed (see initramfs.sh).
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../../scripts/common.sh"
out=$1 send=$2

PROGRAMS=(/bin/bash /bin/tar /usr/bin/python3 /usr/bin/qemu-system-x86_64)
DATA=(/usr/share/qemu/{bios-microvm,linuxboot_dma,pvh}.bin)

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,sbin,dev,proc,sys,tmp,run,etc,usr/bin}
cp /bin/busybox "$send" "$tmp/bin/"
ln -s busybox "$tmp/bin/sh"
cp "$TOP/lab/bochs/host-init" "$tmp/init"
# Of Python's library what these load. (Debian's, whatever else PATH has.)
python_files() {
	/usr/bin/python3 -I -c 'import sys
import ctypes, fcntl, json, re, select, signal, socket, struct, subprocess, time
for module in list(sys.modules.values()):
    for file in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if file: print(file)'
}
mapfile -t python < <(python_files)
libraries() {
	printf '%s\n' "${PROGRAMS[@]}" "${python[@]}" | grep -v '\.pyc\?$' | xargs ldd |
		grep -o '/[^ :]*'
}
# Names that are links become the files: nothing else of their directories is there.
{ printf '%s\n' "${PROGRAMS[@]}" "${DATA[@]}" "${python[@]}"; libraries; } | sort -u |
while read -r file; do
	[ -f "$file" ] || continue
	mkdir -p "$tmp${file%/*}"
	[ -e "$tmp$file" ] || cp -L "$file" "$tmp$file"
done
(cd "$tmp" && find . -print0 | LC_ALL=C sort -z |
	cpio --null --quiet -o -H newc -R 0:0) >"$out.tmp"
mv "$out.tmp" "$out"
