#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests of dmp against a fake host. usage: run.sh [BUILD_DIR]
# SEED=N replays the random part. Nothing here needs root or KVM.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/tools}
seed=${SEED:-${DMP_RUN_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}}
w=$(mktemp -d)
chmod 755 "$w"
cp "$build/san/dmp" "$build/san/fake_kernel.so" "$w"
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
unset COLUMNS
writer=
passed=0
failed=0
trap '[ -z "$writer" ] || kill "$writer" 2>/dev/null; rm -rf "$w"' EXIT

fake() { "$here/fake.sh" "$@"; }

pass() { passed=$((passed + 1)); }
fail() {
	failed=$((failed + 1))
	echo "FAIL: $name: $1"
	sed 's/^/    out: /' "$w/out" | head -12
	sed 's/^/    err: /' "$w/err" | head -12
}
check() { # what, command...
	local what=$1
	shift
	if "$@"; then pass; else fail "$what"; fi
}

# Run dmp on the fake host $h; keeps $w/out, $w/err, $rc.
h=$w/h
on_host() {
	timeout 30 "$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" --proc "$h/proc" \
		"$@" >"$w/out" 2>"$w/err" </dev/null
	rc=$?
}
t() { # name, status, dmp arguments...
	name=$1
	local want=$2
	shift 2
	on_host "$@"
	check "exit status $rc, not $want (dmp $*)" [ "$rc" = "$want" ]
}
# The error is exactly this line (and so nothing else, no sanitizer either).
err_is() { check "stderr is not: dmp: $1" [ "$(cat "$w/err")" = "dmp: $1" ]; }
no_err() { check "stderr not empty" [ ! -s "$w/err" ]; }
no_out() { check "stdout not empty" [ ! -s "$w/out" ]; }
has() { check "no '$1' in the output" grep -qF -- "$1" "$w/out"; }
hasnt() { check "'$1' in the output" not grep -qF -- "$1" "$w/out"; }
row() { check "no line like '$1'" grep -qE -- "$1" "$w/out"; }
not() { ! "$@"; }
is_json() { check "not JSON" python3 -m json.tool "$w/out" /dev/null; }
py() { # an expression on d, the output's JSON
	check "false: $1" python3 -c "
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not ($1))" "$w/out"
}

echo "== usage"
fake host "$h"
fake vm "$h" 100-9 guest=web,debug-threads=on
t "no verb" 2
check "no usage on stderr" grep -q '^usage: dmp' "$w/err"
no_out
t "help" 0 --help
has "Verbs"
no_err
t "version" 0 --version
row '^dmp [0-9]+\.[0-9]+$'
for verb in top hot sites status mode engage disengage undo audit reset; do
	t "$verb --help" 0 $verb --help
	has "usage: dmp [options] $verb"
	has "--symbols FILE"
	t "$verb -h" 0 $verb -h
	t "$verb unknown option" 2 $verb --nonsense=1
	err_is "unknown option '--nonsense'; see dmp --help"
	t "$verb argument missing" 2 $verb --vm
	err_is "argument missing for '--vm'; see dmp --help"
done
t "unknown verb" 2 frobnicate
err_is "unknown verb 'frobnicate'; see dmp --help"
t "newline in an argument" 2 $'a\nb'
err_is "unknown verb 'a?b'; see dmp --help"
t "unknown letter" 2 hot -x
err_is "unknown option '-x'; see dmp --help"
t "operand" 2 hot extra
err_is "unexpected 'extra'; see dmp hot --help"
t "operand after --" 2 top -- -x
err_is "unexpected '-x'; see dmp top --help"
t "no argument allowed" 2 hot --json=1
err_is "no argument allowed for '--json'; see dmp --help"
t "bad -n" 2 hot -n x
err_is "bad number for -n: 'x'; see dmp hot --help"
t "bad cpl" 2 hot --cpl 4
err_is "--cpl is 0 to 3, not '4'; see dmp hot --help"
t "bad by" 2 hot --by size
err_is "--by is hits or weight, not 'size'; see dmp hot --help"
t "bad slide" 2 --slide 0xg hot
err_is "bad number for --slide: '0xg'; see dmp --help"
t "bad syntax" 2 --syntax nasm hot
err_is "--syntax is intel or att, not 'nasm'; see dmp --help"
t "bad delay" 2 top -d 0
err_is "-d is 0.1 to 3600 seconds, not '0'; see dmp top --help"
t "delay nan" 2 top -d nan
t "bad iterations" 2 top --iterations 0
err_is "bad number for --iterations: '0'; see dmp top --help"
t "bad mode" 2 mode fast
err_is "no mode 'fast'; see dmp mode --help"
for verb in engage disengage audit reset; do
	t "$verb, operand" 2 $verb now
	err_is "unexpected 'now'; see dmp $verb --help"
