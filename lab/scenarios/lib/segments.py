# SPDX-License-Identifier: GPL-2.0
"""A first request of many segments, each of which must carry the TOA and fit."""
import hashlib

from . import basics, observe


def check_segments(packets, own, wanted, first_seq, wire):
    """The request on the wire: each segment with its TOA, nothing missing, nothing changed;
    on a real wire none is too long, and the checksums are right."""
    observe.check_one_toa_first(packets)
    if wire:
        observe.check_checksums(packets)
        sizes = [packet.ip_length for packet in packets]
        basics.check(max(sizes) <= 1500, f'too long: {sizes}')
    data = bytearray(len(wanted))
    covered = set()     # bytes; some may be sent again
    for packet in packets:
        if not packet.payload_len:
            continue
        basics.equal(packet.toa, own, f'TOA of {packet}')
        offset = (packet.seq - first_seq) & 0xffffffff
        data[offset:offset + packet.payload_len] = packet.payload
        covered.update(range(offset, offset + packet.payload_len))
    basics.equal(len(covered), len(wanted), 'bytes of the request')
    basics.check(bytes(data) == wanted, 'the request has changed')


def whole_request(size):
    """A handler that says nothing before it has `size` bytes: their sha256 and the client."""
    def serve(sock, seen):
        data = b''
        while len(data) < size:
            part = sock.recv(65536)
            basics.check(part, f'ended after {len(data)} bytes')
            data += part
        sock.sendall(answer_to(data, seen.peername))
        sock.recv(1)
    return serve


def answer_to(data, client):
    """What the server says."""
    return f'{hashlib.sha256(data).hexdigest()} {client[0]} {client[1]}\n'.encode()


def slow_server(t, family, size):
    """A server whose packets, acknowledgments too, take 0.3 s, on a busy machine longer: the
    whole first window is sent before it has proved anything, so that each segment must carry
    the TOA."""
    family.fullnat(t)
    t.rs1.run(f'tc qdisc add dev eth0 root netem delay {300 * basics.SCALE:.0f}ms')
    return t.rs1.peer_server(8000, family=family.af, handler=whole_request(size))


def requests_of(capture, family):
    """What the LB sent to the server, and the sequence number of its first byte of data."""
    packets = [packet for packet in capture.packets() if packet.dst == family.rs1]
    isn = next(packet.seq for packet in packets if packet.flags == 'S')
    return packets, (isn + 1) & 0xffffffff


def full_payload(family, options):
    """Bytes in a packet of 1500 with these options, without regard to the MSS."""
    return 1500 - family.header - 20 - len(options)
