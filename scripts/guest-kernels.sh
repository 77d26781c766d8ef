#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# usage: guest-kernels.sh [SUITE...]
# Other guests' kernels: those of other suites of Debian, from the mirror and
# with the keys that this machine has for its own, unpacked under
# build/kernel-SUITE (lab/guests.tab names them). Nothing is installed, and
# apt's own lists and sources stay as they are.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() {
	# shellcheck disable=SC2016 # apt-get's own variables
	apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
		awk '$2 == "bookworm" { print $1; exit }'
}

# One suite's lists and downloads, apart from the machine's.
suite_apt() {
	local suite=$1 apt=$BUILD/apt-$1
	shift
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	echo "deb [signed-by=$KEYS] $MIRROR $suite main" >"$apt/sources.list"
	"$1" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" \
		-o Acquire::Languages=none -o APT::Sandbox::User=root "${@:2}"
}

# What PACKAGE depends on that is a piece of a kernel.
pieces() { # SUITE PACKAGE
	suite_apt "$1" apt-cache depends --important "$2" |
		awk '$1 == "Depends:" && $2 ~ /^linux-(image|base|binary|modules)-[0-9]/ { print $2 }'
}

unpack() { # RELEASE DIR: of the packages' files in DIR/root, what the lab wants
	local release=$1 dir=$2 modules
	modules=$dir/root/lib/modules
	[ -d "$modules" ] || modules=$dir/root/usr/lib/modules
	mkdir -p "$dir/lib"
	mv "$modules" "$dir/lib/modules"
	# initramfs.sh and insmod want them as they are.
	find "$dir/lib/modules" -name '*.ko.xz' -print0 | xargs -0 -r -P 2 -n 50 unxz
	find "$dir/lib/modules" -name '*.ko.zst' -print0 | xargs -0 -r -P 2 -n 50 zstd -dq --rm
	depmod -b "$dir" "$release" 2>/dev/null
	mv "$dir/root/boot/vmlinuz-$release" "$dir/vmlinuz" 2>/dev/null ||
		mv "$dir/lib/modules/$release/vmlinuz" "$dir/vmlinuz"
	echo "$release" >"$dir/release"
	rm -rf "$dir/root"
}

get_suite() {
	local suite=$1 dir=$BUILD/kernel-$1 tmp image names deb
	[ ! -f "$dir/release" ] || return 0
	note "the kernel of Debian's $suite"
	suite_apt "$suite" apt-get -qq update || fail "$suite: apt-get update failed"
	image=$(pieces "$suite" linux-image-amd64 | grep '^linux-image-')
	[ -n "$image" ] || fail "$suite: no linux-image-amd64"
	names=$(pieces "$suite" "$image")
	tmp=$(mktemp -d "$dir.XXXXXX")
	# shellcheck disable=SC2086 # names are words
	(cd "$tmp" && suite_apt "$suite" apt-get -qq download $image $names) ||
		fail "$suite: cannot download $image"
	for deb in "$tmp"/*.deb; do
		dpkg -x "$deb" "$tmp/root"
		rm "$deb"
	done
	unpack "${image#linux-image-}" "$tmp"
	rm -rf "$dir"
	mv "$tmp" "$dir"
	chmod 755 "$dir"
	rm -rf "$BUILD/apt-$suite"
}

MIRROR=$(mirror)
[ -n "$MIRROR" ] || fail "apt has no source for bookworm"
[ $# -gt 0 ] || set -- bullseye trixie sid
for suite; do
	get_suite "$suite"
done
