# SPDX-License-Identifier: GPL-2.0
"""ICMP errors and path MTU.

Seen failing, each with a copy of the module that was broken like this:

  what is too big never refused: path_mtu_*
  no room for the TOA in what the client is told: path_mtu_to_rs_v4
  less than 1280 told to an IPv6 client: least_mtu
  the quoted packet not translated: translated_*
  the checksum of errors not verified: translated_*_v4
  errors of the client's side left to INPUT's rules: translated_to_rs_*, udp_quotes_*
  errors of the servers' side left to the host: path_mtu_by_router_*_rs
  room for a TOA that is not due any more: translated_to_client_v4
  any quoted number believed, or the LB learns no MTU: translated_to_client_v6
  the quoted UDP checksum left as it is: udp_quotes_*; the server's port quoted: udp_quotes_v4
  the TTL neither checked nor lowered: time_exceeded_*
"""
import os
import re
import socket
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.firewall import strict_nft
from lib.icmp import (TIME_EXCEEDED, TOO_BIG, TTL, UNREACHABLE, icmp_socket, parse_error,
                      short_lived)
from lib.traffic import both_ways, exchange, greeted
from lib.udp import UdpServer, ask_udp, udp_header, udp_service, udp_socket

import pcap

SMALL = {V4: 1200, V6: 1290}


def pack(family, address):
    """The bytes of an address."""
    return socket.inet_pton(family.af, address)


def quote(family, source, destination, seq):
    """The beginning of a TCP packet, as an ICMP error quotes it. Both are (address, port)."""
    pair = pack(family, source[0]) + pack(family, destination[0])
    if family is V6:
        head = struct.pack('!IHBB', 6 << 28, 1400, socket.IPPROTO_TCP, 60) + pair
    else:
        head = struct.pack('!BBHHHBBH', 0x45, 0, 1500, 1, 0x4000, 60, socket.IPPROTO_TCP, 0) + pair
        head = head[:10] + struct.pack('!H', pcap.checksum(head)) + head[12:]
    return head + struct.pack('!HHI', source[1], destination[1], seq & 0xffffffff)


def too_big(family, mtu, quoted, damage=0):
    """The ICMP message; of ICMPv6 the kernel computes the checksum. damage: bits to flip in it."""
    _, kind, code = TOO_BIG[family]
    message = struct.pack('!BBHI', kind, code, 0, mtu) + quoted
    if family is V6:
        return message
    return message[:2] + struct.pack('!H', pcap.checksum(message) ^ damage) + message[4:]


def damaged_icmpv6(source, destination, message):
    """A whole packet, since the kernel would put the right checksum into a message."""
    pair = pack(V6, source) + pack(V6, destination)
    check = pcap.checksum(pair + struct.pack('!II', len(message), socket.IPPROTO_ICMPV6) + message)
    head = struct.pack('!IHBB', 6 << 28, len(message), socket.IPPROTO_ICMPV6, 64)
    return head + pair + message[:2] + struct.pack('!H', check ^ 0x0101) + message[4:]


def told_mtus(family, capture):
    """The MTUs that the captured errors tell, in order."""
    proto, *kind = TOO_BIG[family]
    return [struct.unpack('!I', packet.payload[4:8])[0] for packet in capture.packets()
            if packet.proto == proto and list(packet.payload[:2]) == kind]


def send_errors(host, family, source, address, mtu, quoted):
    """Send "too big", before that a damaged one."""
    sender = icmp_socket(host, family)
    if family is V4:
        sender.sendto(too_big(family, mtu, quoted, 0x0101), (address, 0))
    else:
        whole = host.socket(family.af, socket.SOCK_RAW, socket.IPPROTO_RAW)
        whole.sendto(damaged_icmpv6(source, address, too_big(family, mtu, quoted)), (address, 0))
    sender.sendto(too_big(family, mtu, quoted), (address, 0))


