# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For check scripts of the trigger tests: they boot the lab themselves, since
# they need programs of tests/host and what SCALE changes.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"
. "$TOP/tests/lab/lib.sh"

# The row's option.
TRIGGER_MODE=${2:-on}

# What no kernel log may have in it.
TROUBLE='WARNING:|BUG:|Oops|general protection|Call Trace|Kernel panic|refcount_t:'

# trigger BODY RUN LIMIT OPTIONS...: boot the body's guest with its hooks, and
# print their log. Hooks find in $RUN/env the SCALE of what they do (not 1: several
# times as much), and MODE. LIMIT is for SCALE 1.
# The mode is $TRIGGER_MODE. In mode on instructions are replaced in it as they trap, so
# that every trigger finds sites, stubs and the filter in use.
trigger() {
	local body=$1 run=$2 limit=$(($3 * SCALE)) h options=() status=0
	shift 3
	make -s -C "$TOP/tests/host" BUILD="$BUILD" || exit 1
	for h in "$TOP/tests/lab/$body"/hook-*; do
		options+=(--hook "${h##*/hook-}=$h")
	done
	mkdir -p "$run"
	printf 'BUILD=%q SCALE=%q MODE=%q HOSTILE_TESTS=%q HOSTILE_SEED=%q\n' "$BUILD" \
		"$SCALE" "$TRIGGER_MODE" "${HOSTILE_TESTS:-}" "${HOSTILE_SEED:-}" >"$run/env"
	"$TOP/lab/run" --quiet --timeout "$limit" --run-dir "$run" "${options[@]}" "$@" \
		svm "$TRIGGER_MODE" -- "$(cat "$TOP/tests/lab/$body/guest")" || status=$?
	[ ! -f "$run/hooks.log" ] || cat "$run/hooks.log"
	same "the guest's command" 0 $status
	check "the emulated host's log is there" test -s "$run/host-dmesg.log"
	check "no trouble in it" eval "! grep -E '$TROUBLE' '$run/host-dmesg.log'"
	check "nor on the console" eval "! grep -aE '$TROUBLE' '$run/console.log'"
	[ $status = 0 ] || tail -n 10 "$run/console.log"
}
