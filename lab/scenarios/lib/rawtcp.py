# SPDX-License-Identifier: GPL-2.0
"""TCP by hand, for what no kernel would send: any option on any packet, any
number in any field. The address belongs to no stack, so nobody else answers.

    host = RawHost(t.client, 'eth0', '198.51.100.77', t.lb, 'outer')
    peer = RawTcp(host, VIP, 8000).connect(ack_options=toa(200, '6.6.6.6', 6))
    peer.send('PA', payload=b'hello')
    packet = peer.expect(lambda p: p.payload_len)
"""
import ipaddress
import itertools
import random
import select
import socket
import struct
import time

import pcap

from . import basics

ETH_P = {4: 0x0800, 6: 0x86dd}
SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM, GSO_TCP = 1, {4: 1, 6: 4}
FLAG_BITS = {letter: 1 << bit for bit, letter in enumerate('FSRPAUEC')}
MSS = bytes.fromhex('020405b4')
SACK_PERMITTED = bytes.fromhex('0402')
WINDOW_SCALE = bytes.fromhex('030307')


def toa(kind, address, port, length=None):
    """The bytes of a TOA option; `length` overrides what its length byte says."""
    body = struct.pack('!H', port) + ipaddress.ip_address(address).packed
    return bytes((kind, len(body) + 2 if length is None else length)) + body


def timestamps(tsval, tsecr=0):
    """The bytes of a timestamps option, padded as hosts do it."""
    return bytes.fromhex('0101080a') + struct.pack('!II', tsval & 0xffffffff, tsecr & 0xffffffff)


def folded(data):
    """The one's complement sum, as the pseudo header's share is stored."""
    return pcap.checksum(data) ^ 0xffff


def ip_version(address):
    """4 or 6."""
    return ipaddress.ip_address(address).version


def ip_header(source, destination, length, protocol=socket.IPPROTO_TCP):
    """The IPv4 or IPv6 header in front of `length` bytes of TCP."""
    pair = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if ip_version(destination) == 6:
        return struct.pack('!IHBB', 6 << 28, length, protocol, 64) + pair
    # with DF the identification means nothing; GRO merges only if it does not jump
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0) + pair
    return head[:10] + struct.pack('!H', pcap.checksum(head)) + head[12:]


def make_packet(source, destination, segment, *, partial=False, damage=0):
    """A packet around a TCP segment (its checksum field is still 0).
    partial: leave the checksum to who sends it; damage: added to the checksum."""
    pair = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    pseudo = pair + struct.pack('!II', len(segment), socket.IPPROTO_TCP)
    check = folded(pseudo) if partial else pcap.checksum(pseudo + segment)
    check = (check + damage) & 0xffff
    segment = segment[:16] + struct.pack('!H', check) + segment[18:]
    return ip_header(source, destination, len(segment)) + segment


def in_fragments(packet, size):
    """The fragments of an IP packet, each with so many bytes of it (a multiple of 8)."""
    version = packet[0] >> 4
    header, body = packet[:20 if version == 4 else 40], packet[20 if version == 4 else 40:]
    ident = random.getrandbits(32)
    for offset in range(0, len(body), size):
        part, more = body[offset:offset + size], offset + size < len(body)
        if version == 6:
            part = struct.pack('!BBHI', header[6], 0, offset | more, ident) + part
            yield header[:4] + struct.pack('!HB', len(part), 44) + header[7:] + part
            continue
        head = (header[:2] + struct.pack('!HHH', 20 + len(part), ident & 0xffff,
                                         more << 13 | offset >> 3)
                + header[8:10] + bytes(2) + header[12:])
        yield head[:10] + struct.pack('!H', pcap.checksum(head)) + head[12:] + part


def device_mac(namespace, device):
    """The hardware address of an interface."""
    with namespace:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((device, 0))
            return sock.getsockname()[4]


