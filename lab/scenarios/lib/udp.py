# SPDX-License-Identifier: GPL-2.0
"""UDP in scenarios: a server that answers a datagram with its bytes in reverse."""
import ipaddress
import socket
import struct
import threading

import pcap

from . import basics, observe
from .rawtcp import ip_header

LINK_HEADER = 14


class UdpServer:
    """Remembers who has sent each datagram, as (address, port); answers unless `silent`."""

    def __init__(self, namespace, port, family):
        self.peers = []
        self.silent = False
        self.sock = namespace.socket(family.af, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(('::' if family.af == socket.AF_INET6 else '0.0.0.0', port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, peer = self.sock.recvfrom(1 << 16)
                self.peers.append(peer[:2])
                if not self.silent:
                    self.sock.sendto(data[::-1], peer)
            except OSError:     # an ICMP error about an answer
                pass


def udp_socket(host, family, port=0, source=None):
    """A client's socket, of its first address or this one; a port of its own or any."""
    sock = host.socket(family.af, socket.SOCK_DGRAM)
    sock.bind((source or family.client, port))
    sock.settimeout(10)
    return sock


def ask_udp(sock, where, data, again=1):
    """Send, and return the answer, which must come from there. again: how often to send at
    the most, for datagrams that are lost while a path's MTU is being learnt."""
    sock.settimeout((10 if again == 1 else 1) * basics.SCALE)
    for left in reversed(range(again)):
        try:
            sock.sendto(data, where)
            answer, peer = sock.recvfrom(1 << 16)
        except (TimeoutError, ConnectionRefusedError):
            if not left:
                raise
            continue
        basics.equal(peer[:2], where, 'who answers')
        return answer
    raise basics.Failure('not reached')


def udp_service(t, family, port, **options):
    """A FULLNAT service for UDP, as an operator types it; see Topology.fullnat."""
    return t.fullnat(port, family=family, service=family.service(port, protocol='udp'), toa=False,
                     **options)


def datagram(source, destination, payload):
    """A packet from one (address, port) to another."""
    pair = b''.join(ipaddress.ip_address(address).packed for address, _ in (source, destination))
    size = 8 + len(payload)
    header = struct.pack('!HHHH', source[1], destination[1], size, 0)
    check = pcap.checksum(pair + struct.pack('!II', size, socket.IPPROTO_UDP) + header + payload)
    return (ip_header(source[0], destination[0], size, socket.IPPROTO_UDP) + header[:6]
            + struct.pack('!H', check or 0xffff) + payload)


def udp_header(capture, family, payload):
    """The UDP header of the first datagram with this payload that was captured."""
    for frame in observe.frames(capture):
        if payload in frame:
            return frame[LINK_HEADER + family.header:][:8]
    raise basics.Failure(f'no datagram has {payload!r}')


def received(sock):
    """What comes: a datagram, or 'refused' for the error that says that nobody listens."""
    try:
        return sock.recv(100)
    except ConnectionRefusedError:
        return 'refused'
