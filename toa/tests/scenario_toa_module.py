#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The table, the hooks, and the module coming and going."""
import contextlib
import errno
import fcntl
import os
import socket
import sys
import threading
import time

from harness import (ACK, CLIENT4, IPPROTO_MPTCP, LIP4, PSH, SO_PROTOCOL, SRV4, TOOL, TS, Failed,
                     Peer, SlowPage, Wire, abort, accepted, case, check_names,
                     check_without_module, counters, entries, expect, is_loaded, kernel_log,
                     listen, load, main, mark_kernel_log, netns, port_of, reload_module, run,
                     selftest, setup, sleeps, stats, sysctl, teardown, toa, unload, wait_for)


@case
def table(wire):
    """The listing, its rights, and max_entries, of which a namespace has a quarter."""
    path = '/proc/thread-self/net/toa_table'
    with open('/sys/module/toa/parameters/max_entries', 'w', encoding='ascii') as file:
        file.write('8')
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
    """ftrace cannot be switched off under us, nor can we be loaded without it. A 7.3 kernel lets
    nobody switch it off at all."""
    try:
        sysctl('kernel.ftrace_enabled', '0')
        raise Failed('kernel.ftrace_enabled=0 was accepted')
    except OSError as error:
        never = error.errno == errno.EOPNOTSUPP
        expect('error', error.errno, errno.EOPNOTSUPP if never else errno.EBUSY)
    unload()
    try:
        sysctl('kernel.ftrace_enabled', '0')
    except OSError as error:
        expect('error without toa, at a kernel that lets nobody', (never, error.errno),
               (True, errno.EOPNOTSUPP))
        load()
        return
    try:
        if not load(check=False).returncode:
            raise Failed('loaded without ftrace')
    finally:
        sysctl('kernel.ftrace_enabled', '1')
    if 'is kernel.ftrace_enabled 0?' not in kernel_log():
        raise Failed('dmesg does not say why')
    load()


def other_module(symbol, other):
    """Our module, looking for another symbol (of the same length) in this one's place."""
    expect('length', len(other), len(symbol))
    with open(run('modinfo', '-n', 'toa').stdout.strip(), 'rb') as file:
        binary = file.read()
    if symbol.encode() not in binary:
        raise Failed(f'the module has no {symbol}')
    path = '/tmp/toa-other.ko'
    with open(path, 'wb') as file:
        file.write(binary.replace(symbol.encode(), other.encode()))
    return path


def no_probe_allowed(length):
    """A function with a name of this length that the kernel lets nobody probe."""
    with open('/sys/kernel/debug/kprobes/blacklist', encoding='ascii') as file:
        names = {line.split()[-1] for line in file}
    return min(name for name in names if len(name) == length and name.isidentifier())


@case
def hooks_missing(_):
    """A kernel without what we hook, or that does not let us: refused by name, nothing is left,
    and the true module loads then."""
    unload()
    missing = 'this kernel has no such '
    for symbol, other, why in (
            ('inet6_getname', 'inet6_getnaxe', f'cannot probe inet6_getnaxe: {missing}function '
             '(built without IPv6, or is the module ipv6 not loaded?)\n'),
            ('inet_getname', 'inet_getnaxe', f'cannot probe inet_getnaxe: {missing}function\n'),
            ('inet6_getname', no_probe_allowed(13), ': this kernel does not allow it\n'),
            ('tcp_child_process', 'tcp_child_procesx',
             f'cannot trace tcp_child_procesx: {missing}function that can be traced\n'),
            ('tcp_init_transfer', 'tcp_init_transfex',
             f'cannot trace tcp_init_transfex: {missing}function that can be traced\n'),
            ('tcp_destroy_sock', 'tcp_destroy_socx',
             f'cannot use the tracepoint tcp_destroy_socx: {missing}tracepoint\n')):
        mark_kernel_log()
        done = run('insmod', other_module(symbol, other), check=False)
        expect(f'status of insmod without {symbol}', done.returncode, 1)
        if 'Invalid parameters' in done.stderr:
            raise Failed(f'insmod without {symbol}: {done.stderr.strip()}')
        if why not in kernel_log():
            raise Failed(f'no {why!r} in the log: {kernel_log()!r}')
        left = [path for path in ('/sys/module/toa', '/proc/sys/net/toa', '/proc/net/toa_stats',
                                  '/proc/net/toa_table') if os.path.exists(path)]
        expect(f'left without {symbol}', left, [])
    load()
    expect('selftest', stats()['module_selftest'], 'ok')


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
    """rmmod with a live connection: it goes on, under the wire's name, and is forgotten; it can
    also end while the module is away."""
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
            check_without_module(conn, peer)


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
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as conn:
            conn.connect(('127.0.0.1', port_of(server)))
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


