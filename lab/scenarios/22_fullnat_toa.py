# SPDX-License-Identifier: GPL-2.0
"""The option itself: nobody forges it, and there is always room for it.

Seen failing, each with a copy of the modules that was broken like this:

  kind 254 not known as a TOA's: forged
  no TOA on a SYN with data: forged_on_live
  toa trusts everybody: untrusted
  the MSS not lowered, segments of a GSO packet not made shorter: first_request, no_room
  the checksum not verified before a packet is cut: damaged
  a SYN with the former connection's number taken for that one's: forged_on_next
  any SYN-ACK passed on: forged_after_damaged_syn
  an accepted connection's options left as they are: forged_on_live_wire
"""
import errno
import fcntl
import os
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.rawtcp import (MSS, SACK_PERMITTED, WINDOW_SCALE, RawHost, RawTcp, device_mac,
                        make_packet, timestamps, toa)
from lib.segments import (answer_to, check_segments, full_payload, requests_of, slow_server)

FORGED, FORGED_V6 = V4.forged, V6.forged
FORGED_BYTES = (bytes((66, 77, 88, 99)), bytes.fromhex('00660077000000000000000000880099'))

TS = timestamps(1000)
# those in which no option of a TOA kind begins, as far as a parser can see
NOT_SEEN = ('after a bad length', 'after the end of options')


def forgeries(family):
    """Options in which a client claims to be somebody else: {what: bytes}."""
    first, second = (toa(kind, family.forged, 6666) for kind in family.kinds)
    v4, v6 = toa(200, FORGED, 6666), toa(253, FORGED_V6, 6666)
    kind, length = first[:2]
    return {
        'kind 200': v4, 'kind 254': toa(254, FORGED, 6666), 'kind 253': v6,
        'kind 254 for IPv6': toa(254, FORGED_V6, 6666),
        'two of them': first + second, 'three kinds': v4 + toa(254, FORGED, 6666) + v6,
        'after timestamps': TS + first, 'before timestamps': first + TS,
        'unaligned': b'\1' + first,
        'after an unknown option': bytes((99, 5, 1, 2, 3)) + second,
        'too long for its kind': toa(kind, family.forged, 6666, length + 4) + bytes(4),
        'too short for its kind': toa(kind, family.forged, 6666, length - 2),
        'IPv6 kind, IPv4 length': toa(253, FORGED, 6666),
        'IPv4 kind, IPv6 length': toa(200, FORGED_V6, 6666),
        'length beyond the header': toa(kind, family.forged, 6666, 38),
        'length 0': toa(kind, family.forged, 6666, 0),
        'length 1': toa(254, family.forged, 6666, 1),
        'after a bad length': bytes((99, 0)) + first,
        'after the end of options': b'\0' + first,
        'cut short': b'\1\1\1' + bytes((kind,)),
    }


def check_forgery(host, vip, server, where, options):
    """A connection that forges; the application sees who it really is."""
    peer = RawTcp(host, vip, 8000)
    peer.syn(MSS + (options if where == 'SYN' else b''))
    if where == 'ACK':
        peer.send('A', options)
    elif where == 'lost ACK, data':
        peer.send('PA', options, b'x')
    elif where == 'FIN':
        peer.send('FA', options)
    else:
        peer.send('A')
    line = greeting(peer.own)
    equal(peer.read(len(line)), line, f'{where}: what the server says')
    until(lambda: peer.own in server.clients, what='the server has noted the client')
    peer.reset()


