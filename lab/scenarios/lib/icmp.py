# SPDX-License-Identifier: GPL-2.0
"""ICMP errors in scenarios: what a host is told, in the same words for both families."""
import socket
import struct

import pcap

from . import basics
from .topology import V4, V6

# what says "too big" in each family: protocol, type, code
TOO_BIG = {V4: (socket.IPPROTO_ICMP, 3, 4), V6: (socket.IPPROTO_ICMPV6, 2, 0)}
UNREACHABLE = {V4: (3, 3), V6: (1, 4)}          # port unreachable: type, code
TIME_EXCEEDED = {V4: (11, 0), V6: (3, 0)}
TTL = {V4: (socket.IPPROTO_IP, socket.IP_TTL), V6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}


def icmp_socket(host, family):
    """A raw socket that gets (and sends) this host's ICMP."""
    sock = host.socket(family.af, socket.SOCK_RAW, TOO_BIG[family][0])
    sock.settimeout(30)
    if family is V6:        # no neighbour discovery
        sock.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack('8I', *only_errors()))
    return sock


def only_errors():
    """ICMP6_FILTER: blocks all but types 1 to 4."""
    return [0xffffffff & ~0b11110] + [0xffffffff] * 7


def parse_error(family, sock):
    """(source address, type and code, mtu, quoted source, quoted destination, bytes 4 to 8 of
    the quoted transport header) of the next error; its checksums are right."""
    packet, source = sock.recvfrom(2048)
    icmp = packet[(packet[0] & 15) * 4:] if family is V4 else packet
    if family is V4:        # the kernel has verified those of ICMPv6
        basics.equal(pcap.checksum(icmp), 0, 'ICMP checksum')
        basics.equal(pcap.checksum(icmp[8:28]), 0, 'checksum of the quoted header')
    inner, size = icmp[8:], 16 if family is V6 else 4
    addresses = inner[family.header - 2 * size:family.header]
    sport, dport, rest = struct.unpack('!HHI', inner[family.header:family.header + 8])
    return (source[0], tuple(icmp[:2]), struct.unpack('!I', icmp[4:8])[0],
            (socket.inet_ntop(family.af, addresses[:size]), sport),
            (socket.inet_ntop(family.af, addresses[size:]), dport), rest)


def short_lived(host, family, kind, ttl, where, source=None):
    """The first packet of a socket of this kind goes there, and no further than so many hops.
    Returns the socket, which is bound to an address."""
    sock = host.socket(family.af, kind)
    sock.setsockopt(*TTL[family], ttl)
    sock.bind((source or family.client, 0))
    sock.setblocking(False)
    if sock.connect_ex(where) == 0:     # UDP
        sock.send(b'question')
    return sock
