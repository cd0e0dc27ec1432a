#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The first table of "make bench" in nanoseconds instead of instructions: runs in a kernel that
the host executes (lab/native-run; "make bench-native").

  native.py [--flows N]

Packets are sent in batches, so there are few system calls, which are very slow in such a
kernel: of whole programs they would be all that is measured. Prints Markdown: docs/performance.md
has it.
"""
import argparse
import collections
import mmap
import os
import re

import lb
import ways
from tables import Table

# a round is longer than a tick of the clock, and the best of many has no interruption in it; all
# of it so many times, since the host has good and bad moments
PACKETS, ROUNDS, TRIES = 16384, 25, 5


def touch_memory():
    """The host gives this machine a page when it is first written. That shall have been: else
    it would be in the cost of what takes more memory, and not in that of what comes later."""
    with open('/proc/meminfo', encoding='ascii') as file:
        size = int(re.search(r'^MemAvailable: +(\d+)', file.read(), re.M)[1]) * 1024 * 3 // 4
    with mmap.mmap(-1, size) as memory:
        for offset in range(0, size, mmap.PAGESIZE):
            memory[offset] = 1


def least(first, second):
    """Of each column."""
    return {column: min(number, second.get(column, number)) for column, number in first.items()}


def compared(flows):
    """Our module is loaded all the time."""
    others = [way for way in ways.WAYS if not way.name.endswith('module loaded')]
    return [way for way in others + ways.our_ways() if flows == 1 or way.many]


def packets_table(options):
    """Measures and prints."""
    costs = Table(f'{os.uname().release}, nanoseconds, {lb.count(options.flows)}',
                  lb.column_names(options.services), 0)
    best = collections.defaultdict(dict)
    for _ in range(TRIES):
        best[None] = least(lb.measure_generator(options), best[None])
        for way in compared(options.flows):
            found = lb.measure(way, options, collections.defaultdict(int))
            best[way.name] = least(found, best[way.name])
    costs.show_header()
    generator = best.pop(None)
    costs.show('generator (taken off)', generator)
    for name, found in best.items():
        costs.add(name, {column: found[column] - generator[column] for column in found})
    costs.show_quotients('multiples of stock NAT, wire included', ways.NAT)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--flows', type=int, default=1)
    options = parser.parse_args()
    options.services, options.packets = lb.prepare(options.flows), PACKETS
    lb.ROUNDS = ROUNDS
    touch_memory()
    packets_table(options)


if __name__ == '__main__':
    main()
