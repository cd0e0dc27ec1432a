# SPDX-License-Identifier: GPL-2.0
"""Where client, VIP, LIP and real servers may be: one subnet, behind routers, addresses on lo
and by routes, services by mark and of all ports.

Seen failing:

  with a copy of the modules in which the client's port in the TOA was off by one: all but
    udp_by_mark
  marks left out when a connection's declaration is looked up: udp_by_mark
  what IPVS has translated for a server on the LB looked at once more: sorry_server_by_mark_*,
    sorry_server_at_lip_*
  replies of UDP from the port after the VIP's: udp_one_arm, udp_all_ports
  packets not marked as untracked: fwmark; ports of a LIP that are the host's own not left to it:
    lip_shared_with_host
  the MTU of the way refused to the LB's own datagrams, which cannot learn it: client_on_lb_*;
    their fragments with the sender's identification: client_on_lb_v4
  default entries also for services of marks: mark_beside_default_entry
"""
import ipaddress
import os
import re
import socket

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.firewall import mark_rules
from lib.icmp import TIME_EXCEEDED, icmp_socket, parse_error, short_lived
from lib.traffic import Chain, echo, greeted, reset
from lib.udp import UdpServer, ask_udp, received, udp_service, udp_socket

REDIRECTS = 'icmp[icmptype] == icmp-redirect or (icmp6 and ip6[40] == 137)'


def one_subnet(t, family):
    """The client moves into the inner network, and a VIP of that network into the LB."""
    vip = family.host(80)
    t.lb.batch(['link del outer'])      # the client's end goes with it
    t.plug(t.client)
    t.client.batch(['link set eth0 up',
                    f'addr add {family.host(1)}/{family.length} dev eth0 nodad'])
    t.lb.batch([f'addr add {vip}/{family.host_length} dev inner nodad'])
    t.lb.forward()      # a router might send redirects
    return vip


def test_one_arm(t, family):
    """Client, VIP, LIP and real servers on one subnet: all goes through the LB both ways, and
    nobody is told of a shorter way."""
    vip = one_subnet(t, family)
    t.fullnat(8000, family=family, vip=vip)
    redirects = [host.capture(expression=REDIRECTS) for host in (t.client, *t.servers)]
    chain = Chain(t, 8000, family=family)
    equal(chain.visits(vip, (8000,), 20), [10, 10], 'connections')
    for _ in t.servers:
        chain.ask(vip, 8000, os.urandom(1 << 20))
    equal({own[0] for own, _ in chain.asked}, {family.host(1)}, 'the client')
    for server, packets in zip(family.servers, chain.check()):
        talk = {frozenset((packet.src, packet.dst)) for packet in packets if packet.dport}
        equal(talk, {frozenset((server, family.lip))}, 'who talks at the server\'s card')
    equal([str(packet) for capture in redirects for packet in capture.packets()], [], 'redirects')


def test_udp_one_arm(t, family):
    """The same of datagrams, small ones and in fragments."""
    vip = one_subnet(t, family)
    t.fullnat(8000, family=family, vip=vip, service=family.service(8000, vip, 'udp'))
    redirects = [host.capture(expression=REDIRECTS) for host in (t.client, *t.servers)]
    captures = [host.capture() for host in t.servers]
    servers = [UdpServer(host, 8000, family) for host in t.servers]
    for number in range(10):    # none of which gets another's conversation
        with udp_socket(t.client, family, 20000 + number, family.host(1)) as sock:
            for size in (1, 3000, 1):
                blob = os.urandom(size)
                equal(ask_udp(sock, (vip, 8000), blob), blob[::-1], 'answer')
    equal([len(server.peers) for server in servers], [15, 15], 'datagrams')
    for server, capture in zip(family.servers, captures):
        talk = {frozenset((packet.src, packet.dst)) for packet in capture.packets()
                if packet.dport}
        equal(talk, {frozenset((server, family.lip))}, 'who talks at the server\'s card')
    equal([str(packet) for capture in redirects for packet in capture.packets()], [], 'redirects')
    equal(observe.drops(t.lb), {}, 'drops')


