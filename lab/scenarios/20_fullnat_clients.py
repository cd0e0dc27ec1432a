# SPDX-License-Identifier: GPL-2.0
"""The main job: real servers see the client, whoever declares the service how.

Seen failing, each with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: one_request, sequential, parallel,
    method_5_undeclared, masquerading_declared, declared_before_ip_vs
  every masquerading connection taken for ours: undeclared_masquerading_untouched
  all namespaces share the declarations of the first: namespaces
"""
import concurrent.futures

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe

STOCK_IPVSADM = '/usr/sbin/ipvsadm'


def captures(t):
    """One at each real server."""
    return [server.capture() for server in t.servers]


def check_clients(asked, servers):
    """The applications were told who asked; round robin over both."""
    seen = [server.clients for server in servers]
    equal(sorted(seen[0] + seen[1]), sorted(asked), 'clients')
    check(abs(len(seen[0]) - len(seen[1])) <= 1, f'not in turn: {[len(s) for s in seen]}')


def test_one_request(t):
    """One connection: the server sees the client, the wire carries one TOA."""
    t.fullnat(8000, servers=(RS1,))
    server = t.rs1.peer_server(8000)
    capture = t.rs1.capture()
    own, answer = t.client.ask(VIP, 8000, b'hello', source_port=40000)
    equal(answer, b'198.51.100.1 40000\nhello', 'answer')
    equal(server.clients, [own], 'clients')
    acks = observe.with_toa(capture.packets())
    equal(acks[0].toa, own, 'TOA on the wire')
    equal(t.lb.fullnat_stats()['conns'], 1, 'conns')


def test_sequential(t):
    """200 connections, one after the other; wire, LB, toa and applications agree."""
    observe.real_wire(t)
    t.fullnat(8000, lips=(LIP, LIP2))
    servers = [server.peer_server(8000) for server in t.servers]
    watched = captures(t)
    asked = []
    for number in range(200):
        source = (CLIENT, CLIENT2)[number % 3 == 0]
        own, answer = t.client.ask(VIP, 8000, b'x', source=source, source_port=20000 + number)
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), f'answer {number}')
        asked.append(own)
    check_clients(asked, servers)
    packets = observe.check_counters(t, 200, watched)
    for one, server in zip(packets, servers):
        observe.check_checksums(one)
        observe.check_one_toa_first(one)
        named = {seen.accepted for seen in server.seen}
        on_wire = set()
        for (lip, _), sent in observe.connections(one).items():
            check(lip in (LIP, LIP2), f'from {lip}')
            told = {packet.toa for packet in observe.with_toa(sent)}
            equal(len(told), 1, 'clients named by the TOAs of a connection')
            on_wire |= told
        equal(on_wire, named, 'clients on the wire')


def test_parallel(t):
    """50 connections at once, to nginx, offloads as they are."""
    t.fullnat(80)
    logs = [server.nginx() for server in t.servers]
    watched = captures(t)

    def request(number):
        source = (CLIENT, CLIENT2)[number % 2]
        return t.client.ask(VIP, 80, f'GET /{number} HTTP/1.0\r\n\r\n'.encode(), source=source,
                            source_port=30000 + number)

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(request, range(50)))
    for own, answer in answers:
        check(answer.endswith(f' {own[0]} {own[1]}\n'.encode()), f'{own} was told {answer!r}')
    until(lambda: sum(len(nginx.log()) for nginx in logs) == 50, what='nginx has logged')
    equal(sorted(logs[0].log() + logs[1].log()),
          sorted((*own, f'/{number}') for number, (own, _) in enumerate(answers)), 'logged')
    equal([len(nginx.log()) for nginx in logs], [25, 25], 'requests per server')
    for one in observe.check_counters(t, 50, watched):
        observe.check_one_toa_first(one)


def two_connections(t, port):
    """Two connections through VIP:port show the client, from our LIP."""
    servers = [server.peer_server(port) for server in t.servers]
    watched = captures(t)
    asked = [t.client.ask(VIP, port, b'x')[0] for _ in range(2)]
    check_clients(asked, servers)
    for one in observe.check_counters(t, 2, watched):
        equal({lip for lip, _ in observe.connections(one)}, {LIP}, 'local addresses')