def test_forged(t, family):
    """A client that sends TOA options itself, of all kinds, lengths and positions, on any
    packet that could make the connection: not one byte of the forged address passes."""
    family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af)
    host = family.raw(t)
    watched = t.rs1.capture()
    forged = 0
    for name, options in forgeries(family).items():
        for where in ('SYN', 'ACK', 'lost ACK, data', 'FIN'):
            if where == 'SYN' and len(options) > 36:
                continue        # the header is full
            check_forgery(host, family.vip, server, where, options)
            forged += name not in NOT_SEEN
    equal({address for address, _ in server.clients}, {family.raw_client}, 'clients')
    for frame in observe.frames(watched):
        check(not any(secret in frame for secret in FORGED_BYTES),
              f'the forged address passed: {frame.hex()}')
    packets = [packet for packet in watched.packets() if packet.dst == family.rs1]
    observe.check_one_toa_first(packets)
    equal([p for p in packets if p.flags == 'S' and p.toa], [], 'TOAs on a SYN')
    stats = t.lb.fullnat_stats()
    equal(stats['toa_forged'], forged, 'toa_forged')
    check(stats['options_malformed'] > 0, 'no options_malformed')
    equal(stats['conns_without_toa'], 0, 'conns_without_toa')
    equal(t.rs1.toa_stats()['stored'], len(server.clients), 'stored by toa')


def test_misplaced_checksum(t, family):
    """A client next door leaves the checksum to the LB's card, and says that it belongs
    elsewhere: on the ports, on the TOA that is still to come. It is never written there."""
    family.fullnat(t)
    t.lb.run('ethtool -K inner tx off')         # what is left to the card is computed now
    t.rs1.peer_server(8000, family=family.af)
    watched = t.rs1.capture()
    peer = RawTcp(family.raw(t), family.vip, 8000)
    peer.syn()
    for offset in (0, 2, 4, 20, 22, 24, 26, 28, 16):
        peer.send_partial('PA', bytes(16), offset)
    peer.send('A')
    line = greeting(peer.own)
    equal(peer.read(len(line)), line, 'what the server says')
    peer.reset()
    packets = [packet for packet in watched.packets() if packet.dst == family.rs1]
    equal({packet.source for packet in packets}, {packets[0].source}, 'LIPs and ports')
    equal({packet.dport for packet in packets}, {8000}, 'ports of the server')
    equal({packet.toa for packet in packets if packet.payload_len}, {peer.own}, 'TOAs')


class Tap:
    """A virtual machine's card on a host: what it sends, with what it says of the packet."""
    TUNSETIFF = 0x400454ca
    TAP, NO_PI, VNET_HDR = 0x0002, 0x1000, 0x4000

    def __init__(self, host, device, address):
        run('modprobe tun')
        with host:
            self.fd = os.open('/dev/net/tun', os.O_RDWR)
            fcntl.ioctl(self.fd, self.TUNSETIFF, struct.pack(
                '16sH14x', device.encode(), self.TAP | self.NO_PI | self.VNET_HDR))
        host.batch([f'addr add {address} dev {device}', f'link set {device} up'])
        self.link = device_mac(host, device) + bytes.fromhex('020000000001')

    def send(self, packet, start, offset):
        """An IPv4 packet whose checksum is to be made: from this byte of the frame on, to be
        written there behind it."""
        header = struct.pack('=BBHHHH', 1, 0, 54, 0, start, offset)
        os.write(self.fd, header + self.link + b'\x08\0' + packet)


def test_checksum_before_ip(t):
    """A virtual machine says that the checksum is one of the link's header, or of IP's: such a
    packet is dropped as malformed, if the kernel lets it in at all."""
    t.fullnat(8000)
    tap = Tap(t.lb, 'tap0', '100.64.0.1/24')
    syn = make_packet('100.64.0.2', VIP, RawTcp(None, VIP, 8000).segment('S', MSS))
    wanted = 0
    for start in 0, 12, 14, 20:
        try:
            tap.send(syn, start, 16)
            wanted += 1
        except OSError as error:
            equal(error.errno, errno.EINVAL, f'start {start}: error')
        until(lambda: t.lb.fullnat_stats()['drop_malformed'] == wanted,
              what=f'start {start}: it is malformed')
    check(wanted, 'the kernel lets in none')