done
t "sites, operand" 2 sites now
err_is "unexpected 'now'; see dmp sites --help"
t "undo, operand" 2 undo now
err_is "unexpected 'now'; see dmp undo --help"
t "undo, nothing" 2 undo
err_is "--site says which: an address of dmp sites, or all; see dmp undo --help"
for site in 0 x '' -1 0xg every; do
	t "undo, bad site '$site'" 2 undo --site "$site"
	err_is "--site is an address or all, not '$site'; see dmp undo --help"
done
t "two modes" 2 mode off monitor
err_is "unexpected 'monitor'; see dmp mode --help"

echo "== host"
mv "$h/sys/module/kvm/parameters/dmp" "$w/param"
t "stock kvm" 1 status
err_is "the kvm module loaded is one without dmp (no $h/sys/module/kvm/parameters/dmp): unload it and load kvm-dmp's"
mv "$w/param" "$h/sys/module/kvm/parameters/dmp"
mv "$h/sys/module/kvm" "$w/kvm"
for verb in top hot sites status mode engage disengage audit reset; do
	t "$verb: no kvm" 1 $verb
	err_is "KVM is not loaded (no $h/sys/module/kvm): load kvm-dmp's kvm.ko and kvm-amd.ko or kvm-intel.ko"
	no_out
done
mv "$w/kvm" "$h/sys/module/kvm"
mv "$h/debug" "$w/debug"
t "no debugfs" 1 hot
err_is "debugfs is not mounted on $h/debug: mount -t debugfs none $h/debug"
rmdir "$h/sys/module/kvm_amd"
t "kvm.ko alone" 1 hot
err_is "kvm.ko is loaded alone: load kvm-amd.ko or kvm-intel.ko"
mkdir "$h/sys/module/kvm_intel"
t "no debugfs, vmx" 1 status
err_is "debugfs is not mounted on $h/debug: mount -t debugfs none $h/debug"
mkdir -p "$h/debug/kvm"
t "no VM" 1 hot
err_is "no VM is running (none in $h/debug/kvm): start one"
t "no VM, status" 1 status
err_is "no VM is running (none in $h/debug/kvm): start one"
rm -r "$h/debug"
mv "$w/debug" "$h/debug"

# Root sees everything, so ask as nobody.
as_nobody() {
	name=$1
	shift
	if [ "$(id -u)" = 0 ]; then
		timeout 30 setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" --proc "$h/proc" \
			"$@" >"$w/out" 2>"$w/err"
		rc=$?
	else
		on_host "$@"
	fi
	check "exit status $rc, not 1" [ "$rc" = 1 ]
}
chmod 000 "$h/debug"
as_nobody "not root" hot
err_is "$h/debug/kvm: permission denied: run dmp as root"
chmod 755 "$h/debug"
chmod 000 "$h/debug/kvm/100-9/dmp/hot"
as_nobody "hot unreadable" hot
err_is "$h/debug/kvm/100-9/dmp/hot: permission denied: run dmp as root"
chmod 644 "$h/debug/kvm/100-9/dmp/hot"
chmod 400 "$h/debug/kvm/100-9/dmp/mode"
as_nobody "mode unwritable" mode off
err_is "$h/debug/kvm/100-9/dmp/mode: permission denied: run dmp as root"
chmod 644 "$h/debug/kvm/100-9/dmp/mode"

