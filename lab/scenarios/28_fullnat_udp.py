# SPDX-License-Identifier: GPL-2.0
"""UDP: requests and answers, fragments, ports, and what cannot work.

Seen failing, each with a copy of the module that was broken like this:

  the checksum not updated: sizes_*
  a checksum that comes out as 0 sent as 0: zero_checksum_*
  an absent checksum updated as well: no_checksum
  what is too big never refused: small_mtu_*
  replies keep the port of the server: queries_*
  the states of an answered flow and of a conversation swapped: few_ports_*
  the service's timeout not applied: timeouts_v4; forgotten with a reply: timeouts_v6
  one-packet connections left to stock NAT: one_packet_*
  errors about datagrams left to the LB's own stack: port_unreachable_*
  errors of the client's side dropped: client_unreachable_v6
"""
import os
import socket
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.udp import UdpServer, ask_udp, received, udp_header, udp_service, udp_socket

PORT, SERVER_PORT = 5300, 5353


def service(t, family, **options):
    """The service of these scenarios: the servers have another port than the VIP."""
    return udp_service(t, family, PORT, server_port=SERVER_PORT, **options)


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
    service(t, family)
    servers = [UdpServer(host, SERVER_PORT, family) for host in t.servers]
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
    service(t, family, servers=(family.rs1,))
    observe.real_wire(t)
    server = UdpServer(t.rs1, SERVER_PORT, family)
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
def test_zero_checksum(t, family):
    """A datagram whose checksum comes out as 0 behind the LB has 0xffff there: 0 would say
    that it has none, which IPv6 forbids."""
    service(t, family, servers=(family.rs1,), lip_ports='30000-30000')
    observe.real_wire(t)
    UdpServer(t.rs1, SERVER_PORT, family)
    watched = t.rs1.capture()
    size = 8 + len(b'question..')
    summed = b''.join(socket.inet_pton(family.af, address) for address in (family.lip, family.rs1))
    summed += struct.pack('!IIHHHH', size, socket.IPPROTO_UDP, 30000, SERVER_PORT, size, 0)
    blob = b'question' + struct.pack('!H', pcap.checksum(summed + b'question'))
    with udp_socket(t.client, family) as sock:
        equal(ask_udp(sock, (family.vip, PORT), blob), blob[::-1], 'answer')
    equal(udp_header(watched, family, blob)[6:], b'\xff\xff', 'checksum of the request')


@each(FAMILIES)
def test_small_mtu(t, family):
    """A smaller MTU on either side: the sender learns it, later datagrams pass in fragments."""
    service(t, family, servers=(family.rs1,))
    UdpServer(t.rs1, SERVER_PORT, family)
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
    service(t, family, servers=(family.rs1,))
    with udp_socket(t.client, family) as sock:
        sock.connect((family.vip, PORT))
        sock.send(b'anybody there?')
        equal(received(sock), 'refused', 'what the client gets')
    equal(t.lb.fullnat_stats()['icmp_to_client'], 1, 'icmp_to_client')
    check_no_drops(t)


@each(FAMILIES)
def test_client_unreachable(t, family):
    """The client has closed its socket when the answer comes: the server is told so."""
    service(t, family, servers=(family.rs1,))
    server = t.rs1.socket(family.af, socket.SOCK_DGRAM)
    server.bind((family.rs1, SERVER_PORT))
    server.settimeout(30)
    sock = udp_socket(t.client, family)
    sock.sendto(b'question', (family.vip, PORT))
    _, peer = server.recvfrom(100)
    sock.close()
    server.connect(peer)
    server.send(b'answer')
    equal(received(server), 'refused', 'what the server gets')
    equal(t.lb.fullnat_stats()['icmp_to_rs'], 1, 'icmp_to_rs')


@each(FAMILIES)
def test_few_ports(t, family):
    """Ten local ports for 200 exchanges: finished ones give way; a conversation that goes on
    keeps its port, beside one-way flows as well."""
    service(t, family, servers=(family.rs1,), lip_ports='30000-30009')
    server = UdpServer(t.rs1, SERVER_PORT, family)
    talker = udp_socket(t.client, family)
    for _ in range(3):
        ask_udp(talker, (family.vip, PORT), b'talk')
    mine = server.peers[0]
    for number in range(200):
        question = b'%d' % number
        with udp_socket(t.client, family) as sock:
            equal(ask_udp(sock, (family.vip, PORT), question), question[::-1], 'answer')
        if number % 50 == 49:
            ask_udp(talker, (family.vip, PORT), b'talk')
            equal(server.peers[-1], mine, 'local port of the conversation')
    stats = t.lb.fullnat_stats()
    # a client's port that is drawn again while its flow is there is no new connection
    check(stats['conns'] > 190, 'connections')
    equal(stats['takeover_closed'], stats['conns'] - 10, 'ports of finished exchanges taken over')
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
        return [left for _, left in observe.timeouts(t.lb, 'UDP')]

    name = service(t, family, servers=(family.rs1,))
    UdpServer(t.rs1, SERVER_PORT, family)
    with udp_socket(t.client, family) as sock:
        ask_udp(sock, (family.vip, PORT), b'query')
        check(20 <= timeouts()[0] <= 30, f'after an exchange: {timeouts()}')
        ask_udp(sock, (family.vip, PORT), b'talk')
        check(290 - 20 <= timeouts()[0] <= 300, f'of a conversation: {timeouts()}')
    t.lb.run(f'ipvsadm -E {name} -s rr --fullnat --conn-timeout 60')
    with udp_socket(t.client, family, 20000) as sock:
        for _ in range(2):
            ask_udp(sock, (family.vip, PORT), b'talk')
        check(any(40 <= left <= 60 for left in timeouts()), f'with its own: {timeouts()}')


def test_no_checksum(t):
    """IPv4 datagrams without a checksum stay without one."""
    service(t, V4, servers=(RS1,))
    server = UdpServer(t.rs1, SERVER_PORT, V4)
    watched = t.rs1.capture(snaplen=65535)
    with udp_socket(t.client, V4) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 11, 1)       # SO_NO_CHECK
        equal(ask_udp(sock, (VIP, PORT), b'unchecked'), b'dekcehcnu', 'answer')
    equal(len(server.peers), 1, 'queries')
    equal(udp_header(watched, V4, b'unchecked')[6:], b'\0\0', 'checksum of the request')


@each(FAMILIES)
def test_one_packet(t, family):
    """One-packet scheduling cannot be FULLNAT: a service of another client of ip_vs that has
    it drops and counts, and no client's address reaches the server."""
    name = service(t, family, servers=(family.rs1,))
    t.lb.run(f'/usr/sbin/ipvsadm -E {name} -s rr -o')
    server = UdpServer(t.rs1, SERVER_PORT, family)
    with udp_socket(t.client, family) as sock:
        sock.sendto(b'lost', (family.vip, PORT))
        until(lambda: t.lb.fullnat_stats()['drop_one_packet'] == 1, what='counted')
    t.lb.run(f'/usr/sbin/ipvsadm -E {name} -s rr')
    with udp_socket(t.client, family) as sock:
        equal(ask_udp(sock, (family.vip, PORT), b'now'), b'won', 'answer')
    equal({address for address, _ in server.peers}, {family.lip}, 'who asks the server')
