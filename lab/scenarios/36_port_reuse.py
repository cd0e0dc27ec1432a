# SPDX-License-Identifier: GPL-2.0
"""Ports used again at a real server that still has their TIME_WAIT, by clients whose numbers
and clocks run backwards; and what becomes of the clients' timestamps.

Seen failing, each with a copy of the modules that was broken like this:

  ISNs and timestamps not rewritten: all but last_ack_missing and backwards_passed
  timestamps always rewritten: backwards_passed
  a port free for takeover as soon as both have sent a FIN: last_ack_missing
  the clock of timestamps raised to whatever was echoed, and a slack each time: fast_clock,
    odd_clock
  an RST or a FIN of the port's former connection sent on: late_end
  late replies sent through ip_vs's output hook: late_fin
"""
import itertools
import os
import re
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.rawtcp import (MSS, SACK_PERMITTED, WINDOW_SCALE, RawHost, RawTcp, make_packet,
                        timestamps)
from lib.servers import says_and_closes, waits_for_the_end

PORT = 30000
CONNECTIONS = 30
START = 0x40000000


def short_connection(host, family, server, number, stamped, challenges=0, leap=0):
    """A connection from a host whose ISN and clock are far behind those of the one before: its
    SYN is answered at once, by its SYN-ACK unless challenges are allowed. After it the host's
    clock leaps. The server closes, then the client. Returns the client.

    The server's close() has returned by then: what comes while it runs waits in the backlog of the
    socket, and is thrown away with that, the next SYN, too (__tcp_close(), tcp_fin())."""
    tsval = START - number * 100000
    options = MSS + WINDOW_SCALE + b'\1'
    stamp = timestamps(tsval) if stamped else b''
    peer = RawTcp(host, family.vip, 8000, isn=(START - number * 50000000) & 0xffffffff)
    peer.begin_anew(options + SACK_PERMITTED * stamped + stamp[2:], challenges=challenges)
    if stamped:
        stamp = timestamps(tsval + leap)
    peer.send('A', stamp)
    line = greeting(peer.own)
    equal(peer.read(len(line)), line, f'connection {number}: greeting')
    fin = peer.expect(lambda p: 'F' in p.flags, what='the server\'s FIN')
    peer.ack = (fin.seq + 1) & 0xffffffff
    until(lambda: len(server.ended) > number, what='the server has closed')
    peer.send('FA', stamp)
    peer.expect(lambda p: p.flags == 'A' and p.ack == peer.seq, what='the ACK of the FIN')
    return peer.own


def time_waits(host, family):
    """Sockets that the host keeps in TIME_WAIT."""
    table = host.proc_net('tcp6' if family.name == 'v6' else 'tcp')
    return sum(line.split()[3] == '06' for line in table.splitlines()[1:])


def through_one_port(t, family, mode, stamped):
    """Many connections through one port of the LIP; stamped(number): has it timestamps? One SYN
    each, and the first packet that comes is its SYN-ACK."""
    family.few_ports(t, PORT, PORT, service_options=f'--timestamps {mode}')
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_timewait', 300)   # nothing shall end by itself
    server = t.rs1.peer_server(8000, family=family.af, handler=says_and_closes)
    capture = t.rs1.capture()
    host = family.raw(t)
    asked = [short_connection(host, family, server, number, stamped(number))
             for number in range(CONNECTIONS)]
    equal(server.clients, asked, 'clients')
    equal(time_waits(t.rs1, family), 1, 'TIME_WAITs of the server')
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], stats['takeover_closed'], stats['conns_without_toa']),
          (CONNECTIONS, CONNECTIONS - 1, 0), 'conns, takeover_closed, conns_without_toa')
    packets = capture.packets()
    equal({packet.source for packet in packets if packet.dst == family.rs1},
          {(family.lip, PORT)}, 'sources at the server')
    equal([str(packet) for packet in packets if 'R' in packet.flags], [], 'RSTs')
    syns = [packet for packet in packets if packet.flags == 'S']
    equal(len(syns), CONNECTIONS, 'SYNs')
    check(all(0 < (after.seq - before.seq) & 0xffffffff < 1 << 31
              for before, after in zip(syns, syns[1:])), 'the ISNs run backwards')
    return syns


