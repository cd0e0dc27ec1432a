#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Scenarios of toa.ko on a running kernel: root, in a machine that may be thrown away.

  scenario_toa.py [NAME...]

Two network namespaces joined by a veth: in "toa-s" real sockets accept, in
"toa-c" a packet socket speaks TCP by hand, so that any option can be on any
packet and any address can be the source. One line per case, "ok NAME" or
"not ok NAME: why"; the exit status is 1 if a case failed.
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SO_PEERNAME = 28
SO_PROTOCOL = 38
SO_NAT64_PEER = 4096
IPPROTO_MPTCP = 262
TCP_ULP, TCP_DEFER_ACCEPT, TCP_FASTOPEN = 31, 9, 23
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

SRV4, SRV6 = '10.9.0.1', 'fd00:9::1'
LIP4, LIP6 = '10.9.0.2', 'fd00:9::2'        # trusted by default
FAR4 = '198.51.100.9'                       # not
FAR_SRV4 = '10.9.0.3'                       # what the server itself connects to
CLIENT4, CLIENT6 = '203.0.113.7', '2001:db8::7'
TS = bytes.fromhex('0101080a') + struct.pack('!II', 1, 0)
MSS = bytes.fromhex('020405b4')


class Failed(Exception):
    """A case did not see what it should."""


def expect(what, got, want):
    """Complain unless `got` is `want`."""
    if got != want:
        raise Failed(f'{what}: {got!r}, not {want!r}')


def run(*command, check=True):
    """Run a command quietly."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Failed(f'{" ".join(command)}: {done.stderr.strip() or done.stdout.strip()}')
    return done


def wait_for(what, condition, seconds=20):
    """Poll until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s')
        time.sleep(0.02)


@contextlib.contextmanager
def netns(name):
    """This thread is in the namespace meanwhile (None: the initial one); sockets stay where
    they were made."""
    if not name:
        yield
        return
    with open('/proc/thread-self/ns/net', 'rb') as old, \
            open('/run/netns/' + name, 'rb') as new:
        if LIBC.setns(new.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
        try:
            yield
        finally:
            LIBC.setns(old.fileno(), CLONE_NEWNET)


# --- the module

def load(*params, check=True):
    """modprobe toa."""
    return run('modprobe', 'toa', *params, check=check)


def unload():
    """rmmod toa; a connection cannot hold it."""
    run('rmmod', 'toa')


def is_loaded():
    """Is it there?"""
    return os.path.exists('/sys/module/toa')


def reload_module(*params):
    """Load it afresh, so that counters start at 0."""
    if is_loaded():
        unload()
    load(*params)


def stats(ns='toa-s'):
    """/proc/net/toa_stats of a namespace."""
    with netns(ns), open('/proc/thread-self/net/toa_stats', encoding='ascii') as file:
        return {k: v for k, _, v in (line.strip().partition(' ') for line in file)}


def counters(ns='toa-s'):
    """The counters that are not 0, without the module's."""
    return {k: int(v) for k, v in stats(ns).items()
            if not k.startswith('module_') and int(v)}


def entries():
    """Connections in the table."""
    return int(stats()['module_entries'])


def sysctl(name, value=None, ns='toa-s'):
    """Read or write a sysctl of a namespace."""
    path = '/proc/sys/' + name.replace('.', '/')
    with netns(ns), open(path, 'r' if value is None else 'w', encoding='ascii') as file:
        if value is None:
            return file.read().strip()
        file.write(value)
        return None


def kernel_log():
    """dmesg."""
    return run('dmesg').stdout


# --- TCP by hand

def mac_of(ns, dev):
    """The address of an interface."""
    return run('ip', '-n', ns, '-br', 'link', 'show', dev).stdout.split()[2]


def toa(kind, addr, port, length=None):
    """The bytes of a TOA option."""
    family = socket.AF_INET6 if ':' in addr else socket.AF_INET
    body = struct.pack('!H', port) + socket.inet_pton(family, addr)
    return struct.pack('BB', kind, length or len(body) + 2) + body


def checksum(data):
    """The internet checksum."""
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Wire:
    """The packet socket of the client's side."""

    def __init__(self):
        with netns('toa-c'):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.sock.bind(('toa-c0', 0))
            self.mac = self.sock.getsockname()[4]
        self.sock.settimeout(5)
        self.options = b''      # of the last segment received
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.peer_mac = bytes.fromhex(mac_of('toa-s', 'toa-s0').replace(':', ''))

    def send(self, src, dst, segment):
        """Send a TCP segment whose checksum is still missing."""
        family = socket.AF_INET6 if ':' in src else socket.AF_INET
        pair = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
        pseudo = pair + struct.pack('!II', len(segment), socket.IPPROTO_TCP)
        segment = segment[:16] + struct.pack('!H', checksum(pseudo + segment)) + segment[18:]
        if family == socket.AF_INET6:
            head = struct.pack('!IHBB', 6 << 28, len(segment), socket.IPPROTO_TCP, 64) + pair
        else:
            head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(segment), 1, 0x4000, 64,
                               socket.IPPROTO_TCP, 0) + pair
            head = head[:10] + struct.pack('!H', checksum(head)) + head[12:]
        kind = b'\x86\xdd' if family == socket.AF_INET6 else b'\x08\x00'
        self.sock.send(self.peer_mac + self.mac + kind + head + segment)

    def receive(self, src, sport, dport):
        """The next segment for src:sport: (flags, seq, ack, payload)."""
        while True:
            frame, info = self.sock.recvfrom(65536)
            if info[2] == socket.PACKET_OUTGOING:
                continue
            if frame[12:14] == b'\x08\x00' and frame[23] == 6:
                family, dst = socket.AF_INET, frame[30:34]
                segment = frame[34:14 + struct.unpack('!H', frame[16:18])[0]]
            elif frame[12:14] == b'\x86\xdd' and frame[20] == 6:
                family, dst, segment = socket.AF_INET6, frame[38:54], frame[54:]
            else:
                continue
            if (':' in src) != (family == socket.AF_INET6) or \
                    dst != socket.inet_pton(family, src) or \
                    struct.unpack('!HH', segment[:4]) != (dport, sport):
                continue
            seq, ack, offset, flags = struct.unpack('!IIBB', segment[4:14])
            self.options = segment[20:(offset >> 4) * 4]
            return flags, seq, ack, segment[(offset >> 4) * 4:]


