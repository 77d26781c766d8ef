#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Brings a Debian 12 machine to the state the build and the lab need:
# packages installed, Debian's kernel image unpacked under build/kernel (not
# installed: this machine's own boot is left alone). Run again at any time;
# what is there already is skipped.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/packages.sh
. "$(dirname "$0")/packages.sh"
# shellcheck source=scripts/kernel.sh
. "$(dirname "$0")/kernel.sh"

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

check_machine
install_packages "${PACKAGES[@]}"
install_kernel
note "ready: kernel $(cat "$KERNEL/release"), $("${QEMU:-qemu-system-x86_64}" --version | sed -n 's/.*version \([^ ]*\).*/QEMU \1/p')"