def test_server_behind_router(t, family):
    """Real servers in another subnet, which know the way to the LIPs and no other."""
    t.add_bridge('far')
    t.add_router('router', family, 1, 'far')
    servers = t.move_servers(family, 'far', family.host(1, 1))
    t.lb.batch([f'route add {family.host(0, 1)}/{family.length} via {family.host(1)}'])
    t.fullnat(8000, family=family, servers=servers)
    chain = Chain(t, 8000, family=family)
    equal(chain.visits(family.vip, (8000,), 20), [10, 10], 'connections')
    chain.ask(family.vip, 8000, os.urandom(1 << 20))
    ttls = {packet.ttl for packets in chain.check() for packet in packets
            if packet.src == family.lip}
    equal(ttls, {62}, 'TTLs behind the LB and the router')


def test_lip_on_lo(t, family):
    """LIPs of a subnet that is on no wire: addresses of lo, which the servers have a route to."""
    lips = [family.host(number, 9) for number in (1, 2)]
    t.lb.batch([f'addr add {lip}/{family.host_length} dev lo' for lip in lips])
    for server in t.servers:
        server.batch([f'route add {family.host(0, 9)}/{family.length} via {family.lb_inner}'])
    t.fullnat(8000, family=family, lips=lips)
    chain = Chain(t, 8000, family=family)
    equal(chain.visits(family.vip, (8000,), 40), [20, 20], 'connections')
    used = {lip for packets in chain.check() for lip, _ in observe.connections(packets)}
    equal(used, set(lips), 'local addresses used')


def any_ip(t, family):
    """A prefix of 256 addresses, local by a route; the servers know the way. Returns the prefix
    and the route."""
    prefix = f'{family.host(0, 9)}/{family.host_length - 8}'
    route = f'{prefix} dev lo'
    t.lb.run(f'ip route add local {route}')
    for server in t.servers:
        server.batch([f'route add {prefix} via {family.lb_inner}'])
    return prefix, route


def local_lips(lb):
    """How many local addresses the LB finds to be local."""
    return sum(row['local'] for name, row in observe.overview(lb).items() if name[0] == 'l')


def test_lip_by_local_route(t, family):
    """AnyIP: a whole prefix is local by a route, and a pool by one declaration. Without the
    route its addresses are none of ours; with it they are again."""
    prefix, route = any_ip(t, family)
    t.fullnat(8000, family=family, lips=(prefix,))
    chain = Chain(t, 8000, family=family)
    chain.visits(family.vip, (8000,), 64)
    t.lb.run(f'ip route del local {route}')
    until(lambda: local_lips(t.lb) == 0, what='no LIP is local')
    refused = t.client.run(f'nc -z -w 1 {family.vip} 8000', check=False)
    check(refused.rc, 'connected from a LIP that is not local')
    dropped = observe.drops(t.lb)
    equal(list(dropped), ['drop_no_laddr'], 'drops without the route')
    t.lb.run(f'ip route add local {route}')
    until(lambda: local_lips(t.lb) == 256, what='all LIPs are local')
    chain.ask(family.vip, 8000)
    used = {lip for packets in chain.check(dropped) for lip, _ in observe.connections(packets)}
    check(len(used) > 32, f'65 connections from {len(used)} of 256 LIPs')


def test_fwmark(t, family):
    """One service for two VIPs and two ports, by a mark that nft sets; the servers see each
    at its own port. What is not marked is not balanced."""
    vips, ports = (family.vip, family.vip.replace('80', '81')), (8000, 8001)
    t.lb.batch([f'addr add {vips[1]}/{family.host_length} dev outer nodad'])
    t.lb.nft(mark_rules(family, 7, vips, ports))
    t.fullnat(0, family=family, service=family.fwmark(7))
    chain = Chain(t, *ports, 8002, family=family)
    for vip in vips:
        equal(chain.visits(vip, ports, 5), [5, 5], f'connections by {vip}')
    try:
        t.client.connect(family.vip, 8002).close()
        raise Failure('connected by a port that has no mark')
    except ConnectionRefusedError:
        pass
    name = 'service fwmark 7' + (' ipv6' if family is V6 else '')
    equal(observe.overview(t.lb)[name]['conns'], 20, 'conns of the service')
    chain.check()
    counted = t.lb.run('nft list counter inet marks invalid').out
    check('packets 0 ' in counted, f'invalid packets: {counted}')
    equal(t.lb.run('conntrack -L 2>/dev/null').out, '', 'conntrack entries')


