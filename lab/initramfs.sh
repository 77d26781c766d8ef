#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# usage: initramfs.sh host|guest KERNELDIR OUT [FILE...]
# Packs busybox, the modules that modules.tab names for that kind, the init
# script lab/KIND-init and each FILE (into /bin) into an initramfs. It is not
# compressed: unpacking would cost the emulated machine more than reading.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"

kind=$1 kernel=$2 out=$3
shift 3
lab=$TOP/lab

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,dev,proc,sys,tmp,run,root,modules,etc}
cp /bin/busybox "$tmp/bin/busybox"
ln -s busybox "$tmp/bin/sh"
cp "$lab/$kind-init" "$tmp/init"
[ $# -eq 0 ] || cp "$@" "$tmp/bin/"

release=$(cat "$kernel/release")
names=$(awk -v kind="$kind" '$1 == kind { $1 = ""; print }' "$lab/modules.tab")
for name in $names; do
	# A module built into this kernel prints no insmod line.
	modprobe -d "$kernel" -S "$release" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r ko; do
	cp "$ko" "$tmp/modules/"
	basename "$ko" >>"$tmp/modules/order"
done

(cd "$tmp" && find . -print0 | LC_ALL=C sort -z |
	cpio --null --quiet -o -H newc -R 0:0) >"$out.tmp"
mv "$out.tmp" "$out"