echo "== choosing a VM"
mkdir "$h/debug/kvm/not-a-vm" "$h/debug/kvm/7"
t "the only one" 0 hot
has "VM 100-9 (web)"
fake vm "$h" 200-11 "db,process=db1"
fake vm "$h" 300-4
fake vm "$h" 300-14
fake vm "$h" 400-4 'guest=a,,b"\,debug-threads=on'
all='100-9 (web), 200-11 (db), 300-4, 300-14, 400-4 (a,b"\)'
t "several" 1 hot
err_is "5 VMs are running, choose one with --vm: $all"
t "wrong" 1 hot --vm nosuch
err_is "no VM 'nosuch'; running: $all"
t "wrong, status" 1 status --vm 1
err_is "no VM '1'; running: $all"
no_out
t "two of a process" 1 --vm 300 hot
err_is "--vm 300 means 2 VMs, say PID-FD: 300-4, 300-14"
for vm in web 100 100-9; do
	t "by $vm" 0 --vm $vm hot
	has "VM 100-9 (web)"
done
t "after the verb" 0 hot --vm=db
has "VM 200-11 (db)"
t "PID-FD" 0 hot --vm 300-14
has "VM 300-14:"
# shellcheck disable=SC1003 # a backslash is meant
t "name with comma" 0 hot --json --vm 'a,b"\'
py "d['vm'] == {'id': '400-4', 'pid': 400, 'name': 'a,b\"\\\\'}"
printf 'qemu\0-name\0caf\303\251 \377\033[2J\0' >"$h/proc/300/cmdline"
t "odd name" 0 hot --json --vm 300-4
is_json
py "d['vm']['name'] == 'caf\\u00e9 \\ufffd?[2J'"
rm -r "$h/debug/kvm/400-4/dmp"
t "no dmp directory" 1 hot --vm 400
err_is "VM 400-4 has no $h/debug/kvm/400-4/dmp: KVM could not make it (see dmesg)"
t "status shows the others" 1 status
has "VM 300-14"
err_is "VM 400-4 has no $h/debug/kvm/400-4/dmp: KVM could not make it (see dmesg)"
t "status JSON with an error" 1 status --json
is_json
rm -r "$h/debug/kvm/"{200-11,300-4,300-14,400-4}
d=$h/debug/kvm/100-9/dmp

echo "== hot"
t "text" 0 hot
no_err
has "VM 100-9 (web): svm, shadow paging, mode monitor, 2 vCPUs, 1000 exits charged"
row '^1 +800  +80\.0% +0 PF excp table +0xffffffff9d234567 mov \[rdi\], rax$'
row '^2 +100  +10\.0% +0 write_cr3 +0xffffffff9d300010 mov cr3, rax$'
row '^3 +50\+ +5\.0% +0 msr X2APIC_EOI +0xffffffff9d300050 wrmsr$'
row '^4 +30\+ +3\.0% +3 PF excp guest +0x401234 +mov byte ptr \[rdi\], 0x0+$'
row '^5 +10 +1\.0% +3 cpuid +0x55aa00001000 +cpuid$'
row '^6 +5 +0\.5% +0 io port 0x3f8 +0xffffffff9d300080 -$'
row '^7 +4 +0\.4% +0 PF excp hidden +0xffffffffc0201010 \(bad\)$'
row '^8 +1 +0\.1% +0 hlt +0xffffffff9d300090 hlt$'
has "8 of 8 instructions listed, 100.0% of all exits; + means at least so many"
t "att" 0 --syntax att hot
row 'mov(q)? %rax, \(%rdi\)$'
t "count" 0 hot -n 2
has "2 of 8 instructions listed, 90.0% of all exits"
hasnt "wrmsr"
t "all" 0 hot -n0
has "8 of 8"
t "kind" 0 hot --kind table
has "1 of 8"
t "cpl" 0 hot --cpl 3
has "2 of 8"
t "code number" 0 hot --code 0x72
has "1 of 8"
t "code name" 0 hot --code 'pf EXCP'
has "3 of 8"
t "code unknown" 1 hot --code nosuch
err_is "no exit code is named 'nosuch' on this machine (dmp status lists those seen)"
t "weight" 0 hot --by weight
has "WEIGHT"
row '^1 +800 +80.0% +400 '
t "json" 0 hot --json
no_err
is_json
py "d['schema'] == 'dmp-hot-1' and d['exits'] == 1000 and d['isa'] == 'svm'"
py "len(d['records']) == 8 and d['instructions'] == 8 and d['slide'] is None"
py "d['records'][0] == {'rank': 1, 'share': 0.8, 'rip': '0xffffffff9d234567', 'symbol': None, 'offset': None, 'module': None, 'bytes': '488907c3', 'insn': 'mov [rdi], rax', 'cpl': 0, 'code': 0x4e, 'reason': 'PF excp', 'kind': 'table', 'arg': 0, 'arg_name': None, 'hits': 800, 'exact': True, 'weight': 400, 'over': 0, 'vcpus': [0, 1], 'site': None}"
py "d['records'][2]['arg_name'] == 'X2APIC_EOI' and not d['records'][2]['exact']"
py "d['records'][5]['bytes'] is None and d['records'][5]['insn'] is None"