def greeted_connection(t, family):
    """A connection that rs1 has greeted, what the client's and the server's side captured."""
    family.fullnat(t)
    t.lb.nft(strict_nft(family, 'tcp'))
    t.rs1.peer_server(8000, family=family.af)
    outer, inner = t.client.capture(), t.rs1.capture()
    sock = t.client.connect(family.vip, 8000)
    greeted(sock)
    return sock, outer.packets(), inner.packets()


def path_mtu(host, address):
    """What the host believes of its path to the address."""
    found = re.search(r'mtu (\d+)', host.run(f'ip route get {address}').out)
    return int(found[1]) if found else None


def download(t, family, blob):
    """Get data from rs1."""
    family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af, handler=lambda sock, seen: sock.sendall(blob))
    with t.client.connect(family.vip, 8000) as sock:
        check(read_until(sock, len(blob)) == blob, 'the data differ')


def upload(t, family, blob):
    """Give data to rs1."""
    got = []

    def take(sock, _):
        got.append(read_until(sock, len(blob)))
        sock.sendall(b'done')

    family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af, handler=take)
    with t.client.connect(family.vip, 8000) as sock:
        sock.sendall(blob)
        equal(read_until(sock, 4), b'done', 'answer')
    check(got == [blob], 'the data differ')


def test_path_mtu_to_client(t, family):
    """The LB's client side takes less than 1500 bytes: the RS learns it from the LB."""
    t.lb.run('ip link set outer mtu 1300')
    download(t, family, os.urandom(1 << 20))
    check(t.lb.fullnat_stats()['icmp_toobig_rs'] >= 1, 'the RS was told')
    equal(path_mtu(t.rs1, family.lip), 1300, "the RS's path MTU to the LIP")


def test_path_mtu_to_rs(t, family):
    """The LB's inner side takes less: the client learns it, with room for the TOA, which its
    first data carry."""
    t.lb.run('ip link set inner mtu 1300')
    watched = t.client.capture()
    upload(t, family, os.urandom(1 << 20))
    check(t.lb.fullnat_stats()['icmp_toobig_client'] >= 1, 'the client was told')
    equal(told_mtus(family, watched)[0], 1300 - family.toa_length, 'the first MTU told')
    equal(path_mtu(t.client, family.vip), 1300 - family.toa_length, "the client's path MTU")
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'connections without TOA')


def test_least_mtu(t):
    """No client over IPv6 is told of an MTU below 1280: segments are split instead."""
    t.lb.run('ip link set inner mtu 1280')
    watched = t.client.capture()
    upload(t, V6, os.urandom(1 << 18))
    equal(set(told_mtus(V6, watched)), {1280}, 'MTUs told')
    equal(path_mtu(t.client, VIP_V6), 1280, "the client's path MTU")
    stats = t.lb.fullnat_stats()
    equal((stats['conns_without_toa'], stats['conns_with_toa']), (0, 1), 'without, with TOA')


def test_translated_to_rs(t, family):
    """An error of the client's side reaches the RS as one about its own packet; one that
    arrived damaged does not."""
    sock, outer, inner = greeted_connection(t, family)
    reply = next(p for p in outer if p.payload_len and p.source == (family.vip, 8000))
    sent = next(p for p in inner if p.payload_len and p.source == (family.rs1, 8000))
    listening = icmp_socket(t.rs1, family)
    # of the next packet: a host does not believe errors about what is acknowledged
    seq = reply.seq + reply.payload_len
    quoted = quote(family, reply.source, reply.destination, seq)
    send_errors(t.client, family, family.client, family.vip, SMALL[family], quoted)
    equal(parse_error(family, listening),
          (family.lip, TOO_BIG[family][1:], SMALL[family], sent.source, sent.destination, seq),
          'the error at the RS')
    until(lambda: path_mtu(t.rs1, family.lip) == SMALL[family], 10, 'the RS has learnt the MTU')
    stats = t.lb.fullnat_stats()
    equal((stats['icmp_to_rs'], stats['drop_malformed']), (1, 1), 'translated, refused')
    sock.close()


