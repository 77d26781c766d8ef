#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run `dmp top` on a pseudo-terminal and end it one way or another.

usage: pty_top.py HOW COMMAND...
HOW: q, int, term, hup, or stop (SIGTSTP, SIGCONT, then q).
Says `ok` if it ended with status 0, gave back the main screen and the cursor,
and left the terminal's modes as they were.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def read_until(fd, what, seconds):
    data = b''
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.1)
        if ready:
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            if not got:
                break
            data += got
        if what and what in data:
            break
    return data


def main():
    how, command = sys.argv[1], sys.argv[2:]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if not pid:
        os.setsid()
        for sig in ('INT', 'TERM', 'HUP', 'QUIT', 'TSTP'):
            signal.signal(getattr(signal, 'SIG' + sig), signal.SIG_DFL)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.environ['TERM'] = 'xterm'
        os.execv(command[0], command)
    data = read_until(master, b'EXITS/s', 10)
    if b'\x1b[?1049h' not in data:
        sys.exit('no alternate screen: %r' % data)
    if termios.tcgetattr(slave)[3] & termios.ICANON:
        sys.exit('keys are not read one by one')
    if how == 'stop':
        os.kill(pid, signal.SIGTSTP)
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status) or termios.tcgetattr(slave) != before:
            sys.exit('not stopped with the terminal given back')
        os.kill(pid, signal.SIGCONT)
        read_until(master, b'EXITS/s', 10)
    if how in ('q', 'stop'):
        os.write(master, b'q')
    else:
        os.kill(pid, {'int': signal.SIGINT, 'term': signal.SIGTERM,
                      'hup': signal.SIGHUP}[how])
    data = read_until(master, b'\x1b[?1049l', 10)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit('status %#x' % status)
    if not data.endswith(b'\x1b[?25h\x1b[?1049l'):
        sys.exit('screen not given back: %r' % data[-80:])
    if termios.tcgetattr(slave) != before:
        sys.exit('terminal modes not given back')
    print('ok')


main()