cp "$d/hot" "$w/hot.good"
cp "$d/status" "$w/status.good"
sed -i 's/^isa svm/isa vmx/' "$d/status"
cat >"$d/hot" <<-END
	vcpu=0 rip=0xffffffff81000000 code=0 kind=hidden arg=14 hits=9 exact=1 future=x
	vcpu=0 rip=0xffffffff81000001 code=28 arg=3 hits=8 exact=1
	vcpu=0 rip=0xffffffff81000002 code=32 arg=0x6e0 hits=7 exact=1
	vcpu=0 rip=0xffffffff81000003 code=30 arg=0x70 hits=6 exact=1
	vcpu=0 rip=0xffffffff81000004 code=0x80000021 hits=5 exact=1
	vcpu=0 rip=0xffffffff81000005 code=99 arg=7 hits=4 exact=1 kind=newkind
	vcpu=0 rip=0xfff0 code=10 hits=3 exact=1 bits=16 bytes=8b07
END
t "vmx" 0 hot
no_err
row '^1 .* EXCEPTION_NMI #PF hidden '
row '^2 .* CR_ACCESS CR3 '
row '^3 .* MSR_WRITE TSC_DEADLINE '
row '^4 .* IO_INSTRUCTION port 0x70 '
row '^5 .* FAILED_VMENTRY INVALID_STATE '
row '^6 .* code 0x63 0x7 newkind '
row '^7 .* CPUID +0xfff0 +mov ax, \[bx\]$'
t "vmx code" 0 hot --code cr_access
has "1 of 7"
: >"$d/hot"
t "empty" 0 hot
has "0 of 0 instructions listed"
sed -i 's/^mode .*/mode off/' "$d/status"
t "off" 0 hot
has "the monitor is off: dmp mode monitor --vm 100-9"
t "empty, JSON" 0 hot --json
is_json
rm "$d/status"
t "no status" 1 hot
err_is "$d/status: No such file or directory"
cp "$w/status.good" "$d/status"

