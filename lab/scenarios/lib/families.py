# SPDX-License-Identifier: GPL-2.0
"""IPv4 and IPv6 for scenarios that hold for both: test_name(t, family) runs once for each
family in FAMILIES, as NAME for IPv4 and as NAME_v6."""
import dataclasses
import socket

from . import topology
from .rawtcp import RawHost


@dataclasses.dataclass(frozen=True)
class Family:
    """The addresses of the topology in one family, and what differs on the wire."""
    name: str
    client: str
    client2: str
    raw_client: str     # for rawtcp: no stack answers for it
    forged: str         # whom a forger names
    vip: str
    lip: str
    rs1: str
    rs2: str
    header: int         # bytes of an IP header
    kinds: tuple        # of TOA, the default first
    toa_length: int

    @property
    def suffix(self):
        """What the names of this family's scenarios end with."""
        return '_v6' if self.name == 'v6' else ''

    @property
    def socket(self):
        """The family of sockets."""
        return socket.AF_INET6 if self.name == 'v6' else socket.AF_INET

    def fullnat(self, t, port=8000, **options):
        """A FULLNAT service over rs1 alone; see Topology.fullnat."""
        return t.fullnat(port, servers=(self.rs1,), lips=(self.lip,), vip=self.vip, **options)

    def few_ports(self, t, first, last, port=8000, **options):
        """The same with these ports of the local address only."""
        service = t.fullnat(port, servers=(self.rs1,), lips=(), vip=self.vip, **options)
        t.add_lip(self.lip)
        t.lb.run(f'ipvsadm -P {service} -z {self.with_ports(first, last)}')
        return service

    def with_ports(self, first, last):
        """The local address with a range of ports, as ipvsadm wants it."""
        return (f'[{self.lip}]' if self.name == 'v6' else self.lip) + f':{first}-{last}'

    def raw(self, t):
        """A client without a stack."""
        return RawHost(t.client, 'eth0', self.raw_client, t.lb, 'outer')


V4 = Family('v4', topology.CLIENT, topology.CLIENT2, '198.51.100.77', '66.77.88.99',
            topology.VIP, topology.LIP, topology.RS1, topology.RS2, 20, (200, 254), 8)
V6 = Family('v6', topology.CLIENT_V6, topology.CLIENT2_V6, '2001:db8:c::77', '66:77::88:99',
            topology.VIP_V6, topology.LIP_V6, topology.RS1_V6, topology.RS2_V6, 40, (253, 254),
            20)

FAMILIES = (V4,)        # those that FULLNAT forwards