class Peer:
    """A connection that the load balancer would make."""
    ports = iter(range(20000, 60000))

    def __init__(self, wire, dst, dport, src=None, sport=None):
        self.wire, self.dst, self.dport = wire, dst, dport
        self.src = src or (LIP6 if ':' in dst else LIP4)
        self.sport = sport or next(self.ports)
        self.seq = random.getrandbits(32)
        self.ack = 0

    def send(self, flags, options=b'', payload=b''):
        """Send one segment."""
        options += b'\x01' * (-len(options) % 4)
        segment = struct.pack('!HHIIBBHHH', self.sport, self.dport, self.seq, self.ack,
                              (5 + len(options) // 4) << 4, flags, 65535, 0, 0)
        self.wire.send(self.src, self.dst, segment + options + payload)
        length = len(payload) + bool(flags & SYN) + bool(flags & FIN)
        self.seq = self.seq + length & 0xffffffff

    def syn(self, options=b'', payload=b''):
        """SYN, and wait for its SYN-ACK."""
        self.send(SYN, MSS + options, payload)
        flags = 0
        while flags & (SYN | ACK) != SYN | ACK:
            flags, seq, _, _ = self.wire.receive(self.src, self.sport, self.dport)
        self.ack = seq + 1 & 0xffffffff

    def connect(self, options=b''):
        """The whole handshake, `options` on its last ACK."""
        self.syn()
        self.send(ACK, options)
        return self

    def connect_mptcp(self, options=b''):
        """The handshake of a client that speaks MPTCP."""
        self.syn(bytes.fromhex('1e040101'))
        at = self.wire.options.find(b'\x1e\x0c\x01')
        if at < 0:
            raise Failed('the SYN-ACK has no MP_CAPABLE')
        keys = random.randbytes(8) + self.wire.options[at + 4:at + 12]
        self.send(ACK, options + bytes.fromhex('1e140101') + keys)
        return self

    def reset(self):
        """End it at once."""
        self.send(RST | ACK)


# --- the server's side

def listen(family=socket.AF_INET, proto=0, options=(), ns='toa-s'):
    """A listening socket; IPv6 ones are dual-stack."""
    with netns(ns):
        sock = socket.socket(family, socket.SOCK_STREAM, proto)
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(('::' if family == socket.AF_INET6 else '0.0.0.0', 0))
    sock.listen(4096)
    sock.settimeout(10)
    return sock


def port_of(sock):
    """The port that a socket is bound to."""
    return sock.getsockname()[1]


def abort(sock):
    """Close with a RST, so that nothing of it lingers."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def peername_by_sockopt(sock):
    """(address, port) as SO_PEERNAME has it."""
    size = 28 if sock.family == socket.AF_INET6 else 16
    raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERNAME, size)
    port = struct.unpack('!H', raw[2:4])[0]
    if sock.family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port
    return socket.inet_ntop(socket.AF_INET, raw[4:8]), port


def check_names(conn, accepted, want):
    """Everyone who tells the peer's name says `want`, an (address, port)."""
    expect('accept()', accepted[:2], want)
    expect('getpeername()', conn.getpeername()[:2], want)
    expect('SO_PEERNAME', peername_by_sockopt(conn), want)


@contextlib.contextmanager
def accepted(server, peer):
    """The accepted socket of a peer and its name; both ends are closed afterwards."""
    conn, name = server.accept()
    try:
        yield conn, name
    finally:
        peer.reset()
        conn.close()


def check(wire, server, dst, options, want, src=None):
    """Connect with `options` on the handshake's ACK; None: the wire's own name is right."""
    peer = Peer(wire, dst, port_of(server), src).connect(options)
    mapped = '::ffff:' if server.family == socket.AF_INET6 and ':' not in dst else ''
    with accepted(server, peer) as (conn, name):
        check_names(conn, name, want or (mapped + peer.src, peer.sport))
        expect('getsockname()', conn.getsockname()[:2], (mapped + dst, port_of(server)))


# --- the cases

CASES = []


def case(function):
    """Register a case; it finds the module freshly loaded."""
    CASES.append(function)
    return function


@case
def v4_socket(wire):
    """200/8 and 254/8 on an IPv4 socket, with and without other options around."""
    with listen() as server:
        for kind in (200, 254):
            for options in (b'%s', b'%s' + TS, TS + b'%s', b'\x01%s\x01'):
                option = toa(kind, CLIENT4, 50001)
                check(wire, server, SRV4, options.replace(b'%s', option), (CLIENT4, 50001))
    expect('counters', counters(), {'stored': 8, 'answered': 24})


@case
def dual_stack(wire):
    """An IPv4 client on an IPv6 socket."""
    with listen(socket.AF_INET6) as server:
        for kind in (200, 254):
            check(wire, server, SRV4, toa(kind, CLIENT4, 50002), ('::ffff:' + CLIENT4, 50002))
    expect('counters', counters(), {'stored': 2, 'answered': 6})


@case
def v6_socket(wire):
    """253/20 and 254/20; an IPv4 client of an IPv6 balancer; NAT64 on a dual-stack socket."""
    with listen(socket.AF_INET6) as server:
        for kind in (253, 254):
            check(wire, server, SRV6, toa(kind, CLIENT6, 50003), (CLIENT6, 50003))
        check(wire, server, SRV6, toa(200, CLIENT4, 50004), ('::ffff:' + CLIENT4, 50004))
        check(wire, server, SRV4, toa(254, CLIENT6, 50005), (CLIENT6, 50005))
    expect('counters', counters(), {'stored': 4, 'answered': 12})


@case
def first_match(wire):
    """Of two, the first counts: the balancer puts its own there."""
    with listen() as server:
        check(wire, server, SRV4, toa(200, CLIENT4, 50006) + toa(254, '192.0.2.66', 6),
              (CLIENT4, 50006))


@case
def without_toa(wire):
    """The wire's name stays, and is counted for a trusted source."""
    with listen() as server, listen(socket.AF_INET6) as server6:
        check(wire, server, SRV4, b'', None)
        check(wire, server6, SRV4, TS, None)
        check(wire, server6, SRV6, TS, None)
        check(wire, server, SRV4, TS, None, src=FAR4)
    expect('counters', counters(), {'absent': 3})


@case
def untrusted(wire):
    """A TOA from anybody is counted and not believed, until its source is trusted."""
    with listen() as server:
        check(wire, server, SRV4, toa(200, CLIENT4, 50007), None, src=FAR4)
        expect('counters', counters(), {'untrusted': 1})
        for ns in (None, 'toa-s'):
            sysctl('net.toa.trust', f'{FAR4}/32', ns=ns)
        check(wire, server, SRV4, toa(200, CLIENT4, 50007), (CLIENT4, 50007), src=FAR4)
        check(wire, server, SRV4, toa(200, CLIENT4, 50007), None)
    expect('counters', counters(), {'untrusted': 2, 'stored': 1, 'answered': 3})


@case
def bad_client(wire):
    """Addresses that no client can have."""
    rows = [('127.0.0.1', 1), ('0.0.0.0', 1), ('224.0.0.1', 1), ('255.255.255.255', 1),
            (CLIENT4, 0)]
    rows6 = [('::1', 1), ('::', 1), ('ff02::1', 1), ('::ffff:127.0.0.1', 1), (CLIENT6, 0)]
    with listen() as server, listen(socket.AF_INET6) as server6:
        for addr, port in rows:
            check(wire, server, SRV4, toa(200, addr, port), None)
        for addr, port in rows6:
            check(wire, server6, SRV6, toa(253, addr, port), None)
        check(wire, server, SRV4, toa(254, '::1', 1), None)
    expect('counters', counters(), {'bad_client': 11})


def nat64_peer(sock, size=20):
    """(address, port) as getsockopt(4096) has it, or the error's name."""
    try:
        raw = sock.getsockopt(socket.IPPROTO_IP, SO_NAT64_PEER, size)
    except OSError as error:
        return errno.errorcode[error.errno]
    expect('length, padding', (len(raw), raw[18:]), (20, b'\0\0'))
    return socket.inet_ntop(socket.AF_INET6, raw[:16]), struct.unpack('!H', raw[16:18])[0]


@case
def nat64(wire):
    """The IPv6 client of an IPv4 connection: DPVS's getsockopt() tells it, on an IPv4 socket."""
    with listen() as server:
        for kind in (254, 253):
            peer = Peer(wire, SRV4, port_of(server)).connect(toa(kind, CLIENT6, 50026))
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, (peer.src, peer.sport))
                for size in (20, 64):
                    expect(f'{size} bytes', nat64_peer(conn, size), (CLIENT6, 50026))
                expect('19 bytes', nat64_peer(conn, 19), 'EINVAL')
                expect('entries', entries(), 1)
                LIBC.connect(conn.fileno(), bytes(16), 16)      # AF_UNSPEC: disconnect
                expect('disconnected', nat64_peer(conn), 'ENOTCONN')
    expect('counters', counters(), {'nat64': 2, 'answered': 4})
    wait_for('table drained', lambda: not entries())


@case
def nat64_others(wire):
    """What getsockopt(4096) says where there is no such client."""
    with listen() as server, listen(socket.AF_INET6) as server6:
        for sock, dst, option, want in (
                (server, SRV4, toa(200, CLIENT4, 50027), 'EFAULT'),
                (server, SRV4, TS, 'EINVAL'),
                (server6, SRV4, toa(200, CLIENT4, 50027), 'EFAULT'),
                (server6, SRV6, toa(253, CLIENT6, 50027), 'EFAULT'),
                (server6, SRV4, toa(254, CLIENT6, 50027), (CLIENT6, 50027))):
            peer = Peer(wire, dst, port_of(sock)).connect(option)
            with accepted(sock, peer) as (conn, _):
                expect('getsockopt()', nat64_peer(conn), want)
        expect('listener', nat64_peer(server), 'ENOTCONN')
        with netns('toa-s'), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            expect('UDP', nat64_peer(udp), 'EINVAL')
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(254, CLIENT6, 50027))
        with accepted(server, peer) as (conn, _):
            expect('getsockopt()', nat64_peer(conn), (CLIENT6, 50027))
            unload()
            expect('after rmmod', nat64_peer(conn), 'ENOPROTOOPT')
    load()


