#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What toa costs a real server, in instructions: runs in a machine whose clock counts them
(lab/vm-run --icount). Client, LB and real server are namespaces of it; everything but toa is
the same with and without it, so the difference is toa's. Of several rounds the least counts:
what is more is the machine's timer and the like. Exit status 1: data packets cost something.
"""
import ctypes
import gc
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'scenarios'))
# pylint: disable=wrong-import-position
from lib import FAMILIES, Topology, basics

PORT = 8000
ROUNDS = 9
CONNECTIONS, CALLS, PACKETS = 40, 1000, 200
LIBC = ctypes.CDLL(None)
NAME, LENGTH = ctypes.create_string_buffer(28), ctypes.c_uint32(28)
PACKET = 'data packet, and one back'
RESET = b'\1\0\0\0\0\0\0\0'     # struct linger: close() sends an RST, nothing lingers


class Pair:
    """A client and a listener in one thread: nothing is waited for, so no time is idle."""

    def __init__(self, t, family):
        self.t = t
        self.family = family
        self.listener = t.rs1.socket(family.af)
        self.listener.bind((family.rs1, PORT))
        self.listener.listen(64)

    def client(self):
        """The client's end of a connection."""
        client = self.t.client.socket(self.family.af)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.connect((self.family.vip, PORT))
        return client

    def connect(self):
        """Both ends of a connection, accepted; and what accept() said."""
        client = self.client()
        server, name = self.listener.accept()
        return client, server, name

    def connections(self):
        """Open, accept, close. (Python's own accept() would make a text of the name, and a longer
        name is more work.)"""
        for _ in range(CONNECTIONS):
            client = self.client()
            server = LIBC.accept(self.listener.fileno(), NAME, ctypes.byref(LENGTH))
            client.close()
            os.close(server)


def calls(server):
    """Ask for the peer's name."""
    fd, length = server.fileno(), ctypes.byref(LENGTH)
    for _ in range(CALLS):
        LIBC.getpeername(fd, NAME, length)


def packets(client, server):
    """Data packets to the real server, and from there."""
    for _ in range(PACKETS):
        client.send(b'x')
        server.recv(1)
        server.send(b'x')
        client.recv(1)


def least(function, count):
    """Nanoseconds, which are instructions, for one of `count`."""
    durations = []
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        function()
        durations.append(time.perf_counter_ns() - begin)
    return min(durations) / count


def measure(t, family, named):
    """{what: instructions}. `named`: the application is told the client, else the LIP."""
    pair = Pair(t, family)
    pair.connections()      # routes and neighbours are known, caches are filled
    client, server, name = pair.connect()
    own = client.getsockname() if named else (family.lip,)
    basics.equal(name[:1], own[:1], 'the name of the peer')
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found = {'connection, accepted and closed': least(pair.connections, CONNECTIONS),
             'getpeername()': least(lambda: calls(server), CALLS),
             PACKET: least(lambda: packets(client, server), PACKETS)}
    client.close()
    server.close()
    pair.listener.close()
    return found


def main():
    """Measure and print."""
    status = 0
    gc.disable()
    t = Topology('/tmp/bench')
    for family in FAMILIES:
        family.fullnat(t, PORT, toa=False)
    print(f'{"instructions, the test included":38} {"without toa":>12} {"with toa":>10} '
          f'{"toa":>8}')
    for family in FAMILIES:
        without = measure(t, family, False)
        basics.run('modprobe toa')
        with_toa = measure(t, family, True)
        again = measure(t, family, True)
        basics.run('rmmod toa')
        for what, instructions in without.items():
            cost = with_toa[what] - instructions
            print(f'{family} {what:35} {instructions:12.0f} {with_toa[what]:10.0f} {cost:8.0f}'
                  f'   (again: {again[what] - instructions:.0f})', flush=True)
            if what == PACKET and min(cost, again[what] - instructions) > instructions / 100:
                print(f'{what}: more than 1 %')
                status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
