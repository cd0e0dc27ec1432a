# SPDX-License-Identifier: GPL-2.0
"""Reads captures: just enough of pcap, IP, TCP and UDP for the lab's checks.
Deliberately shares nothing with the C code: what the wire says is judged by a
second pair of eyes."""
import dataclasses
import ipaddress
import struct

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
FLAGS = 'FSRPAUEC'
LINK_HEADER = {1: 14, 113: 16, 276: 20}


@dataclasses.dataclass
class Packet:
    """One packet. Addresses are text; `flags` is like "SA" for SYN and ACK."""
    time: float
    src: str
    dst: str
    proto: int
    ttl: int
    sport: int = 0
    dport: int = 0
    flags: str = ''
    seq: int = 0
    ack: int = 0
    window: int = 0
    options: tuple = ()
    payload_len: int = 0
    payload: bytes = b''
    header: bytes = b''
    checksums: object = None    # True or False; None: not known

    @property
    def source(self):
        """(address, port) of the sender."""
        return self.src, self.sport

    @property
    def ident(self):
        """The identification; IPv4."""
        return struct.unpack('>H', self.header[4:6])[0]

    @property
    def ip_length(self):
        """Bytes of the whole IP packet, as its header says (of GSO packets, what fits there)."""
        if self.header[0] >> 4 == 6:
            return 40 + struct.unpack('>H', self.header[4:6])[0]
        return struct.unpack('>H', self.header[2:4])[0]

    @property
    def destination(self):
        """(address, port) of the receiver."""
        return self.dst, self.dport

    def option(self, *kinds):
        """The body of the first TCP option of one of these kinds, or None."""
        return next((body for kind, body in self.options if kind in kinds), None)

    @property
    def toas(self):
        """Every TOA option: a list of (kind, address, port)."""
        found = []
        for kind, body in self.options:
            if kind in (200, 254) and len(body) == 6:
                found.append((kind, str(ipaddress.IPv4Address(body[2:])),
                              struct.unpack('>H', body[:2])[0]))
            elif kind in (253, 254) and len(body) == 18:
                found.append((kind, str(ipaddress.IPv6Address(body[2:])),
                              struct.unpack('>H', body[:2])[0]))
        return found

    @property
    def toa(self):
        """(address, port) of the first TOA option, or None."""
        toas = self.toas
        return toas[0][1:] if toas else None

    @property
    def mss(self):
        """The MSS option's value, or None."""
        body = self.option(2)
        return struct.unpack('>H', body)[0] if body and len(body) == 2 else None

    @property
    def timestamps(self):
        """(TSval, TSecr), or None."""
        body = self.option(8)
        return struct.unpack('>II', body) if body and len(body) == 8 else None

    def __str__(self):
        options = ' '.join(f'{kind}:{body.hex()}' for kind, body in self.options)
        return (f'{self.time:.6f} {self.src}:{self.sport} > {self.dst}:{self.dport} '
                f'{self.flags} seq {self.seq} ack {self.ack} len {self.payload_len} '
                f'[{options}]')


def parse_options(data):
    """TCP options as a tuple of (kind, body); a malformed rest ends it."""
    found = []
    while data and data[0] != 0:
        if data[0] == 1:
            data = data[1:]
            continue
        if len(data) < 2 or not 2 <= data[1] <= len(data):
            break
        found.append((data[0], bytes(data[2:data[1]])))
        data = data[data[1]:]
    return tuple(found)


def checksum(data):
    """The Internet checksum of the bytes; 0 where it holds."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def parse_ip(time, data):
    """A packet from its network header on; None if it is neither v4 nor v6."""
    if not data:
        return None
    if data[0] >> 4 == 4 and len(data) >= 20:
        length = (data[0] & 15) * 4
        total = struct.unpack('>H', data[2:4])[0] or len(data)
        addresses, sound = data[12:20], checksum(data[:length]) == 0
        packet = Packet(time, str(ipaddress.IPv4Address(data[12:16])),
                        str(ipaddress.IPv4Address(data[16:20])), data[9], data[8])
        fragment = struct.unpack('>H', data[6:8])[0] & 0x3fff
    elif data[0] >> 4 == 6 and len(data) >= 40:
        length, total = 40, 40 + struct.unpack('>H', data[4:6])[0]
        addresses, sound, fragment = data[8:40], True, 0
        packet = Packet(time, str(ipaddress.IPv6Address(data[8:24])),
                        str(ipaddress.IPv6Address(data[24:40])), data[6], data[7])
    else:
        return None
    body = data[length:total]
    if not fragment:
        parse_transport(packet, body, total - length)
        if len(body) == total - length and packet.proto in (TCP, UDP):
            pseudo = addresses + struct.pack('>II', packet.proto, len(body))
            sound = sound and checksum(pseudo + body) == 0
            packet.checksums = sound
    packet.header = bytes(data[:length])
    return packet


def parse_transport(packet, body, length):
    """Fill in what TCP or UDP says; `length` is what was sent, not captured."""
    if packet.proto == TCP and len(body) >= 20:
        packet.sport, packet.dport, packet.seq, packet.ack = struct.unpack('>HHII', body[:12])
        offset = (body[12] >> 4) * 4
        packet.flags = ''.join(c for bit, c in enumerate(FLAGS) if body[13] >> bit & 1)
        packet.window = struct.unpack('>H', body[14:16])[0]
        packet.options = parse_options(body[20:offset])
    elif packet.proto == UDP and len(body) >= 8:
        packet.sport, packet.dport = struct.unpack('>HH', body[:4])
        offset = 8
    else:
        offset = 0
    packet.payload_len = length - offset
    packet.payload = bytes(body[offset:])


def records(data):
    """(time, link type, frame) of every complete record of a pcap."""
    if len(data) < 24:
        return
    order = '<' if data[:4] in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1') else '>'
    magic = struct.unpack(order + 'I', data[:4])[0]
    if magic not in (0xa1b2c3d4, 0xa1b23c4d):
        raise ValueError('not a pcap file')
    unit = 1e-9 if magic == 0xa1b23c4d else 1e-6
    link = struct.unpack(order + 'I', data[20:24])[0] & 0xffff
    offset = 24
    while offset + 16 <= len(data):
        seconds, fraction, size, _ = struct.unpack(order + 'IIII', data[offset:offset + 16])
        offset += 16
        if offset + size > len(data):
            return
        yield seconds + fraction * unit, link, data[offset:offset + size]
        offset += size


def packets(path):
    """The IP packets of a pcap file, in order."""
    with open(path, 'rb') as file:
        data = file.read()
    found = []
    for time, link, frame in records(data):
        start = LINK_HEADER.get(link)
        if start is None:
            raise ValueError(f'{path}: unknown link type {link}')
        if link == 1 and frame[12:14] == b'\x81\x00':
            start += 4
        packet = parse_ip(time, frame[start:])
        if packet:
            found.append(packet)
    return found
