# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154 # lab/run's variables
# Part of lab/run: machines that QEMU emulates.

emulator_check() {
	microvm=microvm,acpi=on
	# Without KVM a microvm's only clock is a TSC calibrated by counting PIT ticks,
	# which fails every other time when the emulator does not get its CPU at once.
	native_board=q35 native_bus=pci
	[ "$clock" = free ] || { native_board=$microvm,rtc=on; native_bus=device; }

	# QEMU with its double delivery of injected interrupts repaired (see qemu.py).
	qemu=${LAB_QEMU:-}
	if [ -z "$qemu" ]; then
		local stock
		stock=$(command -v qemu-system-x86_64)
		qemu=$BUILD/qemu/bin/qemu-system-x86_64
		if [ ! "$qemu" -nt "$stock" ] || [ ! "$qemu" -nt "$LAB/qemu.py" ]; then
			"$LAB/qemu.py" "$stock" "$BUILD/qemu" >/dev/null
		fi
	fi

	accel=(-accel "tcg,thread=multi")
	machine_smp=2
	if [ "$clock" = icount ]; then
		accel=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
		machine_smp=1
	fi
	machine_smp=${cpus:-$machine_smp}
	[ -z "$gdb" ] || accel+=(-gdb "tcp:127.0.0.1:$gdb")
}

emulator_native() {
	local devices
	rm -f "$run/ctl.in" "$run/ctl.out"
	mkfifo "$run/ctl.in" "$run/ctl.out"
	mapfile -t devices < <(guest_devices "$run/ctl" "$run/files.tar" "$native_bus" \
		"$guest_kernel/vmlinuz")
	command=("$qemu" "${accel[@]}" -machine "$native_board" -cpu "$cpu"
		"${devices[@]}" -initrd "$run/guest.img")
}

emulator_host() {
	vmm_script "$guest_kernel/vmlinuz"
	command=("$qemu" "${accel[@]}" -machine q35 -cpu "$cpu" -m "$machine_mib"
		-smp "$machine_smp" -nodefaults -no-user-config -display none -no-reboot -serial stdio
		-name "lab-$machine-$mode" -kernel "$KERNEL/vmlinuz"
		-initrd "$(base_image host "$KERNEL")"
		-append "console=ttyS0 quiet reboot=t panic=-1 tsc=reliable"
		-virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=$run,mount_tag=run,security_model=none,multidevs=remap")
}

# Where it is when it does not end.
emulator_watch() {
	[ ${#run} -lt 90 ] || return 0
	command+=(-monitor "unix:$run/monitor,server=on,wait=off")
	"$LAB/where.py" $((timeout - 10)) "$run/monitor" "$run/where" &
	watcher=$!
}
