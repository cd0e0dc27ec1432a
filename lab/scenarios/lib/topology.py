# SPDX-License-Identifier: GPL-2.0
"""The network of the scenarios, fresh for each test:

    client ───outer─── lb ───inner───┬─── rs1
    198.51.100.1, .2   .254          │    10.0.0.11
    2001:db8:c::1, ::2 ::254         └─── rs2
                       VIP 203.0.113.80   10.0.0.12
                       2001:db8:f::80     fd00::11, fd00::12
                       inner 10.0.0.254, LIPs 10.0.0.100 and up, fd00::254, fd00::100

Every machine's interface is eth0; the LB's are outer and inner. The client's
default route is the LB. The real servers have no route to the client: an answer
can come back only by a local address of the LB.
"""
import dataclasses
import os
import socket

from . import basics
from .capture import Capture
from .namespace import Namespace
from .rawtcp import RawHost
from .servers import Nginx, PeerServer

CLIENT, CLIENT2, LB_OUTER = '198.51.100.1', '198.51.100.2', '198.51.100.254'
CLIENT_V6, CLIENT2_V6, LB_OUTER_V6 = '2001:db8:c::1', '2001:db8:c::2', '2001:db8:c::254'
VIP, VIP_V6 = '203.0.113.80', '2001:db8:f::80'
LB_INNER, LIP, LIP2 = '10.0.0.254', '10.0.0.100', '10.0.0.101'
LB_INNER_V6, LIP_V6 = 'fd00::254', 'fd00::100'
RS1, RS2 = '10.0.0.11', '10.0.0.12'
RS1_V6, RS2_V6 = 'fd00::11', 'fd00::12'



@dataclasses.dataclass(frozen=True)
class Family:
    """The same roles, in the addresses of one family, and what differs on the wire. A scenario
    test_...(t, family) runs for each of FAMILIES, as NAME_v4 and NAME_v6."""
    name: str
    af: int
    client: str
    client2: str
    raw_client: str     # for rawtcp: no stack answers for it
    forged: str         # whom a forger names
    lb_outer: str
    vip: str
    inner: str          # the network of LIPs and real servers, without the host
    length: int         # of the subnets' prefixes
    host_length: int    # of a single address
    header: int         # bytes of an IP header
    kinds: tuple        # of TOA, the default first
    toa_length: int

    def __str__(self):
        return self.name

    def host(self, number, network=0):
        """An address of the inner network; or of another one, 1 to 9, beside it."""
        return self.inner.format(network) + str(number)

    lip = property(lambda self: self.host(100))
    lip2 = property(lambda self: self.host(101))
    lb_inner = property(lambda self: self.host(254))
    rs1 = property(lambda self: self.host(11))
    rs2 = property(lambda self: self.host(12))
    servers = property(lambda self: (self.rs1, self.rs2))
    nft = property(lambda self: 'ip' if self is V4 else 'ip6')

    def service(self, port, vip=None, protocol='tcp'):
        """VIP:port in the words of ipvsadm."""
        return f'-{protocol[0]} {address_port(vip or self.vip, port)}'

    def fwmark(self, mark):
        """The service of a mark in the words of ipvsadm."""
        return f'-f {mark}' + (' -6' if self is V6 else '')

    def fullnat(self, t, port=8000, **options):
        """A FULLNAT service over rs1 alone; see Topology.fullnat."""
        options.setdefault('servers', (self.rs1,))
        return t.fullnat(port, family=self, **options)

    def few_ports(self, t, first, last, port=8000, **options):
        """The same with these ports of the local address only."""
        service = self.fullnat(t, port, lips=(), **options)
        t.add_lip(self.lip)
        t.lb.run(f'ipvsadm -P {service} -z {self.with_ports(first, last)}')
        return service

    def with_ports(self, first, last):
        """The local address with a range of ports, as ipvsadm wants it."""
        return address_port(self.lip, f'{first}-{last}')

    def raw(self, t):
        """A client without a stack."""
        return RawHost(t.client, 'eth0', self.raw_client, t.lb, 'outer')


