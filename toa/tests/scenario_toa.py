#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Whom accept() and getpeername() name, for every kind of socket and option."""
import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
import time

from harness import (ACK, CLIENT4, CLIENT6, FAR4, FAR_SRV4, FIN, IPPROTO_MPTCP, LIBC, LIP4,
                     MP_CAPABLE, NOBODY4, PSH, SO_NAT64_PEER, SO_PROTOCOL, SRV4, SRV6, SYN,
                     TCP_DEFER_ACCEPT, TCP_FASTOPEN, TIME_WAIT, TS, Failed, Peer, accepted,
                     address_server, case, check, check_names, counters, entries, expect, listen,
                     load, mac_of, main, netns, peername_by_sockopt, port_of, rows, run,
                     states, sysctl, toa, unload, wait_for)

TOA_WAITS = 0.1     # seconds, for the end of an MPTCP handshake


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


def nat64_raw(sock, room, length, option=SO_NAT64_PEER):
    """What getsockopt() leaves in a buffer of `room` bytes (0: there is none) and in `length`, or
    the error's name."""
    buffer = ctypes.create_string_buffer(b'\xaa' * room, room) if room else None
    size = ctypes.c_int(length)
    if LIBC.getsockopt(sock.fileno(), socket.IPPROTO_IP, option, buffer, ctypes.byref(size)):
        return errno.errorcode[ctypes.get_errno()]
    return buffer and buffer.raw, size.value


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
                for size in (19, 0, -1):
                    expect(f'{size} bytes', nat64_raw(conn, 64, size), 'EINVAL')
                client = socket.inet_pton(socket.AF_INET6, CLIENT6) + struct.pack('!HH', 50026, 0)
                expect('64 bytes', nat64_raw(conn, 64, 64), (client + b'\xaa' * 44, 20))
                expect('entries', entries(), 1)
                LIBC.connect(conn.fileno(), bytes(16), 16)      # AF_UNSPEC: disconnect
                expect('disconnected', nat64_peer(conn), 'ENOTCONN')
    expect('counters', counters(), {'nat64': 2, 'answered': 6})
    wait_for('table drained', lambda: not entries())


@case
def nat64_refused(wire):
    """A buffer that is none, options beside this one, a connection that is over: no client."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(254, CLIENT6, 50028))
        with accepted(server, peer) as (conn, _):
            expect('no buffer', nat64_raw(conn, 0, 20), 'EFAULT')
            for option in (SO_NAT64_PEER - 1, SO_NAT64_PEER + 1):
                expect(f'option {option}', nat64_raw(conn, 20, 20, option), 'ENOPROTOOPT')
            expect('getsockopt()', nat64_peer(conn), (CLIENT6, 50028))
            peer.reset()
            # The socket and its entry are still there.
            wait_for('reset', lambda: nat64_peer(conn) == 'ENOTCONN')
            expect('entries', entries(), 1)


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
        # Errors are no answers: 4 of accept(), 1 of getsockopt().
        expect('counters', counters(), {'stored': 4, 'answered': 5, 'absent': 1})
        expect('listener', nat64_peer(server), 'ENOTCONN')
        with netns('toa-s'), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw, \
                socket.socket() as opening:
            expect('UDP', nat64_peer(udp), 'EINVAL')
            expect('raw', nat64_peer(raw), 'EINVAL')
            opening.setblocking(False)
            expect('connect()', opening.connect_ex((LIP4, 9)), errno.EINPROGRESS)
            expect('SYN sent', nat64_peer(opening), 'ENOTCONN')
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
def syn_ack_with_data(wire):
    """It makes a connection, which accept() returns, and is then dropped by that; the connection
    is established by the next packet."""
    for family, dst, option, want in rows(50130):
        with listen(family) as server:
            peer = Peer(wire, dst, port_of(server))
            peer.syn()
            first = peer.seq
            peer.seq = first - 1 & 0xffffffff
            peer.send(SYN | ACK, option, b'x')
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, want)
                peer.seq = first
                peer.send(ACK | PSH, option, b'hello')
                expect('data', conn.recv(10), b'hello')
                check_names(conn, name, want)
        wait_for('table drained', lambda: not entries())


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


def protocol(conn):
    """SO_PROTOCOL."""
    return conn.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL)


def duration(function):
    """Seconds that a call takes."""
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


@case
def mptcp_fast_open(wire):
    """Until the handshake's end there is nothing to wait for: the client is known at once."""
    # Listeners that do not ask for it, too: MPTCP ones cannot before 6.2.
    sysctl('net.ipv4.tcp_fastopen', str(0x2 | 0x200 | 0x400))
    try:
        for family, dst, option, want in rows(50170):
            with listen(family, proto=IPPROTO_MPTCP) as server:
                peer = Peer(wire, dst, port_of(server))
                peer.syn(MP_CAPABLE + option, b'early')
                with accepted(server, peer) as (conn, name):
                    expect('protocol', protocol(conn), IPPROTO_MPTCP)
                    check_names(conn, name, want)
                    if min(duration(conn.getpeername) for _ in range(5)) >= TOA_WAITS:
                        raise Failed('getpeername() waits')
    finally:
        sysctl('net.ipv4.tcp_fastopen', '1')


