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
import os

from . import basics
from .capture import Capture
from .namespace import Namespace
from .servers import Nginx, PeerServer

CLIENT, CLIENT2, LB_OUTER = '198.51.100.1', '198.51.100.2', '198.51.100.254'
CLIENT_V6, CLIENT2_V6, LB_OUTER_V6 = '2001:db8:c::1', '2001:db8:c::2', '2001:db8:c::254'
VIP, VIP_V6 = '203.0.113.80', '2001:db8:f::80'
LB_INNER, LIP, LIP2 = '10.0.0.254', '10.0.0.100', '10.0.0.101'
LB_INNER_V6, LIP_V6 = 'fd00::254', 'fd00::100'
RS1, RS2 = '10.0.0.11', '10.0.0.12'
RS1_V6, RS2_V6 = 'fd00::11', 'fd00::12'

QUIET = {'net.ipv6.conf.all.accept_dad': 0, 'net.ipv6.conf.default.accept_dad': 0,
         'net.ipv6.conf.default.router_solicitations': 0}


class Host(Namespace):
    """A machine of the topology: a namespace with servers."""

    def __init__(self, name, directory):
        super().__init__(name, directory)
        for key, value in QUIET.items():
            self.sysctl(key, value)

    def nginx(self, ports=(80,), extra=''):
        """Start an nginx; see servers.Nginx."""
        return Nginx(self, ports, extra)

    def peer_server(self, port=8000, **options):
        """Start a server that tells who the client is; see servers.PeerServer."""
        return PeerServer(self, port, **options)

    def capture(self, device='eth0', expression='ip or ip6', **options):
        """Start a capture; see capture.Capture."""
        return Capture(self, device, expression, **options)


class Topology:
    """client, lb, rs1 and rs2, connected."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.client = Host('client', directory)
        self.lb = Host('lb', directory)
        self.rs1 = Host('rs1', directory)
        self.rs2 = Host('rs2', directory)
        self.switch = Host('switch', directory)
        self.hosts = (self.client, self.lb, self.rs1, self.rs2)
        self.servers = (self.rs1, self.rs2)
        self._wire()
        self._addresses()

    def _wire(self):
        self.switch.batch([
            'link add inner type bridge forward_delay 0',
            'link set inner up',
            'link add lb type veth peer name inner netns lb',
            'link add rs1 type veth peer name eth0 netns rs1',
            'link add rs2 type veth peer name eth0 netns rs2',
            *(f'link set {port} master inner up' for port in ('lb', 'rs1', 'rs2'))])
        self.lb.batch(['link add outer type veth peer name eth0 netns client'])

    def _addresses(self):
        self.client.batch([
            'link set lo up', 'link set eth0 up',
            f'addr add {CLIENT}/24 dev eth0', f'addr add {CLIENT2}/24 dev eth0',
            # of two IPv6 addresses alike the kernel prefers the one that came last
            f'addr add {CLIENT2_V6}/64 dev eth0 nodad',
            f'addr add {CLIENT_V6}/64 dev eth0 nodad',
            f'route add default via {LB_OUTER}', f'route add default via {LB_OUTER_V6}'])
        self.lb.batch([
            'link set lo up', 'link set outer up', 'link set inner up',
            f'addr add {LB_OUTER}/24 dev outer', f'addr add {VIP}/32 dev outer',
            f'addr add {LB_OUTER_V6}/64 dev outer nodad', f'addr add {VIP_V6}/128 dev outer nodad',
            f'addr add {LB_INNER}/24 dev inner', f'addr add {LB_INNER_V6}/64 dev inner nodad'])
        for host, v4, v6 in ((self.rs1, RS1, RS1_V6), (self.rs2, RS2, RS2_V6)):
            host.batch(['link set lo up', 'link set eth0 up', f'addr add {v4}/24 dev eth0',
                        f'addr add {v6}/64 dev eth0 nodad'])

    def add_lip(self, address=LIP):
        """Give the LB a local address on its inner interface."""
        length = 64 if ':' in address else 24
        self.lb.run(f'ip addr add {address}/{length} dev inner'
                    + (' nodad' if ':' in address else ''))

    def fullnat(self, port=80, *, servers=None, lips=(LIP,), scheduler='rr', vip=VIP,
                service_options='', lip_options='', toa=True):
        """Make VIP:port a FULLNAT service over the real servers, as an operator
        does: local addresses, service, pool, destinations; and toa."""
        if toa:
            basics.run('modprobe toa')
        service = f'-t {vip}:{port}'
        self.lb.run(f'ipvsadm -A {service} -s {scheduler} --fullnat {service_options}')
        present = self.lb.run('ip -o addr show dev inner').out
        for lip in lips:
            if f' {lip}/' not in present:
                self.add_lip(lip)
            self.lb.run(f'ipvsadm -P {service} -z {lip} {lip_options}')
        for server in servers or (RS1, RS2):
            self.lb.run(f'ipvsadm -a {service} -r {server}:{port}')
        return service