@case
def malformed(wire):
    """TOA kinds with lengths that the table does not have, or cut short."""
    with listen() as server:
        for options in (toa(200, CLIENT4, 1)[:4], b'\xc8\x06abcd', b'\xfd\x08abcdef',
                        b'\xfe\x01\x01\x01', b'\xc8\x00\x01\x01', b'\x01\x01\x01\xc8'):
            check(wire, server, SRV4, options, None)
    expect('counters', counters(), {'malformed': 6})


@case
def toa_on_syn(wire):
    """Ignored on a SYN that makes no connection."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server))
        peer.syn(toa(200, CLIENT4, 50008))
        peer.send(ACK)
        with accepted(server, peer) as (conn, name):
            check_names(conn, name, (peer.src, peer.sport))
    expect('counters', counters(), {'absent': 1})


@case
def ack_lost(wire):
    """The first data packet, or a FIN with data, completes the handshake."""
    with listen() as server:
        for flags in (ACK | PSH, ACK | PSH | FIN):
            peer = Peer(wire, SRV4, port_of(server))
            peer.syn()
            peer.send(flags, toa(200, CLIENT4, 50009), b'hello')
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, (CLIENT4, 50009))
                expect('data', conn.recv(10), b'hello')


@case
def defer_accept(wire):
    """TCP_DEFER_ACCEPT drops the bare ACK; the data packet counts."""
    with listen(options=[(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)]) as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50010))
        expect('entries before data', entries(), 0)
        peer.send(ACK | PSH, toa(200, CLIENT4, 50010), b'hello')
        with accepted(server, peer) as (conn, name):
            check_names(conn, name, (CLIENT4, 50010))


@case
def syn_cookies(wire):
    """The child is made from the cookie."""
    sysctl('net.ipv4.tcp_syncookies', '2')
    try:
        with listen() as server, listen(socket.AF_INET6) as server6:
            check(wire, server, SRV4, toa(200, CLIENT4, 50011), (CLIENT4, 50011))
            check(wire, server6, SRV4, toa(200, CLIENT4, 50011), ('::ffff:' + CLIENT4, 50011))
            check(wire, server6, SRV6, toa(253, CLIENT6, 50011), (CLIENT6, 50011))
    finally:
        sysctl('net.ipv4.tcp_syncookies', '1')


@case
def fast_open(wire):
    """TCP Fast Open: the SYN with data makes the connection, and carries the TOA."""
    sysctl('net.ipv4.tcp_fastopen', str(0x2 | 0x200))       # server, without a cookie
    with listen(options=[(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)]) as server:
        peer = Peer(wire, SRV4, port_of(server))
        peer.syn(toa(200, CLIENT4, 50012), b'early')
        with accepted(server, peer) as (conn, name):
            check_names(conn, name, (CLIENT4, 50012))
            expect('data', conn.recv(10), b'early')
            peer.send(ACK, toa(200, '192.0.2.66', 1))
            check_names(conn, name, (CLIENT4, 50012))


@case
def mptcp_listener(wire):
    """A plain client of a listener that would speak MPTCP (Go's default)."""
    with listen(proto=IPPROTO_MPTCP) as server:
        check(wire, server, SRV4, toa(200, CLIENT4, 50013), (CLIENT4, 50013))


@case
def mptcp_client(wire):
    """A client that really speaks MPTCP: the application's socket is not the connection's."""
    rows = [(socket.AF_INET, SRV4, toa(200, CLIENT4, 50028), (CLIENT4, 50028)),
            (socket.AF_INET6, SRV4, toa(200, CLIENT4, 50028), ('::ffff:' + CLIENT4, 50028)),
            (socket.AF_INET6, SRV6, toa(253, CLIENT6, 50028), (CLIENT6, 50028)),
            (socket.AF_INET6, SRV4, toa(254, CLIENT6, 50028), (CLIENT6, 50028)),
            (socket.AF_INET, SRV4, TS, None),
            (socket.AF_INET6, SRV6, TS, None)]
    for family, dst, option, want in rows:
        with listen(family, proto=IPPROTO_MPTCP) as server:
            peer = Peer(wire, dst, port_of(server)).connect_mptcp(option)
            with accepted(server, peer) as (conn, name):
                expect('protocol', conn.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL),
                       IPPROTO_MPTCP)
                check_names(conn, name, want or (peer.src, peer.sport))
                expect('getsockname()', conn.getsockname()[1], port_of(server))
    expect('counters', counters(), {'stored': 4, 'answered': 12, 'absent': 2})
    wait_for('table drained', lambda: not entries())


