#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: qmp.py SOCKET REQUEST...

Sends QEMU each REQUEST, a command's name or a JSON object, and prints what
each returns, one JSON value a line. Fails on the first error.
"""
import json
import socket
import sys


def main(path, requests):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(path)
    stream = sock.makefile("rw")
    json.loads(stream.readline())  # the greeting
    for i, request in enumerate(["qmp_capabilities"] + requests):
        if not request.startswith("{"):
            request = json.dumps({"execute": request})
        stream.write(request + "\n")
        stream.flush()
        answer = json.loads(stream.readline())
        while "event" in answer:
            answer = json.loads(stream.readline())
        if "return" not in answer:
            sys.exit(f"qmp.py: {request}: {answer}")
        if i:
            print(json.dumps(answer["return"]))


if len(sys.argv) < 3:
    sys.exit(__doc__.splitlines()[0])
main(sys.argv[1], sys.argv[2:])
