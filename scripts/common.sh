# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by the project's scripts: where things are, how they report.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
KERNEL=$BUILD/kernel		# Debian's kernel image, unpacked
export TOP BUILD KERNEL

# Of tests: LONG=1, also those that are too long for every run; SCALE=N, N times
# as much of each (CONTRIBUTING.md).
SCALE=${SCALE:-1}
export SCALE
is_long() { [ "${LONG:-0}" != 0 ]; }
is_scaled() { [ "$SCALE" -gt 1 ]; }

# Progress goes to stderr, so that stdout carries results only.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# One line that says what is missing and what to do; exit status 1.
fail() {
	note "$*"
	exit 1
}

[[ $SCALE =~ ^[1-9][0-9]*$ ]] || fail "SCALE=$SCALE: not a number of 1 or more"
