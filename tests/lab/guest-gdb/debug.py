#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: debug.py QMP VM RUN

On the emulated host: debugs the guest through QEMU's gdb stub. VM: KVM's debugfs
directory of it. RUN: the run's directory; files/symbols has lines of the guest's
/proc/kallsyms. To RUN go: breakpoints (each that was hit, and the seconds to
splice, hit, step) and steps (RIP and the guest's bytes there; '-' after each
walk). Fails on the first thing wrong.
"""
import os.path
import random
import signal
import struct
import subprocess
import sys
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, LAB)
sys.dont_write_bytecode = True  # read only, perhaps
import qmp  # noqa: E402
import rsp  # noqa: E402

SOCKET = "/tmp/gdb"
STOPS = 60              # at any moment, while spliced
SITES = 3
STEPS = 200             # once, at a site; a step takes 0.1 s
FEW_STEPS = 6
TF = 0x100
LOOP = b"\xeb\xfe"       # JMP to itself
RESERVED = 8            # in the error code of a #PF: a hidden one
# The implant is so far below the #PF handler: engine/splicer/splicer.c.
PUBLIC = (0x38000000, 0x30000000)
# IRET, SYSRET, POPF load flags without TF: a step over them has no end.
NO_STEP = (b"\x48\xcf", b"\x48\x0f\x07", b"\x9d")


class Vm:
    """What the engine says."""

    def __init__(self, directory):
        self.dir = os.path.join(directory, "dmp")

    def lines(self, name):
        with open(os.path.join(self.dir, name), encoding="ascii") as f:
            return f.read().splitlines()

    def status(self):
        return dict(line.split(" ", 1) for line in self.lines("status") if " " in line)

    def ended(self):
        line = [t for t in self.lines("status") if t.startswith("ended reason=debugger n=")]
        return int(line[0].split("=")[-1]) if line else 0

    def sites(self):
        """Address: the bytes replaced, of each that is spliced, handler first."""
        rows = [dict(w.split("=") for w in line.split()) for line in self.lines("sites")]
        return {int(r["rip"], 16): r for r in rows if r["state"] == "spliced"}

    def ctl(self, what):
        with open(os.path.join(self.dir, "ctl"), "w", encoding="ascii") as f:
            f.write(what)

    def splice(self, wanted):
        """Engage; the guest's load does the rest. wanted(sites): enough are spliced."""
        end = time.time() + 60
        while time.time() < end:
            if self.status()["spliced"] != "1":
                self.ctl("disengage")
                self.ctl("engage")
            sites = self.sites()
            if wanted(sites):
                return sites
            time.sleep(0.05)
        sys.exit(f"debug.py: not spliced: {self.status()} {self.lines('sites')}")


