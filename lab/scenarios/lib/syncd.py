# SPDX-License-Identifier: GPL-2.0
"""The master's side of the IPVS sync daemon by hand: messages of version 1, with records as
sync.h of ip_vs_fullnat describes them."""
import dataclasses
import ipaddress
import socket
import struct

GROUP = ('224.0.0.81', 8848)
F_SYNC_DATA, F_INACTIVE, F_FULLNAT, F_MASQ = 0x400, 0x100, 5, 0
ESTABLISHED, TIME_WAIT = 1, 5
OPENED, ACCEPTED, RS_CLOSED, TIMESTAMPS, ANSWERED, STREAM = 1, 2, 4, 8, 16, 32
MAGIC, VERSION = 0x464e4154, 1
MASK = 0xffffffff


def rol(value, count):
    """Rotate 32 bits to the left."""
    return (value << count | value >> 32 - count) & MASK


def jhash2(words, initval):
    """jhash2() of the kernel."""
    a = b = c = 0xdeadbeef + 4 * len(words) + initval & MASK
    words = list(words)
    while len(words) > 3:
        a, b, c = a + words[0] & MASK, b + words[1] & MASK, c + words[2] & MASK
        for one, two in ((4, 'c'), (6, 'a'), (8, 'b'), (16, 'c'), (19, 'a'), (4, 'b')):
            if two == 'c':
                a = a - c & MASK ^ rol(c, one)
                c = c + b & MASK
            elif two == 'a':
                b = b - a & MASK ^ rol(a, one)
                a = a + c & MASK
            else:
                c = c - b & MASK ^ rol(b, one)
                b = b + a & MASK
        words = words[3:]
    words += [0] * (3 - len(words))
    a, b, c = a + words[0] & MASK, b + words[1] & MASK, c + words[2] & MASK
    c = (c ^ b) - rol(b, 14) & MASK
    a = (a ^ c) - rol(c, 11) & MASK
    b = (b ^ a) - rol(a, 25) & MASK
    c = (c ^ b) - rol(b, 16) & MASK
    a = (a ^ c) - rol(c, 4) & MASK
    b = (b ^ a) - rol(a, 14) & MASK
    return (c ^ b) - rol(b, 24) & MASK


def laddr_id(address):
    """What a record calls a local address."""
    packed = ipaddress.ip_address(address).packed
    words = struct.unpack(f'!{len(packed) // 4}I', packed)
    return words[0] if len(words) == 1 else jhash2(words, socket.AF_INET6)


@dataclasses.dataclass
class Record:
    """The 24 bytes."""
    lip: str
    port: int
    flags: int = OPENED | ACCEPTED
    seq: int = 0
    timestamp: int = 0
    isn: int = 0
    version: int = VERSION
    scale: int = 7

    def words(self):
        """As six numbers, the first of them right."""
        rest = [laddr_id(self.lip),
                self.port << 16 | self.version << 12 | self.scale << 8 | self.flags,
                self.seq, self.timestamp, self.isn]
        return [jhash2(rest, MAGIC), *rest]


@dataclasses.dataclass
class Conn:
    """A connection as a message tells of it. words: of its record; None: it has none."""
    client: tuple
    vip: tuple
    server: tuple
    words: list = None
    protocol: int = socket.IPPROTO_TCP
    state: int = ESTABLISHED
    flags: int = F_FULLNAT
    timeout: int = 60
    fwmark: int = 0

    def pack(self):
        """Its part of a message."""
        packed = [ipaddress.ip_address(one[0]).packed
                  for one in (self.client, self.vip, self.server)]
        options = b''
        if self.words is not None:
            options = bytes((1, 24)) + struct.pack('!6I', *self.words)
        length = 24 + sum(map(len, packed)) + len(options)
        flags = self.flags | (F_SYNC_DATA if options else 0)
        return struct.pack('!BBHIHHHHII', len(packed[0]) == 16, self.protocol, length, flags,
                           self.state, self.client[1], self.vip[1], self.server[1], self.fwmark,
                           self.timeout) + b''.join(packed) + options


def message(conns, syncid=7):
    """A message about some connections."""
    parts = [conn.pack() for conn in conns]
    body = b''.join(part + bytes(-len(part) % 4) for part in parts[:-1]) + parts[-1]
    return struct.pack('!BBHBbH', 0, syncid, 8 + len(body), len(conns), 1, 0) + body


class Master:
    """Somebody in the network of the sync daemons, at a real server."""

    def __init__(self, host, address, device='eth0'):
        self.sock = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with host:
            index = socket.if_nametoindex(device)
        request = struct.pack('4s4si', socket.inet_aton(GROUP[0]), socket.inet_aton(address), index)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)

    def tell(self, *conns):
        """Send one message about these."""
        self.send(message(conns))

    def send(self, data):
        """Send any message."""
        self.sock.sendto(data, GROUP)
