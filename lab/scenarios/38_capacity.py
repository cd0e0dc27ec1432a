# SPDX-License-Identifier: GPL-2.0
"""Local addresses and ports, many of them: ranges under traffic, full ones, what it costs
to find a free port, and a million flows. The numbers are in docs/capacity.md.

Seen failing, each with a copy of the module or of the expectation that was broken like this:

  only one address of the pool is asked: full_address_next,
    thousand_addresses_full_or_absent
  the first address is asked first, always: ranges_under_traffic, thousand_addresses
  closed connections keep their ports: connections_per_second
  the first free port looked for bit by bit from the lowest: allocation_cost measured 5.0,
    12.6 and 15.2 us; twice the first is the bound since then
Begun, and not finished on a busy host: million_flows.
"""
import re

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe, strangers
from lib.cost import Cost

ALLOCATION = 'fnat_port_alloc'
SAMPLES = 300
THOUSAND = '10.9.0.0-10.9.3.231'


def laddrs(t):
    """The local addresses of /proc/net/ip_vs_fullnat: {address: its line's values}."""
    return {name.split()[1].strip('[]'): value for name, value in observe.overview(t.lb).items()
            if name.startswith('laddr ')}


def held(t, addresses):
    """Ports in use of these addresses."""
    known = laddrs(t)
    return sum(known[address]['conns'] for address in addresses if address in known)


def flows(t):
    """All that the module has."""
    return int(re.match(r'flows_all_namespaces (\d+)', t.lb.proc_net('ip_vs_fullnat'))[1])


def short_ends(t):
    """Closed connections give up their ports after a second."""
    for name in ('timewait', 'close'):
        t.lb.sysctl(f'net.ipv4.vs.fullnat_timeout_{name}', 1)


def test_ranges_under_traffic(t, family):
    """A range and a prefix; the prefix is removed and added again while connections come
    and go: none fails, what lasts drains, nobody new comes while it is away."""
    first = [family.host(number) for number in range(100, 104)]
    second = [family.host(number) for number in range(104, 108)]
    prefix = f'{second[0]}/{family.host_length - 2}'
    service = t.fullnat(8000, family=family, lips=())
    for address in (*first, *second):
        t.add_lip(address)
    t.lb.run(f'ipvsadm -P {service} -z {first[0]}-{first[-1]}')
    t.lb.run(f'ipvsadm -P {service} -z {prefix}')
    short_ends(t)
    servers = [server.peer_server(8000, family=family.af) for server in t.servers]
    bystanders = strangers.Bystanders(t, 8000, family=family, lasting=16)
    for _ in range(2):
        until(lambda: held(t, second) and held(t, first), what='both are in use')
        t.lb.run(f'ipvsadm -Q {service} -z {prefix}')
        # what has not ended after this many new ones lasts, or came later
        done = bystanders.done + 4
        until(lambda: bystanders.done >= done and held(t, second) <= 16, what='it drains')
        left, done = held(t, second), bystanders.done + 10
        until(lambda: bystanders.done >= done, what='others come')
        check(held(t, second) <= left, 'a removed address got connections')
        t.lb.run(f'ipvsadm -P {service} -z {prefix}')
        until(lambda: held(t, second) > left, what='it is in use again')
    bystanders.stop()
    strangers.check_seen(servers)
    equal(strangers.drops(t.lb), {}, 'drops')


def test_full_address_next(t):
    """Two addresses of ten ports: what one has not the other gives. Of both full the
    service and each address tell; one more address heals it at once."""
    t.fullnat(8000, servers=(RS1,), lips=())
    service = f'-t {VIP}:8000'
    for address in (LIP, LIP2, '10.0.0.102'):
        t.add_lip(address)
    t.lb.run(f'ipvsadm -P {service} -z {LIP}-{LIP2}:30000-30009')
    server = t.rs1.peer_server(8000)
    conns = [t.client.connect(VIP, 8000, timeout=10) for _ in range(20)]
    until(lambda: len(server.seen) == 20, what='all are accepted')
    equal([held(t, [address]) for address in (LIP, LIP2)], [10, 10], 'ports held')
    equal(t.lb.fullnat_stats()['drop_exhausted'], 0, 'drop_exhausted')
    before = laddrs(t)
    waiting = t.client.socket()
    waiting.setblocking(False)
    waiting.connect_ex((VIP, 8000))
    until(lambda: t.lb.fullnat_stats()['drop_exhausted'], what='the 21st is dropped')
    after = laddrs(t)
    dropped = observe.overview(t.lb)[f'service tcp {VIP}:8000']['exhausted']
    check(dropped >= 1, 'not counted for the service')
    for address in (LIP, LIP2):
        check(after[address]['exhausted'] > before[address]['exhausted'],
              f'not counted for {address}')
    t.lb.run(f'ipvsadm -P {service} -z 10.0.0.102:30000-30009')
    waiting.settimeout(20)
    own = waiting.getsockname()
    line = greeting(own)
    equal(read_until(waiting, len(line)), line, 'the 21st')
    equal(held(t, ['10.0.0.102']), 1, 'ports held of the third')
    for sock in (*conns, waiting):
        sock.close()