def test_translated_to_client(t, family):
    """An error of the RS's side reaches the client as one about its own packet, which may have
    been acknowledged meanwhile, and the LB itself learns the path's MTU. One that quotes a number
    out of thin air, or arrived damaged, does neither."""
    sock, outer, inner = greeted_connection(t, family)
    sent = next(p for p in outer if p.flags == 'A' and p.dst == family.vip)
    request = next(p for p in inner if p.toa)
    listening, sender = icmp_socket(t.client, family), icmp_socket(t.rs1, family)
    forged = quote(family, request.source, request.destination, request.seq + (1 << 30))
    sender.sendto(too_big(family, SMALL[family] - 5, forged), (family.lip, 0))
    for behind in (0, 1):
        quoted = quote(family, request.source, request.destination, request.seq - behind)
        send_errors(t.rs1, family, family.rs1, family.lip, SMALL[family], quoted)
        equal(parse_error(family, listening),
              (family.vip, TOO_BIG[family][1:], SMALL[family], sent.source, sent.destination,
               sent.seq - behind),
              f'the error at the client about {behind} before the next')
    equal(path_mtu(t.lb, f'{family.rs1} from {family.lip}'), SMALL[family],
          "the LB's path MTU to the RS")
    stats = t.lb.fullnat_stats()
    equal((stats['icmp_to_client'], stats['drop_malformed']), (2, 3),
          'translated, refused')
    sock.close()


def test_udp_quotes(t, family):
    """Errors about datagrams, of either side, quote the datagram as its sender has sent it,
    its checksum too."""
    udp_service(t, family, 5300, servers=(family.rs1,), server_port=5353)
    t.lb.nft(strict_nft(family, 'udp', 5300))
    observe.real_wire(t)
    outer = t.client.capture()
    listening = icmp_socket(t.client, family), icmp_socket(t.rs1, family)
    with udp_socket(t.client, family) as sock:
        own = sock.getsockname()[:2]
        sock.sendto(b'question', (family.vip, 5300))
        # nobody listens there: its error is about the request
        source, kind, _, *quoted, rest = parse_error(family, listening[0])
        equal((source, kind, *quoted),
              (family.vip, UNREACHABLE[family], own, (family.vip, 5300)), 'error at the client')
        equal(struct.pack('!I', rest), udp_header(outer, family, b'question')[4:],
              'length and checksum quoted to the client')
        server = UdpServer(t.rs1, 5353, family)
        inner = t.rs1.capture()
        equal(ask_udp(sock, (family.vip, 5300), b'again'), b'niaga', 'answer')
    # the client is gone: its host's error is about the reply
    local = server.peers[0]
    with t.rs1:
        server.sock.sendto(b'more', local)
    source, kind, _, *quoted, rest = parse_error(family, listening[1])
    equal((source, kind, *quoted),
          (family.lip, UNREACHABLE[family], (family.rs1, 5353), local), 'error at the RS')
    equal(struct.pack('!I', rest), udp_header(inner, family, b'more')[4:],
          'length and checksum quoted to the RS')


def test_time_exceeded(t, family):
    """traceroute to the VIP: the LB answers for itself as the VIP when a packet's time ends
    there; with one hop more the RS has it."""
    family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af)
    listening = icmp_socket(t.client, family)
    sock = short_lived(t.client, family, socket.SOCK_STREAM, 1, (family.vip, 8000))
    source, kind, *_ = parse_error(family, listening)
    equal((source, kind), (family.vip, TIME_EXCEEDED[family]), 'time exceeded')
    sock.close()
    equal(t.lb.fullnat_stats()['drop_ttl'], 1, 'drop_ttl')
    sock = t.client.socket(family.af)
    sock.setsockopt(*TTL[family], 2)
    sock.settimeout(30)
    sock.connect((family.vip, 8000))
    own = greeted(sock)
    equal(server.clients, [own], 'clients')
    sock.close()