echo "== bad files"
bad_hot() { # name, line, reason
	printf '%s\n' 'rip=1 code=0x72 hits=5' "$2" 'rip=2 code=0x72 hits=4' >"$d/hot"
	t "$1" 1 hot
	err_is "$d/hot:2: bad format: $3 (line left out)"
	has "2 of 2 instructions"
	t "$1, JSON" 1 hot --json
	is_json
}
bad_hot "no number" "rip=0x code=1 hits=1" "bad value in 'rip=0x'"
bad_hot "too large" "rip=0x1ffffffffffffffff code=1 hits=1" "bad value in 'rip=0x1ffffffffffffffff'"
bad_hot "negative" "rip=1 code=1 hits=-1" "bad value in 'hits=-1'"
bad_hot "large code" "rip=1 code=0x100000000 hits=1" "bad value in 'code=0x100000000'"
bad_hot "large cpl" "rip=1 code=1 hits=1 cpl=4" "bad value in 'cpl=4'"
bad_hot "odd bytes" "rip=1 code=1 hits=1 bytes=123" "bad value in 'bytes=123'"
bad_hot "no hex" "rip=1 code=1 hits=1 bytes=1g" "bad value in 'bytes=1g'"
bad_hot "empty bytes" "rip=1 code=1 hits=1 bytes=" "bad value in 'bytes='"
bad_hot "long kind" "rip=1 code=1 hits=1 kind=0123456789abcdef" "bad value in 'kind=0123456789abcdef'"
bad_hot "no value" "rip=1 code=1 hits=1 what" "'what' is not key=value"
bad_hot "no rip" "code=1 hits=1" "no rip="
bad_hot "no code" "rip=1 hits=1" "no code="
bad_hot "no hits" "rip=1 code=1" "no hits="
bad_hot "escape" "rip=1 code=1 hits=1 x="$'\033' "not plain text"
printf 'rip=1 code=1 hits=12\nrip=2 code=1 hits=3' >"$d/hot"
t "cut off" 1 hot
err_is "$d/hot:2: bad format: line is cut off (no newline) (line left out)"
printf 'x\nrip=1 code=1 hits=12\ny\n' >"$d/hot"
t "two bad lines" 1 hot
err_is "$d/hot:1: bad format: 'x' is not key=value (2 bad lines, left out)"
has "1 of 1"
t "top, bad lines" 1 top --iterations 1 -d 0.1
err_is "$d/hot:1: bad format: 'x' is not key=value (2 bad lines, left out)"
printf 'rip=1 code=1 hits=12\n\0\n' >"$d/hot"
t "NUL" 1 hot
err_is "$d/hot:2: bad format: not plain text (line left out)"
cp "$w/hot.good" "$d/hot"
bad_status() {
	sed "1a $2" "$w/status.good" >"$d/status"
	t "$1" 1 status
	err_is "$d/status:2: bad format: $3 (line left out)"
	has "novelty"
	t "$1, JSON" 1 status --json
	is_json
}
bad_status "exits" "exits many" "value is not a number"
bad_status "lstar" "lstar 0xzz" "lstar is not a hex number"
bad_status "total" "total n=1" "total without a valid code="
bad_status "total n" "total code=1 n=x" "total without a valid n="
bad_status "kind" "kind n=1" "line without a valid name= or reason="
bad_status "kind n" "kind name=x" "line without a valid n="
bad_status "long" "$(printf '%0200d' 0)" "line too long"
cp "$w/status.good" "$d/status"
for text in '' 'monitor' 'mon itor\n' 'off\noff\n' '\n' '\033\n'; do
	# shellcheck disable=SC2059 # the escapes are meant
	printf "$text" >"$d/mode"
	t "mode file '$text'" 1 mode
	err_is "$d/mode:1: bad format: not a mode's name"
done
echo monitor >"$d/mode"

echo "== symbols"
map=$here/fake.map
t "slide" 0 hot --symbols "$map"
no_err
has "symbols of $map, slide 0x1c000000"
row 'PF excp table +0xffffffff9d234567 native_set_pte\+0x27 +mov \[rdi\], rax'
row 'write_cr3 .* switch_mm_irqs_off\+0x10 '
row 'X2APIC_EOI .* native_apic_msr_eoi_write\+0x10 '
row ' weak_io\+0x10 '
row ' default_idle\+0x0 '
row '0x401234 +mov'
row '0xffffffffc0201010 +\(bad\)'
t "slide, JSON" 0 hot --symbols "$map" --json
is_json
py "d['slide'] == '0x1c000000' and d['records'][0]['symbol'] == 'native_set_pte' and d['records'][0]['offset'] == 0x27"
py "d['records'][3]['symbol'] is None and d['records'][6]['symbol'] is None"
t "forced" 0 hot --symbols "$map" --slide 0x1c000040
has "native_apic_msr_eoi_write+0x10 " # 0x40 lower, so the function before
hasnt "native_set_pte"
sed -i 's/^lstar .*/lstar 0/' "$d/status"
t "no lstar" 0 hot --symbols "$map"
no_err
hasnt "native_set_pte"
t "no lstar, forced" 0 hot --symbols "$map" --slide 469762048
has "native_set_pte+0x27"
for lstar in 0xffffffff9d201080 0xffffffffc1200080 0xfffffe0000006000; do
	sed -i "s/^lstar .*/lstar $lstar/" "$d/status"
	t "no fit: $lstar" 0 hot --symbols "$map"
	err_is "warning: $map is not of this guest: no slide brings its system call entry to LSTAR $lstar; no names shown (--slide N forces one)"
	hasnt "SYMBOL"
