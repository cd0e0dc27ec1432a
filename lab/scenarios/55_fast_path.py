# SPDX-License-Identifier: GPL-2.0
"""The fast path: packets of established connections really take it, and it does what the slow
path does; what changes on the LB changes it at once.
"""
import os
import re
import socket
import threading
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.nfqueue import Accepting
from lib.observe import fast
from lib.rawtcp import device_mac
from lib.traffic import echo, greeted, reset
from lib.udp import UdpServer, ask_udp, datagram, udp_service, udp_socket

PORT = 8000
SWITCH = 'net.ipv4.vs.fullnat_fast_path'
TERM = 0.4          # seconds for which one packet on the slow path permits the fast one


def opened(t, family, **options):
    """A connection that has carried data both ways."""
    family.fullnat(t, PORT, **options)
    t.rs1.peer_server(PORT, family=family.af)
    sock = t.client.connect(family.vip, PORT, source=family.client)
    greeted(sock)
    echo(sock)
    return sock


def echoes(sock, count, size=100):
    """So many requests, one after the other."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(count):
        echo(sock, b'%8d' % number * (size // 8))


def use(t, sock, count=40):
    """Requests; which share of them and of the replies was fast."""
    before = fast(t)
    echoes(sock, count)
    return [(new - old) / count for new, old in zip(fast(t), before)]


def least_share(began, count=40):
    """So many of the packets since then are fast: all but the first ones, and one each TERM."""
    slow = 8 + 1.5 * (time.monotonic() - began) / TERM
    return max(count - slow, count / 10) / count


def wait_for_term():
    """Nothing that was permitted before is fast after this."""
    end = time.monotonic() + TERM
    until(lambda: time.monotonic() > end, what='the term')


def check_fast(t, sock, what):
    """Nearly all packets take the fast path."""
    began = time.monotonic()
    shares = use(t, sock)
    check(min(shares) >= least_share(began), f'{what}: shares of fast packets: {shares}')


def check_stands_still(t, sock, data, what):
    """What the client sends does not arrive; nothing of it is fast. It is sent again later."""
    before = fast(t)
    again = observe.tcp_counters(t.client)['RetransSegs']
    sock.sendall(data)
    until(lambda: observe.tcp_counters(t.client)['RetransSegs'] > again, what=f'{what}: sent again')
    equal(fast(t)[0], before[0], f'{what}: fast requests')
    sock.setblocking(False)
    try:
        raise Failure(f'{what}: came back: {sock.recv(100)!r}')
    except BlockingIOError:
        sock.settimeout(60)


@each(FAMILIES)
def test_tcp(t, family):
    """Switched on, off and on again under a live connection: the counters tell which way its
    packets took, and the application notices nothing."""
    sock = opened(t, family)
    equal(t.lb.sysctl(SWITCH), '1', 'the default')
    check_fast(t, sock, 'on')
    t.lb.sysctl(SWITCH, 0)
    equal(use(t, sock), [0, 0], 'off: shares of fast packets')
    t.lb.sysctl(SWITCH, 1)
    check_fast(t, sock, 'on again')
    reset(sock)
    equal(observe.drops(t.lb), {}, 'drops')


@each(FAMILIES)
def test_udp(t, family):
    """A conversation over UDP takes it as well, from the client's third datagram on."""
    udp_service(t, family, PORT, servers=(family.rs1,))
    server = UdpServer(t.rs1, PORT, family)
    began = time.monotonic()
    with udp_socket(t.client, family) as sock:
        for number in range(40):
            data = b'%8d' % number
            equal(ask_udp(sock, (family.vip, PORT), data), data[::-1], 'answer')
        size = 1400 * b'x'
        equal(ask_udp(sock, (family.vip, PORT), size), size, 'a large answer')
    shares = [count / 40 for count in fast(t)]
    check(min(shares) >= least_share(began), f'shares of fast packets: {shares}')
    equal(len(set(server.peers)), 1, 'who the server saw')
    equal(observe.drops(t.lb), {}, 'drops')


