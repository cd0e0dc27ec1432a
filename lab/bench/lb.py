#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a packet costs the load balancer, in instructions: runs in a machine whose clock counts
them (lab/vm-run --icount). "make bench" does it; docs/performance.md says what it means.

  lb.py [--flows N] [--packets N] [--only WORD]

Small packets of established connections are sent from a client's wire and from a real
server's (lab/fuzz/bench_packets.c) through the LB, which is a namespace with two interfaces. What
comes out of it is addressed to nobody's hardware address, so that it ends right there. What the
generator costs is found out with packets that the LB itself drops for the same reason, and
is taken off; what it takes to hand a frame on at all is the row "wire". All ways are measured in
one boot.

Prints Markdown: that is what docs/performance.md has. Exit status 1: one way did not do what its
name says, a row that must not cost more does, or a number is off the recorded table by more than
0.5 %.
"""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'scenarios'))
# pylint: disable=wrong-import-position
from lib import V4, V6, address_port, basics, topology

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    'docs/performance.md')
PORT = 80
ROUNDS = 7
INVENTED = {V4: '198.18.0.0/15', V6: '2001:db8:bad::/48'}
NOBODY = '02:00:00:00:00:01'
WIRES = ('client:eth0', 'rs1:eth0', 'lb:outer', 'lb:inner')
COLUMNS = [(family, protocol, direction) for family in (V4, V6) for protocol in ('tcp', 'udp')
           for direction in ('request', 'reply')]
# a measurement is repeatable to this share, and what costs nothing costs less than that
REPEATABLE = 0.005
FREE, FREE_BESIDE = 0.01, 0.03


class Net:
    """client, lb and rs1 with a wire between each two; no bridge, no stack at the ends."""

    def __init__(self):
        self.client = topology.Host('client', '/tmp/bench')
        self.lb = topology.Host('lb', '/tmp/bench')
        self.rs1 = topology.Host('rs1', '/tmp/bench')
        self.lb.batch([f'link add outer type veth peer name eth0 netns {self.client}',
                       f'link add inner type veth peer name eth0 netns {self.rs1}'])
        for host, device in ((self.client, 'eth0'), (self.rs1, 'eth0'), (self.lb, 'outer'),
                             (self.lb, 'inner')):
            host.sysctl(f'net.ipv6.conf.{device}.addr_gen_mode', 1)
            host.batch([f'link set {device} up'])
        self.lb.sysctl('net.ipv4.ip_forward', 1)
        self.lb.sysctl('net.ipv6.conf.all.forwarding', 1)
        for family in (V4, V6):
            self._addresses(family)

    def _addresses(self, family):
        self.lb.batch(['link set lo up',
                       f'addr add {family.lb_outer}/{family.length} dev outer nodad',
                       f'addr add {family.vip}/{family.host_length} dev outer nodad',
                       f'addr add {family.lb_inner}/{family.length} dev inner nodad',
                       f'addr add {family.lip}/{family.length} dev inner nodad',
                       f'route add {INVENTED[family]} via {family.client}',
                       f'neigh add {family.client} lladdr {NOBODY} dev outer nud permanent',
                       f'neigh add {family.rs1} lladdr {NOBODY} dev inner nud permanent'])

    def close(self):
        """For the next one. Its names are free again at once."""
        for host in (self.client, self.lb, self.rs1):
            basics.run(['ip', 'netns', 'del', host.name])


def services():
    """(family, protocol)"""
    return [(family, protocol) for family in (V4, V6) for protocol in ('tcp', 'udp')]


def ipvs(net, option='', vip=lambda family: family.vip):
    """VIP:port over the real server, TCP and UDP, IPv4 and IPv6."""
    for family, protocol in services():
        service = f'-{protocol[0]} {address_port(vip(family), PORT)}'
        net.lb.run(f'ipvsadm -A {service} -s rr {option}')
        net.lb.run(f'ipvsadm -a {service} -r {address_port(family.rs1, PORT)} -m')


MASQUERADE = 'chain post { type nat hook postrouting priority srcnat; oifname inner masquerade\n}'


def nft_nat(net, extra=''):
    """DNAT and masquerade."""
    rules = '\n'.join(f'{family.nft} daddr {family.vip} meta l4proto {{ tcp, udp }} '
                      f'th dport {PORT} dnat {family.nft} to {family.rs1}' for family in (V4, V6))
    net.lb.nft(f'table inet nat {{\n{extra}\nchain pre {{ type nat hook prerouting priority dstnat;'
               f'\n{rules}\n}}\n{MASQUERADE}\n}}')


class Way:
    """One way through the LB. `target` is where the client's packets are addressed to."""
    to_vip = True

    def __init__(self, name, prepare, modules='', slow=None, many=True):
        self.name = name
        self.prepare = prepare
        self.modules = modules
        self.slow = slow or (lambda net, sent: None)
        self.many = many

    def __repr__(self):
        return self.name


