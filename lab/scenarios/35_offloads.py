# SPDX-License-Identifier: GPL-2.0
"""Segmentation, merging and checksums by the hardware, on and off in every mix; big and small
MTUs; packets that are a list of packets.

Seen failing: lists_with_toa, on 6.12, when identifications that jump kept GRO from merging;
mixes, when the scenario itself lost the beginning of the download; lists_both_ways, when a GRO
timer on the LB let bulk time out. With a copy of the modules that was broken like this:

  checksums that are still to be made not seeded: mixes
  packets in a list not marked to be cut anew, on 6.12: lists_with_toa (not lists_both_ways)
  packets in a list dropped, on 6.12: lists_both_ways
  checksums of many datagrams in one not seeded: udp_gso
  the number of segments forgotten: segments_limited
"""
import os
import re
import socket

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe, trace
from lib.rawtcp import MSS, SACK_PERMITTED, WINDOW_SCALE, RawTcp, timestamps
from lib.segments import (answer_to, check_segments, full_payload, requests_of, slow_server)
from lib.traffic import both_ways, exchange
from lib.udp import udp_service, udp_socket

# client, LB outer, LB inner, RS; from one to the next only one changes
MIXES = [tuple(bool((n ^ n >> 1) >> bit & 1) for bit in range(4)) for n in range(16)]
ALL_ON, ALL_OFF = (True,) * 4, (False,) * 4
MTUS = (9000, 9000), (9000, 1500), (1500, 9000)             # outer, inner
TS = timestamps(1000)
SYN_OPTIONS = MSS + SACK_PERMITTED + TS + WINDOW_SCALE


def devices(t):
    """Whose offloads a mix switches, in its order. A veth merges what it receives only if its
    other end does not segment in hardware: so the switch's ports go with who is behind them."""
    return (((t.client, 'eth0'),), ((t.lb, 'outer'),), ((t.lb, 'inner'), (t.switch, 'rs1-inner')),
            ((t.rs1, 'eth0'), (t.switch, 'lb-inner')))


def set_offloads(t, mix, before=(None,) * 4):
    """Switch what differs from the mix before."""
    for group, state, was in zip(devices(t), mix, before):
        for host, device in group if state != was else ():
            observe.offloads(host, device, state)


def set_mtu(t, outer, inner):
    """On both ends of the client's wire, and everywhere on the other."""
    for host, names, mtu in ((t.client, ['eth0'], outer), (t.lb, ['outer'], outer),
                             (t.switch, ['lb-inner', 'rs1-inner', 'rs2-inner', 'inner'], inner),
                             (t.lb, ['inner'], inner), (t.rs1, ['eth0'], inner)):
        host.batch([f'link set {device} mtu {mtu}' for device in names])


def count_big(t, mtu):
    """From now on the LB counts what it receives above this, the lesser MTU, which both ends
    know by each other's MSS: GSO packets."""
    t.lb.nft(f'''table inet big
        delete table inet big
        table inet big {{
            counter requests {{ }}
            counter replies {{ }}
            chain pre {{
                type filter hook prerouting priority -300
                iif outer meta length > {mtu} counter name requests
                iif inner meta length > {mtu} counter name replies
            }}
        }}''')


def big(t):
    """How many requests and how many replies were, since this was asked last."""
    text = t.lb.run('nft reset counters table inet big').out
    return [int(re.search(name + r' {\s*packets (\d+)', text)[1])
            for name in ('requests', 'replies')]


def check_no_drops(t):
    """The LB dropped nothing, and no connection came without its TOA."""
    drops = {name: value for name, value in t.lb.fullnat_stats().items()
             if value and (name.startswith('drop_') or name == 'conns_without_toa')}
    equal(drops, {}, 'drops')


def check_mix(t, family, mix, mtus, blob):
    """Data both ways; the LB gets GSO packets exactly where somebody makes them: the sender's
    device by segmenting late, or its own by merging."""
    client, outer, inner, server = mix
    what = f'client, outer, inner, RS: {mix}, MTUs {mtus}'
    both_ways(t, family, blob, what)
    equal([count > 0 for count in big(t)], [client or outer, server or inner],
          f'{what}: GSO packets at the LB (requests, replies)')
    check_no_drops(t)


def every_mix(t, family, size):
    """All mixes with the usual MTU, all on and all off with the other MTUs."""
    family.fullnat(t)
    blob = os.urandom(size)
    server = t.rs1.peer_server(8000, family=family.af, handler=exchange(blob))
    before, count = (None,) * 4, 0
    for mtus in ((1500, 1500), *MTUS):
        set_mtu(t, *mtus)
        count_big(t, min(mtus))
        for mix in MIXES if mtus == (1500, 1500) else (ALL_ON, ALL_OFF):
            set_offloads(t, mix, before)
            check_mix(t, family, mix, mtus, blob)
            before = mix
            count += 1
    equal({address for address, _ in server.clients}, {family.client}, 'clients')
    equal((len(server.clients), t.lb.fullnat_stats()['conns_with_toa']), (count, count),
          'connections, conns_with_toa')


