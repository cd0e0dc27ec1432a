# SPDX-License-Identifier: GPL-2.0
"""Two load balancers that are active at once, behind a router with BGP, BFD and ECMP (bird2):

    client ───outer─── router ───inner─── rs1, rs2        (the topology's "lb" is the router here)
                         │
                        core: 192.0.2.0/24, 2001:db8:a::/64
                       /    \\
                    lb1      lb2      each on one leg, with LIPs of its own: 10.9.1.0/28, 10.9.2.0/28

Both announce the VIPs. Each announces its own LIPs, and those of the other one by a longer path:
when a node is gone, its LIPs come to the other one, which knows its connections from the sync
daemon. docs/high-availability.md has what an operator does; this is the same.
"""
import dataclasses
import re
import signal
import threading
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics
from lib.cluster import start_daemons
from lib.observe import drops
from lib.traffic import echo, greeted

PORT = 80
EXAMPLE = '/srv/fullnat/keepalived-conf/examples/active-active'
LOADER = '/srv/fullnat/keepalived-conf/ipvs-fullnat-rules'
BFD_MS = round(400 * basics.SCALE)          # five lost ones in a row: the node is gone
DETECTION = 5 * BFD_MS / 1000
CORE = {V4: '192.0.2.{}', V6: '2001:db8:a::{}'}
LIPS = {V4: '10.9.{}.0/28', V6: 'fd09:{}::/124'}
# The example is lb1's; on lb2 these are the other way round
SWAPPED = [('192.0.2.1', '192.0.2.2'), ('2001:db8:a::1', '2001:db8:a::2'), ('65001', '65002'),
           *((lips.format(1), lips.format(2)) for lips in LIPS.values())]
SECRET = '/etc/ipvs-fullnat/secret'


def example(name, host, number=1):
    """A file of the example, as an operator would adapt it for lb1 or lb2. Returns its path."""
    with open(f'{EXAMPLE}/{name}', encoding='ascii') as file:
        text = file.read()
    if number == 2:
        other = {**dict(SWAPPED), **{second: first for first, second in SWAPPED}}
        word = '|'.join(map(re.escape, other))
        text = re.sub(rf'(?<![\w.:])({word})(?![\w.:/])', lambda found: other[found[0]], text)
    for old, new in (('log syslog', f'log "{host.path("bird.log")}"'),
                     ('interval 400 ms', f'interval {BFD_MS} ms'),
                     (SECRET, host.path('secret'))):
        text = text.replace(old, new)
    return host.write(name, text)


class Bird:
    """A bird daemon of a namespace."""

    def __init__(self, host, config):
        self.host = host
        self.socket = host.path('bird.ctl')
        # in time for BFD also where the machine is busy
        self.process = host.spawn(['chrt', '-f', '10', 'bird', '-f', '-c', config,
                                   '-s', self.socket, '-P', host.path('bird.pid')])
        until(lambda: self.ask('show status'), what=f'bird of {host} is up')

    def ask(self, command):
        """What birdc says."""
        return self.host.run(['birdc', '-s', self.socket, command]).out


class Balancer:
    """An LB on one leg: a machine that can be switched off and made anew."""

    def __init__(self, t, name, number):
        self.t, self.number = t, number
        self.host = Host(name, t.directory)
        t.plug(self.host, 'core', 'core')
        self._addresses()
        self._rules()
        self.bird = None

    def _addresses(self):
        lines = ['link set lo up', 'link set core up']
        for family in FAMILIES:
            own, gateway = (CORE[family].format(n) for n in (self.number, 254))
            lines += [f'addr add {own}/{family.length} dev core nodad',
                      f'addr add {family.vip}/{family.host_length} dev lo',
                      f'route add default via {gateway}']
            # any address of them is local, on both nodes
            lines += [f'route add local {LIPS[family].format(n)} dev lo' for n in (1, 2)]
        self.host.batch(lines)

    def _rules(self):
        """The example's rules, and services as keepalived would make them."""
        self.host.write('secret', '0123456789abcdef' * 4, 0o600)
        run = self.host.run
        run([LOADER, '-f', example('rules', self.host, self.number), 'load'])
        for family in FAMILIES:
            service = family.service(PORT)
            run(f'ipvsadm -A {service} -s rr')
            for server in family.servers:
                run(f'ipvsadm -a {service} -r {address_port(server, PORT)} -m')
        start_daemons(self.host, 'core')

    def announce(self):
        """From now on the router sends packets here."""
        self.bird = Bird(self.host, example('bird.conf', self.host, self.number))

    def withdraw(self, what):
        """Announce them no longer: 'vip' or 'lips'."""
        for family in FAMILIES:
            self.bird.ask(f'disable {what}{family.name[1]}')

    def power_off(self):
        """Everything that it knew is gone."""
        # or the last words of bird's connections keep the namespace for half a minute
        self.host.sysctl('net.ipv4.tcp_orphan_retries', 1)
        self.host.batch(['link set core down'])
        self.host.stop(self.bird.process, signal.SIGKILL)
        run(['ip', 'netns', 'del', self.host.name])

    def stat(self, name):
        """One of FULLNAT's counters."""
        return self.host.fullnat_stats()[name]


