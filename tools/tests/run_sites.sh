# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034 # names are run.sh's
# The part of run.sh about replaced instructions.

echo "== status with replaced instructions"
spliced=("spliced 1" "handler 0xffffffff9d200be0" "implant 0xffffffff81601000"
	"stubs 3" "undone 1" "finished 30" "filter_lazy_a 52" "stub_misses 808"
	"guarded 0" "user_fault_exits 6")
on() { # as machine, in mode on
	machine "$@"
	sed -i 's/^mode .*/mode on/' "$1"
}
on "$d/status" engaged none "${spliced[@]}"
t "spliced" 0 status
no_err
row '^  replaced instructions$'
row '^    spliced +yes$'
row '^    handler +0xffffffff9d200be0$'
row '^    implant +0xffffffff81601000$'
row '^    stubs +3 made, 1 undone$'
row '^    without exit +52 accessed bits set by the filter$'
row '^    with exit +30 entries finished by the VMM, 6 page faults of user mode$'
row '^    passed by +808 writes'
hasnt "stub_misses"
hasnt "filter_lazy_a"
hasnt "user_fault_exits"
hasnt "guarded"
hasnt "LIDT"
t "spliced, JSON" 0 status --json
is_json
py "d['vms'][0]['machine']['splice'] == {'spliced': True, 'refusal': None, 'why': None, 'advice': None, 'handler': '0xffffffff9d200be0', 'implant': '0xffffffff81601000', 'stubs': 3, 'undone': 1, 'finished': 30, 'filter_lazy_a': 52, 'stub_misses': 808, 'user_fault_exits': 6, 'guarded': False, 'lidt': None}"
py "d['vms'][0]['status']['spliced'] == 1"
cp "$w/status.good" "$d/status"
on "$d/status" engaged none "${spliced[@]/guarded 0/guarded 1}" "lidt instructions=4 pages=5587 doubtful=1"
t "on VT-x of 2008" 0 status
no_err
row "^    guarded +user mode's page tables show nothing of the host's"
row '^    LIDT +does not exit on this CPU: 4 trapped, 5587 pages of kernel code looked through, 1 places in doubt$'
hasnt "doubtful"
t "on VT-x of 2008, JSON" 0 status --json
py "d['vms'][0]['machine']['splice']['guarded'] is True"
py "d['vms'][0]['machine']['splice']['lidt'] == {'instructions': 4, 'pages': 5587, 'doubtful': 1}"
not_spliced() { # refusal, the line's end
	cp "$w/status.good" "$d/status"
	on "$d/status" engaged none "spliced 0" "splice_refusal $1"
	t "not spliced: $1" 0 status
	row "^    spliced +no: $2\$"
	hasnt "made"
	t "not spliced: $1, JSON" 0 status --json
	py "not d['vms'][0]['machine']['splice']['spliced'] and d['vms'][0]['machine']['splice']['refusal'] == '$1'"
}
not_spliced not-trusted "the guest's kernel is not trusted with the host's memory \(not-trusted\): if it may be, kvm.dmp_trust=1 and dmp disengage, dmp engage"
not_spliced maker-not-privileged "the process that started the VM may not reach the host's memory \(CAP_SYS_RAWIO\) \(maker-not-privileged\): start the VM with that capability, if its kernel may be trusted"
not_spliced host-locked-down "the host is locked down, so nobody may reach its memory \(host-locked-down\)"
not_spliced page-fault-handler "the guest's page-fault handler cannot be spliced \(page-fault-handler\)"
not_spliced of-a-later-version "of-a-later-version"
# Every refusal of the engine has its words.
refusals=$(sed -n 's/.*\[DMP_START_[A-Z_]*\].*"\(.*\)",/\1/p' "$here/../../engine/splicer/splicer.c")
for refusal in $refusals; do
	[ "$refusal" != none ] || continue
	cp "$w/status.good" "$d/status"
	on "$d/status" engaged none "spliced 0" "splice_refusal $refusal"
	t "words for $refusal" 0 status --json
	py "d['vms'][0]['machine']['splice']['why']"