def test_urgent(t, family):
    """A first request too long by its TOA, with urgent data at its end: it is not cut in two, of
    which each would have an urgent pointer. The server gets what fits, the client sends the rest
    again."""
    family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af, speaks_first=False)
    watched = t.rs1.capture()
    stamp = timestamps(1000)
    peer = RawTcp(family.raw(t), family.vip, 8000).connect(MSS + SACK_PERMITTED + stamp, stamp)
    payload = bytes(full_payload(family, stamp))
    segment = peer.segment('FPAU', stamp, payload)
    segment = segment[:18] + struct.pack('!H', len(payload)) + segment[20:]
    peer.host.send(make_packet(peer.host.address, family.vip, segment))
    answer = peer.expect(lambda p: p.ack != peer.seq, what='an acknowledgment')
    equal(peer.seq + len(payload) - answer.ack & 0xffffffff, family.toa_length,
          'bytes that are not acknowledged')
    urgent = [(packet.payload_len, packet.flags) for packet in watched.packets()
              if packet.dst == family.rs1 and 'U' in packet.flags]
    equal(urgent, [(len(payload) - family.toa_length, 'PAU')], 'urgent packets')


def test_forged_on_live(t, family):
    """On a live connection a forged option changes nothing any more, nor does one on a
    SYN with data of a client that tries TCP Fast Open."""
    family.fullnat(t)
    t.rs1.sysctl('net.ipv4.tcp_fastopen', 0x602)    # accepts data on any SYN, without cookies
    server = t.rs1.peer_server(8000, family=family.af)
    host = family.raw(t)
    forged = toa(family.kinds[0], family.forged, 6666)
    peer = RawTcp(host, family.vip, 8000).connect()
    line = greeting(peer.own)
    equal(peer.read(len(line)), line, 'what the server says')
    peer.send('PA', forged, b'live')
    equal(peer.read(4), b'live', 'echo')
    peer.reset()
    fast = RawTcp(host, family.vip, 8000)
    watched = t.rs1.capture()
    fast.syn(MSS + forged, b'early')
    line = f'{host.address} {fast.sport}\nearly'.encode()
    fast.send('A')
    equal(fast.read(len(line)), line, 'what the server says')
    fast.reset()
    syn = next(packet for packet in watched.packets() if packet.flags == 'S')
    equal((syn.toas, syn.payload), ([(family.kinds[0], *fast.own)], b'early'), 'SYN with data')
    equal(server.clients, [peer.own, fast.own], 'clients')


def former_connection(t, family, host):
    """A persistent service, whose connections of one client port share what the LB knows; one of
    them, that the server has accepted and the client has reset. Returns its client."""
    family.fullnat(t, servers=(family.rs1,), service_options='-p 300')
    old = RawTcp(host, family.vip, 8000).connect()
    old.read(len(greeting(old.own)))
    old.reset()
    until(lambda: observe.ipvs_state(t.lb, old.sport) == 'CLOSE', what='ip_vs says CLOSE')
    return old


def test_forged_on_next(t, family):
    """The next connection of the same client port, that begins with the same number, is not the
    former one: nobody forges on it, and it is never without a TOA."""
    host = family.raw(t)
    server = t.rs1.peer_server(8000, family=family.af)
    old = former_connection(t, family, host)
    for options in (b'', toa(family.kinds[0], family.forged, 6666)):
        new = RawTcp(host, family.vip, 8000, sport=old.sport, isn=old.isn)
        new.begin_anew(challenges=0)
        new.send('A', options)
        equal(new.read(len(greeting(new.own))), greeting(new.own), 'greeting')
        new.reset()
        until(lambda: observe.ipvs_state(t.lb, old.sport) == 'CLOSE', what='ip_vs says CLOSE')
    equal(server.clients, [old.own] * 3, 'clients')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')


def test_forged_after_damaged_syn(t, family):
    """The next connection, whose SYN is followed by another one that the server drops as damaged:
    of the first one the LB knows no more. Its answer does not come to the client, nor can that
    make the server challenge it, which would tell the same numbers."""
    host = family.raw(t)
    server = t.rs1.peer_server(8000, family=family.af)
    old = former_connection(t, family, host)
    t.rs1.run(f'tc qdisc add dev eth0 root netem delay {300 * basics.SCALE:.0f}ms')
    new, damaged = (RawTcp(host, family.vip, 8000, sport=old.sport) for _ in range(2))
    new.send('S', MSS, seq=new.isn)
    damaged.send('S', MSS, seq=damaged.isn, damage=1)
    until(lambda: observe.drops(t.lb), what='the answer is dropped')
    equal(set(observe.drops(t.lb)), {'drop_stale_reply'}, 'drops')
    new.send('P', seq=new.isn + (1 << 30))
    until(lambda: 'drop_malformed' in observe.drops(t.lb), what='it is dropped')
    equal(server.clients, [old.own], 'clients')


