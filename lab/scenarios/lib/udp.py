# SPDX-License-Identifier: GPL-2.0
"""UDP in scenarios: a server that answers a datagram with its bytes in reverse."""
import socket
import threading

from . import basics
from .topology import address_port


class UdpServer:
    """Remembers who has sent each datagram, as (address, port); answers unless `silent`."""

    def __init__(self, namespace, port, family):
        self.peers = []
        self.silent = False
        self.sock = namespace.socket(family.af, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(('::' if family.af == socket.AF_INET6 else '0.0.0.0', port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, peer = self.sock.recvfrom(1 << 16)
                self.peers.append(peer[:2])
                if not self.silent:
                    self.sock.sendto(data[::-1], peer)
            except OSError:     # an ICMP error about an answer
                pass


def udp_socket(host, family, port=0):
    """A client's socket, of its first address; a port of its own or any."""
    sock = host.socket(family.af, socket.SOCK_DGRAM)
    sock.bind((family.client, port))
    sock.settimeout(10)
    return sock


def ask_udp(sock, where, data, again=1):
    """Send, and return the answer, which must come from there. again: how often to send at
    the most, for datagrams that are lost while a path's MTU is being learnt."""
    sock.settimeout(10 * basics.SCALE if again == 1 else 1)
    for left in reversed(range(again)):
        try:
            sock.sendto(data, where)
            answer, peer = sock.recvfrom(1 << 16)
        except (TimeoutError, ConnectionRefusedError):
            if not left:
                raise
            continue
        basics.equal(peer[:2], where, 'who answers')
        return answer
    raise basics.Failure('not reached')


def udp_service(t, family, port, servers=None, lip_ports=None):
    """A FULLNAT service for UDP, as an operator types it."""
    service = family.service(port, protocol='udp')
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -A {service} -s rr --fullnat')
    lip = family.lip if lip_ports is None else address_port(family.lip, '%u-%u' % lip_ports)
    t.lb.run(f'ipvsadm -P {service} -z {lip}')
    for server in servers or family.servers:
        t.lb.run(f'ipvsadm -a {service} -r {address_port(server, port)}')
