#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds kvm.ko, kvm-amd.ko and kvm-intel.ko into build/kvm: KVM as Debian
# ships its source, the patches of kvm/patches, the engine and the port.
# Incremental: edit engine/ or kvm/port and run it again.
#
# usage: build.sh [--refresh]
#   --refresh  write the commits made in build/kvm/src back to kvm/patches
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"

SRC=$BUILD/kvm/src
TARBALL=/usr/src/linux-source-6.1.tar.xz
FILES=(arch/x86/kvm virt/kvm arch/x86/include/asm/kvm_host.h
	arch/x86/include/asm/kvm-x86-ops.h)
git() { command git -C "$SRC" -c user.name=kvm-dmp -c user.email=kvm-dmp@localhost "$@"; }

[ -f "$TARBALL" ] && [ -f "$KERNEL/release" ] ||
	fail "kernel source or image missing; run 'make setup'"
release=$(cat "$KERNEL/release")
headers=/usr/src/linux-headers-$release
[ -d "$headers" ] || fail "$headers missing; run 'make setup'"

if [ "${1:-}" = --refresh ]; then
	rm -f "$TOP"/kvm/patches/*.patch
	git format-patch -q --zero-commit -N --no-signature --no-numbered \
		-o "$TOP/kvm/patches" pristine
	exit 0
fi

# What the tree is made from; when that changes it is made anew.
recipe() {
	cat "$KERNEL/version"
	echo "${FILES[@]}"
	sha256sum "$TOP"/kvm/patches/*.patch
}

extract() {
	note "extracting KVM of linux $(cat "$KERNEL/version")"
	rm -rf "$SRC.new"
	mkdir -p "$SRC.new/include/trace"
	tar -C "$SRC.new" --strip-components=1 -xf "$TARBALL" \
		"${FILES[@]/#/linux-source-6.1/}"
	[ ! -d "$SRC" ] || find "$SRC" -delete
	mv "$SRC.new" "$SRC"
	git init -q
	git add -A arch virt
	git commit -qm "KVM of linux $(cat "$KERNEL/version")"
	git tag pristine
	git am -q "$TOP"/kvm/patches/*.patch ||
		fail "kvm/patches do not apply to linux $(cat "$KERNEL/version")"
	recipe >"$SRC/.recipe"
}

# The same sources that the tests build, by link: objects stay out of the repo.
link_sources() {
	local dir=$1 from=$2 f
	mkdir -p "$SRC/dmp/$dir"
	for f in "$from"/*.[ch]; do
		ln -sf "$f" "$SRC/dmp/$dir/"
	done
}

mkdir -p "$BUILD/kvm"
[ -f "$SRC/.recipe" ] && [ "$(recipe)" = "$(cat "$SRC/.recipe")" ] || extract
mkdir -p "$SRC/dmp"
find "$SRC/dmp" -xtype l -delete
for room in "$TOP"/engine/*/; do
	link_sources "engine/$(basename "$room")" "${room%/}"
done
link_sources port "$TOP/kvm/port"
link_sources vendor "$TOP/kvm/port/vendor"
ln -sf "$TOP/kvm/Makefile.dmp" "$SRC/dmp/"

note "building kvm.ko, kvm-amd.ko, kvm-intel.ko for $release"
make -s -j"$(nproc)" -C "$headers" M="$SRC/arch/x86/kvm" KBUILD_MODPOST_WARN=0 \
	modules >"$BUILD/kvm/build.log" 2>&1 || {
	grep -E 'error|warning|Error' "$BUILD/kvm/build.log" >&2 || tail "$BUILD/kvm/build.log" >&2
	fail "KVM does not build, see $BUILD/kvm/build.log"
}
# Without debug information: the lab's hosts read these through 9p.
for ko in kvm kvm-amd kvm-intel; do
	[ "$BUILD/kvm/$ko.ko" -nt "$SRC/arch/x86/kvm/$ko.ko" ] ||
		strip -g -o "$BUILD/kvm/$ko.ko" "$SRC/arch/x86/kvm/$ko.ko"
done
