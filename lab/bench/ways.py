# SPDX-License-Identifier: GPL-2.0
"""The ways through the load balancer that "make bench" compares, and the machines around it."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'scenarios'))
# pylint: disable=wrong-import-position
from lib import V4, V6, address_port, basics, topology

DIRECTORY = '/tmp/bench'
PORT = 80
LIPS = 1                # of each family; a local address has 64 511 ports
INVENTED = {V4: '198.18.0.0/15', V6: '2001:db8:bad::/48'}
NOBODY = '02:00:00:00:00:01'


def lips(family):
    """The local addresses."""
    return [family.host(100 + i) for i in range(LIPS)]


class Net:
    """client, lb and rs1 with a wire between each two; no bridge. `stacks`: the ends have
    addresses and speak for themselves; else nobody answers."""

    def __init__(self, stacks=False):
        self.processes = []
        self.client = topology.Host('client', DIRECTORY)
        self.lb = topology.Host('lb', DIRECTORY)
        self.rs1 = topology.Host('rs1', DIRECTORY)
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
            if stacks:
                self._stacks(family)
            else:
                self._nobody(family)
        if stacks:
            self._link_local()

    def _addresses(self, family):
        self.lb.batch(['link set lo up',
                       f'addr add {family.lb_outer}/{family.length} dev outer nodad',
                       f'addr add {family.vip}/{family.host_length} dev outer nodad',
                       f'addr add {family.lb_inner}/{family.length} dev inner nodad'] +
                      [f'addr add {lip}/{family.length} dev inner nodad' for lip in lips(family)])

    def _nobody(self, family):
        self.lb.batch([f'route add {INVENTED[family]} via {family.client}',
                       f'neigh add {family.client} lladdr {NOBODY} dev outer nud permanent',
                       f'neigh add {family.rs1} lladdr {NOBODY} dev inner nud permanent'])

    def _stacks(self, family):
        for host, own, gateway in ((self.client, family.client, family.lb_outer),
                                   (self.rs1, family.rs1, family.lb_inner)):
            host.batch(['link set lo up', f'addr add {own}/{family.length} dev eth0 nodad',
                        f'route add default via {gateway}'])

    def _link_local(self):
        """A router asks for neighbours by such an address."""
        self.lb.batch([f'addr add fe80::1/64 dev {device} nodad' for device in ('outer', 'inner')])

    def close(self):
        """For the next one. Its names are free again at once."""
        for process in self.processes:
            self.lb.stop(process)
        for host in (self.client, self.lb, self.rs1):
            basics.run(['ip', 'netns', 'del', host.name])
        shutil.rmtree(DIRECTORY)


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


def pools(net):
    """The local addresses are the namespace's."""
    for lip in lips(V4) + lips(V6):
        net.lb.run(f'ipvsadm -P -z {lip}')


def fullnat(fast=None):
    """Ours; fast: whether the fast path is on."""
    def prepare(net):
        if fast is not None:
            net.lb.sysctl('net.ipv4.vs.fullnat_fast_path', fast)
        if LIPS > 1:
            # so many are not made in the time that a datagram may stay without an answer
            net.lb.sysctl('net.ipv4.vs.fullnat_timeout_udp', 3600)
        pools(net)
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
            pools(net)
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
MASQUERADED, NFT = f'{NAT} + conntrack + masquerade', 'nft DNAT + masquerade'
WAYS = [
    Forward(WIRE, wire),
    Forward(FORWARD, nothing, many=False),
    Way(NAT, ipvs),
    Way(MASQUERADED, conntrack_masquerade, many=False),
    Way(NFT, nft_nat, many=False),
    Way(f'{NFT}, flowtable', flowtable, slow=flowtable_slow, many=False),
    Forward(f'{FORWARD}, our module loaded', nothing, OURS, many=False),
    Way(f'{NAT}, our module loaded', ipvs, OURS, many=False),
    Forward(f'{FORWARD}, beside stock NAT services', beside(nothing, False), many=False),
    Forward(f'{FORWARD}, beside FULLNAT services', beside(nothing, True), OURS, many=False),
    Way(f'{NAT}, beside FULLNAT services', beside(ipvs, True), OURS, many=False),
]
# what costs nothing costs less than these
FREE, FREE_BESIDE = 0.01, 0.03
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
