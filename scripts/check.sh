#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What `make check` looks at: style and static checks of all files in git.
# usage: check.sh [NAME...]	(names as in the list at the end)
set -uo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
OUT=$BUILD/check
CHECKPATCH=$OUT/checkpatch/checkpatch.pl
TARBALL=/usr/src/linux-source-6.1.tar.xz
MAX_LINES=800		# of a file
MAX_LINES_ENGINE=600	# of one of the engine's, the port's or the implant's, but what is generated
MAX_FUNCTION=45		# lines there, signature to brace
ENGINE='engine/*.[chS] kvm/port/*.[ch] implant/*.[chS]'

# What checkpatch says and we do not follow, each with its reason.
IGNORE_ALL=(
	FILE_PATH_CHANGES	# wants new files of a patch in the kernel's MAINTAINERS
	SPDX_LICENSE_TAG	# looks for the tag's style by kernel paths
	EMBEDDED_FILENAME	# takes <linux/types.h> in engine/arch/types.h for its own name
)
IGNORE_ENGINE=(
	CAMELCASE		# _Static_assert, where the kernel has static_assert
	BIT_MACRO		# the engine has no kernel headers, so no BIT_ULL
	PREFER_DEFINED_ATTRIBUTE_MACRO	# nor __always_inline
	MACRO_ARG_REUSE		# iterators use theirs three times
)
# TRACE_EVENT() files follow include/trace/events, not the rules for functions.
IGNORE_TRACE=(PARENTHESIS_ALIGNMENT OPEN_ENDED_LINE SPACING)
# User space: no kernel headers to prefer, 100 columns, and not --strict.
IGNORE_USER=(
	PREFER_DEFINED_ATTRIBUTE_MACRO	# those macros are the kernel's
	VOLATILE			# sig_atomic_t, and memory that faults
	STATIC_CONST_CHAR_ARRAY
	COMPLEX_MACRO			# tables and test macros
	AVOID_EXTERNS
	NEW_TYPEDEFS
	SSCANF_TO_KSTRTO		# kstrto*() is the kernel's
	STRCPY STRLCPY STRNCPY		# as are strscpy() and its like
	PREFER_FALLTHROUGH
	CONST_STRUCT			# struct names of the kernel's
	ENOSYS
	MACRO_WITH_FLOW_CONTROL		# CHECK() in tests
	LINE_SPACING
	SUSPECT_CODE_INDENT		# loops that are macros
	QUOTED_WHITESPACE_BEFORE_NEWLINE	# bad input is to have it
)

# clang-tidy's opinions that are not ours.
TIDY_OFF=(
	bugprone-easily-swappable-parameters
	bugprone-narrowing-conversions
	bugprone-implicit-widening-of-multiplication-result
	bugprone-reserved-identifier		# __name is the kernel's style
	bugprone-suspicious-string-compare	# if (strcmp()) is as well
	bugprone-assignment-in-if-condition
	bugprone-branch-clone
	bugprone-macro-parentheses
	bugprone-not-null-terminated-result
	# wants memcpy_s() and its like, which no libc here has
	clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling
	clang-analyzer-valist.Uninitialized	# wrong about va_start in 14
	# vfork and what its child does is what bench measures
	clang-analyzer-security.insecureAPI.vfork clang-analyzer-unix.Vfork
	# These follow paths that our invariants exclude (an option that takes an
	# argument has one); the sanitizers watch the same things in all tests.
	clang-analyzer-core.NullDereference
	clang-analyzer-core.NonNullParamChecker
	clang-analyzer-core.UndefinedBinaryOperatorResult
	clang-analyzer-core.uninitialized.Branch
	clang-analyzer-core.StackAddressEscape	# main()'s, which does not return
)

files() { git ls-files -- "$@" | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }
scripts() {
	local f
	files | while read -r f; do
		if [[ $f == *.sh ]] || head -n 1 "$f" | grep -aqE '^#!.*\<(ba|da)?sh\>'; then
			echo "$f"
		fi
	done
}
join() { local IFS=,; echo "$*"; }

need_checkpatch() {
	[ ! -x "$CHECKPATCH" ] || return 0
	[ -f "$TARBALL" ] || fail "$TARBALL missing; run 'make setup'"
	mkdir -p "$OUT/checkpatch"
	tar -C "$OUT/checkpatch" --strip-components=2 -xf "$TARBALL" \
		linux-source-6.1/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} ||
		fail "no checkpatch in $TARBALL"
}

