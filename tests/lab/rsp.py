# SPDX-License-Identifier: GPL-2.0-only
"""A client of QEMU's gdb stub (gdb's remote serial protocol), for hooks.

    stub = rsp.Stub("/tmp/gdb")     # the guest stops
    stub.insert(rsp.HARDWARE, address)
    stub.go()
    stub.wait()                     # until it stops: the signal
    stub.step(); stub.rip()
"""
import select
import socket
import struct

SOFTWARE, HARDWARE = 0, 1
SIGINT, SIGTRAP = 2, 5
# The stub's order: 16 general registers, RIP, EFLAGS (32 bits), segments, ...
RSP, RIP, EFLAGS = 7, 16, 17
REGISTERS = "<17QI"


class Stub:
    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb", buffering=0)
        self.wait()     # of a guest that runs: it says that it has stopped

    def send(self, data):
        packet = f"${data}#{sum(data.encode()) & 0xff:02x}"
        self.sock.sendall(packet.encode())
        self.must_be(b"+")

    def byte(self):
        byte = self.stream.read(1)
        if not byte:
            raise OSError("gdb stub: gone")
        return byte

    def must_be(self, wanted):
        byte = self.byte()
        if byte != wanted:
            raise OSError(f"gdb stub: {byte}, not {wanted}")

    def receive(self):
        self.must_be(b"$")
        data = b""
        while (byte := self.byte()) != b"#":
            data += byte
        if int(self.byte() + self.byte(), 16) != sum(data) & 0xff:
            raise OSError(f"gdb stub: {data}: checksum")
        self.sock.sendall(b"+")
        return data.decode()

    def ask(self, data):
        self.send(data)
        return self.receive()

    def must(self, data):
        answer = self.ask(data)
        if answer != "OK":
            raise OSError(f"gdb stub: {data}: {answer or 'not supported'}")

    def registers(self):
        """The 16 general ones, RIP and EFLAGS."""
        return struct.unpack_from(REGISTERS, bytes.fromhex(self.ask("g")))

    def set_registers(self, values):
        every = bytearray.fromhex(self.ask("g"))
        struct.pack_into(REGISTERS, every, 0, *values)
        self.must("G" + every.hex())

    def rip(self):
        return self.registers()[RIP]

    def read(self, address, size):
        """The guest's memory as its tables show it; None where they do not."""
        answer = self.ask(f"m{address:x},{size:x}")
        return None if answer.startswith("E") else bytes.fromhex(answer)

    def write(self, address, data):
        self.must(f"M{address:x},{len(data):x}:{data.hex()}")

    def insert(self, kind, address):
        self.must(f"Z{kind},{address:x},1")

    def remove(self, kind, address):
        self.must(f"z{kind},{address:x},1")

    def go(self):
        self.send("c")

    def wait(self):
        answer = self.receive()
        if answer[:1] not in "ST":
            raise OSError(f"gdb stub: stopped with {answer}")
        return int(answer[1:3], 16)

    def stops_within(self, seconds):
        return bool(select.select([self.sock], [], [], seconds)[0])

    def interrupt(self):
        self.sock.sendall(b"\x03")
        return self.wait()

    def step(self):
        self.send("s")
        return self.wait()

    def detach(self):
        """The guest goes on."""
        self.must("D")
        self.sock.close()
