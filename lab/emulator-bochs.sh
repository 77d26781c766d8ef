# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154 # lab/run's variables
# Part of lab/run: machines that Bochs emulates. It has no way in but a disk
# (bochs/boot.S, disk.py) and no way out but a port (bochs/send.c, machine.py). Its
# clock always counts instructions, a nanosecond each, as QEMU's does with --icount.
BOCHS=$LAB/bochs
IPS=1000000000

# For kernels here: nothing to calibrate, no tests of ciphers (a third of a boot).
BOCHS_WORDS="cryptomgr.notests"
BOCHS_MACHINE_WORDS="$BOCHS_WORDS tsc_early_khz=$((IPS / 1000))"

emulator_check() {
	[ -z "$gdb" ] || fail "machine $machine: Bochs has no gdb stub"
	[ "${cpus:-1}" = 1 ] || fail "machine $machine has one CPU"
	[ -n "$(command -v bochs-bin)" ] || fail "no Bochs; run 'make setup'"
	LAB_CHANNEL=port
	guest_cmdline="$BOCHS_WORDS $guest_cmdline"
	send=$BUILD/lab/lab-send
	if [ ! "$send" -nt "$BOCHS/send.c" ]; then
		gcc -O2 -Wall -static -o "$send.$$" "$BOCHS/send.c"
		mv "$send.$$" "$send"
	fi
	[ "$modules" != none ] || puts+=("$send")
}

# vmlinux KERNELDIR: that kernel unpacked, as the emulated machine's loader and the
# guest's VMM take it: unpacking itself takes it a minute.
vmlinux() {
	local out=$BUILD/lab/vmlinux-${1##*/}
	(
		flock 9
		[ "$out" -nt "$1/vmlinuz" ] || {
			"$TOP/scripts/extract-vmlinux.sh" "$1/vmlinuz" "$out.tmp" &&
				"$BOCHS/trim.py" "$out.tmp" && mv "$out.tmp" "$out"
		}
	) 9>"$out.lock"
	echo "$out"
}

# start MIB KERNEL COMMANDLINE INITRAMFS...
start() {
	local mib=$1 com="mode=file, dev=console.pipe"
	rm -f "$run"/{console.pipe,disk.img.lock}
	mkfifo "$run/console.pipe"
	if [ "$interactive" = 1 ]; then
		com="mode=term, dev=$(tty)" || fail "a shell needs a terminal"
		rm "$run/console.pipe"
	fi
	"$BOCHS/disk.py" "$run/boot.rom" "$run/disk.img" "$@"
	echo c >"$run/bochs.commands"
	cat >"$run/bochsrc" <<-END
	cpu: model=$cpu, count=1, ips=$IPS, reset_on_triple_fault=0, ignore_bad_msrs=1
	clock: sync=none
	memory: guest=$mib, host=$mib
	romimage: file=/usr/share/bochs/BIOS-bochs-latest
	vgaromimage: file=/usr/share/vgabios/vgabios.bin
	vga: extension=none, update_freq=1
	optromimage1: file=boot.rom, address=0xd0000
	display_library: rfb, options="timeout=0"
	ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
	ata0-master: type=disk, path=disk.img, mode=flat
	boot: disk
	com1: enabled=1, $com
	port_e9_hack: enabled=1
	log: bochs.log
	panic: action=fatal
	# KVM reads an MSR at each exit that this CPU does not have.
	error: action=report, cpu0=ignore
	info: action=ignore
	debug: action=ignore
	END
	command=("$BOCHS/machine.py" "$run")
}

emulator_native() {
	rm -f "$run/ctl.in" "$run/ctl.out"
	mkfifo "$run/ctl.in" "$run/ctl.out"
	start "$guest_mib" "$(vmlinux "$guest_kernel")" "$guest_cmdline $BOCHS_MACHINE_WORDS" \
		"$run/guest.img"
}

# What the job brings to the host's root: the run's directory, and what scripts
# and hooks use of this repository, at its path here.
host_job() {
	local root=$run/root file
	rm -rf "$root"
	mkdir -p "$root/run/lab" "$root$TOP"/{bench,tests}
	cp "$run"/{job.env,qemu.sh,guest.img} "$root/run/lab/"
	cp -a "$run/hooks" "$root/run/lab/"
	cp "$(vmlinux "$guest_kernel")" "$root/run/lab/vmlinux"
	cp -a "$TOP/lab" "$root$TOP/"
	cp -a "$TOP/tests/lab" "$root$TOP/tests/"
	cp "$TOP"/bench/hook-* "$root$TOP/bench/"
	while read -r file _; do
		cp --parents "$file" "$root/"
	done < <(kos)
	if [ -x "$BUILD/tools/dmp" ]; then
		cp --parents "$BUILD/tools/dmp" "$root/"
		ldd "$BUILD/tools/dmp" | grep -o '/[^ ]*' | while read -r file; do
			cp -L --parents "$file" "$root/"
		done
	fi
	(cd "$root" && find . -mindepth 1 | cpio --quiet -o -H newc -R 0:0) >"$run/job.img"
	rm -rf "$root"
}

emulator_host() {
	local base=$BUILD/lab/bochs-root.cpio
	(
		flock 9
		for d in "$BOCHS/host-init" "$BOCHS/root.sh" "$send" \
			/usr/bin/python3 /usr/bin/qemu-system-x86_64; do
			[ "$base" -nt "$d" ] || { "$BOCHS/root.sh" "$base" "$send"; break; }
		done
	) 9>"$base.lock"
	vmm_script /run/lab/vmlinux
	host_job
	start "$machine_mib" "$(vmlinux "$KERNEL")" \
		"console=ttyS0 quiet reboot=t panic=-1 tsc=reliable mitigations=off $BOCHS_MACHINE_WORDS" \
		"$base" "$run/job.img"
	rm "$run/job.img"
}

emulator_watch() { :; }
