# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034 # names are run.sh's
# The part of run.sh about machine tables; begins with the output of
# `dmp status --json` on a kernel that has none.

echo "== status with machine tables"
py "d['vms'][0]['machine'] is None"
hasnt "machine tables"
finding='finding gfn=0x1234 level=1 index=17 guest=0x1 machine=0x2 leaf differs from its translation'
machine() { fake machine "$h" 100-9 "$@"; }
machine "$d/status" engaged dirty-logging
t "engaged" 0 status
no_err
row '^  mode +engaged$'
row '^  machine tables$'
row '^    state +engaged$'
row '^    last reason +writes to guest memory are logged, as in a migration \(dirty-logging\): try again when that is over$'
row '^    so far +engaged 4 times, disengaged 3, refused 2, audited 6$'
row '^    tables +700$'
row '^    roots +5$'
row '^    memory +3\.0 MiB \(0\.29% of guest memory\)$'
row '^    pinned +1024\.0 MiB of guest memory$'
row '^    engaging +pinned in 12\.3 ms, built in 2\.3 ms$'
row '^      dirty-logging +3$'
row '^      lazy-a +20$'
row '^  promotions +17$'
row '^    PF excp +0x4e +834 '
hasnt "audit found"
hasnt "engine_bytes"
t "engaged, JSON" 0 status --json
no_err
is_json
py "d['vms'][0]['machine'] == {'state': 'engaged', 'reason': 'dirty-logging', 'detail': None, 'why': 'writes to guest memory are logged, as in a migration', 'advice': 'try again when that is over', 'retry_ms': 0, 'engagements': 4, 'refusals': 2, 'disengagements': 3, 'audits': 6, 'tables': 700, 'roots': 5, 'engine_bytes': 3145728, 'prepare_ns': 12345678, 'engage_ns': 2300000, 'guest_bytes': 1 << 30, 'share': 0.00293, 'ended': [{'reason': 'dirty-logging', 'n': 3}, {'reason': 'several-vcpus', 'n': 2}], 'faults': [{'fault': 'guest', 'n': 1000}, {'fault': 'lazy-a', 'n': 20}], 'finding': None, 'splice': None}"
py "d['vms'][0]['status']['tables'] == 700 and d['vms'][0]['status']['state'] == 'engaged' and d['vms'][0]['status']['promotions'] == 17"
py "d['vms'][0]['kinds'][2] == {'kind': 'table', 'n': 800}"
cp "$w/status.good" "$d/status"
machine "$d/status" backed-off broken "detail audit" "retry_ms 1500" "$finding"
t "broken" 0 status
no_err
row '^    state +backed-off, for another 1\.5 s$'
row '^    last reason +the engine found itself inconsistent \(broken, audit\): report it, with dmp status and dmesg$'
row '^    audit found +leaf differs from its translation: entry 17 of the level-1 table at guest frame 0x1234 \(guest 0x1, machine 0x2\)$'
row '^    memory +0\.0 KiB$'
hasnt "pinned"
t "broken, JSON" 0 status --json
is_json
py "d['vms'][0]['machine']['finding'] == {'what': 'leaf differs from its translation', 'gfn': '0x1234', 'level': 1, 'index': 17, 'guest': '0x1', 'machine': '0x2'}"
py "d['vms'][0]['machine']['detail'] == 'audit' and d['vms'][0]['machine']['share'] == 0"
cp "$w/status.good" "$d/status"
machine "$d/status" watching none "finding gfn=0x5 level=0 index=0 guest=0x0 machine=0x0 count of writable mappings"
t "nothing yet" 0 status
row '^    audit found +count of writable mappings: guest frame 0x5$'
hasnt "last reason"
t "nothing yet, JSON" 0 status --json
py "d['vms'][0]['machine']['reason'] is None and d['vms'][0]['machine']['why'] is None"
bad_machine() { # name, line, reason
	cp "$w/status.good" "$d/status"
	machine "$d/status" watching none
	sed -i "1a $2" "$d/status"
	t "$1" 1 status
	err_is "$d/status:2: bad format: $3 (line left out)"
	has "watching"
	t "$1, JSON" 1 status --json
	is_json
}
bad_machine "fault's name" "fault n=1" "line without a valid name= or reason="
bad_machine "fault's count" "fault name=x n=y" "line without a valid n="
bad_machine "reason's name" "ended name=x n=1" "line without a valid name= or reason="
bad_machine "long name" "ended reason=abcdefghijklmnopqrstuvwxyz n=1" "line without a valid name= or reason="
bad_machine "tables" "tables few" "value is not a number"
bad_machine "finding" "finding gfn=0x1 level=1 what" "finding without gfn, level, index, guest and machine"
cp "$w/status.good" "$d/status"

