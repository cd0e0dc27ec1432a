# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading, with traffic, and the kernel's own test of IPVS.

Seen failing, each with a copy of the modules that was broken like this:

  the module's reference dropped while connections live: rmmod_refused
  the client's port in the TOA off by one: load_cycles, toa_cycles
  flows never freed: load_cycles
  every masquerading connection taken for ours: kernels_own_selftest
"""
import os
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe

CYCLES = 10
SELFTEST = '/lab/selftests/netfilter/ipvs.sh'


def loaded(name):
    """Is the module there?"""
    return os.path.exists(f'/sys/module/{name}')


def read(path):
    """A file's text."""
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def users_of_ip_vs():
    """How many references ip_vs has."""
    return int(read('/sys/module/ip_vs/refcnt'))


def echo(sock, data=b'still here'):
    """Send, and read until it comes back."""
    sock.sendall(data)
    got = b''
    while not got.endswith(data):
        part = sock.recv(1000)
        check(part, f'the connection ended after {got!r}')
        got += part
    return got


class Nat:
    """Connections through a stock NAT service next to ours, one after the other, all the
    time: ip_vs is busy while our module comes and goes."""

    def __init__(self, t):
        self.client = t.client
        t.route_by_lb()
        t.lb.run(f'ipvsadm -A -t {VIP}:81 -s rr')
        t.lb.run(f'ipvsadm -a -t {VIP}:81 -r {RS1}:81 -m')
        self.server = t.rs1.peer_server(81)
        self.over = threading.Event()
        self.done, self.error = 0, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.is_set():
                own, answer = self.client.ask(VIP, 81, b'nat')
                equal(answer, f'{own[0]} {own[1]}\nnat'.encode(), 'NAT answer')
                self.done += 1
                self.over.wait(0.05)
        except (OSError, Failure) as error:
            self.error = error

    def more(self, count=1):
        """Wait for this many more."""
        goal = self.done + count
        until(lambda: self.done >= goal or self.error, what=f'{count} NAT connections')
        check(not self.error, f'NAT traffic: {self.error}')

    def stop(self):
        """End it."""
        self.over.set()
        self.thread.join(30)
        check(not self.error, f'NAT traffic: {self.error}')


def declare(t):
    """What is lost when the module goes: declaration and pool; short timeouts."""
    t.lb.run(f'modprobe ip_vs_fullnat && ipvsadm -E -t {VIP}:8000 -s rr --fullnat && '
             f'ipvsadm -P -t {VIP}:8000 -z {LIP} && '
             'sysctl -qw net.ipv4.vs.fullnat_timeout_timewait=1 '
             'net.ipv4.vs.fullnat_timeout_close=1')


def check_nothing_left(users):
    """The module is gone and has left nothing."""
    check(not loaded('ip_vs_fullnat'), 'it is still loaded')
    equal(users_of_ip_vs(), users, 'references on ip_vs')
    for path in ('/proc/net/ip_vs_fullnat', '/proc/net/ip_vs_fullnat_stats',
                 '/proc/sys/net/ipv4/vs/fullnat_timeout_close'):
        check(not os.path.exists(path), f'{path} is left')
    for path in ('/proc/vmallocinfo', '/proc/kallsyms'):
        check('ip_vs_fullnat' not in read(path), f'{path} knows it')


def test_rmmod_refused(t):
    """rmmod while a connection lives is refused, and the connection does not notice; when
    the connection has expired it succeeds."""
    t.fullnat(8000, servers=(RS1,))
    t.rs1.peer_server(8000)
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_timewait', 1)
    with t.client.connect(VIP, 8000) as sock:
        echo(sock)
        for _ in range(3):
            said = run('rmmod ip_vs_fullnat', check=False)
            check(said.rc and 'is in use' in said.err, f'rmmod: {said.text}')
            echo(sock)
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='rmmod')


@limit(300)
def test_load_cycles(t):
    """10 times: load, declare, traffic, wait for the end of its connections, unload. Stock
    NAT works all the time; without our module FULLNAT fails at once, not half-open."""
    run('modprobe ip_vs && modprobe ip_vs_rr && modprobe toa')
    t.add_lip()
    t.lb.run(f'ipvsadm -A -t {VIP}:8000 -s rr --fullnat')
    for address in (RS1, RS2):
        t.lb.run(f'ipvsadm -a -t {VIP}:8000 -r {address}:8000 -b')
    servers = [server.peer_server(8000) for server in t.servers]
    nat = Nat(t)
    users = None
    for cycle in range(CYCLES):
        declare(t)
        asked = [t.client.ask(VIP, 8000, b'x')[0] for _ in range(2)]
        equal(sorted(s.clients[-1] for s in servers), sorted(asked), f'cycle {cycle}: clients')
        equal(t.lb.fullnat_stats()['conns_with_toa'], 2, f'cycle {cycle}: conns_with_toa')
        until(lambda: 'flows_all_namespaces 0\n' in t.lb.proc_net('ip_vs_fullnat'), what='no flow')
        until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='rmmod')
        nat.more()
        try:
            t.client.connect(VIP, 8000, timeout=5).close()
            raise Failure(f'cycle {cycle}: connected without the module')
        except ConnectionRefusedError:
            pass
        users = users_of_ip_vs() if users is None else users
        check_nothing_left(users)
    nat.stop()
    equal([len(server.clients) for server in servers], [CYCLES, CYCLES], 'connections')


def test_toa_cycles(t):
    """toa goes and comes 10 times under live connections and new ones: the live ones do not
    notice, the new ones are named by their client, or by the LIP while toa is away."""
    t.fullnat(8000)
    servers = [server.peer_server(8000) for server in t.servers]
    live = [t.client.connect(VIP, 8000) for _ in range(8)]
    for sock in live:
        echo(sock)
    for cycle in range(CYCLES):
        run('rmmod toa')
        sock = live[cycle % len(live)]
        echo(sock)
        if cycle % 5 == 0:
            _, answer = t.client.ask(VIP, 8000, b'x')
            check(answer.startswith(LIP.encode()), f'cycle {cycle}: without toa: {answer}')
        run('modprobe toa')
        echo(sock)
        own, answer = t.client.ask(VIP, 8000, b'x')
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), f'cycle {cycle}: answer')
    stats = [server.toa_stats() for server in t.servers]
    equal(observe.sum_of('stored', stats), 1, 'stored since the last load')
    equal(sum(len(server.clients) for server in servers), 8 + CYCLES + CYCLES // 5, 'clients')


@limit(300)
def test_kernels_own_selftest(t):
    """tools/testing/selftests/netfilter/ipvs.sh: DR, NAT and tunnels, untouched by us. Its server
    gets more time to begin."""
    check(os.path.exists(SELFTEST), f'no {SELFTEST}')
    t.lb.run('modprobe ip_vs_fullnat')
    for address in ('10.0.0.1', '10.0.0.2'):        # declarations elsewhere do not matter
        t.lb.run(f'ipvsadm -E -t {address}:8080 --fullnat')
    patient = '/tmp/ipvs.sh'
    with open(patient, 'w', encoding='utf-8') as file:
        file.write(read(SELFTEST).replace('sleep 0.2', f'sleep {basics.SCALE}')
                   .replace('timeout 2 nc -w 1', 'timeout 60 nc -w 5'))
    done = run(['sh', patient], check=False, timeout=200, cwd=os.path.dirname(SELFTEST))
    check(done.rc == 0 and 'PASS' in done.out, f'exit status {done.rc}: {done.text}')
    check(loaded('ip_vs_fullnat'), 'our module was not there')