class Pool:
    """One address with so many ports, towards a server that answers only handshakes."""

    def __init__(self, t, ports):
        t.add_lip(LIP)
        self.t = t
        self.ports = ports
        self.service = strangers.raw_service(t, 9000, f'{LIP}:1025-{1024 + ports}')
        self.next_client = 0
        t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 3000)
        short_ends(t)

    def used(self):
        """Ports in use."""
        return held(self.t, [LIP])

    def connections(self, mode, count):
        """As many new ones; "S": only their SYNs."""
        strangers.flood(self.service, mode, self.next_client, count, timeout=300)
        self.next_client += count

    def fill(self):
        """All ports are in use."""
        self.connections('make', self.ports - self.used())
        equal(self.used(), self.ports, 'ports in use')

    def free(self, first, count, step):
        """Holes: every step-th client from here on resets its connection."""
        used = self.used()
        strangers.flood(self.service, 'R', first, count, step=step, timeout=300)
        until(lambda: self.used() == used - count, 60, f'{count} ports are free')

    def cost(self, samples=SAMPLES):
        """Median cost of an allocation, over so many."""
        with Cost(ALLOCATION) as cost:
            self.connections('S', samples)
        check(cost.calls >= samples * 0.9, f'{cost.calls} calls were traced')
        return cost.median


    def cost_of_last(self, client):
        """The cost of the only free port, which this client gives up: one of the last ones, so that
        nearly all others are looked at before. It is of one call, which the host may interrupt."""
        self.free(client, 1, 1)
        return self.cost(1)


def allocation_cost(t, ports):
    """The cost of a port when 0 %, 90 % and 99 % are in use, with the holes spread evenly;
    when the only free one is the last that is looked at; and when there is none."""
    pool = Pool(t, ports)
    cost = {'empty': pool.cost()}
    pool.fill()
    for percent, step in ((90, 10), (99, 100)):
        # other clients each time, all of them of the first filling
        first = SAMPLES + percent - step // 2
        pool.free(first, (ports - first) // step, step)
        cost[f'{percent} %'] = pool.cost(min(SAMPLES, ports // step // 2))
        pool.fill()
    made = pool.next_client
    cost['last'] = min(pool.cost_of_last(made - back) for back in range(2, 7))
    cost['full'] = pool.cost()
    print(f'# {ports} ports, microseconds: {cost}', flush=True)
    check(cost['90 %'] < 2 * cost['empty'], 'at 90 %')
    check(cost['99 %'] < 2 * cost['empty'], 'at 99 %')
    # a port is taken over from a half-open connection: that ends it, and the RS is told
    check(cost['full'] < 20 * cost['empty'], 'when all are in use')
    check(cost['last'] < 100 * cost['empty'], 'the last one')


def test_allocation_cost(t):
    """Some ports: for every push."""
    allocation_cost(t, 8192)


@long
@limit(900)
def test_allocation_cost_of_a_whole_address(t):
    """All ports of an address."""
    allocation_cost(t, 64511)


def thousand(t, ports):
    """A service with 1 000 local addresses of these ports, local by one route. Returns how
    the generators call it."""
    t.lb.run('ip route add local 10.9.0.0/22 dev lo')
    return strangers.raw_service(t, 9000, f'{THOUSAND}:{ports}')


def test_thousand_addresses(t):
    """1 000 local addresses: all are used, a few ports each; nothing is lost."""
    service = thousand(t, '30000-30063')
    with Cost(ALLOCATION) as cost:
        equal(strangers.flood(service, 'make', 0, 3000)['done'], 3000, 'connections')
    used = [laddr['conns'] for laddr in laddrs(t).values()]
    print(f'# allocation with 1000 addresses: {cost.median} us', flush=True)
    equal((len(used), sum(used)), (1000, 3000), 'addresses, ports in use')
    check(sum(map(bool, used)) > 900, f'{sum(map(bool, used))} addresses are in use')
    check(max(used) < 20, f'{max(used)} connections on one of them')


def test_thousand_addresses_full_or_absent(t):
    """One port each: 1 000 connections find them all. The next SYN looks at every address,
    and so does one when none of them is local: that costs less for each than a port."""
    service = thousand(t, '30000-30000')
    with Cost(ALLOCATION) as some:
        equal(strangers.flood(service, 'make', 0, 300)['done'], 300, 'connections')
    equal(strangers.flood(service, 'make', 300, 700)['done'], 700, 'connections')
    equal({laddr['conns'] for laddr in laddrs(t).values()}, {1}, 'ports of each in use')
    with Cost(ALLOCATION) as full:
        strangers.flood(service, 'S', 1000, 50)
        until(lambda: t.lb.fullnat_stats()['drop_exhausted'] >= 50, what='all have come')
    equal(t.lb.fullnat_stats()['drop_exhausted'], 50, 'drop_exhausted')
    check(all(laddr['exhausted'] >= 50 for laddr in laddrs(t).values()), 'each was tried')
    t.lb.run('ip route del local 10.9.0.0/22 dev lo')
    with Cost(ALLOCATION) as absent:
        strangers.flood(service, 'S', 2000, 50)
        until(lambda: t.lb.fullnat_stats()['drop_no_laddr'] >= 50, what='all have come')
    equal(t.lb.fullnat_stats()['drop_no_laddr'], 50, 'drop_no_laddr')
    equal(observe.overview(t.lb)[f'service tcp {VIP}:9000']['no_laddr'], 50, 'no_laddr')
    print(f'# microseconds: a port {some.median}, 1000 full {full.median}, '
          f'1000 absent {absent.median}', flush=True)
    check(full.median < 1000 * some.median, 'full ones cost too much')
    check(absent.median < 1000 * some.median, 'absent ones cost too much')
    t.lb.run('ip route add local 10.9.0.0/22 dev lo')
    strangers.flood(service, 'S', 3000, 1)
    until(lambda: t.lb.fullnat_stats()['drop_exhausted'] == 51, what='they have come back')


def connections_per_second(t, ports, rounds):
    """Whole connections, one set after the other, each of which is reset when all are
    open: how many per second through so many ports."""
    t.add_lip(LIP)
    service = strangers.raw_service(t, 9000, f'{LIP}:1025-{1024 + ports}')
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 300)
    milliseconds = 0
    size = 2000
    for number in range(rounds):
        result = strangers.flood(service, 'speak', number * size, size, timeout=300)
        equal(result['done'], size, 'connections')
        milliseconds += result['milliseconds']
        strangers.flood(service, 'R', number * size, size, timeout=300)
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], stats['conns_without_toa'], stats['drop_exhausted']),
          (rounds * size, 0, 0), 'conns, conns_without_toa, drop_exhausted')
    equal(stats['takeover_closed'], max(0, rounds * size - ports), 'takeover_closed')
    return rounds * size * 1000 / milliseconds


