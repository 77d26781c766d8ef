#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: steps.py STEPS SYMBOLS

STEPS: see debug.py. Fails unless each step led from an instruction of the guest's
to one that may follow it: the next, where it jumps to, or the #PF handler's.
"""
import re
import subprocess
import sys
import tempfile

SLOT = 64       # an instruction, and NOPs after which a disassembler is in step again
# Where these lead to is not in their bytes.
ANYWHERE = re.compile(r"ret|iret|sysret|syscall|int3?\b|(jmp|call) +\*|(jmp|call) .*\(")


def disassemble(codes):
    """[(length, text)] of the instruction that each begins with; addresses as if at 0."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"".join(code.ljust(SLOT, b"\x90") for code in codes))
        f.flush()
        text = subprocess.run(
            ["objdump", "-D", "-w", "-b", "binary", "-m", "i386:x86-64", f.name],
            check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    at = {int(m[1], 16): (len(m[2].split()), m[3])
          for m in re.finditer(r"^ *([0-9a-f]+):\t([0-9a-f ]+)\t(.*)$", text, re.M)}
    return [at[i * SLOT] for i in range(len(codes))]


def successors(rip, slot, length, text):
    """None: anywhere."""
    text = re.sub(r"^(bnd|notrack|repz|data16|cs|ds) +", "", text)
    after = rip + length
    if text.startswith("sti"):
        return set(range(after, after + 16))    # one more: no trap right behind
    if ANYWHERE.match(text):
        return None
    jump = re.match(r"(j\w+|call\w*|loop\w*)[ ,\w]* 0x([0-9a-f]+)", text)
    if not jump:
        return {after, rip} if text.startswith("rep") else {after}
    target = (rip + int(jump[2], 16) - slot) % (1 << 64)
    return {target} if jump[1][:3] in ("jmp", "cal") else {target, after}


def main(steps, symbols):
    with open(symbols, encoding="ascii") as f:
        handler = {int(w[0], 16) for w in map(str.split, f) if w[2] == "asm_exc_page_fault"}
    walks = open(steps, encoding="ascii").read().split("-\n")[:-1]
    rows = [[(int(rip, 16), bytes.fromhex(code)) for rip, code in map(str.split, w.splitlines())]
            for w in walks]
    insns = iter(enumerate(disassemble([code for walk in rows for _, code in walk])))
    total = wrong = 0
    for walk in rows:
        texts = [next(insns) for _ in walk]
        for (rip, _), (i, (length, text)), (to, _) in zip(walk, texts, walk[1:]):
            may = successors(rip, i * SLOT, length, text)
            total += 1
            if may is not None and to not in may | handler:
                wrong += 1
                print(f"from {rip:#x} ({text}) to {to:#x}")
    print(f"{total} steps in {len(rows)} walks, {wrong} wrong")
    sys.exit(wrong != 0 or total < 10 * len(rows) or not rows)


if len(sys.argv) != 3:
    sys.exit(__doc__.splitlines()[0])
main(*sys.argv[1:])