class Guest(rsp.Stub):
    def __init__(self, vm, run):
        super().__init__(SOCKET)
        self.vm = vm
        with open(os.path.join(run, "files", "symbols"), encoding="ascii") as f:
            self.symbol = {w[2]: int(w[0], 16) for w in map(str.split, f)}
        self.handler = self.symbol["asm_exc_page_fault"]
        self.log = open(os.path.join(run, "breakpoints"), "w", encoding="ascii")
        self.steps = open(os.path.join(run, "steps"), "w", encoding="ascii")

    def look(self):
        """The registers, none of which may be the implant's."""
        registers = self.registers()
        for i, value in enumerate(registers):
            if self.handler - PUBLIC[0] <= value < self.handler - PUBLIC[1]:
                sys.exit(f"debug.py: register {i} is in the implant: {value:#x}")
        return registers

    def code(self, rip):
        """What the guest has there; an instruction may be the last of its page."""
        code = self.read(rip, 15) or self.read(rip, 4096 - rip % 4096)
        if not code:
            sys.exit(f"debug.py: RIP {rip:#x} is nowhere in the guest")
        return code

    def stop_often(self):
        """Stops and looks, no more: that is to change nothing."""
        ended = self.vm.status()["disengagements"]
        inside = 0
        for _ in range(STOPS):
            time.sleep(random.uniform(0, 0.02))
            self.interrupt()
            rip = self.look()[rsp.RIP]
            self.code(rip)
            inside += rip >> 63
            self.go()
        status = self.vm.status()
        if status["disengagements"] != ended or status["spliced"] != "1":
            sys.exit(f"debug.py: stopping it has changed something: {status}")
        print(f"stopped {STOPS} times, {inside} in its kernel", flush=True)

    def undo_int3(self, place):
        """At the guest's #BP handler: as if the INT3 had exited."""
        registers = list(self.look())
        frame = struct.unpack("<5Q", self.read(registers[rsp.RSP], 40))
        if frame[0] != place + 1 or frame[1] & 3:
            sys.exit(f"debug.py: a #BP at {frame[0]:#x}, not at {place:#x}")
        registers[rsp.RIP] = place
        registers[rsp.RSP] = frame[3]
        registers[rsp.EFLAGS] = frame[2] & 0xffffffff
        self.set_registers(registers)

    def until(self, stops):
        """To one of these addresses, by a breakpoint there or an endless loop."""
        end = time.time() + 40
        seen = []
        while time.time() < end:
            self.go()
            trapped = self.stops_within(0.05)
            why = self.wait() if trapped else self.interrupt()
            rip = self.look()[rsp.RIP]
            if rip in stops:
                return rip
            seen.append(f"{rip:#x}")
            if why == rsp.SIGTRAP:
                sys.exit(f"debug.py: stopped at {rip:#x} by a breakpoint")
        sys.exit(f"debug.py: has not come by {[hex(s) for s in stops]}: {seen[-20:]}")

    def to_loop(self, loop, stops, then=lambda: None):
        own = self.read(loop, 2)
        self.write(loop, LOOP)
        rip = self.until(stops | {loop})
        then()
        self.write(loop, own)
        return rip

    def settle(self):
        """
        In a loop, until a step ends: KVM has no trap for one from an address
        that RIP was moved to since the guest last ran.
        """
        for _ in range(20):
            self.send("s")
            if self.stops_within(1):
                self.wait()
                return
            self.interrupt()
        sys.exit("debug.py: no step in a loop ends")

    def hit(self, kind, place):
        """
        To the breakpoint, once. QEMU (7.2) as the machine below does not have
        DR7 of a VMCB take effect, nor does it ask the #BP intercept for INT3
        (see kvm_dmp_int3_is_swint()): so the guest finds an endless loop at the
        place, or in its #BP handler. On hardware it does not get there.
        """
        self.interrupt()
        self.look()
        if kind == rsp.SOFTWARE:
            self.insert(rsp.SOFTWARE, place)
            if self.to_loop(self.symbol["asm_exc_int3"], {place}) != place:
                self.undo_int3(place)
        self.insert(rsp.HARDWARE, place)
        if kind == rsp.SOFTWARE:
            self.remove(rsp.SOFTWARE, place)
        self.to_loop(place, {place}, self.settle)
        self.remove(rsp.HARDWARE, place)
        if self.look()[rsp.RIP] != place:
            sys.exit(f"debug.py: at {self.rip():#x}, not at {place:#x}")
        if self.vm.status()["spliced"] != "0":
            sys.exit("debug.py: debugged, and spliced")

    def at_fault(self, registers):
        """At the #PF handler: no hidden fault; and no trap after its IRET for our step."""
        error, _, _, flags = struct.unpack("<4Q", self.read(registers[rsp.RSP], 32))
        if error & RESERVED:
            sys.exit(f"debug.py: a hidden fault is shown: error code {error:#x}")
        self.write(registers[rsp.RSP] + 24, struct.pack("<Q", flags & ~TF))

    def walk(self, steps):
        """So many steps from here, if the guest stays where a step can follow it."""
        for done in range(steps + 1):
            registers = self.look()
            rip = registers[rsp.RIP]
            code = self.code(rip)
            self.steps.write(f"{rip:#x} {code.hex()}\n")
            if rip == self.handler:
                self.at_fault(registers)
            if done == steps or code.startswith(NO_STEP):
                break
            if self.step() != rsp.SIGTRAP:
                sys.exit(f"debug.py: a step from {rip:#x} did not end with SIGTRAP")
        self.steps.write("-\n")
        return done

    def debug(self, kind, site, place, steps):
        began = time.time()
        spliced = self.vm.splice(lambda sites: site in sites)
        ended = self.vm.ended()
        was_spliced = time.time()
        self.hit(kind, place)
        was_hit = time.time()
        own = bytes.fromhex(spliced[site]["bytes"])
        if self.read(site, len(own)) != own:
            sys.exit(f"debug.py: {site:#x} does not read as the guest's own {own.hex()}")
        if self.vm.ended() != ended + 1:
            sys.exit("debug.py: splicing did not end for the debugger")
        done = self.walk(steps)
        self.go()
        name = ("software", "hardware")[kind == rsp.HARDWARE]
        self.log.write(f"{name} {place:#x} site={site:#x} "
                       f"tactic={spliced[site]['tactic']} steps={done} seconds="
                       f"{was_spliced - began:.1f},{was_hit - was_spliced:.1f},"
                       f"{time.time() - was_hit:.1f}\n")
        self.log.flush()


def chosen(sites):
    """The handler and sites of as many kinds as there are, and where their
    splices' instructions are."""
    kinds = {}
    for rip, row in sites.items():
        kinds.setdefault((row["tactic"], row["form"]), rip)
    rips = list(kinds.values())
    rips += [rip for rip in sites if rip not in rips]
    return rips[:SITES + 1]


def places(vm, site):
    """The instructions that the splice at @site moves."""
    name = "/tmp/site"
    with open(name, "w", encoding="ascii") as f:
        f.writelines(line + "\n" for line in vm.lines("sites") if f"rip={site:#x} " in line)
    out = subprocess.run([os.path.join(LAB, "guest-debug", "places.py"), name],
                         check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    return [int(p, 16) for p in out.split()]


def main(socket, directory, run):
    random.seed(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("debug.py: time limit"))
    vm = Vm(directory)
    qmp.Qmp(socket).ask('{"execute": "human-monitor-command", "arguments": {"command-line":'
                        f' "gdbserver unix:{SOCKET},server=on,wait=off"}}}}')
    sites = chosen(vm.splice(lambda sites: len(sites) > SITES))
    where = {site: places(vm, site) for site in sites}
    guest = Guest(vm, run)
    guest.go()
    guest.stop_often()
    for site in sites:
        for kind in rsp.SOFTWARE, rsp.HARDWARE:
            many = site == sites[1] and kind == rsp.HARDWARE
            guest.debug(kind, site, where[site][0], STEPS if many else FEW_STEPS)
        # Not the last: after a return there is an INT3, which nobody comes by.
        if len(where[site]) > 1:
            guest.debug(rsp.SOFTWARE, site, where[site][1], FEW_STEPS)
    vm.splice(lambda sites: len(sites) > SITES)
    guest.interrupt()
    guest.detach()
    print("debugged", flush=True)


if len(sys.argv) != 4:
    sys.exit(__doc__.splitlines()[0])
main(*sys.argv[1:])
