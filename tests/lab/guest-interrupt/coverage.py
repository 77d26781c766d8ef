#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: coverage.py CODE HIST [--list] [--sample]

CODE: dmp/code of a VM; HIST: a histogram of the tracepoint kvm_dmp_leave by rip,
kind and step. Says at which instructions of the implant a vCPU was found, and
where it was not. A path through a stub or the filter that was never taken has no
place that was hit. Of one that was taken all have to be: behind each place that
was hit comes another that was, up to the way out. Exits with 1 where not; with
--sample only where a way out was not used or no instruction is.
"""
import re
import subprocess
import sys
import tempfile

GAP = 32    # bytes between two pieces of code
KINDS = ["outside", "home", "fault asked", "fault begun", "unwind"]
PHASES = ["restart", "finish", "done"]
LANDING = set(bytes.fromhex("cc06070e16171e1f272f37ce"))
FILTER = ["fault", "follow", "count", "resolved", "nowhere"]
# What each way out has to have been used for.
WAYS = {"home: restart", "home: finish", "home: done", "fault begun",
        "unwind: follow", "unwind: count", "unwind: resolved"}


class Place:
    def __init__(self, offset, text):
        self.offset, self.text = offset, text
        self.hits = 0
        self.next = []      # offsets of what may come next
        self.ends = False   # or it leaves this piece of code


def way_of(kind, step):
    if KINDS[kind] == "home":
        return f"home: {PHASES[step]}"
    if KINDS[kind] == "unwind":
        return f"unwind: {FILTER[step]}"
    return KINDS[kind]


def read_hist(path):
    hits, ways = {}, {}
    row = re.compile(r"rip:\s*([0-9a-f]+), kind:\s*(\d+), step:\s*(\d+) \} hitcount:\s*(\d+)")
    for rip, kind, step, n in row.findall(open(path, encoding="ascii").read()):
        hits[int(rip, 16)] = hits.get(int(rip, 16), 0) + int(n)
        way = way_of(int(kind), int(step))
        ways[way] = ways.get(way, 0) + int(n)
    return hits, ways


def read_code(path):
    pieces = []
    for line in open(path, encoding="ascii"):
        word = dict(w.split("=") for w in line.split())
        gva, rip, code = int(word["gva"], 16), int(word["rip"], 16), bytes.fromhex(word["bytes"])
        last = pieces[-1] if pieces else None
        if last and gva == rip and last[0] == last[1] and gva == last[0] + len(last[2]):
            # The agent's pages are one piece: instructions lie across.
            pieces[-1] = (last[0], last[1], last[2] + code)
        else:
            pieces.append((gva, rip, code))
    return pieces


def disassemble(pieces):
    """For each piece a dict of Places by offset; objdump is started once."""
    with tempfile.NamedTemporaryFile() as f:
        starts = []
        for _, _, code in pieces:
            starts.append(f.tell())
            f.write(code + b"\xcc" * GAP)
        f.flush()
        text = subprocess.run(
            ["objdump", "-D", "-w", "-b", "binary", "-m", "i386:x86-64", f.name],
            check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    rows = [(int(a, 16), t.strip()) for a, t in
            re.findall(r"^ *([0-9a-f]+):\t[0-9a-f ]+\t(.*)$", text, re.M)]
    return [{at - start: Place(at - start, t) for at, t in rows
             if start <= at < start + len(code)}
            for start, (_, _, code) in zip(starts, pieces)], starts


def link(places, start):
    """Fills in where each goes on."""
    order = sorted(places)
    for offset, behind in zip(order, order[1:] + [None]):
        place = places[offset]
        name = place.text.split()[0]
        jump = re.match(r"(j\w+)\s+0x([0-9a-f]+)", place.text)
        if jump:
            to = int(jump.group(2), 16) - start
            if to in places:
                place.next.append(to)
            else:
                place.ends = True
        elif name == "jmp":
            place.ends = True
        # The VMM goes on elsewhere.
        if name in ("ret", "iretq", "vmmcall", "ud2", "int3"):
            place.ends = True
        elif name != "jmp":
            if behind is None:
                place.ends = True
            else:
                place.next.append(behind)


def is_open(places, place):
    """It was hit, and nothing that comes next was."""
    return place.hits and not place.ends and not any(places[o].hits for o in place.next)


def never(places):
    """Paths never taken: where each begins, by the branch that leads there."""
    seen = []
    for place in places.values():
        if place.hits:
            seen += [(place, places[o]) for o in place.next if not places[o].hits]
    return seen


def is_landing(at, rip):
    """Whether a splice at RIP may lead to AT: each byte of rel32 faults (engine/code/splice.c)."""
    return set(((at - rip - 5) & 0xffffffff).to_bytes(4, "little")) <= LANDING


def main(code, hist, listing, sample):
    hits, ways = read_hist(hist)
    pieces = read_code(code)
    every, starts = disassemble(pieces)
    bad = total = found = known = 0
    agent = False       # what follows the filter is the agent
    for (gva, rip, _), places, start in zip(pieces, every, starts):
        link(places, start)
        for offset, place in places.items():
            place.hits = hits.get(gva + offset, 0)
            known += place.hits
        n = sum(1 for p in places.values() if p.hits)
        total, found = total + len(places), found + n
        what = f"stub of {rip:#x}" if gva != rip else "agent" if agent else "filter"
        agent |= gva == rip
        missed = [p for p in places.values() if is_open(places, p)]
        print(f"{what}: {n} of {len(places)} instructions,"
              f" {sum(p.hits for p in places.values())} interrupts"
              + ("" if n else "; never entered"))
        for branch, to in never(places):
            if branch not in missed:
                print(f"  never taken from +{branch.offset:#x} {branch.text.split()[0]}:"
                      f" +{to.offset:#x} {to.text}")
        for place in missed:
            print(f"  OPEN: +{place.offset:#x} {place.text} was hit ({place.hits}), and not what follows")
        bad += len(missed)
        if listing:
            for place in places.values():
                print(f"    {place.hits:6} +{place.offset:#x} {place.text}")
    # The handler's entry itself, before the jump there.
    at_site = sum(hits.get(rip, 0) for gva, rip, _ in pieces if gva != rip)
    # And the jumps that splices lead to.
    at_landing = sum(n for at, n in hits.items()
                     if any(is_landing(at, rip) for gva, rip, _ in pieces if gva != rip))
    strays = sum(hits.values()) - known - at_site - at_landing
    for way in sorted(WAYS | set(ways)):
        print(f"way out: {way}: {ways.get(way, 0)}")
    print(f"interrupted: {found} of {total} instructions, {sum(hits.values())} times;"
          f" {bad} open, {strays} at no instruction, {len(WAYS - set(ways))} ways unused")
    return bool((bad and not sample) or strays or WAYS - set(ways))


if len(sys.argv) < 3:
    sys.exit(__doc__.splitlines()[0])
sys.exit(main(sys.argv[1], sys.argv[2], "--list" in sys.argv, "--sample" in sys.argv))
