#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A machine that has never seen the project: makes a minimal Debian 12 root with
# mmdebstrap, clones HEAD into it and runs a command there, so that nothing which
# somebody installed by hand can hide a missing step. Needs root, and Debian's archive.
#
# usage: scripts/fresh.sh [--keep] [COMMAND...]
# COMMAND runs in the clone; without one: setup, all builds, check and unit. Its
# status is this script's. --keep leaves the root where it is (2.7 GB after setup and the modules).
#
# The root has make and git, which anyone has who has cloned, and else what Debian
# calls required. It sees no device but the harmless ones (no /dev/kvm), has
# processes and mounts of its own, and nothing in it outlives this script. Under
# build/fresh: log, and of the clone setup.log and the tests' logs.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/packages.sh
. "$(dirname "$0")/packages.sh"

FRESH=$BUILD/fresh
ROOT=$FRESH/root
NEED_MIB=8192	# the root, and what setup.sh wants free
MIRROR=${MIRROR:-}	# as mmdebstrap takes it; none: this machine's own
INSIDE=/root/kvm-dmp	# the clone
keep=0

usage="usage: scripts/fresh.sh [--keep] [COMMAND...]"
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=1 ;;
	--help | -h) sed -n 's/^# \{0,1\}//; 3,14p' "$0"; exit 0 ;;
	--) shift; break ;;
	-*) echo "$usage" >&2; exit 2 ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- sh -c 'make setup kvm bench tools && make check && make unit'

[ "$(id -u)" = 0 ] || fail "a root directory can be made and entered by root only"
mkdir -p "$FRESH"
free=$(df -Pm "$FRESH" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$NEED_MIB" ] || fail "$FRESH has $free MiB free; $NEED_MIB MiB are needed"
install_packages mmdebstrap

# Its mounts are in a namespace that has ended, and what is removed is one file
# system's in any case.
remove_root() { rm -rf --one-file-system "$ROOT"; }

make_root() {
	remove_root
	note "making a minimal Debian 12 under $ROOT"
	# shellcheck disable=SC2086 # none, or one
	mmdebstrap --quiet --mode=root --variant=minbase --include=make,git \
		bookworm "$ROOT" $MIRROR >"$FRESH/mmdebstrap.log" 2>&1 ||
		fail "mmdebstrap failed: $(tail -n 1 "$FRESH/mmdebstrap.log"), see $FRESH/mmdebstrap.log"
	# How the archive is reached, as this machine does it.
	cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/"
	apt-config dump | grep -E '^Acquire::(http|https|Check|[A-Za-z]*::Proxy)' \
		>"$ROOT/etc/apt/apt.conf.d/99fresh" || true
}

clone() {
	[ -z "$(git -C "$TOP" status --porcelain)" ] ||
		note "what is not committed is not in the clone"
	git clone -q --no-hardlinks "$TOP" "$ROOT$INSIDE"
	git -C "$ROOT$INSIDE" checkout -q --detach "$(git -C "$TOP" rev-parse HEAD)"
}

# Runs as the first process of namespaces of its own: ROOT, directory, command.
# shellcheck disable=SC2016 # the inner shell expands it
ENTER='
root=$1 dir=$2
shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for fd in 0:stdin 1:stdout 2:stderr; do
	ln -s "/proc/self/fd/${fd%%:*}" "$root/dev/${fd#*:}"
done
for name in null zero full random urandom; do
	: >"$root/dev/$name"
	mount --bind "/dev/$name" "$root/dev/$name"
done
exec chroot "$root" env -i HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	sh -c "cd \"\$1\" && shift && exec \"\$@\"" sh "$dir" "$@"
'
enter() {
	unshare --mount --pid --ipc --uts --fork --kill-child \
		bash -euc "$ENTER" bash "$ROOT" "$INSIDE" "$@" </dev/null
}

trap '[ $keep = 1 ] || remove_root' EXIT
start=$SECONDS
make_root
clone
note "root and clone after $((SECONDS - start)) s; running there: $*"
status=0
enter "$@" 2>&1 | tee "$FRESH/log" || status=$?
mkdir -p "$FRESH/tests"
cp "$ROOT$INSIDE"/build/setup.log "$FRESH/" 2>/dev/null || true
cp "$ROOT$INSIDE"/build/tests/*.log "$FRESH/tests/" 2>/dev/null || true
note "status $status after $((SECONDS - start)) s; log: $FRESH/log"
exit $status