class Pair:
    """The router and both balancers, at work."""

    def __init__(self, t):
        self.t = t
        self.router = t.lb
        self._router_addresses()
        modprobe_toa()
        self.nodes = [Balancer(t, f'lb{number}', number) for number in (1, 2)]
        Bird(self.router, example('router-bird.conf', self.router))
        for node in self.nodes:
            node.announce()
        self.wait_ways(2)

    def _router_addresses(self):
        """The topology's LB becomes a router."""
        self.t.add_bridge('core')
        self.t.plug(self.router, 'core', 'core')
        lines = ['link set core up']
        for family in FAMILIES:
            lines += [f'addr del {family.vip}/{family.host_length} dev outer',
                      f'addr add {CORE[family].format(254)}/{family.length} dev core nodad']
            for server in self.t.servers:
                server.batch([f'route add default via {family.lb_inner}'])
        self.router.batch(lines)
        self.router.forward()
        for name in ('ipv4', 'ipv6'):
            self.router.sysctl(f'net.{name}.fib_multipath_hash_policy', 1)

    def ways(self, family, to):
        """The last numbers of the nodes that the router sends these packets to."""
        out = self.router.run(f'ip -{family.name[1]} route show {to}').out
        core = CORE[family].format('')
        return sorted(int(word.removeprefix(core)) for word in out.split()
                      if word.startswith(core))

    def wait_ways(self, *vips, lips=None):
        """Until the VIPs have so many ways, or these; the LIPs of node 1 that one."""
        def there(family):
            found = self.ways(family, family.vip)
            return (len(found) if isinstance(vips[0], int) else found) == vips[0] and (
                lips is None or self.ways(family, LIPS[family].format(1)) == [lips])
        until(lambda: all(map(there, FAMILIES)), 60, f'the router has the ways {vips} {lips}')

    def check_drops(self, node, *expected):
        """Nothing was dropped there but for these reasons."""
        found = {name: count for name, count in drops(node.host).items() if name not in expected}
        equal(found, {}, f'drops of {node.host}')


def modprobe_toa():
    """On the real servers; they share the machine's kernel."""
    run('modprobe toa')


@dataclasses.dataclass
class Attempt:
    """A new connection of the prober."""
    begun: float
    took: float = 0
    error: str = ''


