# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For the hooks of guest-pristine: guest-physical memory as QEMU has it.
. "$LAB_TOP/tests/lab/lib.sh"
# shellcheck disable=SC2034 # the hooks'
dmp=$(vm_dir)/dmp
qemu=$(pidof qemu-system-x86_64)
qmp() { python3 "$LAB_TOP/tests/lab/qmp.py" /tmp/qmp "$@"; }

# Lines of the guest's /proc/iomem: "START BYTES" of text and of read-only data.
kernel_ranges() {
	local range
	sed -n 's/^ *\([0-9a-f]*-[0-9a-f]*\) : Kernel \(code\|rodata\)$/\1/p' "$RUN/files/iomem" |
		while read -r range; do
			echo $((0x${range%-*})) $((0x${range#*-} - 0x${range%-*} + 1))
		done
}

save() { # FILE START BYTES
	qmp '{"execute":"pmemsave","arguments":{"val":'"$2"',"size":'"$3"',"filename":"'"$1"'"}}' >/dev/null
}

# The kernel's text and read-only data to /tmp/NAME.
save_kernel() {
	local start bytes n=0
	: >"/tmp/$1"
	while read -r start bytes; do
		save /tmp/part "$start" "$bytes" || return
		cat /tmp/part >>"/tmp/$1"
		n=$((n + 1))
	done <<<"$(kernel_ranges)"
	check "$1: $(stat -c %s "/tmp/$1") bytes of kernel text and read-only data" \
		[ "$n" = 2 -a "$(stat -c %s "/tmp/$1")" -gt 8000000 ]
}

ram_bytes() { qmp query-memory-size-summary | python3 -c 'import json, sys
print(json.load(sys.stdin)["base-memory"])'; }
save_ram() { save "/tmp/$1" 0 "$(ram_bytes)"; } # NAME: all of it to /tmp/NAME

# How many bytes are not the same; a file that lacks is no equal of anything.
differences() {
	[ -s "$1" ] && [ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ] || { echo none-there; return; }
	cmp -l "$1" "$2" | tee /tmp/differences | wc -l
}

# One byte of guest memory, by QEMU's own mapping of it; VALUE as \xNN.
poke() { # GPA VALUE
	local at
	at=$(qmp '{"execute":"human-monitor-command","arguments":{"command-line":"gpa2hva '"$1"'"}}' |
		grep -o '0x[0-9a-f]*' | tail -n 1)
	printf '%b' "$2" | dd of="/proc/$qemu/mem" bs=1 seek=$((at)) conv=notrunc status=none
}
