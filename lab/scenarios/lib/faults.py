# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail, on the debug kernel: the n-th one of a system call, or some of
those that one of our modules makes."""
import contextlib
import os
import re

from . import basics
from .checkers import read, write

KINDS = ('failslab', 'fail_page_alloc')
BUDGET = 1 << 30        # faults; what is gone of it were injected
EVERYWHERE = (0, (1 << 64) - 1)
FRAMES = 32             # how far up the stack the module is looked for


def module_range(name):
    """Where the code of a module is."""
    found = re.search(rf'^{name} (\d+) .* 0x([0-9a-f]+)', read('/proc/modules'), re.MULTILINE)
    basics.check(found, f'{name} is not loaded')
    start = int(found[2], 16)
    return start, start + int(found[1])


def attribute(kind, name):
    """The path of a setting."""
    return f'/sys/kernel/debug/{kind}/{name}'


def configure(percent, code=EVERYWHERE, task_filter=False):
    """Set up both kinds of failing allocations; 0 percent: for fail-nth only."""
    settings = {'probability': 0, 'interval': 1, 'times': BUDGET, 'space': 0, 'verbose': 0,
                'task-filter': 'Y' if task_filter else 'N', 'ignore-gfp-wait': 'N',
                'stacktrace-depth': FRAMES, 'require-start': code[0], 'require-end': code[1]}
    for kind in KINDS:
        for name, value in settings.items():
            write(attribute(kind, name), value)
    # single pages, too, unless each would count; those of programs (highmem) never
    write(attribute('fail_page_alloc', 'min-order'), 0 if percent else 1)
    for kind in KINDS:
        write(attribute(kind, 'probability'), percent)


def injected():
    """How many allocations have failed since configure()."""
    return sum(BUDGET - int(read(attribute(kind, 'times'))) for kind in KINDS)


@contextlib.contextmanager
def quiet_console():
    """Warnings of failed allocations are for basics.dumps() to judge, not for the console's
    reader."""
    levels = read('/proc/sys/kernel/printk')
    write('/proc/sys/kernel/printk', 4)
    try:
        yield
    finally:
        write('/proc/sys/kernel/printk', levels)


@contextlib.contextmanager
def failing(percent, **options):
    """Some allocations fail in here; see configure()."""
    configure(percent, **options)
    try:
        with quiet_console():
            yield
    finally:
        for kind in KINDS:
            write(attribute(kind, 'probability'), 0)


class Nth:
    """Calls a function again and again, each time with the next allocation failing that the
    calling thread makes in it:

        for fault in Nth():
            fault.run(function, *arguments)

    ends when the function has been called without one having failed. `fault.hit` says
    whether one has, `fault.number` is which."""

    def __init__(self, most=5000):
        configure(0)
        self.fd = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
        self.most = most
        self.number = 0
        self.hit = True

    def __iter__(self):
        try:
            with quiet_console():
                while self.hit:
                    self.number += 1
                    basics.check(self.number <= self.most, f'still failing at {self.number}')
                    yield self
        finally:
            os.close(self.fd)

    def run(self, function, *arguments):
        """Call the function; its result, or the OSError that it raised."""
        os.pwrite(self.fd, b'%d' % self.number, 0)
        try:
            return function(*arguments)
        except OSError as error:
            return error
        finally:
            left = int(os.pread(self.fd, 16, 0))
            os.pwrite(self.fd, b'0', 0)
            self.hit = not left