V4 = Family('v4', socket.AF_INET, CLIENT, CLIENT2, '198.51.100.77', '66.77.88.99', LB_OUTER, VIP,
            '10.{}.0.', 24, 32, 20, (200, 254), 8)
V6 = Family('v6', socket.AF_INET6, CLIENT_V6, CLIENT2_V6, '2001:db8:c::77', '66:77::88:99',
            LB_OUTER_V6, VIP_V6, 'fd0{}::', 64, 128, 40, (253, 254), 20)
HAS_IPV6 = os.path.exists('/proc/net/if_inet6')     # not after a boot with ipv6.disable=1
FAMILIES = (V4, V6) if HAS_IPV6 else (V4,)


def address_port(address, port):
    """ADDRESS:PORT, or [ADDRESS]:PORT."""
    return f'[{address}]:{port}' if ':' in address else f'{address}:{port}'


QUIET = {'net.ipv6.conf.all.accept_dad': 0, 'net.ipv6.conf.default.accept_dad': 0,
         'net.ipv6.conf.default.router_solicitations': 0}


class Host(Namespace):
    """A machine of the topology: a namespace with servers."""

    def __init__(self, name, directory):
        super().__init__(name, directory)
        for key, value in QUIET.items():
            if HAS_IPV6:
                self.sysctl(key, value)

    def addresses(self, lines):
        """A batch; where IPv6 is switched off, without the lines that have addresses of it."""
        self.batch([line for line in lines if HAS_IPV6 or ':' not in line])

    def forward(self):
        """Be a router."""
        self.sysctl('net.ipv4.ip_forward', 1)
        if HAS_IPV6:
            self.sysctl('net.ipv6.conf.all.forwarding', 1)

    def nginx(self, ports=(80,), extra='', **options):
        """Start an nginx; see servers.Nginx."""
        return Nginx(self, ports, extra, **options)

    def peer_server(self, port=8000, **options):
        """Start a server that tells who the client is; see servers.PeerServer."""
        return PeerServer(self, port, **options)

    def capture(self, device='eth0', **options):
        """Start a capture; see capture.Capture."""
        return Capture(self, device, **options)


