# SPDX-License-Identifier: GPL-2.0
"""Hostile traffic, and honest traffic beside it.

The generators (lab/fuzz) speak for clients that do not exist, of 198.18.0.0/15 and
2001:db8:bad::/48, from the client's wire, and for a real server without a stack,
RAW_RS, from rs1's wire.
"""
import contextlib
import ipaddress
import re
import threading
import time

from . import basics
from .checkers import read, write
from .rawtcp import device_mac
from .topology import CLIENT, CLIENT2, CLIENT_V6, FAMILIES, RS1, RS2, V4, VIP, VIP_V6
from .traffic import greeted

INVENTED, INVENTED_V6 = '198.18.0.0/15', '2001:db8:bad::/48'
RAW_RS, RAW_RS_V6 = '10.0.0.77', 'fd00::77'
WIRES = ('client:eth0', 'rs1:eth0', 'lb:outer', 'lb:inner')


def introduce(t):
    """The LB knows the ways to the invented clients and to the raw server. The client's
    stack drops what comes for them."""
    mac = ':'.join(f'{byte:02x}' for byte in device_mac(t.rs1, 'eth0'))
    t.lb.batch([f'route replace {INVENTED} via {CLIENT}',
                f'route replace {INVENTED_V6} via {CLIENT_V6}',
                *(f'neigh replace {address} lladdr {mac} dev inner nud permanent'
                  for address in (RAW_RS, RAW_RS_V6))])


def is_invented(address):
    """Is it the address of a generator's client?"""
    address = ipaddress.ip_address(address)
    return address in ipaddress.ip_network(INVENTED if address.version == 4 else INVENTED_V6)


def at(address, port):
    """As both ipvsadm and the generators write it."""
    return f'[{address}]:{port}' if ':' in address else f'{address}:{port}'


def named(port, server, *, vip=VIP, protocol='tcp'):
    """How the generators call a service."""
    return f'{protocol}/{at(vip, port)}/{at(server, port)}'


def raw_service(t, port, pool, *, family=4, protocol='tcp'):
    """VIP:port, FULLNAT over the raw server alone, with a pool that ipvsadm understands;
    its addresses are there already. Returns how the generators call it."""
    introduce(t)
    vip, server = (VIP, RAW_RS) if family == 4 else (VIP_V6, RAW_RS_V6)
    option = f'-{protocol[0]} {at(vip, port)}'
    t.lb.run(f'ipvsadm -A {option} -s rr --fullnat')
    t.lb.run(f'ipvsadm -P {option} -z {pool}')
    t.lb.run(f'ipvsadm -a {option} -r {at(server, port)}')
    return named(port, server, vip=vip, protocol=protocol)


def values(text):
    """The numbers of "name value" lines."""
    return {name: int(value) for name, value in re.findall(r'^(\w+) (\d+)$', text, re.M)}


def flood_command(service, mode, first, count, step=1, rate=0):
    """See lab/fuzz/flood.c."""
    return ['flood', *WIRES, service, mode, str(first), str(count), str(step), str(rate)]


def flood(service, mode, first, count, *, step=1, rate=0, timeout=60):
    """Run the generator to its end; what it printed, as a dictionary."""
    return values(basics.run(flood_command(service, mode, first, count, step, rate),
                             timeout=timeout).out)


def replay_command(seed, count):
    """The packets of fuzz_command(), which has added "-l FLOWS": with "-r FLOWS" they are
    made again, without a network. No packet claims to come from an honest host."""
    return ['fuzz-packets', '-s', str(seed), '-n', str(count),
            '-p', ','.join((CLIENT, CLIENT2, RS1, RS2))]


def fuzz_command(seed, count, services, flows, kinds=None):
    """See lab/fuzz/fuzz_packets.c."""
    command = [*replay_command(seed, count), '-l', flows, '-w', ','.join(WIRES)]
    for service in services:
        command += ['-v', service]
    return command + (['-k', kinds] if kinds else [])


def dropped_before_the_hosts():
    """Packets that the machine's receive queues, which all hosts here share, had no room for."""
    return sum(int(line.split()[1], 16) for line in read('/proc/net/softnet_stat').splitlines())