def test_mark_beside_default_entry(t, family):
    """A default entry is for services of addresses: one of a mark that is not declared stays
    plain NAT, as ipvsadm shows it, also for packets to a VIP of the entry."""
    t.lb.nft(f'''table inet marks {{
    chain set_mark {{
        type filter hook prerouting priority mangle
        meta l4proto tcp {family.nft} daddr {family.vip} th dport 8000 meta mark set 7
    }}
}}''')
    t.route_by_lb(family)
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -E --vips {family.vip}/{family.host_length} --fullnat; '
             f'ipvsadm -P -z {family.lip}')
    t.lb.run(f'ipvsadm -A {family.fwmark(7)}; '
             f'ipvsadm -a {family.fwmark(7)} -r {address_port(family.rs1, 0)} -m')
    chain = Chain(t, 8000, family=family)
    chain.ask(family.vip, 8000)
    wire = {packet.src for packet in chain.captures[0].packets() if packet.dport == 8000}
    equal(wire, {family.client}, 'who asks rs1, on the wire')
    equal(t.lb.fullnat_stats()['conns'], 0, 'connections of FULLNAT')
    check('Masq' in t.lb.run('ipvsadm -Ln').out, 'ipvsadm does not say so')


def test_udp_by_mark(t, family):
    """UDP under a mark, for two VIPs and two ports, from LIPs that are local by a route: each
    answer comes from where the client had asked."""
    vips, ports = (family.vip, family.vip.replace('80', '81')), (8000, 8001)
    t.lb.batch([f'addr add {vips[1]}/{family.host_length} dev outer nodad'])
    t.lb.nft(mark_rules(family, 7, vips, ports))
    prefix, _ = any_ip(t, family)
    t.fullnat(0, family=family, service=family.fwmark(7), lips=(prefix,))
    servers = [[UdpServer(host, port, family) for port in ports] for host in t.servers]
    for number, where in enumerate((vip, port) for vip in vips for port in ports
                                   for _ in range(4)):
        with udp_socket(t.client, family, 20000 + number) as sock:
            equal(ask_udp(sock, where, b'abc'), b'cba', f'answer of {where}')
    equal([[len(server.peers) for server in one] for one in servers], [[4, 4], [4, 4]],
          'datagrams per server and port')
    peers = {peer[0] for one in servers for server in one for peer in server.peers}
    check(all(ipaddress.ip_address(peer) in ipaddress.ip_network(prefix) for peer in peers),
          f'who asked the servers: {peers}')
    check(len(peers) > 4, f'16 conns from {len(peers)} of 256 LIPs')
    equal(observe.drops(t.lb), {}, 'drops')
    equal(t.lb.run('conntrack -L 2>/dev/null').out, '', 'conntrack entries')


def test_fwmark_persistence(t, family):
    """A persistent mark: a client meets the same server at every VIP and port."""
    ports = (8000, 8001)
    t.lb.nft(mark_rules(family, 7, (family.vip,), ports))
    t.fullnat(0, family=family, service=family.fwmark(7), service_options='-p 300')
    chain = Chain(t, *ports, family=family)
    first = chain.visits(family.vip, ports, 5, source=family.client)
    second = chain.visits(family.vip, ports, 5, source=family.client2)
    equal(sorted((first, second)), [[0, 10], [10, 0]], 'connections per client')
    chain.check()