class Asleep:
    """Calls of getpeername() that sleep, since somebody is in the middle of send() with the same
    socket and its lock: the page that he sends from does not come as long as the block lasts."""

    def __init__(self, conn, count):
        self.conn = conn
        self.threads = [threading.Thread(target=self.ask) for _ in range(count)]
        self.names = []

    def ask(self):
        """Asks, and is told later."""
        self.names.append(self.conn.getpeername())

    def __enter__(self):
        self.page = SlowPage()
        self.sender = threading.Thread(target=self.conn.send, args=(self.page.memory,))
        self.sender.start()
        try:
            self.page.wait_for_reader()
            for thread in self.threads:
                thread.start()
            wait_for('calls that sleep', lambda: all(sleeps(t.native_id) for t in self.threads))
        except Failed:
            self.page.come()
            raise
        return self

    def __exit__(self, *_):
        self.page.come()
        for thread in (self.sender, *self.threads):
            thread.join()


def name_of_new(wire, port):
    """What accept() says of one more connection with a TOA."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, port))
        with accepted(server, peer) as (_, name):
            return name == (CLIENT4, port)


@case
def missed_is_counted(wire):
    """Calls of getpeername() sleep, as many as "maxactive" has room for: the others get the wire's
    name and are counted, and toa-diag says so. The module does not take that for probes that are
    switched off, which it looks for every ten seconds."""
    reload_module('maxactive=1')
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50018))
        with accepted(server, peer) as (conn, _):
            with Asleep(conn, 1) as asleep:
                expect('the client is known', name_of_new(wire, 50019), False)
                missed = int(stats()['module_missed_instances'])
                if not missed:
                    raise Failed('nothing is counted')
                wait_for('the next look for probes', lambda: int(
                    stats()['module_missed_instances']) > missed)
                expect('probes armed', stats()['module_probes_armed'], '1')
            expect('names', asleep.names, [(CLIENT4, 50018)])
        expect('the client is known', name_of_new(wire, 50020), True)
    if 'switched off' in kernel_log():
        raise Failed(f'in dmesg: {kernel_log()}')
    missed = stats()['module_missed_instances']
    done = run('ip', 'netns', 'exec', 'toa-s', TOOL, '80', '-s', '0.1', check=False)
    expect('exit status of toa-diag', done.returncode, 1)
    why = f'module_missed_instances is {missed}: load toa with a larger maxactive='
    if why not in done.stdout:
        raise Failed(f'no {why!r} in: {done.stdout!r}')


@case
def namespace_has_a_share(wire):
    """Who can make clients for himself, in a namespace of his own, does not get all of maxactive."""
    reload_module('maxactive=8')
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50018))
        with accepted(server, peer) as (conn, name):
            with Asleep(conn, 5) as asleep:
                pass
            expect('names', sorted(asleep.names),
                   sorted([name] * 2 + [(peer.src, peer.sport)] * 3))
            expect('missed', stats()['module_missed_instances'], '3')
            expect('name afterwards', conn.getpeername(), name)


@case
def others_miss_nothing(wire):
    """Calls that sleep with a socket that has no client take no room from the others, be it
    MPTCP's, which knows its client by another socket."""
    reload_module('maxactive=3')
    for protocol in (0, IPPROTO_MPTCP):
        with listen(proto=protocol, ns='toa-c') as server, netns('toa-c'), \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as conn:
            conn.connect(('127.0.0.1', port_of(server)))
            far, _ = server.accept()
            with far:
                expect('protocol', far.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL), protocol or 6)
                with Asleep(conn, 3) as asleep:
                    expect('the client is known', name_of_new(wire, 50018), True)
                expect('names', asleep.names, [('127.0.0.1', port_of(server))] * 3)
    expect('missed', stats()['module_missed_instances'], '0')


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


if __name__ == '__main__':
    sys.exit(main())