@contextlib.contextmanager
def deep_queues():
    """No packet is lost in these queues, however fast a generator and however slow the machine:
    what is lost then, a host has dropped."""
    setting = '/proc/sys/net/core/netdev_max_backlog'
    usual, before = read(setting), dropped_before_the_hosts()
    write(setting, 100000)
    try:
        yield
    finally:
        write(setting, usual)
    basics.equal(dropped_before_the_hosts() - before, 0, 'packets for which a queue had no room')


class Background:
    """A generator that runs beside what the scenario does."""

    def __init__(self, t, command):
        self.log = t.client.path('generator.log')
        self.process = t.client.spawn(command, self.log)

    def running(self):
        """Does it still?"""
        return self.process.poll() is None

    def result(self, timeout=60):
        """Wait for its end; what it printed."""
        basics.until(lambda: not self.running(), timeout, 'the generator ends')
        with open(self.log, encoding='utf-8') as file:
            text = file.read()
        basics.equal(self.process.returncode, 0, f'exit status of the generator ({text})')
        return values(text)


class Bystanders:
    """Real clients of real servers: connections that last, and new ones all the time. They
    compare what the server says of them with who they are."""

    def __init__(self, t, port, *, family=V4, lasting=8, patience=30):
        self.vip = family.vip
        self.port = port
        self.client = t.client
        self.patience = patience
        self.began = time.monotonic()
        self.done = 0
        self.echoes = 0
        self.failures = []
        self.harmed = None
        self.stopping = threading.Event()
        self.lasting = [self.begin(family.client) for _ in range(lasting)]
        jobs = [lambda s=source: self._come_and_go(s) for source in (family.client, family.client2)]
        self.threads = [threading.Thread(target=job, daemon=True) for job in (*jobs, self._stay)]
        for thread in self.threads:
            thread.start()

    def begin(self, source):
        """A connection whose server has said the right thing."""
        sock = self.client.connect(self.vip, self.port, source=source, timeout=self.patience)
        try:
            greeted(sock)
        except (OSError, basics.Failure):
            sock.close()
            raise
        return sock

    @staticmethod
    def echo(sock, data):
        """Send, and get it back."""
        sock.sendall(data)
        basics.equal(basics.read_until(sock, len(data)), data, 'echo')

    def _come_and_go(self, source):
        while not self.stopping.is_set():
            try:
                with self.begin(source) as sock:
                    self.echo(sock, b'hello')
                self.done += 1
            except (OSError, basics.Failure) as error:
                self.failures.append(f'{time.monotonic() - self.began:.0f} s: {error}')

    def _stay(self):
        while not self.stopping.is_set():
            try:
                for number, sock in enumerate(self.lasting):
                    self.echo(sock, b'still %d' % number)
                    self.echoes += 1
            except (OSError, basics.Failure) as error:
                self.harmed = error
                return

    def stop(self, percent=100):
        """End it. None of the lasting connections was harmed, and of the new ones this
        percentage succeeded."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * self.patience)
            basics.check(not thread.is_alive(), 'a bystander waits for something')
        basics.check(not self.harmed, lambda: f'a lasting connection: {self.harmed}')
        for sock in self.lasting:
            self.echo(sock, b'to the end')
            sock.close()
        total = self.done + len(self.failures)
        print(f'# beside it: {self.done} of {total} new connections, {self.echoes} echoes',
              flush=True)
        basics.check(self.done >= 10 and self.echoes >= 10, 'the bystanders did too little')
        basics.check(self.done * 100 >= total * percent,
                     lambda: f'{len(self.failures)} of {total} failed: {self.failures[:3]}')


def check_seen(servers):
    """Nobody but the real clients and the invented ones was seen by an application."""
    real = [address for family in FAMILIES for address in (family.client, family.client2)]
    for server in servers:
        for seen in server.seen:
            for address, _ in (seen.accepted, seen.peername):
                basics.check(address in real or is_invented(address),
                             lambda s=seen: f'a server saw {s}')


def drops(host):
    """The LB's counters of dropped packets that are not 0."""
    return {name: value for name, value in host.fullnat_stats().items()
            if name.startswith('drop_') and value}