class Prober:
    """Makes a new connection every `pause` seconds and says how each of them went."""

    def __init__(self, t, pause=0.2):
        self.t, self.pause = t, pause * basics.SCALE
        self.attempts, self.threads = [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.pause):
            attempt = Attempt(time.monotonic())
            family = FAMILIES[len(self.attempts) % 2]
            self.attempts.append(attempt)
            thread = threading.Thread(target=self._try, args=(attempt, family), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _try(self, attempt, family):
        try:
            with self.t.client.connect(family.vip, PORT, source=family.client,
                                       timeout=60 * basics.SCALE) as sock:
                greeted(sock)
        except (OSError, Failure) as error:
            attempt.error = str(error)
        attempt.took = time.monotonic() - attempt.begun

    def more(self, count):
        """Wait until so many more have been made and have ended."""
        goal = len(self.attempts) + count
        until(lambda: len(self.attempts) >= goal, 60, f'{count} new connections')
        self.wait()

    def wait(self):
        """For all that have begun."""
        for thread in list(self.threads):
            thread.join(90 * basics.SCALE)

    def stop(self):
        """End it. Returns (how many, the longest one in seconds); none has failed."""
        self.over.set()
        self.thread.join()
        self.wait()
        failed = [attempt.error for attempt in self.attempts if attempt.error]
        equal(failed, [], 'new connections that failed')
        return len(self.attempts), max(attempt.took for attempt in self.attempts)


def open_all(t, count):
    """So many established connections of each family, each greeted by its own name."""
    socks = []
    for family in FAMILIES:
        for _ in range(count):
            sock = t.client.connect(family.vip, PORT, source=family.client,
                                    timeout=60 * basics.SCALE)
            greeted(sock)
            echo(sock)
            socks.append(sock)
    return socks


def lost(socks, what):
    """How many of them do not answer any more; printed. Those are taken off the list."""
    gone = []
    for sock in socks:
        try:
            echo(sock, what.encode())
        except (OSError, Failure):
            gone.append(sock)
    print(f'# {what}: {len(gone)} of {len(socks)} connections lost', flush=True)
    for sock in gone:
        socks.remove(sock)
    return len(gone)


def peer_servers(t):
    """On both real servers, for both families. Returns a function: the clients they saw."""
    servers = [host.peer_server(PORT, family=family.af) for host in t.servers
               for family in FAMILIES]
    return lambda: [client for server in servers for client in server.clients]


def wait_synced(pair, socks):
    """Until each node knows all of these connections: its own, and the other one's. A node that
    is new is told of a connection when its client says something."""
    def told():
        for sock in socks:
            echo(sock)
        time.sleep(1)
        return all(known(node.host) >= len(socks) for node in pair.nodes)
    until(told, 60, f'both nodes know {len(socks)} connections')


def known(host):
    """Established connections in the table of ip_vs."""
    return sum(' ESTABLISHED ' in line
               for line in host.proc_net('ip_vs_conn').splitlines())


@limit(240)
def test_drain_kill_back(t):
    """A node is drained: it announces the VIPs no longer, then its LIPs. Then it is killed, made
    anew, and announces again once it knows the connections. No connection is lost, old or new."""
    pair = Pair(t)
    first = pair.nodes[0]
    clients = peer_servers(t)
    socks = open_all(t, 12)
    check(min(node.stat('conns') for node in pair.nodes) > 0, 'both nodes have connections')
    wait_synced(pair, socks)
    prober = Prober(t)

    first.withdraw('vip')
    pair.wait_ways([2])
    equal(lost(socks, 'drained of VIPs'), 0, 'lost')
    first.withdraw('lips')
    pair.wait_ways([2], lips=2)
    equal(lost(socks, 'drained of LIPs'), 0, 'lost')
    prober.more(3)

    first.power_off()
    equal(lost(socks, 'drained and killed'), 0, 'lost')
    prober.more(3)
    pair.nodes[0] = first = Balancer(t, 'lb1b', 1)
    wait_synced(pair, socks)
    # one that is not synced yet would end at the other node when the way divides
    print('# new connections, and the longest: {}, {:.1f} s'.format(*prober.stop()), flush=True)
    first.announce()
    pair.wait_ways([1, 2], lips=1)
    equal(lost(socks, 'back'), 0, 'lost')
    prober = Prober(t)
    prober.more(6)
    prober.stop()
    equal(set(address for address, _ in clients()), {V4.client, V6.client}, 'clients seen')
    for node in pair.nodes:
        equal(node.stat('conns_without_toa'), 0, 'conns_without_toa')


@limit(240)
def test_killed(t):
    """A node is killed at work: the other one has its connections. A new one waits for no longer
    than the time in which BFD finds out, and one SYN more."""
    pair = Pair(t)
    first, second = pair.nodes
    peer_servers(t)
    socks = open_all(t, 12)
    wait_synced(pair, socks)
    prober = Prober(t)
    prober.more(3)
    before = second.stat('conns')
    first.power_off()
    died = time.monotonic()
    pair.wait_ways([2], lips=2)
    noticed = time.monotonic() - died
    equal(lost(socks, 'killed'), 0, 'lost')
    prober.more(3)
    count, longest = prober.stop()
    print(f'# noticed after {noticed:.1f} s; {count} new connections, the longest {longest:.1f} s',
          flush=True)
    check(longest < DETECTION + 3 + 2 * basics.SCALE, f'a new connection took {longest:.1f} s')
    check(second.stat('conns') > before, 'new connections came to the other node')
    equal(second.stat('conns_without_toa'), 0, 'conns_without_toa')
