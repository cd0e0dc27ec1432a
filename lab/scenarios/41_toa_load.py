# SPDX-License-Identifier: GPL-2.0
"""toa with very many connections, in bursts and at once: nobody is missed, nothing stays."""
import hashlib
import json
import resource
import socket
import subprocess
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.trace import Calls, Probes

BURST = 1000
ASKED = 100         # calls of getpeername() for a connection
# of process context, where our own probes are, and of softirqs, where connections are made
PROBED = ('inet_getname', 'inet6_getname', 'inet_csk_accept', 'tcp_v4_rcv', 'tcp_v6_rcv',
          'tcp_v4_syn_recv_sock', 'tcp_rcv_established', 'tcp_init_transfer')

# Holds every connection that it accepts. At a line on stdin: what it was told by accept(), and by
# getpeername() since, as a number and a digest, for each family.
HOLDER = '''
import hashlib, json, resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (300000, 300000))
listeners = []
for family, address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, 8000))
    sock.listen(4096)
    sock.setblocking(False)
    listeners.append(sock)
held = []
while True:
    ready, _, _ = select.select([*listeners, sys.stdin], [], [])
    for listener in set(ready) & set(listeners):
        while True:
            try:
                held.append(listener.accept())
            except BlockingIOError:
                break
            held[-1][0].send(b"x")
    if sys.stdin in ready:
        wanted = int(sys.stdin.readline())
        if not wanted:
            sys.exit()
        differ = sum(conn.getpeername() != name for conn, name in held)
        text = "".join(sorted("%s %d\\n" % name[:2] for _, name in held))
        digest = hashlib.sha256(text.encode()).hexdigest()
        print(json.dumps([len(held), differ, digest]), flush=True)
'''


def toa_entries(t):
    """Connections that toa remembers."""
    return t.rs1.toa_stats()['module_entries']


def lost_children():
    """Sockets that the kernel makes, counts as PassiveOpens and throws away, because the other CPU
    has made one of the same handshake from the client's next packet."""
    return Calls('inet_csk_complete_hashdance', 'own=%cx:u8', 'own == 0')


def check_missed(t, lost=0):
    """Nobody was missed, by any counter. (ab opens some connections more than it uses.)"""
    connections = observe.tcp_counters(t.rs1)['PassiveOpens'] - lost
    stats = t.rs1.toa_stats()
    equal([stats[name] for name in ('stored', 'absent', 'no_memory', 'table_full',
                                    'module_missed_instances', 'module_missed_probes')],
          [connections, 0, 0, 0, 0, 0],
          'stored, absent, no_memory, table_full, missed instances, missed probes')


def asks_often(sock, seen):
    """A handler that asks for the peer's name again and again, and tells how many names it was."""
    names = {sock.getpeername() for _ in range(ASKED)}
    sock.sendall(greeting(seen.peername) + b'%d' % len(names))


def burst(t, count):
    """Connections opened and closed by ab, logged by nginx, while another server asks for each of
    its connections' names a hundred times, and others use kprobes."""
    t.fullnat(80, servers=(RS1,))
    t.fullnat(8000, servers=(RS1,))
    nginx = t.rs1.nginx(workers=2)
    server = t.rs1.peer_server(8000, handler=asks_often)
    with lost_children() as calls, Probes(PROBED) as probes:
        bench = t.client.spawn(['ab', '-q', '-n', str(count), '-c', '100', f'http://{VIP}/'],
                               t.client.path('ab.log'))
        asked = 0
        while bench.poll() is None or asked < 20:
            own, answer = t.client.ask(VIP, 8000)
            equal(answer, greeting(own) + b'1', 'told')
            asked += 1
        hits, lost = probes.hits(), len(calls.stacks())
    equal(bench.returncode, 0, 'exit status of ab')
    until(lambda: len(nginx.log()) == count, 60, 'all requests are logged')
    equal({address for address, _, _ in nginx.log()}, {CLIENT}, 'clients in the log')
    print(f'# {asked} connections beside it; {lost} handshakes by two CPUs; hits of other probes: '
          f'{hits}', flush=True)
    check(all(hits[name] for name in hits if '6' not in name), 'a probe of the others was not hit')
    equal(len(server.clients), asked, 'connections of the other server')
    check_missed(t, lost)
    until(lambda: not toa_entries(t), 60, 'the table is empty')


