# SPDX-License-Identifier: GPL-2.0
"""Two load balancers beside each other, and the addresses that only one of them has:

    client ───outer───┬─── lb  ───┬───inner─── rs1, rs2       own: .253 and 10.0.0.253
                      └─── lb2 ───┘                           own: .252 and 10.0.0.252

Whoever is active has the client's gateway, the VIPs and the LIPs. Each has the sync daemon in
both roles, as an operator would start it, and the same rules."""
import socket
import struct

import pcap

from . import basics
from .observe import drops, laddr
from .rawtcp import device_mac
from .topology import FAMILIES, V4, Host, address_port

SYSCTLS = {'sync_version': 1, 'sync_threshold': '3 0', 'sync_refresh_period': 10,
           'sync_retries': 1}
BROADCAST = b'\xff' * 6
ALL_NODES_MAC, ALL_NODES = b'\x33\x33\0\0\0\1', socket.inet_pton(socket.AF_INET6, 'ff02::1')
ND_OVERRIDE = 0x20000000


def gratuitous_arp(mac, address):
    """The frame that tells an IPv4 neighbourhood who has the address now."""
    ip = socket.inet_aton(address)
    return (BROADCAST + mac + struct.pack('!HHHBBH', 0x0806, 1, 0x0800, 6, 4, 1)
            + mac + ip + BROADCAST + ip)


def unsolicited_advertisement(mac, address):
    """The same for IPv6."""
    ip = socket.inet_pton(socket.AF_INET6, address)
    body = struct.pack('!BBHI', 136, 0, 0, ND_OVERRIDE) + ip + b'\2\1' + mac
    pseudo = ip + ALL_NODES + struct.pack('!II', len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack('!H', pcap.checksum(pseudo + body)) + body[4:]
    return (ALL_NODES_MAC + mac + b'\x86\xdd'
            + struct.pack('!IHBB', 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255)
            + ip + ALL_NODES + body)


def start_daemons(host, interface, **sysctls):
    """The sync daemon, in both roles."""
    host.run('ipvsadm -Ln')         # loads ip_vs, which has the sysctls
    for name, value in {**SYSCTLS, **sysctls}.items():
        host.sysctl(f'net.ipv4.vs.{name}', value)
    for role in ('master', 'backup'):
        host.run(f'ipvsadm --start-daemon {role} --mcast-interface {interface} --syncid 7')


class Node:
    """One of the two machines. `number` is the last one of its own addresses."""

    def __init__(self, host, number):
        self.host = host
        self.number = number
        self.was_off = False
        self.power_on()

    @staticmethod
    def floating():
        """(device, address, prefix) of what the active one has."""
        for family in FAMILIES:
            yield 'outer', family.lb_outer, family.length
            yield 'outer', family.vip, family.host_length
            yield 'inner', family.lip, family.length

    def power_on(self):
        """Up, with its own addresses."""
        self.host.batch(['link set lo up', 'link set outer up', 'link set inner up'])
        for family in FAMILIES:
            outer = family.lb_outer.removesuffix('254') + str(self.number)
            self.host.batch([
                f'addr replace {outer}/{family.length} dev outer nodad',
                f'addr replace {family.host(self.number)}/{family.length} dev inner nodad'])

    def power_off(self):
        """Nothing comes, nothing goes."""
        self.was_off = True
        self.host.batch(['link set outer down', 'link set inner down'])

    def take(self):
        """Become the active one, and tell the neighbours."""
        self.host.batch([f'addr replace {address}/{length} dev {device} nodad preferred_lft 0'
                         for device, address, length in self.floating()])
        for device in ('outer', 'inner'):
            mac = device_mac(self.host, device)
            with self.host, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind((device, 0))
                for where, address, _ in self.floating():
                    if where == device:
                        frame = unsolicited_advertisement if ':' in address else gratuitous_arp
                        sock.send(frame(mac, address))

    def drop(self):
        """Be the active one no longer."""
        lines = [f'addr del {address}/{length} dev {device}\n'
                 for device, address, length in self.floating()]
        basics.run(['ip', '-n', self.host.name, '-force', '-batch', '-'], stdin=''.join(lines),
                   check=False)

    def stat(self, name):
        """One of FULLNAT's counters."""
        return self.host.fullnat_stats()[name]

    def drops(self):
        """What it dropped, without the packets that were inside when its links went."""
        found = drops(self.host)
        if self.was_off:
            found.pop('drop_no_route', None)
        return found

    def held(self, family):
        """Ports of the LIP that are held here."""
        return laddr(self.host, family.lip)['conns']


class Cluster:
    """The second LB beside that of a topology, which is the active one at first."""

    def __init__(self, t):
        self.t = t
        t.client.batch(['link del eth0'])
        lb2 = Host('lb2', t.directory)
        t.add_bridge('outer')
        t.plug(t.client, 'eth0', 'outer')
        for host in (t.lb, lb2):
            t.plug(host, 'outer', 'outer')
        t.plug(lb2, 'inner')
        t.client_addresses()
        t.lb.run('ip addr flush dev inner')
        self.first, self.second = Node(t.lb, 253), Node(lb2, 252)
        self.nodes = (self.first, self.second)
        self.first.take()

    def start_daemons(self, **sysctls):
        """On both nodes."""
        for node in self.nodes:
            start_daemons(node.host, 'inner', **sysctls)

    def fullnat(self, port=8000, *, family=V4, ports='', **options):
        """The same FULLNAT service on both, with the floating LIP, which is declared also where
        it is not local."""
        lip = address_port(family.lip, ports) if ports else family.lip
        for node in self.nodes:
            self.t.lb = node.host
            service = self.t.fullnat(port, family=family, lips=(), **options)
            node.host.run(f'ipvsadm -P {service} -z {lip}')
        self.t.lb = self.first.host
        return service

    def synced(self, count):
        """Wait until the second one has so many connections of the first."""
        basics.until(lambda: self.second.stat('sync_accepted') >= count, 30,
                     f'{count} connections are known')
        basics.equal(self.second.stat('sync_accepted'), count, 'sync_accepted')

    def fail_over(self):
        """The first one loses its power, the second one takes over."""
        self.first.power_off()
        self.second.take()

    def recover(self):
        """The first one is back, and does not take over."""
        self.first.drop()
        self.first.power_on()

    @staticmethod
    def switch(source, target):
        """As planned: one gives up, the other takes."""
        source.drop()
        target.take()
