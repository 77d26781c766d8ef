# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Debian's packages: which are here, and installing those that are not. Sourced
# after common.sh. What apt says goes to $BUILD/setup.log.

LISTS=${APT_LISTS:-/var/lib/apt/lists}	# where apt keeps them

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