done
sed -i "s/^lstar .*/lstar 0xffffffff81200080/" "$d/status"
t "nokaslr" 0 hot --symbols "$map"
no_err
hasnt "slide"
cp "$w/status.good" "$d/status"
# The guest's own kallsyms: already slid, unsorted, with modules.
sed -E 's/^ffffffff8(.)/ffffffff8\1/' "$map" | awk '
	function slid(a) { return "ffffffff9" substr("def", substr(a, 10, 1), 1) substr(a, 11) }
	/^f/ { if (substr($1, 9, 1) == "8") $1 = slid($1) } { print }' >"$w/ks"
printf 'ffffffffc0201000 t mod_func\t[test_mod]\nffffffffc0202000 d mod_data\t[test_mod]\n' >>"$w/ks"
sort -r "$w/ks" >"$w/kallsyms"
t "kallsyms" 0 hot --symbols "$w/kallsyms"
no_err
has "native_set_pte+0x27"
has "mod_func+0x10 [test_mod]"
hasnt "slide"
t "kallsyms, JSON" 0 hot --symbols "$w/kallsyms" --json
py "d['records'][6]['module'] == 'test_mod' and d['slide'] == '0x0'"
# Another boot's kallsyms, with the higher slide: goes down.
sed -i "s/^lstar .*/lstar 0xffffffff99200080/" "$d/status"
t "down" 0 hot --symbols "$w/kallsyms"
has "slide -0x4000000"
cp "$w/status.good" "$d/status"

t "no such file" 1 hot --symbols "$w/none"
err_is "$w/none: No such file or directory"
want="(a System.map or kallsyms is wanted)"
bad_map() { # name, line, reason
	printf 'ffffffff81000000 T a\n%s\nffffffff81000010 T b\n' "$2" >"$w/map"
	t "$1" 1 hot --symbols "$w/map"
	err_is "$w/map:2: bad format: $3 $want"
	no_out
}
bad_map "address" "hello world" "no address at the start"
bad_map "short address" "12 T x" "no address at the start"
bad_map "type" "ffffffff81000000 text x" "no symbol type after the address"
bad_map "name" "ffffffff81000000 T" "no symbol name"
bad_map "rest" "ffffffff81000000 T a b" "more than address, type, name and [module]"
bad_map "more rest" "ffffffff81000000 T a [b] c" "more than address, type, name and [module]"
bad_map "binary" $'\x7fELF' "not plain text"
t "a directory" 1 hot --symbols "$w"
err_is "$w: Is a directory"
: >"$w/map"
t "empty" 1 hot --symbols "$w/map"
err_is "$w/map: no symbols in it"
printf '0000000000000000 T a\n0000000000000000 T b\n' >"$w/map"
t "restricted" 1 hot --symbols "$w/map"
err_is "$w/map: all addresses are 0: copy it as root in the guest (kernel.kptr_restrict)"

echo "== status"
t "text" 0 status
no_err
row '^dmp [0-9.]+; new VMs start in mode monitor$'
row '^VM 100-9 \(web\)$'
row '^  lstar +0xffffffff9d200080$'
has '  novelty      12 "quoted" \ text'
row '^    PF excp +0x4e +834 +88\.3%$'
row '^    table +800$'
t "json" 0 status --json
no_err
is_json
py "d['schema'] == 'dmp-status-1' and d['default_mode'] == 'monitor'"
py "d['vms'][0]['status']['exits'] == 1010 and d['vms'][0]['status']['lstar'] == '0xffffffff9d200080'"
py "d['vms'][0]['status']['version'] == '0.1' and d['vms'][0]['status']['novelty'] == '12 \"quoted\" \\\\ text'"
py "d['vms'][0]['totals'][0] == {'code': 0x4e, 'reason': 'PF excp', 'n': 834}"
py "d['vms'][0]['kinds'][2] == {'kind': 'table', 'n': 800}"

# shellcheck source=tools/tests/run_machine.sh
. "$here/run_machine.sh"
# shellcheck source=tools/tests/run_sites.sh
. "$here/run_sites.sh"

