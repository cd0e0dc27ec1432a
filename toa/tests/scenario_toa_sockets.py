#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Ways to accept, and what else can be done to a socket: the client stays named."""
import contextlib
import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import sys

from harness import (CLIENT4, CLIENT6, IPPROTO_MPTCP, LAYOUTS, LIBC, SO_NAT64_PEER, SRV4, TCP_ULP,
                     Failed, Peer, Skipped, accepted, case, check_names, check_without_module,
                     counters, entries, expect, listen, load, main, port_of, rows, run, toa, told,
                     unload, wait_for)

# include/uapi/linux/io_uring.h
IO_URING_SETUP, IO_URING_ENTER = 425, 426
SQ_RING, CQ_RING, SQES = 0, 0x8000000, 0x10000000
SETUP_SQPOLL = 2
ENTER_GETEVENTS, ENTER_SQ_WAKEUP = 1, 2
OP_ACCEPT, SQE_ASYNC = 13, 1 << 4

# include/uapi/linux/bpf.h
BPF = 321
BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_MAP_TYPE_SOCKMAP = 0, 2, 15

IPV6_ADDRFORM = 1
TLS_TX, TLS_RX, SOL_TLS = 1, 2, 282

ROWS = rows(50101)

# "hello" of TLS 1.2 by AES-128-GCM, the first record of keys that are all zero
KEYS = struct.pack('HH', 0x303, 51) + bytes(36)
RECORD = bytes.fromhex('170303001d00000000000000006bedb6a20f2ca39ab72e30658e9cdf3e89569c5013')


def syscall(what, *arguments):
    """A system call that libc has no name for."""
    result = LIBC.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def parsed(address):
    """(address, port) of a sockaddr."""
    family, = struct.unpack('=H', address[:2])
    port, = struct.unpack('!H', address[2:4])
    where = address[4:8] if family == socket.AF_INET else address[8:24]
    return socket.inet_ntop(family, where), port


class Ring:
    """An io_uring with room for one request."""

    def __init__(self, flags=0):
        self.flags = flags
        params = (ctypes.c_uint32 * 30)(0, 0, flags)
        self.fd = syscall('io_uring_setup', IO_URING_SETUP, 1, ctypes.byref(params))
        self.sq_tail, self.sq_array = params[11], params[16]
        self.cq_head, self.cq_tail, self.cqes = params[20], params[21], params[25]
        self.sq = mmap.mmap(self.fd, 4096, offset=SQ_RING)
        self.cq = mmap.mmap(self.fd, 4096, offset=CQ_RING)
        self.sqes = mmap.mmap(self.fd, 4096, offset=SQES)
        self.address = ctypes.create_string_buffer(28)
        self.length = ctypes.c_uint32(28)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def accept(self, listener, sqe_flags):
        """Begin to accept."""
        struct.pack_into('=BBHiQQIIQ', self.sqes, 0, OP_ACCEPT, sqe_flags, 0, listener.fileno(),
                         ctypes.addressof(self.length), ctypes.addressof(self.address), 0, 0, 0)
        struct.pack_into('=I', self.sq, self.sq_array, 0)
        struct.pack_into('=I', self.sq, self.sq_tail, 1)
        self.enter(1, 0)

    def accepted(self):
        """Wait for it. The socket, and its peer's name."""
        self.enter(0, 1)
        expect('completions', struct.unpack_from('=I', self.cq, self.cq_tail)[0], 1)
        _, result = struct.unpack_from('=Qi', self.cq, self.cqes)
        if result < 0:
            raise OSError(-result, f'accept: {os.strerror(-result)}')
        return socket.socket(fileno=result), parsed(self.address.raw)

    def enter(self, submit, wait):
        """io_uring_enter()."""
        flags = ENTER_SQ_WAKEUP if self.flags & SETUP_SQPOLL else 0
        syscall('io_uring_enter', IO_URING_ENTER, self.fd, submit, wait,
                flags | (ENTER_GETEVENTS if wait else 0), None, 0)


@case
def io_uring(wire):
    """io_uring accepts: at once, when the connection comes, in a worker, in a polling thread."""
    modes = [(0, 0), (0, SQE_ASYNC), (SETUP_SQPOLL, 0)]
    for setup, sqe_flags in modes:
        for waits in (False, True):
            for family, dst, option, want in ROWS:
                with listen(family) as server, Ring(setup) as ring:
                    peer = Peer(wire, dst, port_of(server))
                    if waits:
                        ring.accept(server, sqe_flags)
                        peer.connect(option)
                    else:
                        peer.connect(option)
                        ring.accept(server, sqe_flags)
                    conn, name = ring.accepted()
                    with conn:
                        check_names(conn, name, want)
                    peer.reset()
    number = 2 * len(modes) * len(ROWS)
    expect('counters', counters(), {'stored': number, 'answered': 3 * number})


@case
def plain_accept(wire):
    """accept(), which Python does not use, with and without room for the name."""
    for family, dst, option, want in ROWS:
        with listen(family) as server:
            for room in (28, 4, 0):
                peer = Peer(wire, dst, port_of(server)).connect(option)
                address, length = ctypes.create_string_buffer(28), ctypes.c_uint32(room)
                where = (ctypes.byref(address), ctypes.byref(length)) if room else (None, None)
                select.select([server], [], [], 10)     # accept() of this socket does not wait
                fd = LIBC.accept(server.fileno(), *where)
                with socket.socket(fileno=fd) as conn:
                    if room == 28:
                        expect('accept()', parsed(address.raw), want)
                    expect('getpeername()', conn.getpeername()[:2], want)
                peer.reset()


