#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: where.py SECONDS SOCKET FILE

After SECONDS asks the monitor of an emulated machine's QEMU, at SOCKET, where its
CPUs are, three times, and what is on their stacks, and writes that to FILE.
lab/run ends it before, if the machine has ended; otherwise it is shortly before
the time limit. Lines "STACK ..." have what looks like a kernel's text addresses
on a CPU's stack, innermost first.
"""
import re
import socket
import sys
import time

seconds, path, out = float(sys.argv[1]), sys.argv[2], sys.argv[3]
STATE = ["info status", "info registers -a", "info lapic"]
time.sleep(seconds)
with socket.socket(socket.AF_UNIX) as s, open(out, "w", encoding="utf-8") as f:
    s.settimeout(2)
    s.connect(path)

    def ask(command):
        """The monitor's answer, which is written down, too."""
        s.sendall(command.encode() + b"\n")
        answer = b""
        try:
            while not answer.endswith(b"\n(qemu) ") and (data := s.recv(65536)):
                answer += data
        except socket.timeout:
            answer += b"\n(no more)"
        # Without the echo of what is typed.
        lines = answer.decode(errors="replace").split("\n")
        text = "\n".join(line for line in lines if "\x1b" not in line)
        f.write(text)
        return text

    for command in STATE * 3:
        ask(command)
    ask("stop")
    for cpu, rsp in enumerate(re.findall(r"\bRSP=([0-9a-f]+)", ask("info registers -a"))):
        ask(f"cpu {cpu}")
        ask("x /8i $pc")
        words = re.findall("0x(ffffffff[89a-f][0-9a-f]{7})", ask(f"x /256xg 0x{rsp}"))
        f.write(f"\nSTACK {cpu}: {' '.join(words)}\n")
    ask("cont")