class RawHost:
    """An address on a namespace's interface that no stack answers for. The
    neighbour (a namespace and its interface) is told where it is."""

    def __init__(self, namespace, device, address, neighbour, neighbour_device):
        self.address = address
        self.mac = device_mac(namespace, device)
        self.version = ip_version(address)
        ethertype = ETH_P[self.version]
        link = device_mac(neighbour, neighbour_device) + self.mac
        self.link_header = link + struct.pack('!H', ethertype)
        with namespace:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
            self.sock.bind((device, ethertype))
            self.gso = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.gso.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            self.gso.bind((device, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        mac = ':'.join(f'{byte:02x}' for byte in self.mac)
        neighbour.batch([f'neigh replace {address} lladdr {mac} dev {neighbour_device} '
                         'nud permanent'])

    def send(self, packet):
        """Send an IP packet."""
        self.sock.send(self.link_header + packet)

    def send_gso(self, packet, tcp_header_length, size):
        """Send what a host with TSO hands to its card: one big packet, to be cut
        into segments with `size` bytes of payload; its checksum is partial."""
        tcp = len(self.link_header) + {4: 20, 6: 40}[self.version]
        header = struct.pack('=BBHHHH', NEEDS_CSUM, GSO_TCP[self.version],
                             tcp + tcp_header_length, size, tcp, 16)
        self.gso.send(header + self.link_header + packet)

    def send_partial(self, packet, offset):
        """Send a packet whose checksum is to be computed on the way, from its transport header
        on, and to be written there: so many bytes from that header."""
        start = len(self.link_header) + {4: 20, 6: 40}[self.version]
        header = struct.pack('=BBHHHH', NEEDS_CSUM, 0, 0, 0, start, offset)
        self.gso.send(header + self.link_header + packet)

    def receive(self, timeout):
        """The next packet for this address, or None."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            frame, info = self.sock.recvfrom(1 << 17)
            if info[2] == socket.PACKET_OUTGOING:
                continue
            packet = pcap.parse_ip(time.time(), frame[14:])
            if packet and packet.dst == self.address:
                return packet


class RawTcp:
    """One end of a TCP connection."""
    ports = itertools.count(20000)

    def __init__(self, host, address, port, *, sport=None, isn=None):
        self.host = host
        self.remote = (address, port)
        self.sport = next(self.ports) if sport is None else sport
        self.isn = random.getrandbits(32) if isn is None else isn
        self.seq = self.isn
        self.ack = 0
        self.peer_isn = 0

    @property
    def own(self):
        """(address, port) of this end."""
        return self.host.address, self.sport

    def segment(self, flags, options=b'', payload=b'', seq=None, ack=None):
        """A TCP segment without its checksum. Options are padded with NOPs."""
        options += b'\1' * (-len(options) % 4)
        basics.check(len(options) <= 40, 'the test has too many options')
        bits = sum(FLAG_BITS[letter] for letter in flags)
        return struct.pack('!HHIIBBHHH', self.sport, self.remote[1],
                           (self.seq if seq is None else seq) & 0xffffffff,
                           ((self.ack if ack is None else ack) & 0xffffffff) if 'A' in flags else 0,
                           (5 + len(options) // 4) << 4, bits, 65535, 0, 0) + options + payload

    def advance(self, flags, payload):
        """Count what was sent."""
        self.seq = (self.seq + len(payload) + ('S' in flags) + ('F' in flags)) & 0xffffffff

    def send(self, flags, options=b'', payload=b'', *, seq=None, ack=None, damage=0,
             fragment=1 << 16):
        """Send a segment; unless `seq` is given it is the next one of the connection.
        fragment: bytes of it in each IP fragment."""
        segment = self.segment(flags, options, payload, seq, ack)
        packet = make_packet(self.host.address, self.remote[0], segment, damage=damage)
        for part in in_fragments(packet, fragment) if len(segment) > fragment else (packet,):
            self.host.send(part)
        if seq is None:
            self.advance(flags, payload)

    def send_gso(self, options, payload, size):
        """Send a run of full segments as one GSO packet."""
        segment = self.segment('PA', options, payload)
        packet = make_packet(self.host.address, self.remote[0], segment, partial=True)
        self.host.send_gso(packet, len(segment) - len(payload), size)
        self.advance('PA', payload)

    def send_partial(self, flags, payload, offset):
        """Send a segment, which does not count, with its checksum to be written there."""
        packet = make_packet(self.host.address, self.remote[0],
                             self.segment(flags, b'', payload), partial=True)
        self.host.send_partial(packet, offset)

    def expect(self, wanted=lambda packet: True, timeout=10, what='an answer'):
        """The next packet of this connection for which wanted(packet) is true."""
        timeout *= basics.SCALE
        deadline = time.monotonic() + timeout
        while True:
            packet = self.host.receive(max(0, deadline - time.monotonic()))
            basics.check(packet, f'{what}: not within {timeout:.0f} s')
            if packet.dport == self.sport and packet.source == self.remote and wanted(packet):
                return packet

    def syn(self, options=MSS, payload=b'', again=3):
        """Send the SYN until its SYN-ACK comes; the SYN-ACK."""
        self.seq = self.isn
        for left in reversed(range(again)):
            self.send('S', options, payload, seq=self.isn)
            try:
                answer = self.expect(lambda p: p.flags == 'SA', 10 if not left else 3, 'SYN-ACK')
                break
            except basics.Failure:
                if not left:
                    raise
        return self.synack(answer)

    def synack(self, answer):
        """Take the numbers of the SYN-ACK that has come."""
        self.peer_isn = answer.seq
        self.ack = (answer.seq + 1) & 0xffffffff
        self.seq = answer.ack
        return answer

    def begin_anew(self, options=MSS, challenges=1, former=None):
        """The SYN of a host that does not know that its tuple is in use: an ACK that is none
        of its SYN's is answered by an RST, and then by the SYN again (at once; a host waits for
        its timer). Returns how many such ACKs came, `challenges` at most. `former`: the other
        connection of the tuple, whose ACKs and SYN-ACKs that are late are not meant for this one."""
        def answers(packet):
            if packet.flags == 'SA':
                return (not former or former.isn == self.isn or
                        packet.ack != (former.isn + 1) & 0xffffffff)
            return packet.flags == 'RA' or packet.flags == 'A' and (
                not former or packet.seq == former.ack)

        for number in range(challenges + 1):
            self.send('S', options, seq=self.isn)
            answer = self.expect(answers, what='an answer to the SYN')
            if answer.flags == 'SA':
                basics.equal(answer.ack, (self.isn + 1) & 0xffffffff, 'the SYN-ACK\'s number')
                self.synack(answer)
                return number
            basics.equal(answer.flags, 'A', 'answer to the SYN')
            self.send('R', seq=answer.ack)
        raise basics.Failure(f'no SYN-ACK after {challenges + 1} SYNs')

    def connect(self, syn_options=MSS, ack_options=b''):
        """The whole handshake."""
        self.syn(syn_options)
        self.send('A', ack_options)
        return self

    def reset(self):
        """End it at once."""
        self.send('RA')

    def read(self, length, timeout=10):
        """Receive this many bytes in order, acknowledging them."""
        data = b''
        while len(data) < length:
            packet = self.expect(lambda p: p.payload_len and p.seq == self.ack, timeout,
                                 f'{length} bytes, {len(data)} came')
            data += packet.payload
            self.ack = (self.ack + packet.payload_len) & 0xffffffff
            self.send('A')
        return data
