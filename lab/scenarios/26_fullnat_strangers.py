# SPDX-License-Identifier: GPL-2.0
"""Firewalls, conntrack, and packets that nobody asked for.

Seen failing, each with a copy of the modules that was broken like this:

  packets not marked as untracked: firewall
  strangers' packets left to the local stack: lip_without_flow, vip_without_connection
  the same, but UDP only: daemons_behind_lip
  a SYN with another ISN changes the live connection at once: spoofed_syn
  no difference between what a default entry's service knows and strangers, or sockets of this
    host not looked for: default_entry_without_connection
  the client's port in the TOA off by one: tuple_used_again, client_restarts
"""
import os
import socket
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.firewall import check_unnoticed, strict_nft
from lib.observe import fast
from lib.rawtcp import RawHost, RawTcp
from lib.traffic import echo, greeted
from lib.udp import UdpServer, ask_udp

RAW_CLIENT = '198.51.100.77'


def test_firewall(t):
    """conntrack, `ct state invalid drop` everywhere, and an INPUT policy that admits the
    VIP's port only: our traffic does not notice, nor does conntrack notice our traffic."""
    t.fullnat(8000)
    t.lb.nft(strict_nft(V4, 'tcp'))
    servers = [server.peer_server(8000) for server in t.servers]
    blob = os.urandom(1 << 20)
    for number in range(20):
        sock = t.client.connect(VIP, 8000)
        greeted(sock)
        echo(sock, blob if number < 2 else b'x')
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        sock.close()
    with t.client.connect(VIP, 8000) as sock:
        greeted(sock)
        sock.shutdown(socket.SHUT_WR)
        equal(sock.recv(1), b'', 'after the FIN')
    equal(sum(len(server.clients) for server in servers), 21, 'connections')
    check_unnoticed(t)
    equal(observe.tcp_counters(t.client)['TCPSynRetrans'], 0, 'SYNs sent again')


def answers_to(host, probe):
    """Everything that came for this host before the answer to the last, honest packet."""
    seen = []
    while True:
        packet = host.receive(10)
        check(packet, 'no answer to the honest packet')
        if packet.dport == probe:
            return seen
        seen.append(packet)


def stray_packets(host, address, ports, flags):
    """One of each."""
    for port in ports:
        for bits in flags:
            RawTcp(host, address, port).send(bits)


def test_lip_without_flow(t, family):
    """What comes to a LIP and belongs to no flow is dropped and counted: no RST, and no way
    to the LB's own servers. Its own addresses work as ever."""
    t.fullnat(8000, family=family, lips=(family.lip, family.lip2))
    for port in (22, 2222):
        t.lb.peer_server(port, family=family.af)
    host = RawHost(t.rs1, 'eth0', family.host(77), t.lb, 'inner')
    flags = ('S', 'SA', 'A', 'PA', 'FA', 'R', 'RA')
    stray_packets(host, family.lip, (2222, 1025, 40000, 65535), flags)
    equal(t.lb.fullnat_stats()['drop_no_flow'], 4 * len(flags), 'drop_no_flow')
    stray_packets(host, family.lip2, (22,), ('S', 'A'))
    probe = RawTcp(host, family.lb_inner, 2222)
    probe.send('S')
    answers = [str(packet) for packet in answers_to(host, probe.sport)]
    equal(answers, [], 'answers of the LIPs')
    own, answer = t.rs1.ask(family.lb_inner, 2222, b'x')
    equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'the LB\'s own server')


DAEMON = 2053       # a port that is a LIP's, too