def test_mixes(t, family):
    """256 kB each way in every mix."""
    every_mix(t, family, 256 << 10)


def test_segments_limited(t, family):
    """A device takes at most so many segments in a packet, as some cards do: those that have more
    are cut before, on both paths."""
    blob = os.urandom(2 << 20)
    family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af, handler=exchange(blob))
    t.lb.run('ip link set inner gso_max_segs 4')
    for fast in 1, 0:
        t.lb.sysctl('net.ipv4.vs.fullnat_fast_path', fast)
        count_big(t, 1500)
        capture = t.rs1.capture()
        both_ways(t, family, blob, f'fast path {fast}')
        sizes = [packet.payload_len for packet in capture.packets() if packet.dst == family.rs1]
        check(big(t)[0] > 10, f'fast path {fast}: the LB got no packet of many segments')
        check(max(sizes) <= 4 * 1460, f'fast path {fast}: {max(sizes)} bytes in a packet')
    check_no_drops(t)


@long
@limit(5400)
def test_mixes_200_mb(t, family):
    """200 MB each way in every mix."""
    every_mix(t, family, 200 << 20)


def merge(t, *, by_list):
    """The LB's devices merge what they receive; by_list: they keep it as a list of packets,
    where the kernel can."""
    set_offloads(t, (False, True, True, False))
    for device in ('outer', 'inner'):
        t.lb.run(f'ethtool -K {device} rx-gro-list {"on" if by_list else "off"}')


def collect(t):
    """What is sent to the LB one by one waits there, so that it can be merged."""
    run(t.lb.wrap('echo 200000000 > /sys/class/net/outer/gro_flush_timeout; '
                  'echo 1000 > /sys/class/net/outer/napi_defer_hard_irqs'))


def test_lists_both_ways(t, family):
    """Bulk through an LB that keeps what it merges as lists (rx-gro-list; kernels before 6.10
    know it for UDP only and merge TCP as ever)."""
    family.fullnat(t)
    blob = os.urandom(4 << 20)
    t.rs1.peer_server(8000, family=family.af, handler=exchange(blob))
    count_big(t, 1500)
    for by_list in (False, True):
        merge(t, by_list=by_list)
        both_ways(t, family, blob, f'by_list {by_list}')
        merged = big(t)
        # 2900 segments each way; the more are merged at once, the fewer packets these are
        check(min(merged) > 45, f'by_list {by_list}: too little was merged: {merged}')
    check_no_drops(t)


def in_segments(peer, blob, size):
    """Packets of 1500 bytes that can be merged: PSH only on the last."""
    last = (len(blob) - 1) // size * size
    for offset in range(0, len(blob), size):
        peer.send('PA' if offset == last else 'A', TS, blob[offset:offset + size])


def one_list(t, family, host, blob, size):
    """A first request of segments with so much payload, merged by the LB. Returns how many
    packets it received as one, how many it cut anew, and how many it copied for that."""
    big(t)
    before = t.lb.fullnat_stats()['toa_gso']
    capture = t.rs1.capture(snaplen=65535)
    peer = RawTcp(host, family.vip, 8000).connect(SYN_OPTIONS, TS)
    with trace.Calls('__pskb_pull_tail', 'delta=%si:s32', 'delta > 1000') as calls:
        in_segments(peer, blob, size)
        wanted = answer_to(blob, peer.own)
        equal(peer.read(len(wanted)), wanted, 'answer')
        copied = [stack for stack in calls.stacks() if 'fnat_toa_insert' in stack]
    packets, first_seq = requests_of(capture, family)
    peer.reset()
    check_segments(packets, peer.own, blob, first_seq, True)
    return big(t)[0], t.lb.fullnat_stats()['toa_gso'] - before, len(copied)


def test_lists_with_toa(t, family):
    """A first request that the LB has merged into a list of packets: every segment that leaves
    carries the TOA and fits. Where the segments have become too long for that their payload is
    copied, and only there."""
    full = full_payload(family, TS)
    blob = os.urandom(6 * full)
    slow_server(t, family, len(blob))
    host = family.raw(t)
    count_big(t, 1500)
    for by_list in (False, True):
        merge(t, by_list=by_list)
        observe.offloads(t.lb, 'inner', False)      # so that a capture shows what a wire would
        collect(t)
        for size in (full, full - family.toa_length):
            what = f'by_list {by_list}, {size} bytes'
            merged, cut_anew, copied = one_list(t, family, host, blob, size)
            check(merged, f'{what}: nothing was merged')
            wanted = merged if size == full else 0
            equal((cut_anew, copied), (wanted, wanted), f'{what}: cut anew, copied')
    check_no_drops(t)


