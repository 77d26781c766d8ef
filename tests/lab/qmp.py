#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: qmp.py SOCKET REQUEST...

Sends QEMU each REQUEST, a command's name or a JSON object, and prints what
each returns, one JSON value a line. Fails on the first error.
"""
import json
import socket
import sys


class Qmp:
    """A connection to QEMU's monitor; an error ends the program."""

    def __init__(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(path)
        self.stream = sock.makefile("rw")
        json.loads(self.stream.readline())  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, request):
        if not request.startswith("{"):
            request = json.dumps({"execute": request})
        self.stream.write(request + "\n")
        self.stream.flush()
        answer = json.loads(self.stream.readline())
        while "event" in answer:
            answer = json.loads(self.stream.readline())
        if "return" not in answer:
            sys.exit(f"qmp.py: {request}: {answer}")
        return answer["return"]


def main(path, requests):
    qmp = Qmp(path)
    for request in requests:
        print(json.dumps(qmp.ask(request)))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.splitlines()[0])
    main(sys.argv[1], sys.argv[2:])