def test_cookie_again(t, family):
    """After the end of a connection its client sends the handshake's last ACK again: a server
    that uses SYN cookies takes it, and knows who it is."""
    t.rs1.sysctl('net.ipv4.tcp_syncookies', 2)
    family.fullnat(t, servers=(family.rs1,))
    server, host = t.rs1.peer_server(8000, family=family.af), family.raw(t)
    peers = []
    for ends_by_reset in (False, True):
        peer = RawTcp(host, family.vip, 8000).connect()
        peers.append(peer)
        peer.read(len(greeting(peer.own)))
        if ends_by_reset:
            peer.reset()
        else:
            peer.send('FA')
            peer.ack = peer.expect(lambda p: 'F' in p.flags, what='the server\'s FIN').seq + 1
            # what comes while it is in close() goes with the socket
            until(lambda: server.ended, what='the server has closed')
            peer.send('A')
        until(lambda n=len(peers): len(server.ended) >= n, what='the server has closed')
        until(lambda n=peer.sport: observe.ipvs_state(t.lb, n) in ('CLOSE', 'TIME_WAIT'),
              what='ip_vs says that it has ended')
        peer.seq, peer.ack = peer.isn + 1, peer.peer_isn + 1
        peer.send('PA', toa(family.kinds[0], family.forged, 6666), b'x')
        equal(peer.read(len(greeting(peer.own))), greeting(peer.own), 'greeting')
    equal(server.clients, [peer.own for peer in peers for _ in range(2)], 'clients')


def test_forged_on_live_wire(t, family):
    """Also on a connection that is accepted no forged option reaches the server, nor what may be
    one behind a bad length."""
    family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af)
    peer = RawTcp(family.raw(t), family.vip, 8000).connect()
    peer.read(len(greeting(peer.own)))
    watched, sent = t.rs1.capture(), 0
    for options in forgeries(family).values():
        if len(options) <= 36:
            peer.send('PA', options, b'live')
            equal(peer.read(4), b'live', 'echo')
            sent += 1
    peer.reset()
    for frame in observe.frames(watched):
        check(not any(secret in frame for secret in FORGED_BYTES),
              f'the forged address passed: {frame.hex()}')
    check(0 < t.lb.fullnat_stats()['toa_forged'] <= sent, 'toa_forged')
    equal(observe.tcp_counters(t.rs1)['InCsumErrors'], 0, 'wrong checksums')


def test_untrusted(t):
    """A TOA that comes to the real server from an address that it does not trust is
    ignored and counted; from a trusted one it is believed."""
    run('modprobe toa')
    server = t.rs1.peer_server(8000)
    t.rs1.run('ip route add 192.0.2.0/24 dev eth0')
    for number, (source, believed) in enumerate((('192.0.2.9', False), ('10.0.0.77', True))):
        host = RawHost(t.lb, 'inner', source, t.rs1, 'eth0')
        for kind in (200, 254):
            peer = RawTcp(host, RS1, 8000).connect(ack_options=toa(kind, '203.0.113.9', 999))
            named = ('203.0.113.9', 999) if believed else peer.own
            line = greeting(named)
            equal(peer.read(len(line)), line, f'{source}, kind {kind}: the client')
            peer.reset()
        stats = t.rs1.toa_stats()
        equal((stats['untrusted'], stats['stored']), (2, 2 * number), 'untrusted, stored')
    equal(len(server.clients), 4, 'clients')


