# SPDX-License-Identifier: GPL-2.0
"""UDP: requests and answers, fragments, ports, and what cannot work.

Seen failing, each with a copy of the module that was broken like this:

  @FAIL@
"""
import os
import re
import socket

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.udp import UdpServer, ask_udp, udp_service, udp_socket

PORT = 5300


def check_no_drops(t):
    """The LB dropped nothing."""
    equal(observe.drops(t.lb), {}, 'drops')


def local_ports(server):
    """(address, port) that the server saw, in order, each once."""
    return list(dict.fromkeys(server.peers))


@each(FAMILIES)
def test_queries(t, family):
    """200 DNS-like exchanges from as many ports, round robin over both real servers: each
    client gets its own answer, from the VIP; servers see a local address."""
    udp_service(t, family, PORT)
    servers = [UdpServer(host, PORT, family) for host in t.servers]
    for number in range(200):
        with udp_socket(t.client, family, port=20000 + number) as sock:
            question = b'query %d' % number
            equal(ask_udp(sock, (family.vip, PORT), question), question[::-1], 'answer')
    equal([len(server.peers) for server in servers], [100, 100], 'queries')
    for server in servers:
        equal({address for address, _ in server.peers}, {family.lip}, 'who asks the servers')
        equal(len(local_ports(server)), 100, 'ports that asked a server')
    equal(t.lb.fullnat_stats()['conns'], 200, 'conns')
    check_no_drops(t)


@each(FAMILIES)
def test_sizes(t, family):
    """One byte to 60 kB each way, in fragments where they must be, checksums right."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    observe.real_wire(t)
    server = UdpServer(t.rs1, PORT, family)
    watched = t.rs1.capture(snaplen=65535)
    with udp_socket(t.client, family) as sock:
        for size in (1, 100, 1452, 1472, 1473, 8192, 60000):
            blob = os.urandom(size)
            check(ask_udp(sock, (family.vip, PORT), blob) == blob[::-1], f'{size} bytes')
    equal(len(local_ports(server)), 1, 'a conversation keeps its local port')
    lengths = [len(frame) - 14 for frame in observe.frames(watched)]
    check(max(lengths) <= 1500, f'packets of {max(lengths)} bytes')
    check(sum(length > 1400 for length in lengths) >= 80, 'the large ones came in fragments')
    check_no_drops(t)


@each(FAMILIES)
def test_small_mtu(t, family):
    """A smaller MTU on either side: the sender learns it, later datagrams pass in fragments."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    UdpServer(t.rs1, PORT, family)
    for host, device in ((family.rs1, 'inner'), (family.client, 'outer')):
        t.lb.run(f'ip route add {host}/{family.host_length} dev {device} mtu 1300')
        with udp_socket(t.client, family) as sock:
            # Linux sets DF as long as a datagram fits into the path's MTU as it knows it
            blob = os.urandom(1400)
            check(ask_udp(sock, (family.vip, PORT), blob, again=5) == blob[::-1], device)
    stats = t.lb.fullnat_stats()
    check(stats['icmp_toobig_client'] >= 1 and stats['icmp_toobig_rs'] >= 1,
          f'told: {stats["icmp_toobig_client"]}, {stats["icmp_toobig_rs"]}')


@each(FAMILIES)
def test_port_unreachable(t, family):
    """Nobody listens at the real server: the client's socket is told so."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    with udp_socket(t.client, family) as sock:
        sock.connect((family.vip, PORT))
        sock.send(b'anybody there?')
        try:
            answer = sock.recv(100)
        except ConnectionRefusedError:
            answer = 'refused'
        equal(answer, 'refused', 'what the client gets')
    equal(t.lb.fullnat_stats()['icmp_to_client'], 1, 'icmp_to_client')
    check_no_drops(t)


@each(FAMILIES)
def test_client_unreachable(t, family):
    """The client has closed its socket when the answer comes: the server is told so."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    server = t.rs1.socket(family.af, socket.SOCK_DGRAM)
    server.bind((family.rs1, PORT))
    server.settimeout(30)
    sock = udp_socket(t.client, family)
    sock.sendto(b'question', (family.vip, PORT))
    _, peer = server.recvfrom(100)
    sock.close()
    server.connect(peer)
    server.send(b'answer')
    try:
        got = server.recv(100)
    except ConnectionRefusedError:
        got = 'refused'
    equal(got, 'refused', 'what the server gets')
    equal(t.lb.fullnat_stats()['icmp_to_rs'], 1, 'icmp_to_rs')