def test_method_5_undeclared(t):
    """Destinations of method 5 in a service that nobody declared: the default pool."""
    run('modprobe toa')
    t.add_lip()
    t.lb.run(f'ipvsadm -P -z {LIP}')
    t.lb.run(f'{STOCK_IPVSADM} -A -t {VIP}:8001 -s rr')
    for server in (RS1, RS2):
        t.lb.run(f'ipvsadm -a -t {VIP}:8001 -r {server}:8001 -b')
    listed = t.lb.run('ipvsadm -Ln').out
    equal(listed.count('FullNat'), 2, 'destinations shown as FullNat')
    two_connections(t, 8001)


def test_masquerading_declared(t):
    """A declared service whose destinations another tool adds as masquerading ones."""
    run('modprobe toa')
    t.add_lip()
    t.lb.run(f'ipvsadm -A -t {VIP}:8002 -s rr --fullnat')
    t.lb.run(f'ipvsadm -P -t {VIP}:8002 -z {LIP}')
    for server in (RS1, RS2):
        t.lb.run(f'{STOCK_IPVSADM} -a -t {VIP}:8002 -r {server}:8002 -m')
    two_connections(t, 8002)


def test_declared_before_ip_vs(t):
    """The declaration is first, the service and all else comes from the stock tool."""
    run('modprobe toa')
    t.add_lip()
    note = t.lb.run(f'ipvsadm -E -t {VIP}:8003 --fullnat')
    check('Note: IPVS does not have the service' in note.text, f'no note: {note.text!r}')
    t.lb.run(f'ipvsadm -P -t {VIP}:8003 -z {LIP}')
    t.lb.run(f'{STOCK_IPVSADM} -A -t {VIP}:8003 -s rr')
    for server in (RS1, RS2):
        t.lb.run(f'{STOCK_IPVSADM} -a -t {VIP}:8003 -r {server}:8003 -m')
    two_connections(t, 8003)


def test_undeclared_masquerading_untouched(t):
    """Plain NAT stays plain NAT next to a FULLNAT service on the same VIP."""
    t.fullnat(8000)
    t.route_by_lb()
    t.lb.run(f'{STOCK_IPVSADM} -A -t {VIP}:8004 -s rr')
    t.lb.run(f'{STOCK_IPVSADM} -a -t {VIP}:8004 -r {RS1}:8004 -m')
    server = t.rs1.peer_server(8004)
    capture = t.rs1.capture()
    own, _ = t.client.ask(VIP, 8004, b'x')
    equal(server.clients, [own], 'clients')
    equal(observe.with_toa(capture.packets()), [], 'TOAs')
    equal(t.lb.fullnat_stats()['conns'], 0, 'conns')
    equal(t.rs1.toa_stats()['stored'], 0, 'stored by toa')


def test_namespaces(t):
    """Two LBs in two namespaces know nothing of each other; one that goes away with
    live connections takes everything of it along (the file's end unloads)."""
    t.fullnat(8000)
    for server in t.servers:
        server.peer_server(8000)
    other = Namespace('lb2', t.directory)
    other.batch(['link set lo up', f'addr add {VIP}/32 dev lo', f'addr add {LIP}/32 dev lo'])
    equal(other.run('ipvsadm -S -n').out, '', 'rules of the other LB')
    other.run(f'ipvsadm -A -t {VIP}:8000 -s rr --fullnat')
    other.run(f'ipvsadm -P -t {VIP}:8000 -z {LIP}:7000-7001')
    saved = t.lb.run('ipvsadm -S -n').out
    sock = t.client.connect(VIP, 8000)
    other.run('ipvsadm -C')
    equal(t.lb.run('ipvsadm -S -n').out, saved, 'rules of the first LB')
    t.client.ask(VIP, 8000, b'x')
    equal(other.fullnat_stats()['conns'], 0, 'conns of the other LB')
    equal(t.rs1.fullnat_stats()['conns'], 0, 'conns of a real server')
    equal(t.lb.fullnat_stats()['conns'], 2, 'conns')
    run('ip netns del lb2')
    sock.sendall(b'still here')
    data = b''
    while not data.endswith(b'still here'):
        data += sock.recv(100)
    run('ip netns del lb')
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='rmmod')