@each([f'{family}_{state}' for family in FAMILIES for state in ('offloads', 'wire')])
def test_bulk(t, value):
    """Megabytes in both directions at once, with packets that are many at once and without: not
    a byte is changed, and most packets were fast."""
    family = V4 if value.startswith('v4') else V6
    if value.endswith('wire'):
        observe.real_wire(t)
    sock = opened(t, family)
    before = fast(t)
    blob = os.urandom(3 << 20)
    sender = threading.Thread(target=sock.sendall, args=(blob,))
    sender.start()
    got = read_until(sock, len(blob))
    sender.join()
    check(got == blob, 'the bytes have changed')
    sent = [new - old for new, old in zip(fast(t), before)]
    check(min(sent) > 20, f'fast packets: {sent}')
    equal(observe.drops(t.lb), {}, 'drops')


def ipvs_counts(t, service):
    """[connections, packets in, out, bytes in, out] of service, destination and in total."""
    lines = t.lb.run(f'ipvsadm -Ln --stats --exact {service}').out.splitlines()
    rows = [re.findall(r'\d+', line.split(':')[-1])[-5:] for line in lines if 'TCP' in line or
            '->' in line][-2:]
    total = t.lb.proc_net('ip_vs_stats').splitlines()[2].split()
    return [[int(field) for field in row] for row in rows] + [[int(field, 16) for field in total]]


@each(FAMILIES)
def test_statistics(t, family):
    """ip_vs's counters of service, destination and namespace count each packet and each byte,
    whichever way it took."""
    observe.real_wire(t)
    capture = t.client.capture()
    sock = opened(t, family)
    echoes(sock, 100)
    sock.shutdown(socket.SHUT_WR)
    equal(sock.recv(1), b'', 'after the FIN')
    check(min(fast(t)) > 70, f'fast packets: {fast(t)}')
    packets = [packet for packet in capture.packets() if packet.proto == pcap.TCP]
    sent = [packet.ip_length for packet in packets if packet.dst == family.vip]
    got = [packet.ip_length for packet in packets if packet.src == family.vip]
    # what comes back is counted as the client sees it
    wanted = [1, len(sent), len(got), sum(sent), sum(got)]
    # it adds them up every other second
    until(lambda: ipvs_counts(t, family.service(PORT)) == [wanted] * 3,
          what=f'{wanted} connections, packets and bytes')


@each(FAMILIES)
def test_routes(t, family):
    """A route that goes away, on either side, stops the next packet; a new one is used at
    once."""
    sock = opened(t, family)
    for address in (family.rs1, family.client):
        check_fast(t, sock, 'before')
        t.lb.run(f'ip route add unreachable {address}/{family.host_length}')
        before = fast(t)
        sock.sendall(b'stop')
        until(lambda: observe.drops(t.lb).get('drop_no_route'), what='a drop')
        side = 0 if address == family.rs1 else 1
        equal(fast(t)[side], before[side], f'{address}: fast packets without a route')
        t.lb.run(f'ip route del unreachable {address}/{family.host_length}')
        equal(read_until(sock, 4), b'stop', 'when the route is back')
    check_fast(t, sock, 'after')


@each(FAMILIES)
def test_routes_slow(t, family):
    """The slow path remembers routes as well: one that goes away stops the next packet, on either
    side."""
    sock = opened(t, family)
    t.lb.sysctl('net.ipv4.vs.fullnat_fast_path', 0)
    echoes(sock, 4)
    for address in (family.rs1, family.client):
        drops = observe.drops(t.lb).get('drop_no_route', 0)
        t.lb.run(f'ip route add unreachable {address}/{family.host_length}')
        sock.sendall(b'stop')
        until(lambda: observe.drops(t.lb).get('drop_no_route', 0) > drops, what='a drop')
        t.lb.run(f'ip route del unreachable {address}/{family.host_length}')
        equal(read_until(sock, 4), b'stop', 'when the route is back')


