#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Make a copy of QEMU that delivers each interrupt once, those injected with VMRUN too.

usage: qemu.py QEMU DIR

QEMU: the program to start from (/usr/bin/qemu-system-x86_64). DIR/bin gets the
repaired copy, DIR/lib and DIR/share lead it to the original's modules and
firmware, which QEMU looks for relative to itself.

Two defects, both in helper_vmrun() (target/i386/tcg/sysemu/svm_helper.c, seen in
7.2 and in later sources); CONTRIBUTING.md has what they did.

Delivered twice: it puts the vector of an injected external interrupt into
CPUState.exception_index, delivers it on the spot, and leaves the field set. The
field means "deliver this when the CPU loop next looks"; when the loop looks before
the guest's next exit or exception (an expired timer or another CPU's request in the
first instructions of the guest's handler), the handler is entered a second time, with
interrupts disabled. A Linux guest then waits for a lock it holds, for ever.
The repair: the one store of the vector, replaced by a no-op. Nothing else reads
the field on that path but the log.

Lost: where VMRUN finds V_IRQ set it sets a bit of CPUState.interrupt_request with a
plain read-modify-write of the word, and without the lock under which the main thread
sets other bits there. What the main thread sets in between, for a timer's interrupt, is
lost: the interrupt stays pending in the APIC until something else makes the CPU look,
which without other devices at work took 26 to 47 s, and no tick comes meanwhile.
The repair: the bit is set in its byte alone, by a locked instruction. (Should the main
thread's write then undo it: it has made the CPU leave the guest, and the next VMRUN
sets it again.)
"""
import contextlib
import os
import re
import struct
import sys

MARK = b"Injecting(%#hx): \0"      # only helper_vmrun() writes this to the log
SPAN = 0x3000                       # more than helper_vmrun()'s size, either side
INT_CLEAR = rb"\xc7[\x80-\x87].{4}\0\0\0\0"                 # exception_is_int = 0
NEXT_NONE = rb"[\x48\x49]\xc7[\x80-\x87].{4}\xff\xff\xff\xff"   # exception_next_eip = -1
HARDIRQ = rb"\xba\x01\0\0\0.{0,8}?\xe8"                     # call(env, vector, is_hw = 1)
OR_VIRQ = rb"(\x41?)\x81([\x88-\x8f])(.{4})\x00\x01\x00\x00"       # orl $0x100, field
AND_VIRQ = rb"\x41?\x81[\xa0-\xa7](.{4})\xff\xfe\xff\xff"     # andl $~0x100, field
LOCK_OR_BYTE = b"\xf0%b\x80%b%b\x01\x66\x90"                  # lock orb $1, its second byte; nop
NOP = {6: b"\x66\x0f\x1f\x44\x00\x00", 7: b"\x0f\x1f\x80\x00\x00\x00\x00"}


class Unknown(Exception):
    """The program is not as expected."""


def sections(elf):
    """Name -> (address, file offset, size) of the sections of ELF-64 ELF."""
    if elf[:5] != b"\x7fELF\x02":
        raise Unknown("not a 64-bit ELF program")
    (start,) = struct.unpack_from("<Q", elf, 40)
    each, number, names = struct.unpack_from("<HHH", elf, 58)
    rows = [struct.unpack_from("<IIQQQQ", elf, start + each * i) for i in range(number)]
    strings = rows[names][4]
    return {elf[strings + r[0]:elf.index(b"\0", strings + r[0])].decode(): r[3:6] for r in rows}


def only(found, what):
    """The one element of FOUND."""
    found = list(found)
    if len(found) != 1:
        raise Unknown(f"{what}: {len(found)} places, expected one")
    return found[0]


def helper_vmrun(elf):
    """File offset of code that has helper_vmrun() in it, the code, and where in that
    the function prepares its line for the log.
    """
    where = sections(elf)
    code_va, code_at, code_size = where[".text"]
    mark = only((m.start() for m in re.finditer(re.escape(MARK), elf)), "the log's text")
    for name in (".rodata", ".text"):
        va, at, size = where[name]
        if at <= mark < at + size:
            mark += va - at
            break
    else:
        raise Unknown("the log's text is in no known section")
    code = elf[code_at:code_at + code_size]
    use = only((m.start() for m in re.finditer(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]",
                                               code)
                if code_va + m.start() + 7 + struct.unpack_from("<i", code, m.start() + 3)[0]
                == mark), "the log's text used")
    low = max(0, use - SPAN)
    return code_at + low, code[low:use + SPAN], use - low


def store_of_vector(body):
    """Offset of the instruction that must go, and what replaces it."""
    # The field's offset: one that also gets a constant 2, in the case of an NMI.
    fields = {m.group(1) for m in re.finditer(rb"\xc7[\x80-\x87](.{4})\x02\0\0\0", body, re.S)}
    case = only(re.finditer(INT_CLEAR + NEXT_NONE + rb".{0,24}?" + HARDIRQ, body, re.S),
                "the case of an interrupt").start()
    store = only((m for m in re.finditer(rb"[\x41\x44\x45]?\x89[\x80-\xbf](.{4})",
                                         body[case - 16:case], re.S) if m.group(1) in fields),
                 "the store of the vector")
    return case - 16 + store.start(), NOP[len(store.group(0))]


def set_of_virq(body, use):
    """Offset of the instruction that must be atomic, and what replaces it."""
    # vmexit, which comes a little later, clears the bit.
    fields = {m.group(1) for m in re.finditer(AND_VIRQ, body, re.S)}
    bit = only((m for m in re.finditer(OR_VIRQ, body[:use], re.S) if m.group(3) in fields),
               "V_IRQ taken over")
    rex, modrm, field = bit.groups()
    (field,) = struct.unpack("<i", field)
    return bit.start(), LOCK_OR_BYTE % (rex, modrm, struct.pack("<i", field + 1))


def main():
    """Make the copy."""
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    source, to = sys.argv[1:]
    try:
        with open(source, "rb") as f:
            elf = bytearray(f.read())
        at, body, use = helper_vmrun(bytes(elf))
        repairs = [store_of_vector(body), set_of_virq(body, use)]
    except (OSError, Unknown, KeyError, IndexError, struct.error) as error:
        sys.exit(f"qemu.py: {source}: {error}. This version cannot be repaired by this script: "
                 f"set LAB_QEMU to a QEMU to use as it is; runs on it may hang (see {__file__}).")
    for start, code in repairs:
        elf[at + start:at + start + len(code)] = code
    os.makedirs(f"{to}/bin", exist_ok=True)
    root = os.path.dirname(os.path.dirname(os.path.realpath(source)))
    for name in ("lib", "share"):
        with contextlib.suppress(FileExistsError):
            os.symlink(f"{root}/{name}", f"{to}/{name}")
    copy = f"{to}/bin/{os.path.basename(source)}"
    new = f"{copy}.{os.getpid()}"
    with open(new, "wb") as f:
        f.write(elf)
    os.chmod(new, 0o755)
    os.rename(new, copy)
    for start, code in repairs:
        print(f"qemu.py: {copy}: {code.hex(' ')} at file offset {at + start:#x}")


main()
