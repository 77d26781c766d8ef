#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: places.py SITES

SITES: dmp/sites of a VM. Prints the address of each instruction that a splice
replaces or displaces.
"""
import re
import subprocess
import sys
import tempfile


def instructions(rip, code):
    with tempfile.NamedTemporaryFile() as f:
        f.write(code)
        f.flush()
        text = subprocess.run(
            ["objdump", "-D", "-w", "-b", "binary", "-m", "i386:x86-64",
             f"--adjust-vma={rip:#x}", f.name],
            check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    return [a for a in re.findall(r"^ *([0-9a-f]+):\t", text, re.M)]


if len(sys.argv) != 2:
    sys.exit(__doc__.splitlines()[0])
for line in open(sys.argv[1], encoding="ascii"):
    word = dict(w.split("=") for w in line.split())
    if word["state"] == "spliced":
        print("\n".join(instructions(int(word["rip"], 16), bytes.fromhex(word["bytes"]))))
