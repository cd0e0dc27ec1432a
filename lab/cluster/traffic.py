# SPDX-License-Identifier: GPL-2.0
"""Connections that are watched while the load balancer in front of them changes. Clients and
servers are in one process, so that one clock measures both ends."""
import asyncio
import collections
import dataclasses
import socket
import statistics
import struct
import time

PORT, TLS_PORT, UDP_PORT, DNS_PORT = 8000, 443, 8053, 53
CHUNK = 8192            # of bulk transfers
BULK_PAUSE, TALK_PAUSE = 0.25, 0.5
TCP_INFO_RETRANS = 100  # offset of tcpi_total_retrans in struct tcp_info


def family_of(address):
    """Of an address in text form."""
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def retransmissions(sock):
    """How many segments the kernel had to send again."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return struct.unpack_from('I', info, TCP_INFO_RETRANS)[0]


@dataclasses.dataclass
class Flow:
    """One connection: when its measured end got something."""
    kind: str
    vip: str
    number: int
    client: tuple = ()
    stamps: list = dataclasses.field(default_factory=list)
    error: str = ''
    task: asyncio.Task = None
    sock: socket.socket = None
    writer: asyncio.StreamWriter = None
    ask: object = None          # of idle ones: asks once, when it is time to

    def progress(self):
        """Something arrived."""
        self.stamps.append(time.monotonic())

    def gap(self, since):
        """The longest pause that ended after `since`, in seconds."""
        return max((new - old for old, new in zip(self.stamps, self.stamps[1:]) if new > since),
                   default=0.0)


class UdpEcho(asyncio.DatagramProtocol):
    """Answers every datagram with the sender as it is seen, then the datagram."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(f'{addr[0]} {addr[1]} '.encode() + data, addr)


class NameServer(UdpEcho):
    """Knows every name, but nothing of it: the question, as an answer without an error."""

    def datagram_received(self, data, addr):
        self.transport.sendto(data[:2] + b'\x84\x00' + data[4:], addr)