# checkpatch OPTIONS... -- FILES...: prints findings, fails on any. With -f they are
# sources, without it patches.
checkpatch() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	[ $# -gt 0 ] || return 0
	perl "$CHECKPATCH" --root=/ --no-tree --no-summary --terse --show-types --color=never \
		"${options[@]}" "$@"
}

check_checkpatch_kernel() {
	local list ok=0 strict=(-f --strict --codespell --codespellfile=/dev/null)
	mapfile -t list < <(files 'engine/*.[ch]')
	checkpatch "${strict[@]}" --ignore "$(join "${IGNORE_ALL[@]}" "${IGNORE_ENGINE[@]}")" \
		-- "${list[@]}" || ok=1
	mapfile -t list < <(files 'kvm/port/*.[ch]' | grep -v _trace.h)
	checkpatch "${strict[@]}" --ignore "$(join "${IGNORE_ALL[@]}")" -- "${list[@]}" || ok=1
	mapfile -t list < <(files 'kvm/port/*_trace.h')
	checkpatch "${strict[@]}" --ignore "$(join "${IGNORE_ALL[@]}" "${IGNORE_TRACE[@]}")" \
		-- "${list[@]}" || ok=1
	return $ok
}

check_checkpatch_user() {
	local list
	mapfile -t list < <(files 'tools/*.[ch]' 'bench/*.[ch]' 'tests/*.[ch]' 'lab/*.[ch]')
	checkpatch -f --max-line-length=100 --ignore "$(join "${IGNORE_ALL[@]}" "${IGNORE_USER[@]}")" \
		-- "${list[@]}"
}

# Their messages as well: each says why, and is signed off. By standard input, as
# checkpatch takes a file that git knows for a source.
check_checkpatch_series() {
	local patch ok=0
	while read -r patch; do
		checkpatch --strict --ignore "$(join "${IGNORE_ALL[@]}")" -- - <"$patch" ||
			{ echo "$patch: see above"; ok=1; }
	done < <(files 'kvm/patches/*.patch')
	return $ok
}

check_shellcheck() {
	local list
	mapfile -t list < <(scripts)
	shellcheck -x "${list[@]}"
}

