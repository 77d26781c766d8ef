# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Guest workloads on bare metal and on machine tables. For check scripts:
#
#	. .../guest-lib/lib.sh
#	guest_both RUN SECONDS AUDIT [OPTIONS...] -- COMMAND
#	finish
#
# COMMAND runs on the machine itself and in each of GUEST_MODES (engaged, on), and
# has to end with 0 each time with equal files in files/out (but for notes). While
# engaged the engine audits itself once in AUDIT operations; it may never leave that
# state, nor find anything. Mode on is mode engaged and more: what does not
# set GUEST_MODES runs in it alone, and with LONG=1 in both. SCALE=N makes all of it
# N times as long: SCALE=10 tests/lab/run guest-memory.
GUEST_LIB=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/lab/lib.sh
. "$GUEST_LIB/../lib.sh"
# shellcheck source=scripts/common.sh
. "$GUEST_LIB/../../../scripts/common.sh"
GUEST=$BUILD/tests/guest/dmp-guest
GUEST_OPTIONS="--scale $SCALE"
GUEST_TIMES=$SCALE
GUEST_SLOW=1
[[ $MACHINE != vmx* ]] || GUEST_SLOW=4	# Bochs
GUEST_MODES=${GUEST_MODES:-$(! is_long || echo engaged) on}
TROUBLE='WARNING:|BUG:|Oops|general protection|Call Trace|Kernel panic|refcount_t:|kvm-dmp: audit'

make -s -C "$TOP/tests/guest" OUT="$BUILD/tests/guest" || exit

calm() { ! grep -aE -m 3 "$TROUBLE" "$1"; }

# The last value of KEY in a status file; of a "fault name=NAME n=N" line.
status_fault() { sed -n "s/^fault name=$2 n=//p" "$1"; }

# guest_run RUN MODE SECONDS OPTIONS... -- COMMAND: whether the guest came to its
# end, with whatever status. There is nothing to look at otherwise.
guest_run() {
	# One CPU for the emulated host: see lab/run --help.
	local run=$1 mode=$2 limit=$3 options=(--cpus 1) status=0
	shift 3
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	"$TOP/lab/run" --quiet --timeout $((limit * GUEST_TIMES * GUEST_SLOW)) --run-dir "$run" \
		--put "$GUEST" --put "$GUEST_LIB/run-tests" "${options[@]}" "$MACHINE" "$mode" -- \
		"export GUEST_OPTIONS='$GUEST_OPTIONS' GUEST_TIMES=$GUEST_TIMES; $*" || status=$?
	ended "$mode" $status
	[ $status = 0 ] || tail -n 8 "$run/console.log"
	check "$mode: console" calm "$run/console.log"
	[ -f "$run/status" ]
}

# What the engine says of itself at the end.
guest_engine() { # RUN MODE
	local run=$1 mode=$2 begin=$1/status-begin end=$1/status-audited exits
	check "$mode: the emulated host's log" calm "$run/host-dmesg.log"
	check "$mode: looked at at the end" test -s "$end"
	[ -s "$end" ] || return
	same "state" engaged "$(field "$end" state)"
	same "$mode: spliced" "$([ "$mode" = on ] && echo 1 || echo 0)" "$(field "$end" spliced)"
	# While it boots, a guest may change its paging mode after it was engaged.
	same "disengagements, as when the tests began" \
		"$(field "$begin" disengagements)" "$(field "$end" disengagements)" \
		"$(field "$end" reason)"
	same "entries weaker than they should be" 0 "$(status_fault "$end" repaired)"
	check "audits: $(field "$end" audits)" [ "$(field "$end" audits)" -gt 1 ]
	check "no finding" eval "! grep ^finding '$end'"
	echo "FIGURE $(basename "$(dirname "$run")") $mode: $(field "$end" audits) audits," \
		"$(status_fault "$end" table) table writes, $(field "$end" promotions) promotions"
	[ "$mode" = on ] || return 0
	exits=$(($(field "$end" user_fault_exits) - $(field "$begin" user_fault_exits)))
	echo "FIGURE $(basename "$(dirname "$run")") on: $(field "$end" stubs) stubs," \
		"$(field "$end" undone) undone, $(field "$end" filter_lazy_a) lazy A in the guest," \
		"$exits page-fault exits of user mode"
	# With PCIDs and VT-x user mode's roots have no way to the private region.
	[ "$MACHINE" = vmx-pcid ] || same "page-fault exits of user mode" 0 "$exits"
}

guest_engaged() { # RUN MODE SECONDS AUDIT OPTIONS... -- COMMAND
	local run=$1 mode=$2 limit=$3 audit=$4 options=()
	shift 4
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	guest_run "$run" "$mode" "$limit" --param "kvm:dmp_audit=$audit" \
		--hook begin="$GUEST_LIB/hook-begin" --hook end-of-tests="$GUEST_LIB/hook-end-of-tests" \
		"${options[@]}" -- "guest-sync begin || exit 99; ( $* ); status=\$?
		guest-sync end-of-tests || exit 98; exit \$status" || return
	guest_engine "$run" "$mode"
}

# Transcripts, all but the notes, are the same.
guest_compare() { # RUN MODE
	local f name
	for f in "$1"/native/files/out/*; do
		name=${f##*/}
		[ "$name" = notes ] ||
			check "$2: $name: transcripts of $(wc -l <"$f") lines are equal" \
			diff "$f" "$1/$2/files/out/$name"
	done
}

guest_both() {
	local run=$1 limit=$2 audit=$3 mode
	shift 3
	guest_run "$run/native" native "$limit" "$@"
	# Stubs leave the engine a tenth of the operations, to audit after.
	for mode in $GUEST_MODES; do
		guest_engaged "$run/$mode" "$mode" "$limit" \
			"$([ "$mode" = on ] && echo $((audit / 10)) || echo "$audit")" "$@" || continue
		guest_compare "$run" "$mode"
	done
}