def test_backwards_with_timestamps(t, family):
    """ISNs and timestamps of each client are behind those of the one before."""
    syns = through_one_port(t, family, 'rewrite', lambda number: True)
    clock = [packet.timestamps[0] for packet in syns]
    check(all((after - before) & 0xffffffff < 1 << 31 for before, after in zip(clock, clock[1:])),
          f'the clock of the LIP runs backwards: {clock}')


def test_backwards_without_timestamps(t, family):
    """Only the sequence numbers tell new from old."""
    through_one_port(t, family, 'rewrite', lambda number: False)


def test_backwards_mixed(t, family):
    """Clients with timestamps and without in turn: a TIME_WAIT with a clock gets a SYN without
    one, and the other way round."""
    through_one_port(t, family, 'rewrite', lambda number: number % 2)


def test_backwards_stripped(t, family):
    """The service takes the timestamps out."""
    syns = through_one_port(t, family, 'strip', lambda number: True)
    equal([str(packet) for packet in syns if packet.timestamps], [], 'SYNs with timestamps')


def with_leap(t, family, leap, ports=1):
    """Connections through so many ports in turn, all with timestamps, the first one with a clock
    that leaps so far after its SYN. Returns the timestamps of the SYNs at the server, and the
    seconds that all this took."""
    family.few_ports(t, PORT, PORT + ports - 1)
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_timewait', 300)
    server = t.rs1.peer_server(8000, family=family.af, handler=says_and_closes)
    capture = t.rs1.capture()
    host = family.raw(t)
    began = time.monotonic()
    asked = [short_connection(host, family, server, number, True, leap=0 if number else leap)
             for number in range(6)]
    equal(server.clients, asked, 'clients')
    seconds = time.monotonic() - began
    return [packet.timestamps for packet in capture.packets() if packet.flags == 'S'], seconds


def test_fast_clock(t, family):
    """The clock of one client is faster than time: the LIP's clock is ahead of that afterwards,
    for all, and then goes on as time does."""
    clock, seconds = with_leap(t, family, 20000)
    clock = [stamp[0] for stamp in clock]
    steps = [(after - before) & 0xffffffff for before, after in zip(clock, clock[1:])]
    check(20000 < steps[0] < 30000 + seconds * 1000, f'first step: {steps}')
    check(sum(steps[1:]) < 50 + seconds * 1000, f'steps in {seconds:.1f} s: {steps}')


@each((600000, (1 << 31) - 10000))
def test_odd_clock(t, leap):
    """The clock of one client leaps by minutes or weeks: nobody follows it. The next ones at its
    port have no timestamps, which the server would not believe; those at the other port have."""
    stamps, seconds = with_leap(t, V4, leap, ports=2)
    equal(stamps[2::2], [None] * 2, 'timestamps of the next ones at the same port')
    clock = [stamp[0] for stamp in (stamps[0], *stamps[1::2])]
    steps = [(after - before) & 0xffffffff for before, after in zip(clock, clock[1:])]
    check(sum(steps) < 50 + seconds * 1000, f'steps in {seconds:.1f} s: {steps}')
    equal(t.lb.fullnat_stats()['timestamps_removed'], 2, 'timestamps_removed')


def test_fast_clock_again(t, family):
    """The next connection of the client whose clock was fast, from the same port: ip_vs takes it
    for the former one, and its clock goes on from there."""
    family.fullnat(t)
    t.lb.sysctl('net.ipv4.vs.conn_reuse_mode', 0)
    server = t.rs1.peer_server(8000, family=family.af, handler=says_and_closes)
    capture = t.rs1.capture()
    host = family.raw(t)
    RawTcp.ports = itertools.repeat(next(RawTcp.ports))
    asked = [short_connection(host, family, server, number, True, leap=20000) for number in range(3)]
    equal(server.clients, asked, 'clients')
    equal(len({packet.source for packet in capture.packets() if packet.dst == family.rs1}), 1,
          'sources at the server')