def test_daemons_behind_lip(t, family):
    """The LB's own daemons, TCP and UDP, bound to every address: from either side, whole or in
    fragments, nothing reaches them through a LIP; through the LB's own address it does."""
    family.fullnat(t)
    daemons = UdpServer(t.lb, DAEMON, family), t.lb.peer_server(DAEMON, family=family.af)
    honest = []
    for host, own in ((t.client, family.lb_outer), (t.rs1, family.lb_inner)):
        done = host.run(f'nc -z -w 1 {family.lip} {DAEMON}', check=False)
        check(done.rc, f'{host}: connected to the LIP')
        with host.socket(family.af, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            for size in (1, 3000):
                sock.sendto(bytes(size), (family.lip, DAEMON))
            equal(ask_udp(sock, (own, DAEMON), b'honest'), b'tsenoh', 'answer')
            honest.append(sock.getsockname()[1])
        equal(host.ask(own, DAEMON, b'x')[1][-1:], b'x', 'answer of the LB itself')
    equal([port for _, port in daemons[0].peers], honest, 'datagrams that were received')
    equal(len(daemons[1].clients), 2, 'connections that were accepted')
    dropped = t.lb.fullnat_stats()['drop_no_flow']
    check(dropped >= 2 * 3, f'drop_no_flow is {dropped}: two datagrams and a SYN each')


def test_vip_without_connection(t, family):
    """What comes to the VIP, is no SYN and belongs to no connection is dropped and counted:
    no RST, which would kill what another LB still knows."""
    t.fullnat(8000, family=family)
    for server in t.servers:
        server.peer_server(8000, family=family.af)
    watched = [server.capture() for server in t.servers]
    host = family.raw(t)
    flags = ('SA', 'A', 'PA', 'FA', 'R', 'RA', 'FPU', '')
    stray_packets(host, family.vip, (8000,), flags)
    equal(t.lb.fullnat_stats()['drop_no_conn'], len(flags), 'drop_no_conn')
    probe = RawTcp(host, family.vip, 8000)
    probe.send('S')
    equal([str(packet) for packet in answers_to(host, probe.sport)], [], 'answers')
    reached = {packet.source for capture in watched for packet in capture.packets()
               if packet.dst in family.servers}
    equal(len(reached), 1, 'connections at the real servers')


def test_default_entry_without_connection(t, family):
    """The same where only a prefix says that the VIP is ours. Programs of the LB itself, and
    connections of theirs, are not touched."""
    length = 24 if family is V4 else 64
    prefix = '203.0.113.0' if family is V4 else '2001:db8:f::'
    t.lb.run(f'ipvsadm -E --vips {prefix}/{length} --fullnat')
    t.lb.run(f'ipvsadm -A {family.service(8000)} -s rr')
    own = t.lb.peer_server(2222, family=family.af)
    with t.client.connect(family.vip, 2222, source=family.client) as sock:
        greeted(sock)
        host = family.raw(t)
        flags = ('SA', 'A', 'PA', 'FA', 'R', 'RA', 'FPU', '')
        stray_packets(host, family.vip, (8000,), flags)
        equal(t.lb.fullnat_stats()['drop_no_conn'], len(flags), 'drop_no_conn')
        stray_packets(host, family.vip, (2222,), ('A',))    # its socket answers
        probe = RawTcp(host, family.vip, 2222)
        probe.send('S')
        equal([packet.flags for packet in answers_to(host, probe.sport)], ['R'], 'answers')
        echo(sock)
    equal(len(own.clients), 1, 'clients of the LB itself')
    equal(observe.drops(t.lb), {'drop_no_conn': len(flags)}, 'drops')


def test_default_entry_local_client(t, family):
    """A program of the LB itself has a connection to a VIP that is plain NAT. A default entry
    for the VIP comes later: live connections go on as they are."""
    service = family.service(8000)
    t.lb.run(f'ipvsadm -A {service} -s rr')
    t.lb.run(f'ipvsadm -a {service} -r {address_port(family.rs1, 8000)} -m')
    t.rs1.peer_server(8000, family=family.af)
    t.rs1.run(f'ip route add {family.vip} via {family.lb_inner}')
    with t.lb.connect(family.vip, 8000, source=family.vip) as sock:
        greeted(sock)
        t.lb.run(f'ipvsadm -E --vips {family.vip}/{family.host_length} --fullnat')
        for _ in range(5):
            echo(sock)
    equal(observe.drops(t.lb), {}, 'drops')


def await_fast(t, sock):
    """Both directions of the connection take the fast path."""
    before = fast(t)
    until(lambda: echo(sock) or all(new > old for new, old in zip(fast(t), before)), 10,
          'the fast path')


def spoof(t, family, port, times=1):
    """A SYN with a number of its own in the name of the client's live connection from this
    port, sent so often."""
    host = family.raw(t)
    host.address = family.client
    spoofed = RawTcp(host, family.vip, 8000, sport=port)
    for _ in range(times):
        spoofed.send('S', seq=spoofed.isn)


def check_spoofed(t, count):
    """All these SYNs were one connection's, which has never begun anew."""
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], stats['syn_pending'], stats['syn_committed']), (1, count, 0),
          'conns, syn_pending, syn_committed')
    equal(observe.drops(t.lb), {}, 'drops')


