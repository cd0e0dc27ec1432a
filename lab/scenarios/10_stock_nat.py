# SPDX-License-Identifier: GPL-2.0
"""Stock IPVS NAT: it works as ever, with and without our modules loaded."""
from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import


def nat_service(t):
    """VIP:80 by stock masquerading; the real servers need a route for it."""
    t.route_by_lb()
    t.lb.run(f'ipvsadm -A -t {VIP}:80 -s rr')
    for address in (RS1, RS2):
        t.lb.run(f'ipvsadm -a -t {VIP}:80 -r {address}:80 -m')


def every_client_is_seen(t):
    """Ask ten times; both servers must have logged the right clients."""
    logs = [server.nginx() for server in t.servers]
    asked = []
    for number in range(10):
        port = 40000 + number
        out = t.client.run(f'curl -sS --max-time 20 --local-port {port} http://{VIP}/{number}').out
        check(out.split()[1:] == [CLIENT, str(port)], f'answer: {out}')
        asked.append((CLIENT, port, f'/{number}'))
    until(lambda: sum(len(nginx.log()) for nginx in logs) == 10, what='nginx has logged')
    equal(sorted(logs[0].log() + logs[1].log()), sorted(asked), 'requests logged')
    equal([len(nginx.log()) for nginx in logs], [5, 5], 'requests per server')


def test_without_our_modules(t):
    """The framework itself, on a stock kernel."""
    nat_service(t)
    every_client_is_seen(t)


def test_peer_server_and_capture(t):
    """getpeername, captures and counters of the library agree with each other."""
    nat_service(t)
    t.lb.run(f'ipvsadm -A -t {VIP}:8000 -s rr')
    t.lb.run(f'ipvsadm -a -t {VIP}:8000 -r {RS1}:8000 -m')
    server = t.rs1.peer_server(8000)
    capture = t.rs1.capture()
    local, answer = t.client.ask(VIP, 8000, b'hello', source=CLIENT2, source_port=41000)
    equal(local, (CLIENT2, 41000), 'own address')
    equal(answer, f'{CLIENT2} 41000\nhello'.encode(), 'answer')
    equal(server.clients, [(CLIENT2, 41000)], 'clients')
    syns = [p for p in capture.packets() if p.flags == 'S']
    equal([(p.source, p.destination) for p in syns], [((CLIENT2, 41000), (RS1, 8000))], 'SYNs')


def test_capture_ends_beside_traffic(t):
    """A capture ends and has its packets while more of them come without a pause."""
    t.rs1.peer_server(8000)
    t.lb.spawn(['ping', '-q', '-f', '-s', '200', RS1], t.lb.path('ping.log'))
    for port in range(41000, 41005):
        capture = t.rs1.capture()
        t.lb.ask(RS1, 8000, b'hello', source_port=port)
        sent = [p for p in capture.packets() if p.source == (LB_INNER, port)]
        equal([p.payload for p in sent if p.payload_len], [b'hello'], 'captured')