@case
def mptcp_subflow_gone(wire):
    """The first subflow's addresses become another connection's: its client is not told."""
    with listen(proto=IPPROTO_MPTCP) as server:
        peer = Peer(wire, SRV4, port_of(server)).connect_mptcp(toa(200, CLIENT4, 50029))
        conn, name = server.accept()
        check_names(conn, name, (CLIENT4, 50029))
        peer.reset()
        wait_for('subflow closed', lambda: conn.getpeername() == (peer.src, peer.sport))
        again = Peer(wire, SRV4, port_of(server), sport=peer.sport)
        again.connect(toa(200, CLIENT4, 50030))
        with accepted(server, again) as (_, name):
            expect('accept()', name, (CLIENT4, 50030))
            expect('name of the first', conn.getpeername(), (peer.src, peer.sport))
        conn.close()
    wait_for('table drained', lambda: not entries())


def accept_at_once(server, seconds):
    """Ask for the next connection without a pause; its name, and what getpeername() says."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            conn, name = server.accept()
            names = name, conn.getpeername()
            conn.close()
            return names
    raise Failed('nothing to accept')


@case
def mptcp_early_accept(wire):
    """accept() on another CPU, while the handshake's last packet is still being received."""
    with listen(proto=IPPROTO_MPTCP) as server:
        server.setblocking(False)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            wrong = 0
            for _ in range(1000):
                wrong += sum(name != (CLIENT4, 50031) for name in accept_at_once(server, 10))
                os.write(tell, b'.')
            os._exit(min(wrong, 255))
        for _ in range(1000):
            peer = Peer(wire, SRV4, port_of(server)).connect_mptcp(toa(200, CLIENT4, 50031))
            os.read(told, 1)
            peer.reset()
        expect('wrong names', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


@case
def outgoing(wire):
    """Connections that the server opens itself, UDP, and reused sockets keep their names."""
    with listen(ns='toa-c') as far, listen() as server:
        with netns('toa-s'), socket.create_connection((FAR_SRV4, port_of(far)), 10) as out:
            expect('getpeername()', out.getpeername(), (FAR_SRV4, port_of(far)))
        with netns('toa-s'), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect((FAR_SRV4, 53))
            expect('UDP getpeername()', udp.getpeername(), (FAR_SRV4, 53))

        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50014))
        with accepted(server, peer) as (conn, name):
            check_names(conn, name, (CLIENT4, 50014))
            LIBC.connect(conn.fileno(), bytes(16), 16)      # AF_UNSPEC: disconnect
            try:
                conn.getpeername()
                raise Failed('getpeername() of a disconnected socket')
            except OSError as error:
                expect('getpeername()', error.errno, errno.ENOTCONN)
            conn.bind(('0.0.0.0', 0))
            conn.connect((FAR_SRV4, port_of(far)))
            expect('reconnected', conn.getpeername(), (FAR_SRV4, port_of(far)))
            expect('entries', entries(), 0)


