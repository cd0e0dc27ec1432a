# SPDX-License-Identifier: GPL-2.0
"""Hostile traffic, and honest traffic beside it.

The generators (lab/fuzz) speak for clients that do not exist, 198.18.0.0/15 and
2001:db8:bad::/48, from the client's wire, and for a real server without a stack,
RAW_RS, from rs1's wire.
"""
import ipaddress
import re
import threading

from . import basics
from .rawtcp import device_mac
from .topology import CLIENT, CLIENT2, CLIENT_V6, RS1, RS2, VIP

INVENTED, INVENTED_V6 = '198.18.0.0/15', '2001:db8:bad::/48'
RAW_RS, RAW_RS_V6 = '10.0.0.77', 'fd00::77'
WIRES = ('client:eth0', 'rs1:eth0', 'lb:outer', 'lb:inner')


def introduce(t):
    """The LB knows the ways to the invented clients and to the raw server. The client's
    stack drops what comes for them."""
    mac = ':'.join(f'{byte:02x}' for byte in device_mac(t.rs1, 'eth0'))
    t.lb.batch([f'route add {INVENTED} via {CLIENT}', f'route add {INVENTED_V6} via {CLIENT_V6}',
                *(f'neigh replace {address} lladdr {mac} dev inner nud permanent'
                  for address in (RAW_RS, RAW_RS_V6))])


def is_invented(address):
    """Is it the address of a generator's client?"""
    address = ipaddress.ip_address(address)
    return address in ipaddress.ip_network(INVENTED if address.version == 4 else INVENTED_V6)


def raw_service(t, port, lips, *, vip=VIP, lip_options='', service_options=''):
    """VIP:port, FULLNAT over the raw server. Returns how the generators call it."""
    introduce(t)
    t.fullnat(port, servers=(RAW_RS,), lips=lips, vip=vip, lip_options=lip_options,
              service_options=service_options)
    return service(port, RAW_RS, vip)


def service(port, server, vip=VIP):
    """How the generators call a service."""
    return f'tcp/{vip}:{port}/{server}:{port}'


def values(text):
    """The numbers of "name value" lines."""
    return {name: int(value) for name, value in re.findall(r'^(\w+) (\d+)$', text, re.M)}


def flood_command(name, mode, first, count, step=1, rate=0):
    """See lab/fuzz/flood.c."""
    return ['flood', *WIRES, name, mode, str(first), str(count), str(step), str(rate)]


def flood(name, mode, first, count, *, step=1, rate=0, timeout=60):
    """Run the generator to its end; what it printed, as a dictionary."""
    return values(basics.run(flood_command(name, mode, first, count, step, rate),
                             timeout=timeout).out)


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

    def __init__(self, t, port, *, lasting=8, workers=2, patience=30):
        self.port = port
        self.client = t.client
        self.patience = patience
        self.done = 0
        self.failures = []
        self.echoes = 0
        self.stopping = threading.Event()
        self.lasting = [self.begin(CLIENT) for _ in range(lasting)]
        self.threads = [threading.Thread(target=self._come_and_go, args=(source,), daemon=True)
                        for source in (CLIENT, CLIENT2) * (workers // 2)]
        self.threads.append(threading.Thread(target=self._stay, daemon=True))
        for thread in self.threads:
            thread.start()

    def begin(self, source):
        """A connection whose server has said the right thing."""
        sock = self.client.connect(VIP, self.port, source=source, timeout=self.patience)
        try:
            own = sock.getsockname()
            line = f'{own[0]} {own[1]}\n'.encode()
            basics.equal(basics.read_until(sock, len(line)), line, 'what the server sees')
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
                self.failures.append(error)

    def _stay(self):
        while not self.stopping.is_set():
            for number, sock in enumerate(self.lasting):
                try:
                    self.echo(sock, b'still %d' % number)
                    self.echoes += 1
                except (OSError, basics.Failure) as error:
                    self.failures.append(error)
                    self.stopping.set()
                    return

    def stop(self, percent=100):
        """End it. None of the lasting connections was harmed, and of the new ones this
        percentage succeeded."""
        failed_lasting = self.stopping.is_set()
        self.stopping.set()
        for thread in self.threads:
            thread.join(self.patience * basics.SCALE)
        basics.check(not failed_lasting, lambda: f'a lasting connection: {self.failures[-1]}')
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
    for server in servers:
        for seen in server.seen:
            for address, _ in (seen.accepted, seen.peername):
                basics.check(address in (CLIENT, CLIENT2) or is_invented(address),
                             lambda s=seen: f'a server saw {s}')


def fuzz_command(seed, count, services, flows, *, first=0, kinds=None):
    """See lab/fuzz/fuzz_packets.c."""
    command = ['fuzz-packets', '-s', str(seed), '-n', str(count), '-f', str(first), '-l', flows,
               '-w', ','.join(WIRES), '-p', ','.join((CLIENT, CLIENT2, RS1, RS2))]
    for name in services:
        command += ['-v', name]
    return command + (['-k', kinds] if kinds else [])


def drops(host):
    """The LB's counters of dropped packets that are not 0."""
    return {name: value for name, value in host.fullnat_stats().items()
            if name.startswith('drop_') and value}
