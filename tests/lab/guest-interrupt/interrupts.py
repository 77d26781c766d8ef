#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: interrupts.py [NS]

On the emulated host: interrupts its CPU every NS nanoseconds or a little more, by
the cpu-clock of perf, until it is ended. The guest leaves its code at each. Of
each period the guest has what the host's handling of an interrupt leaves."""
import ctypes
import fcntl
import random
import struct
import sys
import time

PERF_EVENT_OPEN = 298
IOC_PERIOD = 0x40082404
SHORTEST = 10000    # ns; the kernel's own limit
period = max(int(sys.argv[1]), SHORTEST) if len(sys.argv) > 1 else SHORTEST

libc = ctypes.CDLL(None, use_errno=True)
# The rate can be set only while the share of time is limited.
for name, value in (("cpu_time_max_percent", 25), ("event_max_sample_rate", 400000),
                    ("cpu_time_max_percent", 0)):
    with open(f"/proc/sys/kernel/perf_{name}", "w", encoding="ascii") as f:
        f.write(str(value))
# type, size, config (software, cpu-clock), sample_period
attr = struct.pack("=IIQQ", 1, 64, 0, period).ljust(64, b"\0")
fd = libc.syscall(PERF_EVENT_OPEN, attr, -1, 0, -1, 0)
if fd < 0:
    raise SystemExit(f"perf_event_open: error {ctypes.get_errno()}")
random.seed(1)
print("interrupting", file=sys.stderr, flush=True)
while True:
    # Never in step with what the guest does.
    fcntl.ioctl(fd, IOC_PERIOD, struct.pack("=Q", period + random.randrange(period // 5)))
    time.sleep(0.01)