def test_backwards_passed(t, family):
    """The service passes the timestamps on as they are: a SYN whose clock is behind is answered
    by the server's TIME_WAIT, and ends that by its RST; the next one succeeds."""
    family.few_ports(t, PORT, PORT, service_options='--timestamps pass')
    server = t.rs1.peer_server(8000, family=family.af, handler=says_and_closes)
    capture = t.rs1.capture()
    host = family.raw(t)
    asked = [short_connection(host, family, server, number, True, challenges=1)
             for number in range(5)]
    equal(server.clients, asked, 'clients')
    syns = [packet for packet in capture.packets() if packet.flags == 'S']
    equal([packet.timestamps[0] for packet in syns],
          [START] + [START - number // 2 * 100000 for number in range(2, 10)],
          'clocks of the SYNs')


def answered(client, server, syn):
    """The server answers this SYN of the client's: its end of the connection."""
    end = RawTcp(server, syn.src, syn.sport, sport=8000)
    end.ack = syn.seq + 1
    end.send('SA', MSS)
    client.synack(client.expect(lambda p: p.flags == 'SA', what='the SYN-ACK'))
    client.send('A')
    end.expect(lambda p: p.flags == 'A', what='the ACK')
    return end


def close(client, end):
    """The server's end first."""
    end.send('FA')
    client.expect(lambda p: 'F' in p.flags, what='the FIN')
    client.ack = client.ack + 1 & 0xffffffff
    client.send('FA')
    end.expect(lambda p: 'F' in p.flags, what="the client's FIN")


def closed_connection(client, server):
    """By both, the server first. Returns the server's end, which could send its FIN again."""
    client.send('S', MSS)
    end = answered(client, server, until(lambda: server.receive(1), what='the SYN'))
    close(client, end)
    return end


def states_of(t, port):
    """Of the connections from this client's port."""
    return re.findall(rf'^TCP +[\d:]+ +(\w+) +\S+:{port} ', t.lb.run('ipvsadm -Lnc').out, re.M)


def test_late_fin(t, family):
    """The FIN of a former connection comes once more, right behind the next SYN from the same
    port of the client: ip_vs does not take it for one of the new connection."""
    server = RawHost(t.rs1, 'eth0', family.host(77), t.lb, 'inner')
    t.fullnat(8000, family=family, servers=(server.address,))
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 300)    # the server is sent no RSTs
    host = family.raw(t)
    for _ in range(20):
        client = RawTcp(host, family.vip, 8000)
        end = closed_connection(client, server)
        until(lambda c=client: states_of(t, c.sport) == ['TIME_WAIT'], what='TIME_WAIT')
        after = RawTcp(host, family.vip, 8000, sport=client.sport, isn=client.seq + 100000)
        syn = make_packet(host.address, family.vip, after.segment('S', MSS))
        fin = make_packet(server.address, end.remote[0], end.segment('FA', seq=end.seq - 1))
        host.send(syn)
        server.send(fin)
        until(lambda: (got := server.receive(1)) and 'S' in got.flags, what='the new SYN')
        until(lambda c=client: len(states_of(t, c.sport)) == 1, what='the former one is gone')
        equal(states_of(t, client.sport), ['SYN_RECV'], 'state of the new one')
    check(t.lb.fullnat_stats()['drop_stale_reply'], 'no FIN came in time')


def test_late_end(t, family):
    """The FIN of the port's former connection comes once more, or an RST, right behind the SYN
    of the next client: that one's connection is none the worse for it. It lives as long as one
    does, and when it has ended the port is free."""
    server = RawHost(t.rs1, 'eth0', family.host(77), t.lb, 'inner')
    family.few_ports(t, PORT, PORT, servers=(server.address,))
    host = family.raw(t)
    for count, late in enumerate(('FA', 'R', 'RA', 'A'), 1):
        former = closed_connection(RawTcp(host, family.vip, 8000), server)
        client = RawTcp(host, family.vip, 8000)
        client.send('S', MSS)
        syn = until(lambda: server.receive(1), what='the SYN')
        equal(syn.source, former.remote, f'{late}: source of the next SYN')
        server.send(make_packet(server.address, family.lip,
                                former.segment(late, seq=former.seq - ('F' in late))))
        end = answered(client, server, syn)
        equal(states_of(t, client.sport), ['ESTABLISHED'], f'{late}: state')
        close(client, end)
        equal(t.lb.fullnat_stats()['drop_stale_reply'], min(count, 3), f'{late}: drop_stale_reply')
    equal(t.lb.fullnat_stats()['drop_exhausted'], 0, 'drop_exhausted')


