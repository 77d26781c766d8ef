# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by the project's scripts: where things are, how they report.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
KERNEL=$BUILD/kernel		# Debian's kernel image, unpacked
export TOP BUILD KERNEL

# Progress goes to stderr, so that stdout carries results only.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# One line that says what is missing and what to do; exit status 1.
fail() {
	note "$*"
	exit 1
}
