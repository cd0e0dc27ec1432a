# SPDX-License-Identifier: GPL-2.0
"""The TOA's layouts: ours as others decode them, theirs as toa.ko decodes them, and none.

Seen failing, each with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: kinds, kind_changed
  the same in what toa.ko decodes: their_layouts
  a client's options left alone with --toa off: off_is_not_open
"""
import ipaddress

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import decoders, observe
from lib.rawtcp import MSS, RawHost, RawTcp, timestamps, toa


def frames_to(capture, address, port):
    """The frames with TCP to this port of the address."""
    packed = ipaddress.ip_address(address).packed
    start = decoders.LINK_HEADER + (24 if len(packed) == 16 else 16)
    return [frame for frame in observe.frames(capture)
            if frame[start:start + len(packed)] == packed and
            decoders.tcp_header(frame)[2:4] == port.to_bytes(2, 'big')]


def check_decoded(frames, family, kind, own):
    """Who decodes the layout of this kind by any means finds the client, in each frame that has
    a TOA; who knows other layouts finds nobody. Returns how many have one."""
    count = 0
    for frame in frames:
        unknown = decoders.by_scapy(frame)
        if not unknown:
            continue
        count += 1
        equal([(k, decoders.client(body)) for k, body in unknown], [(kind, own)], 'by scapy')
        for who, rules in decoders.RULES.items():
            wanted = own if (kind, family.toa_length) in rules else None
            equal(decoders.by_rules(frame, rules), wanted, f'kind {kind}, by the rules of {who}')
    return count


def test_kinds(t, family):
    """Services with the default kind, each kind, and none at all: who decodes by the rules of
    LVS, Alibaba or DPVS finds the client in those that are theirs. Without TOA the server sees
    the LIP, and the MSS stays what it is."""
    services = {8000: ('', family.kinds[0]), 8003: ('--toa off', None)}
    services.update({8001 + number: (f'--toa {kind}', kind)
                     for number, kind in enumerate(family.kinds)})
    capture, outside = t.rs1.capture(), t.client.capture()
    clients = {}
    for port, (option, kind) in services.items():
        family.fullnat(t, port, service_options=option)
        server = t.rs1.peer_server(port, family=family.af)
        clients[port], answer = t.client.ask(family.vip, port, b'x')
        named = clients[port] if kind else (family.lip, server.clients[0][1])
        equal(answer, f'{named[0]} {named[1]}\nx'.encode(), f'{option}: answer')
        equal(server.clients, [named], f'{option}: clients')
    for port, (option, kind) in services.items():
        found = check_decoded(frames_to(capture, family.rs1, port), family, kind, clients[port])
        check(bool(found) == bool(kind), f'{option}: {found} packets with a TOA')
    mss = {packet.sport: packet.mss for packet in outside.packets() if packet.flags == 'SA'}
    full = 1500 - family.header - 20
    wanted = {port: full - (family.toa_length if kind else 0)
              for port, (_, kind) in services.items()}
    equal(mss, wanted, 'MSS that the client sees')
    stats, seen = t.lb.fullnat_stats(), t.rs1.toa_stats()
    equal((stats['conns'], stats['conns_with_toa'], stats['conns_without_toa']), (4, 3, 0),
          'conns, conns_with_toa, conns_without_toa')
    equal((seen['stored'], seen['absent']), (3, 1), 'stored, absent')


def test_kind_changed(t, family):
    """Another kind, while the service is in use: new connections have it, the first goes on."""
    service = family.fullnat(t)
    t.rs1.peer_server(8000, family=family.af)
    first = t.client.connect(family.vip, 8000)
    for kind in (*family.kinds[::-1], family.kinds[0]):
        t.lb.run(f'ipvsadm -E {service} -s rr --fullnat --toa {kind}')
        capture = t.rs1.capture()
        own, answer = t.client.ask(family.vip, 8000, b'x')
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), f'kind {kind}: answer')
        check(check_decoded(frames_to(capture, family.rs1, 8000), family, kind, own), 'no TOA')
    own = first.getsockname()[:2]
    first.sendall(b'still here')
    wanted = f'{own[0]} {own[1]}\nstill here'.encode()
    equal(read_until(first, len(wanted)), wanted, 'the first connection')