@each(FAMILIES)
def test_mtu(t, family):
    """The MTU towards the real servers shrinks while data flow: none of the packets that go out is
    larger, the client is told, and all arrives."""
    observe.real_wire(t)
    sock = opened(t, family)
    echoes(sock, 10, size=1400)
    for host, devices in ((t.switch, ('lb-inner', 'rs1-inner', 'rs2-inner', 'inner')),
                          (t.lb, ('inner',)), (t.rs1, ('eth0',))):
        host.batch([f'link set {device} mtu 1300' for device in devices])
    capture = t.rs1.capture()
    echoes(sock, 20, size=2800)
    sizes = [packet.ip_length for packet in capture.packets() if packet.dst == family.rs1]
    check(sizes and max(sizes) <= 1300, f'sizes: {sizes}')
    check_fast(t, sock, 'after')
    check(t.lb.fullnat_stats()['icmp_toobig_client'] > 0, 'the client was not told')


@each(FAMILIES)
def test_neighbours(t, family):
    """A real server's and the client's hardware address change; an address that is not known any
    more is asked for."""
    sock = opened(t, family)
    for host, device, address in ((t.rs1, 'inner', family.rs1), (t.client, 'outer', family.client)):
        check_fast(t, sock, 'before')
        mac = f'02:aa:00:00:00:0{1 + (host is t.client)}'
        host.batch([f'link set eth0 address {mac}'])
        t.lb.run(f'ip neigh replace {address} lladdr {mac} dev {device}')
        check_fast(t, sock, f'{host}: a new hardware address')
        t.lb.run(f'ip neigh del {address} dev {device}')
        check_fast(t, sock, f'{host}: asked for')
    equal(observe.drops(t.lb), {}, 'drops')


@each(FAMILIES)
def test_device_down(t, family):
    """The device towards the real servers goes down: nothing is fast any more. When it is back,
    the connection goes on."""
    t.lb.sysctl('net.ipv6.conf.inner.keep_addr_on_down', 1)
    sock = opened(t, family)
    check_fast(t, sock, 'before')
    t.lb.batch(['link set inner down'])
    check_stands_still(t, sock, b'down', 'down')
    t.lb.batch(['link set inner up'])
    equal(read_until(sock, 4), b'down', 'what was sent meanwhile')
    check_fast(t, sock, 'up')


def test_timers(t):
    """Packets of the fast path keep the connection alive, in either direction; without any it
    ends when its time is up."""
    idle = round(2 * basics.SCALE)
    sock = opened(t, V4, service_options=f'--conn-timeout {idle}')
    began, turns = time.monotonic(), 0
    while time.monotonic() - began < 2 * idle:
        echo(sock)
        turns += 1
    check(min(fast(t)) >= turns * least_share(began, turns),
          f'fast packets: {fast(t)} of {turns}')
    until(lambda: not observe.timeouts(t.lb), 3 * idle, 'the end of the connection')
    try:
        echo(sock)
    except ConnectionResetError:
        return
    raise Failure('the connection goes on')


@each(FAMILIES)
def test_ends(t, family):
    """FIN and RST take the slow path: ip_vs knows the state at once, and the port is free."""
    sock = opened(t, family)
    check_fast(t, sock, 'before the FIN')
    sock.shutdown(socket.SHUT_WR)
    equal(sock.recv(1), b'', 'after the FIN')
    sock.close()
    until(lambda: 'TIME_WAIT' in dict(observe.timeouts(t.lb)), what='TIME_WAIT')
    sock = t.client.connect(family.vip, PORT, source=family.client)
    greeted(sock)
    check_fast(t, sock, 'before the RST')
    reset(sock)
    until(lambda: 'CLOSE' in dict(observe.timeouts(t.lb)), what='CLOSE')
    equal(observe.drops(t.lb), {}, 'drops')


@each(FAMILIES)
def test_server_gone(t, family):
    """A destination that is deleted gets no packet more, as ip_vs has it."""
    sock = opened(t, family)
    check_fast(t, sock, 'before')
    t.lb.run(f'ipvsadm -d {family.service(PORT)} -r {address_port(family.rs1, PORT)}')
    check_stands_still(t, sock, b'gone', 'deleted')


