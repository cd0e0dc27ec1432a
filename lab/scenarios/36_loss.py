# SPDX-License-Identifier: GPL-2.0
"""Bad networks: the right client for every connection, and no slower than NAT.

Seen failing, with a copy of the modules that puts no TOA on a packet with payload: 300_clients.
The long ones have not been run to their end yet.
"""
import concurrent.futures
import os
import re
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe

SIDES = ('client', 'eth0'), ('lb', 'outer')     # the two ends of the client's wire


def bad_wire(t, what):
    """netem on the client's wire, both ways. It sees segments, not GSO packets: TCP hands these
    out even to a device that has no GSO."""
    for name, device in SIDES:
        host = getattr(t, name)
        observe.offloads(host, device, False)
        host.run(f'ip link set {device} gso_max_segs 1')
        host.run(f'tc qdisc add dev {device} root netem limit 100000 {what}')


def lost(t):
    """How many packets netem has lost so far, to the LB and to the client."""
    return [int(re.search(r'dropped (\d+)',
                          getattr(t, name).run(f'tc -s qdisc show dev {device}').out)[1])
            for name, device in SIDES]


def one_client(t, family, number, blob):
    """A connection with a request of some segments; returns the client."""
    source = (family.client, family.client2)[number % 2]
    own, answer = t.client.ask(family.vip, 8000, blob, source=source, timeout=180)
    check(answer == greeting(own) + blob, f'{own} was told {answer[:60]}')
    return own


def many_clients(t, family, count):
    """So many connections, a hundred at a time, through 5 % loss, reordering and duplication:
    each shows its client, on the wire and to the application."""
    family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af)
    bad_wire(t, 'delay 10ms 2ms loss 5% reorder 25% 50% duplicate 5%')
    capture = t.rs1.capture()
    blob = os.urandom(3000)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        asked = list(pool.map(lambda n: one_client(t, family, n, blob), range(count)))
    equal(len(asked), count, 'clients that were answered')
    equal(sorted(server.clients), sorted(asked), 'clients')
    equal(sorted(seen.accepted for seen in server.seen), sorted(asked), 'clients, by accept()')
    check(min(lost(t)) > count / 10, f'too little was lost: {lost(t)}')
    packets = capture.packets()
    observe.check_one_toa_first(packets)
    observe.check_accepting(packets, asked)
    stats, seen = t.lb.fullnat_stats(), t.rs1.toa_stats()
    equal((stats['conns_with_toa'], stats['conns_without_toa']), (count, 0),
          'conns_with_toa, conns_without_toa')
    equal((seen['stored'], seen['absent'], seen['untrusted']), (count, 0, 0),
          'stored, absent, untrusted')


def test_300_clients(t, family):
    """300 connections."""
    many_clients(t, family, 300)


@long
@limit(2400)
def test_10000_clients(t, family):
    """10 000 connections."""
    many_clients(t, family, 10000)


PARALLEL = 12
TRANSFER = 4 << 20
FULLNAT, NAT = 8000, 8001


def swallow(sock, _):
    """A server that reads to the end, then says how much it was."""
    size = 0
    while True:
        data = sock.recv(1 << 18)
        if not data:
            break
        size += len(data)
    sock.sendall(str(size).encode())


def pour(blob):
    """A server that sends this."""
    return lambda sock, _: sock.sendall(blob)


def upload(t, family, port, blob):
    """Seconds that it takes until the server has it all."""
    began = time.monotonic()
    _, answer = t.client.ask(family.vip, port, blob, timeout=300)
    equal(int(answer), len(blob), 'bytes that the server got')
    return time.monotonic() - began


def download(t, family, port, blob):
    """Seconds that it takes until the client has it all."""
    began = time.monotonic()
    with t.client.connect(family.vip, port, timeout=300) as sock:
        check(read_until(sock, len(blob)) == blob, 'the data differ')
    return time.monotonic() - began


def race(t, family, transfer, blob):
    """FULLNAT and stock NAT side by side, so that whatever else slows this machine down slows
    both. Returns each one's throughput in bytes per second and connection."""
    with concurrent.futures.ThreadPoolExecutor(2 * PARALLEL) as pool:
        jobs = [(port, pool.submit(transfer, t, family, port, blob))
                for _ in range(PARALLEL) for port in (FULLNAT, NAT)]
        seconds = {port: sum(job.result() for p, job in jobs if p == port)
                   for port in (FULLNAT, NAT)}
    return {port: PARALLEL * len(blob) / seconds[port] for port in seconds}


def stock_nat(t, family):
    """The same VIP and server by stock NAT."""
    t.route_by_lb(family)
    vip, server = (f'[{address}]' if ':' in address else address
                   for address in (family.vip, family.rs1))
    t.lb.run(f'ipvsadm -A -t {vip}:{NAT} -s rr; ipvsadm -a -t {vip}:{NAT} -r {server}:{NAT} -m')


@long
@limit(1200)
def test_throughput(t, family):
    """2 % loss on the client's wire and 100 ms of delay, so that TCP's recovery is what limits:
    FULLNAT is as fast as stock NAT, within 10 %, up and down. (12 connections each, side by
    side, each loses 60 segments and more: the spread of the mean is about 2 %.)"""
    family.fullnat(t, FULLNAT)
    stock_nat(t, family)
    bad_wire(t, 'delay 50ms loss 2%')
    blob = os.urandom(TRANSFER)
    for transfer, handler in ((upload, swallow), (download, pour(blob))):
        servers = [t.rs1.peer_server(port, family=family.af, handler=handler)
                   for port in (FULLNAT, NAT)]
        speed = race(t, family, transfer, blob)
        check(speed[FULLNAT] > 0.9 * speed[NAT],
              f'{transfer.__name__}: {speed[FULLNAT]:.0f} bytes/s, by NAT {speed[NAT]:.0f}')
        for server in servers:
            server.close()
    for name, host in (('client', t.client), ('rs1', t.rs1)):
        counters = observe.tcp_counters(host)
        check(counters['TCPSackRecovery'], f'{name} never recovered by SACK')
        equal(counters['TCPSACKDiscard'], 0, f'SACK blocks that {name} discarded')
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], stats['conns_without_toa']), (2 * PARALLEL, 0),
          'conns, conns_without_toa')