@case
def kernel_tls(wire):
    """kTLS replaces a socket's operations; that survives the module's end (others oops)."""
    if run('modprobe', 'tls', check=False).returncode:
        return
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(254, CLIENT4, 50015))
        with accepted(server, peer) as (conn, name):
            conn.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b'tls')
            conn.setsockopt(282, 1, struct.pack('HH', 0x303, 51) + bytes(36))   # TLS_TX
            check_names(conn, name, (CLIENT4, 50015))
            unload()
            expect('after rmmod', conn.getpeername(), (peer.src, peer.sport))
    load()


@case
def table(wire):
    """The listing, its rights, and max_entries."""
    path = '/proc/thread-self/net/toa_table'
    with open('/sys/module/toa/parameters/max_entries', 'w', encoding='ascii') as file:
        file.write('2')
    with listen() as server:
        peers = [Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50020 + i))
                 for i in range(3)]
        conns = [server.accept() for _ in peers]
        names = sorted(name for _, name in conns)
        expect('names', names, sorted([(CLIENT4, 50020), (CLIENT4, 50021),
                                       (peers[2].src, peers[2].sport)]))
        expect('counters', counters(), {'stored': 2, 'table_full': 1, 'answered': 2})
        with netns('toa-s'):
            expect('mode', os.stat(path).st_mode & 0o777, 0o400)
            with open(path, encoding='ascii') as file:
                lines = sorted(file)
        expect('listing', lines,
               sorted(f'{CLIENT4}:{50020 + i} {LIP4}:{peers[i].sport} {port_of(server)}\n'
                      for i in range(2)))
        with netns('toa-c'), open(path, encoding='ascii') as file:
            expect('listing of another namespace', file.read(), '')
        for (conn, _), peer in zip(conns, peers):
            peer.reset()
            conn.close()
    wait_for('table drained', lambda: not entries())


@case
def memory_reused(wire):
    """Many short connections, every other one without TOA: none gets another's client."""
    with listen() as server:
        for i in range(2000):
            port = 10000 + i
            option = toa(200, CLIENT4, port) if i % 2 else TS
            peer = Peer(wire, SRV4, port_of(server)).connect(option)
            conn, name = server.accept()
            expect(f'connection {i}', name, (CLIENT4, port) if i % 2 else (LIP4, peer.sport))
            if i % 3:
                peer.reset()
            abort(conn)
    wait_for('table drained', lambda: not entries())
    expect('missed', [stats()['module_missed_' + k] for k in ('instances', 'probes')], ['0', '0'])


@case
def never_accepted(wire):
    """A listener that is closed takes the entries of its queue along."""
    with listen() as server:
        for i in range(20):
            Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 40000 + i))
        wait_for('20 entries', lambda: entries() == 20)
    wait_for('table drained', lambda: not entries())


def refused(name, value, error, ns='toa-s'):
    """Write a setting that must not be taken; it stays what it was."""
    before = sysctl(name, ns=ns)
    try:
        sysctl(name, value, ns=ns)
    except OSError as got:
        expect(f'{name}={value[:40]}', errno.errorcode[got.errno], errno.errorcode[error])
    else:
        raise Failed(f'{name}={value[:40]} was accepted')
    expect(f'{name} after {value[:40]}', sysctl(name, ns=ns), before)


@case
def trust_values(_):
    """What net.toa.trust takes and shows; a bad list changes nothing."""
    sysctl('net.toa.trust', ' 192.0.2.0/28,\t2001:db8::/32 198.51.100.7\n', ns=None)
    expect('trust', sysctl('net.toa.trust', ns=None),
           '192.0.2.0/28,2001:db8::/32,198.51.100.7/32')
    bad = ['192.0.2.0/33', '192.0.2.0/', '192.0.2.0/-1', '192.0.2.0/+8', '192.0.2.5/28', 'x',
           '192.0.2', '192.0.2.0/28/4', '2001:db8::/129', '2001:db8::1/64', '::ffff:10.0.0.0/104',
           '10.0.0.0/8,lip', '10.0.0.0/8;11.0.0.0/8', ','.join(['10.0.0.0/8'] * 65), 'x' * 5000]
    for value in bad:
        refused('net.toa.trust', value, errno.EINVAL, ns=None)
    for value in ('', '0.0.0.0/0,::/0', ','.join(['10.0.0.0/8'] * 64)):
        sysctl('net.toa.trust', value + '\n', ns=None)
        expect('trust', sysctl('net.toa.trust', ns=None), value)


@case
def trust_per_namespace(wire):
    """A new namespace inherits; each has its own; the parameter sets the first one's."""
    reload_module('trust=198.51.100.0/24')
    run('ip', 'netns', 'add', 'toa-new')
    try:
        for ns in ('toa-new', 'toa-s'):
            expect('inherited', sysctl('net.toa.trust', ns=ns), '198.51.100.0/24')
        sysctl('net.toa.trust', '198.51.100.8/29', ns='toa-new')
        expect('own', sysctl('net.toa.trust', ns='toa-s'), '198.51.100.0/24')
        with listen() as server:
            check(wire, server, SRV4, toa(200, CLIENT4, 50016), None)
            check(wire, server, SRV4, toa(200, CLIENT4, 50016), (CLIENT4, 50016), src=FAR4)
        expect('counters of another namespace', counters('toa-new'), {})
    finally:
        run('ip', 'netns', 'del', 'toa-new')


@case
def ports(wire):
    """A TOA counts only at the ports of net.toa.ports; without such a list at all."""
    with listen() as server, listen() as other:
        expect('ports', sysctl('net.toa.ports'), '')
        number = port_of(server)
        sysctl('net.toa.ports', f'1-2,{number}')
        check(wire, server, SRV4, toa(200, CLIENT4, 50020), (CLIENT4, 50020))
        check(wire, other, SRV4, toa(200, CLIENT4, 50020), None)
        check(wire, other, SRV4, TS, None)
        expect('counters', counters(), {'stored': 1, 'answered': 3, 'untrusted': 1})
        sysctl('net.toa.ports', f'1-{number - 1},{number + 1}-65535')
        check(wire, server, SRV4, toa(200, CLIENT4, 50020), None)
        sysctl('net.toa.ports', '\n')
        for sock in (server, other):
            check(wire, sock, SRV4, toa(200, CLIENT4, 50020), (CLIENT4, 50020))


