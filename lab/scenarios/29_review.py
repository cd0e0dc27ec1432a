# SPDX-License-Identifier: GPL-2.0
"""What reviews of the data path have found: packets that no ordinary host sends.

Seen failing, each with a copy of the module that was broken like this:

"""
import fcntl
import os
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.rawtcp import MSS, RawTcp, device_mac, make_packet
from lib.segments import (answer_to, check_segments, full_payload, requests_of, whole_request)

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 0x0002, 0x1000, 0x4000


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


class Guest:
    """A virtual machine on the LB, as its host sees it: frames with a virtio header."""

    def __init__(self, t, address):
        self.address = address
        run('modprobe tun')
        with t.lb:
            self.tap = os.open('/dev/net/tun', os.O_RDWR)
            fcntl.ioctl(self.tap, TUNSETIFF, struct.pack('16sH22x', b'guest', IFF_TAP |
                                                         IFF_NO_PI | IFF_VNET_HDR))
        t.lb.batch([f'link set guest up', f'route add {address}/32 dev guest',
                    f'neigh replace {address} lladdr 02:00:00:00:00:02 dev guest nud permanent'])
        self.link_header = device_mac(t.lb, 'guest') + bytes.fromhex('0200000000020800')
        self.version = 4

    def send_gso(self, packet, size, csum_start):
        """One big packet, to be cut into segments with `size` bytes of payload."""
        header = struct.pack('=BBHHHH', 1, 1, 14 + 20 + 20, size, 14 + csum_start, 16)
        os.write(self.tap, header + self.link_header + packet)


def test_bad_offload_of_guest(t):
    """A big packet of a virtual machine that says that its checksum begins elsewhere than at
    the TCP header is dropped (it was a panic); one that says the truth passes."""
    t.fullnat(8000, servers=(RS1,))
    guest = Guest(t, '192.0.2.2')
    capture = t.rs1.capture()
    for sport, csum_start, drops in ((20000, 20, {}), (20001, 24, {'drop_malformed': 1})):
        peer = RawTcp(guest, VIP, 8000, sport=sport)
        segment = peer.segment('S', payload=bytes(3000))
        guest.send_gso(make_packet(guest.address, VIP, segment, partial=True), 1400, csum_start)
        until(lambda d=drops: observe.drops(t.lb) == d, what=f'drops are {drops}')
        t.client.ask(VIP, 8000, b'alive?')
    syns = [packet for packet in capture.packets() if packet.flags == 'S' and packet.payload_len]
    check(syns, 'the good one has not passed')
