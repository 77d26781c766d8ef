#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests dmp-bench on the machine at hand, with small n: figures mean nothing
# here, but checks, rows, messages and exit codes do.
# usage: test_bench.sh [DIR with dmp-bench, dmp-true and test_measure]
set -u
out=${1:-$(dirname "$0")/../build/bench}
bench=$out/dmp-bench
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TMPDIR=$tmp
trap 'exit 1' HUP INT TERM
passed=0
failed=0

result() {	# NAME STATUS
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
		echo "PASS $1"
	else
		failed=$((failed + 1))
		echo "FAIL $1"
		sed 's/^/    /' "$tmp/stdout" "$tmp/stderr"
	fi
}

run() {		# ARGS: output to files, exit code to $code
	timeout 60 "$bench" "$@" >"$tmp/stdout" 2>"$tmp/stderr"
	code=$?
}

# A bad line: exit code, one line on stderr that has TEXT in it, no output.
refuses() {	# CODE TEXT ARGS
	want=$1
	text=$2
	shift 2
	run "$@"
	[ "$code" -eq "$want" ] && [ ! -s "$tmp/stdout" ] &&
		[ "$(wc -l <"$tmp/stderr")" -eq 1 ] && grep -qF -e "$text" "$tmp/stderr"
	result "exit $want: dmp-bench $*" $?
}

succeeds() {	# ARGS
	run "$@"
	result "dmp-bench $*" "$code"
}

rows() {	# NAME SCRIPT FILE: SCRIPT gets the rows as `rows`
	{
		cat <<-PY
		import json, sys
		text = open(sys.argv[1]).read()
		assert text.endswith('\n')
		rows = [json.loads(line) for line in text.splitlines()]
		base = ['machine', 'mode', 'op', 'unit', 'n', 'insns']
		exits = ['exits', 'pf_exits', 'intr_exits', 'cpuid_exits', 'cr_exits',
		         'invlpg_exits']
		for r in rows:
		    assert r['n'] >= 1 and r['insns'] > 0 and r['spread'] >= 0, r
		PY
		printf '%s\n' "$2"
	} >"$tmp/check.py"
	python3 "$tmp/check.py" "$3" >"$tmp/stdout" 2>"$tmp/stderr"
	result "$1" $?
}

"$out/test_measure" >"$tmp/stdout" 2>"$tmp/stderr"
result "marks: calibration, counting, wrap" $?

# Every operation, once with figures to read, once with rows.
for op in touch protect munmap cow fork exec pipe shell huge cpuid getpid; do
	succeeds --op $op --n 9 --rounds 2
done
succeeds --n 1 --rounds 1
succeeds --op shell --n 1 --rounds 1 --shell /bin/bash
[ "$("$bench" --list | wc -l)" -eq 12 ]
result "--list has twelve operations" $?
"$bench" --help | grep -q '^usage: '
result "--help" $?

succeeds --n 3 --rounds 3 --machine m1 --mode native --json "$tmp/native.json"
rows "rows of a bare machine" '
assert [r["op"] for r in rows] == "touch protect munmap cow fork exec pipe shell".split()
for r in rows:
    assert list(r) == base + exits + ["spread"], r
    assert r["machine"] == "m1" and r["mode"] == "native", r
    assert all(r[e] == 0 for e in exits), r
    assert r["n"] == (24 if r["op"] == "shell" else 3), r
' "$tmp/native.json"
succeeds --n 3 --rounds 1 --op pipe --machine m1 --mode native --json "$tmp/native.json"
rows "rows are appended" 'assert len(rows) == 9 and rows[8]["op"] == "pipe"' "$tmp/native.json"

run --n 25 --rounds 1 --op shell --op getpid --mode shadow --json -
cp "$tmp/stdout" "$tmp/shadow.json"
[ "$code" -eq 0 ] && [ ! -s "$tmp/stderr" ]
result "--json - prints rows alone" $?
rows "without marks no exits are claimed" '
assert [r["op"] for r in rows] == ["shell", "getpid"]
assert all(list(r) == base + ["spread"] for r in rows)
assert rows[0]["n"] == 48
' "$tmp/shadow.json"

# Load: repeatable, and the checksum says what was done.
sum() {
	run "$@"
	sed -n 's/.*checksum //p' "$tmp/stderr"
}
first=$(sum --loop 2 --n 5)
[ -n "$first" ] && [ "$first" = "$(sum --loop 2 --n 5)" ]
result "--loop gives the same checksum twice" $?
[ "$first" != "$(sum --loop 3 --n 5)" ]
result "--loop: another count, another checksum" $?
succeeds --load 1 --n 5

refuses 2 "--bad" --bad
refuses 2 "what is 'extra'" extra
refuses 2 "no operation 'frok'" --op frok
refuses 2 "--op" --op
refuses 2 "--n takes 1 to" --n 0
refuses 2 "--n takes 1 to" --n -1
refuses 2 "--n takes 1 to" --n 12x
refuses 2 "--n takes 1 to" --n 99999999999999999999
refuses 2 "--rounds takes 1 to" --rounds 100
refuses 2 "--mode takes letters" --mode 'a"b'
refuses 2 "--machine takes letters" --machine ''
refuses 2 "exclude each other" --load 1 --loop 1
refuses 2 "measure nothing" --loop 1 --json -

# Failures name the operation and the errno.
refuses 1 "exec: exec of /nonexistent: No such file" --op exec --n 1 --true /nonexistent
refuses 1 "exec: a child ended with wait status" --op exec --n 1 --true /bin/false
refuses 1 "shell: exec of /nonexistent: No such file" --op shell --shell /nonexistent
refuses 1 "/nonexistent/rows: No such file" --op pipe --json /nonexistent/rows
TMPDIR=/nonexistent refuses 1 "shell: a directory under /nonexistent" --op shell
refuses 1 "/out: No such file" --op shell --shell /bin/true
(
	ulimit -v 65536
	run --op touch --n 65536 --rounds 1
	[ "$code" -eq 1 ] && grep -q 'touch: mmap of 65536 pages: Cannot allocate' "$tmp/stderr"
)
result "exit 1: touch without memory" $?
run --op pipe --op shell --n 1 --rounds 1 --shell /bin/false --json -
[ "$code" -eq 1 ] && grep -q '"op":"pipe"' "$tmp/stdout" && [ "$(wc -l <"$tmp/stdout")" -eq 1 ]
result "rows of what succeeded survive a failure" $?

echo "test_bench: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