def test_all_ports(t, family):
    """A service of port 0: every port of the VIP leads to the same server for a client (such
    services are persistent); a port where nobody listens is refused by that server."""
    ports = (8000, 8001, 8002)
    t.fullnat(0, family=family, service_options='-p 300')
    chain = Chain(t, *ports, family=family)
    first = chain.visits(family.vip, ports, 3, source=family.client)
    second = chain.visits(family.vip, ports, 3, source=family.client2)
    equal(sorted((first, second)), [[0, 9], [9, 0]], 'connections per client')
    chain.check()
    try:
        t.client.connect(family.vip, 8003).close()
        raise Failure('connected to a port where nobody listens')
    except ConnectionRefusedError:
        pass
    equal(observe.drops(t.lb), {}, 'drops')


def test_udp_all_ports(t, family):
    """The same of datagrams: for a client all ports are one server's, and each answer comes from
    the port that was asked."""
    ports = (8000, 8001, 8002)
    udp_service(t, family, 0, service_options='-p 300')
    servers = [[UdpServer(host, port, family) for port in ports] for host in t.servers]
    for client in (family.client, family.client2):
        for port in ports * 3:
            with udp_socket(t.client, family, source=client) as sock:
                equal(ask_udp(sock, (family.vip, port), b'abc'), b'cba', f'answer of {port}')
    equal([[len(server.peers) for server in one] for one in servers], [[3] * 3] * 2,
          'datagrams per server and port')
    with udp_socket(t.client, family) as sock:
        sock.connect((family.vip, 8003))
        sock.send(b'anybody there?')
        equal(received(sock), 'refused', 'a port where nobody listens')
    equal(observe.drops(t.lb), {}, 'drops')


def test_lip_shared_with_host(t, family):
    """The LB's only inner address, with a range of ports for us: the LB itself goes on talking
    and listening there."""
    t.lb.peer_server(2222, family=family.af)
    service = t.fullnat(8000, family=family, lips=())
    t.lb.run(f'ipvsadm -P {service} -z {address_port(family.lb_inner, "10000-29999")}')
    chain = Chain(t, 8000, family=family)
    visit = chain.open(family.vip, 8000)
    own, _ = t.rs1.ask(family.lb_inner, 2222, b'x')
    equal(own[0], family.servers[0], 'the client of the LB\'s own server')
    own, answer = t.lb.ask(family.servers[0], 8000, b'x')
    equal(own[0], family.lb_inner, 'the LB as a client')
    equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'what the LB as a client is told')
    echo(visit.sock)


def test_host_beside_lip(t, family):
    """The LB itself, as a health checker does, talks to the real servers from its own address,
    although the LIPs are on the same interface."""
    t.fullnat(8000, family=family, lips=(family.lip, family.lip2))
    chain = Chain(t, 8000, family=family)
    for server, host in zip(family.servers, t.servers):
        own, answer = t.lb.ask(server, 8000, b'x')
        equal(own[0], family.lb_inner, 'the LB\'s address')
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), f'answer of {host}')
    equal(observe.drops(t.lb), {}, 'drops')
    equal(chain.visits(family.vip, (8000,), 2), [1, 1], 'connections')


def check_sorry_server(t, family, mine, service=None):
    """A server on the LB itself, at the address `mine`, takes over when the real servers have
    weight 0: stock local delivery, which shows it the client's own address. Then they are back."""
    service = t.fullnat(8000, family=family, weights=(0, 0), service=service)
    if mine != family.lip:
        t.add_lip(mine)
    own = address_port(mine, 8080)
    done = t.lb.run(f'ipvsadm -a {service} -r {own}', check=False)
    check(done.rc == 2 and 'The real server is this host' in done.err, done.text)
    t.lb.run(f'ipvsadm -a {service} -r {own} -m')
    listed = dict(re.findall(r'-> (\S+):80\d\d +(\w+)', t.lb.run('ipvsadm -Ln').out))
    equal({words for address, words in listed.items() if mine not in address},
          {'FullNat'}, 'the real servers in the list')
    equal([words for address, words in listed.items() if mine in address], ['Local'],
          'this host in the list')
    t.lb.peer_server(8080, family=family.af)
    for _ in range(3):
        with t.client.connect(family.vip, 8000) as sock:
            greeted(sock)
            echo(sock, os.urandom(100000))
            reset(sock)
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], observe.drops(t.lb)), (0, {}), 'connections of FULLNAT, drops')
    t.lb.run(f'ipvsadm -e {service} -r {own} -m -w 0')
    for server in family.servers:
        t.lb.run(f'ipvsadm -e {service} -r {address_port(server, 8000)} -w 1')
    chain = Chain(t, 8000, family=family)
    equal(chain.visits(family.vip, (8000,), 4), [2, 2], 'connections')
    chain.check()


