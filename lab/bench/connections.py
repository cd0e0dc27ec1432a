# SPDX-License-Identifier: GPL-2.0
"""What a connection costs, from SYN to FIN, with one small HTTP request: the second table of
"make bench" (lb.py).

Client and server are sockets of one thread (lab/fuzz/bench_connections.c) in the namespaces at
both ends, so everything that the kernel does for a connection is counted, there and on the LB,
and the differences are the LB's. The least of many rounds counts: what is more is a
timer, or memory that had to be found.
"""
import os
import re

import ways
from tables import Table
from lib import V4, V6, address_port, basics

CONNECTIONS, ROUNDS = 16, 64
FAMILIES = (V4, V6)
REPEATABLE = 0.01
HAPROXY = '''global
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 10s
    timeout server 10s
'''


def haproxy(net):
    """In TCP mode; it tells the server the client's address by the PROXY protocol."""
    path = net.lb.path('haproxy.cfg')
    with open(path, 'w', encoding='ascii') as file:
        file.write(HAPROXY)
        for family in FAMILIES:
            file.write(f'listen v{family.name[1]}\n'
                       f'    bind {address_port(family.vip, ways.PORT)}\n'
                       f'    server rs1 {address_port(family.rs1, ways.PORT)} send-proxy-v2\n')
    net.processes.append(net.lb.spawn(['haproxy', '-db', '-f', path]))
    net.lb.wait_listening(ways.PORT)


def connection_ways():
    """What is compared; our own ways come last, since their module stays."""
    same = [way for way in ways.WAYS if way.name in (ways.FORWARD, ways.NAT, ways.MASQUERADED,
                                                     ways.NFT)]
    return same + [ways.Way('HAProxy, TCP mode, PROXY protocol', haproxy)] + ways.our_ways()


def measure(way):
    """{family: instructions}"""
    if way.modules:
        basics.run(f'modprobe {way.modules}')
    net = ways.Net(stacks=True)
    way.prepare(net)
    found = {}
    for family in FAMILIES:
        target = family.vip if way.to_vip else family.rs1
        out = basics.run(['bench-connections', net.client.name, net.rs1.name,
                          address_port(target, ways.PORT), address_port(family.rs1, ways.PORT),
                          str(CONNECTIONS), str(ROUNDS)], timeout=1200).out
        found[family] = float(re.search(r'connection (\d+)', out)[1])
    net.close()
    return found


def table():
    """Measures and prints."""
    costs = Table(f'{os.uname().release}, one connection',
                  {family: f'IPv{family.name[1]}' for family in FAMILIES}, REPEATABLE)
    print()
    costs.show_header()
    for way in connection_ways():
        costs.add(way.name, measure(way))
    costs.show_quotients('multiples of what stock NAT adds to plain forwarding', ways.NAT,
                         ways.FORWARD)
    return costs