class Topology:
    """client, lb, rs1 and rs2, connected. A second one needs a suffix to its names; it has
    the same addresses, and no connection with the first."""

    def __init__(self, directory, suffix=''):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.client = Host('client' + suffix, directory)
        self.lb = Host('lb' + suffix, directory)
        self.rs1 = Host('rs1' + suffix, directory)
        self.rs2 = Host('rs2' + suffix, directory)
        self.switch = Host('switch' + suffix, directory)
        self.hosts = (self.client, self.lb, self.rs1, self.rs2)
        self.servers = (self.rs1, self.rs2)
        self._wire()
        self._addresses()

    def _wire(self):
        self.switch.batch([*self._bridge('inner'), *self._plug(self.lb, 'inner', 'inner'),
                           *self._plug(self.rs1, 'eth0', 'inner'),
                           *self._plug(self.rs2, 'eth0', 'inner')])

    @staticmethod
    def _bridge(name):
        return [f'link add {name} type bridge forward_delay 0', f'link set {name} up']

    @staticmethod
    def _plug(host, device, bridge):
        port = f'{host}-{bridge}'[:15]
        return [f'link add {port} type veth peer name {device} netns {host}',
                f'link set {port} master {bridge} up']

    def add_bridge(self, name):
        """One more network for machines to be plugged in."""
        self.switch.batch(self._bridge(name))

    def plug(self, host, device='eth0', bridge='inner'):
        """Connect a new interface of a machine to a bridge of the switch."""
        self.switch.batch(self._plug(host, device, bridge))

    def client_addresses(self):
        """Of a client whose interface is new."""
        self.client.addresses([
            'link set lo up', 'link set eth0 up',
            f'addr add {CLIENT}/24 dev eth0', f'addr add {CLIENT2}/24 dev eth0',
            # of two IPv6 addresses alike the kernel prefers the one that came last
            f'addr add {CLIENT2_V6}/64 dev eth0 nodad',
            f'addr add {CLIENT_V6}/64 dev eth0 nodad',
            f'route add default via {LB_OUTER}', f'route add default via {LB_OUTER_V6}'])

    def _addresses(self):
        self.lb.addresses([
            f'link add outer type veth peer name eth0 netns {self.client}',
            'link set lo up', 'link set outer up', 'link set inner up',
            f'addr add {LB_OUTER}/24 dev outer', f'addr add {VIP}/32 dev outer',
            f'addr add {LB_OUTER_V6}/64 dev outer nodad', f'addr add {VIP_V6}/128 dev outer nodad',
            f'addr add {LB_INNER}/24 dev inner', f'addr add {LB_INNER_V6}/64 dev inner nodad'])
        self.client_addresses()
        for host, v4, v6 in ((self.rs1, RS1, RS1_V6), (self.rs2, RS2, RS2_V6)):
            host.addresses(['link set lo up', 'link set eth0 up', f'addr add {v4}/24 dev eth0',
                            f'addr add {v6}/64 dev eth0 nodad'])

    def move_servers(self, family, bridge, router):
        """Give the real servers a bridge and a network, number 1, of their own, from where
        they reach the inner network by a router. Returns their addresses."""
        addresses = [family.host(number, 1) for number in (11, 12)]
        for server, address in zip(self.servers, addresses):
            self.switch.batch([f'link set {server}-inner master {bridge}'])
            server.batch(['addr flush dev eth0',
                          f'addr add {address}/{family.length} dev eth0 nodad',
                          f'route add {family.host(0)}/{family.length} via {router}'])
        return addresses

    def add_router(self, name, family, number, bridge):
        """A router from host `number` of the inner network to the same host of network 1."""
        router = Host(name, self.directory)
        self.plug(router)
        self.plug(router, bridge, bridge)
        router.batch(['link set eth0 up', f'link set {bridge} up',
                      f'addr add {family.host(number)}/{family.length} dev eth0 nodad',
                      f'addr add {family.host(number, 1)}/{family.length} dev {bridge} nodad'])
        router.forward()
        return router

    def route_by_lb(self, family=V4):
        """What plain NAT needs: the real servers answer by the LB, which is a router."""
        self.lb.forward()
        for server in self.servers:
            server.run(f'ip route add default via {family.lb_inner}')

    def add_lip(self, address=LIP):
        """Give the LB a local address on its inner interface: one that the LB itself does not
        talk from. A second IPv4 address of a subnet is never chosen, an IPv6 one may be."""
        if ':' in address:
            self.lb.run(f'ip addr add {address}/64 dev inner nodad preferred_lft 0')
        else:
            self.lb.run(f'ip addr add {address}/24 dev inner')

    def fullnat(self, port=80, *, family=V4, servers=None, lips=None, scheduler='rr', vip=None,
                service=None, weights=(), service_options='', lip_options='', toa=True,
                lip_ports='', server_port=None):
        """Make VIP:port a FULLNAT service over the real servers, as an operator
        does: local addresses, service, pool, destinations; and toa.
        service: another name of it than -t VIP:port; lips: what is local already, and
        prefixes, are not added to an interface; lip_ports: "FIRST-LAST"."""
        if toa:
            basics.run('modprobe toa')
        service = service or family.service(port, vip)
        self.lb.run(f'ipvsadm -A {service} -s {scheduler} --fullnat {service_options}')
        present = self.lb.run('ip -o addr show').out
        for lip in (family.lip,) if lips is None else lips:
            if f' {lip}/' not in present and '/' not in lip:
                self.add_lip(lip)
            ported = address_port(lip, lip_ports) if lip_ports else lip
            self.lb.run(f'ipvsadm -P {service} -z {ported} {lip_options}')
        servers = servers or family.servers
        for server, weight in zip(servers, weights or [1] * len(servers)):
            target = address_port(server, server_port or port)
            self.lb.run(f'ipvsadm -a {service} -r {target} -w {weight}')
        return service