class Traffic:
    """Servers on the real servers, flows from the client."""

    def __init__(self, client, servers, key):
        self.client = client
        self.servers = servers
        self.key = key
        self.flows = []
        self.marked = 0.0
        self.uploads = {}       # by client: the flow that measures there
        self.probe = None
        self.probe_stamps = []

    # Servers

    def listener(self, host, kind, port):
        """A dual-stack socket of a real server."""
        with host:
            sock = socket.socket(socket.AF_INET6, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(('::', port))
        sock.setblocking(False)
        return sock

    async def serve(self):
        """Listen on all real servers."""
        loop = asyncio.get_running_loop()
        for host in self.servers:
            for port in (PORT, TLS_PORT):
                tcp = self.listener(host, socket.SOCK_STREAM, port)
                await asyncio.start_server(self.handle, sock=tcp, backlog=1024)
            for protocol, port in ((UdpEcho, UDP_PORT), (NameServer, DNS_PORT)):
                await loop.create_datagram_endpoint(
                    protocol, sock=self.listener(host, socket.SOCK_DGRAM, port))

    async def handle(self, reader, writer):
        """One client: its first line says what it wants."""
        try:
            want = (await reader.readline()).decode().strip()
            address, port = writer.get_extra_info('peername')[:2]
            client = (address.removeprefix('::ffff:'), port)
            if want:
                writer.write(f'{client[0]} {client[1]}\n'.encode())
                await getattr(self, 'serve_' + want)(reader, writer, client)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @staticmethod
    async def serve_hello(_reader, writer, _client):
        """Only the greeting."""
        await writer.drain()

    @staticmethod
    async def serve_echo(reader, writer, _client):
        """A line, again and again."""
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    @staticmethod
    async def serve_push(_reader, writer, _client):
        """The server speaks, the client never does."""
        while True:
            writer.write(b'news\n')
            await writer.drain()
            await asyncio.sleep(TALK_PAUSE)

    @staticmethod
    async def serve_download(_reader, writer, _client):
        """A lot of data."""
        while True:
            writer.write(b'd' * CHUNK)
            await writer.drain()
            await asyncio.sleep(BULK_PAUSE)

    async def serve_upload(self, reader, _writer, client):
        """Takes a lot of data: here is where progress is seen."""
        while await reader.read(1 << 16):
            if client in self.uploads:
                self.uploads[client].progress()

    # Flows

    async def connected(self, vip, port=PORT):
        """A TCP connection from the client's namespace."""
        with self.client:
            sock = socket.socket(family_of(vip), socket.SOCK_STREAM)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (vip, port))
        return sock

    async def begin(self, flow):
        """Connect, say what is wanted, be greeted by the right name."""
        flow.sock = await self.connected(flow.vip)
        flow.client = flow.sock.getsockname()[:2]
        reader, flow.writer = await asyncio.open_connection(sock=flow.sock)
        flow.writer.write((flow.kind if flow.kind != 'idle' else 'echo').encode() + b'\n')
        said = (await reader.readline()).decode().split()
        if said != [flow.client[0], str(flow.client[1])]:
            raise OSError(f'{flow.client} was greeted as {said}')
        flow.progress()
        return reader, flow.writer

    async def run(self, flow):
        """A flow from its beginning to its end, or error."""
        try:
            await getattr(self, 'run_' + flow.kind)(flow)
            flow.error = flow.error or 'ended'
        except (OSError, asyncio.IncompleteReadError) as error:
            flow.error = str(error) or type(error).__name__

    async def run_download(self, flow):
        """Read what comes."""
        reader, _ = await self.begin(flow)
        while await reader.read(1 << 16):
            flow.progress()

    run_push = run_download

    async def run_upload(self, flow):
        """Send; the server measures."""
        reader, writer = await self.begin(flow)
        self.uploads[flow.client] = flow
        while not reader.at_eof():
            writer.write(b'u' * CHUNK)
            await writer.drain()
            await asyncio.sleep(BULK_PAUSE)

    async def run_echo(self, flow):
        """A line and its echo, at a person's pace."""
        reader, writer = await self.begin(flow)
        while True:
            writer.write(b'line\n')
            await reader.readexactly(5)
            flow.progress()
            await asyncio.sleep(TALK_PAUSE)

    async def run_idle(self, flow):
        """A request and its answer, then nothing until the next report() wants one more."""
        reader, writer = await self.begin(flow)
        flow.ask = asyncio.Event()
        while True:
            writer.write(b'line\n')
            await reader.readexactly(5)
            flow.progress()
            await flow.ask.wait()
            flow.ask.clear()

    async def run_ssh(self, flow):
        """An interactive session of the real ssh."""
        process = await asyncio.create_subprocess_exec(
            *self.client.wrap(['ssh', '-q', '-i', self.key, '-o', 'StrictHostKeyChecking=no',
                               '-o', 'UserKnownHostsFile=/dev/null', flow.vip,
                               'echo $SSH_CONNECTION; exec cat']),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        try:
            said = (await process.stdout.readline()).decode().split()
            if not said or said[0] not in ('198.51.100.1', '198.51.100.2'):
                raise OSError(f'sshd says that its client is {said}')
            while True:
                process.stdin.write(b'line\n')
                await process.stdout.readexactly(5)
                flow.progress()
                await asyncio.sleep(TALK_PAUSE)
        finally:
            if process.returncode is None:
                process.kill()

    async def run_udp(self, flow):
        """Questions of one port. Lost ones are asked again; the server must go on seeing the
        same address and port."""
        loop = asyncio.get_running_loop()
        with self.client:
            flow.sock = socket.socket(family_of(flow.vip), socket.SOCK_DGRAM)
        flow.sock.setblocking(False)
        flow.sock.connect((flow.vip, UDP_PORT))
        seen = None
        while True:
            try:
                flow.sock.send(b'q')
                said = await asyncio.wait_for(loop.sock_recv(flow.sock, 100), TALK_PAUSE)
            except (TimeoutError, ConnectionRefusedError):
                continue
            name = said.split()[:2]
            if seen not in (None, name):
                raise OSError(f'the server saw {seen}, and now {name}')
            seen = name
            flow.progress()
            await asyncio.sleep(TALK_PAUSE)

    async def open(self, vip, vip_v6, counts):
        """Establish flows: counts is {kind: number}; every third one is IPv6, if there is an
        address for it."""
        for kind, number in counts.items():
            for index in range(number):
                address = vip_v6 if vip_v6 and index % 3 == 2 and kind not in ('ssh', 'udp') else vip
                flow = Flow(kind, address, index)
                self.flows.append(flow)
                flow.task = asyncio.ensure_future(self.run(flow))
                if index % 10 == 9:
                    await asyncio.sleep(0.05)

    async def settle(self, seconds, timeout):
        """All flows live, and have for some time."""
        began = time.monotonic()
        while True:
            broken = [flow for flow in self.flows if flow.error]
            if broken:
                raise OSError(f'{broken[0].kind} by {broken[0].client}: {broken[0].error}')
            quiet = [flow for flow in self.flows if flow.kind != 'idle' or not flow.stamps]
            if all(flow.stamps and flow.stamps[-1] > began + seconds or
                   flow.kind == 'idle' and flow.stamps for flow in quiet):
                return
            if time.monotonic() > began + seconds + timeout:
                raise OSError('not all connections are there: ' + ', '.join(sorted(
                    {flow.kind for flow in quiet if not flow.stamps or flow.stamps[-1] < began})))
            await asyncio.sleep(0.1)

    async def mark(self):
        """From now on gaps count."""
        self.marked = time.monotonic()

    async def report(self, timeout):
        """Wait until every flow has gone on since now, or is lost. Returns for each kind
        [connections, lost, median and longest gap in ms, first error]."""
        began = time.monotonic()
        for flow in self.flows:
            if flow.ask is not None:
                flow.ask.set()
        while time.monotonic() < began + timeout and not all(
                flow.error or flow.stamps[-1] > began for flow in self.flows):
            await asyncio.sleep(0.1)
        kinds = collections.defaultdict(list)
        for flow in self.flows:
            family = 'UDP' if flow.kind == 'udp' else 'IPv6' if ':' in flow.vip else 'IPv4'
            kinds[f'{flow.kind} {family}'].append(flow)
        return {kind: self.summary(flows, began) for kind, flows in kinds.items()}

    def summary(self, flows, began):
        """One row of a report."""
        lost = [flow for flow in flows if flow.error or flow.stamps[-1] <= began]
        gaps = [flow.gap(self.marked) for flow in flows if flow not in lost] or [0.0]
        if flows[0].kind == 'idle':
            gaps = [flow.stamps[-1] - began for flow in flows if flow not in lost] or [0.0]
        return [len(flows), len(lost), round(statistics.median(gaps) * 1000),
                round(max(gaps) * 1000), next((flow.error or 'silent' for flow in lost), '')]

    async def close(self):
        """All end, by a reset: nothing of them stays."""
        for flow in self.flows:
            flow.task.cancel()
            if flow.writer:
                flow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                flow.writer.transport.abort()
            elif flow.sock:
                flow.sock.close()
        await asyncio.gather(*(flow.task for flow in self.flows), return_exceptions=True)
        self.flows.clear()
        self.uploads.clear()

    # New connections

    async def connect(self, address, count, beside, timeout, port=PORT):
        """New connections, one after the other in `beside` queues. Returns {'failed': how many,
        'again': how many of the others needed more than one SYN, 'error': the first one}."""
        result = {'failed': 0, 'again': 0, 'error': ''}
        numbers = iter(range(count))

        async def one():
            sock = await self.connected(address, port)
            loop = asyncio.get_running_loop()
            with sock:
                own = sock.getsockname()
                result['again'] += retransmissions(sock) > 0
                await loop.sock_sendall(sock, b'hello\n')
                said = await loop.sock_recv(sock, 200)
                if said.decode().split() != [own[0], str(own[1])]:
                    raise OSError(f'{own} was greeted as {said}')

        async def queue():
            for _ in numbers:
                try:
                    await asyncio.wait_for(one(), timeout)
                except OSError as error:    # TimeoutError is one
                    result['failed'] += 1
                    result['error'] = result['error'] or f'{type(error).__name__}: {error}'

        await asyncio.gather(*(queue() for _ in range(beside)))
        return result

    # How long is nobody there?

    async def probe_begin(self, vip, interval):
        """Single questions by UDP, each from a new port: no state of old ones matters."""
        self.probe_stamps = [time.monotonic()]

        async def ask():
            loop = asyncio.get_running_loop()
            with self.client:
                sock = socket.socket(family_of(vip), socket.SOCK_DGRAM)
            with sock:
                sock.setblocking(False)
                sock.connect((vip, UDP_PORT))
                try:
                    sock.send(b'q')
                    await asyncio.wait_for(loop.sock_recv(sock, 100), 2)
                    self.probe_stamps.append(time.monotonic())
                except OSError:
                    pass

        async def probe():
            asking = set()
            while True:
                task = asyncio.ensure_future(ask())
                asking.add(task)
                task.add_done_callback(asking.discard)
                await asyncio.sleep(interval)

        self.probe = asyncio.ensure_future(probe())

    async def probe_end(self):
        """The longest time between two answers, in ms."""
        self.probe.cancel()
        stamps = sorted(self.probe_stamps)
        return round(max(new - old for old, new in zip(stamps, stamps[1:])) * 1000)