echo "== mode, reset"
t "show" 0 mode
check "not 'monitor'" [ "$(cat "$w/out")" = monitor ]
t "set" 0 mode off
no_out
no_err
check "not written" [ "$(cat "$d/mode")" = off ]
t "show JSON" 0 --json mode --vm web
is_json
py "d['mode'] == 'off' and d['schema'] == 'dmp-mode-1'"
t "set again" 0 mode monitor --vm 100
check "not written" [ "$(cat "$d/mode")" = monitor ]
mv "$d/mode" "$w/mode"
ln -s /proc/self/oom_score_adj "$d/mode" # answers EINVAL to a word
t "refused" 1 mode engaged
err_is "this KVM does not take 'engaged' in $d/mode (wrong version, or not in this state)"
rm "$d/mode"
ln -s /dev/zero "$d/mode"
t "endless" 1 mode
err_is "$d/mode: File too large"
rm "$d/mode"
ln -s /dev/full "$d/mode"
t "write fails" 1 mode off
err_is "$d/mode: No space left on device"
rm "$d/mode"
t "missing" 1 mode off
err_is "$d/mode: No such file or directory"
mv "$w/mode" "$d/mode"
t "reset" 0 reset
no_err
check "not written" [ "$(cat "$d/ctl")" = reset ]

echo "== top"
fake hot "$h" 100-9 1
t "nothing moves" 0 top -d 0.1 --iterations 2
check "not two tables" [ "$(grep -c EXITS/s "$w/out")" = 2 ]
row '  0 exits/s$'
# A writer that adds 1000 exits every 50 ms, until its flag is gone: killed in
# the middle of a write, it would leave a child that writes later.
i=1
: >"$w/writing"
while [ -e "$w/writing" ] && sleep 0.05; do
	i=$((i + 1))
	fake hot "$h" 100-9 $i
done &
writer=$!
t "moving" 0 top -d 0.5 --iterations 3 --symbols "$map"
no_err
# The writer may come in between reading hot and status: not exactly 80%.
row '^ +[0-9]{3,} +[678][0-9]\.[0-9]% +0 PF excp table +0xffffffff9d234567 native_set_pte\+0x27 +mov \[rdi\], rax$'
row 'page faults/s:  guest [1-9][0-9]*  hidden [1-9][0-9]*  table [1-9]'
t "JSON lines" 0 top -d 0.3 --iterations 2 --json
no_err
check "not two lines" [ "$(wc -l <"$w/out")" = 2 ]
sed -i 1d "$w/out"
is_json
py "d['schema'] == 'dmp-top-1' and d['exits_per_s'] > 1000 and abs(d['records'][0]['share'] - 0.8) < 0.25"
py "abs(d['exits'] / d['seconds'] - d['exits_per_s']) < 0.1 * d['exits_per_s']"
t "filter, count" 0 top -d 0.3 --iterations 1 --cpl 3 -n 1
check "not one row" [ "$(grep -c '%' "$w/out")" = 1 ]
row ' 3 PF excp guest '
for how in q int term hup stop; do
	name="terminal: $how"
	on_host --version
	check "not restored" [ "$(timeout 60 "$here/pty_top.py" $how "$w/dmp" \
		--debugfs "$h/debug" --sysfs "$h/sys" --proc "$h/proc" \
		top -d 0.2 --symbols "$map" 2>&1)" = ok ]
done
rm "$w/writing"
wait $writer
writer=
# An exact difference: one grows by 50, one is readmitted with 7, one is new.
printf 'rip=1 code=0x72 hits=100\nrip=2 code=0x72 hits=500\nvcpu=1 rip=2 code=0x72 hits=10\n' >"$d/hot"
(
	sleep 1
	printf 'rip=1 code=0x72 hits=150\nrip=2 code=0x72 hits=7\nvcpu=1 rip=2 code=0x72 hits=13\nrip=3 code=0x72 hits=40\n' >"$d/hot.new"
	mv "$d/hot.new" "$d/hot"
) &
t "differences" 0 top -d 2.5 --iterations 1 --json
wait
py "[round(r['per_s'] * d['seconds']) for r in d['records']] == [50, 40, 10]"
py "[r['rip'] for r in d['records']] == ['0x1', '0x3', '0x2'] and d['exits'] == 100"
# The guest reboots while we watch: another slide.
fake hot "$h" 100-9 1
(
	sleep 0.5
	fake hot "$h" 100-9 2
	sed -i -e 's/ffffffff9d/ffffffff9e/' "$d/hot" "$d/status"
) &
t "new slide" 0 top -d 1.5 --iterations 1 --symbols "$map"
wait
no_err
has "native_set_pte+0x27"
(
	sleep 0.5
	rm -r "$h/debug/kvm/100-9"
) &
t "VM ends" 1 top -d 0.3
wait
err_is "VM 100-9 has ended"
fake vm "$h" 100-9 guest=web
name="SIGINT, no terminal"
# Started in the background, a shell has SIGINT ignored, and so have we.
timeout -s INT -k 20 2 env --default-signal=INT "$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" top -d 0.2 \
	--json >"$w/out" 2>"$w/err"