def accept_all(server):
    """(socket, name) of each connection that waits there."""
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield server.accept()


@case
def reuseport(wire):
    """Listeners that share a port: each connection has its own client, whoever accepts it."""
    share = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]
    for family, dst, kind, client in LAYOUTS:
        first = listen(family, options=share)
        servers = [first] + [listen(family, options=share, port=port_of(first)) for _ in range(3)]
        peers = {}
        for port in range(51000, 51020):
            peer = Peer(wire, dst, port_of(first)).connect(toa(kind, client, port))
            peers[(told(family, client), port)] = peer
        wait_for('all connections', lambda: entries() == len(peers))
        took = []
        for server in servers:
            took.append(0)
            for conn, name in accept_all(server):
                took[-1] += 1
                if name[:2] not in peers:
                    raise Failed(f'accept() names {name}')
                check_names(conn, name, name[:2])
                peers.pop(name[:2]).reset()
                conn.close()
            server.close()
        expect('connections that nobody accepted', list(peers), [])
        wait_for('table drained', lambda: not entries())
        if sum(map(bool, took)) < 2:
            raise Failed(f'accepted by each listener: {took}')


@case
def addrform(wire):
    """IPV6_ADDRFORM makes an IPv4 socket of an IPv6 one that is connected by IPv4."""
    with listen(socket.AF_INET6) as server:
        for option, want in ((toa(200, CLIENT4, 50105), (CLIENT4, 50105)),
                             (toa(254, CLIENT6, 50106), None)):
            peer = Peer(wire, SRV4, port_of(server)).connect(option)
            with accepted(server, peer) as (conn, _):
                conn.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDRFORM, socket.AF_INET)
                with socket.socket(fileno=os.dup(conn.fileno())) as now:
                    expect('family', now.family, socket.AF_INET)
                    name = now.getpeername()
                    check_names(now, name, want or (peer.src, peer.sport))
                    expect('getsockname()', now.getsockname(), (SRV4, port_of(server)))
                    if not want:
                        answer = now.getsockopt(socket.IPPROTO_IP, SO_NAT64_PEER, 20)
                        expect('NAT64 client', (socket.inet_ntop(socket.AF_INET6, answer[:16]),
                                                *struct.unpack('!H', answer[16:18])),
                               (CLIENT6, 50106))
    wait_for('table drained', lambda: not entries())


def sockmap():
    """A BPF map of one socket."""
    attributes = struct.pack('=IIIII', BPF_MAP_TYPE_SOCKMAP, 4, 4, 1, 0).ljust(128, b'\0')
    try:
        return syscall('bpf', BPF, BPF_MAP_CREATE, attributes, len(attributes))
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Skipped('this kernel has no sockmap') from error
        raise


def put(bpf_map, sock):
    """The socket becomes the map's only one."""
    key, value = ctypes.c_uint32(0), ctypes.c_uint32(sock.fileno())
    attributes = struct.pack('=IIQQQ', bpf_map, 0, ctypes.addressof(key),
                             ctypes.addressof(value), 0).ljust(128, b'\0')
    syscall('bpf', BPF, BPF_MAP_UPDATE_ELEM, attributes, len(attributes))


@case
def in_a_sockmap(wire):
    """A sockmap replaces a socket's operations: names stay, the entry goes with the socket, and
    the module can leave before it."""
    for leave in (False, True):
        for family, dst, option, want in ROWS:
            bpf_map = sockmap()
            with listen(family) as server:
                peer = Peer(wire, dst, port_of(server)).connect(option)
                with accepted(server, peer) as (conn, name):
                    put(bpf_map, conn)
                    check_names(conn, name, want)
                    if leave:
                        check_without_module(conn, peer)
            os.close(bpf_map)
            wait_for('table drained', lambda: not entries())


@case
def kernel_tls(wire):
    """kTLS replaces a socket's operations: a record comes and goes, and the socket ends, while the
    module is away (others oops)."""
    if run('modprobe', 'tls', check=False).returncode:
        raise Skipped('this kernel has no module tls')
    for directions in ((TLS_TX,), (TLS_RX,), (TLS_TX, TLS_RX)):
        for family, dst, option, want in ROWS:
            with listen(family) as server:
                peer = Peer(wire, dst, port_of(server)).connect(option)
                with accepted(server, peer) as (conn, name):
                    conn.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b'tls')
                    for direction in directions:
                        conn.setsockopt(SOL_TLS, direction, KEYS)
                    check_names(conn, name, want)
                    check_without_module(conn, peer,
                                         arrives=RECORD if TLS_RX in directions else b'hello',
                                         leaves=RECORD if TLS_TX in directions else b'hello')


@case
def listening_before(wire):
    """Who has listened since before the module came is told the clients, too."""
    unload()
    for family, dst, option, want in ROWS:
        for protocol in (0, IPPROTO_MPTCP):
            with listen(family, proto=protocol) as server:
                load()
                peer = Peer(wire, dst, port_of(server)).connect(option)
                with accepted(server, peer) as (conn, name):
                    check_names(conn, name, want)
                unload()
    load()


if __name__ == '__main__':
    sys.exit(main())