@case
def mptcp_listener(wire):
    """Clients of a listener that would speak MPTCP (Go's default), who do not, or whose last ACK
    has lost the option: accept() makes plain TCP sockets of theirs."""
    for family, dst, option, want in rows(50140):
        for offer in (b'', MP_CAPABLE):
            with listen(family, proto=IPPROTO_MPTCP) as server:
                peer = Peer(wire, dst, port_of(server))
                peer.syn(offer)
                peer.send(ACK, option)
                with accepted(server, peer) as (conn, name):
                    expect('protocol', protocol(conn), socket.IPPROTO_TCP)
                    check_names(conn, name, want)
    expect('counters', counters(), {'stored': 8, 'answered': 24})
    wait_for('table drained', lambda: not entries())


def sockets():
    """How many the server's namespace has, with those that only a reference keeps."""
    with netns('toa-s'), open('/proc/thread-self/net/sockstat', encoding='ascii') as file:
        return int(file.readline().split()[2])


@case
def mptcp_client(wire):
    """A client that really speaks MPTCP: the application's socket is not the connection's."""
    before = sockets()
    unnamed = [(socket.AF_INET, SRV4, TS, None), (socket.AF_INET6, SRV6, TS, None)]
    for family, dst, option, want in rows(50130) + unnamed:
        with listen(family, proto=IPPROTO_MPTCP) as server:
            peer = Peer(wire, dst, port_of(server)).connect_mptcp(option)
            with accepted(server, peer) as (conn, name):
                expect('protocol', protocol(conn), IPPROTO_MPTCP)
                check_names(conn, name, want or (peer.src, peer.sport))
                expect('getsockname()', conn.getsockname()[1], port_of(server))
    expect('counters', counters(), {'stored': 4, 'answered': 12, 'absent': 2})
    wait_for('table drained', lambda: not entries())
    wait_for('no socket is left', lambda: sockets() <= before)


@case
def mptcp_bound_to_device(wire):
    """A listener for one interface: so are the connection and the application's socket."""
    device = [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'toa-s0')]
    for family, dst, option, want in rows(50150):
        with listen(family, IPPROTO_MPTCP, device) as server:
            peer = Peer(wire, dst, port_of(server)).connect_mptcp(option)
            with accepted(server, peer) as (conn, name):
                expect('protocol', protocol(conn), IPPROTO_MPTCP)
                check_names(conn, name, want)


def name_clients(wire, server_address=None, source=None):
    """One client of each row, by TCP and by MPTCP, of listeners that are bound to no device."""
    for proto in (0, IPPROTO_MPTCP):
        for family, dst, option, want in rows(50170):
            if server_address and dst != SRV6:
                continue
            with listen(family, proto) as server:
                peer = Peer(wire, server_address or dst, port_of(server), src=source)
                (peer.connect_mptcp if proto else peer.connect)(option)
                with accepted(server, peer) as (conn, name):
                    expect('protocol', protocol(conn), proto or socket.IPPROTO_TCP)
                    check_names(conn, name, want)


@contextlib.contextmanager
def in_vrf():
    """The server's device is in a VRF, whose connections programs outside of it accept, too."""
    server = ('ip', '-n', 'toa-s')
    run(*server, 'link', 'add', 'vrf1', 'type', 'vrf', 'table', '10')
    run(*server, 'link', 'set', 'vrf1', 'up')
    run(*server, 'link', 'set', 'toa-s0', 'master', 'vrf1')
    address_server()
    sysctl('net.ipv4.tcp_l3mdev_accept', '1')
    try:
        yield
    finally:
        sysctl('net.ipv4.tcp_l3mdev_accept', '0')
        run(*server, 'link', 'del', 'vrf1')
        address_server()


@case
def mptcp_in_vrf(wire):
    """The kernel binds a connection to its VRF; the application's socket is not."""
    with in_vrf():
        name_clients(wire)


@case
def mptcp_link_local(wire):
    """The same with a balancer whose address is link-local."""
    run('ip', '-n', 'toa-s', 'addr', 'add', 'fe80::1/64', 'dev', 'toa-s0', 'nodad')
    run('ip', '-n', 'toa-s', 'neigh', 'replace', 'fe80::2', 'lladdr', mac_of('toa-c', 'toa-c0'),
        'dev', 'toa-s0', 'nud', 'permanent')
    for namespace in (None, 'toa-s'):
        sysctl('net.toa.trust', 'fe80::/10', ns=namespace)
    name_clients(wire, 'fe80::1', 'fe80::2')
    run('ip', '-n', 'toa-s', 'addr', 'del', 'fe80::1/64', 'dev', 'toa-s0')