@each(FAMILIES)
def test_few_ports(t, family):
    """Ten local ports for 200 exchanges: finished ones give way, a conversation that goes on
    keeps its port, and one-way flows have a share only."""
    udp_service(t, family, PORT, servers=(family.rs1,), lip_ports=(30000, 30009))
    server = UdpServer(t.rs1, PORT, family)
    talker = udp_socket(t.client, family)
    for _ in range(3):
        ask_udp(talker, (family.vip, PORT), b'talk')
    mine = server.peers[0]
    for number in range(200):
        with udp_socket(t.client, family) as sock:
            equal(ask_udp(sock, (family.vip, PORT), b'%d' % number), (b'%d' % number)[::-1], 'answer')
        if number % 50 == 49:
            ask_udp(talker, (family.vip, PORT), b'talk')
            equal(server.peers[-1], mine, 'local port of the conversation')
    check(t.lb.fullnat_stats()['takeover_closed'] >= 190, 'ports of finished exchanges taken over')
    check_no_drops(t)
    server.silent = True
    for number in range(40):
        with udp_socket(t.client, family) as sock:
            sock.sendto(b'one way', (family.vip, PORT))
    server.silent = False
    ask_udp(talker, (family.vip, PORT), b'talk')
    equal(server.peers[-1], mine, 'local port of the conversation')


@each(FAMILIES)
def test_timeouts(t, family):
    """An exchange has the short timeout, a conversation that of ip_vs, or the service's own."""
    def timeouts():
        table = t.lb.run('ipvsadm -Lcn').out
        return [int(m) * 60 + int(s) for m, s in re.findall(r'^UDP +(\d+):(\d+)', table, re.M)]

    udp_service(t, family, PORT, servers=(family.rs1,))
    UdpServer(t.rs1, PORT, family)
    with udp_socket(t.client, family) as sock:
        ask_udp(sock, (family.vip, PORT), b'query')
        check(20 <= timeouts()[0] <= 30, f'after an exchange: {timeouts()}')
        ask_udp(sock, (family.vip, PORT), b'talk')
        check(290 - 20 <= timeouts()[0] <= 300, f'of a conversation: {timeouts()}')
    t.lb.run(f'ipvsadm -E {family.service(PORT, protocol="udp")} -s rr --fullnat --conn-timeout 60')
    with udp_socket(t.client, family) as sock:
        for _ in range(2):
            ask_udp(sock, (family.vip, PORT), b'talk')
        check(any(40 <= left <= 60 for left in timeouts()), f'with its own: {timeouts()}')


def test_no_checksum(t):
    """IPv4 datagrams without a checksum stay without one."""
    udp_service(t, V4, PORT, servers=(RS1,))
    server = UdpServer(t.rs1, PORT, V4)
    watched = t.rs1.capture(snaplen=65535)
    with udp_socket(t.client, V4) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 11, 1)       # SO_NO_CHECK
        equal(ask_udp(sock, (VIP, PORT), b'unchecked'), b'dekcehcnu', 'answer')
    equal(len(server.peers), 1, 'queries')
    request = next(frame for frame in observe.frames(watched) if b'unchecked' in frame)
    equal(request[14 + 20 + 6:14 + 20 + 8], b'\0\0', 'checksum of the request')


@each(FAMILIES)
def test_one_packet(t, family):
    """One-packet scheduling cannot be FULLNAT: a service of another client of ip_vs that has
    it drops and counts, and no client's address reaches the server."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    service = family.service(PORT, protocol='udp')
    t.lb.run(f'/usr/sbin/ipvsadm -E {service} -s rr -o')
    server = UdpServer(t.rs1, PORT, family)
    with udp_socket(t.client, family) as sock:
        sock.sendto(b'lost', (family.vip, PORT))
        until(lambda: t.lb.fullnat_stats()['drop_one_packet'] == 1, what='counted')
    t.lb.run(f'/usr/sbin/ipvsadm -E {service} -s rr')
    with udp_socket(t.client, family) as sock:
        equal(ask_udp(sock, (family.vip, PORT), b'now'), b'won', 'answer')
    equal({address for address, _ in server.peers}, {family.lip}, 'who asks the server')
