#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Build the files a KVM host shows, as far as dmp reads them:
#   fake.sh host DIR              sysfs with the module, debugfs, proc
#   fake.sh vm DIR ID [NAME]      a VM, ID is PID-FD, NAME its -name argument
#   fake.sh hot DIR ID FACTOR     write its `hot` and `status`, counts * FACTOR
#   fake.sh machine DIR ID FILE STATE REASON [LINE...]
#                                 write FILE, a `status` with machine tables
#   fake.sh sites FILE            write FILE, a `sites` for what `hot` lists
set -eu

host() {
	mkdir -p "$1/sys/module/kvm/parameters" "$1/sys/module/kvm_amd" "$1/debug/kvm" "$1/proc"
	echo monitor >"$1/sys/module/kvm/parameters/dmp"
}

# One record: vcpu rip cpl code kind arg hits exact bytes
rec() {
	printf 'vcpu=%s rip=%s cpl=%s code=%s kind=%s arg=%s hits=%s weight=%s over=0 exact=%s bytes=%s\n' \
		"$1" "$2" "$3" "$4" "$5" "$6" "$7" "$(($7 / 2))" "$8" "$9"
}

# KASLR slid the guest's kernel by 0x1c000000; the map has _text at 81000000.
hot() {
	local d=$1/debug/kvm/$2/dmp f=$3
	{
		rec 0 0xffffffff9d234567 0 0x4e table 0x0 $((500 * f)) 1 488907c3
		rec 1 0xffffffff9d234567 0 0x4e table 0x0 $((300 * f)) 1 488907c3
		rec 0 0xffffffff9d300010 0 0x13 none 0x0 $((100 * f)) 1 0f22d8
		rec 1 0xffffffff9d300050 0 0x7c none 0x80b $((50 * f)) 0 0f30
		rec 0 0x401234 3 0x4e guest 0x0 $((30 * f)) 0 c60700
		rec 0 0x55aa00001000 3 0x72 none 0x0 $((10 * f)) 1 0fa2
		rec 0 0xffffffff9d300080 0 0x7b none 0x3f8 $((5 * f)) 1 -
		rec 1 0xffffffffc0201010 0 0x4e hidden 0x0 $((4 * f)) 1 8b
		rec 0 0xffffffff9d300090 0 0x78 none 0x0 $((1 * f)) 1 f4
	} >"$d/hot.new"
	mv "$d/hot.new" "$d/hot"
	cat >"$d/status.new" <<-END
		version 0.1
		isa svm
		mode monitor
		paging shadow
		vcpus 2
		exits $((1010 * f))
		charged $((1000 * f))
		evictions 0
		epochs 0
		slots 1024
		bound 8
		lstar 0xffffffff9d200080
		novelty 12 "quoted" \\ text
		total code=0x72 n=$((10 * f))
		total code=0x4e n=$((834 * f))
		total code=0x13 n=$((100 * f))
		kind name=guest n=$((30 * f))
		kind name=hidden n=$((4 * f))
		kind name=table n=$((800 * f))
	END
	mv "$d/status.new" "$d/status"
}

machine() {
	local d=$1/debug/kvm/$2/dmp to=$3 state=$4 reason=$5
	local tables=0 roots=0 bytes=0 pinned=0 engagements=3 ended=3
	shift 5
	if [ "$state" = engaged ]; then
		tables=700 roots=5 bytes=3145728 pinned=262144 engagements=4
	fi
	{
		sed -e 's/^mode .*/mode engaged/' -e '/^\(total\|kind\)/d' "$d/status"
		printf '%s\n' "state $state" "reason $reason" "$@" \
			"engagements $engagements" "refusals 2" "disengagements $ended" \
			"ended reason=dirty-logging n=3" "ended reason=several-vcpus n=2" \
			"tables $tables" "roots $roots" "engine_bytes $bytes" \
			"pinned_pages $pinned" "prepare_ns 12345678" \
			"engage_ns 2300000" "audits 6" \
			"fault name=guest n=1000" "fault name=lazy-a n=20" \
			"promotions 17"
		grep -E '^(total|kind)' "$d/status"
	} >"$to.new"
	mv "$to.new" "$to"
}

sites() {
	cat >"$1" <<-END
		rip=0xffffffff9d200be0 state=spliced tactic=prologue form=other traps=0 since=0 finished=0 undos=0 reason=- stub=0xffffffff862c1000 size=19 insns=3 bytes=0f01cafce8d7090000
		rip=0xffffffff9d234567 state=spliced tactic=jmp+displaced form=mov-store traps=8 since=2 finished=30 undos=1 reason=- stub=0xffffffff8573f000 size=640 insns=3 bytes=488907c3cc
		rip=0xffffffff9d234610 state=spliced tactic=jmp form=xchg traps=8 since=0 finished=0 undos=0 reason=- stub=0xffffffff8573f280 size=512 insns=1 bytes=48871c2500000000
		rip=0xffffffff9d300050 state=refused tactic=none form=stos traps=9 since=0 finished=0 undos=0 reason=repeated bytes=f348ab
		rip=0xffffffff9d300090 state=counting tactic=none form=- traps=3 since=0 finished=0 undos=0 reason=- bytes=-
	END
}

vm() {
	local pid=${2%-*}
	mkdir -p "$1/debug/kvm/$2/dmp" "$1/debug/kvm/$2/vcpu0" "$1/proc/$pid"
	echo monitor >"$1/debug/kvm/$2/dmp/mode"
	: >"$1/debug/kvm/$2/dmp/ctl"
	if [ -n "${3-}" ]; then
		printf 'qemu-system-x86_64\0-m\0001G\0-name\0%s\0' "$3" >"$1/proc/$pid/cmdline"
	else
		printf 'lkvm\0run\0' >"$1/proc/$pid/cmdline"
	fi
	hot "$1" "$2" 1
}

"$@"