def test_off_is_not_open(t, family):
    """Without TOA nobody can bring in one of his own either."""
    family.fullnat(t, service_options='--toa off')
    server = t.rs1.peer_server(8000, family=family.af, speaks_first=False)
    capture = t.rs1.capture()
    host = family.raw(t)
    forged = [toa(kind, address, 6666) for kind, address in
              ((200, V4.forged), (254, V4.forged), (253, V6.forged), (254, V6.forged))]
    for option in forged:
        for acknowledges in (True, False):
            peer = RawTcp(host, family.vip, 8000)
            peer.syn(MSS + option)
            if acknowledges:
                peer.send('A', option)
            peer.send('PA', option, b'x')
            peer.expect(lambda p: p.payload.endswith(b'\nx'), what='the answer')
            peer.reset()
    equal({address for address, _ in server.clients}, {family.lip}, 'clients')
    equal(len(server.clients), 8, 'connections')
    equal([str(packet) for packet in capture.packets() if packet.toas], [], 'TOAs on the wire')
    equal(t.rs1.toa_stats()['absent'], 8, 'absent')


# Whose load balancer puts which kind on what; an IPv6 client of DPVS comes over IPv4 (NAT64)
THEIR = (
    ('LVS of 2012', V4, 200, V4, ('A', 'data')),
    ('Alibaba', V4, 254, V4, ('SYN', 'A', 'data')),
    ('Alibaba', V6, 253, V6, ('SYN', 'A', 'data')),
    ('DPVS', V4, 254, V4, ('A', 'data')),
    ('DPVS', V6, 254, V6, ('A', 'data')),
    ('DPVS, ACK lost', V4, 254, V4, ('data',)),
    ('DPVS, ACK lost', V6, 254, V6, ('data',)),
    ('DPVS, NAT64', V4, 254, V6, ('A', 'data')),
)
THEIR_LIPS = {'v4': '10.0.0.77', 'v6': 'fd00::77'}


def from_their_balancer(host, wire, option, where, port):
    """A connection as their load balancer makes it. Returns what the server says."""
    peer = RawTcp(host, wire.rs1, port)
    peer.syn(MSS + (option if 'SYN' in where else b''))
    stamps = timestamps(1)
    if 'A' in where:
        peer.send('A', option + stamps)
    peer.send('PA', option + stamps, b'\n')
    said = b''
    while not said.endswith(b'\n\n'):
        said += peer.read(1)
    peer.reset()
    return said.decode().split()


def test_their_layouts(t):
    """What the load balancers of others send names the client at our real servers, with a
    listener for IPv4 or IPv6 and one for both. Only an IPv6 client on an IPv4 socket has no
    name there: the LIP is shown, and it is counted."""
    run('modprobe toa')
    for wire in (V4, V6):
        t.rs1.peer_server(8000, family=wire.af, speaks_first=False)
    t.rs1.peer_server(8001, dual_stack=True, speaks_first=False)
    hosts = {wire.name: RawHost(t.lb, 'inner', THEIR_LIPS[wire.name], t.rs1, 'eth0')
             for wire in (V4, V6)}
    for who, wire, kind, named, where in THEIR:
        client = (named.forged, 6666)
        for port in (8000, 8001):
            host = hosts[wire.name]
            said = from_their_balancer(host, wire, toa(kind, *client), where, port)
            wanted = client
            if port == 8000 and wire is not named:
                wanted = (host.address, int(said[1]))
            address = wanted[0]
            if port == 8001 and ':' not in address:
                address = f'::ffff:{address}'
            equal((said[0], int(said[1])), (address, wanted[1]), f'{who}, port {port}')
    stats = t.rs1.toa_stats()
    equal((stats['stored'], stats['nat64'], stats['absent']), (2 * len(THEIR) - 1, 1, 0),
          'stored, nat64, absent')