UDP_SEGMENT = 103       # of SOL_UDP
SO_RCVBUFFORCE = 33
DATAGRAMS, DATAGRAM = 40, 1400
# How datagrams come to the LB: many as one packet, which it passes on or cuts; each by itself,
# merged into such a packet, or into a list of packets
UDP_WAYS = {
    'cut': {'client': True, 'inner': False},
    'passed on': {'client': True, 'inner': True},
    'merged': {'client': False, 'inner': False, 'feature': 'rx-udp-gro-forwarding'},
    'listed': {'client': False, 'inner': False, 'feature': 'rx-gro-list'},
}


def udp_way(t, client, inner, feature=None):
    """Switch the devices for one of the ways. The server sends one by one. (Without checksums by
    the device older kernels do not cut datagrams at all.)"""
    state = 'on' if client else 'off'
    t.client.run(f'ethtool -K eth0 tso {state} tx-udp-segmentation {state}')
    t.rs1.run('ethtool -K eth0 tso off tx-udp-segmentation off gro off')
    for host, device, on in ((t.lb, 'inner', inner), (t.switch, 'rs1-inner', inner),
                             (t.switch, 'lb-inner', False)):
        observe.offloads(host, device, on)
    for device in ('outer', 'inner'):
        t.lb.run(f'ethtool -K {device} gro on rx-udp-gro-forwarding off rx-gro-list off')
        if feature:
            t.lb.run(f'ethtool -K {device} {feature} on')


def segmenting(sock):
    """What this socket sends is cut into datagrams, by the device if it can."""
    sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, DATAGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    sock.settimeout(10 * basics.SCALE)
    return sock


def many_datagrams(sender, receiver, where):
    """56 kB in one system call are so many datagrams for the receiver. Returns whom it sees as
    their sender."""
    blob = os.urandom(DATAGRAMS * DATAGRAM)
    sender.sendto(blob, where)
    got = [receiver.recvfrom(1 << 16) for _ in range(DATAGRAMS)]
    equal([len(data) for data, _ in got], [DATAGRAM] * DATAGRAMS, 'sizes')
    check(b''.join(data for data, _ in got) == blob, 'the data differ')
    equal(len({peer for _, peer in got}), 1, 'senders')
    return got[0][1]


def datagrams_both_ways(t, family, client, server, way):
    """As often as it takes for both paths to be taken, three times each way. What the server's
    card gets is right if it is a real wire."""
    capture = t.rs1.capture(snaplen=2000)
    before = t.lb.fullnat_stats()
    for _ in range(3):
        peer = many_datagrams(client, server, (family.vip, 8000))
        equal(many_datagrams(server, client, peer)[:2], (family.vip, 8000), 'who answers')
    after = t.lb.fullnat_stats()
    packets = [packet for packet in capture.packets() if packet.src == family.lip]
    if not UDP_WAYS[way]['inner']:
        equal([packet.payload_len for packet in packets], [DATAGRAM] * 3 * DATAGRAMS,
              f'{way}: datagrams on the wire')
        observe.check_checksums(packets)
    return [after[name] - before[name] for name in ('fast_request', 'fast_reply')]


def test_udp_gso(t, family):
    """Datagrams that are many at once (UDP_SEGMENT, or merged by the LB's devices), by either
    path: each arrives as it was sent."""
    udp_service(t, family, 8000, servers=(family.rs1,))
    server = segmenting(t.rs1.socket(family.af, socket.SOCK_DGRAM))
    server.bind((family.rs1, 8000))
    count_big(t, 1500)
    with segmenting(udp_socket(t.client, family)) as client:
        many_datagrams(server, client, many_datagrams(client, server, (family.vip, 8000)))
        for way, switches in UDP_WAYS.items():
            udp_way(t, **switches)
            for fast_path in (1, 0):
                t.lb.sysctl('net.ipv4.vs.fullnat_fast_path', fast_path)
                big(t)
                fast = datagrams_both_ways(t, family, client, server, way)
                what = f'{way}, fast path {fast_path}'
                check(big(t)[0] >= 3, f'{what}: nothing came as one')
                equal([count > 0 for count in fast], [bool(fast_path)] * 2, f'{what}: fast')
    equal(observe.drops(t.lb), {}, 'drops')