@case
def ports_values(_):
    """What net.toa.ports takes and shows; a bad list changes nothing."""
    for value, shown in (('80', '80'), ('443,80\n', '80,443'), (' 8000-8100,8101 ', '8000-8101'),
                         ('1-65535', '1-65535'), ('\n', ''),
                         (','.join(str(n) for n in range(2, 1500, 2)),) * 2):
        sysctl('net.toa.ports', value)
        expect(f'ports {value[:40]}', sysctl('net.toa.ports'), shown)
    refused('net.toa.ports', '80,x', errno.EINVAL)
    if "toa: ports: '80,x': not a list of ports" not in kernel_log():
        raise Failed('dmesg does not show the bad list')
    for value in ('0', '0-80', '65536', '-1', '80-', '-80', '90-80', '80;81', '80 81', 'http',
                  '80,' * 2000):
        refused('net.toa.ports', value, errno.EINVAL)


LAYOUTS = {'200/8': (200, CLIENT4), '254/8': (254, CLIENT4),
           '253/20': (253, CLIENT6), '254/20': (254, CLIENT6)}


@case
def layouts(wire):
    """A layout outside of net.toa.layouts is like any foreign option."""
    expect('layouts', sysctl('net.toa.layouts'), ','.join(LAYOUTS))
    with listen(socket.AF_INET6) as server:
        for accepted_one in LAYOUTS:
            sysctl('net.toa.layouts', accepted_one)
            expect('self-test', selftest(), 'ok')
            for name, (kind, client) in LAYOUTS.items():
                want = (client if ':' in client else '::ffff:' + client, 50021)
                check(wire, server, SRV6, toa(kind, client, 50021),
                      want if name == accepted_one else None)
    expect('counters', counters(), {'stored': 4, 'answered': 12, 'absent': 12})


@case
def layouts_values(_):
    """What net.toa.layouts takes and shows; a bad list changes nothing."""
    for value, shown in (('254/8', '254/8'), (' 254/20,\t254/8 200/8\n', '200/8,254/8,254/20')):
        sysctl('net.toa.layouts', value)
        expect('layouts', sysctl('net.toa.layouts'), shown)
    refused('net.toa.layouts', '200/8,254/16', errno.EINVAL)
    if "toa: layouts: '254/16': none of 200/8,254/8,253/20,254/20" not in kernel_log():
        raise Failed('dmesg does not name the bad layout')
    for value in ('200/20', '253/8', '201/8', '200', '200/', '/8', '200/8/8', '+200/8', '0xc8/8',
                  '456/8', '\n', ','):
        refused('net.toa.layouts', value, errno.EINVAL)


@case
def policy_at_load(_):
    """The parameters "ports" and "layouts"; a malformed one is refused by name."""
    reload_module('ports=80,8000-8100', 'layouts=254/8,254/20')
    if 'only at the local ports 80,8000-8100' not in kernel_log():
        raise Failed('dmesg does not tell the ports')
    run('ip', 'netns', 'add', 'toa-new')
    try:
        for ns in ('toa-s', 'toa-new'):
            expect('ports', sysctl('net.toa.ports', ns=ns), '80,8000-8100')
            expect('layouts', sysctl('net.toa.layouts', ns=ns), '254/8,254/20')
    finally:
        run('ip', 'netns', 'del', 'toa-new')
    expect('self-test', stats()['module_selftest'], 'ok')
    unload()
    for bad, why in (('ports=80,x1', "ports: '80,x1': not a list"),
                     ('layouts=254/9', "layouts: '254/9': none of")):
        if not load(bad, check=False).returncode or is_loaded():
            raise Failed(f'loaded with {bad}')
        if why not in kernel_log():
            raise Failed(f'dmesg does not name {bad}')
    load()


@case
def container_trust(wire):
    """Another namespace may narrow what the initial one trusts, and not widen it."""
    reload_module('trust=10.0.0.0/8,198.51.100.0/24,fd00:9::/64')
    sysctl('net.toa.trust', '198.51.100.8/29,fd00:9::2')
    with listen() as server:
        check(wire, server, SRV4, toa(200, CLIENT4, 50022), (CLIENT4, 50022), src=FAR4)
        check(wire, server, SRV4, toa(200, CLIENT4, 50022), None)
        for wider in ('192.0.2.0/24', '0.0.0.0/0', '198.51.100.0/23', '10.0.0.0/8,10.0.0.0/7',
                      '::/0', 'fd00:9::/63', '::/8'):
            refused('net.toa.trust', wider, errno.EPERM)
        if 'toa: trust: 192.0.2.0/24 is not trusted by the initial network namespace' \
                not in kernel_log():
            raise Failed('dmesg does not say why')
        sysctl('net.toa.trust', '10.0.0.0/8', ns=None)
        check(wire, server, SRV4, toa(200, CLIENT4, 50022), None, src=FAR4)
        expect('trust', sysctl('net.toa.trust'), '198.51.100.8/29,fd00:9::2/128')
        sysctl('net.toa.trust', '')     # writes nothing
        sysctl('net.toa.trust', '\n')
        check(wire, server, SRV4, toa(200, CLIENT4, 50022), None)
    expect('counters', counters(), {'stored': 1, 'answered': 3, 'untrusted': 3})


@case
def container_ports_and_layouts(wire):
    """Neither can it widen the initial one's ports and layouts, whichever was written first."""
    with listen(socket.AF_INET6) as server, listen(socket.AF_INET6) as other:
        number = port_of(server)
        sysctl('net.toa.ports', f'{number}', ns=None)
        check(wire, other, SRV4, toa(200, CLIENT4, 50023), None)
        for narrower in (f'{number}', '\n'):
            sysctl('net.toa.ports', narrower)
            check(wire, other, SRV4, toa(200, CLIENT4, 50023), None)
        refused('net.toa.ports', f'{number},{port_of(other)}', errno.EPERM)

        sysctl('net.toa.layouts', '254/8,253/20', ns=None)
        for narrower in (','.join(LAYOUTS), '253/20'):
            if narrower == '253/20':
                sysctl('net.toa.layouts', narrower)
            expect('layouts', sysctl('net.toa.layouts'), narrower)
            check(wire, server, SRV6, toa(253, CLIENT6, 50023), (CLIENT6, 50023))
            check(wire, server, SRV6, toa(200, CLIENT4, 50023), None)
        refused('net.toa.layouts', '253/20,200/8', errno.EPERM)
    log = kernel_log()
    for name in ('ports', 'layouts'):
        if f'toa: {name}: not all of them are in net.toa.{name} of the initial' not in log:
            raise Failed(f'dmesg does not say why net.toa.{name} was refused')