done
check "no refusals found" [ -n "$refusals" ]
cp "$w/status.good" "$d/status"
on "$d/status" watching none "spliced 0"
t "not engaged" 0 status
row '^    spliced +no: not engaged$'
cp "$w/status.good" "$d/status"
machine "$d/status" engaged none "spliced 0"
t "mode engaged" 0 status
hasnt "replaced instructions"
cp "$w/status.good" "$d/status"

echo "== sites"
t "no such file" 0 sites
no_err
out_is "VM 100-9: 0 instructions replaced, 0 not"
t "no such file, JSON" 0 sites --json
is_json
py "d == {'schema': 'dmp-sites-1', 'vm': {'id': '100-9', 'pid': 100, 'name': 'web'}, 'slide': None, 'spliced': 0, 'sites': []}"
fake sites "$d/sites"
t "text" 0 sites
no_err
row '^SITE +TACTIC +FORM +BEFORE +SINCE +CALLS +UNDOS +ADDRESS +INSTRUCTION$'
row '^spliced +jmp\+displaced +mov-store +8 +2 +30 +1 +0xffffffff9d234567 mov \[rdi\], rax$'
row '^ +0xffffffff9d23456a \+ ret$'
row '^ +0xffffffff9d23456b \+ int3$'
row '^spliced +jmp +xchg +8 +0 +0 +0 +0xffffffff9d234610 xchg '
row '^spliced +prologue +other +0 .* 0xffffffff9d200be0 clac$'
row '^refused: repeated +- +stos +9 +0 +0 +0 +0xffffffff9d300050 rep stosq'
row '^counting +- +- +3 +0 +0 +0 +0xffffffff9d300090 -$'
has "VM 100-9: 3 instructions replaced, 2 not"
check "the one with most traps is not first" grep -q mov-store <(sed -n 2p "$w/out")
t "symbols" 0 sites --symbols "$here/fake.map" --syntax att
row '0xffffffff9d234567 native_set_pte\+0x27 +movq? %rax, \(%rdi\)$'
row '0xffffffff9d23456a native_set_pte\+0x2a +\+ ret'
t "JSON" 0 sites --json --symbols "$here/fake.map"
no_err
is_json
py "d['spliced'] == 3 and d['slide'] == '0x1c000000' and len(d['sites']) == 5"
py "d['sites'][0] == {'rip': '0xffffffff9d234567', 'symbol': 'native_set_pte', 'offset': 0x27, 'module': None, 'state': 'spliced', 'tactic': 'jmp+displaced', 'form': 'mov-store', 'before': 8, 'since': 2, 'calls': 30, 'undos': 1, 'refusal': None, 'bytes': '488907c3cc', 'insns': ['mov [rdi], rax', 'ret', 'int3'], 'stub': '0xffffffff8573f000', 'stub_bytes': 640}"
py "d['sites'][3]['refusal'] == 'repeated' and d['sites'][3]['tactic'] is None and d['sites'][3]['stub'] is None"
py "d['sites'][4]['bytes'] is None and d['sites'][4]['form'] is None and d['sites'][4]['insns'] == []"
t "symbols of another guest" 0 sites --symbols "$here/fake.map"
sed -i 's/^lstar .*/lstar 0xffffffff9d201080/' "$d/status"
t "symbols of another guest" 0 sites --symbols "$here/fake.map"
check "no warning" grep -q 'is not of this guest' "$w/err"
hasnt "SYMBOL"
cp "$w/status.good" "$d/status"

t "hot" 0 hot
no_err
row '^1 +800 +80\.0% spliced +jmp\+displaced +mov-store +8 +2 +0 PF excp table +0xffffffff9d234567 mov \[rdi\], rax$'
row '^3 +50\+ +5\.0% refused: repeated +- +stos +9 +0 +0 msr X2APIC_EOI'
row '^4 +30\+ +3\.0% +3 PF excp guest +0x401234 '
t "hot, JSON" 0 hot --json
is_json
py "d['records'][0]['site'] == {'state': 'spliced', 'tactic': 'jmp+displaced', 'form': 'mov-store', 'before': 8, 'since': 2, 'calls': 30, 'undos': 1, 'refusal': None}"
py "d['records'][2]['site']['refusal'] == 'repeated' and d['records'][1]['site'] is None"
: >"$d/sites"
t "hot, no sites" 0 hot
hasnt "TACTIC"

