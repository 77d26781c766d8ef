#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Brings a Debian 12 machine to the state the build and the lab need:
# packages installed, Debian's kernel image unpacked under build/kernel (not
# installed: this machine's own boot is left alone). Run again at any time;
# what is there already is skipped.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

PACKAGES=(
	bc bochs bochs-term bochsbios build-essential busybox-static ca-certificates clang clang-tidy
	cpio git kmod libc6-dev libclang-rt-14-dev libcmocka-dev libelf-dev libncurses-dev
	libunicorn-dev libzydis-dev perl python3 qemu-system-x86 shellcheck sparse
	stress-ng
	valgrind vgabios xz-utils zstd
)
NEED_MIB=4096

check_machine() {
	[ "$(uname -m)" = x86_64 ] ||
		fail "this machine is $(uname -m); the lab needs an amd64 Debian 12"
	grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release ||
		fail "this is not Debian 12 (bookworm): the build needs its kernel source package"
	mkdir -p "$BUILD"
	local free
	free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$NEED_MIB" ] ||
		fail "$BUILD has $free MiB free; $NEED_MIB MiB are needed"
}

# Root is needed only when something has to be installed.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "root or sudo is needed to install packages (run 'make setup' as root)"
	fi
}

apt_quiet() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
		-o Dpkg::Use-Pty=0 "$@" >>"$BUILD/setup.log" 2>&1
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The archive's package lists, no older than a day.
refresh_lists() {
	[ -z "${lists_fresh:-}" ] || return 0
	lists_fresh=1
	if [ -n "$(find /var/lib/apt/lists -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
		return 0
	fi
	note "reading Debian's package lists"
	apt_quiet update || fail "apt-get update failed, see $BUILD/setup.log"
}

install_packages() {
	local missing=() p
	for p in "$@"; do
		is_installed "${p%%=*}" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	refresh_lists
	note "installing ${missing[*]}"
	apt_quiet install -y --no-install-recommends "${missing[@]}" && return 0
	lists_fresh=1 apt_quiet update || true
	apt_quiet install -y --no-install-recommends "${missing[@]}" ||
		fail "cannot install ${missing[*]}, see $BUILD/setup.log"
}

candidate() {
	apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'
}

# Source, headers and image must be of one version. The image metapackage
# says which kernel is today's; the three are then asked for by that version.
install_kernel() {
	local image release version
	if [ -f "$KERNEL/release" ] && [ -f "$KERNEL/vmlinuz" ]; then
		release=$(cat "$KERNEL/release")
		version=$(cat "$KERNEL/version")
		if [ -d "/usr/src/linux-headers-$release" ] &&
		   [ "$(dpkg-query -W -f '${Version}' linux-source-6.1 2>/dev/null)" = "$version" ]; then
			return 0
		fi
	fi
	refresh_lists
	image=$(apt-cache depends linux-image-amd64 |
		awk '$1 == "Depends:" { print $2; exit }')
	[ -n "$image" ] || fail "Debian offers no linux-image-amd64 (package lists empty?)"
	release=${image#linux-image-}
	version=$(candidate "$image")
	[ "$(candidate linux-source-6.1)" = "$version" ] ||
		fail "linux-source-6.1 $(candidate linux-source-6.1) and $image $version are of different versions; wait for Debian's mirror to settle"
	note "kernel $release ($version)"
	apt_quiet install -y --no-install-recommends "linux-source-6.1=$version" \
		"linux-headers-$release=$version" ||
		fail "cannot install linux-source-6.1 and linux-headers-$release $version, see $BUILD/setup.log"
	unpack_image "$image" "$release" "$version"
}

unpack_image() {
	local image=$1 release=$2 version=$3 tmp
	tmp=$(mktemp -d "$BUILD/kernel.XXXXXX")
	(cd "$tmp" && apt-get -qq download "$image=$version") >>"$BUILD/setup.log" 2>&1 ||
		fail "cannot download $image $version, see $BUILD/setup.log"
	dpkg -x "$tmp"/linux-image-*.deb "$tmp/root"
	depmod -b "$tmp/root" "$release"
	rm -rf "$KERNEL"
	mkdir -p "$KERNEL"
	mv "$tmp/root/boot/vmlinuz-$release" "$KERNEL/vmlinuz"
	mv "$tmp/root/boot/config-$release" "$KERNEL/config"
	mv "$tmp/root/lib" "$KERNEL/lib"
	echo "$version" >"$KERNEL/version"
	echo "$release" >"$KERNEL/release"
	rm -rf "$tmp"
}

check_machine
install_packages "${PACKAGES[@]}"
install_kernel
note "ready: kernel $(cat "$KERNEL/release"), $("${QEMU:-qemu-system-x86_64}" --version | sed -n 's/.*version \([^ ]*\).*/QEMU \1/p')"