@long
@limit(900)
def test_connections_per_second(t):
    """An address and a real server with 2 000 ports between them take new connections as
    fast as with all ports: closed connections give theirs up when they are needed."""
    few = connections_per_second(t, 2000, 20)
    print(f'# connections per second, one LIP, one RS, 2000 ports: {few:.0f}', flush=True)


@long
@limit(900)
def test_connections_per_second_all_ports(t):
    """The same with all ports."""
    many = connections_per_second(t, 64511, 20)
    print(f'# connections per second, one LIP, one RS, 64511 ports: {many:.0f}', flush=True)


def slabs():
    """Objects and their bytes in the caches of ip_vs and of ours, from /proc/slabinfo."""
    found = {}
    with open('/proc/slabinfo', encoding='ascii') as file:
        for line in file:
            words = line.split()
            if words[0] in ('ip_vs_conn', 'fnat_flow'):
                found[words[0]] = int(words[1]), int(words[3])
    return found


def memory_available():
    """Bytes."""
    with open('/proc/meminfo', encoding='ascii') as file:
        return int(re.search(r'MemAvailable:\s+(\d+)', file.read())[1]) << 10


def big_connection_table():
    """ip_vs anew, with the table that we ship."""
    run('modprobe -r ip_vs_fullnat ip_vs_rr ip_vs', check=False)
    with open('/proc/modules', encoding='ascii') as file:
        check('ip_vs ' not in file.read(), 'ip_vs is in use')
    run('modprobe ip_vs conn_tab_bits=20')
    run('modprobe ip_vs_fullnat flow_max=2000000')


@long
@limit(3600)
def test_million_flows(t):
    """A million flows at once over 20 addresses and one real server, each with its whole
    handshake: what they take of memory, and that all of it comes back."""
    count = 1000000
    big_connection_table()
    t.lb.run('ip route add local 10.9.0.0/22 dev lo')
    service = strangers.raw_service(t, 9000, '10.9.0.1-10.9.0.20')
    short_ends(t)
    before = memory_available()
    result = strangers.flood(service, 'speak', 0, count, timeout=2000)
    equal((result['done'], flows(t)), (count, count), 'connections, flows')
    taken = (before - memory_available()) / count
    objects = slabs()
    print(f'# {result}\n# slabs (objects, bytes each): {objects}; memory per flow in all: '
          f'{taken:.0f} bytes', flush=True)
    check(objects['fnat_flow'][0] >= count, 'fewer objects than flows')
    equal(strangers.drops(t.lb), {}, 'drops')
    strangers.flood(service, 'R', 0, count, timeout=2000)
    until(lambda: flows(t) == 0, 300, 'all flows are gone')
    equal(sum(laddr['conns'] for laddr in laddrs(t).values()), 0, 'ports in use')