def test_sorry_server(t, family):
    """In a service of an address; the server's is not the first one of its subnet."""
    check_sorry_server(t, family, family.host(200))


def test_sorry_server_by_mark(t, family):
    """What IPVS has translated still has the mark of the service."""
    t.lb.nft(mark_rules(family, 7, (family.vip,), (8000,)))
    check_sorry_server(t, family, family.host(200), family.fwmark(7))


def test_sorry_server_at_lip(t, family):
    """What IPVS has translated is for a local address, where no flow is."""
    check_sorry_server(t, family, family.lip)


def lb_asks(t, family, source, blob):
    """A program of the LB has a connection and a conversation through the VIP. Its name."""
    with t.lb.connect(family.vip, 8000, source=source) as sock:
        own = greeted(sock)
        echo(sock, blob)
        sock.shutdown(socket.SHUT_WR)
        equal(sock.recv(1), b'', 'after the FIN')
    with udp_socket(t.lb, family, source=source) as sock:
        for size in (1, 1400, 5000):    # the LB's own socket learns the path's MTU
            answer = ask_udp(sock, (family.vip, 8000), blob[:size], again=5)
            equal(answer, blob[:size][::-1], f'{size} bytes')
    return own


# the identifications of large datagrams as programs of the LB send them
OWN_IDS = '''table ip ids {
    set own { typeof ip id; flags dynamic; size 1000; }
    chain out {
        type filter hook output priority -300
        oif lo udp dport 8000 ip length > 1500 update @own { ip id }
    }
}'''


def test_client_on_lb(t, family):
    """Programs of the LB itself are clients of the VIP, from the LB's own address and from the
    VIP: they are served as all others, and told so when a packet's time ends."""
    for protocol in ('tcp', 'udp'):
        t.fullnat(8000, family=family, service=family.service(8000, protocol=protocol),
                  servers=(family.rs1,))
    server = t.rs1.peer_server(8000, family=family.af)
    datagrams = UdpServer(t.rs1, 8000, family)
    listening = icmp_socket(t.lb, family)
    t.lb.nft(OWN_IDS)
    capture = t.rs1.capture()
    blob, asked = os.urandom(1 << 20), []
    for source in (family.lb_outer, family.vip):
        asked.append(lb_asks(t, family, source, blob))
        listening.close()       # what the path's MTU was is no news any more
        listening = icmp_socket(t.lb, family)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with short_lived(t.lb, family, kind, 1, (family.vip, 8000), source) as sock:
                own = sock.getsockname()[:2]
                teller, what, _, *quoted, _ = parse_error(family, listening)
            equal((teller, what, *quoted), (family.vip, TIME_EXCEEDED[family], own,
                                            (family.vip, 8000)), 'time exceeded')
    if family is V4:    # fragments of two senders with the same one would become one datagram
        own = {int(one) for one in re.findall(r'\b\d+\b', t.lb.run(
            'nft list set ip ids own').out.partition('elements')[2])}
        sent = {packet.ident for packet in capture.packets() if packet.dst == RS1
                and packet.proto == socket.IPPROTO_UDP and packet.ip_length > 1400}
        # one may be the same by chance
        check(len(own) >= 2 and sent and not own <= sent, f'identifications: {own}, {sent}')
    equal(server.clients, asked, 'clients')
    equal({address for address, _ in datagrams.peers}, {family.lip}, 'who sent datagrams')
    stats = t.lb.fullnat_stats()
    equal((stats['conns_without_toa'], set(observe.drops(t.lb)) - {'drop_toobig'}),
          (0, {'drop_ttl'}), 'conns_without_toa, drops')