def test_spoofed_syn(t, family):
    """SYNs with other numbers on a live connection, from who knows its tuple: it goes on, as
    fast as before."""
    t.fullnat(8000, family=family, servers=(family.rs1,))
    server = t.rs1.peer_server(8000, family=family.af)
    with t.client.connect(family.vip, 8000, source=family.client, source_port=45000) as sock:
        greeted(sock)
        await_fast(t, sock)
        with_toa = t.lb.fullnat_stats()['toa_packets']
        for number in range(10):
            # one of them is sent twice: it is the same pending SYN
            spoof(t, family, 45000, 1 + (number == 0))
            echo(sock, os.urandom(20000))
            equal(observe.ipvs_state(t.lb, 45000), 'ESTABLISHED', 'state of ip_vs')
        await_fast(t, sock)
        equal(t.lb.fullnat_stats()['toa_packets'], with_toa, 'packets with TOA')
        sock.shutdown(socket.SHUT_WR)
        equal(sock.recv(1), b'', 'after the FIN')
    check_spoofed(t, 10)
    equal(server.clients, [(family.client, 45000)], 'clients')


class HalfClosed:
    """A connection that one side has closed; the other one goes on sending. Both ends are the
    scenario's."""

    def __init__(self, t, family, port, closed_by_client):
        accepted, self.over = [], threading.Event()

        def serve(sock, seen):
            sock.sendall(greeting(seen.peername))
            accepted.append(sock)
            self.over.wait()

        t.rs1.peer_server(8000, family=family.af, handler=serve)
        client = t.client.connect(family.vip, 8000, source=family.client, source_port=port)
        greeted(client)
        until(lambda: accepted, what='the server has accepted')
        ends = client, accepted[0]
        self.closed, self.open = ends if closed_by_client else ends[::-1]
        self.closed.shutdown(socket.SHUT_WR)
        self.open.settimeout(30)
        equal(self.open.recv(1), b'', 'what the other side reads')

    def pass_on(self, data):
        """From the side that is open to the other one."""
        self.open.sendall(data)
        check(read_until(self.closed, len(data)) == data, 'the data differ')

    def end(self):
        """The other side closes, too."""
        self.open.shutdown(socket.SHUT_WR)
        equal(self.closed.recv(1), b'', 'after the other FIN')
        self.over.set()


