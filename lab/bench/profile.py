#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a packet of one way through the load balancer executes, by function of the kernel: runs in
a machine whose instructions are counted one by one (lab/vm-run --icount --profile; "make profile").

  profile.py [--column "TCP4 request"] WAY [LESS]

WAY and LESS are rows of "make bench", the column one of its first table; or "IPv4", "IPv6" of the
second one: a connection. With LESS, what WAY takes more (or less) than that one.
"locked" are instructions that lock the bus: those write what CPUs may share. All of the machine
is counted, so the generator of packets and what is at the LB's far ends, too.
"""
import argparse
import bisect
import collections
import os
import sys

import connections
import lb
import ways
from lib import basics

PACKETS = 512
OUT = '/lab'


def symbols():
    """[(address, name)] of the kernel and its modules."""
    with open('/proc/kallsyms', encoding='ascii') as file:
        found = [line.split() for line in file]
    return sorted((int(line[0], 16), ' '.join(line[2:])) for line in found if line[1] in 'tTwW')


def by_function(path, times):
    """{function: [instructions, and how many of them lock]}: a share of what was counted."""
    known = symbols()
    addresses = [address for address, _ in known]
    costs = collections.defaultdict(lambda: [0, 0])
    with open(path, encoding='ascii') as file:
        for address, count, locked in (line.split() for line in file):
            name = known[bisect.bisect_right(addresses, int(address, 16)) - 1][1]
            share = int(count) / times
            costs[name][0] += share
            costs[name][1] += share * int(locked)
    return costs


def measure(way, options):
    """by_function() of each column: the plugin writes a file for each."""
    before = len([name for name in os.listdir(OUT) if name.isdigit()])
    if options.connections:
        connections.measure(way)
        times = connections.CONNECTIONS * connections.ROUNDS
    else:
        lb.measure(way, options, collections.defaultdict(int))
        times = PACKETS * lb.ROUNDS
    return [by_function(os.path.join(OUT, str(before + column)), times)
            for column in range(len(options.names))]


def show(costs, less):
    """The functions, the most expensive first."""
    print(f'{"instructions":>12} {"locked":>7}  function')
    rows = []
    for name in {**costs, **less}:
        rows.append([costs[name][i] - less[name][i] for i in range(2)] + [name])
    rows.append([sum(row[i] for row in rows) for i in range(2)] + ['all'])
    for count, locked, name in sorted(rows, key=lambda row: -abs(row[0])):
        if abs(count) >= 1:
            print(f'{count:12.0f} {locked:7.1f}  {name}')


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--column', default='TCP4 request')
    parser.add_argument('way')
    parser.add_argument('less', nargs='?')
    wanted = parser.parse_args()
    options = argparse.Namespace(flows=1, packets=PACKETS, services=ways.services())
    options.connections = not wanted.column.startswith(('TCP', 'UDP'))
    options.names = [f'IPv{family.name[1]}' for family in connections.FAMILIES] \
        if options.connections else lb.column_names(options.services).values()
    basics.SCALE = 1000
    basics.run(f'modprobe -a {ways.STOCK}')
    known = {way.name: way for way in ways.WAYS + ways.our_ways()}
    for name in filter(None, (wanted.way, wanted.less)):
        if name not in known:
            sys.exit(f'{name}: none of: {"; ".join(known)}')
    if wanted.column not in options.names:
        sys.exit(f'{wanted.column}: none of: {"; ".join(options.names)}')
    costs = measure(known[wanted.way], options)
    less = measure(known[wanted.less], options) if wanted.less else \
        [collections.defaultdict(lambda: [0, 0]) for _ in costs]
    column = list(options.names).index(wanted.column)
    show(costs[column], less[column])
    for name, cost, base in zip(options.names, costs, less):
        total, locked = (sum(entry[i] for entry in cost.values()) -
                         sum(entry[i] for entry in base.values()) for i in range(2))
        print(f'{total:12.0f} {locked:7.1f}  {name}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
