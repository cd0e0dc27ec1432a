#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Whom accept() and getpeername() name, for every kind of socket and option."""
import contextlib
import errno
import os
import socket
import struct
import sys
import time

from harness import (ACK, CLIENT4, CLIENT6, FAR4, FAR_SRV4, FIN, IPPROTO_MPTCP, LIBC, PSH,
                     SO_NAT64_PEER, SO_PROTOCOL, SRV4, SRV6, TCP_DEFER_ACCEPT, TCP_FASTOPEN, TS,
                     Failed, Peer, accepted, case, check, check_names, counters, entries, expect,
                     listen, load, main, netns, port_of, rows, sysctl, toa, unload, wait_for)


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
    clients = [('127.0.0.1', 1), ('0.0.0.0', 1), ('224.0.0.1', 1), ('255.255.255.255', 1),
               (CLIENT4, 0)]
    clients6 = [('::1', 1), ('::', 1), ('ff02::1', 1), ('::ffff:127.0.0.1', 1), (CLIENT6, 0)]
    with listen() as server, listen(socket.AF_INET6) as server6:
        for addr, port in clients:
            check(wire, server, SRV4, toa(200, addr, port), None)
        for addr, port in clients6:
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
    for family, dst, option, want in rows(50110):
        with listen(family, options=[(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)]) as server:
            peer = Peer(wire, dst, port_of(server)).connect(option)
            expect('entries before data', entries(), 0)
            peer.send(ACK | PSH, option, b'hello')
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, want)
        wait_for('table drained', lambda: not entries())


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
    for family, dst, option, want in rows(50120):
        with listen(family, options=[(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)]) as server:
            peer = Peer(wire, dst, port_of(server))
            peer.syn(option, b'early')
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, want)
                expect('data', conn.recv(10), b'early')
                peer.send(ACK, toa(200, '192.0.2.66', 1))
                check_names(conn, name, want)


@case
def mptcp_listener(wire):
    """A plain client of a listener that would speak MPTCP (Go's default)."""
    with listen(proto=IPPROTO_MPTCP) as server:
        check(wire, server, SRV4, toa(200, CLIENT4, 50013), (CLIENT4, 50013))


@case
def mptcp_client(wire):
    """A client that really speaks MPTCP: the application's socket is not the connection's."""
    unnamed = [(socket.AF_INET, SRV4, TS, None), (socket.AF_INET6, SRV6, TS, None)]
    for family, dst, option, want in rows(50130) + unnamed:
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


if __name__ == '__main__':
    sys.exit(main())