@each([f'{family}_{side}' for family in FAMILIES for side in ('client', 'server')])
def test_spoofed_syn_half_closed(t, value):
    """The same when the client, or the server, has closed and the other one still sends. For
    ip_vs it is a new connection for a moment, and with the next packet an open one."""
    name, side = value.split('_')
    family = V4 if name == 'v4' else V6
    t.fullnat(8000, family=family, servers=(family.rs1,))
    conn = HalfClosed(t, family, 45000, side == 'client')
    state = {'client': 'CLOSE_WAIT', 'server': 'FIN_WAIT'}[side]
    until(lambda: observe.ipvs_state(t.lb, 45000) == state, 10, f'{state} at ip_vs')
    conn.pass_on(os.urandom(20000))
    for _ in range(5):
        spoof(t, family, 45000)
        conn.pass_on(os.urandom(20000))
        equal(observe.ipvs_state(t.lb, 45000), 'ESTABLISHED', 'state of ip_vs')
    conn.end()
    until(lambda: observe.ipvs_state(t.lb, 45000) != 'ESTABLISHED', 10, 'the end at ip_vs')
    print(f'# in the end: {observe.timeouts(t.lb)}', flush=True)
    check_spoofed(t, 5)
    equal(t.rs1.toa_stats()['stored'], 1, 'stored by toa')


def test_odd_flags(t, family):
    """Flags that no host sends, on a live connection: the server ignores them, but ip_vs would
    take each for its end. And a SYN from port 0, which no host has."""
    family.fullnat(t, servers=(family.rs1,))
    t.rs1.peer_server(8000, family=family.af)
    host, flags = family.raw(t), ('SR', 'SRA', 'SA', '', 'P', 'F', 'U')
    peer = RawTcp(host, family.vip, 8000).connect()
    peer.read(len(greeting(peer.own)))
    for letters in flags:
        peer.send(letters, seq=peer.seq + 100)
        equal(observe.ipvs_state(t.lb, peer.sport), 'ESTABLISHED', f'after {letters!r}')
    peer.send('PA', b'', b'still here')
    equal(peer.read(10), b'still here', 'echo')
    RawTcp(host, family.vip, 8000, sport=0).send('S')
    until(lambda: len(observe.drops(t.lb)) > 1, what='the SYN is dropped')
    equal(observe.drops(t.lb), {'drop_malformed': len(flags), 'drop_no_conn': 1}, 'drops')


def test_tuple_used_again(t):
    """The same client port again as soon as the last connection is over, by FIN or by RST:
    a new connection each time, without delay."""
    t.fullnat(8000)
    servers = [server.peer_server(8000) for server in t.servers]
    for number in range(20):
        sock = t.client.connect(VIP, 8000, source_port=46000)
        greeted(sock)
        if number % 2:
            # the server closes first, so that the client keeps no TIME_WAIT
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        else:
            echo(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            sock.shutdown(socket.SHUT_WR)
            equal(sock.recv(1), b'', 'after the FIN')
        sock.close()
    equal([client for server in servers for client in server.clients], [(CLIENT, 46000)] * 20,
          'clients')
    equal(observe.tcp_counters(t.client)['TCPSynRetrans'], 0, 'SYNs sent again')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')


def test_client_restarts(t):
    """A client that has lost its connection begins anew on the same tuple, as a host does:
    SYN, RST to the challenge that comes, SYN again. The new connection has its own TOA."""
    t.fullnat(8000, servers=(RS1,))
    server = t.rs1.peer_server(8000)
    host = RawHost(t.client, 'eth0', RAW_CLIENT, t.lb, 'outer')
    old = RawTcp(host, VIP, 8000, sport=47000).connect()
    line = f'{RAW_CLIENT} 47000\n'.encode()
    equal(old.read(len(line)), line, 'greeting')
    new = RawTcp(host, VIP, 8000, sport=47000)
    new.send('S', seq=new.isn)
    challenge = new.expect(lambda p: p.flags == 'A', what='a challenge')
    equal(challenge.ack, old.seq, 'the challenge\'s ack, in the client\'s numbers')
    new.send('R', seq=challenge.ack)
    new.connect()
    equal(new.read(len(line)), line, 'greeting of the new connection')
    new.send('PA', payload=b'new')
    equal(new.read(3), b'new', 'echo')
    new.reset()
    until(lambda: server.clients == [(RAW_CLIENT, 47000)] * 2, what='two connections')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')
    equal(t.rs1.toa_stats()['stored'], 2, 'stored by toa')
