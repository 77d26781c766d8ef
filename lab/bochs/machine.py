#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: machine.py RUN

Runs Bochs in the directory RUN (bochsrc, what it names) until the emulated
machine ends. Copies the machine's console (a pipe, RUN/console.pipe, if there
is one) to stdout, and serves what lab-send sends, by its kind:

    ctl     to RUN/ctl.out, a pipe to lab/agent
    files   to the end of RUN/files.tar
    run     a tar archive, unpacked in RUN
"""
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import termios

HEAD = re.compile(rb"\x01([a-z]+) ([0-9]+)\n")
HEAD_MAX = 64
PR_SET_PDEATHSIG = 1


class Pieces:
    """Takes Bochs' output apart; what is no piece is its debugger's talk."""

    def __init__(self):
        self.buffer = b""
        self.ctl = self.files = self.unpack = None

    def add(self, data):
        self.buffer += data
        while True:
            head = HEAD.search(self.buffer)
            if not head:
                self.buffer = self.buffer[-HEAD_MAX:]
                return
            end = head.end() + int(head[2])
            if len(self.buffer) < end:
                return
            self.serve(head[1].decode(), self.buffer[head.end():end])
            self.buffer = self.buffer[end:]

    def serve(self, kind, data):
        if kind == "ctl":
            self.ctl = self.ctl or open("ctl.out", "wb", buffering=0)
            self.ctl.write(data)
        elif kind == "files":
            self.files = self.files or open("files.tar", "ab", buffering=0)
            self.files.write(data)
        elif kind == "run":
            self.unpack = self.unpack or subprocess.Popen(
                ["tar", "-x", "-i", "--no-same-owner", "--no-overwrite-dir", "-f", "-"],
                stdin=subprocess.PIPE)
            self.unpack.stdin.write(data)

    def end(self):
        if self.unpack:
            self.unpack.stdin.close()
            self.unpack.wait()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main():
    os.chdir(sys.argv[1])
    terminal = termios.tcgetattr(0) if os.isatty(0) else None	# Bochs forgets to restore it
    watched = {}
    if os.path.exists("console.pipe"):
        # Opened for writing as well, so that it can be opened before Bochs does.
        console = os.open("console.pipe", os.O_RDWR | os.O_NONBLOCK)
        watched[console] = lambda data: os.write(1, data)
    # Debian's Bochs is the debugger: told to continue, and at its end to quit.
    bochs = subprocess.Popen(["bochs-bin", "-q", "-f", "bochsrc", "-rc", "bochs.commands"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=open("bochs.errors", "wb"), preexec_fn=die_with_parent)

    pieces = Pieces()

    def stop(*_):
        bochs.kill()
        bochs.wait()
        pieces.end()
        os.unlink("disk.img")
        os._exit(143)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    output = bochs.stdout.fileno()
    watched[output] = pieces.add
    while output in watched:
        for fd in select.select(list(watched), [], [])[0]:
            data = os.read(fd, 1 << 16)
            if data:
                watched[fd](data)
            else:
                del watched[fd]
    # What came just before the end.
    for fd in set(watched) & set(select.select(list(watched), [], [], 0)[0]):
        watched[fd](os.read(fd, 1 << 16))
    pieces.end()
    bochs.wait()
    if terminal:
        termios.tcsetattr(0, termios.TCSADRAIN, terminal)
    os.unlink("disk.img")	# big, and made anew for each run


main()
