# SPDX-License-Identifier: GPL-2.0
"""Conversations through the chain, and what its members must tell about them in
the end."""
import dataclasses
import hashlib
import socket

from . import basics, observe
from .namespace import Namespace
from .servers import digest_of_rest, greeting
from .topology import V4


def greeted(sock):
    """Read what peer_server says first; check that it names us. Returns own name."""
    own = sock.getsockname()[:2]
    line = greeting(own)
    basics.equal(basics.read_until(sock, len(line)), line, 'greeting')
    return own


def echo(sock, data=b'still here'):
    """Send, and wait until it comes back."""
    sock.sendall(data)
    basics.check(basics.read_until(sock, len(data)) == data, 'the echo differs')


def reset(sock):
    """End the connection by an RST: no end of it keeps a TIME_WAIT."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    sock.close()


def exchange(blob):
    """A server that reads to the FIN, answers with the sha256, and sends this."""
    def serve(sock, _):
        sock.sendall(digest_of_rest(sock).digest())
        sock.sendall(blob)
    return serve


def both_ways(t, family, blob, what):
    """The client sends the data and gets them back; nothing changes on the way."""
    wanted, got = hashlib.sha256(blob).digest(), hashlib.sha256()
    with t.client.connect(family.vip, 8000, timeout=60) as sock:
        sock.sendall(blob)
        sock.shutdown(socket.SHUT_WR)
        data = basics.read_until(sock, 32)
        basics.equal(data[:32], wanted, f'{what}: sha256 of the upload')
        data, size = data[32:], 0
        while data or size < len(blob):
            got.update(data)
            size += len(data)
            data = sock.recv(1 << 18)
            basics.check(data or size == len(blob), f'{what}: ended after {size} bytes')
    basics.equal((size, got.digest()), (len(blob), wanted),
                 f'{what}: size and sha256 of the download')


@dataclasses.dataclass
class Visit:
    """A connection and the real server that has it."""
    own: tuple
    server: Namespace
    sock: socket.socket


class Chain:
    """Servers and captures on both real servers, and the clients of the scenario. What the
    servers' applications were told is checked against who has asked."""

    def __init__(self, t, *ports, family=V4, capture=True, **server_options):
        self.t = t
        self.asked = []         # (own address and port, server's port)
        self.listening = {host: [host.peer_server(port, family=family.af, **server_options)
                                 for port in ports] for host in t.servers}
        self.captures = [host.capture() for host in t.servers] if capture else []

    def seen(self, host):
        """What the applications of a real server saw."""
        return [seen for server in self.listening[host] for seen in server.seen]

    def connections(self):
        """How many each real server has accepted."""
        return [len(self.seen(host)) for host in self.t.servers]

    def open(self, address, port, client=None, **options):
        """A connection that the server has greeted by the name of its client."""
        before = self.connections()
        sock = (client or self.t.client).connect(address, port, **options)
        own = greeted(sock)
        self.asked.append((own, port))
        more = [host for host, old, new in zip(self.t.servers, before, self.connections())
                if new > old]
        basics.equal(len(more), 1, 'real servers that have one more connection')
        return Visit(own, more[0], sock)

    def ask(self, address, port, payload=b'x', **options):
        """A whole connection, closed by the client first; returns the server that had it."""
        visit = self.open(address, port, **options)
        with visit.sock as sock:
            echo(sock, payload)
            sock.shutdown(socket.SHUT_WR)
            basics.equal(sock.recv(1), b'', 'after the FIN')
        return visit.server

    def visits(self, address, ports, count=1, **options):
        """Ask so often; how many of them each real server had."""
        before = self.connections()
        for _ in range(count):
            for port in ports:
                self.ask(address, port, **options)
        return [new - old for new, old in zip(self.connections(), before)]

    def check_clients(self, drops=None):
        """Every application was told who asked, twice alike, at the port that was asked; no
        connection went without TOA, and nothing was dropped but `drops`."""
        seen = [seen for host in self.t.servers for seen in self.seen(host)]
        basics.equal(sorted((one.peername, one.local[1]) for one in seen), sorted(self.asked),
                     'clients and ports')
        basics.equal([one.accepted for one in seen], [one.peername for one in seen],
                     'what accept() told')
        basics.equal(observe.drops(self.t.lb), drops or {}, 'drops')
        basics.equal(self.t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')

    def check(self, drops=None):
        """And the captures agree, if each connection had a local port of its own. Returns the
        captured packets of each real server."""
        self.check_clients(drops)
        return observe.check_counters(self.t, len(self.asked), self.captures, drops)