def reports():
    """What the log says about strangers: the lines since the last load of the module."""
    lines = kernel_log().splitlines()
    loaded = max(i for i, line in enumerate(lines) if 'client addresses are believed' in line)
    return [line for line in lines[loaded:] if 'toa: not believed' in line]


def command_of(report):
    """The command that a report offers."""
    return report.split(' run: ')[1].rsplit(')', 1)[0]


@case
def stranger_report(wire):
    """The first stranger is logged, with a command that makes it trusted; then not for minutes."""
    inode = os.stat('/run/netns/toa-s').st_ino
    with listen() as server:
        for _ in range(3):
            check(wire, server, SRV4, toa(200, CLIENT4, 50024), None, src=FAR4)
        expect('number of reports', len(reports()), 1)
        report = reports()[0]
        start = f'not believed: TOA from {FAR4} in network namespace {inode} (to trust it, ' \
                'in the initial network namespace and then there, run: sysctl -w '
        if start not in report:
            raise Failed(f'the report is {report}')
        trusted = sysctl('net.toa.trust')
        run('sh', '-c', command_of(report))
        run('ip', 'netns', 'exec', 'toa-s', 'sh', '-c', command_of(report))
        expect('trust', sysctl('net.toa.trust'), f'{trusted},{FAR4}/32')
        check(wire, server, SRV4, toa(200, CLIENT4, 50024), (CLIENT4, 50024), src=FAR4)
    with listen(socket.AF_INET6) as server:
        check(wire, server, SRV6, toa(253, CLIENT6, 50024), (CLIENT6, 50024))
        reload_module()
        sysctl('net.toa.trust', '10.0.0.0/8')
        check(wire, server, SRV6, toa(253, CLIENT6, 50024), None)
    expect('number of reports', len(reports()), 1)
    if 'the initial' in reports()[0]:
        raise Failed(f'the report is {reports()[0]}')
    run('ip', 'netns', 'exec', 'toa-s', 'sh', '-c', command_of(reports()[0]))
    expect('trust', sysctl('net.toa.trust'), f'10.0.0.0/8,{LIP6}/128')


@case
def no_stranger_report(wire):
    """Nothing is logged of what trusting the source would not change, or without an option."""
    with listen() as server:
        check(wire, server, SRV4, TS, None, src=FAR4)
        sysctl('net.toa.ports', '1', ns=None)
        check(wire, server, SRV4, toa(200, CLIENT4, 50025), None)
        check(wire, server, SRV4, toa(200, CLIENT4, 50025), None, src=FAR4)
        sysctl('net.toa.ports', '\n', ns=None)
        sysctl('net.toa.layouts', '254/8')
        check(wire, server, SRV4, toa(200, CLIENT4, 50025), None, src=FAR4)
    expect('counters', counters(), {'untrusted': 2})
    expect('reports', reports(), [])


@case
def trust_at_load(_):
    """A malformed parameter is refused by name; an empty one trusts nobody."""
    unload()
    done = load('trust=10.0.0.0/8,192.0.2.5/28', check=False)
    if not done.returncode or is_loaded():
        raise Failed('loaded with a malformed prefix')
    if "trust: '192.0.2.5/28': bits set behind the prefix length" not in kernel_log():
        raise Failed('dmesg does not name the bad prefix')
    load('trust=')
    expect('trust', sysctl('net.toa.trust'), '')
    if 'believed from nobody' not in kernel_log():
        raise Failed('dmesg does not say that nobody is trusted')


def kprobes(on):
    """The switch that disables all kprobes of the kernel."""
    with open('/sys/kernel/debug/kprobes/enabled', 'w', encoding='ascii') as file:
        file.write('1' if on else '0')


def selftest():
    """Run it; its result."""
    path = '/sys/module/toa/parameters/selftest'
    try:
        with open(path, 'w', encoding='ascii') as file:
            file.write('1')
    except OSError as error:
        expect('selftest', error.errno, errno.EBADMSG)
    with open(path, encoding='ascii') as file:
        return file.read().strip()


@case
def probes_off(_):
    """Probes that are switched off are noticed; loading then is refused."""
    expect('selftest', selftest(), 'ok')
    kprobes(False)
    try:
        wait_for('noticed', lambda: stats()['module_probes_armed'] == '0')
        if 'probes are switched off' not in kernel_log():
            raise Failed('no warning in dmesg')
        expect('selftest', selftest(), 'failed')
        unload()
        if not load(check=False).returncode:
            raise Failed('loaded although nothing works')
        if 'self-test failed' not in kernel_log():
            raise Failed('dmesg does not say why')
        load('selftest=0')
    finally:
        kprobes(True)
    wait_for('noticed', lambda: stats()['module_probes_armed'] == '1')
    expect('selftest', selftest(), 'ok')


@case
def ftrace_off(_):
    """ftrace cannot be switched off under us, nor can we be loaded without it."""
    try:
        sysctl('kernel.ftrace_enabled', '0')
        raise Failed('kernel.ftrace_enabled=0 was accepted')
    except OSError as error:
        expect('error', error.errno, errno.EBUSY)
    unload()
    sysctl('kernel.ftrace_enabled', '0')
    try:
        if not load(check=False).returncode:
            raise Failed('loaded without ftrace')
    finally:
        sysctl('kernel.ftrace_enabled', '1')
    if 'is kernel.ftrace_enabled 0?' not in kernel_log():
        raise Failed('dmesg does not say why')
    load()