def test_first_request(t, family):
    """8 kB right after the handshake, by a real client with and without offloads, by an LB
    with and without: the lowered MSS has left the room."""
    server = slow_server(t, family, 8192)
    for client_offloads in (True, False):
        for lb_offloads in (True, False):
            observe.offloads(t.client, 'eth0', client_offloads)
            observe.offloads(t.lb, 'inner', lb_offloads)
            capture = t.rs1.capture(snaplen=65535)
            blob = os.urandom(8192)
            with t.client.connect(family.vip, 8000) as sock:
                own = sock.getsockname()[:2]
                sock.sendall(blob)
                answer = b''
                while not answer.endswith(b'\n'):
                    answer += sock.recv(4096)
            equal(answer, answer_to(blob, own), 'answer')
            packets, first_seq = requests_of(capture, family)
            check_segments(packets, own, blob, first_seq, not lb_offloads)
    equal(len(server.clients), 4, 'clients')
    stats = t.lb.fullnat_stats()
    equal((stats['toa_split'], stats['toa_gso'], stats['toa_dropped_options']), (0, 0, 0),
          'split, gso, dropped_options')


SYN_OPTIONS = MSS + SACK_PERMITTED + TS + WINDOW_SCALE


def in_full_segments(peer, blob, size):
    """Packets of 1500 bytes."""
    for offset in range(0, len(blob), size):
        peer.send('PA', TS, blob[offset:offset + size])


def in_one_piece(peer, blob, size):
    """A GSO packet of segments with 1500 bytes."""
    peer.send_gso(TS, blob, size)


def with_full_headers(peer, blob, size):
    """Packets of 1500 bytes with 40 bytes of options: timestamps and SACK blocks."""
    options = TS + bytes((1, 1, 5, 26)) + bytes(24)
    for offset in range(0, len(blob), size - 28):
        peer.send('PA', options, blob[offset:offset + size - 28])


def test_no_room(t, family):
    """A client that fills its packets to the last byte, plain, as GSO packets, and with
    headers full of options: every segment carries the TOA and fits, none is lost."""
    full = full_payload(family, TS)
    blob = os.urandom(5 * full)
    slow_server(t, family, len(blob))
    host = family.raw(t)
    expected = {in_full_segments: ('toa_split', 5), in_one_piece: ('toa_gso', 1),
                with_full_headers: ('toa_dropped_options', 6)}
    for send, (counter, count) in expected.items():
        for wire in (False, True):
            observe.offloads(t.lb, 'inner', not wire)
            before = t.lb.fullnat_stats()[counter]
            capture = t.rs1.capture(snaplen=65535)
            peer = RawTcp(host, family.vip, 8000).connect(SYN_OPTIONS, TS)
            send(peer, blob, full)
            wanted = answer_to(blob, peer.own)
            equal(peer.read(len(wanted)), wanted, f'{send.__name__}: answer')
            packets, first_seq = requests_of(capture, family)
            peer.reset()
            check_segments(packets, peer.own, blob, first_seq, wire)
            late = [p for p in packets if p.payload_len and not p.timestamps]
            equal(late, [], 'segments without timestamps')
            equal(t.lb.fullnat_stats()[counter] - before, count, f'{send.__name__}: {counter}')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')


def test_damaged(t, family):
    """What arrives with a wrong checksum leaves with a wrong checksum, or is dropped when
    it would have to be cut in two: the application never sees it."""
    family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af, speaks_first=False)
    peer = RawTcp(family.raw(t), family.vip, 8000)
    peer.syn(SYN_OPTIONS)
    for size in (5, full_payload(family, TS)):
        peer.send('PA', TS, b'X' * size, seq=peer.seq, damage=1)
    equal(t.lb.fullnat_stats()['drop_csum'], 1, 'drop_csum')
    peer.send('PA', TS, b'sound')
    line = f'{family.raw_client} {peer.sport}\nsound'.encode()
    equal(peer.read(len(line)), line, 'answer')
    equal(server.clients, [peer.own], 'clients')
    check(observe.tcp_counters(t.rs1)['InCsumErrors'] >= 1, 'the server saw no wrong checksum')
