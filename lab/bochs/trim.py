#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: trim.py VMLINUX

Cuts from an ELF kernel what loading it does not need: the sections' table, what
stands behind the last segment, and the zeros at each segment's end, which memory
has anyway (Debian's kernel has its .bss in the file, 25 MiB).
"""
import struct
import sys

with open(sys.argv[1], "rb") as f:
    elf = bytearray(f.read())
offset, = struct.unpack_from("<Q", elf, 32)
number, = struct.unpack_from("<H", elf, 56)
end = 0
for i in range(number):
    at = offset + 56 * i
    start, = struct.unpack_from("<Q", elf, at + 8)
    size, = struct.unpack_from("<Q", elf, at + 32)
    size = len(elf[start:start + size].rstrip(b"\0"))
    struct.pack_into("<Q", elf, at + 32, size)
    end = max(end, start + size)
struct.pack_into("<Q", elf, 40, 0)		# e_shoff, and number and names below
struct.pack_into("<HHH", elf, 58, 0, 0, 0)
with open(sys.argv[1], "wb") as f:
    f.write(elf[:end])
