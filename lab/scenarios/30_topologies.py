# SPDX-License-Identifier: GPL-2.0
"""Where client, VIP, LIP and real servers may be: one subnet, behind routers, addresses on lo
and by routes, services by mark and of all ports.
"""
import os

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.traffic import Chain, echo

REDIRECTS = 'icmp[icmptype] == icmp-redirect or (icmp6 and ip6[40] == 137)'


def one_subnet(t, family):
    """The client moves into the inner network, and a VIP of that network into the LB."""
    vip = family.host(80)
    t.lb.batch(['link del outer'])      # the client's end goes with it
    t.plug(t.client)
    t.client.batch(['link set eth0 up',
                    f'addr add {family.host(1)}/{family.length} dev eth0 nodad'])
    t.lb.batch([f'addr add {vip}/{family.host_length} dev inner nodad'])
    t.lb.sysctl('net.ipv4.ip_forward', 1)       # a router, which might send redirects
    t.lb.sysctl('net.ipv6.conf.all.forwarding', 1)
    return vip


@each(FAMILIES)
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


@each(FAMILIES)
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


@each(FAMILIES)
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


@each(FAMILIES)
def test_lip_by_local_route(t, family):
    """AnyIP: a whole prefix is local by a route, and a pool by one declaration. Without the
    route its addresses are none of ours; with it they are again."""
    prefix = f'{family.host(0, 9)}/{family.host_length - 8}'
    route = f'{prefix} dev lo'
    t.lb.run(f'ip route add local {route}')
    for server in t.servers:
        server.batch([f'route add {prefix} via {family.lb_inner}'])
    t.fullnat(8000, family=family, lips=(prefix,))
    chain = Chain(t, 8000, family=family)
    chain.visits(family.vip, (8000,), 64)
    t.lb.run(f'ip route del local {route}')
    refused = t.client.run(f'nc -z -w 1 {family.vip} 8000', check=False)
    check(refused.rc, 'connected from a LIP that is not local')
    dropped = observe.drops(t.lb)
    equal(list(dropped), ['drop_no_laddr'], 'drops without the route')
    t.lb.run(f'ip route add local {route}')
    chain.ask(family.vip, 8000)
    used = {lip for packets in chain.check(dropped) for lip, _ in observe.connections(packets)}
    check(len(used) > 32, f'65 connections from {len(used)} of 256 LIPs')


def mark_rules(family, mark, vips, ports):
    """The mark for several VIPs and ports; and a conntrack that must not mind."""
    return f'''table inet marks {{
    counter invalid {{ }}
    chain set_mark {{
        type filter hook prerouting priority mangle
        {family.nft} daddr {{ {', '.join(vips)} }} tcp dport {{ {', '.join(map(str, ports))} }} \
meta mark set {mark}
    }}
    chain strict {{
        type filter hook prerouting priority filter
        ct state invalid counter name invalid drop
    }}
    chain in {{
        type filter hook input priority filter
        ct state invalid counter name invalid drop
    }}
}}'''


@each(FAMILIES)
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
    equal(observe.overview(t.lb)['service fwmark 7']['conns'], 20, 'conns of the service')
    chain.check()
    counted = t.lb.run('nft list counter inet marks invalid').out
    check('packets 0 ' in counted, f'invalid packets: {counted}')
    equal(t.lb.run('conntrack -L 2>/dev/null').out, '', 'conntrack entries')


@each(FAMILIES)
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


@each(FAMILIES)
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


@each(FAMILIES)
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