@case
def mptcp_falls_back(wire):
    """Data that come without MPTCP's option make TCP of a connection that is accepted already: the
    application keeps its socket, which passes getsockopt() on from then on."""
    nat64 = (socket.AF_INET, SRV4, toa(254, CLIENT6, 50164), None)
    for family, dst, option, want in rows(50160) + [nat64]:
        with listen(family, proto=IPPROTO_MPTCP) as server:
            peer = Peer(wire, dst, port_of(server)).connect_mptcp(option)
            with accepted(server, peer) as (conn, name):
                check_names(conn, name, want or (peer.src, peer.sport))
                expect('getsockopt()', nat64_peer(conn), errno.errorcode[errno.EOPNOTSUPP])
                peer.send(ACK | PSH, b'', b'hello')
                expect('data', conn.recv(10), b'hello')
                expect('protocol', protocol(conn), IPPROTO_MPTCP)
                check_names(conn, name, want or (peer.src, peer.sport))
                if not want:
                    expect('getsockopt()', nat64_peer(conn), (CLIENT6, 50164))
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
        again.syn()
        expect('name of the first, with a request', conn.getpeername(), (peer.src, peer.sport))
        again.send(ACK, toa(200, CLIENT4, 50030))
        with accepted(server, again) as (other, name):
            expect('accept()', name, (CLIENT4, 50030))
            expect('name of the first', conn.getpeername(), (peer.src, peer.sport))
            other.close()
            again.ack += 1
            again.send(FIN | ACK)
            wait_for('time wait', lambda: states(again) == [TIME_WAIT])
            expect('name of the first, in time wait', conn.getpeername(), (peer.src, peer.sport))
        conn.close()
    wait_for('table drained', lambda: not entries())


# Probes that each copy all that an event has room for: together some 2 ms under TCG.
SLOW = [f'toa_test/slow{number}' for number in range(8)]
COPY = ' +0($arg1):u8[64]' * 40


def kprobe_events(lines):
    """Add or remove some. (Python's mode 'a' seeks the end, which that file does not allow.)"""
    fd = os.open('/sys/kernel/tracing/kprobe_events', os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, ''.join(line + '\n' for line in lines).encode())
    finally:
        os.close(fd)


def switch_slow(value):
    """Switch them on or off."""
    with open('/sys/kernel/tracing/events/toa_test/enable', 'w', encoding='ascii') as file:
        file.write(value)


@contextlib.contextmanager
def slow_handshakes():
    """From when a connection can be accepted until it is established takes a good while. It is
    microseconds otherwise: on an idle machine no accept() of a thousand was there in time."""
    kprobe_events(f'p:{name} tcp_child_process{COPY}' for name in SLOW)
    try:
        switch_slow('1')
        yield
    finally:
        switch_slow('0')
        kprobe_events(f'-:{name}' for name in SLOW)


def accept_at_once(server, want):
    """Ask for the next connection without a pause; how many of its names are wrong. They may be
    when toa has waited as long as it does: the other CPU was away."""
    address, length = ctypes.create_string_buffer(16), ctypes.c_uint32(16)
    arguments = server.fileno(), ctypes.byref(address), ctypes.byref(length)
    end = time.monotonic() + 10
    while (begin := time.monotonic()) < end:
        fd = LIBC.accept(*arguments)        # Python's own takes ten times as long to say no
        if fd < 0:
            continue
        with socket.socket(fileno=fd) as conn:
            port, host = struct.unpack('!2xH4s', address.raw[:8])
            names = (socket.inet_ntop(socket.AF_INET, host), port), conn.getpeername()
        if time.monotonic() - begin > TOA_WAITS:
            return 0
        return sum(name != want for name in names)
    raise Failed('nothing to accept')


def accept_all_at_once(server, number, want, tell):
    """A process of its own that does so for `number` connections and says when it has one; its
    exit status is the number of wrong names."""
    child = os.fork()
    if child:
        os.close(tell)
        return child
    wrong = 255
    try:
        names = 0
        for _ in range(number):
            names += accept_at_once(server, want)
            os.write(tell, b'.')
        wrong = min(names, 254)
    finally:
        os._exit(wrong)


@case
def mptcp_early_accept(wire):
    """accept() on another CPU, while the handshake's last packet is still being received."""
    with listen(proto=IPPROTO_MPTCP) as server, slow_handshakes():
        server.setblocking(False)
        told, tell = os.pipe()
        child = accept_all_at_once(server, 100, (CLIENT4, 50031), tell)
        for _ in range(100):
            peer = Peer(wire, SRV4, port_of(server)).connect_mptcp(toa(200, CLIENT4, 50031))
            os.read(told, 1)
            peer.reset()
        os.close(told)
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
            conn.setblocking(False)
            conn.connect_ex((NOBODY4, 9))
            expect('on the way to somebody else', peername_by_sockopt(conn), (NOBODY4, 9))
            LIBC.connect(conn.fileno(), bytes(16), 16)
            conn.settimeout(10)
            conn.connect((FAR_SRV4, port_of(far)))
            expect('reconnected', conn.getpeername(), (FAR_SRV4, port_of(far)))
            expect('entries', entries(), 0)


if __name__ == '__main__':
    sys.exit(main())