def test_firewall(t):
    """A rule that is made later ends the fast path of what it forbids within its term: at INPUT
    for requests, at OUTPUT for both. Requests that go on come to the rule all the time."""
    sock = opened(t, V4)
    for chain, side in (('input', 'saddr'), ('output', 'daddr')):
        check_fast(t, sock, f'before the rule at {chain}')
        t.lb.nft(f'table ip block {{\nchain c {{\ntype filter hook {chain} priority filter\n'
                 f'ip {side} {CLIENT} counter drop\n}}\n}}')
        wait_for_term()
        check_stands_still_anywhere(t, sock, chain)
        t.lb.run('nft delete table ip block')
        equal(read_until(sock, 7), b'blocked', 'when the rule is gone')
    check_fast(t, sock, 'after')


@each(FAMILIES)
def test_route_beside(t, family):
    """A route to somewhere else in the client's network gives the routes beside it new cookies:
    the connection stays fast. (On one CPU: each has a copy of the route.)"""
    os.sched_setaffinity(0, {0})
    sock = opened(t, family)
    check_fast(t, sock, 'before')
    t.lb.run(f'ip route add {family.client.removesuffix("1")}99/{family.host_length} dev outer')
    check_fast(t, sock, 'after')


def other_way(t, family):
    """rs2 routes to rs1 as well, and packets with mark 7 go that way."""
    t.rs2.sysctl('net.ipv4.ip_forward', 1)
    t.rs2.sysctl('net.ipv6.conf.all.forwarding', 1)
    t.rs2.sysctl('net.ipv4.conf.all.send_redirects', 0)
    flag = f'-{family.name[1]}'
    t.lb.run(f'ip {flag} route add {family.rs1} via {family.rs2} table 107 && '
             f'ip {flag} rule add fwmark 7 lookup 107')


@each(FAMILIES)
def test_rerouted(t, family):
    """A rule of OUTPUT marks requests, and the mark leads them another way: they go that way,
    all of them, until the rule is gone."""
    other_way(t, family)
    sock = opened(t, family)
    check_fast(t, sock, 'before')
    t.lb.nft(f'table inet steer {{\nchain c {{\ntype route hook output priority mangle\n'
             f'{family.nft} daddr {family.rs1} meta mark set 7\n}}\n}}')
    wait_for_term()
    capture = t.rs2.capture()
    equal(use(t, sock)[0], 0, 'share of fast requests')
    seen = [packet for packet in capture.packets() if packet.dst == family.rs1]
    check(len(seen) >= 40, f'requests that went the other way: {len(seen)} of 40')
    t.lb.run('nft delete table inet steer')
    check_fast(t, sock, 'after')


def test_queued(t):
    """A rule of OUTPUT hands packets to a program that is not there: none passes."""
    sock = opened(t, V4)
    check_fast(t, sock, 'before')
    t.lb.nft('table ip block {\nchain c {\ntype filter hook output priority filter\n'
             f'ip daddr {RS1} counter queue num 5\n}}\n}}')
    wait_for_term()
    for _ in range(3):      # what is queued permits nothing
        check_stands_still_anywhere(t, sock, 'queued')


@each(FAMILIES)
def test_from_queue(t, family):
    """A rule before PRE_ROUTING's other hooks hands packets to a program that accepts them. They
    go on in its context, where the fast path is not for them."""
    sock = opened(t, family)
    check_fast(t, sock, 'before')
    t.lb.nft('table inet early {\nchain c {\ntype filter hook prerouting priority raw\n'
             f'tcp dport {PORT} queue num 7\ntcp sport {PORT} queue num 7\n}}\n}}')
    program = Accepting(t.lb, 7)
    equal(use(t, sock), [0, 0], 'shares of fast packets from a queue')
    check(program.count >= 80, f'{program.count} packets were in the queue')
    t.lb.nft('delete table inet early')
    check_fast(t, sock, 'after')


@each(FAMILIES)
def test_untracked(t, family):
    """A rule of the raw table keeps the packets from conntrack: they are fast all the same."""
    t.lb.nft('table inet raw {\nchain c {\ntype filter hook prerouting priority raw\nnotrack\n}\n}')
    check_fast(t, opened(t, family), 'untracked')