def test_last_ack_missing(t, family):
    """The client's ACK of the server's FIN has not come: the server is not done with the port,
    so nobody gets it. When it has come, the next SYN is answered at once."""
    family.few_ports(t, PORT, PORT)
    server = t.rs1.peer_server(8000, family=family.af, handler=waits_for_the_end)
    capture = t.rs1.capture()
    host = family.raw(t)
    first = RawTcp(host, family.vip, 8000).connect()
    line = greeting(first.own)
    equal(first.read(len(line)), line, 'greeting')
    first.send('FA')
    fin = first.expect(lambda p: 'F' in p.flags, what='the server\'s FIN')
    second = RawTcp(host, family.vip, 8000)
    second.send('S', seq=second.isn)
    until(lambda: t.lb.fullnat_stats()['drop_exhausted'] == 1, what='the SYN is dropped')
    until(lambda: server.ended, what='the server has closed')
    first.send('A', ack=fin.seq + 1)
    second.begin_anew(challenges=0)
    second.send('A')
    line = greeting(second.own)
    equal(second.read(len(line)), line, 'greeting of the second')
    equal(server.clients, [first.own, second.own], 'clients')
    packets = capture.packets()
    equal([str(packet) for packet in packets if 'R' in packet.flags], [], 'RSTs')
    equal({packet.source for packet in packets if packet.dst == family.rs1},
          {(family.lip, PORT)}, 'sources at the server')


def rewritten(outside, inside):
    """The server has a clock of its own kind, the client is echoed what it has sent."""
    sent = {packet.timestamps[0] for packet in outside if packet.dport == 8000}
    echoed = {packet.timestamps[1] for packet in outside
              if packet.sport == 8000 and 'R' not in packet.flags}
    check(echoed <= sent, f'echoes of what nobody sent: {sorted(echoed - sent)[:3]}')
    return not sent & {packet.timestamps[0] for packet in inside if packet.dport == 8000}


def passed(outside, inside):
    """What the client sends arrives, what is echoed as well."""
    return ([packet.timestamps for packet in outside if packet.flags == 'S'] ==
            [packet.timestamps for packet in inside if packet.flags == 'S'] and
            {packet.timestamps for packet in inside} == {packet.timestamps for packet in outside})


def stripped(outside, inside):
    """The client offers them in its SYN, and that is all."""
    return (all(packet.timestamps for packet in outside if packet.flags == 'S') and
            not any(packet.timestamps for packet in outside if packet.flags != 'S') and
            not any(packet.timestamps for packet in inside))


def test_timestamps(t, family):
    """What each mode does to a real client's timestamps, both ways, while data flow."""
    observe.real_wire(t)
    blob = os.urandom(100000)
    for mode, holds in (('', rewritten), ('--timestamps rewrite', rewritten),
                        ('--timestamps pass', passed), ('--timestamps strip', stripped)):
        service = family.fullnat(t, service_options=mode)
        server = t.rs1.peer_server(8000, family=family.af)
        capture, outside = t.rs1.capture(), t.client.capture()
        own, answer = t.client.ask(family.vip, 8000, blob)
        check(answer == greeting(own) + blob, f'{mode}: the echo differs')
        equal(server.clients, [own], f'{mode}: clients')
        packets = outside.packets(), capture.packets()
        check(holds(*packets), f'{mode}: not {holds.__name__}')
        server.close()
        t.lb.run(f'ipvsadm -D {service}')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')
