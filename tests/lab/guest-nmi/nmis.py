#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: nmis.py SOCKET

Has QEMU inject NMIs, at irregular moments, until it gets a SIGTERM. Prints how
many it were, and "enough" before that when they will do.
"""
import os.path
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True  # read only, perhaps
import qmp  # noqa: E402

ENOUGH = 50  # some come close together, and are one

done = []
signal.signal(signal.SIGTERM, lambda *_: done.append(True))
qemu = qmp.Qmp(sys.argv[1])
random.seed(1)
sent = 0
while not done:
    qemu.ask("inject-nmi")
    sent += 1
    if sent == ENOUGH:
        print("enough", flush=True)
    time.sleep(random.uniform(0.001, 0.06))
print("sent", sent, flush=True)
