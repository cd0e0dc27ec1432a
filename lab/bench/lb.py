#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a packet and what a connection cost the load balancer, in instructions: runs in a machine
whose clock counts them (lab/vm-run --icount). "make bench" does it; docs/performance.md says
what it means.

  lb.py [--flows N] [--packets N] [--only WORD]

Small packets of established connections are sent from a client's wire and from a real
server's (lab/fuzz/bench_packets.c) through the LB, which is a namespace with two interfaces. What
comes out of it is addressed to nobody's hardware address, so that it ends right there. What the
generator costs is found out with packets that the LB itself drops for the same reason, and
is taken off; what it takes to hand a frame on at all is the row "wire". All ways are measured in
one boot. Connections: see connections.py. With many flows, only the ways that have a table of
flows to look into.

Prints Markdown: that is what docs/performance.md has. Exit status 1: one way did not do what its
name says, a row that must not cost more does, or a number is off the recorded table by more than
what two measurements of the same differ by.
"""
import argparse
import os
import re
import sys

import connections
import ways
from tables import Table
from lib import V4, address_port, basics

ROUNDS = 7
WIRES = ('client:eth0', 'rs1:eth0', 'lb:outer', 'lb:inner')
REPEATABLE = 0.005
# handshakes take minutes of the host's time
MANY_TCP = 100000


def send(family, protocol, vip, options, flows=1, nobody=False):
    """{direction: instructions of a packet, the generator's included}"""
    service = f'{protocol}/{address_port(vip, ways.PORT)}/{address_port(family.rs1, ways.PORT)}'
    command = ['bench-packets', *WIRES, service, str(flows), str(options.packets),
               str(ROUNDS)]
    out = basics.run(command + (['nobody'] if nobody else []), timeout=2000).out
    return {name: float(value) for name, value in re.findall(r'(\w+) ([\d.]+)', out)}


def measure(way, options, generator):
    """{column: instructions}: the LB's own."""
    if way.modules:
        basics.run(f'modprobe {way.modules}')
    net = ways.Net()
    way.prepare(net)
    found = {}
    # the wire knows no flows
    flows = 1 if way.name == ways.WIRE else options.flows
    for family, protocol in options.services:
        vip = family.vip if way.to_vip else family.rs1
        for direction, cost in send(family, protocol, vip, options, flows).items():
            found[family, protocol, direction] = cost - generator[family, protocol, direction]
    # two directions, the rounds and two before them
    sent = len(options.services) * 2 * (ROUNDS + 2) * options.packets
    slow = way.slow(net, sent)
    if slow is not None:
        print(f'# {way}: {100 * slow:.1f} % of the packets went the slow way')
        basics.check(slow < 0.05, f'{way}: it does not do what its name says')
    net.close()
    return found


def measure_generator(options):
    """{column: instructions of generator, wire and the drop at its end}"""
    net = ways.Net()
    found = {}
    for family, protocol in options.services:
        for direction, cost in send(family, protocol, family.rs1, options, nobody=True).items():
            found[family, protocol, direction] = cost
    net.close()
    return found


def check_limits(costs):
    """What must not cost anything. Returns if it does not."""
    good = True
    for name, (base, limit) in ways.LIMITS.items():
        if name not in costs or base not in costs:
            continue
        worst = max(costs[name][column] / costs[base][column] - 1 for column in costs.names)
        verdict = 'ok' if worst <= limit else 'not ok'
        good &= worst <= limit
        print(f'{verdict} {name}: at most {100 * worst:+.2f} % ({100 * limit:.0f} % allowed)')
    return good


def column_names(services):
    """{column: title}"""
    return {(family, protocol, direction): f'{protocol.upper()}{family.name[1]} {direction}'
            for family, protocol in services for direction in ('request', 'reply')}


def packets_table(options):
    """Measures and prints."""
    costs = Table(f'{os.uname().release}, {count(options.flows)}', column_names(options.services),
                  REPEATABLE)
    generator = measure_generator(options)
    costs.show_header()
    costs.show('generator (taken off)', generator)
    for way in ways.WAYS + [None]:
        for one in [way] if way else ways.our_ways():
            wanted = options.only in one.name or one.name in (ways.NAT, ways.WIRE)
            if wanted and (options.flows == 1 or one.many):
                costs.add(one.name, measure(one, options, generator))
    costs.show_quotients('multiples of stock NAT, wire taken off', ways.NAT, ways.WIRE)
    return costs


def count(flows):
    """In words."""
    return f'{flows} flow' + 's' * (flows > 1)


def prepare(flows):
    """The machine, for so many flows. Returns (family, protocol) of what can be measured."""
    services = ways.services()
    if flows > 1:
        services = [(V4, 'udp')]
        if flows <= MANY_TCP:
            services.insert(0, (V4, 'tcp'))
        ways.LIPS += flows // 50000
        basics.run('modprobe ip_vs conn_tab_bits=20')
    basics.run(f'modprobe -a {ways.STOCK}')
    return services


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--flows', type=int, default=1)
    parser.add_argument('--packets', type=int, default=2048)
    parser.add_argument('--only', default='')
    parser.add_argument('--rows', choices=('all', 'packets', 'connections'), default='all')
    options = parser.parse_args()
    options.services = prepare(options.flows)
    # while this machine waits for the host (its disk), its clock runs on to the next timer
    basics.SCALE = 1000
    good = True
    if options.rows != 'connections':
        costs = packets_table(options)
        good = check_limits(costs)
        good &= costs.compare()
    if options.rows != 'packets' and options.flows == 1:
        good &= connections.table().compare()
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
