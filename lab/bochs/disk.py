#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: disk.py ROM DISK MIB KERNEL COMMANDLINE INITRAMFS...

Builds the option ROM (boot.S) and the disk that it boots a machine with MIB of
memory from: KERNEL (an ELF image), entered as a PVH guest with COMMANDLINE and
the INITRAMFS files, one behind the other.
"""
import os
import struct
import subprocess
import sys
import tempfile

ROM_BASE, ROM_SIZE = 0xd0000, 1024	# lab/emulator-bochs.sh says the first, too
SECTOR = 512
START_INFO = 0x8000			# one page of structs, then the command line
START_INFO_MAGIC = 0x336ec578
RAM, RESERVED, ACPI = 1, 2, 3		# E820 types
PT_LOAD, PT_NOTE = 1, 4
PHYS32_ENTRY = 18			# note of Xen's: where PVH enters


def build_rom(path):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.S")
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(["gcc", "-m32", "-c", f"-DROM_BASE={ROM_BASE}", f"-DROM_SIZE={ROM_SIZE}",
                        "-o", f"{tmp}/boot.o", source], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", f"{tmp}/boot.o",
                        f"{tmp}/boot"], check=True)
        with open(f"{tmp}/boot", "rb") as f:
            rom = f.read()
    if len(rom) != ROM_SIZE - 1:
        sys.exit(f"disk.py: the ROM has {len(rom)} bytes")
    with open(path, "wb") as f:
        f.write(rom + bytes([-sum(rom) & 0xff]))


def read_kernel(path):
    """Its segments as (address, bytes), and its entry."""
    with open(path, "rb") as f:
        elf = f.read()
    offset, = struct.unpack_from("<Q", elf, 32)
    number, = struct.unpack_from("<H", elf, 56)
    segments, entry = [], None
    for i in range(number):
        kind, _, start, _, address, size = struct.unpack_from("<IIQQQQ", elf, offset + 56 * i)
        data = elf[start:start + size]
        if kind == PT_LOAD:
            segments.append((address, data.rstrip(b"\0")))	# memory is zero
        elif kind == PT_NOTE:
            entry = entry or find_entry(data)
    if entry is None:
        sys.exit(f"disk.py: {path} has no PVH entry")
    return segments, entry


def find_entry(notes):
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12:at + 12 + name_size]
        at += 12 + (name_size + 3 & ~3)
        if kind == PHYS32_ENTRY and name == b"Xen\0":
            return struct.unpack_from("<I", notes, at)[0]
        at += size + 3 & ~3
    return None


def start_info(mib, cmdline, initramfs, size):
    """hvm_start_info, its one module, its memory map, and the command line."""
    end = mib << 20
    memory = [(0, 0x9fc00, RAM), (0x9fc00, 0x100000, RESERVED),
              (0x100000, end - 0x10000, RAM),
              (end - 0x10000, end, ACPI)]	# where Bochs' BIOS puts its tables
    page = bytearray(0x1000)
    struct.pack_into("<IIIIQQQQII", page, 0, START_INFO_MAGIC, 1, 0, 1, START_INFO + 0x100,
                     START_INFO + 0x1000, 0, START_INFO + 0x200, len(memory), 0)
    struct.pack_into("<QQQQ", page, 0x100, initramfs, size, 0, 0)
    for i, (start, stop, kind) in enumerate(memory):
        struct.pack_into("<QQII", page, 0x200 + 24 * i, start, stop - start, kind, 0)
    return bytes(page) + cmdline.encode() + b"\0"


def write_disk(path, pieces, entry):
    table, sector = b"", 1
    for address, data in pieces:
        sectors = (len(data) + SECTOR - 1) // SECTOR
        table += struct.pack("<III", sector, sectors, address)
        sector += sectors
    table += struct.pack("<III", 0, 0, entry)
    if len(table) > SECTOR:
        sys.exit(f"disk.py: {len(pieces)} pieces are too many")
    with open(path, "wb") as f:
        f.write(table.ljust(SECTOR, b"\0"))
        for _, data in pieces:
            f.write(data)
            f.seek(-len(data) % SECTOR, os.SEEK_CUR)
        # Bochs derives the geometry from the size: 16 heads, 63 sectors.
        f.truncate((sector + 1007) // 1008 * 1008 * SECTOR)


def main():
    if len(sys.argv) < 7:
        sys.exit(__doc__)
    rom, disk, mib, kernel, cmdline, *parts = sys.argv[1:]
    segments, entry = read_kernel(kernel)
    initramfs = b""
    for part in parts:
        with open(part, "rb") as f:
            initramfs += f.read()
    at = (int(mib) << 20) - 0x20000 - len(initramfs) & ~0xfff
    if at < (64 << 20):
        sys.exit(f"disk.py: {mib} MiB are too few for {len(initramfs)} bytes of initramfs")
    build_rom(rom)
    write_disk(disk, [(START_INFO, start_info(int(mib), cmdline, at, len(initramfs))),
                      *segments, (at, initramfs)], entry)


main()
