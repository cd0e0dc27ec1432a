# SPDX-License-Identifier: GPL-2.0
"""What reviews of the data path have found: packets that no ordinary host sends.

Seen failing:

  tcp_in_fragments_v6      6.1, the module before ff4fb42: skb_checksum_help() warns, panic
  udp_subscription, udp_late_answer   with a copy of the module for which UDP is always closed
"""
import os
import socket
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.rawtcp import RawTcp
from lib.segments import answer_to, check_segments, full_payload, requests_of, whole_request
from lib.udp import udp_service, udp_socket


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
              time.monotonic() > enough, what='time passes')
        check(t.lb.fullnat_stats()['drop_exhausted'] >= 2, 'the others are refused')
        server.sendto(b'answer', whom)
        equal(first.recv(100), b'answer', 'what the first one gets')