bad_sites() { # name, line, reason
	fake sites "$d/sites"
	sed -i "1a $2" "$d/sites"
	for verb in sites hot; do
		t "$1, $verb" 1 $verb
		err_is "$d/sites:2: bad format: $3 (line left out)"
		has "mov-store"
	done
	t "$1, JSON" 1 sites --json
	is_json
}
bad_sites "no rip" "state=spliced" "no rip="
bad_sites "no number" "rip=1 traps=x" "bad value in 'traps=x'"
bad_sites "long word" "rip=1 state=0123456789abcdef" "bad value in 'state=0123456789abcdef'"
bad_sites "empty word" "rip=1 form=" "bad value in 'form='"
bad_sites "odd bytes" "rip=1 bytes=123" "bad value in 'bytes=123'"
bad_sites "no hex" "rip=1 bytes=1g" "bad value in 'bytes=1g'"
bad_sites "many bytes" "rip=1 bytes=$(printf '90%.0s' {1..20})$(printf '90%.0s' {1..20})" "bad value in 'bytes=$(printf '90%.0s' {1..27})'"
bad_sites "no pair" "rip=1 what" "'what' is not key=value"
printf 'rip=1 state=counting\nrip=2' >"$d/sites"
t "cut off" 1 sites
err_is "$d/sites:2: bad format: line is cut off (no newline) (line left out)"
fake sites "$d/sites"
chmod 000 "$d/sites"
as_nobody "unreadable" sites
err_is "$d/sites: permission denied: run dmp as root"
chmod 644 "$d/sites"

echo "== undo"
undoes() { # word, errno
	answers "$1" "$2"
	[ "$2" != 0 ] || fake sites "$d/ctl.$1.sites"
}
undoes "undo 0xffffffff9d234567" 0
sed -i '/9d234567/s/state=spliced tactic=jmp.displaced/state=refused tactic=none/' \
	"$d/ctl.undo 0xffffffff9d234567.sites"
k "undo" 0 undo --site 0xffffffff9d234567
no_err
out_is "VM 100-9 (web): undone; 1 replaced instructions left"
check "asked $asked" [ "$asked" = "undo 0xffffffff9d234567" ]
fake sites "$d/sites"
undoes "undo all" 0
sed -i '/prologue/!s/state=spliced/state=refused/' "$d/ctl.undo all.sites"
k "undo all, JSON" 0 undo --site all --json
is_json
py "d == {'schema': 'dmp-undo-1', 'vm': {'id': '100-9', 'pid': 100, 'name': 'web'}, 'undone': ['0xffffffff9d234567', '0xffffffff9d234610'], 'spliced': 0}"
check "asked $asked" [ "$asked" = "undo all" ]
fake sites "$d/sites"
undoes "undo 0x5" 2
k "undo: no such site" 1 undo --site 5
no_out
err_is "VM 100-9 (web) has no replaced instruction at 0x5: dmp sites lists them"
undoes "undo all" 2
k "undo all: none" 1 undo --site all
err_is "VM 100-9 (web) has no replaced instructions now"
undoes "undo all" 61
k "undo: not spliced" 1 undo --site all --json
no_out
err_is "VM 100-9 (web) has no replaced instructions: dmp status says why"
undoes "undo 0xffffffff9d200be0" 16
k "undo: the handler" 1 undo --site 0xffffffff9d200be0
err_is "0xffffffff9d200be0 is the guest's page-fault handler, which is spliced as long as anything is: dmp disengage"
undoes "undo 0x5" 22
k "undo: kernel without it" 1 undo --site 5
err_is "this KVM does not take 'undo 0x5' in $d/ctl (wrong version, or not in this state)"
on "$d/status" engaged none "${spliced[@]}"
k "engaged already, in mode on" 0 engage
has "is engaged already"
answers engage 0 engaged none
cp "$w/status.good" "$d/status"
on "$d/status" watching none
echo on >"$d/mode"
k "engage in mode on" 0 engage
check "mode written" [ "$(cat "$d/mode")" = on ]
answers disengage 0 backed-off request "retry_ms 59800"
sed -i 's/^mode .*/mode on/' "$d/ctl.disengage.status"
on "$d/status" engaged none
k "disengage in mode on" 0 disengage
has "mode on stays, so in 60 s"
echo monitor >"$d/mode"
rm "$d/sites"
cp "$w/status.good" "$d/status"