echo "== engage, disengage, audit"
# What the kernel answers to WORD: errno, then a status as for `machine`.
answers() { # word, errno, [state, reason, lines...]
	echo "$2" >"$d/ctl.$1"
	[ $# = 2 ] || machine "$d/ctl.$1.status" "${@:3}"
}
k() { # as t, with that kernel; forgets what was answered
	name=$1
	local want=$2
	shift 2
	rm -f "$d/ctl.log"
	LD_PRELOAD=$w/fake_kernel.so ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 \
		on_host "$@"
	check "exit status $rc, not $want (dmp $*)" [ "$rc" = "$want" ]
	asked=$(cat "$d/ctl.log" 2>/dev/null)
	rm -f "$d"/ctl.*
	cp "$w/status.good" "$d/status"
}
out_is() { check "stdout is not: $1" [ "$(cat "$w/out")" = "$1" ]; }

answers engage 0 engaged none
k "engage" 0 engage
no_err
out_is "VM 100-9 (web) is engaged: pinned in 12.3 ms, built in 2.3 ms; 700 tables, 5 roots, 3.0 MiB (0.29% of guest memory)"
check "asked $asked" [ "$asked" = engage ]
check "mode not written" [ "$(cat "$d/mode")" = engaged ]
answers engage 0 engaged none
k "engage, JSON" 0 engage --json
is_json
py "d['schema'] == 'dmp-engage-1' and d['result'] == 'engaged' and d['vm']['name'] == 'web' and d['machine']['tables'] == 700"
echo monitor >"$d/mode"
machine "$d/status" engaged none
k "engaged already" 0 engage
out_is "VM 100-9 (web) is engaged already: 700 tables, 5 roots, 3.0 MiB (0.29% of guest memory)"
check "asked $asked" [ -z "$asked" ]
check "mode written" [ "$(cat "$d/mode")" = monitor ]
machine "$d/status" engaged none
k "engaged already, JSON" 0 engage --json
py "d['result'] == 'already'"
# The reason in words: one row for each of the kernel's.
refused() { # reason, the error's end
	answers engage 11 backed-off "$1"
	k "refused: $1" 1 engage
	no_out
	err_is "VM 100-9 (web) is not engaged: $2"
}
refused nested-paging "KVM uses nested paging on this host (nested-paging): load kvm-amd with npt=0 or kvm-intel with ept=0"
refused several-vcpus "the VM has more than one vCPU (several-vcpus): start it with one (-smp 1)"
refused paging-mode "the guest is not in 64-bit mode with paging and CR0.WP (paging-mode): try again when its kernel runs"
refused cannot-pin "the guest's memory could not be pinned (cannot-pin): give it memory that can be: anonymous, shared, or of huge pages"
refused memlock-limit "whoever made the VM may not lock so much memory (memlock-limit): start it with a higher limit (ulimit -l, LimitMEMLOCK=) or with CAP_IPC_LOCK"
refused request "somebody asked for it (request)"
refused of-a-later-version "of-a-later-version"
refused none "no reason given"
answers engage 11 backed-off broken "detail no-memory"
k "refused with a detail" 1 engage
err_is "VM 100-9 (web) is not engaged: the engine found itself inconsistent (broken, no-memory): report it, with dmp status and dmesg"
# Every reason of the engine has its words.
reasons=$(sed -n 's/.*\[DMP_REASON_[A-Z_]*\].*"\(.*\)",/\1/p' "$here/../../engine/watch/policy.c")
for reason in $reasons; do
	[ "$reason" != none ] || continue
	answers engage 11 backed-off "$reason"
	k "words for $reason" 1 engage --json
	py "d['machine']['why']"
done
check "no reasons found" [ -n "$reasons" ]
answers engage 11 backed-off smm
k "refused, JSON" 1 engage --json
is_json
py "d['result'] == 'refused' and d['machine']['reason'] == 'smm' and d['machine']['why'] == 'the vCPU is in system management mode'"
answers engage 0 backed-off memory-changed
k "engaged for a moment" 1 engage
err_is "VM 100-9 (web) is not engaged: other memory is behind some guest addresses, as with a balloon (memory-changed): try again"
answers engage 16 preparing none
k "vCPU stands" 1 engage
err_is "VM 100-9 (web) is not engaged yet: its vCPU does not run (is the guest paused?); it will be when it does"
answers engage 16 preparing none
k "vCPU stands, JSON" 1 engage --json
is_json
py "d['result'] == 'waiting' and d['machine']['state'] == 'preparing'"
answers engage 16 engaged none
k "vCPU stood" 0 engage
has "is engaged: pinned"
answers engage 22
k "engage: kernel without it" 1 engage
err_is "this KVM does not take 'engage' in $d/ctl (wrong version, or not in this state)"
answers engage 5
k "engage: other error" 1 engage
err_is "$d/ctl: Input/output error"
mv "$d/mode" "$w/mode"
ln -s /proc/self/oom_score_adj "$d/mode"
k "engage: mode refused" 1 engage
err_is "this KVM does not take 'engaged' in $d/mode (wrong version, or not in this state)"
check "asked $asked" [ -z "$asked" ]
rm "$d/mode"
mv "$w/mode" "$d/mode"

answers disengage 0 backed-off request "retry_ms 59800"
machine "$d/status" engaged none
k "disengage" 0 disengage
no_err
out_is "VM 100-9 (web) is on KVM's own paging again; mode engaged stays, so in 60 s it may engage by itself (dmp mode monitor keeps it off)"
check "asked $asked" [ "$asked" = disengage ]
answers disengage 0 backed-off request "retry_ms 59800"
machine "$d/status" engaged none
k "disengage, JSON" 0 disengage --json
is_json
py "d['schema'] == 'dmp-disengage-1' and d['result'] == 'disengaged' and d['machine']['retry_ms'] == 59800"
machine "$d/status" watching none
k "disengage: was not, engaged mode" 0 disengage
has "VM 100-9 (web) was not engaged; mode engaged stays"
k "disengage: was not" 0 disengage
out_is "VM 100-9 (web) was not engaged; its mode is monitor, so it stays off"
k "disengage: was not, JSON" 0 disengage --json
py "d['result'] == 'not-engaged' and d['machine'] is None"
answers disengage 0 engaged request
k "disengage: engaged again" 1 disengage
err_is "VM 100-9 (web) is engaged again already; dmp mode monitor keeps it off"
answers disengage 22
k "disengage: kernel without it" 1 disengage
err_is "this KVM does not take 'disengage' in $d/ctl (wrong version, or not in this state)"

machine "$d/status" engaged none
k "audit" 0 audit
no_err
out_is "VM 100-9 (web) is clean: 700 tables, 5 roots, 3.0 MiB (0.29% of guest memory)"
check "asked $asked" [ "$asked" = audit ]
machine "$d/status" engaged none
k "audit, JSON" 0 audit --json
is_json
py "d['schema'] == 'dmp-audit-1' and d['result'] == 'clean' and d['finding'] is None and d['machine']['audits'] == 6"
answers audit 61
k "audit: not engaged" 1 audit
no_out
err_is "VM 100-9 (web) is not engaged, so there is nothing to audit: dmp engage"
answers reset 61
k "reset in mode off" 1 reset
no_out
err_is "VM 100-9 (web) is in mode off, so nothing is counted: dmp mode monitor"
answers audit 61
k "audit: not engaged, JSON" 1 audit --json
py "d['result'] == 'not-engaged'"
answers audit 84 backed-off broken "detail audit" "$finding"
k "audit: violated" 1 audit
no_out
err_is "VM 100-9 (web) failed the audit and was disengaged: leaf differs from its translation: entry 17 of the level-1 table at guest frame 0x1234 (guest 0x1, machine 0x2): report it"
answers audit 84 backed-off broken "detail audit" "$finding"
k "audit: violated, JSON" 1 audit --json
is_json
py "d['result'] == 'violated' and d['finding']['what'] == 'leaf differs from its translation'"
answers audit 84 backed-off broken
k "audit: violated, not said how" 1 audit
err_is "VM 100-9 (web) failed the audit and was disengaged: the kernel does not say what (see dmesg): report it"
answers audit 22
k "audit: kernel without it" 1 audit
err_is "this KVM does not take 'audit' in $d/ctl (wrong version, or not in this state)"
chmod 400 "$d/ctl"
for verb in engage disengage audit; do
	as_nobody "$verb: not root" $verb
	[ $verb = engage ] || err_is "$d/ctl: permission denied: run dmp as root"
done
chmod 644 "$d/ctl"
for verb in engage disengage audit; do
	rm -f "$d/ctl"
	ln -s /dev/full "$d/ctl"
	t "$verb: write fails" 1 $verb
	err_is "$d/ctl: No space left on device"
	rm "$d/ctl"
	: >"$d/ctl"
	rm "$d/status"
	t "$verb: no status" 1 $verb
	err_is "$d/status: No such file or directory"
	cp "$w/status.good" "$d/status"
done
echo monitor >"$d/mode"
sed '1a tables few' "$w/status.good" >"$d/status"
t "audit: bad line" 1 audit
err_is "$d/status:2: bad format: value is not a number (line left out)"
cp "$w/status.good" "$d/status"