def test_burst(t):
    """1 000 connections in a burst."""
    burst(t, BURST)


@long
@limit(1200)
def test_burst_of_20000(t):
    """20 000 connections in a burst."""
    burst(t, 20 * BURST)


def open_many(t, family, count):
    """Connections that stay open, from two addresses of the client; their names, and the sockets.
    Each has been accepted when the next one is made."""
    socks, names = [], []
    with t.client:
        for number in range(count):
            source = (family.client, family.client2)[number % 2]
            sock = socket.create_connection((family.vip, 8000), 120, (source, 0))
            equal(sock.recv(1), b'x', 'accepted')
            names.append('%s %d\n' % sock.getsockname()[:2])
            socks.append(sock)
    return names, socks


def hold(t, count):
    """Open this many, half of them by IPv6; all have the right names; then all are gone."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * count + 1000, 2 * count + 1000))
    for family in FAMILIES:
        family.fullnat(t, lips=(family.lip, family.lip2))
    t.lb.run('ipvsadm --set 86400 0 0')     # the first ones wait for the last, idle
    holder = subprocess.Popen(t.rs1.wrap(['python3', '-c', HOLDER]), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    t.rs1.wait_listening(8000)
    opened = [open_many(t, family, count // 2) for family in FAMILIES]
    names = ''.join(sorted(name for some, _ in opened for name in some))
    holder.stdin.write(f'{count}\n')
    holder.stdin.flush()
    equal(json.loads(holder.stdout.readline()),
          [count, 0, hashlib.sha256(names.encode()).hexdigest()],
          'connections, names that differ from accept(), digest of all names')
    equal(toa_entries(t), count, 'entries')
    check_missed(t)
    holder.stdin.write('0\n')
    holder.stdin.flush()
    equal(holder.wait(120), 0, 'exit status of the server')
    for _, socks in opened:
        for sock in socks:
            sock.close()
    until(lambda: not toa_entries(t), 120, 'the table is empty')


def test_hold(t):
    """1 000 connections at once."""
    hold(t, 1000)


@long
@limit(3000)
def test_hold_100000(t):
    """100 000 connections at once."""
    hold(t, 100000)


def cycles(t, count):
    """toa goes and comes this often under a load of new connections and of calls of
    getpeername(): each name is the client's or, while toa is away, the LIP's; in the end the
    client's again."""
    t.fullnat(80, servers=(RS1,))
    t.fullnat(8000, servers=(RS1,))
    nginx = t.rs1.nginx(workers=2)
    server = t.rs1.peer_server(8000, handler=asks_often)
    bench = t.client.spawn('while ab -q -n 200 -c 20 http://%s/; do :; done' % VIP,
                           t.client.path('ab.log'))
    threads = [threading.Thread(target=keep_asking, args=(t, bench), daemon=True)
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(count):
        run('rmmod toa')
        run('modprobe toa')
    equal(bench.poll(), None, 'exit status of ab')
    t.client.stop(bench)
    for thread in threads:
        thread.join(60)
    logged = {address for address, _, _ in nginx.log()}
    check(logged <= {CLIENT, LIP} and CLIENT in logged, f'clients in the log: {logged}')
    seen = {seen.accepted[0] for seen in server.seen} | {seen.peername[0] for seen in server.seen}
    check(seen <= {CLIENT, LIP} and CLIENT in seen, f'clients of the other server: {seen}')
    own, answer = t.client.ask(VIP, 8000)
    equal(answer, greeting(own) + b'1', 'told in the end')
    check(not server.errors, f'{server.errors}')


def keep_asking(t, bench):
    """Connect again and again while the other load is there."""
    while bench.poll() is None:
        try:
            t.client.ask(VIP, 8000)
        except OSError:
            if bench.poll() is None:
                raise


def test_load_cycles(t):
    """5 times."""
    cycles(t, 5)


@long
@limit(3000)
def test_100_load_cycles(t):
    """100 times."""
    cycles(t, 100)
