# SPDX-License-Identifier: GPL-2.0
"""Connects the terminal to a guest's console."""
import os
import select
import sys
import termios
import tty

LEAVE = b'\x1d'     # Ctrl-]


def attach(machine):
    """Be the console of a machine until Ctrl-] or until it is gone."""
    print(f'lab: the console of {machine.name}; Ctrl-] leaves',
          file=sys.stderr)
    machine.console_tap = lambda data: os.write(1, data)
    terminal = sys.stdin.isatty()
    saved = termios.tcgetattr(0) if terminal else None
    try:
        if terminal:
            tty.setraw(0)
        pump(machine)
    finally:
        if terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        machine.console_tap = None
        print(file=sys.stderr)


def pump(machine):
    """Pass keys on."""
    while not machine.gone.is_set():
        if not select.select([0], [], [], 0.5)[0]:
            continue
        keys = os.read(0, 1024)
        if not keys:                # no terminal, and the input has ended
            machine.gone.wait(5)
            return
        before, leave, _ = keys.partition(LEAVE)
        machine.console.sendall(before)
        if leave:
            return
