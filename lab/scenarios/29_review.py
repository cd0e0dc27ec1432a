# SPDX-License-Identifier: GPL-2.0
"""What reviews of the data path have found: packets that no ordinary host sends.

Seen failing:

  tcp_in_fragments_v6      6.1, the module before ff4fb42: skb_checksum_help() warns, panic
  udp_subscription, udp_late_answer   with a copy of the module for which UDP is always closed
  same_packet_twice_*_tcp  without the twin's flow: an ACK was dropped in three of four runs;
      without what ip_vs has done for the twin: half-open for ever, in two of four
  same_packet_twice_*_udp  without the twin's flow of UDP: the next datagram was dropped
"""
import os
import socket
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe, trace
from lib.race import send_twice
from lib.rawtcp import MSS, RawTcp, make_packet
from lib.segments import answer_to, check_segments, full_payload, requests_of, whole_request
from lib.udp import UdpServer, datagram, udp_service, udp_socket


@each(FAMILIES)
def test_tcp_in_fragments(t, family):
    """A segment that comes in IP fragments and is too long for the wire to the server, or
    becomes it by the TOA, leaves as segments that each carry the TOA (it was a panic)."""
    observe.real_wire(t)
    host = family.raw(t)
    for port, size in ((8000, 2000), (8001, full_payload(family, b''))):
        blob = os.urandom(size)
        family.fullnat(t, port)
        t.rs1.peer_server(port, family=family.af, handler=whole_request(size))
        capture = t.rs1.capture(snaplen=65535)
        peer = RawTcp(host, family.vip, port).connect()
        peer.send('PA', payload=blob, fragment=1000)
        wanted = answer_to(blob, peer.own)
        equal(peer.read(len(wanted)), wanted, 'answer')
        packets, first_seq = requests_of(capture, family)
        check_segments(packets, peer.own, blob, first_seq, True)
        peer.reset()
    equal(observe.drops(t.lb), {}, 'drops')
    equal(t.lb.fullnat_stats()['toa_split'], 2, 'toa_split')


def silent_server(t, family, port):
    """A UDP socket of rs1 that answers when the scenario says so."""
    sock = t.rs1.socket(family.af, socket.SOCK_DGRAM)
    sock.bind((family.rs1, port))
    sock.settimeout(10 * basics.SCALE)
    return sock


@each(FAMILIES)
def test_udp_subscription(t, family):
    """One request, many datagrams back: however short of ports the LB is, all of them reach
    who has asked for them, and nobody else."""
    udp_service(t, family, 5300, servers=(family.rs1,), lip_ports='30000-30003')
    server = silent_server(t, family, 5300)
    with udp_socket(t.client, family) as subscriber:
        subscriber.sendto(b'subscribe', (family.vip, 5300))
        _, whom = server.recvfrom(100)
        for number in range(3):
            server.sendto(b'%d' % number, whom)
            equal(subscriber.recv(100), b'%d' % number, 'what the subscriber gets')
        for number in range(8):
            with udp_socket(t.client, family) as other:
                other.sendto(b'question', (family.vip, 5300))
                _, peer = server.recvfrom(100)
                check(peer != whom, f'number {number} has the subscriber\'s port')
                server.sendto(b'answer', peer)
                equal(other.recv(100), b'answer', 'what the others get')
        server.sendto(b'last', whom)
        equal(subscriber.recv(100), b'last', 'what the subscriber gets')


@each(FAMILIES)
def test_udp_late_answer(t, family):
    """A server thinks for a second while others want the client's port: they are refused, and
    its answer reaches the client."""
    udp_service(t, family, 5300, servers=(family.rs1,), lip_ports='30000-30000')
    server = silent_server(t, family, 5300)
    with udp_socket(t.client, family) as first, udp_socket(t.client, family) as second:
        first.sendto(b'hard question', (family.vip, 5300))
        _, whom = server.recvfrom(100)
        # longer than a client has to answer a SYN-ACK
        enough = time.monotonic() + 0.4
        until(lambda: second.sendto(b'question', (family.vip, 5300)) and
              time.monotonic() > enough and t.lb.fullnat_stats()['drop_exhausted'] >= 2,
              what='time passes, and the others are refused')
        server.sendto(b'answer', whom)
        equal(first.recv(100), b'answer', 'what the first one gets')


TWICE = [f'{family}_{protocol}' for family in FAMILIES for protocol in ('tcp', 'udp')]
TWINS = 15