class Forward(Way):
    """Nothing but a router."""
    to_vip = False


def flowtable(net):
    """The forward chain counts what the flowtable has not taken."""
    nft_nat(net, 'counter untaken { }\nflowtable taken {\nhook ingress priority 0\n'
            'devices = { outer, inner }\n}\nchain through {\ntype filter hook forward priority 0;\n'
            'counter name untaken\nmeta l4proto { tcp, udp } flow add @taken\n}')


def flowtable_slow(net, sent):
    """Of what was sent, packets that the flowtable has not taken."""
    out = net.lb.run('nft list counter inet nat untaken').out
    return int(re.search(r'packets (\d+)', out)[1]) / sent


def fullnat(fast=None):
    """Ours; fast: whether the fast path is on."""
    def prepare(net):
        if fast is not None:
            net.lb.sysctl('net.ipv4.vs.fullnat_fast_path', fast)
        net.lb.run(f'ipvsadm -P -z {V4.lip}')
        net.lb.run(f'ipvsadm -P -z {V6.lip}')
        ipvs(net, '--fullnat')
    return prepare


def fullnat_slow(net, sent):
    """Of what was sent, packets that the fast path has not taken."""
    stats = net.lb.fullnat_stats()
    return 1 - (stats['fast_request'] + stats['fast_reply']) / sent


def wire(net):
    """Each frame goes to the other device as it is."""
    chains = '\n'.join(f'chain {device} {{\ntype filter hook ingress device {device} priority 0\n'
                       f'meta l4proto {{ tcp, udp }} fwd to {other}\n}}'
                       for device, other in (('outer', 'inner'), ('inner', 'outer')))
    net.lb.nft(f'table netdev wire {{\n{chains}\n}}')


def conntrack_masquerade(net):
    """How FULLNAT is done without us."""
    net.lb.nft(f'table inet nat {{\n{MASQUERADE}\n}}')
    ipvs(net)
    net.lb.sysctl('net.ipv4.vs.conntrack', 1)


def beside(prepare, ours):
    """The same, with other services, FULLNAT or stock NAT, on another address of the LB."""
    def both(net):
        if ours:
            net.lb.run(f'ipvsadm -P -z {V4.lip}')
            net.lb.run(f'ipvsadm -P -z {V6.lip}')
        ipvs(net, '--fullnat' if ours else '', lambda family: family.lb_outer)
        prepare(net)
    return both


def nothing(_):
    """A router is one as it is."""


# loaded before the first row, so that all rows have the same
STOCK = 'ip_vs ip_vs_rr nft_masq nft_nat nft_flow_offload nf_flow_table_inet nft_fwd_netdev'
OURS = 'ip_vs_fullnat'
HAS_FAST = '/proc/sys/net/ipv4/vs/fullnat_fast_path'
FORWARD, NAT, WIRE = 'plain forwarding', 'stock IPVS NAT', 'wire (nft fwd at ingress)'
WAYS = [
    Forward(WIRE, wire),
    Forward(FORWARD, nothing),
    Way(NAT, ipvs),
    Way('stock IPVS NAT + conntrack + masquerade', conntrack_masquerade, many=False),
    Way('nft DNAT + masquerade', nft_nat, many=False),
    Way('nft DNAT + masquerade, flowtable', flowtable, slow=flowtable_slow),
    Forward(f'{FORWARD}, our module loaded', nothing, OURS, many=False),
    Way(f'{NAT}, our module loaded', ipvs, OURS, many=False),
    Forward(f'{FORWARD}, beside stock NAT services', beside(nothing, False), many=False),
    Forward(f'{FORWARD}, beside FULLNAT services', beside(nothing, True), OURS, many=False),
    Way(f'{NAT}, beside FULLNAT services', beside(ipvs, True), OURS, many=False),
]
LIMITS = {f'{FORWARD}, our module loaded': (FORWARD, FREE),
          f'{NAT}, our module loaded': (NAT, FREE),
          f'{FORWARD}, beside FULLNAT services': (f'{FORWARD}, beside stock NAT services',
                                                  FREE_BESIDE),
          f'{NAT}, beside FULLNAT services': (NAT, FREE_BESIDE)}


def our_ways():
    """After our module is there: what it has."""
    basics.run(f'modprobe {OURS}')
    if not os.path.exists(HAS_FAST):
        return [Way('FULLNAT', fullnat(), OURS)]
    return [Way('FULLNAT, slow path', fullnat(0), OURS),
            Way('FULLNAT, fast path', fullnat(1), OURS, slow=fullnat_slow)]


def send(family, protocol, vip, options, nobody=False):
    """{direction: instructions of a packet, the generator's included}"""
    service = f'{protocol}/{address_port(vip, PORT)}/{address_port(family.rs1, PORT)}'
    command = ['bench-packets', *WIRES, service, str(options.flows), str(options.packets),
               str(ROUNDS)]
    out = basics.run(command + (['nobody'] if nobody else []), timeout=1200).out
    return {name: float(value) for name, value in re.findall(r'(\w+) ([\d.]+)', out)}


