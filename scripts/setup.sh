#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Brings a Debian 12 machine to the state the build and the lab need:
# packages installed, Debian's kernel image unpacked under build/kernel (not
# installed: this machine's own boot is left alone). Run again at any time;
# what is there already is skipped.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/kernel.sh
. "$(dirname "$0")/kernel.sh"

LISTS=${APT_LISTS:-/var/lib/apt/lists}	# where apt keeps them

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

has_lists() { [ -n "$(find "$LISTS" -name '*Packages*' "$@" -print -quit 2>/dev/null)" ]; }

# The archive's package lists; those that are there serve where the archive
# cannot be reached. (apt-get update ends well without a network.)
lists_read=
read_lists() {
	note "reading Debian's package lists"
	lists_read=1
	apt_quiet update || true
	has_lists || fail "there are no package lists and apt-get update brings none, see $BUILD/setup.log"
}

# No older than a day.
refresh_lists() { [ -n "$lists_read" ] || has_lists -mtime -1 || read_lists; }

install_packages() {
	local missing=() p
	for p in "$@"; do
		is_installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	refresh_lists
	note "installing ${missing[*]}"
	apt_quiet install -y --no-install-recommends "${missing[@]}" && return 0
	[ -n "$lists_read" ] || read_lists
	apt_quiet install -y --no-install-recommends "${missing[@]}" ||
		fail "cannot install ${missing[*]}, see $BUILD/setup.log"
}

check_machine
install_packages "${PACKAGES[@]}"
install_kernel
note "ready: kernel $(cat "$KERNEL/release"), $("${QEMU:-qemu-system-x86_64}" --version | sed -n 's/.*version \([^ ]*\).*/QEMU \1/p')"