SIDES = [f'{family}_{side}' for family in FAMILIES for side in ('rs', 'client')]


def behind_router(t, family, side):
    """A router whose ways take 1300 bytes, and behind it the real servers or the client, each on
    a wire of 1500. Returns the capture of who is behind it, and rs1's address."""
    t.add_bridge('far')
    router = t.add_router('router', family, 1, 'far')
    observe.real_wire(t)
    for device in ('eth0', 'far'):
        observe.offloads(router, device, False)
    servers, ends = family.servers, [(family.vip, 'eth0'), (family.host(50, 1), 'far')]
    t.lb.batch([f'route add {family.host(0, 1)}/{family.length} via {family.host(1)}'])
    if side == 'rs':
        servers = t.move_servers(family, 'far', family.host(1, 1))
        ends = (family.lip, 'eth0'), (servers[0], 'far')
        capture = t.rs1.capture()
    else:
        t.plug(t.client, 'far', 'far')
        t.client.batch(['link set far up',
                        f'addr add {family.host(50, 1)}/{family.length} dev far nodad',
                        f'route add {family.vip}/{family.host_length} via {family.host(1, 1)}'])
        observe.offloads(t.client, 'far', False)
        capture = t.client.capture('far')
    for address, device in ends:
        via = f'via {family.lb_inner} ' if address == family.vip else ''
        router.run(f'ip route add {address}/{family.host_length} {via}dev {device} mtu lock 1300')
    return capture, servers[0]


def forget_mtus(t):
    """Nobody knows any path's MTU."""
    for host in t.hosts:
        host.run('ip -4 route flush cache && ip -6 route flush cache')


def check_next_hop(t, family):
    """The hop behind the LB answers for packets whose time ends there: the client is told, by
    the VIP, of its own packet."""
    listening = icmp_socket(t.client, family)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with short_lived(t.client, family, kind, 2, (family.vip, 8000)) as sock:
            own = sock.getsockname()[:2]
            source, what, _, *quoted, _ = parse_error(family, listening)
        equal((source, what, *quoted), (family.vip, TIME_EXCEEDED[family], own,
                                        (family.vip, 8000)), 'time exceeded')


@each(SIDES)
def test_path_mtu_by_router(t, value):
    """A router, not the LB, is where the path's MTU is least: whoever sends too much learns it
    through the LB, and all arrives."""
    name, side = value.split('_')
    family = V4 if name == 'v4' else V6
    capture, server = behind_router(t, family, side)
    for protocol in ('tcp', 'udp'):
        t.fullnat(8000, family=family, service=family.service(8000, protocol=protocol),
                  servers=(server,))
    blob = os.urandom(1 << 20)
    t.rs1.peer_server(8000, family=family.af, handler=exchange(blob))
    UdpServer(t.rs1, 8000, family)
    told = 'icmp_to_client' if side == 'rs' else 'icmp_to_rs'
    both_ways(t, family, blob, 'through the router')
    stats = t.lb.fullnat_stats()
    # at least: replies come in packets of up to 64 kB
    check(min(observe.fast(t)) >= 5, f'fast packets: {stats}')
    check(stats[told] >= 1, f'who sends segments was not told: {stats}')
    forget_mtus(t)
    with t.client.socket(family.af, socket.SOCK_DGRAM) as sock:
        equal(ask_udp(sock, (family.vip, 8000), blob[:1400], again=5), blob[:1400][::-1], 'answer')
    check(t.lb.fullnat_stats()[told] > stats[told], 'who sends datagrams was not told')
    equal(stats['conns_without_toa'], 0, 'conns_without_toa')
    sizes = [packet.ip_length for packet in capture.packets()
             if packet.dst in (server, family.host(50, 1))]
    check(1200 < max(sizes) <= 1300, f'the largest packet behind the router: {max(sizes)}')
    if side == 'rs':
        check_next_hop(t, family)