def test_other_device(t):
    """A datagram with the tuple of a conversation comes in by another device, where rp_filter
    refuses its source: it never gets further than that."""
    udp_service(t, V4, PORT, servers=(V4.rs1,))
    server = UdpServer(t.rs1, PORT, V4)
    t.add_bridge('wan')
    stranger = Host('stranger', t.directory)
    for host in (stranger, t.lb):
        t.plug(host, 'wan', 'wan')
        host.batch(['link set wan up'])
    for name in ('all', 'wan'):
        t.lb.sysctl(f'net.ipv4.conf.{name}.rp_filter', 1)
    with udp_socket(t.client, V4) as sock:
        ask_udp(sock, (VIP, PORT), b'once')
        for _ in range(10):
            ask_udp(sock, (VIP, PORT), b'again')
        before, seen = fast(t), len(server.peers)
        check(before[0] > 3, f'fast requests: {before[0]}')
        forged = datagram(sock.getsockname(), (VIP, PORT), b'forged')
        stranger_sends(stranger, t.lb, forged, 20)
        until(lambda: observe.tcp_counters(t.lb)['IPReversePathFilter'] >= 20, what='all refused')
        equal(fast(t), before, 'fast packets')
        equal(len(server.peers), seen, 'datagrams at the server')
        ask_udp(sock, (VIP, PORT), b'goes on')


def stranger_sends(stranger, lb, packet, count):
    """By its device `wan` to the LB's."""
    frame = device_mac(lb, 'wan') + device_mac(stranger, 'wan') + b'\x08\0' + packet
    with stranger, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(('wan', 0))
        for _ in range(count):
            sock.send(frame)


def check_stands_still_anywhere(t, sock, what):
    """What is sent is not answered, since requests or replies are dropped."""
    sock.settimeout(1)
    sock.sendall(b'blocked')
    try:
        raise Failure(f'{what}: came back: {sock.recv(100)!r}')
    except TimeoutError:
        sock.settimeout(60)
    text = t.lb.run('nft list table ip block').out
    check(int(re.search(r'packets (\d+)', text)[1]) > 0, f'{what}: the rule saw nothing')


def test_odd_packets(t):
    """IP options and the last hop of a packet are the slow path's."""
    sock = opened(t, V4)
    check_fast(t, sock, 'before')
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b'\x01\x01\x01\x00')
    share = use(t, sock)
    equal(share[0], 0, 'share of fast requests with options')
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b'')
    check_fast(t, sock, 'without')
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    before = fast(t)[0]         # an ACK that was due is among them, or has this TTL
    sock.sendall(b'far')
    until(lambda: observe.drops(t.lb).get('drop_ttl'), what='drop_ttl')
    equal(fast(t)[0], before, 'fast requests at their last hop')
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
    equal(read_until(sock, 3), b'far', 'sent again')


def seconds_left(host):
    """The timer of the only established connection that a backup has."""
    return dict(observe.timeouts(host)).get('ESTABLISHED', 0)


def test_sync(t):
    """The sync daemon goes on telling the backup (rs1, which is none but listens) about a
    connection whose packets are fast: there its timer begins anew again and again."""
    t.lb.run('ipvsadm --start-daemon master --mcast-interface inner')
    t.rs1.run('ipvsadm --start-daemon backup --mcast-interface eth0')
    sock = opened(t, V4)
    check_fast(t, sock, 'with the daemon')
    full = dict(observe.timeouts(t.lb))['ESTABLISHED']
    until(lambda: echo(sock) or seconds_left(t.rs1), what='the backup knows it')
    for _ in range(2):
        until(lambda: seconds_left(t.rs1) <= full - 3, what='the timer at the backup runs')
        until(lambda: echo(sock) or seconds_left(t.rs1) >= full - 1, what='it begins anew')
    t.rs1.run('ipvsadm --stop-daemon backup')
    t.lb.run('ipvsadm --stop-daemon master')
