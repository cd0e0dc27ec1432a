#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Whose TOA is believed: prefixes, ports, layouts, containers, and what the log says."""
import contextlib
import errno
import os
import socket
import sys
import threading
import time

from harness import (CLIENT4, CLIENT6, FAR4, LIP4, LIP6, SRV4, SRV6, TS, Failed, Peer, accepted,
                     case, check, counters, expect, is_loaded, kernel_log, listen, load, main,
                     netns, port_of, reload_module, run, selftest, setup, stats, sysctl,
                     teardown, toa, unload)


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
           '10.0.0.0/8,lip', '10.0.0.0/8;11.0.0.0/8', ','.join(['10.0.0.0/8'] * 65), ' ' * 5000]
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
def default_trust(_):
    """Without a parameter: private and shared addresses only, and the log says so."""
    private = '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7'
    for ns in (None, 'toa-s'):
        expect('trust', sysctl('net.toa.trust', ns=ns), private)
    said = kernel_log().splitlines()[-1]
    if f'toa: client addresses are believed from private sources: {private} (change: trust=, ' \
            'net.toa.trust)' not in said:
        raise Failed(f'dmesg says {said!r}')


class Replacer:
    """Writes lists of prefixes to the sysctl of both namespaces, again and again."""

    def __init__(self, lists):
        self.lists, self.stop, self.written, self.error = lists, threading.Event(), 0, None
        self.files = []
        for ns in (None, 'toa-s'):
            with netns(ns):
                self.files.append(os.open('/proc/sys/net/toa/trust', os.O_WRONLY))

    def run(self):
        """The thread."""
        try:
            while not self.stop.is_set():
                for prefixes in self.lists:
                    for file in self.files:
                        os.pwrite(file, prefixes.encode(), 0)
                        self.written += 1
        except OSError as error:
            self.error = error

    @contextlib.contextmanager
    def running(self):
        """It runs meanwhile."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()
            for file in self.files:
                os.close(file)
        if self.error:
            raise self.error


@case
def trust_replaced_under_traffic(wire):
    """A list is replaced at once: a source that is in the old one and in the new one is trusted at
    every moment. 2 000 connections, or what 3 s are enough for."""
    many = ','.join(f'192.0.2.{number}' for number in range(40))
    replacer = Replacer([f'{many},{LIP4}\n', f'{LIP4},{many}\n'])
    end, made = time.monotonic() + 3, 0
    with listen() as server, replacer.running():
        while made < 2000 and (time.monotonic() < end or made < 100):
            peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 10000 + made))
            with accepted(server, peer) as (_, name):
                expect(f'connection {made}', name, (CLIENT4, 10000 + made))
            made += 1
    expect('counters', counters(), {'stored': made, 'answered': made})
    if replacer.written < 100:
        raise Failed(f'only {replacer.written} lists were written')


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
def complaints_of_a_namespace(_):
    """Nor with settings that are refused, one after the other. The initial namespace is still told
    what is wrong with its own."""
    began = time.monotonic()
    while time.monotonic() - began < 6:     # longer than a usual limit of the log lasts
        for name in 'trust', 'ports', 'layouts':
            refused(f'net.toa.{name}', 'x', errno.EINVAL)
    complaints = [line for line in kernel_log().splitlines() if "'x'" in line]
    expect('lines of another namespace', len(complaints), 10)
    refused('net.toa.ports', 'y', errno.EINVAL, ns=None)
    if "toa: ports: 'y': not a list of ports" not in kernel_log():
        raise Failed(f'the initial namespace was told nothing: {kernel_log()!r}')


@case
def reports_of_many_namespaces(wire):
    """Each namespace has its own first stranger, and nobody can fill the log with them."""
    for number in range(15):
        teardown()
        setup()
        wire.__init__()     # pylint: disable=unnecessary-dunder-call
        with listen() as server:
            check(wire, server, SRV4, toa(200, CLIENT4, 50200 + number), None, src=FAR4)
    expect('number of reports', len(reports()), 10)


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


if __name__ == '__main__':
    sys.exit(main())