check_python() {
	local list
	mapfile -t list < <(files | while read -r f; do
		! head -n 1 "$f" | grep -aq '^#!.*python3' || echo "$f"
	done)
	[ ${#list[@]} -eq 0 ] || python3 - "${list[@]}" <<-'END'
	import ast, sys
	for name in sys.argv[1:]:
	    ast.parse(open(name).read(), name)
	END
}

# Each header compiles alone, twice in one unit; the engine's without a libc.
check_headers() {
	local h ok=0 freestanding flags
	freestanding=(-ffreestanding -nostdinc -isystem "$(gcc -print-file-name=include)" -Iengine)
	for h in $(files 'engine/*.h' 'tools/*.h' 'bench/*.h' 'tests/unit/*.h'); do
		flags=(-I"$(dirname "$h")" -Iengine -D_GNU_SOURCE)
		[[ $h != engine/* ]] || flags=("${freestanding[@]}")
		# A header of data alone says which it may only be included by.
		! grep -q 'check: not self-contained' "$h" || continue
		printf '#include "%s"\n#include "%s"\n' "$TOP/$h" "$TOP/$h" |
			gcc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only "${flags[@]}" -x c - || ok=1
	done
	return $ok
}

# INV: the engine knows its own headers and nothing else, arch/types.h excepted, and no
# room knows one above it. The README has the picture.
check_layers() {
	local line
	scripts/rooms >"$OUT/rooms" || return 1
	while read -r line; do
		grep -qxF "         $line" README.md || { echo "not in the README's picture: $line"; return 1; }
	done <"$OUT/rooms"
}

check_engine_freestanding() {
	local f ok=0
	for f in $(files 'engine/*.c'); do
		gcc -std=gnu11 -O2 -Wall -Wextra -Werror -Wmissing-prototypes -ffreestanding -nostdinc \
			-isystem "$(gcc -print-file-name=include)" -mno-sse -mgeneral-regs-only \
			-Iengine -fsyntax-only "$f" || ok=1
	done
	return $ok
}

check_sparse() {
	local f ok=0 said
	for f in $(files 'engine/*.c'); do
		# A table's sets follow its head, whose own size is meant.
		said=$(sparse -std=gnu11 -Wsparse-all -Wno-declaration-after-statement \
			-Wno-vla -Wno-flexible-array-sizeof -Iengine "$f" 2>&1)
		[ -z "$said" ] || { echo "$said"; ok=1; }
	done
	return $ok
}

check_clang_tidy() {
	local c checks='-*,clang-analyzer-*,bugprone-*'
	for c in "${TIDY_OFF[@]}"; do
		checks=$checks,-$c
	done
	# shellcheck disable=SC2016 # the inner shell expands it
	files 'engine/*.c' 'tools/*.c' 'bench/*.c' 'lab/*.c' | grep -v test |
		xargs -P "$(nproc)" -n 6 sh -c 'checks=$1; shift; clang-tidy --quiet --checks="$checks" \
			--warnings-as-errors="*" "$@" -- -std=gnu11 -D_GNU_SOURCE -Iengine \
			2>/dev/null' sh "$checks" >"$OUT/clang-tidy.out" ||
		{ grep -E 'error:|warning:' "$OUT/clang-tidy.out"; return 1; }
}

check_file_sizes() {
	local found
	found=$(too_long $MAX_LINES '*.[chS]' '*.sh' '*.py' 'lab/*' 'tests/*' 'bench/*'
		# shellcheck disable=SC2086 # patterns
		too_long $MAX_LINES_ENGINE $ENGINE | grep -v '_blob\.h:'
		# shellcheck disable=SC2086
		long_functions $MAX_FUNCTION $ENGINE)
	[ -z "$found" ] || { echo "$found"; return 1; }
}

too_long() { # LINES PATTERN...
	files "${@:2}" | xargs wc -l |
		awk -v max="$1" '$2 != "total" && $1 > max { print $2 ": " $1 " lines, at most " max }'
}

long_functions() { # LINES PATTERN...
	# shellcheck disable=SC2016 # awk's
	files "${@:2}" | xargs awk -v max="$1" '
		FNR == 1 { open = 0; start = 0 }
		!open && /^[a-z_].*\(/ && !/[;{]$/ { start = FNR; name = $0 }
		/^{$/ { open = start }
		/^}/ {
			if (open && FNR - open + 1 > max)
				print FILENAME ": " FNR - open + 1 " lines, at most " max ": " name
			open = 0
		}'
}

# What is generated and checked in is what the generator makes.
check_generated() {
	local blob
	mkdir -p "$OUT/generated"
	implant/generate.sh "$OUT/generated" || return 1
	for blob in filter_blob.h agent_blob.h; do
		diff -u "engine/code/$blob" "$OUT/generated/$blob" || return 1
	done
}

check_mutations() { tests/mutation/run --stale; }

check_no_binaries() {
	local found
	found=$(files | grep -v '^LICENSE$' | while read -r f; do
		[ ! -s "$f" ] || LC_ALL=C grep -qI . "$f" || echo "$f: not text"
	done)
	[ -z "$found" ] || { echo "$found"; return 1; }
}

check_licences() {
	local found
	found=$(files '*.[chS]' '*.sh' '*.py' 'lab/*' | grep -v '\.tab$' |
		xargs grep -L 'SPDX-License-Identifier: GPL-2.0-only')
	[ -z "$found" ] || { echo "$found: no SPDX line"; return 1; }
}

ALL=(clang_tidy checkpatch_kernel checkpatch_user checkpatch_series shellcheck python headers layers
	engine_freestanding sparse file_sizes generated mutations no_binaries licences)
[ $# -gt 0 ] || set -- "${ALL[@]}"
mkdir -p "$OUT"
for name; do
	declare -F "check_$name" >/dev/null || fail "no check '$name'; there are: ${ALL[*]}"
done
need_checkpatch

# Side by side, one a processor; what each found is said as it ends.
look() {
	local verdict=PASS
	"check_$1" >"$OUT/$1.log" 2>&1 || verdict=FAIL
	echo "$verdict check/$1" >"$OUT/$1.verdict"
	[ $verdict = PASS ] || tail -n 30 "$OUT/$1.log" | sed 's/^/     /' >>"$OUT/$1.verdict"
	cat "$OUT/$1.verdict"
}

for name; do
	rm -f "$OUT/$name.verdict"
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
		wait -n || true
	done
	look "$name" &
done
wait
passed=0
for name; do
	! grep -qs '^PASS' "$OUT/$name.verdict" || passed=$((passed + 1))
done
failed=$(($# - passed))
echo "check: $passed passed, $failed failed"
[ $failed = 0 ]
