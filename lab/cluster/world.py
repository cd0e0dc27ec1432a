#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The world around a cluster, in one machine: client, router and real servers are network
namespaces of it. Runs in the guest until that is powered off.

    client ─── router ───outer (card)        inner (card)───bridge───┬─── rs1
    198.51.100.1, .2  203.0.113.1                                    └─── rs2
    2001:db8:c::1     2001:db8:f::1                          10.0.0.11, .12, fd00::11, ::12

Takes orders at a UNIX socket, a JSON object a line: {"do": NAME, ARGUMENTS...}. The answer is
one line, too: {"result": ...} or {"error": ...}. The orders are the methods of World.
"""
import asyncio
import json
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                'scenarios'))
# pylint: disable=wrong-import-position
from lib import Host, address_port, basics
import traffic

SOCKET = '/run/world'
DIRECTORY = '/lab/world'
CLIENTS = ('198.51.100.1', '198.51.100.2')
CLIENTS_V6 = ('2001:db8:c::1', '2001:db8:c::2')
FROM_CLIENTS = 'src net 198.51.100.0/24 or src net 2001:db8:c::/64'
SERVERS = {'rs1': ('10.0.0.11', 'fd00::11'), 'rs2': ('10.0.0.12', 'fd00::12')}
# of 29 bytes: the address of example.com
QUESTION = b'id\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1'
SSHD = '''
ListenAddress {address}:22
HostKey {key}
AuthorizedKeysFile {key}.pub
PidFile none
StrictModes no
UsePAM no
'''


class World:
    """All namespaces, and what runs in them."""

    def __init__(self):
        self.client = Host('client', DIRECTORY)
        self.router = Host('router', DIRECTORY)
        self.servers = [Host(name, DIRECTORY) for name in SERVERS]
        self.wire()
        self.key = self.make_key()
        basics.run('modprobe toa')
        self.nginx = [server.nginx() for server in self.servers]
        self.sshd()
        self.leaks = [server.capture(expression=FROM_CLIENTS) for server in self.servers]
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.traffic = traffic.Traffic(self.client, self.servers, self.key)
        self.in_loop(self.traffic.serve())

    def in_loop(self, coroutine):
        """Run it where the traffic is, and wait."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def wire(self):
        """Cables, addresses, routes."""
        basics.run('ip link add inside type bridge forward_delay 0')
        # A card's own frames come back to it from the multicast socket: not to be learned from
        basics.run('ip link set inner master inside; '
                   'ip link set inner type bridge_slave learning off; '
                   'ip link set inner up; ip link set inside up')
        basics.run('ip link set outer netns router')
        basics.run('ip link add eth0 netns client type veth peer name inner netns router')
        self.client.batch([
            'link set lo up', 'link set eth0 up',
            *(f'addr add {address}/24 dev eth0' for address in CLIENTS),
            *(f'addr add {address}/64 dev eth0 nodad' for address in reversed(CLIENTS_V6)),
            'route add default via 198.51.100.254', 'route add default via 2001:db8:c::254'])
        self.router.batch([
            'link set lo up', 'link set outer up', 'link set inner up',
            'addr add 203.0.113.1/24 dev outer', 'addr add 2001:db8:f::1/64 dev outer nodad',
            'addr add 198.51.100.254/24 dev inner', 'addr add 2001:db8:c::254/64 dev inner nodad'])
        self.router.forward()
        for server in self.servers:
            v4, v6 = SERVERS[server.name]
            basics.run(f'ip link add {server.name} type veth peer name eth0 netns {server.name}; '
                       f'ip link set {server.name} master inside up')
            server.batch(['link set lo up', 'link set eth0 up', f'addr add {v4}/24 dev eth0',
                          f'addr add {v6}/64 dev eth0 nodad'])

    def make_key(self):
        """A key of host and user in one."""
        path = self.client.path('key')
        if not os.path.exists(path):
            basics.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path])
        os.chmod(path, 0o600)
        return path

    def sshd(self):
        """A real sshd on both servers."""
        for server in self.servers:
            config = server.path('sshd_config')
            with open(config, 'w', encoding='ascii') as file:
                file.write(SSHD.format(key=self.key, address=SERVERS[server.name][0]))
            server.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', config], server.path('sshd.log'))
            server.wait_listening(22)

    # Orders

    def http(self, address, source=None, timeout=10, port=80):
        """GET / by curl: who the answering nginx says the client is, and who it is."""
        url = f'http://{address_port(address, port)}/'
        command = ['curl', '-sS', '-g', '--max-time', str(timeout), url]
        if source:
            command[1:1] = ['--interface', source]
        done = self.client.run(command, check=False, timeout=timeout + 20)
        return {'rc': done.rc, 'text': done.text.strip()}

    def leaked(self):
        """Packets from a client's own address that came to a real server."""
        found = [str(packet) for capture in self.leaks for packet in capture.packets()]
        self.leaks = [server.capture(expression=FROM_CLIENTS) for server in self.servers]
        return found

    def stop_server(self, name, is_back=False):
        """A real server's nginx ends, or comes back."""
        at = list(SERVERS).index(name)
        if is_back:
            self.nginx[at].process = self.servers[at].spawn(
                ['nginx', '-c', os.path.join(self.nginx[at].directory, 'nginx.conf')])
            self.servers[at].wait_listening(80)
        else:
            self.servers[at].stop(self.nginx[at].process)

    def firewall(self, name, rules=''):
        """The nft rules of a real server."""
        self.servers[list(SERVERS).index(name)].nft('flush ruleset\n' + rules)

    def toa(self):
        """The counters of toa, both servers together."""
        each = [server.toa_stats() for server in self.servers]
        return {name: sum(one[name] for one in each) for name in each[0]}

    def open(self, vip, vip_v6, counts):
        """Establish connections: `counts` of each kind; see traffic.Traffic.open()."""
        self.in_loop(self.traffic.open(vip, vip_v6, counts))

    def settle(self, seconds, timeout=60):
        """Every connection has made progress since this call, and goes on for these seconds."""
        self.in_loop(self.traffic.settle(seconds, timeout))

    def mark(self):
        """What is to be survived happens after this."""
        self.in_loop(self.traffic.mark())

    def report(self, timeout=60):
        """How every kind has got over it; see traffic.Traffic.report()."""
        return self.in_loop(self.traffic.report(timeout))

    def close(self):
        """All connections end."""
        self.in_loop(self.traffic.close())

    def connect(self, address, count, beside=20, timeout=60, port=traffic.PORT):
        """New connections, `beside` at a time; see traffic.Traffic.connect()."""
        return self.in_loop(self.traffic.connect(address, count, beside, timeout, port))

    def name_server(self, address, timeout=10):
        """Ask the name server once; returns its answer's length."""
        with self.client:
            sock = socket.socket(traffic.family_of(address), socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(timeout)
            sock.connect((address, traffic.DNS_PORT))
            sock.send(QUESTION)
            return len(sock.recv(512))

    def probe_begin(self, vip, interval=0.05):
        """Ask by UDP all the time, to see how long nobody answers."""
        self.in_loop(self.traffic.probe_begin(vip, interval))

    def probe_end(self):
        """The longest time without an answer, in milliseconds."""
        return self.in_loop(self.traffic.probe_end())


async def serve(world):
    """Take orders, one connection each."""
    async def handle(reader, writer):
        order = json.loads(await reader.readline())
        try:
            method = getattr(world, order.pop('do'))
            answer = {'result': await asyncio.to_thread(method, **order)}
        except Exception as error:  # pylint: disable=broad-except
            answer = {'error': f'{type(error).__name__}: {error}'}
        writer.write((json.dumps(answer) + '\n').encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(handle, SOCKET, limit=1 << 20)
    async with server:
        await server.serve_forever()


if __name__ == '__main__':
    os.makedirs(DIRECTORY, exist_ok=True)
    asyncio.run(serve(World()))
