# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Checks of lab tests, for hooks (on the emulated host) and check scripts.

checks_passed=0
checks_failed=0

# judge WORD WHAT COMMAND...
judge() {
	local word=$1 what=$2
	shift 2
	if "$@"; then
		checks_passed=$((checks_passed + 1))
		echo "PASS $what"
	else
		checks_failed=$((checks_failed + 1))
		echo "$word $what"
	fi
}

# check WHAT COMMAND...
check() { judge FAIL "$@"; }

# The same for a limit of time or of a counted figure, and for nothing else: a row
# over such limits alone is tried again in the gate (tests/lab/run --again).
limit() { judge OVER "$@"; }

# same WHAT WANTED GOT
same() { check "$1: $3${4:+ ($4)}$([ "$2" = "$3" ] || echo ", wanted $2")" [ "$2" = "$3" ]; }

# ended WHAT STATUS: lab/run's, which is to be 0; 124 is its time limit.
ended() {
	[ "$2" = 124 ] && limit "$1: in time" false || same "$1: status" 0 "$2"
}

# The last line of every test; its status is the verdict.
finish() {
	echo "checks: $checks_passed passed, $checks_failed failed"
	[ "$checks_failed" = 0 ] && [ "$checks_passed" -gt 0 ]
}

# On the emulated host: KVM's debugfs directory of its VM.
vm_dir() { echo /sys/kernel/debug/kvm/*-*; }

# field FILE KEY: the value of a line "KEY VALUE"
field() { awk -v k="$2" '$1 == k { print $2 }' "$1"; }

# no_machine_state DIR: the VM whose dmp directory that is has no tables, no
# memory, no sites and no implant.
no_machine_state() {
	local text
	text=$'\n'$(<"$1/status")$'\n'
	[[ $text == *$'\ntables 0\n'* && $text == *$'\nroots 0\n'* &&
		$text == *$'\nengine_bytes 0\n'* && $text == *$'\npinned_pages 0\n'* &&
		$text == *$'\nspliced 0\n'* && $text != *$'\nimplant '* ]] &&
		[ -z "$(<"$1/sites")" ]
}

# On the emulated host: one more VM, of the default mode, which never runs; it
# ends with this script. While it is there KVM's static branches stay as they
# are whatever becomes of the others. On a host with several CPUs a test that
# changes modes, or starts and ends VMs, while a guest runs needs it: see
# modes/hook-modes. (So vm_dir is to be called before.)
another_vm() {
	python3 -c 'import fcntl, os, signal
kvm = os.open("/dev/kvm", os.O_RDWR)
fcntl.ioctl(kvm, 0xae01, 0)	# KVM_CREATE_VM
print("ready", flush=True)
signal.pause()' >/tmp/another-vm &
	# shellcheck disable=SC2064 # this one
	trap "kill $!" EXIT
	until grep -qs ready /tmp/another-vm; do
		kill -0 $! || return
		sleep 0.1
	done
}