@case
def loopback_down(_):
    """Without lo there is no self-test, and the module says so."""
    unload()
    run('ip', 'link', 'set', 'lo', 'down')
    try:
        load()
        expect('selftest', stats()['module_selftest'], 'skipped (lo is down, error -100)')
    finally:
        run('ip', 'link', 'set', 'lo', 'up')
    expect('selftest', selftest(), 'ok')
    expect('counters', counters(), {})


@case
def unload_live(wire):
    """rmmod with a live connection: it goes on, under the wire's name, and is forgotten."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50017))
        with accepted(server, peer) as (conn, name):
            check_names(conn, name, (CLIENT4, 50017))
            unload()
            expect('getpeername()', conn.getpeername(), (peer.src, peer.sport))
            peer.send(ACK | PSH, b'', b'still here')
            expect('data', conn.recv(20), b'still here')
            load()
            expect('getpeername()', conn.getpeername(), (peer.src, peer.sport))
            expect('entries', entries(), 0)


class Traffic:
    """Connections with TOA, and getpeername() of a busy socket, all the time."""

    def __init__(self):
        self.stop, self.errors, self.told, self.wires = threading.Event(), [], 0, 0
        self.threads = [threading.Thread(target=self.guard, args=(f,))
                        for f in (self.connect, self.sleepers)]
        for thread in self.threads:
            thread.start()

    def guard(self, function):
        """Keep what went wrong."""
        try:
            function()
        except (OSError, Failed) as error:
            self.errors.append(f'{function.__name__}: {error!r}')

    def connect(self):
        """One connection after the other; with the module gone the wire's name is right."""
        wire = Wire()
        with listen() as server:
            while not self.stop.is_set():
                peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50018))
                with accepted(server, peer) as (_, name):
                    if name == (CLIENT4, 50018):
                        self.told += 1
                    elif name == (peer.src, peer.sport):
                        self.wires += 1
                    else:
                        raise Failed(f'name {name}')

    def sleepers(self):
        """Threads that ask for the name while others hold the socket's lock."""
        with listen(ns='toa-c') as server, netns('toa-c'), \
                socket.create_connection(('127.0.0.1', port_of(server)), 10) as conn:
            far, _ = server.accept()
            fcntl.fcntl(conn, fcntl.F_SETFL, os.O_NONBLOCK)

            def ask():
                while not self.stop.is_set():
                    conn.getpeername()
                    with contextlib.suppress(BlockingIOError):
                        conn.send(bytes(65536))
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            far.settimeout(0.2)     # the askers may end before they send again
            while not self.stop.is_set():
                with contextlib.suppress(TimeoutError):
                    far.recv(1 << 20)
            for thread in threads:
                thread.join()
            far.close()

    def finish(self):
        """End it; complain about what went wrong."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise Failed('; '.join(self.errors))


@case
def load_cycles(_):
    """20 unload/load cycles under traffic; with the module loaded every name is right."""
    traffic = Traffic()
    try:
        for _ in range(20):
            time.sleep(0.1)
            unload()
            time.sleep(0.05)
            load()
        wires = traffic.wires
        told = traffic.told
        wait_for('traffic after', lambda: traffic.told > told + 100 or traffic.errors)
        # one connection may have been between its handshake and its accept()
        if traffic.wires > wires + 1:
            raise Failed(f'{traffic.wires - wires} names of the wire although loaded')
    finally:
        traffic.finish()
    wait_for('table drained', lambda: not entries())


@case
def namespace_ends(wire):
    """A namespace goes away with live connections in the table."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50019))
        conn, _ = server.accept()
        expect('entries', entries(), 1)
    teardown()
    expect('getpeername()', conn.getpeername(), (CLIENT4, 50019))
    abort(conn)
    setup()
    wire.__init__()     # pylint: disable=unnecessary-dunder-call
    wait_for('table drained', lambda: not entries())
    expect('peer', peer.src, LIP4)


# --- the namespaces

def setup():
    """toa-c0 in toa-c and toa-s0 in toa-s, joined; neighbours are fixed, nobody answers ARP."""
    for ns in ('toa-c', 'toa-s'):
        run('ip', 'netns', 'add', ns)
        run('ip', '-n', ns, 'link', 'set', 'lo', 'up')
    run('ip', 'link', 'add', 'toa-c0', 'netns', 'toa-c', 'type', 'veth',
        'peer', 'toa-s0', 'netns', 'toa-s')
    for ns, dev in (('toa-c', 'toa-c0'), ('toa-s', 'toa-s0')):
        with netns(ns):
            run('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0',
                f'net.ipv6.conf.{dev}.accept_dad=0')
        run('ip', '-n', ns, 'link', 'set', dev, 'up')
    run('ip', '-n', 'toa-s', 'addr', 'add', SRV4 + '/24', 'dev', 'toa-s0')
    run('ip', '-n', 'toa-s', 'addr', 'add', SRV6 + '/64', 'dev', 'toa-s0', 'nodad')
    run('ip', '-n', 'toa-s', 'route', 'add', FAR4, 'dev', 'toa-s0')
    # The client's stack owns none of the sources: it must not answer what the packet
    # socket gets.
    mac = mac_of('toa-c', 'toa-c0')
    for addr in (LIP4, LIP6, FAR4):
        run('ip', '-n', 'toa-s', 'neigh', 'replace', addr, 'lladdr', mac, 'dev', 'toa-s0',
            'nud', 'permanent')
    run('ip', '-n', 'toa-c', 'addr', 'add', FAR_SRV4 + '/24', 'dev', 'toa-c0')


def teardown():
    """Remove them."""
    for ns in ('toa-c', 'toa-s'):
        run('ip', 'netns', 'del', ns, check=False)


def main():
    """Run the cases."""
    unknown = set(sys.argv[1:]) - {c.__name__ for c in CASES}
    if unknown:
        sys.exit(f'no such case: {" ".join(sorted(unknown))}')
    failed = 0
    setup()
    wire = Wire()
    try:
        for function in CASES:
            name = function.__name__
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            try:
                reload_module()
                function(wire)
                print(f'ok {name}', flush=True)
            except (Failed, OSError) as error:
                failed += 1
                print(f'not ok {name}: {error}', flush=True)
        if is_loaded():
            unload()
    finally:
        teardown()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
