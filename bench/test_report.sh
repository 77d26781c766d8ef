#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests report.py on made-up rows: the table, the array, and that whatever is
# missing is named and nothing is written then.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0

check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL report: $what"
		sed 's/^/     /' "$tmp/out" "$tmp/err"
	fi
}

rows() { # MODE: as dmp-bench writes them
	local op
	for op in touch protect munmap cow fork exec pipe shell; do
		echo "{\"machine\":\"m\",\"mode\":\"$1\",\"op\":\"$op\",\"unit\":\"page\",\"n\":8,\"insns\":1234.5,\"exits\":2.02,\"pf_exits\":2.0,\"spread\":0.1}"
	done
}
fresh() {
	local mode
	rm -rf "$tmp"/{m,m2}
	for mode in native shadow; do
		mkdir -p "$tmp/m/$mode"
		rows $mode >"$tmp/m/$mode/rows.json"
	done
}
report() {
	rm -f "$tmp/all.json"
	"$here/report.py" --json "$tmp/all.json" "$tmp/m/native" "$tmp/m/shadow/" "$@" \
		>"$tmp/out" 2>"$tmp/err"
}
names() { # WHAT TEXT [RUN]: a failure that says TEXT and leaves no results
	report "${@:3}"
	check "$1: status" [ $? = 1 ]
	check "$1: says '$2'" grep -qF -- "$2" "$tmp/err"
	check "$1: no results" [ ! -e "$tmp/all.json" ]
}
change() { sed -i "$1" "$tmp/m/shadow/rows.json"; }

fresh
report
check "good rows: status" [ $? = 0 ]
check "good rows: an array of all rows" python3 -c "
import json, sys
rows = json.load(open('$tmp/all.json'))
sys.exit(not (len(rows) == 16 and rows[8] == {'machine': 'm', 'mode': 'shadow', 'op': 'touch',
    'unit': 'page', 'n': 8, 'insns': 1234.5, 'exits': 2.02, 'pf_exits': 2.0, 'spread': 0.1}))"
check "good rows: the table's line" grep -qE '^touch +page +1,234 +1,234 +x1\.00 +2\.02 +2\.00$' "$tmp/out"
check "good rows: lines" [ "$(wc -l <"$tmp/out")" = 11 ]

mkdir -p "$tmp/m2/native"
rows native | sed 's/"m"/"m2"/; s/1234.5/77.5/' >"$tmp/m2/native/rows.json"
report "$tmp/m2/native"
check "two machines: status" [ $? = 0 ]
check "two machines: rows" [ "$(grep -c '"machine": "m2"' "$tmp/all.json")" = 8 ]
check "two machines: two tables" [ "$(grep -cE '; machine m2?, ratios to native' "$tmp/out")" = 2 ]
check "two machines: the second's line" grep -qE '^touch +page +77.5$' "$tmp/out"

rm "$tmp/m2/native/rows.json"
names "a second machine that has no rows" "m2/native: no rows" "$tmp/m2/native"
fresh

change /touch/d
names "no row" "m shadow touch: not measured"
fresh
change '/cow/s/"exits":[0-9.]*,//'
names "no exits" "m shadow cow: no 'exits'"
fresh
change '/fork/s/"pf_exits":[0-9.]*/"pf_exits":null/'
names "null" "m shadow fork: pf_exits is no number"
fresh
change '/exec/s/"insns":[0-9.]*/"insns":NaN/'
names "NaN" "m shadow exec: insns is nan"
fresh
change '/exec/s/"insns":[0-9.]*/"insns":0.0/'
names "zero" "m shadow exec: insns is 0"
fresh
change '/pipe/s/shadow/nested/'
names "another mode" "m shadow pipe: row is of m nested"
fresh
change '/pipe/p'
names "twice" "m shadow pipe: measured twice"
fresh
# shellcheck disable=SC2016 # sed's last line
change '$s/.*/{"machine":/'
names "cut off" "no rows"
fresh
rm "$tmp/m/native/rows.json"
names "no file" "native: no rows"

echo "report: $passed passed, $failed failed"
[ $failed = 0 ]