rc=$?
# timeout itself says 124.
check "status $rc" [ $rc = 124 ]
no_err
sed -n '$p' "$w/out" >"$w/last" && mv "$w/last" "$w/out"
is_json
t "mode off" 0 top -d 0.1 --iterations 1
hasnt "monitor is off"
sed -i 's/^mode .*/mode off/' "$d/status"
t "mode off" 0 top -d 0.1 --iterations 1
has "the monitor is off: dmp mode monitor --vm 100-9"
cp "$w/status.good" "$d/status"

echo "== closed pipes, full disks"
for verb in "hot" "hot --json" "status" "top -d 0.1" "--help"; do
	name="closed pipe: $verb"
	# shellcheck disable=SC2086 # words are meant
	(timeout 30 "$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" $verb \
		2>"$w/err"; echo $? >"$w/out") | true
	check "status" [ "$(cat "$w/out")" = 0 ]
	no_err
	case $verb in top*) continue ;; esac
	name="full disk: $verb"
	# shellcheck disable=SC2086
	timeout 30 "$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" $verb \
		>/dev/full 2>"$w/err"
	check "status" [ $? = 1 ]
	err_is "writing the output: No space left on device"
done
name="no stdout at all"
timeout 30 "$w/dmp" --debugfs "$h/debug" --sysfs "$h/sys" hot >&- 2>"$w/err"
check "status" [ $? = 1 ]
err_is "writing the output: Bad file descriptor"

echo "== noise, seed $seed (SEED=$seed $0 replays it)"
name="fuzz"
check "fuzz $seed" timeout 120 "$build/san/fuzz" "$seed" 20000
# Cut or spoil each file at random places; never a signal or a sanitizer.
spoil() { # file, number
	python3 - "$1" "$((seed + $2))" <<-'END'
		import random, sys
		r = random.Random(int(sys.argv[2]))
		data = bytearray(open(sys.argv[1], 'rb').read())
		how = r.randrange(4)
		if how == 0:
		    data = data[:r.randrange(len(data) + 1)]
		elif how == 1:
		    data = bytearray(r.randbytes(r.randrange(5000)))
		else:
		    for _ in range(r.randrange(1, 20)):
		        data[r.randrange(len(data))] = r.randrange(256)
		open(sys.argv[1], 'wb').write(data)
	END
}
survives() { [ "$rc" -le 1 ] && ! grep -qE 'Sanitizer|runtime error' "$w/err" &&
	[ "$(wc -l <"$w/err")" -le 2 ]; }
for n in $(seq 10); do
	for file in hot status mode map; do
		fake vm "$h" 100-9 guest=web
		cp "$map" "$w/map"
		case $file in
		map) spoil "$w/map" "$n" ;;
		*) spoil "$d/$file" "$n" ;;
		esac
		for verb in "hot --symbols $w/map" "hot --json --symbols $w/map" \
			"status --json" "status" "audit --json" "mode" "top --json -d 0.1 --iterations 1"; do
			case $file:$verb in
			map:status* | map:audit* | map:mode | map:top* | mode:[hst]*) continue ;;
			hot:status* | hot:audit* | mode:audit* | [hs]*:mode) continue ;;
			esac
			name="spoilt $file $n: $verb"
			# shellcheck disable=SC2086
			on_host $verb
			check "status $rc" survives
			case $verb in
			*--json*) [ ! -s "$w/out" ] || is_json ;;
			esac
		done
	done
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