def first_packets(host, family, protocol, numbers):
    """{client's port: its first packet}; those of TCP with the peers that have made them."""
    if protocol == 'udp':
        return {20000 + number: (datagram((host.address, 20000 + number), (family.vip, 8000),
                                          b'%d' % (20000 + number)), None) for number in numbers}
    peers = [RawTcp(host, family.vip, 8000, sport=20000 + number) for number in numbers]
    return {peer.sport: (make_packet(host.address, family.vip, peer.segment('S', MSS)), peer)
            for peer in peers}


def twin_count(t):
    """Connections that IPVS has made beyond those that are there: of packets that met. (What
    ipvsadm shows can be two seconds old.)"""
    cpus = t.lb.proc_net('ip_vs_stats_percpu').partition('~')[0].splitlines()[2:]
    made = sum(int(line.split()[1], 16) for line in cpus if line.strip())
    return made - t.lb.fullnat_stats()['conns']


def twins(t, host, family, protocol):
    """New connections whose first packet comes twice at once, until the LB has met some whose
    twin was on its way already. Their ports, and the peers."""
    peers = {}
    deadline = time.monotonic() + 20 * basics.SCALE
    while twin_count(t) < TWINS and time.monotonic() < deadline:
        made = first_packets(host, family, protocol, range(len(peers), len(peers) + 10))
        send_twice(host, [packet for packet, _ in made.values()])
        peers.update((port, peer) for port, (_, peer) in made.items())
    return peers


def check_answers(t, host, family, peers):
    """Whom the server has answered goes on, and is open with the ACK alone; the server knows all
    of them by name."""
    answers = {}
    while not all(port in answers for port in peers):
        packet = host.receive(10)
        check(packet, 'not all were answered')
        answers[packet.dport] = packet
    for port, peer in peers.items():
        peer.synack(answers[port])
        peer.send('A')
    until(lambda: not observe.laddr(t.lb, family.lip)['half_open'], 10, 'none is half-open')
    until(lambda: {state for state, _ in observe.timeouts(t.lb)} == {'ESTABLISHED'}, 10,
          'all are open for IPVS, and no twin is left')
    for peer in peers.values():
        peer.send('PA', payload=b'?')
        line = greeting(peer.own) + b'?'
        equal(peer.read(len(line)), line, 'answer')
        peer.reset()


def ask_once_more(t, host, family, ports):
    """Who has had an answer goes on, and has another one."""
    for port in ports:
        host.send(datagram((host.address, port), (family.vip, 8000), b'once more'))
        packet = host.receive(10)
        while packet and (packet.dport, packet.payload) != (port, b'once more'[::-1]):
            packet = host.receive(10)   # first answers
        check(packet, f'no second answer for {port}')


@each(TWICE)
def test_same_packet_twice(t, value):
    """The first packet of a connection, sent again by a client that is impatient or doubled by
    the network, meets itself on another CPU: it is one connection, with one local port, and
    goes on as such."""
    name, protocol = value.split('_')
    family = V4 if name == 'v4' else V6
    t.fullnat(8000, family=family, service=family.service(8000, protocol=protocol),
              servers=(family.rs1,))
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 300)
    if protocol == 'tcp':
        t.rs1.peer_server(8000, family=family.af, backlog=4096, speaks_first=False)
    else:
        UdpServer(t.rs1, 8000, family)
    capture = t.rs1.capture()
    host = family.raw(t)
    with trace.Slow('ip_vs_conn_new'):
        peers = twins(t, host, family, protocol)
    sources = {packet.source for packet in capture.packets() if packet.dst == family.rs1
               and (protocol == 'udp' or packet.flags == 'S')}
    stats = t.lb.fullnat_stats()
    print(f'# {len(peers)} connections, {twin_count(t)} twins, '
          f'{stats["drop_duplicate_conn"]} dropped', flush=True)
    equal((stats['conns'], observe.laddr(t.lb, family.lip)['conns'], len(sources)),
          (len(peers),) * 3, 'connections, ports held, ports that the server has seen')
    check(twin_count(t) >= TWINS, 'too few met their twin')
    if protocol == 'tcp':
        check_answers(t, host, family, peers)
    else:
        ask_once_more(t, host, family, list(peers))
    drops = observe.drops(t.lb)
    check(set(drops) <= {'drop_duplicate_conn'}, f'drops: {drops}')
    equal(drops.get('drop_duplicate_conn', 0), stats['drop_duplicate_conn'],
          'first packets that were dropped, when all have gone on')