def measure(way, options, generator):
    """{column: instructions}: the LB's own."""
    if way.modules:
        basics.run(f'modprobe {way.modules}')
    net = Net()
    way.prepare(net)
    found = {}
    for family, protocol in services():
        vip = family.vip if way.to_vip else family.rs1
        for direction, cost in send(family, protocol, vip, options).items():
            found[family, protocol, direction] = cost - generator[family, protocol, direction]
    # two directions, the rounds and one before them
    sent = len(services()) * 2 * (ROUNDS + 1) * options.packets
    slow = way.slow(net, sent)
    if slow is not None:
        print(f'# {way}: {100 * slow:.1f} % of the packets went the slow way')
        basics.check(slow < 0.05, f'{way}: it does not do what its name says')
    net.close()
    return found


def measure_generator(options):
    """{column: instructions of generator, wire and the drop at its end}"""
    net = Net()
    found = {}
    for family, protocol in services():
        for direction, cost in send(family, protocol, family.rs1, options, nobody=True).items():
            found[family, protocol, direction] = cost
    net.close()
    return found


def row(name, cells):
    """A line of Markdown."""
    return f'| {name} | ' + ' | '.join(cells) + ' |'


def header(title):
    """The first two lines of a table."""
    return '\n'.join([row(title, [f'{protocol.upper()}{family.name[1]} {direction}'
                                  for family, protocol, direction in COLUMNS]),
                      '|---' * (len(COLUMNS) + 1) + '|'])


def show_row(name, costs):
    """As it is recorded."""
    print(row(name, [f'{costs[column]:.0f}' for column in COLUMNS]), flush=True)


def show_quotients(costs):
    """Everything as a multiple of stock NAT, above what the wire takes."""
    print('\n' + header('multiples of stock NAT, wire taken off'))
    for name, found in costs.items():
        above = {column: found[column] - costs[WIRE][column] for column in COLUMNS}
        cells = [f'{above[column] / (costs[NAT][column] - costs[WIRE][column]):.2f}'
                 for column in COLUMNS]
        print(row(name, cells))


def check_limits(costs):
    """What must not cost anything. Returns if it does not."""
    good = True
    for name, (base, limit) in LIMITS.items():
        if name not in costs or base not in costs:
            continue
        worst = max(costs[name][column] / costs[base][column] - 1 for column in COLUMNS)
        verdict = 'ok' if worst <= limit else 'not ok'
        good &= worst <= limit
        print(f'{verdict} {name}: at most {100 * worst:+.2f} % ({100 * limit:.0f} % allowed)')
    return good


def recorded(title):
    """{row: [numbers]} of the table of this title in docs/performance.md."""
    with open(DOCS, encoding='utf-8') as file:
        lines = file.read().splitlines()
    rows = {}
    start = next((i for i, line in enumerate(lines) if line.startswith(f'| {title} |')), None)
    for line in lines[start + 2:] if start is not None else []:
        if not line.startswith('|'):
            break
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        rows[cells[0]] = [float(cell) for cell in cells[1:]]
    return rows


def compare(title, costs):
    """With what docs/performance.md has. Returns if it is the same."""
    known = recorded(title)
    if not known:
        print(f'\ndocs/performance.md has no table "{title}"')
        return True
    good = True
    print('\ncompared with docs/performance.md:')
    for name, found in costs.items():
        if name not in known:
            print(f'  {name}: not recorded')
            continue
        changes = [found[column] / old - 1 for column, old in zip(COLUMNS, known[name])]
        worst = max(changes, key=abs)
        good &= abs(worst) <= REPEATABLE
        print(f'  {name}: {100 * min(changes):+.2f} % to {100 * max(changes):+.2f} %')
    return good


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--flows', type=int, default=1)
    parser.add_argument('--packets', type=int, default=2048)
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    # while this machine waits for the host (its disk), its clock runs on to the next timer
    basics.SCALE = 1000
    basics.run(f'modprobe -a {STOCK}')
    title = f'{os.uname().release}, {options.flows} flow' + 's' * (options.flows > 1)
    generator = measure_generator(options)
    print(header(title))
    show_row('generator (taken off)', generator)
    costs = {}
    for way in WAYS + [None]:
        for one in [way] if way else our_ways():
            wanted = options.only in one.name or one.name in (NAT, WIRE)
            if wanted and (options.flows == 1 or one.many):
                costs[one.name] = measure(one, options, generator)
                show_row(one.name, costs[one.name])
    show_quotients(costs)
    good = check_limits(costs)
    return 0 if compare(title, costs) and good else 1


if __name__ == '__main__':
    sys.exit(main())
